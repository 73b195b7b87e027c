from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._builder.build_log import LINES_PER_SECOND, BuildLog, Follower, readable


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def log(tmp_path):
    return BuildLog(tmp_path / "logs", "app")


def follow(log, clock=None, start=0):
    told = []
    return Follower(log.path, start, told.append, clock=clock or Clock()), told


def test_lines_are_told_when_they_are_finished(log):
    follower, told = follow(log)

    log.append(b"one\ntw")
    follower.read()
    assert told == ["one"]

    log.append(b"o\nthree")
    follower.read()
    assert told == ["one", "two"]

    follower.finish()
    assert told == ["one", "two", "three"]


def test_what_stood_there_before_is_not_told(log):
    log.append(b"before\n")
    follower, told = follow(log, start=log.size)

    log.append(b"after\n")
    follower.finish()

    assert told == ["after"]


def test_lines_beyond_what_can_be_read_are_counted(log):
    clock = Clock()
    follower, told = follow(log, clock)

    log.append(b"x\n" * (LINES_PER_SECOND + 5))
    follower.read()
    assert told == ["x"] * LINES_PER_SECOND

    log.append(b"y\n" * 2)
    clock.now = 0.5
    follower.read()
    assert len(told) == LINES_PER_SECOND

    clock.now = 1.5
    log.append(b"z\n")
    follower.read()
    assert told[LINES_PER_SECOND:] == ["... 7 more lines, which are in the log ...", "z"]


def test_whoever_writes_all_the_time_does_not_keep_the_reader(log):
    clock = Clock()
    follower, told = follow(log, clock)
    log.append(b"x\n" * 10_000_000)

    follower.read()
    clock.now = 2.0
    follower.read()

    assert told[-1] == "x"
    assert len(told) == 2 * LINES_PER_SECOND + 1


def test_at_the_end_nothing_is_left_unread(log):
    follower, told = follow(log)
    log.append(b"x\n" * 10_000_000)

    follower.finish()

    assert told[-1] == f"... {10_000_000 - LINES_PER_SECOND} more lines, which are in the log ..."


def test_a_pipe_in_place_of_the_log_holds_nobody_up(log):
    follower, told = follow(log)
    log.remove()
    os.mkfifo(log.path)

    log.append(b"lost")
    follower.finish()

    assert told == []
    assert log.tail() == ()


def test_what_was_left_out_last_is_counted_at_the_end(log):
    follower, told = follow(log)

    log.append(b"x\n" * (LINES_PER_SECOND + 3))
    follower.finish()

    assert told[-1] == "... 3 more lines, which are in the log ..."


def test_a_line_without_an_end_is_cut(log):
    follower, told = follow(log)

    log.append(b"x" * 300_000)
    follower.finish()

    assert 1 < len(told) < 6
    assert all(len(line) < 2100 for line in told)


def test_a_log_that_is_gone_is_empty(log):
    follower, told = follow(log)
    log.remove()
    log.remove()

    follower.finish()

    assert told == []
    assert log.tail() == ()
    assert log.size == 0


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_the_lines_are_the_same_however_they_arrive(tmp_path_factory, pieces):
    log = BuildLog(tmp_path_factory.mktemp("logs"), "app")
    follower, told = follow(log)
    for piece in pieces:
        log.append(piece)
        follower.read()
    follower.finish()

    lines = b"".join(pieces).split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(lines) <= LINES_PER_SECOND:
        assert told == [readable(line) for line in lines]


@given(st.binary(max_size=200))
def test_whatever_is_printed_can_be_shown(data):
    shown = readable(data.replace(b"\n", b""))

    assert "\x1b" not in shown
    assert not any(ord(character) < 32 and character != "\t" for character in shown)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain", "plain"),
        (b"\x1b[1;31merror:\x1b[0m bad", "error: bad"),
        (b"\x1b]8;;https://host\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"10%\r20%\r30%\r", "30%"),
        (b"dos line\r", "dos line"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("größer".encode(), "größer"),
        (
            b"at git+https://user:pass@host/x and https://token@host/",
            "at git+https://****@host/x and https://****@host/",
        ),
        (b"mail me@host, see https://host/me@x", "mail me@host, see https://host/me@x"),
    ],
)
def test_a_line_is_made_readable(line, shown):
    assert readable(line) == shown


def test_the_tail_has_the_last_lines_that_say_something(log):
    log.append(b"earlier\n")
    start = log.size
    log.append(b"first\n\n  \nlast\n")

    assert log.tail(start) == ("first", "last")
    assert log.tail() == ("earlier", "first", "last")


def test_the_tail_is_short_and_of_whole_lines(log):
    log.append(b"a long line that is cut\n" * 100_000 + b"end")

    tail = log.tail()

    assert len(tail) == 40
    assert set(tail) == {"a long line that is cut", "end"}


def test_a_line_that_is_not_there_in_full_is_no_part_of_the_tail(log):
    log.append((b"begin" + b"x" * 30_000 + b"\n") * 10)

    assert {line[:6] for line in log.tail()} == {"beginx"}


def test_frames_of_the_machinery_are_left_out(log):
    log.append(
        b"Traceback (most recent call last):\n"
        b'  File "/x/hook_script.py", line 3, in <module>\n'
        b"    main(*sys.argv[1:])\n"
        b"    ~~~~^^^^^^^^^^^^^^^\n"
        b'  File "/x/_in_process.py", line 1, in main\n'
        b"    json_out['return_val'] = hook(**hook_input['kwargs'])\n"
        b'  File "/x/setup.py", line 1, in <module>\n'
        b"    1 / 0\n"
        b"    ~~^~~\n"
        b"ZeroDivisionError: division by zero\n"
    )

    assert log.tail() == (
        "Traceback (most recent call last):",
        '  File "/x/setup.py", line 1, in <module>',
        "    1 / 0",
        "    ~~^~~",
        "ZeroDivisionError: division by zero",
    )


@pytest.mark.parametrize(
    "package", ["../../etc/x", "/a/tree", "", "a" * 500, "name @ https://host/x?y", "..."]
)
def test_a_log_lies_in_its_folder_whatever_the_package_is_called(tmp_path, package):
    log = BuildLog(tmp_path / "logs", package)

    assert [str(path) for path in (tmp_path / "logs").iterdir()] == [log.path]


def test_two_logs_of_one_package_are_two_files(tmp_path):
    assert BuildLog(tmp_path, "app").path != BuildLog(tmp_path, "app").path
