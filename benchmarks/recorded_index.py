"""A loopback index that answers from a recording, and records what it does not have yet.

It runs in a process of its own, so that it takes no time from what is measured. Pages are served
as PEP 691 JSON with core metadata announced (PEP 714), an ETag and ``max-age``.
"""

from __future__ import annotations

import asyncio
import collections
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3

JSON = "application/vnd.pypi.simple.v1+json"
_THREADS = 32
"""So many files are fetched from upstream at once."""
_UPSTREAM = urllib3.PoolManager(
    maxsize=_THREADS, timeout=120, retries=urllib3.Retry(5, backoff_factor=0.3, status_forcelist=(502, 503))
)


class Recording:
    """Pages and files on disk, fetched from upstream where missing."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self._folder = folder
        self._upstream = upstream.rstrip("/")
        self._pages: dict[str, bytes] = {}
        self._files: dict[str, bytes] = {}
        (folder / "pages").mkdir(parents=True, exist_ok=True)
        (folder / "files").mkdir(parents=True, exist_ok=True)

    def page(self, name: str, base: str) -> bytes | None:
        """Return the gzipped page of a project, its links led to this server."""
        if name not in self._pages:
            path = self._folder / "pages" / f"{name}.json"
            if not path.exists():
                body = _fetch(f"{self._upstream}/{name}/", JSON)
                if body is None:
                    return None
                _write(path, body)
            self._pages[name] = gzip.compress(_localise(json.loads(path.read_bytes()), base), 1)
        return self._pages[name]

    def file(self, quoted: str) -> bytes | None:
        """Return a file by the quoted URL that it has upstream."""
        if quoted not in self._files:
            path = self._folder / "files" / hashlib.sha256(quoted.encode()).hexdigest()
            if not path.exists():
                body = _fetch(urllib.parse.unquote(quoted), "*/*")
                if body is None and quoted.endswith(".whl.metadata"):
                    body = _metadata_in(self.file(quoted.removesuffix(".metadata")))
                if body is None:
                    return None
                _write(path, body)
            body = path.read_bytes()
            if len(body) > 1 << 20:
                return body
            self._files[quoted] = body
        return self._files[quoted]


def _write(path: Path, body: bytes) -> None:
    """Write a file that is never seen half: others read the recording meanwhile."""
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    part.write_bytes(body)
    part.replace(path)


def _metadata_in(wheel: bytes | None) -> bytes | None:
    """Return METADATA out of a wheel, for indexes that do not serve it by itself."""
    if wheel is None:
        return None
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name)


def _localise(page: dict[str, Any], base: str) -> bytes:
    for file in page["files"]:
        name = file["filename"]
        file["url"] = f"{base}/files/{urllib.parse.quote(file['url'], safe='')}/{name}"
        if name.endswith(".whl"):
            file["core-metadata"] = True
    return json.dumps(page).encode()


def _fetch(url: str, accept: str) -> bytes | None:
    """Return what upstream answers; None where it has nothing. Connections are kept open."""
    answer = _UPSTREAM.request("GET", url, headers={"Accept": accept})
    if answer.status in (403, 404, 410):
        return None
    if answer.status >= 400:
        raise OSError(f"{url}: {answer.status}")
    return answer.data


class Server:
    """A small HTTP/1.1 server with keep-alive and an artificial delay."""

    def __init__(self, recording: Recording, delay: float) -> None:
        self._recording = recording
        self._delay = delay
        self._base = ""
        self._counts: collections.Counter[str] = collections.Counter()

    async def run(self) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        port = server.sockets[0].getsockname()[1]
        self._base = f"http://127.0.0.1:{port}"
        print(port, flush=True)
        await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                # A new connection costs two more round trips, as with TCP and TLS.
                await asyncio.sleep(self._delay * (3 if first else 1))
                first = False
                path = head.split(b" ", 2)[1].decode()
                writer.write(await asyncio.to_thread(self._answer, path, head.lower()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str, head: bytes) -> bytes:
        if path == "/counts":
            return _plain(json.dumps(self._counts).encode())
        if path.startswith("/simple/"):
            self._counts["pages"] += 1
            body = self._recording.page(path.split("/")[2], self._base)
            headers = f"Content-Type: {JSON}\r\nContent-Encoding: gzip\r\nCache-Control: max-age=600\r\n"
        else:
            _, _, quoted, name = path.split("/", 3)
            self._counts["metadata" if name.endswith(".metadata") else "files"] += 1
            quoted += ".metadata" if name.endswith(".metadata") else ""
            body = self._recording.file(quoted)
            headers = (
                "Content-Type: application/octet-stream\r\nCache-Control: max-age=365000000, immutable\r\n"
            )
        if body is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"' if len(body) < 1 << 20 else '"big"'
        if etag.encode() in head:
            return f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n{headers}\r\n".encode()
        status = f"HTTP/1.1 200 OK\r\nETag: {etag}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        return status.encode() + (b"" if head.startswith(b"head") else body)


def _plain(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def requests_served(index: str) -> collections.Counter[str]:
    """Return how many requests a recorded index has answered so far, by kind.

    Args:
        index: The URL that `RecordedIndex` gave.
    """
    with urllib.request.urlopen(urllib.parse.urljoin(index, "/counts"), timeout=30) as answer:  # loopback
        return collections.Counter(json.load(answer))


class RecordedIndex:
    """The server in a child process; a context manager that gives the URL of the index."""

    def __init__(self, folder: Path, upstream: str, *, delay: float = 0.0) -> None:
        self._command = [sys.executable, "-m", "benchmarks.recorded_index", str(folder), upstream, str(delay)]

    def __enter__(self) -> str:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return f"http://127.0.0.1:{self._process.stdout.readline().strip()}/simple/"

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    where, source, pause = sys.argv[1:]
    asyncio.run(Server(Recording(Path(where), source), float(pause)).run())
