"""Rows of a page table: the files of one version as one text, taken apart as far as somebody looks.

::

    names    the names of all files
    files    one line for each: address, hashes, size, upload time, requires-python, yanked, metadata

Choosing a file needs the names of all and the rest of one or two, so cutting at line ends is all that
is done at first. Fields are separated by a character that hardly any text holds; a version with one
that does is a JSON text instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import overload

from puffin_api._model.file import FileRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    PackedRow = tuple[str, str, str, int | None, str | None, str, str | None, str | bool | None]
    """File name, address (without the name where it ends in it), hashes, size, upload time,
    requires-python, yanked, metadata; as in `FileRow`, but fit for JSON."""

_FIELD = "\x1f"
_IS_JSON = "["
_YES, _NO = "+", "-"
# Without the checks and the detection of the encoding that `json.loads` does before.
_VALUE = json.JSONDecoder().raw_decode
_TEXT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class PackedRows(Sequence[FileRow]):
    """The files of one version, each made when it is looked at; most are not for the target."""

    __slots__ = ("_index", "_made", "_packed", "_project", "_version", "filenames")

    def __init__(
        self, filenames: list[str], packed: Sequence[PackedRow | str], project: str, version: str, index: str
    ) -> None:
        """Take the files as rows, or as lines that are not taken apart yet."""
        self.filenames = filenames
        self._packed = packed
        self._project = project
        self._version = version
        self._index = index
        self._made: dict[int, FileRow] = {}

    @classmethod
    def of_bytes(cls, data: bytes, project: str, version: str, index: str) -> PackedRows:
        """Read what `encode_rows` gave.

        Raises:
            ValueError: It is something else.
        """
        text = data.decode("utf-8", "surrogatepass")
        if text.startswith(_IS_JSON):
            packed = _VALUE(text)[0]
            return cls([row[0] for row in packed], packed, project, version, index)
        names, *lines = text.split("\n")
        filenames = names.split(_FIELD)
        if len(filenames) != len(lines):
            raise ValueError("not as many names as files")
        return cls(filenames, lines, project, version, index)

    @overload
    def __getitem__(self, item: int) -> FileRow: ...
    @overload
    def __getitem__(self, item: slice) -> list[FileRow]: ...

    def __getitem__(self, item: int | slice) -> FileRow | list[FileRow]:
        if isinstance(item, slice):
            return [self[position] for position in range(*item.indices(len(self)))]
        position = range(len(self._packed))[item]
        row = self._made.get(position)
        if row is None:
            packed = self._packed[position]
            if isinstance(packed, str):
                packed = _row(self.filenames[position], packed)
            row = unpack_row(packed, project=self._project, version=self._version, index=self._index)
            # Of two threads that make it at once, both go on with the same one.
            row = self._made.setdefault(position, row)
        return row

    def __len__(self) -> int:
        return len(self._packed)


def encode_rows(rows: Sequence[PackedRow]) -> bytes:
    """Return the files of one version as bytes."""
    lines = [_FIELD.join([row[0] for row in rows])]
    lines += [_line(row) for row in rows]
    text = "\n".join(lines)
    # A text with a separator in it shows in the number of them.
    is_plain = text.count("\n") == len(rows) and text.count(_FIELD) == 7 * len(rows) - 1
    if not is_plain or text.startswith(_IS_JSON):
        text = _TEXT(rows)
    return text.encode("utf-8", "surrogatepass")


def unpack_row(row: PackedRow, *, project: str, version: str, index: str = "") -> FileRow:
    """Return the row of a packed file."""
    filename, url, hashes, size, upload_time, requires_python, yanked, metadata = row
    return FileRow(
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


def _line(row: PackedRow) -> str:
    _, url, hashes, size, upload_time, requires_python, yanked, metadata = row
    if isinstance(metadata, bool):
        metadata = _YES if metadata else _NO
    bytes_ = "" if size is None else f"{size:d}"
    reason = "" if yanked is None else _YES + yanked
    return _FIELD.join(
        (
            url,
            hashes,
            bytes_,
            upload_time or "",
            requires_python,
            reason,
            "" if metadata is None else metadata,
        )
    )


def _row(filename: str, line: str) -> PackedRow:
    url, hashes, size, upload_time, requires_python, reason, metadata = line.split(_FIELD)
    announced: str | bool | None = metadata or None
    if metadata in (_YES, _NO):
        announced = metadata == _YES
    return (
        filename,
        url,
        hashes,
        int(size) if size else None,
        upload_time or None,
        requires_python,
        reason[1:] if reason else None,
        announced,
    )
