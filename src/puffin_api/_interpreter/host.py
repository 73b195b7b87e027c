"""The machine: child processes, and the facts that only the system knows."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from puffin_api._model.cancel import CancelToken
    from puffin_api.protocols import Completed

_REAP_SECONDS = 5.0
"""How long to wait for a killed child: the kernel needs moments, a dead network drive more."""


class SubprocessRunner:
    """The standard ``Runner``: children of this process, in a process group of their own.

    On timeout, cancellation or Ctrl-C the whole group is killed (on Windows: the child) and waited
    for, a few seconds at most. Nothing of this process's environment reaches a child by itself.

    Args:
        env: What children get when a call names no environment. None for the least that works:
            nothing, and on Windows ``SYSTEMROOT``. Pass ``os.environ`` for interpreters that need
            more, such as ``LD_LIBRARY_PATH``.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = dict(env) if env is not None else least_environment()

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Completed:
        """Run a program to its end and return its exit code and output.

        Raises:
            OSError: The program could not be started.
            TimeoutError: It took longer than ``timeout`` seconds.
            Cancelled: The token was cancelled, or its deadline passed.
        """
        if cancel is not None:
            cancel.check()
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=self._env if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on the terminal is ours to handle; Windows has its own flag
            creationflags=_CREATION_FLAGS,
        )
        with _killed_on_failure(process), _killed_on_cancel(process, cancel):
            stdout, stderr = _communicate(process, timeout, cancel)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def _communicate(
    process: subprocess.Popen[bytes], timeout: float | None, cancel: CancelToken | None
) -> tuple[bytes, bytes]:
    remaining = cancel.remaining() if cancel is not None else None
    limits = [limit for limit in (timeout, remaining) if limit is not None]
    try:
        output = process.communicate(timeout=min(limits, default=None))
    except subprocess.TimeoutExpired:
        if cancel is not None:
            cancel.check()
        raise TimeoutError(f"{process.args!r} ran longer than {timeout} seconds") from None
    if cancel is not None:
        cancel.check()  # what a killed child left behind is no result
    return output


if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        process.kill()

else:
    _CREATION_FLAGS = 0

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        import signal

        # Gone already, or its group is; a child that changed its user is out of reach.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _killed_on_failure(process: subprocess.Popen[bytes]) -> Generator[None]:
    """Leave no child behind, whatever goes wrong; Ctrl-C too."""
    try:
        yield
    except BaseException:
        # Not poll(): until the child is reaped its number is its own, and so is its group, which may
        # hold the pipes open although the child has ended.
        if process.returncode is None:
            _kill_group(process)
        _reap(process)
        raise


def _reap(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_REAP_SECONDS)


@contextlib.contextmanager
def _killed_on_cancel(process: subprocess.Popen[bytes], cancel: CancelToken | None) -> Generator[None]:
    """Wake the wait for the child by ending the child."""
    if cancel is None:
        yield
        return

    def kill() -> None:
        if process.returncode is None:
            _kill_group(process)

    release: Callable[[], None] = cancel.on_cancel(kill)
    try:
        yield
    finally:
        release()


if sys.platform == "win32":

    def least_environment() -> dict[str, str]:
        """The variables without which no program starts."""
        # Without it Windows finds no source of randomness, and Python does not start.
        return {"SYSTEMROOT": _windows_directory()}

    def host_fingerprint() -> list[str]:
        """What a probe says may change when these do: system and release."""
        return ["windows", *map(str, sys.getwindowsversion()[:3])]

    def _windows_directory() -> str:
        import ctypes

        buffer = ctypes.create_unicode_buffer(260)
        ctypes.windll.kernel32.GetSystemWindowsDirectoryW(buffer, 260)
        return buffer.value

    def registered_pythons() -> Iterator[str]:
        """Interpreters that their installers wrote into the registry (PEP 514), as paths."""
        import winreg

        for root in (winreg.HKEY_CURRENT_USER, winreg.HKEY_LOCAL_MACHINE):
            for company in _subkeys(root, r"Software\Python"):
                for tag in _subkeys(root, rf"Software\Python\{company}"):
                    key = rf"Software\Python\{company}\{tag}\InstallPath"
                    # Half an entry is left behind by some uninstallers.
                    with contextlib.suppress(OSError), winreg.OpenKey(root, key) as opened:
                        yield str(winreg.QueryValueEx(opened, "ExecutablePath")[0])

    def _subkeys(root: int, key: str) -> list[str]:
        import winreg

        names: list[str] = []
        with contextlib.suppress(OSError), winreg.OpenKey(root, key) as opened:
            while True:  # ends with OSError: there is no count that stays true
                names.append(winreg.EnumKey(opened, len(names)))
        return sorted(names, reverse=True)  # newest first

else:

    def least_environment() -> dict[str, str]:
        """The variables without which no program starts."""
        return {}

    def host_fingerprint() -> list[str]:
        """What a probe says may change when these do: system, kernel, C library."""
        system = os.uname()
        return [system.sysname, system.release, system.version, system.machine, _libc()]

    def _libc() -> str:
        try:
            return os.confstr("CS_GNU_LIBC_VERSION") or ""
        except (OSError, ValueError):
            return ""  # macOS, musl

    def registered_pythons() -> Iterator[str]:
        """Interpreters that their installers registered with the system; only Windows has such a list."""
        return iter(())
