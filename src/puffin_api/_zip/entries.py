"""The entries of a zip archive: their records in the directory, and what stands around their data."""

from __future__ import annotations

import struct
from struct import Struct

from puffin_api._zip.refusal import unsafe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STORED, DEFLATED = 0, 8

_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_DIRECTORY = Struct("<4s6H3L5H2L")
_LOCAL = Struct("<4s5H3L2H")
_EXTRA = Struct("<2H")
_DESCRIPTORS = (Struct("<3L"), Struct("<L2Q"))
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
"""Encrypted, strongly encrypted, headers masked."""
_DESCRIPTOR = 0x0008
"""Sizes and checksum follow the data instead of standing before it."""
_PATCH = 0x0020


class ZipEntry:
    """One record of the directory."""

    __slots__ = (
        "archive",
        "attributes",
        "compressed_size",
        "crc",
        "create_system",
        "flags",
        "method",
        "name",
        "offset",
        "raw_name",
        "size",
    )

    def __init__(
        self,
        archive: str,
        name: str,
        raw_name: bytes,
        method: int,
        crc: int,
        compressed_size: int,
        size: int,
        offset: int,
        flags: int,
        create_system: int,
        attributes: int,
    ) -> None:
        self.archive = archive
        """File name of the archive, for messages."""
        self.name = name
        self.raw_name = raw_name
        self.method = method
        self.crc = crc
        self.compressed_size = compressed_size
        self.size = size
        self.offset = offset
        """Where the local header begins, from the start of the archive."""
        self.flags = flags
        self.create_system = create_system
        self.attributes = attributes
        """The 32 bits of external attributes."""

    @property
    def mode(self) -> int:
        """Unix mode with the type of file; 0 where the maker did not say."""
        return self.attributes >> 16

    @property
    def is_directory(self) -> bool:
        """True for the entries that only announce a directory."""
        return self.name.endswith("/")

    def reach(self) -> int:
        """Bytes from ``offset`` that hold the entry for certain, whatever its local header adds."""
        return _LOCAL.size + len(self.raw_name) + 4096 + self.compressed_size

    def __repr__(self) -> str:
        return f"ZipEntry({self.name!r})"


def parse_directory(data: bytes | memoryview, *, archive: str, count: int | None = None) -> list[ZipEntry]:
    """Read the directory.

    Args:
        data: Exactly its bytes, as `directory_location` gave them.
        archive: The archive's file name, for messages.
        count: How many entries there have to be, where known.

    Raises:
        UnsafeArchive: A record is damaged, ambiguous, encrypted or compressed in another way.
    """
    data = bytes(data)
    entries = []
    at, end = 0, len(data)
    while at < end:
        entry, at = _parse_record(data, at, archive)
        entries.append(entry)
    if count is not None and len(entries) != count:
        raise unsafe(archive, "damaged-directory")
    return entries


def parse_local_header(data: bytes | memoryview, entry: ZipEntry, at: int = 0) -> int:
    """Check the header before an entry's data against the directory; where the data begins.

    Raises:
        UnsafeArchive: They differ in name, method, size or checksum, or bytes are missing.
    """
    start = at + _LOCAL.size
    if len(data) < start:
        raise unsafe(entry.archive, "truncated", entry.name)
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(
        data, at
    )
    name_end: int = start + name_length
    body: int = name_end + extra_length
    if len(data) < body:
        raise unsafe(entry.archive, "truncated", entry.name)
    if _MAX32 in (packed, size):
        extra = bytes(data[name_end:body])
        size, packed = _widen(extra, [size, packed], entry.archive, entry.name)
    # The flag that says how the name is encoded may differ: the bytes of the names may not.
    fixed = _ENCRYPTED | _DESCRIPTOR
    same = (
        signature == b"PK\x03\x04"
        and method == entry.method
        and flags & fixed == entry.flags & fixed
        and bytes(data[start:name_end]) == entry.raw_name
    )
    told = (crc, packed, size)
    known = (entry.crc, entry.compressed_size, entry.size)
    if same and told != known:
        # With a descriptor the header may be silent, value by value.
        same = bool(flags & _DESCRIPTOR) and all(a in (0, b) for a, b in zip(told, known, strict=True))
    if not same:
        raise unsafe(entry.archive, "header-mismatch", entry.name)
    return body


def check_descriptor(data: bytes | memoryview, entry: ZipEntry) -> None:
    """Check the bytes between an entry's data and whatever comes next.

    Raises:
        UnsafeArchive: They are no descriptor, or one that contradicts the directory.
    """
    found = bytes(data[:25])
    if not entry.flags & _DESCRIPTOR:
        if found:
            raise unsafe(entry.archive, "stray-data", entry.name)
        return
    for layout in _DESCRIPTORS:
        try:
            plain = layout.pack(entry.crc, entry.compressed_size, entry.size)
        except struct.error:  # over 4 GiB, in the short layout
            continue
        if found in (plain, b"PK\x07\x08" + plain):
            return
    rule = "header-mismatch" if len(found) in (0, 12, 16, 20, 24) else "stray-data"
    raise unsafe(entry.archive, rule, entry.name)


def _parse_record(data: bytes, at: int, archive: str) -> tuple[ZipEntry, int]:
    """Read one record of the directory; the entry, and where the next record begins."""
    start = at + _DIRECTORY.size
    if start > len(data):
        raise unsafe(archive, "damaged-directory")
    (
        signature, made_by, _, flags, method, _, _, crc, packed, size,
        name_length, extra_length, comment_length, disk, _, attributes, offset,
    ) = _DIRECTORY.unpack_from(data, at)  # fmt: skip
    name_end = start + name_length
    extra_end = name_end + extra_length
    end = extra_end + comment_length
    if signature != b"PK\x01\x02" or end > len(data):
        raise unsafe(archive, "damaged-directory")
    raw_name = data[start:name_end]
    name = _decode(raw_name, archive)
    if extra_length:
        extra = data[name_end:extra_end]
        _check_unicode_name(extra, raw_name, archive, name)
        size, packed, offset, disk = _widen(extra, [size, packed, offset, disk], archive, name)
    if disk:
        raise unsafe(archive, "multi-disk", name)
    if _MAX32 in (size, packed, offset):
        raise unsafe(archive, "zip64-mismatch", name)
    _check_method(archive, name, flags, method, packed, size)
    entry = ZipEntry(
        archive, name, raw_name, method, crc, packed, size, offset, flags, made_by >> 8, attributes
    )
    return entry, end


def _decode(raw_name: bytes, archive: str) -> str:
    try:
        return raw_name.decode()
    except UnicodeDecodeError as error:
        raise unsafe(archive, "name-not-utf8", repr(raw_name)) from error


def _check_method(archive: str, name: str, flags: int, method: int, packed: int, size: int) -> None:
    if flags & _ENCRYPTED:
        raise unsafe(archive, "encrypted", name)
    if method not in (STORED, DEFLATED) or flags & _PATCH:
        raise unsafe(archive, "unsupported-method", name)
    if method == STORED and packed != size:
        raise unsafe(archive, "size-mismatch", name)


def _extras(extra: bytes, archive: str, name: str) -> Iterator[tuple[int, bytes]]:
    """Give the fields of an extra block; a rest too short for a field is padding that some tools write."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if at + length > len(extra):
            raise unsafe(archive, "damaged-directory", name)
        yield kind, extra[at : at + length]
        at += length


def _widen(extra: bytes, values: list[int], archive: str, name: str) -> list[int]:
    """Replace the values at their limit by those of the zip64 field, which has only these, in order."""
    limits = (_MAX32, _MAX32, _MAX32, _MAX16)[: len(values)]
    wanted = [i for i, (value, limit) in enumerate(zip(values, limits, strict=True)) if value == limit]
    if not wanted:
        return values
    fields = [data for kind, data in _extras(extra, archive, name) if kind == 1]
    if len(fields) != 1:
        raise unsafe(archive, "zip64-mismatch", name)
    at = 0
    for i in wanted:
        width = 4 if i == 3 else 8
        if at + width > len(fields[0]):
            raise unsafe(archive, "zip64-mismatch", name)
        values[i] = int.from_bytes(fields[0][at : at + width], "little")
        at += width
    return values


def _check_unicode_name(extra: bytes, raw_name: bytes, archive: str, name: str) -> None:
    """Some readers take the name from the field 0x7075 (version, checksum, name), others do not."""
    for kind, data in _extras(extra, archive, name):
        if kind == 0x7075 and data[5:] != raw_name:
            raise unsafe(archive, "name-mismatch", name)
