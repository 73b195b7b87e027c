"""The ``file:`` scheme, answered like a small web server: folders, files, ranges, conditions."""

from __future__ import annotations

import html
import io
import os
import re
from email.utils import formatdate
from urllib.parse import quote

from puffin_api._urls import redact, url_to_path
from puffin_api.errors import ConnectFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, Self

_RANGE = re.compile(r"bytes=(\d*)-(\d*)").fullmatch
_TYPES = {".html": "text/html", ".htm": "text/html", ".json": "application/json"}


class LocalResponse:
    """A response that comes from the disk; a context manager that closes its file."""

    def __init__(self, url: str, status: int, headers: dict[str, str], file: BinaryIO, length: int) -> None:
        self.url = url
        self.status = status
        self.headers: Mapping[str, str] = headers
        self._file = file
        self._left = length

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        while self._left and (chunk := self._file.read(min(size, self._left))):
            self._left -= len(chunk)
            yield chunk
        if self._left:
            raise ConnectFailed(f"{self.url} was cut short while it was read", url=self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def open_local(url: str, headers: Mapping[str, str]) -> LocalResponse:
    """Answer a request for a ``file:`` URL: 200, 206, 304, 404 or 416.

    A folder is answered with its ``index.html``, else with a list of what is in it.

    Raises:
        ConnectFailed: It is there but cannot be read.
    """
    path = url_to_path(url)
    fields = {name.lower(): value for name, value in headers.items()}
    try:
        if path.is_dir():
            return _open_folder(url, path, fields)
        return _open_file(url, path, fields)
    except (FileNotFoundError, NotADirectoryError):
        return _plain(url, 404, headers={"cache-control": "no-cache"})
    except OSError as error:
        raise ConnectFailed(f"{redact(url)} cannot be read: {error.strerror}", url=redact(url)) from error


def local_stamp(path: str) -> tuple[object, ...]:
    """Return what is another once the answer for a folder or a page is; empty where there is nothing.

    Of a page it is its time and size, of a folder those of all its files: one may be built anew in its place.

    Raises:
        OSError: It cannot be looked at.
    """
    try:
        return _identity(os.stat(f"{path}/index.html"))
    except (FileNotFoundError, NotADirectoryError):
        pass
    try:
        with os.scandir(path) as entries:
            return tuple(sorted((entry.name, *_identity(_status(entry))) for entry in entries))
    except FileNotFoundError:
        return ()
    except NotADirectoryError:
        return _identity(os.stat(path))


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere
        return entry.stat(follow_symlinks=False)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _open_folder(url: str, path: Path, headers: Mapping[str, str]) -> LocalResponse:
    # A link on the page is relative to the folder, so its URL has to end in a slash.
    base = url if url.endswith("/") else f"{url}/"
    index = path / "index.html"
    if index.is_file():
        return _open_file(base, index, headers)
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries)
    links = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names)
    data = f"<!DOCTYPE html>\n{links}".encode()
    return _plain(base, 200, data, {"content-type": "text/html", "cache-control": "no-cache"})


def _open_file(url: str, path: Path, headers: Mapping[str, str]) -> LocalResponse:
    file = open(path, "rb")  # noqa: SIM115  # closed by the response
    status = os.fstat(file.fileno())
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    if headers.get("if-none-match") == tag:
        file.close()
        return _plain(url, 304, headers={"etag": tag})
    fields = {
        "content-type": _TYPES.get(path.suffix.lower(), "application/octet-stream"),
        "etag": tag,
        "last-modified": formatdate(status.st_mtime, usegmt=True),
        # A stat is cheap and a local file changes whenever it likes.
        "cache-control": "no-cache",
        "accept-ranges": "bytes",
    }
    span = _span(headers.get("range", ""), status.st_size)
    if span is None:
        fields["content-length"] = str(status.st_size)
        return LocalResponse(url, 200, fields, file, status.st_size)
    first, last = span
    if first > last:
        file.close()
        return _plain(url, 416, headers={"content-range": f"bytes */{status.st_size}"})
    file.seek(first)
    fields["content-range"] = f"bytes {first}-{last}/{status.st_size}"
    fields["content-length"] = str(last - first + 1)
    return LocalResponse(url, 206, fields, file, last - first + 1)


def _span(text: str, size: int) -> tuple[int, int] | None:
    """First and last byte that a ``Range`` asks for, None where it asks for none (RFC 9110, 14.1.2)."""
    match = _RANGE(text)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size - 1
    return int(match[1]), min(size - 1, int(match[2] or size - 1))


def _plain(url: str, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> LocalResponse:
    fields = {**(headers or {}), "content-length": str(len(data))}
    return LocalResponse(url, status, fields, io.BytesIO(data), len(data))
