"""Runs one hook with its output in a log file; runs inside the interpreter that builds.

Python 3.7 and newer of any implementation, the standard library only, no import from this project. It is
started with the log, a file for the exit status, the script of pyproject-hooks and the arguments of that.
What the hook returns goes to a file by that script, so that whatever is printed does no harm.

Where processes can fork, the hook runs in a child of this one, which outlives it: to tell how it ended, and
to end whatever it has left running. The child is forked before anything of the backend is imported.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_KILL = 9
"""The number of SIGKILL everywhere; the module ``signal`` is not loaded for it."""


def main(log: str, status: str, script: str, *arguments: str) -> None:
    """Run the script with its arguments, as if it had been started itself."""
    _leave_folder()
    _redirect(log)
    if hasattr(os, "fork"):
        _fork(status)
    _run(script, arguments)


def _leave_folder() -> None:
    """Let no file beside this one be imported in place of a module of the backend."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]


def _redirect(log: str) -> None:
    """Lead all output to the log, and give nothing to read: also to children, so below Python."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    silence = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((silence, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    os.close(output)
    os.close(silence)
    for stream in (sys.stdout, sys.stderr):
        # Line by line, and the same text whatever the locale.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _fork(status: str) -> None:
    """Go on in a child; this process waits for it and does not return."""
    child = os.fork()
    if child == 0:
        return
    _, state = os.waitpid(child, 0)
    code = -os.WTERMSIG(state) if os.WIFSIGNALED(state) else os.WEXITSTATUS(state)
    # Only a group that was made for this process may be ended: any other is that of who started it.
    if _tell(status, code) and os.getpgrp() == os.getpid():
        try:
            os.killpg(os.getpgrp(), _KILL)
        except OSError:
            pass  # a member belongs to another user now, and is out of reach
    os._exit(code if code >= 0 else 1)  # the child has done all there is to do at an exit


def _tell(status: str, code: int) -> bool:
    """Write the exit code down, unless the backend has put something in the way."""
    try:
        file = os.open(status, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    os.write(file, str(code).encode("ascii"))
    os.close(file)
    return True


def _run(script: str, arguments: Sequence[str]) -> None:
    # By hand: to load runpy would take as long as most hooks do.
    module = type(sys)("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    sys.argv[:] = [script, *arguments]
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec")
    try:
        exec(code, module.__dict__)  # noqa: S102  # the script of pyproject-hooks
    finally:
        _let_go()


def _let_go() -> None:
    """Backends close files that are not theirs; the exit code must not tell of that."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (AttributeError, OSError, ValueError):
            setattr(sys, name, None)


if __name__ == "__main__":
    main(*sys.argv[1:])
