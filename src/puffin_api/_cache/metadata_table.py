"""Metadata tables: dependencies of the files of a project, with requirements already parsed.

::

    magic and version (8) | CRC of the rest (4) | text

    text      three sections, separated by an empty line:
    keys      "<file name> <identity>", one line for each file
    entries   version, requires-python, extras, numbers of rows; one line for each file
    rows      the distinct requirements, cut up as in `RequirementRow`; one line for each

The lines are cut by ``str.split`` and single ones are parsed when they are asked for: a warm resolve
parses no requirement and no JSON.
"""

from __future__ import annotations

import os
import zlib

from puffin_api._concurrency import Lock
from puffin_api._model.metadata import DistMetadata
from puffin_api._model.requirement import RequirementRow, keep_row, known_row
from puffin_api._model.version_key import EVERYTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from puffin_api._model.file import FileRow
    from puffin_api._model.version_key import Bounds

    Sections = tuple[list[str], list[str], list[str]]

_MAGIC = b"PUFMETA\x01"
# Between fields and inside them; text that holds one of these is not stored.
_FIELD, _ITEM = "\x1f", "\x1e"
_FORBIDDEN = frozenset("\n" + _FIELD + _ITEM)
_UNBOUNDED = "*"
_BINARY: int = getattr(os, "O_BINARY", 0)


def read_bytes(path: str) -> bytes:
    """Return a whole file, nothing where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except OSError:
        return b""
    try:
        size = os.fstat(descriptor).st_size
        return os.read(descriptor, size + 1)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


class MetadataTable:
    """What is known of the files of one project. Many threads may ask and add at the same time.

    Args:
        project: Its normalised name.
        read: Gives the stored tables, the one that is written first.
        write: Stores a table.
    """

    __slots__ = ("_added", "_entries", "_lock", "_project", "_read", "_rows", "_write")

    def __init__(
        self, project: str, *, read: Callable[[], Sequence[bytes]], write: Callable[[bytes], object]
    ) -> None:
        self._project = project
        self._read = read
        self._write = write
        self._lock = Lock()
        self._entries: dict[str, tuple[str, int]] | None = None
        self._rows: list[list[str]] = []
        self._added: dict[str, DistMetadata] = {}

    def get(self, file: FileRow) -> DistMetadata | None:
        """Return the metadata of a file, None where it is not known."""
        entries = self._entries
        if entries is None:
            entries = self._load()
        if not entries:
            return None
        found = entries.get(_key(file))
        return None if found is None else _entry(self._project, found[0], self._rows[found[1]])

    def add(self, file: FileRow, metadata: DistMetadata) -> None:
        """Take metadata in; it is stored by the next `flush`."""
        with self._lock:
            self._added[_key(file)] = metadata

    def flush(self) -> None:
        """Store what was added, together with what others have stored in the meantime."""
        if not self._added:
            return
        with self._lock:
            added, self._added = self._added, {}
            stored = self._read()
            self._write(_merge(_sections(stored[0]) if stored else None, added))

    def _load(self) -> dict[str, tuple[str, int]]:
        with self._lock:
            if self._entries is None:
                entries: dict[str, tuple[str, int]] = {}
                for number, data in enumerate(self._read()):
                    keys, lines, rows = _sections(data) or ([], [], [])
                    self._rows.append(rows)
                    for key, line in zip(keys, lines, strict=True):
                        entries.setdefault(key, (line, number))
                self._entries = entries
            return self._entries


def _key(file: FileRow) -> str:
    """Return what tells the file from another of the same name: part of its digest, or its address."""
    if file.hashes:
        return f"{file.filename} {file.hashes[0][-16:]}"
    return f"{file.filename} {zlib.crc32(file.url.encode('utf-8', 'surrogatepass')):08x}"


def _sections(data: bytes) -> Sections | None:
    """Cut a stored table up; None where it is damaged or none of ours."""
    if data[:8] != _MAGIC or zlib.crc32(data[12:]) != int.from_bytes(data[8:12], "little"):
        return None
    parts = data[12:].decode("utf-8", "surrogatepass").split("\n\n")
    if len(parts) != 3:
        return None
    keys, entries, rows = (part.split("\n") if part else [] for part in parts)
    return (keys, entries, rows) if len(keys) == len(entries) else None


def _entry(project: str, line: str, rows: list[str]) -> DistMetadata:
    version, requires_python, extras, numbers = line.split(_FIELD)
    requires = tuple([_row(rows[int(number)]) for number in numbers.split()])
    return DistMetadata(project, version, requires, requires_python, _items(extras))


def _row(line: str) -> RequirementRow:
    text, name, extras, specifier, bounds, gate, marker, url = line.split(_FIELD)
    known = known_row(text)
    if known is not None:
        return known
    ends = bounds.split(_ITEM)
    intervals: Bounds
    if bounds == _UNBOUNDED:
        intervals = None
    elif not specifier:
        intervals = EVERYTHING
    elif len(ends) == 2:
        intervals = ((ends[0], ends[1]),)
    else:
        intervals = tuple(zip(ends[::2], ends[1::2], strict=False)) if bounds else ()
    return keep_row(RequirementRow(text, name, _items(extras), specifier, intervals, gate, marker, url))


def _items(text: str) -> tuple[str, ...]:
    return tuple(text.split(_ITEM)) if text else ()


def _merge(stored: Sections | None, added: dict[str, DistMetadata]) -> bytes:
    """Return the table with both; what was added counts where both know a file."""
    keys, entries, rows = stored or ([], [], [])
    numbers = {row: number for number, row in enumerate(rows)}
    merged = dict(zip(keys, entries, strict=True))
    for key, metadata in added.items():
        lines = [_row_line(row) for row in metadata.requires]
        head = [metadata.version, metadata.requires_python, _ITEM.join(metadata.extras)]
        if _is_plain([key, *metadata.extras, *head[:2]]) and None not in lines:
            used = [str(numbers.setdefault(line, len(numbers))) for line in lines if line is not None]
            merged[key] = _FIELD.join((*head, " ".join(used)))
    text = "\n\n".join(("\n".join(merged), "\n".join(merged.values()), "\n".join(numbers)))
    payload = text.encode("utf-8", "surrogatepass")
    return b"".join((_MAGIC, zlib.crc32(payload).to_bytes(4, "little"), payload))


def _row_line(row: RequirementRow) -> str | None:
    """Return a row as a line, None for the rare one that does not fit into one."""
    bounds = _UNBOUNDED if row.bounds is None else _ITEM.join(end for pair in row.bounds for end in pair)
    fields = (row.text, row.name, row.specifier, row.gate, row.marker, row.url)
    if not _is_plain((*fields, *row.extras)):
        return None
    return _FIELD.join(
        (row.text, row.name, _ITEM.join(row.extras), row.specifier, bounds, row.gate, row.marker, row.url)
    )


def _is_plain(texts: Iterable[str]) -> bool:
    return all(_FORBIDDEN.isdisjoint(text) for text in texts)
