"""A wheel on disk as a checked zip archive: mapped into memory, its entries and where their data lies."""

from __future__ import annotations

import contextlib
import mmap

from puffin_api._zip import check_descriptor, inflate, parse_directory, parse_end, parse_local_header, unsafe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from puffin_api._zip import ZipEntry


class ZipFile:
    """A zip archive whose parts have been found to fit together: no gaps, no overlaps, one reading.

    The content of the entries is checked when it is read.
    """

    __slots__ = ("_starts", "_view", "archive", "entries", "size")

    def __init__(self, view: memoryview, archive: str) -> None:
        self._view = view
        self.archive = archive
        """File name, for messages."""
        self.size = len(view)
        end = parse_end(view, self.size, archive=archive)
        with view[end.offset : end.offset + end.length] as directory:
            self.entries = parse_directory(directory, archive=archive, count=end.count)
        """In the order of the directory."""
        self._starts = self._locate(end.offset)

    def pieces(self, entry: ZipEntry) -> Iterator[bytes | memoryview]:
        """Give the content of an entry; each piece is good until the next is asked for."""
        start = self._starts[entry.offset]
        with self._view[start : start + entry.compressed_size] as body:
            yield from inflate(body, entry)

    def read(self, entry: ZipEntry) -> bytes:
        """Return the content of an entry."""
        return b"".join([bytes(piece) for piece in self.pieces(entry)])

    def _locate(self, directory: int) -> dict[int, int]:
        """Map where entries begin to where their data does; all bytes before the directory are claimed."""
        starts: dict[int, int] = {}
        ordered = sorted(self.entries, key=lambda entry: entry.offset)
        limits = [*(entry.offset for entry in ordered[1:]), directory]
        if ordered[0].offset if ordered else directory:
            raise unsafe(self.archive, "stray-data")
        for entry, limit in zip(ordered, limits, strict=False):
            start = parse_local_header(self._view, entry, entry.offset)
            end = start + entry.compressed_size
            if end > limit:
                raise unsafe(self.archive, "overlapping-entries", entry.name)
            if end < limit or entry.flags:
                with self._view[end:limit] as rest:
                    check_descriptor(rest, entry)
            starts[entry.offset] = start
        return starts


@contextlib.contextmanager
def open_zip(path: Path, archive: str) -> Generator[ZipFile]:
    """Map a file and check its structure; ``archive`` is its name for messages.

    Raises:
        UnsafeArchive: It is no zip archive, or can be read in more than one way.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # empty files cannot be mapped
            raise unsafe(archive, "not-a-zip") from error
    try:
        with memoryview(mapped) as view:
            yield ZipFile(view, archive)
    finally:
        # A view that a traceback still holds keeps the map open until the traceback is gone.
        with contextlib.suppress(BufferError):
            mapped.close()
