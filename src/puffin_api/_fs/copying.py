"""How a file gets to another place: clone, hard link, symbolic link, copy; and which of them work."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress

from puffin_api._fs.atomic import unique_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Literal

    AnyPath = str | Path
    LinkKind = Literal["clone", "hardlink", "symlink", "copy"]
else:
    LinkKind = str

_CHUNK = 1 << 20
_FICLONE = 0x40049409  # ioctl of <linux/fs.h>: make this file share the blocks of that one
_BINARY: int = getattr(os, "O_BINARY", 0)


def hardlink_file(source: AnyPath, target: AnyPath) -> None:
    """Give the file a second name. The target must not exist.

    Raises:
        OSError: Not supported here, other volume, too many links, or the target exists.
    """
    os.link(source, target)


def symlink_file(source: AnyPath, target: AnyPath) -> None:
    """Make the target a symbolic link to the file. The target must not exist."""
    os.symlink(source, target)


def copy_file(source: AnyPath, target: AnyPath) -> None:
    """Copy content, modification time and executable bit. The target must not exist.

    The other permissions are those of a new file, so that a read-only source gives a file that can
    be removed. The time is kept because compiled bytecode is valid for one time of its source only.
    """
    with open(source, "rb", buffering=0) as reader:
        status = os.fstat(reader.fileno())
        _create(target, status, lambda descriptor: _copy_bytes(reader.fileno(), descriptor))


if sys.platform == "linux":

    def clone_file(source: AnyPath, target: AnyPath) -> None:
        """Copy as `copy_file` does, but let both share their blocks until one is changed.

        Raises:
            OSError: The file system cannot do it, other volume, or the target exists.
        """
        import fcntl

        with open(source, "rb", buffering=0) as reader:
            status = os.fstat(reader.fileno())
            _create(target, status, lambda descriptor: fcntl.ioctl(descriptor, _FICLONE, reader.fileno()))

elif sys.platform == "darwin":

    def clone_file(source: AnyPath, target: AnyPath) -> None:
        """Copy the file, but let both share their blocks until one is changed.

        Raises:
            OSError: The file system cannot do it, other volume, or the target exists.
        """
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        if library.clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(target))

else:

    def clone_file(source: AnyPath, target: AnyPath) -> None:
        """Say that this platform cannot share blocks.

        Raises:
            OSError: Always.
        """
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), os.fspath(source), None, os.fspath(target))


LINKERS: Mapping[LinkKind, Callable[[AnyPath, AnyPath], None]] = {
    "clone": clone_file,
    "hardlink": hardlink_file,
    "copy": copy_file,
    "symlink": symlink_file,
}
"""Each way, by the name that it has as a link mode, the preferred one first."""


def detect_link_support(
    source_dir: AnyPath, target_dir: AnyPath, *, sample: AnyPath | None = None
) -> tuple[LinkKind, ...]:
    """Try each way once with one small file, and return those that work, the preferred one first.

    The result holds for the pair of volumes; the caller remembers it.

    Args:
        source_dir: Where the files come from. A temporary file is written there.
        target_dir: Where they go to. Must exist and be writable.
        sample: A file below ``source_dir`` to try with, where nothing can be written there.

    Raises:
        OSError: One of the folders cannot be written at all.
    """
    if sample is not None:
        return _ways_that_work(os.fspath(sample), target_dir)
    probe = os.path.join(source_dir, unique_name())
    with open(probe, "xb") as file:
        file.write(b"probe")
    try:
        return _ways_that_work(probe, target_dir)
    finally:
        os.unlink(probe)


def _ways_that_work(probe: str, target_dir: AnyPath) -> tuple[LinkKind, ...]:
    return tuple(kind for kind in LINKERS if _works(kind, probe, os.path.join(target_dir, unique_name())))


def _works(kind: LinkKind, probe: str, target: str) -> bool:
    try:
        LINKERS[kind](probe, target)
        return os.stat(target).st_size == os.stat(probe).st_size
    except OSError:
        if kind == "copy":
            raise  # the last resort: nothing can be put there
        return False
    finally:
        with suppress(OSError):
            os.unlink(target)


def _create(target: AnyPath, status: os.stat_result, fill: Callable[[int], object]) -> None:
    """Create a file with the time and executable bit of another one; none is left on failure."""
    mode = 0o777 if status.st_mode & stat.S_IXUSR else 0o666
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        try:
            fill(descriptor)
        finally:
            os.close(descriptor)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    except BaseException:
        with suppress(OSError):
            os.unlink(target)
        raise


def _copy_bytes(reader: int, writer: int) -> None:
    while chunk := os.read(reader, _CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[os.write(writer, view) :]
