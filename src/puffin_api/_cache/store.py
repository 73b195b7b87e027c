"""Byte store: entries that are complete, of the known version and undamaged, or not there."""

from __future__ import annotations

import errno
import os
import struct
import zlib

from puffin_api._cache.mending import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout

# Every bit of the header is compared with something, so none can flip unseen:
#   magic and version (8 bytes) | length of the payload (8) | CRC-32 of the payload (4) | payload
_MAGIC = b"PUFFIN\x00\x01"
_HEADER = struct.Struct("<8sQI")
_BINARY: int = getattr(os, "O_BINARY", 0)
# A cache that cannot be written is slow, not broken.
_NOT_WRITABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    getattr(errno, "EDQUOT", errno.ENOSPC),
}


def write_entry(path: Path, payload: bytes, *, root: Path | None = None) -> None:
    """Write an entry in one step, folders included.

    Args:
        path: Where to.
        payload: What.
        root: The cache; files that stand in the place of folders below it are removed.

    Raises:
        OSError: It could not be written; what was there stands.
    """
    data = _HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload
    write_file(root or path.parent, path, data)


def read_entry(path: Path | str) -> bytes | None:
    """Return the payload, None where it is missing, cut short, damaged or of an unknown version."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size - _HEADER.size
        header = os.read(descriptor, _HEADER.size)
        if len(header) != _HEADER.size:
            return None
        magic, length, checksum = _HEADER.unpack(header)
        # The size on disk is asked first: a damaged length must not make us allocate it.
        if magic != _MAGIC or length != size:
            return None
        payload = _read(descriptor, length)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


class EntryStore:
    """The entries of a cache: written to the first layer, read from the first layer that has them.

    Many threads and processes may use it at once. Paths are those of the first layer's layout.
    """

    __slots__ = ("_layers", "_layout", "_read_only", "_root")

    def __init__(
        self, layout: CacheLayout, *, read_only: bool = False, layers: Sequence[CacheLayout] = ()
    ) -> None:
        self._layout = layout
        self._root = os.path.join(layout.root, "")
        self._layers = tuple(os.path.join(layer.root, "") for layer in layers)
        self._read_only = read_only

    def read(self, path: Path) -> bytes | None:
        """Return the payload of an entry, None where no layer has a sound one."""
        payload = read_entry(path)
        if payload is None and self._layers:
            name = self._below_root(path)
            for layer in self._layers:
                payload = read_entry(layer + name)
                if payload is not None:
                    break
        return payload

    def write(self, path: Path, payload: bytes) -> bool:
        """Write an entry; False where it was not stored: read-only, no permission, disk full."""
        self._below_root(path)
        if self._read_only:
            return False
        try:
            write_entry(path, payload, root=self._layout.root)
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            return False
        return True

    def remove(self, path: Path) -> bool:
        """Remove an entry from the first layer; True where there was one."""
        if self._read_only:
            return False
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def _below_root(self, path: Path) -> str:
        text = os.fspath(path)
        assert text.startswith(self._root), f"{text} is not in the cache"
        return text[len(self._root) :]


def _read(descriptor: int, length: int) -> bytes:
    """Read up to this many bytes; one call gives at most 2 GiB."""
    data = os.read(descriptor, length)
    if len(data) == length:
        return data
    chunks = [data]
    missing = length - len(data)
    while missing and (chunk := os.read(descriptor, missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
