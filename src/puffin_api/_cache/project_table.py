"""Page tables: what an index says of a project, flat on disk and read lazily.

The format::

    magic and version (8) | stored at (f64) | CRC of that (4) | length of the header (4) | its CRC (4)
    header   length of the text (u32), text, row offsets (u32 each, one more than rows), row CRCs (u32 each)
    rows     one text for each version (see `page_rows`), newest first

    text     one line for each: name, index, address, status, mask of pre-releases (hex), versions, keys,
             skipped files (JSON), and the lines of the HTTP cache;
             after a separator, the metadata of the files that were looked at last

The first few kilobytes are read at once: mostly these are the header and the rows of the newest versions,
which are what is looked at. No file stays open; further rows are read one at a time, and each has a checksum
of its own. The first 20 bytes may be rewritten in place when a server says that nothing has changed; all
else changes by replacing the file.

Metadata of single files is in a table of its own (`metadata_table`), which grows while a page stays.
Nothing in here is trusted: whatever does not fit is a miss.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Mapping
from itertools import accumulate
from typing import Generic, TypeVar

from puffin_api._cache.mending import write_file
from puffin_api._cache.metadata_table import SECTION, MetadataTable, read_bytes
from puffin_api._cache.page_rows import PackedRows, encode_rows
from puffin_api._model.releases import Releases
from puffin_api._model.version_key import sort_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.page_rows import PackedRow
    from puffin_api._model.file import FileRow

T = TypeVar("T")

_MAGIC = b"PUFPAGE\x03"
_FIXED = struct.Struct("<8sdIII")
_STAMP = struct.Struct("<d")
_FIRST_READ = 8192
"""Enough for the header of a project with a few hundred versions, or for all of a small one."""
_MORE_ROWS = 4096
"""What is read beyond a header that is longer."""
_LONGEST_NAME = 100
_BINARY: int = getattr(os, "O_BINARY", 0)
_TEXT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class TableDamaged(Exception):
    """A row that was promised is not there any more: whoever needs it has to fetch the page again."""


class PageTable:
    """The header of a page table, and the way to its rows."""

    __slots__ = (
        "_data",
        "_numbers",
        "_path",
        "_start",
        "mend",
        "policy",
        "recent",
        "releases",
        "status",
        "url",
    )

    def __init__(self, data: bytes, path: Path | str | None) -> None:
        """Read a header; ``data`` holds all of it and perhaps the rows, ``path`` is where the rest is.

        Raises:
            ValueError: It is no page table, or a damaged one.
        """
        magic, self_stored, stamp_crc, length, crc = _FIXED.unpack_from(data)
        header = data[_FIXED.size : _FIXED.size + length]
        if magic != _MAGIC or len(header) != length or zlib.crc32(header) != crc:
            raise ValueError("no page table")
        is_sound = zlib.crc32(data[8:16]) == stamp_crc
        cut = 4 + int.from_bytes(header[:4], "little")
        text, *self.recent = header[4:cut].decode("utf-8", "surrogatepass").split(SECTION)
        name, index, url, status, mask, versions, keys, skipped, *policy = text.split("\n")
        self.url: str = url
        """Where the page came from at last."""
        self.status: str = status
        texts = versions.split("|") if versions else []
        count = len(texts)
        numbers = array("I", header[cut:])
        if sys.byteorder == "big":
            numbers.byteswap()
        if len(numbers) != 2 * count + 1:
            raise ValueError("no page table")
        self._numbers = numbers
        self._start = _FIXED.size + length
        self._path = path
        self._data = data
        """The header and the rows that came along with it: all, or those of the newest versions."""
        self.policy: tuple[float, Sequence[str]] = (self_stored if is_sound else 0.0, policy)
        """When it was stored, and what else the HTTP cache wants to know."""
        self.mend: Callable[[str, str], Sequence[FileRow]] | None = None
        """Gives the rows for a project and version key where they cannot be read here any more."""
        self.releases = Releases(
            name=name,
            versions=texts,
            keys=keys.split("|") if keys else [],
            prereleases=int(mask, 16),
            files=self.files,
            skipped=LazySkipped(skipped) if skipped else None,
            index=index,
        )

    def files(self, position: int) -> Sequence[FileRow]:
        """Return the rows of one version.

        Raises:
            TableDamaged: They cannot be read any more, or the file was replaced by another, and
                nobody has said how to `mend` that.
        """
        try:
            return self._files(position)
        except TableDamaged:
            if self.mend is None:
                raise
            return self.mend(self.releases.name, self.releases.keys[position])

    def _files(self, position: int) -> Sequence[FileRow]:
        releases, numbers = self.releases, self._numbers
        count = len(releases)
        slot = count - 1 - position
        first, last = self._start + numbers[slot], self._start + numbers[slot + 1]
        data = self._data[first:last] if last <= len(self._data) else self._read(first, last - first)
        if zlib.crc32(data) != numbers[count + 1 + slot]:
            raise TableDamaged(releases.name)
        try:
            return PackedRows.of_bytes(data, releases.name, releases.versions[position], releases.index)
        except (ValueError, TypeError, AttributeError) as error:
            raise TableDamaged(releases.name) from error

    def _read(self, first: int, length: int) -> bytes:
        if self._path is None:
            return b""  # a table in memory that was cut short
        try:
            descriptor = os.open(self._path, os.O_RDONLY | _BINARY)
            try:
                os.lseek(descriptor, first, os.SEEK_SET)
                return os.read(descriptor, length)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise TableDamaged(self.releases.name) from error


class LazySkipped(Mapping[str, str]):
    """The files that were left out, with the reasons: hardly ever asked for, so parsed only then."""

    __slots__ = ("_known", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        known = self._known
        if known is None:
            known = self._known = dict(json.loads(self._text))
        return known

    def __getitem__(self, key: str) -> str:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def encode_page_table(  # one parameter for each column
    name: str,
    files: Iterable[tuple[str, PackedRow]],
    *,
    stored_at: float,
    policy: Sequence[str],
    index: str = "",
    url: str = "",
    status: str = "active",
    skipped: Mapping[str, str] | None = None,
) -> bytes:
    """Group the files of a page by version, sort the versions, and return the table as bytes.

    Args:
        name: The project, normalised.
        files: Version as written and packed row of each file; those of no valid version are skipped.
        stored_at: When the page was stored.
        policy: Lines for the HTTP cache.
        index: URL of the index.
        url: Where the page came from at last.
        status: The project's status.
        skipped: Files that were left out before, with the reason.
    """
    left_out = dict(skipped or {})
    grouped = GroupedFiles(files, left_out, lambda row: row[0])
    return encode_grouped(
        name,
        grouped,
        grouped.files,
        stored_at=stored_at,
        policy=policy,
        index=index,
        url=url,
        status=status,
        skipped=left_out,
    )


def encode_grouped(  # one parameter for each column
    name: str,
    grouped: GroupedFiles[Any],
    packed: Sequence[Sequence[PackedRow]],
    *,
    stored_at: float,
    policy: Sequence[str],
    index: str,
    url: str,
    status: str,
    skipped: Mapping[str, str],
    recent: Sequence[str] = (),
) -> bytes:
    """Return the table of files that are grouped already.

    Args:
        packed: The rows of each version.
        recent: What `MetadataTable.recent` gave; the rest is as for `encode_page_table`.
    """
    rows = [encode_rows(files) for files in reversed(packed)]
    numbers = array("I", [0])
    numbers.extend(accumulate(len(row) for row in rows))
    numbers.extend([zlib.crc32(row) for row in rows])
    if sys.byteorder == "big":
        numbers.byteswap()
    more = _TEXT(dict(skipped)) if skipped else ""
    versions, keys = "|".join(grouped.versions), "|".join(grouped.keys)
    lines = [name, index, url, status, f"{grouped.prereleases:x}", versions, keys, more, *policy]
    # Servers send no separators in these; if one does all the same, it must not shift what follows.
    text = "\n".join([line.replace("\n", " ").replace(SECTION, " ") for line in lines])
    text_bytes = SECTION.join((text, *recent)).encode("utf-8", "surrogatepass")
    header = b"".join((len(text_bytes).to_bytes(4, "little"), text_bytes, numbers.tobytes()))
    stamp = _STAMP.pack(stored_at)
    fixed = _FIXED.pack(_MAGIC, stored_at, zlib.crc32(stamp), len(header), zlib.crc32(header))
    return b"".join((fixed, header, *rows))


class GroupedFiles(Generic[T]):
    """The files of a page by version, oldest first.

    Args:
        files: Version as written and something that stands for the file.
        skipped: Takes the files of no valid version, with the reason.
        label: Gives the name of a file for that.
    """

    __slots__ = ("files", "keys", "prereleases", "versions")

    def __init__(
        self, files: Iterable[tuple[str, T]], skipped: dict[str, str], label: Callable[[T], str]
    ) -> None:
        groups: dict[str, list[T]] = {}
        known: dict[str, tuple[str, bool]] = {}
        by_text: dict[str, list[T] | None] = {}
        for text, file in files:
            group = by_text.get(text)
            if group is None:
                if text not in by_text:
                    group = by_text[text] = _group_for(text, groups, known)
                if group is None:
                    skipped[label(file)] = f"{text!r} is not a valid version"
                    continue
            group.append(file)
        self.keys = sorted(groups)
        self.files = [groups[key] for key in self.keys]
        self.versions = [known[key][0] for key in self.keys]
        self.prereleases = sum(2 << i for i, key in enumerate(self.keys) if known[key][1])


def _group_for(text: str, groups: dict[str, list[T]], known: dict[str, tuple[str, bool]]) -> list[T] | None:
    """Return the list for a version; equal versions that are written differently share one."""
    found = sort_version(text)
    if found is None:
        return None
    key, normal, is_prerelease = found
    known.setdefault(key, (normal, is_prerelease))
    return groups.setdefault(key, [])


def decode_page_table(data: bytes) -> PageTable | None:
    """Return the table that these bytes hold, None where they hold none."""
    try:
        return PageTable(data, None)
    except (ValueError, TypeError, struct.error):
        return None


def read_page_table(path: Path | str) -> PageTable | None:
    """Read the header of a table from disk; None where there is no sound one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except OSError:
        return None
    try:
        data = os.read(descriptor, _FIRST_READ)
        if len(data) >= _FIXED.size:
            missing = _FIXED.size + _FIXED.unpack_from(data)[3] - len(data)
            # The size on disk is asked first: a damaged length must not make us allocate it.
            if 0 < missing <= os.fstat(descriptor).st_size - len(data):
                data += os.read(descriptor, missing + _MORE_ROWS)
        return PageTable(data, path)
    except (OSError, ValueError, TypeError, struct.error):
        return None
    finally:
        os.close(descriptor)


def is_page_table(path: Path | str) -> bool:
    """Tell whether a file holds a sound table, every row of it."""
    table = read_page_table(path)
    try:
        return table is not None and all(
            table.files(position) is not None for position in range(len(table.releases))
        )
    except TableDamaged:
        return False


def renew_page_table(path: Path | str, stored_at: float) -> None:
    """Write down that the page was found unchanged; where that is not possible it is asked again sooner."""
    stamp = _STAMP.pack(stored_at)
    try:
        with open(path, "r+b", buffering=0) as file:
            file.seek(8)
            # One write within one page: torn, it fails its checksum and counts as long ago.
            file.write(stamp + zlib.crc32(stamp).to_bytes(4, "little"))
    except OSError:
        pass  # read-only, or gone: it is a cache


class ProjectTables:
    """The tables of one cache: written to its own folder, read from there or from further layers."""

    __slots__ = ("_folders", "_layouts", "_metadata", "_read_only", "_recent")

    def __init__(
        self, layout: CacheLayout, *, layers: Sequence[CacheLayout] = (), read_only: bool = False
    ) -> None:
        self._layouts = (layout, *layers)
        self._read_only = read_only
        self._folders: dict[str, list[str]] = {}
        self._recent: dict[tuple[str, str], Sequence[str]] = {}
        """The metadata that came with pages, until somebody wants to know it."""
        self._metadata: dict[tuple[str, str], MetadataTable] = {}

    def read_page(self, kind: str, project: str) -> PageTable | None:
        """Return what an index said of a project, None where no layer knows."""
        for path in self._paths(kind, project):
            table = read_page_table(f"{path}.page")
            if table is not None:
                if table.recent:
                    self._recent[kind, project] = table.recent
                return table
        return None

    def write_page(self, kind: str, project: str, data: bytes) -> PageTable | None:
        """Store an encoded table; returns it as read back, None where it could not be stored."""
        path = f"{self._paths(kind, project)[0]}.page"
        return read_page_table(path) if self._write(path, data) else None

    def renew_page(self, kind: str, project: str, stored_at: float) -> None:
        """Write down that a page was found unchanged."""
        if not self._read_only:
            renew_page_table(f"{self._paths(kind, project)[0]}.page", stored_at)

    def metadata(self, kind: str, project: str) -> MetadataTable:
        """Return the metadata table of a project; it is read when first asked."""
        paths = self._paths(kind, project)
        table = self._metadata[kind, project] = MetadataTable(
            project,
            read=lambda: [data for path in paths if (data := read_bytes(f"{path}.meta"))],
            write=lambda data: self._write(f"{paths[0]}.meta", data),
            recent=self._recent.pop((kind, project), ()),
        )
        return table

    def recent_metadata(self, kind: str, project: str) -> Sequence[str]:
        """Return the metadata that is to be written with the page of a project."""
        table = self._metadata.get((kind, project))
        return () if table is None else table.recent()

    def _paths(self, kind: str, project: str) -> list[str]:
        folders = self._folders.get(kind)
        if folders is None:
            # Once for each index: putting paths together takes as long as reading a table.
            folders = [os.path.join(layout.simple(kind, "x").parent, "") for layout in self._layouts]
            self._folders[kind] = folders
        if len(project) > _LONGEST_NAME:
            return [os.fspath(layout.simple(kind, project)) for layout in self._layouts]
        return [folder + project for folder in folders]

    def _write(self, path: str, data: bytes) -> bool:
        if self._read_only:
            return False
        try:
            write_file(self._layouts[0].root, path, data)
        except OSError:
            return False  # a cache that cannot be written is slow, not broken
        return True
