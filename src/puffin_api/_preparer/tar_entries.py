"""The entries of a tar archive: POSIX (ustar and pax), GNU and the format before them.

::

    [extension header + data]...   long names and the like, for the entry that follows
    header                         one block
    data                           filled up to whole blocks
    ...
    zeros                          at least one block, to the end of the stream

Our own reading, as that of `tarfile` takes a damaged header for the end of the archive, reads
extensions of any size into memory, and differs between the releases of Python that we run on.
"""

from __future__ import annotations

import re

from puffin_api._preparer.archive_kind import BLOCK, is_header
from puffin_api._preparer.source_rules import refused
from puffin_api._preparer.tree_rules import SourceEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from puffin_api._preparer.tar_stream import TarStream
    from puffin_api._preparer.tree_rules import Kind

_KINDS: dict[bytes, Kind] = {
    b"\0": "file",
    b"0": "file",
    b"7": "file",  # contiguous on disk, once
    b"1": "hard-link",
    b"2": "link",
    b"5": "folder",
}
_PAX, _PAX_GLOBAL = (b"x", b"X"), b"g"
_LONG = {b"L": "path", b"K": "linkpath"}
_LARGEST_EXTENSION = 1 << 20
_OF_ONE = {"path", "linkpath", "size"}
"""What makes no sense for all entries; ``git archive`` writes comments for all."""
_MTIME = re.compile(r"-?\d{1,15}(?:\.\d*)?", re.ASCII).fullmatch


def tar_entries(stream: TarStream, archive: str) -> Iterator[SourceEntry]:
    """Give the entries in order; ``archive`` is the file name, for messages.

    Raises:
        UnsafeArchive: The archive is damaged, ambiguous, or holds what no source archive should.
    """
    extension: dict[str, str] = {}
    while (block := _next_header(stream, archive)) is not None:
        kind = block[156:157]
        if kind in _LONG or kind in _PAX or kind == _PAX_GLOBAL:
            found = _read_extension(stream, block, archive)
            if kind != _PAX_GLOBAL:
                extension |= found
            elif found.keys() & _OF_ONE:
                raise refused(archive, "damaged-header", "pax global header")
            continue
        yield from _read_entry(stream, block, extension, archive)
        extension = {}
    if extension:
        raise refused(archive, "damaged-header", extension.get("path", ""))


def _next_header(stream: TarStream, archive: str) -> bytes | None:
    """Read the next header; None at the end of the archive, after which there are zeros only."""
    stream.entry = ""
    block = stream.read_up_to(BLOCK)
    if len(block) == BLOCK and is_header(block):
        return block
    if not any(block):
        if len(block) < BLOCK:
            raise stream.truncated()
        while rest := stream.read_up_to(BLOCK):
            if any(rest):
                raise refused(archive, "data-after-end")
        return None
    if len(block) < BLOCK:
        raise stream.truncated()
    raise refused(archive, "damaged-header")


def _read_entry(
    stream: TarStream, block: bytes, extension: dict[str, str], archive: str
) -> Iterator[SourceEntry]:
    name = stream.entry = extension.get("path") or _name(block)
    size = _size(block, extension, archive, name)
    kind = _kind(block, name, extension, archive)
    if size and kind != "file":
        raise refused(archive, "directory-with-data" if kind == "folder" else "link-with-data", name)
    end = stream.position + -(-size // BLOCK) * BLOCK
    yield SourceEntry(
        name=name,
        kind=kind,
        content=stream.pieces(size),
        executable=bool(_number(block[100:108], archive, name) & 0o111),
        mtime=_mtime(block, extension, archive, name),
        target=extension.get("linkpath") or _text(block[157:257]),
    )
    stream.skip(end - stream.position)


def _kind(block: bytes, name: str, extension: dict[str, str], archive: str) -> Kind:
    if block[156:157] == b"S" or any(key.startswith("GNU.sparse.") for key in extension):
        raise refused(archive, "sparse-file", name)
    kind = _KINDS.get(block[156:157])
    if kind is None:
        raise refused(archive, "special-file", name)
    # Before there was a type for folders, they were files with a slash.
    return "folder" if kind == "file" and name.endswith("/") else kind


def _name(block: bytes) -> str:
    name = _text(block[:100])
    # Of the others, GNU's format has times there.
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _size(block: bytes, extension: dict[str, str], archive: str, name: str) -> int:
    if "size" not in extension:
        size = _number(block[124:136], archive, name)
    else:
        text = extension["size"]
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise refused(archive, "damaged-header", name)
        size = int(text)
    if size < 0:
        raise refused(archive, "damaged-header", name)
    return size


def _mtime(block: bytes, extension: dict[str, str], archive: str, name: str) -> float:
    text = extension.get("mtime")
    if text is None:
        return float(_number(block[136:148], archive, name))
    if not _MTIME(text):
        raise refused(archive, "damaged-header", name)
    return float(text)


def _number(field: bytes, archive: str, name: str) -> int:
    """Read a number: octal digits, or where the first bit is set, a signed binary one."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        # The first bit is the mark; the second is the sign.
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    try:
        return int(field.partition(b"\0")[0].strip() or b"0", 8)
    except ValueError as error:
        raise refused(archive, "damaged-header", name) from error


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _read_extension(stream: TarStream, block: bytes, archive: str) -> dict[str, str]:
    """Read the data of an extension header; what it says by keyword."""
    size = _number(block[124:136], archive, "")
    if not 0 <= size <= _LARGEST_EXTENSION:
        raise refused(archive, "damaged-header", _text(block[:100]))
    data = stream.read(size)
    stream.skip(-size % BLOCK)
    keyword = _LONG.get(block[156:157])
    return {keyword: _text(data)} if keyword else dict(_records(data, archive))


def _records(data: bytes, archive: str) -> Iterator[tuple[str, str]]:
    """Take pax records apart: the length of it all, a space, keyword, ``=``, value, newline."""
    at = 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length - 1]
        keyword, equals, value = record.partition(b"=")
        if not equals or data[at + length - 1 : at + length] != b"\n":
            raise refused(archive, "damaged-header", "pax header")
        at += length
        yield keyword.decode(errors="replace"), value.decode(errors="surrogateescape")
