"""Metadata of wheels that are somewhere else: beside the file, from its end, or from all of it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile

from puffin_api._client.body import exchange, read_body
from puffin_api._client.retry import Retries
from puffin_api._concurrency import SILENT
from puffin_api._model.events import FetchFinished, FetchStarted
from puffin_api._model.names import is_name, normalize
from puffin_api._urls import origin, redact
from puffin_api._zip import LONGEST_END, directory_location, member, parse_directory
from puffin_api.errors import Forbidden, HashMismatch, MetadataInvalid, OfflineMiss, ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from puffin_api._client.hosts import Hosts
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import FileRow
    from puffin_api._zip import ZipEntry
    from puffin_api.protocols import Response, Transport

    Fetch = Callable[..., object]

_TAIL = 32768
"""Directory and METADATA are within this of the end in most wheels."""
_LONGEST_METADATA = 16 * 1024 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)").fullmatch
_ABSENT = {404, 410}


class RemoteWheels:
    """Reads METADATA of wheels with as little transfer as the server allows.

    Args:
        transport: Does the exchanges.
        hosts: What servers are known to be able to.
        fetch: Writes a whole file: ``fetch(file, target, pump=pump)``.
        scratch: Folder for whole files, made when needed; None for the system's.
        retries: How often what breaks off is read again.
        offline: Read local files only.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        hosts: Hosts,
        fetch: Fetch,
        scratch: Path | None = None,
        retries: Retries | None = None,
        offline: bool = False,
    ) -> None:
        self._transport = transport
        self._hosts = hosts
        self._fetch = fetch
        self._scratch = scratch
        self._retries = retries or Retries()
        self._offline = offline
        self.validators: dict[str, str] = {}
        """For URLs that somebody has named, without a digest: what tells this file from the next one."""

    def metadata(self, file: FileRow, *, pump: Pump = SILENT) -> bytes:
        """Return the METADATA file of a wheel.

        Raises:
            HashMismatch: The separate metadata is not what the index announces.
            MetadataInvalid: The wheel is gone, or has no METADATA.
            UnsafeArchive: The wheel is damaged.
            NetworkError: The server cannot be read.
        """
        if self._offline and not file.url.startswith("file:"):
            name = file.filename
            raise OfflineMiss(
                f"The metadata of {name} is not in the cache, and we are offline",
                url=file.url,
                missing=[name],
            )
        task = pump.begin(
            lambda t: FetchStarted(task=t, kind="metadata", name=file.filename),
            lambda t: FetchFinished(task=t, received=0, error="unfinished"),
        )
        failure, received = "failed", 0
        try:
            data = self._separate(file, pump)
            if data is None:
                data = self._from_end(file, pump)
            failure, received = "", len(data)
        except BaseException as error:
            failure = getattr(error, "code", failure)
            raise
        finally:
            pump.end(task, lambda: FetchFinished(task=task, received=received, error=failure))
        return data

    def note_validator(self, url: str, headers: Mapping[str, str], size: int) -> None:
        """Remember what the server says of the file that it has now, where that tells it from others."""
        tag = headers.get("etag", "") or headers.get("last-modified", "")
        if tag:
            self.validators[url] = hashlib.sha256(f"{tag} {size}".encode()).hexdigest()[:16]

    def _separate(self, file: FileRow, pump: Pump) -> bytes | None:
        """Read the metadata beside the wheel (PEP 658), None where there is none."""
        if file.metadata is False or file.url.startswith("file:"):
            return None
        if is_anonymous(file):
            return None  # from the file itself, so that both are of the same day
        if file.metadata is not None:
            return self._beside(file, pump)
        place = origin(file.url)
        while self._hosts.can(place, "metadata") is None:
            task, is_mine = self._hosts.probes.claim(place)
            if is_mine:
                try:
                    # Somebody may have finished between the question and the claim.
                    if self._hosts.can(place, "metadata") is None:
                        return self._probe(file, place, pump)
                finally:
                    # Whatever came of it: the others look for themselves, and probe if it was nothing.
                    self._hosts.probes.forget(place, task)
                    task.succeed(None)
            else:
                task.wait()  # not for long: who probes is in the middle of a request
        return self._beside(file, pump) if self._hosts.can(place, "metadata") else None

    def _probe(self, file: FileRow, place: str, pump: Pump) -> bytes | None:
        """Find out, for all files of this host, whether there is metadata beside the wheels."""
        data = self._beside(file, pump)
        self._hosts.note(place, "metadata", answer=data is not None)
        return data

    def _beside(self, file: FileRow, pump: Pump) -> bytes | None:
        address, mark, query = file.url.partition("?")
        url = f"{address}.metadata{mark}{query}"
        try:
            status, data = self._get(url, {"Accept-Encoding": "gzip"}, pump, _read_all)
        except Forbidden:
            if file.metadata is not None:
                raise
            return None  # how some file stores say that there is no such file
        if status in _ABSENT:
            return None
        if status != 200:
            raise ServerError(f"{url} answered {status}", url=url, status=status)
        if isinstance(file.metadata, str):
            _check_digest(file, url, data)
        return data

    def _from_end(self, file: FileRow, pump: Pump) -> bytes:
        """Read directory and METADATA from the end of the wheel; the whole of it where that fails."""
        place = origin(file.url)
        if self._hosts.can(place, "ranges") is not False:
            remote = _RemoteFile(self, file, pump)
            if remote.open():
                self._hosts.note(place, "ranges", answer=True)
                return read_wheel_metadata(remote.read, remote.size, remote.tail, file)
            if remote.is_gone:
                gone = "the index lists the file, but it is gone" if file.index else "there is no such file"
                raise _invalid(file, gone)
            if not remote.is_empty:
                self._hosts.note(place, "ranges", answer=False)
        return self._from_whole(file, pump)

    def _from_whole(self, file: FileRow, pump: Pump) -> bytes:
        if self._scratch is not None:
            os.makedirs(self._scratch, exist_ok=True)
        folder = tempfile.mkdtemp(dir=self._scratch)
        path = os.path.join(folder, "wheel.whl")
        try:
            self._fetch(file, _as_path(path), pump=pump)
            return read_local_metadata(path, file)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _get(
        self,
        url: str,
        headers: dict[str, str],
        pump: Pump,
        consume: Callable[[Response], tuple[int, bytes]],
    ) -> tuple[int, bytes]:
        cancel: CancelToken | None = pump.cancel  # type: ignore[assignment]  # the one kind there is
        return exchange(self._transport, url, headers, consume, retries=self._retries, cancel=cancel)


class _RemoteFile:
    """A file that is read by ranges."""

    def __init__(self, wheels: RemoteWheels, file: FileRow, pump: Pump) -> None:
        self._wheels = wheels
        self._file = file
        self._pump = pump
        self.size = 0
        self.tail = b""
        self.is_gone = False
        self.is_empty = False

    def open(self) -> bool:
        """Read the end; False where the server has no ranges, or no file."""
        size = self._file.size
        span = f"{max(0, size - _TAIL)}-{size - 1}" if size else f"-{_TAIL}"
        status, self.tail = self._request(span)
        self.is_gone, self.is_empty = status in _ABSENT, status == 416
        return status == 206 and self.size > 0

    def read(self, offset: int, length: int) -> bytes:
        """Return a part; what the end holds already is not asked for again."""
        start = self.size - len(self.tail)
        if offset >= start:
            return self.tail[offset - start : offset - start + length]
        last = min(offset + length, self.size) - 1
        size = self.size
        status, data = self._request(f"{offset}-{last}")
        if status != 206 or self.size != size or len(data) != last - offset + 1:
            raise _invalid(self._file, "the file changed while it was read")
        return data

    def _request(self, span: str) -> tuple[int, bytes]:
        headers = {"Range": f"bytes={span}", "Accept-Encoding": "identity"}
        return self._wheels._get(self._file.url, headers, self._pump, self._consume)  # noqa: SLF001  # its part

    def _consume(self, response: Response) -> tuple[int, bytes]:
        match = _CONTENT_RANGE(response.headers.get("content-range", ""))
        if response.status != 206 or match is None:
            return (response.status if response.status != 206 else 200), b""
        first, last, self.size = int(match[1]), int(match[2]), int(match[3])
        if is_anonymous(self._file):
            self._wheels.note_validator(self._file.url, response.headers, self.size)
        data = read_body(response, longest=_LONGEST_METADATA + LONGEST_END)
        return (206 if len(data) == last - first + 1 else 200), data


def is_anonymous(file: FileRow) -> bool:
    """Tell whether a file has nothing but a URL: there may be other bytes behind it tomorrow."""
    return not file.index and not file.hashes


def read_local_metadata(path: str | Path, file: FileRow) -> bytes:
    """Find the METADATA in a wheel on disk."""
    with open(path, "rb") as wheel:
        size = os.fstat(wheel.fileno()).st_size

        def read(offset: int, length: int) -> bytes:
            wheel.seek(offset)
            return wheel.read(length)

        first = max(0, size - _TAIL)
        return read_wheel_metadata(read, size, read(first, size - first), file)


def read_wheel_metadata(read: Callable[[int, int], bytes], size: int, tail: bytes, file: FileRow) -> bytes:
    """Find the METADATA in a wheel of which any part can be read.

    Args:
        read: Gives the bytes from an offset on, this many.
        size: Bytes of the whole wheel.
        tail: Its last bytes.
        file: What wheel it is.
    """
    name = file.filename
    if len(tail) < min(size, LONGEST_END) and b"PK\x05\x06" not in tail:
        first = max(0, size - LONGEST_END)
        tail = read(first, size - first)
    offset, length = directory_location(tail, size, archive=name)
    start = size - len(tail)
    is_here = offset >= start
    directory = tail[offset - start : offset - start + length] if is_here else read(offset, length)
    entry = _metadata_entry(parse_directory(directory, archive=name), file)
    if entry.size > _LONGEST_METADATA:
        raise _invalid(file, "its METADATA is too large")
    return member(read(entry.offset, min(entry.reach(), size - entry.offset)), entry)


def _metadata_entry(entries: list[ZipEntry], file: FileRow) -> ZipEntry:
    """The METADATA of the one dist-info folder of this project, however its name is written."""
    found = []
    for entry in entries:
        folder, _, rest = entry.name.partition("/")
        if rest == "METADATA" and folder.endswith(".dist-info"):
            name = folder[: -len(".dist-info")].partition("-")[0]
            if is_name(name) and normalize(name) == file.project:
                found.append(entry)
    if len(found) != 1:
        how_many = "no METADATA" if not found else "more than one METADATA"
        raise _invalid(file, f"it has {how_many} of {file.project}")
    return found[0]


def _read_all(response: Response) -> tuple[int, bytes]:
    if response.status != 200:
        return response.status, b""
    return 200, read_body(response, longest=_LONGEST_METADATA)


def _check_digest(file: FileRow, url: str, data: bytes) -> None:
    assert isinstance(file.metadata, str)
    algorithm, _, expected = file.metadata.partition(":")
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
        return
    actual = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if actual != expected.lower():
        raise HashMismatch(
            f"The metadata of {file.filename} has the {algorithm} digest {actual}; {expected} was expected",
            name=file.project,
            source=redact(url),
            expected=[file.metadata],
            actual=f"{algorithm}:{actual}",
        )


def _invalid(file: FileRow, reason: str) -> MetadataInvalid:
    return MetadataInvalid(
        f"{file.filename} cannot be used: {reason}",
        name=file.project,
        source=redact(file.url),
        reason=reason,
    )


def _as_path(text: str) -> Path:
    from pathlib import Path

    return Path(text)
