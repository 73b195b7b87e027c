"""The end of a zip archive: the records that say where its directory is."""

from __future__ import annotations

from struct import Struct

from puffin_api._zip.refusal import unsafe

LONGEST_END = 22 + 65535 + 20 + 56
"""A tail of this many bytes always holds the end records (short of exotic zip64 extensions)."""

_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_RECORD_SIZE = 46
"""The least that one entry takes in the directory."""
_END_SIGNATURE = b"PK\x05\x06"
_END = Struct("<4s4H2LH")
_LOCATOR = Struct("<4sLQL")
_END64 = Struct("<4sQ2H2L4Q")


class DirectoryEnd:
    """What the end records say of the directory."""

    __slots__ = ("count", "length", "offset")

    def __init__(self, offset: int, length: int, count: int) -> None:
        self.offset = offset
        self.length = length
        self.count = count


def directory_location(tail: bytes | memoryview, total_size: int, *, archive: str = "") -> tuple[int, int]:
    """Return offset and length of the directory.

    Args:
        tail: The last bytes of the archive; `LONGEST_END` of them are always enough.
        total_size: Bytes of the whole archive.
        archive: Its file name, for messages.

    Raises:
        UnsafeArchive: The end of the archive is not in order, or not wholly in the tail.
    """
    end = parse_end(tail, total_size, archive=archive)
    return end.offset, end.length


def parse_end(tail: bytes | memoryview, total_size: int, *, archive: str = "") -> DirectoryEnd:
    """Read the end records; arguments and errors as for `directory_location`."""
    tail = bytes(tail[-LONGEST_END:])
    at = _find_end(tail, archive)
    _, disk, first_disk, here, count, length, offset, _ = _END.unpack_from(tail, at)
    end_at = total_size - len(tail) + at
    locator_at = at - _LOCATOR.size
    disks = {(0, 0)}
    if locator_at >= 0 and tail[locator_at : locator_at + 4] == b"PK\x06\x07":
        claims = (here, count, length, offset)
        end_at, here, count, length, offset = _parse_end64(tail, locator_at, total_size, claims, archive)
        disks.add((_MAX16, _MAX16))
    elif _MAX16 in (here, count) or _MAX32 in (length, offset):
        raise unsafe(archive, "zip64-mismatch")
    if (disk, first_disk) not in disks or here != count:
        raise unsafe(archive, "multi-disk")
    if offset + length != end_at or length < count * _RECORD_SIZE:
        raise unsafe(archive, "damaged-directory")
    return DirectoryEnd(offset, length, count)


def _find_end(tail: bytes, archive: str) -> int:
    """Where the one end record begins; its comment has to end where the archive does."""
    fitting, any_found = [], False
    at = tail.find(_END_SIGNATURE)
    while at >= 0:
        any_found = True
        rest = len(tail) - at - _END.size
        if rest >= 0 and int.from_bytes(tail[at + 20 : at + 22], "little") == rest:
            fitting.append(at)
        at = tail.find(_END_SIGNATURE, at + 1)
    if not fitting:
        raise unsafe(archive, "data-after-end" if any_found else "not-a-zip")
    # A signature in the comment is a second end for readers that search backwards.
    if tail.rfind(_END_SIGNATURE) != fitting[0]:
        raise unsafe(archive, "second-archive")
    return fitting[0]


def _parse_end64(
    tail: bytes, locator_at: int, total_size: int, claims: tuple[int, ...], archive: str
) -> tuple[int, int, int, int, int]:
    """Where the zip64 end record begins, and its entries here, entries, length, offset."""
    _, disk, end_at, disks = _LOCATOR.unpack_from(tail, locator_at)
    at = end_at - (total_size - len(tail))
    if disk != 0 or disks not in (0, 1):
        raise unsafe(archive, "multi-disk")
    if not 0 <= at <= locator_at - _END64.size:
        raise unsafe(archive, "zip64-mismatch")
    signature, length64, *_, disk, first_disk, here, count, length, offset = _END64.unpack_from(tail, at)
    if signature != b"PK\x06\x06" or at + 12 + length64 != locator_at:
        raise unsafe(archive, "zip64-mismatch")
    if disk or first_disk:
        raise unsafe(archive, "multi-disk")
    values, limits = (here, count, length, offset), (_MAX16, _MAX16, _MAX32, _MAX32)
    for claim, value, limit in zip(claims, values, limits, strict=True):
        if claim not in (value, limit):
            raise unsafe(archive, "zip64-mismatch")
    return end_at, here, count, length, offset
