"""Turns what the operating system says into the errors of the library."""

from __future__ import annotations

import errno
import os

from puffin_api.errors import (
    DiskFull,
    FileInUse,
    InstallFailed,
    NotWritable,
    PathTooLong,
    PuffinError,
)

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_BUSY = {errno.EBUSY, errno.ETXTBSY}
# ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION: Windows says "denied" for a file that is open.
_WINDOWS_BUSY = {32, 33}
_WINDOWS_TOO_LONG = 206  # ERROR_FILENAME_EXCED_RANGE


def typed_error(error: OSError, *, doing: str, place: str) -> PuffinError:
    """Return the error of the library for one of the operating system.

    Args:
        error: What happened.
        doing: What was being done, to follow "could not": ``change the environment``.
        place: The path that it was about, where the error does not tell.
    """
    path = _text(error.filename2) or _text(error.filename) or place
    message = f"Could not {doing}: {error.strerror or error} ({path})"
    if getattr(error, "winerror", None) in _WINDOWS_BUSY or error.errno in _BUSY:
        hint = "Close the programs that use it and try again."
        return FileInUse(message, hint=hint, path=path)
    if error.errno in _FULL:
        return DiskFull(message, path=path, needed=None, free=_free_bytes(place))
    if error.errno in _DENIED:
        return NotWritable(message, path=path)
    if error.errno == errno.ENAMETOOLONG or getattr(error, "winerror", None) == _WINDOWS_TOO_LONG:
        return PathTooLong(message, path=path)
    return InstallFailed(message, path=path)


def _free_bytes(place: str) -> int | None:
    import shutil

    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def _text(name: object) -> str:
    if isinstance(name, bytes):
        return os.fsdecode(name)
    return name if isinstance(name, str) else ""
