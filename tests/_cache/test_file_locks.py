from __future__ import annotations

import errno
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from puffin_api._cache.locks import FileLocks, read_owner
from puffin_api._model.cancel import CancelToken
from puffin_api.errors import Cancelled, LockTimeout, NotWritable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "a.lock"


def no_locks(_):
    raise OSError(errno.ENOLCK, "No locks available")


def nobody_waits(_):
    raise AssertionError("waited for a lock that nobody holds")


def test_a_free_lock_is_taken_at_once_and_again(path):
    locks = FileLocks(pause=nobody_waits)

    for _ in range(3):
        with locks.hold(path, what="the cache"):
            pass


def test_a_lock_is_released_by_an_error(path):
    locks = FileLocks(pause=nobody_waits)

    with pytest.raises(ZeroDivisionError), locks.hold(path, what="the cache"):
        _ = 1 / 0

    with locks.hold(path, what="the cache"):
        pass


def test_different_paths_do_not_exclude_each_other(path):
    locks = FileLocks(pause=nobody_waits)

    with locks.hold(path, what="one"), locks.hold(path.with_name("b.lock"), what="other"):
        pass


def test_a_held_lock_times_out_and_tells_its_owner(path):
    with (
        FileLocks().hold(path, what="building flask"),
        pytest.raises(LockTimeout) as caught,
        FileLocks(0).hold(path, what="flask"),
    ):
        pass

    error = caught.value
    assert str(os.getpid()) in error.owner
    assert "building flask" in error.owner
    assert error.path == str(path)
    assert error.seconds == 0
    assert error.retryable


def test_a_wait_ends_when_the_lock_is_released(path):
    first = FileLocks().hold(path, what="first")
    first.__enter__()
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 5:
            first.__exit__(None, None, None)

    waits = []
    locks = FileLocks(on_wait=lambda what, owner: waits.append((what, owner)), pause=pause)
    with locks.hold(path, what="second"):
        pass

    assert len(pauses) == 5
    assert pauses == sorted(pauses)
    assert len(waits) == 1, "a wait is told once"
    assert waits[0][0] == "second"
    assert "(first)" in waits[0][1]


def test_an_owner_that_has_not_written_its_name_yet_is_looked_at_again(path):
    owner = FileLocks().hold(path, what="first")
    owner.__enter__()
    name = path.read_bytes()
    path.write_bytes(b"")
    pauses, waits = [], []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            assert not waits, "nobody knows yet"
            path.write_bytes(name)
        if len(pauses) == 4:
            owner.__exit__(None, None, None)

    locks = FileLocks(on_wait=lambda what, owner: waits.append(owner), pause=pause)
    with locks.hold(path, what="second"):
        pass

    assert len(waits) == 1
    assert "(first)" in waits[0]


def test_an_owner_that_stays_without_a_name_is_told_as_another_process(path, monkeypatch):
    monkeypatch.setattr("puffin_api._cache.locks._NAMELESS", 0.0)
    waits = []
    with FileLocks().hold(path, what="first"):
        path.write_bytes(b"")
        locks = FileLocks(0, on_wait=lambda _, owner: waits.append(owner))
        with pytest.raises(LockTimeout), locks.hold(path, what="second"):
            pass

    assert waits == ["another process"]


def test_a_wait_can_be_cancelled(path):
    token = CancelToken()
    locks = FileLocks(pause=lambda _: token.cancel("enough"))

    with (
        FileLocks().hold(path, what="first"),
        pytest.raises(Cancelled),
        locks.hold(path, what="second", cancel=token),
    ):
        pass


def test_a_lock_file_that_was_removed_meanwhile_excludes_nobody_and_is_made_anew(path):
    removed = []

    def take_and_lose(descriptor):
        if not removed:
            removed.append(True)
            path.unlink()
        return True

    locks = FileLocks(take=take_and_lose, pause=lambda _: None)
    with locks.hold(path, what="it"):
        assert path.exists()

    assert removed


def test_the_owner_of_an_unknown_lock_has_a_name_all_the_same(path):
    assert read_owner(path) == "another process"


def test_a_lock_file_that_cannot_be_is_a_typed_error(tmp_path):
    (tmp_path / "file").touch()

    for path in (tmp_path / "file" / "a.lock", tmp_path):
        with pytest.raises(NotWritable) as caught, FileLocks().hold(path, what="it"):
            pass
        assert caught.value.path == str(path)


def test_without_locks_on_the_file_system_a_marker_stands_in(path):
    told = []
    locks = FileLocks(0, take=no_locks, on_degraded=lambda path, how: told.append((path, how)))

    with (
        locks.hold(path, what="first"),
        pytest.raises(LockTimeout),
        locks.hold(path, what="second"),
    ):
        pass
    with locks.hold(path, what="third"):
        pass

    assert set(told) == {(path, "soft")}


def test_other_failures_of_a_lock_are_no_degradation(path):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(NotWritable, match="Input/output"), FileLocks(take=broken).hold(path, what="it"):
        pass


def add_many(path, counter, times):
    """Add to a number in a file without any protection but the lock."""
    locks = FileLocks(60)
    for _ in range(times):
        with locks.hold(path, what="counter"):
            with open(counter, encoding="ascii") as file:
                number = int(file.read())
            with open(counter, "w", encoding="ascii") as file:
                file.write(str(number + 1))


@pytest.mark.parametrize("soft", [False, True])
def test_threads_exclude_each_other(path, tmp_path, soft):
    counter = tmp_path / "counter"
    counter.write_text("0")
    locks = FileLocks(60, take=no_locks if soft else None)

    def add():
        for _ in range(20):
            with locks.hold(path, what="counter"):
                number = int(counter.read_text())
                counter.write_text(str(number + 1))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(add) for _ in range(4)]:
            done.result()

    assert counter.read_text() == "80"


def test_processes_exclude_each_other_and_threads_of_other_processes(path, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=add_many, args=(path, str(counter), 200)) for _ in range(2)]
    for other in others:
        other.start()

    add_many(path, counter, 200)
    for other in others:
        other.join()

    assert [other.exitcode for other in others] == [0, 0]
    assert counter.read_text() == "600"


def die_holding(path):
    FileLocks().hold(path, what="dying").__enter__()
    os._exit(3)


def test_the_lock_of_a_process_that_died_is_free(path):
    other = multiprocessing.get_context("spawn").Process(target=die_holding, args=(path,))
    other.start()
    other.join()
    assert other.exitcode == 3
    assert "dying" in read_owner(path)

    with FileLocks(pause=nobody_waits).hold(path, what="it"):
        pass


def die_holding_a_marker(path):
    hold = FileLocks(take=no_locks).hold(path, what="dying")
    hold.__enter__()
    os._exit(3)


def test_the_marker_of_a_process_that_died_does_not_block(path):
    other = multiprocessing.get_context("spawn").Process(target=die_holding_a_marker, args=(path,))
    other.start()
    other.join()
    assert other.exitcode == 3
    assert path.with_name(f"{path.name}.marker").exists()

    with FileLocks(0, take=no_locks).hold(path, what="it"):
        pass


def test_whoever_waits_for_a_marker_is_told_the_owner_too(path):
    waits = []
    with (
        FileLocks(take=no_locks).hold(path, what="building flask"),
        pytest.raises(LockTimeout) as caught,
        FileLocks(0, take=no_locks).hold(path, what="it", on_wait=lambda *told: waits.append(told)),
    ):
        pass

    assert f"process {os.getpid()} on " in caught.value.owner
    assert "(building flask)" in caught.value.owner
    assert waits == [("it", caught.value.owner)]


def test_one_lock_may_have_listeners_of_its_own(path):
    told = []
    locks = FileLocks(0, on_degraded=lambda *_: told.append("all"), take=no_locks)

    with locks.hold(path, what="it", on_degraded=lambda _, how: told.append(how)):
        pass
    with locks.hold(path, what="it"):
        pass

    assert told == ["soft", "all"]


def test_the_limit_counts_from_the_last_sign_of_life_of_the_owner(path):
    owner = FileLocks().hold(path, what="a long download")
    owner.__enter__()
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) < 30:
            time.sleep(0.02)
            os.utime(path, ns=(len(pauses), len(pauses)))
        elif len(pauses) == 30:
            owner.__exit__(None, None, None)

    begun = time.monotonic()
    with FileLocks(0.2, pause=pause).hold(path, what="the same"):
        pass

    assert len(pauses) == 30
    assert time.monotonic() - begun > 0.2, "waited for longer than the limit"


def test_an_owner_without_a_sign_of_life_is_waited_for_no_longer(path):
    with FileLocks().hold(path, what="nothing at all"), pytest.raises(LockTimeout):
        FileLocks(0.05).hold(path, what="the same").__enter__()
