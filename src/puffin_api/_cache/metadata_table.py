"""Metadata tables: dependencies of the files of a project, with requirements already parsed.

::

    magic and version (8) | CRC of the rest (4) | text

    text      three sections, separated by an empty line:
    keys      "<file name> <identity>", one line for each file
    entries   version, requires-python, extras, numbers of rows; one line for each file
    rows      the distinct requirements, cut up as in `RequirementRow`; one line for each

The lines are cut by ``str.split`` and single ones are parsed when they are asked for: a warm resolve
parses no requirement and no JSON.

The sections of the few files that were looked at last also stand in the page table of the project: most
resolutions look at the same files again, and then need not open this one.
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
    from pathlib import Path

    from puffin_api._model.file import FileRow
    from puffin_api._model.version_key import Bounds

    Sections = tuple[list[str], list[str], list[str]]
    Texts = Sequence[str]
    """The three sections as texts, or nothing."""

_MAGIC = b"PUFMETA\x01"
# Between sections (of page tables), fields, and inside fields; text that holds one of these is not stored.
SECTION, _FIELD, _ITEM = "\x1d", "\x1f", "\x1e"
_FORBIDDEN = frozenset("\n" + SECTION + _FIELD + _ITEM)
_MOST_RECENT = 4
_LONGEST_RECENT = 3000
"""Characters: a page's first kilobytes are wanted for its versions, too."""
_UNBOUNDED = "*"
_FIRST_READ = 8192
_BINARY: int = getattr(os, "O_BINARY", 0)


def read_bytes(path: str) -> bytes:
    """Return a whole file, nothing where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except OSError:
        return b""
    try:
        data = os.read(descriptor, _FIRST_READ)
        if len(data) == _FIRST_READ:  # rare enough to spare all others a question for the size
            data += os.read(descriptor, os.fstat(descriptor).st_size)
        return data
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def is_metadata_table(path: Path | str) -> bool:
    """Tell whether a file holds a sound table."""
    return _sections(read_bytes(os.fspath(path))) is not None


class MetadataTable:
    """What is known of the files of one project. Many threads may ask and add at the same time.

    Args:
        project: Its normalised name.
        read: Gives the stored tables, the one that is written first.
        write: Stores a table.
        recent: What `recent` gave when the page was written.
    """

    __slots__ = ("_added", "_layers", "_loaded", "_lock", "_project", "_read", "_seen", "_write")

    def __init__(
        self,
        project: str,
        *,
        read: Callable[[], Sequence[bytes]],
        write: Callable[[bytes], object],
        recent: Texts = (),
    ) -> None:
        self._project = project
        self._read = read
        self._write = write
        self._lock = Lock()
        self._loaded = False
        self._layers: list[tuple[dict[str, str], list[str]]] = []
        """Line by key, and the rows that the lines speak of; the first layer that knows a file counts."""
        self._seen: dict[str, DistMetadata] = {}
        self._added: dict[str, DistMetadata] = {}
        if recent:
            self._add_layer(_cut(recent))

    def get(self, file: FileRow) -> DistMetadata | None:
        """Return the metadata of a file, None where it is not known."""
        key = _key(file)
        found = self._find(key)
        if found is None and not self._loaded:
            self._load()
            found = self._find(key)
        if found is not None:
            self._seen[key] = found
        return found

    def add(self, file: FileRow, metadata: DistMetadata) -> None:
        """Take metadata in; it is stored by the next `flush`."""
        key = _key(file)
        with self._lock:
            self._added[key] = self._seen[key] = metadata

    def recent(self) -> Texts:
        """Return the sections of the files that were looked at last, where they are short."""
        seen = self._seen.copy()  # others may be adding to it
        texts = _merge(None, dict(list(seen.items())[-_MOST_RECENT:]))
        return texts if seen and sum(map(len, texts)) <= _LONGEST_RECENT else ()

    def flush(self) -> None:
        """Store what was added, together with what others have stored in the meantime."""
        if not self._added:
            return
        with self._lock:
            added, self._added = self._added, {}
            stored = self._read()
            self._write(_packed(_merge(_sections(stored[0]) if stored else None, added)))

    def _find(self, key: str) -> DistMetadata | None:
        for lines, rows in self._layers:
            line = lines.get(key)
            if line is not None:
                return _entry(self._project, line, rows)
        return None

    def _load(self) -> None:
        with self._lock:
            if not self._loaded:
                for data in self._read():
                    self._add_layer(_sections(data))
                self._loaded = True

    def _add_layer(self, sections: Sections | None) -> None:
        if sections is not None:
            keys, lines, rows = sections
            self._layers.append((dict(zip(keys, lines, strict=True)), rows))


def _key(file: FileRow) -> str:
    """Return what tells the file from another of the same name: part of its digest, or its address."""
    if file.hashes:
        return f"{file.filename} {file.hashes[0][-16:]}"
    return f"{file.filename} {zlib.crc32(file.url.encode('utf-8', 'surrogatepass')):08x}"


def _sections(data: bytes) -> Sections | None:
    """Cut a stored table up; None where it is damaged or none of ours."""
    if data[:8] != _MAGIC or zlib.crc32(data[12:]) != int.from_bytes(data[8:12], "little"):
        return None
    return _cut(data[12:].decode("utf-8", "surrogatepass").split("\n\n"))


def _cut(texts: Texts) -> Sections | None:
    if len(texts) != 3:
        return None
    keys, entries, rows = [text.split("\n") if text else [] for text in texts]
    return (keys, entries, rows) if len(keys) == len(entries) else None


def _entry(project: str, line: str, rows: list[str]) -> DistMetadata:
    version, requires_python, extras, numbers = line.split(_FIELD)
    requires = tuple([_row(rows[int(number)]) for number in numbers.split()])
    return DistMetadata(project, version, requires, requires_python, _items(extras))


def _row(line: str) -> RequirementRow:
    known = known_row(line.partition(_FIELD)[0])
    if known is not None:
        return known
    text, name, extras, specifier, bounds, gate, marker, url = line.split(_FIELD)
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


def _merge(stored: Sections | None, added: dict[str, DistMetadata]) -> Texts:
    """Return the sections with both; what was added counts where both know a file."""
    keys, entries, rows = stored or ([], [], [])
    numbers = {row: number for number, row in enumerate(rows)}
    merged = dict(zip(keys, entries, strict=True))
    for key, metadata in added.items():
        lines = [_row_line(row) for row in metadata.requires]
        head = [metadata.version, metadata.requires_python, _ITEM.join(metadata.extras)]
        if _is_plain([key, *metadata.extras, *head[:2]]) and None not in lines:
            used = [str(numbers.setdefault(line, len(numbers))) for line in lines if line is not None]
            merged[key] = _FIELD.join((*head, " ".join(used)))
    return "\n".join(merged), "\n".join(merged.values()), "\n".join(numbers)


def _packed(texts: Texts) -> bytes:
    payload = "\n\n".join(texts).encode("utf-8", "surrogatepass")
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
