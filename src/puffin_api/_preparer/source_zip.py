"""The entries of a source archive that is a zip archive."""

from __future__ import annotations

import calendar
import os
import stat
import struct

from puffin_api._preparer.source_rules import refused
from puffin_api._preparer.tree_rules import SourceEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from puffin_api._concurrency import Pump
    from puffin_api._wheel.zip_directory import ZipFile
    from puffin_api._zip import ZipEntry

_LONGEST_TARGET = 4096


def zip_entries(archive: ZipFile, file: BinaryIO, *, pump: Pump) -> Iterator[SourceEntry]:
    """Give the entries in order.

    Args:
        archive: The archive, checked.
        file: The same, for what is not in its directory.
        pump: Asked while content is read whether the caller has cancelled.

    Raises:
        UnsafeArchive: An entry is damaged, or what no source archive should hold.
    """
    for entry in archive.entries:
        yield _source_entry(archive, entry, _mtime(file, entry), pump)


def _source_entry(archive: ZipFile, entry: ZipEntry, mtime: float, pump: Pump) -> SourceEntry:
    kind = stat.S_IFMT(entry.mode)
    if entry.is_directory:
        if entry.size:
            raise refused(archive.archive, "directory-with-data", entry.name)
        return SourceEntry(entry.name, "folder")
    if kind == stat.S_IFDIR or entry.attributes & stat.FILE_ATTRIBUTE_DIRECTORY:
        raise refused(archive.archive, "entry-type", entry.name)
    if kind == stat.S_IFLNK:
        if entry.size > _LONGEST_TARGET:
            raise refused(archive.archive, "name-too-long", entry.name)
        return SourceEntry(entry.name, "link", target=os.fsdecode(archive.read(entry)))
    if kind not in (0, stat.S_IFREG):
        raise refused(archive.archive, "special-file", entry.name)
    content = _watched(archive.pieces(entry), pump)
    return SourceEntry(entry.name, "file", content, executable=bool(entry.mode & 0o111), mtime=mtime)


def _watched(pieces: Iterator[bytes | memoryview], pump: Pump) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        pump.check()
        yield piece


def _mtime(file: BinaryIO, entry: ZipEntry) -> float:
    """Read the time out of the local header; it is of no time zone, so it is taken for UTC."""
    file.seek(entry.offset + 10)
    time, date = struct.unpack("<2H", file.read(4))
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    clock = (time >> 11, time >> 5 & 63, (time & 31) * 2)
    if not 1 <= month <= 12:
        return 0.0
    return float(calendar.timegm((year, month, max(day, 1), *clock)))
