"""Changes that are there completely or not at all: files, renames, whole trees."""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    AnyPath = str | Path

TEMPORARY_SUFFIX = ".puffin-tmp"
"""Ends the name of every unfinished file, so that those a killed process left can be found."""

# A virus scanner or an indexer may hold a fresh file open for a moment: Windows then refuses renames.
_WINDOWS_PATIENCE = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def unique_name() -> str:
    """Return a name that nobody else has: 24 lower-case hex digits, 96 random bits.

    Lower case only, so that it stays unique where the file system takes no notice of case.
    """
    return os.urandom(12).hex()


def write_atomic(path: AnyPath, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it.

    The folder must exist. Of several writers at once, the last one wins.

    Raises:
        OSError: It could not be written; the old content stands and no temporary file is left.
    """
    temporary = os.path.join(os.path.dirname(path), unique_name() + TEMPORARY_SUFFIX)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


if sys.platform == "win32":

    def rename(source: AnyPath, target: AnyPath) -> None:
        """Rename, replacing a file at the target; waits a little for others to close it."""
        for pause in _WINDOWS_PATIENCE:
            try:
                os.replace(source, target)
            except PermissionError:
                time.sleep(pause)
            else:
                return
        os.replace(source, target)

else:

    def rename(source: AnyPath, target: AnyPath) -> None:
        """Rename, replacing a file at the target."""
        os.replace(source, target)


def replace_directory(source: AnyPath, target: AnyPath) -> None:
    """Move a directory to where another one (or nothing) stands, on the same volume.

    For a moment nothing stands there; on failure, what stood there before is put back.

    Raises:
        OSError: The directory could not be moved.
    """
    aside = os.path.join(os.path.dirname(target), unique_name() + TEMPORARY_SUFFIX)
    try:
        rename(target, aside)
    except FileNotFoundError:
        rename(source, target)
        return
    try:
        rename(source, target)
    except BaseException:
        rename(aside, target)
        raise
    remove_tree(aside)


def remove_tree(path: AnyPath) -> None:
    """Remove a file, a link or a directory with all that is in it; what is missing is no error.

    Links inside are removed, never followed. Read-only directories are made writable first. The
    mode of a file is not touched where that can be avoided: it may be shared with a cache by a
    hard link.

    Raises:
        OSError: Something could not be removed.
    """
    top = os.fspath(path)
    try:
        is_tree = _is_real_directory(os.lstat(top))
    except FileNotFoundError:
        return
    if not is_tree:
        _remove(_unlink_any, top, top)
        return
    # Grows while it is walked, parents before children. No recursion: a path holds up to 2000 levels.
    directories = [top]
    for directory in directories:
        for entry in _entries(directory, top):
            if _is_real_entry(entry):
                directories.append(entry.path)
            else:
                _remove(_unlink_any, entry.path, top)
    for directory in reversed(directories):
        _remove(os.rmdir, directory, top)


def _entries(directory: str, top: str) -> list[os.DirEntry[str]]:
    try:
        return _list(directory)
    except FileNotFoundError:  # somebody else removes it as well
        return []
    except PermissionError:
        _permit(directory, top)
        os.chmod(directory, 0o700)
        return _list(directory)


def _list(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return list(entries)


def _remove(remove: Callable[[str], None], path: str, top: str) -> None:
    """Remove; where that is not permitted, make it so and try once more."""
    try:
        remove(path)
    except FileNotFoundError:
        pass
    except PermissionError:
        _permit(path, top)
        remove(path)


if sys.platform == "win32":

    def _is_real_directory(status: os.stat_result) -> bool:
        # A junction says that it is a directory, and what it leads to must not be removed.
        return stat.S_ISDIR(status.st_mode) and status.st_reparse_tag != stat.IO_REPARSE_TAG_MOUNT_POINT

    def _is_real_entry(entry: os.DirEntry[str]) -> bool:
        return _is_real_directory(entry.stat(follow_symlinks=False))  # costs nothing here

    def _unlink_any(path: str) -> None:
        if stat.S_ISDIR(os.lstat(path).st_mode):  # a junction
            os.rmdir(path)
        else:
            os.unlink(path)

    def _permit(path: str, top: str) -> None:
        del top
        with suppress(OSError):  # the second try says what is wrong
            os.chmod(path, stat.S_IWRITE)  # here the read-only flag of the file itself is in the way

else:

    def _is_real_directory(status: os.stat_result) -> bool:
        return stat.S_ISDIR(status.st_mode)

    def _is_real_entry(entry: os.DirEntry[str]) -> bool:
        return entry.is_dir(follow_symlinks=False)

    _unlink_any = os.unlink

    def _permit(path: str, top: str) -> None:
        if path == top:
            return  # the folder it lies in is not ours
        with suppress(OSError):  # the second try says what is wrong
            os.chmod(os.path.dirname(path), 0o700)
