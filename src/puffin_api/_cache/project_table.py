"""Two flat tables for each project: what an index says of its files, and metadata of single files.

Page table::

    magic and version (8) | stored at (f64) | CRC of that (4) | length of the header (4) | CRC of the header (4)
    header   length of the JSON (u32), JSON, row offsets (u32 each, one more than rows), row CRCs (u32 each)
    rows     one JSON text for each version, oldest first

Only the header is read at first, and no file stays open: rows are read one at a time, and each has a
checksum of its own. The first 20 bytes may be rewritten in place when a server says that nothing has
changed; all else changes by replacing the file.

Metadata table: one checksummed text of four sections; see `MetadataTable`.

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
from typing import Generic, TypeVar

from puffin_api._cache.store import write_entry
from puffin_api._model.file import FileRow
from puffin_api._model.releases import Releases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

_MAGIC = b"PUFPAGE\x02"
_FIXED = struct.Struct("<8sdIII")
_STAMP = struct.Struct("<d")
_FIRST_READ = 16384
"""Enough for the header of a project with a few hundred versions."""
_BINARY: int = getattr(os, "O_BINARY", 0)
_TEXT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class TableDamaged(Exception):
    """A row that was promised is not there any more: whoever needs it has to fetch the page again."""


class PageTable:
    """The header of a page table, and the way to its rows."""

    __slots__ = ("_blob", "_checksums", "_offsets", "_path", "_start", "policy", "releases", "status", "url")

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
        name, index, self.url, self.status, policy, versions, keys, mask, skipped = json.loads(header[4:cut])
        texts = versions.split("\n") if versions else []
        count = len(texts)
        numbers = array("I", header[cut:])
        if sys.byteorder == "big":
            numbers.byteswap()
        if len(numbers) != 2 * count + 1:
            raise ValueError("no page table")
        self._offsets, self._checksums = numbers[: count + 1], numbers[count + 1 :]
        self._start = _FIXED.size + length
        self._path = path
        # The rows of a small project came along with the header; large ones are not worth the memory.
        self._blob = data[self._start :] if len(data) == self._start + self._offsets[count] else None
        self.policy: tuple[float, list[object]] = (self_stored if is_sound else 0.0, policy)
        """When it was stored, and what else the HTTP cache wants to know."""
        self.releases = Releases(
            name=name,
            versions=texts,
            keys=keys.split("\n") if keys else [],
            prereleases=int(mask, 16),
            files=self.files,
            skipped=LazySkipped(skipped) if skipped else None,
            index=index,
        )

    def files(self, position: int) -> Sequence[FileRow]:
        """Return the rows of one version.

        Raises:
            TableDamaged: They cannot be read any more, or the file was replaced by another.
        """
        first, last = self._offsets[position], self._offsets[position + 1]
        data = self._read(first, last - first)
        if zlib.crc32(data) != self._checksums[position]:
            raise TableDamaged(self.releases.name)
        return _unpack_rows(data, self.releases)

    def _read(self, first: int, length: int) -> bytes:
        if self._blob is not None:
            return self._blob[first : first + length]
        assert self._path is not None, "a table in memory has its rows in memory"
        try:
            with open(self._path, "rb", buffering=0) as file:
                file.seek(self._start + first)
                return file.read(length)
        except OSError as error:
            raise TableDamaged(self.releases.name) from error


class LazySkipped(Mapping[str, str]):
    """The files that were left out, with the reasons: hardly ever asked for, so parsed only then."""

    __slots__ = ("_known", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        if self._known is None:
            self._known = json.loads(self._text)
        return self._known

    def __getitem__(self, key: str) -> str:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def encode_page_table(
    releases: Releases, *, stored_at: float, policy: list[object], url: str = "", status: str = "active"
) -> bytes:
    """Return the table as bytes.

    Args:
        releases: The versions and their files; all rows are read.
        stored_at: When the page was stored.
        policy: JSON-able data for the HTTP cache.
        url: Where the page came from at last.
        status: The project's status.
    """
    rows = [_pack_rows(releases.files(position)) for position in range(len(releases))]
    offsets = array("I", [0])
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    offsets.extend([zlib.crc32(row) for row in rows])
    if sys.byteorder == "big":
        offsets.byteswap()
    text = _TEXT(
        [
            releases.name,
            releases.index,
            url,
            status,
            policy,
            "\n".join(releases.versions),
            "\n".join(releases.keys),
            f"{releases.prereleases:x}",
            _TEXT(dict(releases.skipped)) if releases.skipped else "",
        ]
    ).encode("utf-8", "surrogatepass")
    header = b"".join((len(text).to_bytes(4, "little"), text, offsets.tobytes()))
    stamp = _STAMP.pack(stored_at)
    fixed = _FIXED.pack(_MAGIC, stored_at, zlib.crc32(stamp), len(header), zlib.crc32(header))
    return b"".join((fixed, header, *rows))


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
                data += os.read(descriptor, missing)
        return PageTable(data, path)
    except (OSError, ValueError, TypeError, struct.error):
        return None
    finally:
        os.close(descriptor)


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


def _pack_rows(rows: Sequence[FileRow]) -> bytes:
    """One JSON text: a list for each file; the address without the name where it ends in it."""
    return _TEXT(
        [
            [
                row.filename,
                row.url[: -len(row.filename)] if row.url.endswith("/" + row.filename) else row.url,
                " ".join(row.hashes),
                row.size,
                row.upload_time,
                row.requires_python,
                row.yanked,
                row.metadata,
                row.version,
                row.index,
            ]
            for row in rows
        ]
    ).encode("utf-8", "surrogatepass")


def _unpack_rows(data: bytes, releases: Releases) -> Sequence[FileRow]:
    project = releases.name
    try:
        return [
            FileRow(
                project=project,
                version=version,
                filename=filename,
                url=url + filename if url.endswith("/") else url,
                hashes=tuple(hashes.split(" ")) if hashes else (),
                size=size,
                upload_time=upload_time,
                requires_python=requires_python,
                yanked=yanked,
                metadata=metadata,
                index=index,
            )
            for (
                filename,
                url,
                hashes,
                size,
                upload_time,
                requires_python,
                yanked,
                metadata,
                version,
                index,
            ) in json.loads(data)
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise TableDamaged(project) from error


class ProjectTables:
    """The tables of one cache: written to its own folder, read from there or from further layers.

    Args:
        path: Gives the path of a project's file, without suffix, in the folder that is written.
        layers: The same for folders that are only read.
        read_only: Write nothing.
    """

    __slots__ = ("_layers", "_path", "_read_only")

    def __init__(
        self,
        path: Callable[[str, str], Path],
        *,
        layers: Sequence[Callable[[str, str], Path]] = (),
        read_only: bool = False,
    ) -> None:
        self._path = path
        self._layers = layers
        self._read_only = read_only

    def read_page(self, kind: str, project: str) -> PageTable | None:
        """Return what an index said of a project, None where no layer knows."""
        table = read_page_table(f"{self._path(kind, project)}.page")
        if table is None and self._layers:
            found = (read_page_table(f"{layer(kind, project)}.page") for layer in self._layers)
            table = next((t for t in found if t is not None), None)
        return table

    def write_page(self, kind: str, project: str, data: bytes) -> PageTable | None:
        """Store an encoded table; returns it as read back, None where it could not be stored."""
        path = f"{self._path(kind, project)}.page"
        return read_page_table(path) if self._write(path, data) else None

    def renew_page(self, kind: str, project: str, stored_at: float) -> None:
        """Write down that a page was found unchanged."""
        if not self._read_only:
            renew_page_table(f"{self._path(kind, project)}.page", stored_at)

    def read_metadata(self, kind: str, project: str) -> Sequence[bytes]:
        """Return the metadata tables of a project as bytes, that of our own folder first."""
        paths = (layer(kind, project) for layer in (self._path, *self._layers))
        found = (_read_all(f"{path}.meta") for path in paths)
        return [data for data in found if data]

    def write_metadata(self, kind: str, project: str, data: bytes) -> None:
        """Store a metadata table; not being able to is no error."""
        self._write(f"{self._path(kind, project)}.meta", data)

    def _write(self, path: str, data: bytes) -> bool:
        from pathlib import Path

        if self._read_only:
            return False
        try:
            write_bare(Path(path), data)
        except OSError:
            return False
        return True
