"""The content of zip entries: inflated within its declared size, and checked."""

from __future__ import annotations

import contextlib
import functools
from importlib import import_module

from puffin_api._zip.entries import STORED, parse_local_header
from puffin_api._zip.refusal import unsafe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from puffin_api._zip.entries import ZipEntry

    class Inflater(Protocol):
        """What we use of a decompression object of zlib or its equals."""

        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...

    class Codec(Protocol):
        """What we use of zlib or a module that is its equal."""

        @property
        def error(self) -> type[Exception]: ...
        def decompressobj(self, wbits: int, /) -> Inflater: ...
        def crc32(self, data: bytes | memoryview, value: int = 0, /) -> int: ...


_ONE_SHOT = 16 << 20
"""Up to this size a member is inflated in one call; larger ones by pieces, to spare memory."""
_PIECE = 128 << 10
"""Input of one call for large members; its output is at most a thousandfold."""


def member(data: bytes | memoryview, entry: ZipEntry) -> bytes:
    """Return the content of an entry.

    Args:
        data: The archive's bytes from the entry's local header on; more than needed is fine.
        entry: The entry's record in the directory.

    Raises:
        UnsafeArchive: Header, size or checksum are not as declared, or bytes are missing.
    """
    start = parse_local_header(data, entry)
    with memoryview(data) as view, view[start : start + entry.compressed_size] as body:
        return b"".join(bytes(piece) for piece in inflate(body, entry))


def inflate(body: memoryview, entry: ZipEntry) -> Iterator[bytes | memoryview]:
    """Give the content of an entry in pieces, one unless it is large; the last check is at the end.

    Never gives more than the declared size, and takes no memory for more than one piece. A piece is
    good until the next is asked for: it may be a view of the body.

    Args:
        body: Exactly the entry's compressed bytes.
        entry: The entry's record in the directory.

    Raises:
        UnsafeArchive: The content is damaged or differs from the declared size or checksum. What
            was given before is of no use then.
    """
    if len(body) != entry.compressed_size:
        raise unsafe(entry.archive, "truncated", entry.name)
    checksum, size = codec().crc32, 0
    crc = 0
    for piece in _stored(body) if entry.method == STORED else _deflated(body, entry):
        size += len(piece)
        if size > entry.size:
            raise unsafe(entry.archive, "size-mismatch", entry.name)
        crc = checksum(piece, crc)
        yield piece
    if size != entry.size:
        raise unsafe(entry.archive, "size-mismatch", entry.name)
    if crc != entry.crc:
        raise unsafe(entry.archive, "crc-mismatch", entry.name)


@functools.cache
def codec() -> Codec:
    """Return what inflates and checks: the accelerator of the extra ``fast`` where it is there."""
    for name in ("isal.isal_zlib", "zlib"):
        with contextlib.suppress(ImportError):
            module: Codec = import_module(name)  # pyright: ignore[reportAssignmentType]  # has what Codec asks
            return module
    raise AssertionError("zlib is part of Python")


def _stored(body: memoryview) -> Iterator[memoryview]:
    # Views are released by hand: those that a traceback kept would keep a mapped file from closing.
    for at in range(0, len(body), _ONE_SHOT):
        with body[at : at + _ONE_SHOT] as piece:
            yield piece


def _deflated(body: memoryview, entry: ZipEntry) -> Iterator[bytes]:
    stream = codec().decompressobj(-15)
    if entry.size <= _ONE_SHOT:
        # One byte more than declared is enough to see that there is more; 0 would mean no limit.
        yield _feed(stream, body, entry, entry.size + 1)
    else:
        for at in range(0, len(body), _PIECE):
            with body[at : at + _PIECE] as piece:
                yield _feed(stream, piece, entry)
    if not stream.eof or stream.unused_data:
        raise unsafe(entry.archive, "size-mismatch", entry.name)


def _feed(stream: Inflater, data: memoryview, entry: ZipEntry, limit: int = 0) -> bytes:
    try:
        return stream.decompress(data, limit)
    except codec().error as error:
        raise unsafe(entry.archive, "damaged-data", entry.name) from error
