"""Locks between processes, and between threads: one holder of a path at a time."""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress

import filelock

from puffin_api.errors import LockTimeout, NotWritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Protocol

    class Cancel(Protocol):
        """What a wait asks whether it should go on."""

        def check(self) -> None:
            """Raise where it should not."""
            ...


# The file system has no locks: network shares without a lock daemon, some FUSE and overlay systems.
_NO_LOCKS = {
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
}
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_LONGEST_OWNER = 500
_UNKNOWN = "another process"
# Between taking a lock and writing its name an owner can be held up; so long a waiter looks again for it.
_NAMELESS = 1.0
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class FileLocks:
    """Makes locks that exclude each other wherever they name the same path.

    A lock is not re-entrant: a thread that takes one twice waits for itself until the time is over.
    The lock file stays; removing it would let two holders in. It says who holds the lock.

    Args:
        timeout: Seconds to wait for an owner that gives no sign of life, None for ever, 0 for one try.
            Signs are taking the lock and touching its file: who works for long does so now and then.
        on_wait: Called once for each wait with what is waited for and who holds it, on the thread
            that waits.
        on_degraded: Called with the path and ``soft`` or ``none`` where the file system has no locks:
            then a marker file stands in, or nothing does.
        take: Takes the lock on an open file: True, False where somebody has it, or OSError.
        pause: Waits for some seconds.
    """

    def __init__(
        self,
        timeout: float | None = 60.0,
        *,
        on_wait: Callable[[str, str], None] | None = None,
        on_degraded: Callable[[Path, str], None] | None = None,
        take: Callable[[int], bool] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timeout = timeout
        self._on_wait = on_wait
        self._on_degraded = on_degraded
        self._take = take or _take
        self._pause = pause
        self._host = ""

    def hold(
        self,
        path: Path,
        *,
        what: str,
        cancel: Cancel | None = None,
        on_wait: Callable[[str, str], None] | None = None,
        on_degraded: Callable[[Path, str], None] | None = None,
    ) -> _Hold:
        """Return a context manager that holds the lock while it is entered.

        Args:
            path: The lock file; its folder is made.
            what: What is locked or done, for those that wait.
            cancel: Its ``check()`` is called while waiting, and may raise.
            on_wait: For this lock, in place of the one for all.
            on_degraded: For this lock, in place of the one for all.

        Raises:
            LockTimeout: On entering: somebody held it for too long.
            NotWritable: On entering: there can be no lock file.
        """
        return _Hold(self, path, what, cancel, on_wait or self._on_wait, on_degraded or self._on_degraded)

    def acquire(
        self,
        path: Path,
        what: str,
        cancel: Cancel | None,
        on_wait: Callable[[str, str], None] | None,
        on_degraded: Callable[[Path, str], None] | None,
    ) -> Callable[[], None]:
        """Wait for the lock and return how to release it; prefer `hold`."""
        release = self._try(path, what, on_degraded)
        if release is not None:
            return release
        first = begun = time.monotonic()
        sign = _sign_of_life(path)
        pause = _FIRST_PAUSE
        while True:
            if on_wait is not None and (owner := _owner_met(path, first)):
                on_wait(what, owner)
                on_wait = None
            if cancel is not None:
                cancel.check()
            if (newest := _sign_of_life(path)) != sign:
                begun, sign = time.monotonic(), newest
            if self._timeout is not None and time.monotonic() - begun >= self._timeout:
                raise self._timed_out(path, what)
            self._pause(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            release = self._try(path, what, on_degraded)
            if release is not None:
                return release

    def _timed_out(self, path: Path, what: str) -> LockTimeout:
        owner = read_owner(path)
        return LockTimeout(
            f"{what} is locked by {owner} for more than {self._timeout:g} seconds",
            hint="Wait for it to finish, or end it if it hangs.",
            path=str(path),
            owner=owner,
            seconds=self._timeout,
        )

    def _try(
        self, path: Path, what: str, on_degraded: Callable[[Path, str], None] | None
    ) -> Callable[[], None] | None:
        """Try once; None where somebody else has it."""
        descriptor = _open(path)
        try:
            if self._take(descriptor) and _is_still(descriptor, path):
                _write_owner(descriptor, self._owner(what))
                return lambda: _release(descriptor)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                with suppress(OSError):
                    os.close(descriptor)
                raise _not_writable(path, error) from error
            return self._try_soft(path, what, descriptor, on_degraded)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _try_soft(
        self, path: Path, what: str, descriptor: int, on_degraded: Callable[[Path, str], None] | None
    ) -> Callable[[], None] | None:
        """Try with a marker file; where even that cannot be, go on without a lock rather than not at all.

        A marker of a process of this host that has ended does not count: it is taken over.
        """
        marker = filelock.SoftFileLock(f"{path}.marker", thread_local=False)
        release: Callable[[], None] = marker.release
        how = "soft"
        try:
            marker.acquire(blocking=False)
            _write_owner(descriptor, self._owner(what))
        except filelock.Timeout:
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            how, release = "none", _nothing
        finally:
            os.close(descriptor)
        if on_degraded is not None:
            on_degraded(path, how)
        return release

    def _owner(self, what: str) -> str:
        if not self._host:
            self._host = _host_name()
        return f"process {os.getpid()} on {self._host} ({what})"


class _Hold:
    """One use of a lock; a plain class, since a generator would cost as much as the lock itself."""

    __slots__ = ("_arguments", "_locks", "_release")

    def __init__(
        self,
        locks: FileLocks,
        path: Path,
        what: str,
        cancel: Cancel | None,
        on_wait: Callable[[str, str], None] | None,
        on_degraded: Callable[[Path, str], None] | None,
    ) -> None:
        self._locks = locks
        self._arguments = path, what, cancel, on_wait, on_degraded
        self._release: Callable[[], None] | None = None

    def __enter__(self) -> None:
        assert self._release is None, "a hold is entered once"
        self._release = self._locks.acquire(*self._arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        release, self._release = self._release, None
        assert release is not None, "a hold is left once"
        release()


def hold_file(path: Path) -> Callable[[], None]:
    """Make a file, lock it, and return how to end both.

    Where there are no locks the file is there all the same.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        descriptor = os.open(path, _OPEN_FLAGS, 0o666)
        with suppress(OSError):
            filelock.lock_descriptor(descriptor, blocking=False)
        if _is_still(descriptor, path):
            return lambda: _end(descriptor, path)
        os.close(descriptor)  # somebody took it for that of a dead process, before it was locked


def remove_if_free(path: Path, *, unsure: bool) -> bool:
    """Remove a file of `hold_file` whose maker has died; False where it lives.

    Args:
        path: The file.
        unsure: The answer where there are no locks, so that nobody knows.

    Raises:
        OSError: There is no such file.
    """
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        if not filelock.lock_descriptor(descriptor, blocking=False):
            return False
        if sys.platform != "win32":
            os.unlink(path)  # while we hold it, so that nobody can take it in between
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        if not unsure:
            return False
    finally:
        os.close(descriptor)
    with suppress(FileNotFoundError):
        os.unlink(path)  # on Windows this fails where it is open, thus held
    return True


def _end(descriptor: int, path: Path) -> None:
    with suppress(OSError):
        _release(descriptor)
    with suppress(OSError):
        os.unlink(path)


def _sign_of_life(path: Path) -> int:
    """Return what changes when the owner of a lock gives a sign of life, or another one takes it."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def read_owner(path: Path) -> str:
    """Return who holds (or last held) a lock, ``another process`` where that is not known."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(1)
            text = file.read(_LONGEST_OWNER).decode("utf-8", "replace").strip()
    except OSError:
        text = ""
    return text or _UNKNOWN


def _owner_met(path: Path, since: float) -> str | None:
    """Return who holds a lock; None while it may only not have written its name yet."""
    owner = read_owner(path)
    return None if owner == _UNKNOWN and time.monotonic() - since < _NAMELESS else owner


def _take(descriptor: int) -> bool:
    return filelock.lock_descriptor(descriptor, blocking=False)


def _release(descriptor: int) -> None:
    # Unlocked by itself, not only by closing: a child made by fork shares the lock and may live on.
    # What goes wrong here must not hide what was done under the lock, or what went wrong there.
    with suppress(OSError):
        filelock.unlock_descriptor(descriptor)
    with suppress(OSError):
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, _OPEN_FLAGS, 0o666)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, _OPEN_FLAGS, 0o666)
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> NotWritable:
    return NotWritable(
        f"The lock file {path} cannot be used: {error.strerror}",
        hint="Give this user the right to write there.",
        path=str(path),
    )


def _is_still(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file still stands at the path: one that was removed excludes nobody."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int, owner: str) -> None:
    # From the second byte on: Windows lets nobody read the first one while it is locked.
    data = b"\n" + owner.encode("utf-8", "replace")[:_LONGEST_OWNER]
    with suppress(OSError):  # a full disk: the lock holds all the same
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))


def _nothing() -> None:
    """Release a lock that there is none of."""


if sys.platform == "win32":

    def _host_name() -> str:
        import socket

        return socket.gethostname()

else:

    def _host_name() -> str:
        return os.uname().nodename
