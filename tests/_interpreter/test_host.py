from __future__ import annotations

import os
import select
import sys
import threading

import pytest

from puffin_api._interpreter.host import SubprocessRunner, host_fingerprint, least_environment
from puffin_api._model.cancel import CancelToken
from puffin_api.errors import Cancelled, DeadlineExceeded

# Starts a child in its group that opens the pipe, tells so and waits for ever; then ends or waits too.
HANG = """
import subprocess, sys, time
child = "import sys, time; pipe = open(sys.argv[1], 'wb', 0); pipe.write(b'x'); time.sleep(1000)"
subprocess.Popen([sys.executable, "-c", child, sys.argv[1]])
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def pipe(tmp_path):
    """A named pipe: readable when a program has opened it, at its end when that program is gone."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def _read_to_its_end(reader):
    data = b""
    while select.select([reader], [], [], 20)[0]:
        piece = os.read(reader, 10)
        if not piece:
            return data
        data += piece
    pytest.fail("a child that should be gone holds the pipe")


def test_output_and_exit_code_are_returned(tmp_path):
    program = "import os, sys; print(os.getcwd()); sys.stderr.write('err'); sys.exit(3)"

    ended = SubprocessRunner().run([sys.executable, "-c", program], cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (3, b"err")
    assert ended.stdout.decode().strip() == str(tmp_path)


def test_nothing_of_our_environment_reaches_a_child(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    program = "import os; print(sorted(os.environ))"

    default = SubprocessRunner().run([sys.executable, "-I", "-c", program]).stdout
    given = SubprocessRunner({"A": "1"}).run([sys.executable, "-I", "-c", program]).stdout
    told = SubprocessRunner({"A": "1"}).run([sys.executable, "-I", "-c", program], env={"B": "2"}).stdout

    assert b"SECRET" not in default + given + told
    assert b"'A'" in given
    assert b"'A'" not in told
    assert b"'B'" in told


def test_a_large_output_does_not_block():
    ended = SubprocessRunner().run([sys.executable, "-c", "print('x' * 1_000_000)"])

    assert len(ended.stdout) == 1_000_001


def test_a_program_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        SubprocessRunner().run([str(tmp_path / "missing")])


@pytest.mark.parametrize("seconds", ["1000", "0"])
def test_a_timeout_ends_the_whole_group(pipe, seconds):
    path, reader = pipe

    with pytest.raises(TimeoutError):
        SubprocessRunner().run([sys.executable, "-c", HANG, str(path), seconds], timeout=0.5)

    _read_to_its_end(reader)


def test_cancelling_from_another_thread_ends_the_whole_group(pipe):
    path, reader = pipe
    cancel = CancelToken()

    def cancel_when_it_runs():
        select.select([reader], [], [])
        cancel.cancel("enough")

    thread = threading.Thread(target=cancel_when_it_runs)
    thread.start()
    with pytest.raises(Cancelled, match="enough"):
        SubprocessRunner().run([sys.executable, "-c", HANG, str(path), "1000"], cancel=cancel)
    thread.join()

    assert _read_to_its_end(reader) == b"x"


def test_a_deadline_ends_the_wait(pipe):
    path, reader = pipe
    command = [sys.executable, "-c", HANG, str(path), "1000"]

    with pytest.raises(DeadlineExceeded):
        SubprocessRunner().run(command, cancel=CancelToken.deadline(0.2))

    _read_to_its_end(reader)


def test_a_cancelled_token_starts_nothing(tmp_path):
    cancel = CancelToken()
    cancel.cancel()

    with pytest.raises(Cancelled):
        SubprocessRunner().run([str(tmp_path / "missing")], cancel=cancel)


def test_the_host_has_a_fingerprint_that_stays():
    assert host_fingerprint() == host_fingerprint()
    assert all(isinstance(part, str) for part in host_fingerprint())


@pytest.mark.skipif(os.name == "nt", reason="Windows needs one variable")
def test_the_least_environment_is_empty():
    assert least_environment() == {}
