"""The unpacked bytes of a tar archive, read once from front to back, within bounds."""

from __future__ import annotations

import functools
import zlib
from importlib import import_module

from puffin_api._preparer.source_rules import refused
from puffin_api.errors import MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, Protocol

    from puffin_api._concurrency import Pump
    from puffin_api._preparer.source_rules import Budget
    from puffin_api.errors import UnsafeArchive

    class Decoder(Protocol):
        """What we use of a decompressor of bz2 or lzma."""

        @property
        def eof(self) -> bool: ...
        @property
        def needs_input(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


PIECE = 256 << 10
"""Bytes unpacked at a time: the slowest method takes some hundredths of a second for them."""
_PACKED_PIECE = 64 << 10
_XZ_MEMORY = 256 << 20
"""Bytes for the dictionary of xz; its highest level needs a quarter."""


class TarStream:
    """Reads forwards only, and raises where bytes are missing, damaged or too many.

    Args:
        file: The archive, at its beginning.
        kind: How it is compressed, as `archive_kind` says.
        archive: Its file name, for messages.
        budget: Pays for every byte.
        pump: Asked between the pieces whether the caller has cancelled.
    """

    def __init__(self, file: BinaryIO, kind: str, *, archive: str, budget: Budget, pump: Pump) -> None:
        self._pieces = _unpacked(file, kind, archive)
        self._rest = memoryview(b"")
        self._archive = archive
        self._budget = budget
        self._pump = pump
        self.position = 0
        """Bytes that were read so far."""
        self.entry = ""
        """Name of the entry that is being read, for messages."""

    def read_up_to(self, count: int) -> bytes:
        """Read as much as there is of a small number of bytes."""
        parts: list[bytes] = []
        while count and (piece := self._take(count)):
            parts.append(bytes(piece))
            count -= len(piece)
        return b"".join(parts)

    def read(self, count: int) -> bytes:
        """Read a small number of bytes, or raise."""
        data = self.read_up_to(count)
        if len(data) < count:
            raise self.truncated()
        return data

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Read any number of bytes by pieces, or raise."""
        while count:
            piece = self._take(count)
            if not piece:
                raise self.truncated()
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        """Leave bytes out, or raise."""
        for _ in self.pieces(count):
            pass

    def truncated(self) -> UnsafeArchive:
        """Return the error for missing bytes."""
        return refused(self._archive, "truncated", self.entry)

    def _take(self, count: int) -> memoryview:
        if not self._rest:
            self._pump.check()
            self._rest = memoryview(self._next())
            self._budget.spend(len(self._rest), self.entry)
        piece, self._rest = self._rest[:count], self._rest[count:]
        self.position += len(piece)
        return piece

    def _next(self) -> bytes:
        try:
            return next(self._pieces, b"")
        except _Damaged as error:
            raise refused(self._archive, error.rule, self.entry) from error


class _Damaged(Exception):
    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class _Gzip:
    """A gzip stream with the interface of the decompressors of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        # Behind the last byte of output comes the checksum, so that what is left unread tells it all.
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _unpacked(file: BinaryIO, kind: str, archive: str) -> Iterator[bytes]:
    if kind == "tar":
        return iter(lambda: file.read(PIECE), b"")
    return _decoded(iter(lambda: file.read(_PACKED_PIECE), b""), *_codec(kind, archive))


def _codec(kind: str, archive: str) -> tuple[Callable[[], Decoder], type[Exception]]:
    """Return what makes decoders and what these raise; Pythons may have been built without some."""
    if kind == "tar.gz":
        return _Gzip, zlib.error
    module = {"tar.bz2": "bz2", "tar.xz": "lzma"}[kind]
    try:
        found = import_module(module)
    except ImportError as error:
        reason = f"this Python has no module {module!r}"
        raise MetadataInvalid(
            f"{archive} cannot be unpacked: {reason}", name="", source=archive, reason=reason
        ) from error
    if module == "bz2":
        return found.BZ2Decompressor, OSError
    return functools.partial(found.LZMADecompressor, found.FORMAT_XZ, memlimit=_XZ_MEMORY), found.LZMAError


def _decoded(
    pieces: Iterator[bytes], new: Callable[[], Decoder], failure: type[Exception]
) -> Iterator[bytes]:
    """Decompress streams, one after the other: for all the formats that is the same as one stream.

    Zeros after a stream are padding. Anything else there is refused.
    """
    decoder: Decoder | None = new()
    rule = "damaged-data"
    for piece in pieces:
        data = piece
        while data or (decoder is not None and not decoder.needs_input):
            if decoder is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                decoder, rule = new(), "data-after-end"
            try:
                out = decoder.decompress(data, PIECE)
            except failure as error:
                raise _Damaged(rule) from error
            data = b""
            if decoder.eof:
                data, decoder = decoder.unused_data, None
            if out:
                rule = "damaged-data"
                yield out
    if decoder is not None:
        raise _Damaged("truncated")
