"""LoopbackIndex: a real index on 127.0.0.1, with every feature to be switched off and faults on demand."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import http.server
import io
import json
import re
import selectors
import socket
import socketserver
import struct
import time
import zipfile
from pathlib import Path
from urllib.parse import quote, unquote

from puffin_api._concurrency import Lock, WorkerPool
from puffin_api._model.names import normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Literal, Self

_RANGE = re.compile(r"bytes=(\d*)-(\d*)").fullmatch
_REQUIRES_PYTHON = re.compile(rb"^Requires-Python: *(.+?)\r?$", re.MULTILINE)


class ServedFile:
    """One file that the index offers."""

    def __init__(self, filename: str, data: bytes, **options: object) -> None:
        self.filename = filename
        self.data = data
        self.metadata = _read_metadata(filename, data)
        self.options = options

    @property
    def project(self) -> str:
        """Normalised name of the project."""
        stem = self.filename.removesuffix(".whl").removesuffix(".zip").removesuffix(".tar.gz")
        name = stem.partition("-")[0] if self.filename.endswith(".whl") else stem.rpartition("-")[0]
        return normalize(name)


class Asked:
    """One request that was received."""

    def __init__(self, path: str, headers: Mapping[str, str]) -> None:
        self.path = path
        self.headers: dict[str, str] = {name.lower(): value for name, value in headers.items()}

    def __repr__(self) -> str:
        return f"Asked({self.path!r})"


class Fault:
    """What goes wrong, for the next requests whose path contains a text."""

    def __init__(self, part: str, times: int) -> None:
        self.part = part
        self.left = times
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.truncate: int | None = None
        self.reset = False
        self.stall = False


class Reply:
    """What is about to be sent."""

    def __init__(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers: dict[str, str] = dict(headers or {})


class LoopbackIndex:
    """An index server for tests; a context manager that serves while it is open.

    Args:
        files: A folder of wheels and source distributions, or their bytes by file name.
        core_metadata: Whether pages announce PEP 658 metadata: with the digest, denied, or not a word.
        serves_metadata: Whether the ``.metadata`` files are there.
        as_json: JSON pages (PEP 691) for those who accept them; HTML otherwise.
        etag: Whether pages have an ETag and are answered with 304.
        cache_control: The field on pages, None to send none.
        ranges: Whether parts of files are served.
        gzipped: Whether pages are compressed for those who accept that.
        login: User and password that every request has to come with.
        latency: Seconds before each answer.
        tls: Serve https with this.
    """

    def __init__(
        self,
        files: Mapping[str, bytes] | Path | str | None = None,
        *,
        core_metadata: Literal["on", "off", "absent"] = "on",
        serves_metadata: bool = True,
        as_json: bool = True,
        etag: bool = True,
        cache_control: str | None = None,
        ranges: bool = True,
        gzipped: bool = True,
        login: tuple[str, str] | None = None,
        latency: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.core_metadata = core_metadata
        self.serves_metadata = serves_metadata
        self.as_json = as_json
        self.etag = etag
        self.cache_control = cache_control
        self.ranges = ranges
        self.gzipped = gzipped
        self.login = login
        self.latency = latency
        self.status: str = ""
        """PEP 792 status of every project; empty for none."""
        self.requests: list[Asked] = []
        """What was received, in order."""
        self.connections_made: int = 0
        """How often a client has connected."""
        self.pages: dict[str, Reply] = {}
        """Paths that are answered with this instead."""
        self._files: dict[str, ServedFile] = {}
        self._faults: list[Fault] = []
        self._lock = Lock()
        self._server = _Server(self)
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            # The handshake is for the thread of the connection: here it would hold up all others.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = WorkerPool(1, name="loopback-index")
        for name, data in _contents(files).items():
            self.add(name, data)

    def __enter__(self) -> Self:
        self._thread.submit(lambda: self._server.serve_forever(poll_interval=0.02))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.close()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The root of the simple API."""
        return f"{self.origin}/simple/"

    def file_url(self, filename: str) -> str:
        """Return the address of a file."""
        return f"{self.origin}/files/{quote(filename)}"

    def add(self, filename: str, data: bytes, **options: object) -> None:
        """Offer a file.

        Args:
            filename: Its name, from which the project is taken.
            data: Its bytes.
            options: ``yanked``, ``requires_python``, ``upload_time``, ``hashes``, ``size``: in place of
                what is worked out.
        """
        self._files[filename] = ServedFile(filename, data, **options)

    def remove(self, filename: str) -> None:
        """Offer a file no more."""
        del self._files[filename]

    def page(self, path: str, body: bytes | str, *, status: int = 200, **headers: str) -> None:
        """Answer a path with this body; underscores in the names of fields stand for dashes."""
        data = body.encode() if isinstance(body, str) else body
        self.pages[path] = Reply(status, data, {k.replace("_", "-"): v for k, v in headers.items()})

    def redirect(self, path: str, target: str, *, status: int = 302) -> None:
        """Answer a path with a redirect."""
        self.pages[path] = Reply(status, b"", {"Location": target})

    def fail(
        self,
        part: str = "",
        *,
        times: int = 1,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        truncate: int | None = None,
        reset: bool = False,
        stall: bool = False,
    ) -> None:
        """Let the next requests go wrong.

        Args:
            part: Only those whose path contains this.
            times: How many.
            status: Answer with this status.
            headers: Fields of that answer.
            truncate: Close the connection after so many bytes of the body.
            reset: Reset the connection instead of answering.
            stall: Send the head and nothing more until the index is closed.
        """
        fault = Fault(part, times)
        fault.status, fault.truncate, fault.reset, fault.stall = status, truncate, reset, stall
        fault.headers = dict(headers or {})
        with self._lock:
            self._faults.append(fault)

    def count(self, part: str = "") -> int:
        """Return how many requests had this text in their path."""
        with self._lock:
            return sum(part in asked.path for asked in self.requests)

    def forget(self) -> None:
        """Empty the list of requests."""
        with self._lock:
            self.requests.clear()

    # -- for the handler ----------------------------------------------------------------------

    def next_fault(self, path: str) -> Fault | None:
        """Return what is to go wrong with a request."""
        with self._lock:
            for fault in self._faults:
                if fault.left and fault.part in path:
                    fault.left -= 1
                    return fault
        return None

    def note(self, asked: Asked) -> None:
        """Take a request down."""
        with self._lock:
            self.requests.append(asked)

    def answer(self, asked: Asked) -> Reply:
        """Work out the answer to a request."""
        path = asked.path
        if self.login is not None:
            expected = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
            if asked.headers.get("authorization") != expected:
                return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="index"'})
        if path in self.pages:
            return self.pages[path]
        if path.startswith("/files/"):
            return self._file(unquote(path.removeprefix("/files/")), asked)
        match = re.fullmatch(r"/simple/([^/]+)/", path)
        files = [f for f in self._files.values() if match is not None and f.project == match[1]]
        if match is None or not files:
            return Reply(404)
        return self._page(match[1], files, asked)

    def _page(self, project: str, files: list[ServedFile], asked: Asked) -> Reply:
        is_json = self.as_json and "json" in asked.headers.get("accept", "")
        body = self._json(project, files) if is_json else self._html(files)
        kind = "application/vnd.pypi.simple.v1+json" if is_json else "text/html; charset=utf-8"
        headers = {"Content-Type": kind}
        if self.cache_control is not None:
            headers["Cache-Control"] = self.cache_control
        if self.etag:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if asked.headers.get("if-none-match") == headers["ETag"]:
                return Reply(304, b"", headers)
        if self.gzipped and "gzip" in asked.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
        return Reply(200, body, headers)

    def _describe(self, file: ServedFile) -> dict[str, object]:
        """What a page says of a file, in the terms of PEP 691."""
        about: dict[str, object] = {
            "filename": file.filename,
            "url": f"../../files/{quote(file.filename)}",
            "hashes": {"sha256": hashlib.sha256(file.data).hexdigest()},
            "size": len(file.data),
            "yanked": False,
        }
        match = _REQUIRES_PYTHON.search(file.metadata or b"")
        if match is not None:
            about["requires-python"] = match[1].decode()
        if file.metadata is not None and self.core_metadata != "absent":
            digest = {"sha256": hashlib.sha256(file.metadata).hexdigest()}
            about["core-metadata"] = digest if self.core_metadata == "on" else False
        about.update({name.replace("_", "-"): value for name, value in file.options.items()})
        return about

    def _json(self, project: str, files: list[ServedFile]) -> bytes:
        page: dict[str, object] = {
            "meta": {"api-version": "1.1"},
            "name": project,
            "files": [self._describe(file) for file in files],
        }
        if self.status:
            page["project-status"] = {"status": self.status}
        return json.dumps(page).encode()

    def _html(self, files: list[ServedFile]) -> bytes:
        status = f'<meta name="pypi:project-status" content="{self.status}">' if self.status else ""
        lines = [f"<!DOCTYPE html><html><head>{status}</head><body>"]
        lines += [_anchor(self._describe(file)) for file in files]
        return "\n".join([*lines, "</body></html>"]).encode()

    def _file(self, name: str, asked: Asked) -> Reply:
        file = self._files.get(name.removesuffix(".metadata"))
        data = file.data if file is not None else None
        if file is not None and name.endswith(".metadata"):
            data = file.metadata if self.serves_metadata else None
        if data is None:
            return Reply(404)
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"'}
        match = _RANGE(asked.headers.get("range", "")) if self.ranges else None
        is_same = asked.headers.get("if-range", headers["ETag"]) == headers["ETag"]
        if match is None or not is_same:
            return Reply(200, data, headers)
        first = int(match[1]) if match[1] else max(0, len(data) - int(match[2]))
        last = min(len(data) - 1, int(match[2])) if match[1] and match[2] else len(data) - 1
        if first > last:
            return Reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return Reply(206, data[first : last + 1], headers)


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    # Many clients at once are what it is for.
    request_queue_size = 256

    def __init__(self, index: LoopbackIndex) -> None:
        self.index = index
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def hang_up(self) -> None:
        """Close what clients keep open; their threads end with it."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed by the client

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what is being tested."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  # the only one that makes it

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)
        self.server.index.connections_made += 1

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
        """Print nothing."""

    def do_GET(self) -> None:  # the name in the base class
        index = self.server.index
        asked = Asked(self.path, dict(self.headers.items()))
        index.note(asked)
        if index.latency:
            time.sleep(index.latency)
        fault = index.next_fault(self.path)
        if fault is not None and fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if fault is not None and fault.status is not None:
            self._send(Reply(fault.status, b"", fault.headers), None)
            return
        self._send(index.answer(asked), fault)

    def do_CONNECT(self) -> None:
        """Be a proxy: pass bytes on both ways until either side hangs up."""
        asked = Asked(self.path, dict(self.headers.items()))
        index = self.server.index
        index.note(asked)
        fault = index.next_fault(self.path)
        self.close_connection = True
        if fault is not None and fault.status is not None:
            self.send_error(fault.status)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as target:
            self.send_response(200)
            self.end_headers()
            ways = {self.connection: target, target: self.connection}
            with selectors.DefaultSelector() as ready:
                for way in ways:
                    ready.register(way, selectors.EVENT_READ)
                while self._pass_on(ready, ways):
                    pass

    @staticmethod
    def _pass_on(ready: selectors.BaseSelector, ways: Mapping[socket.socket, socket.socket]) -> bool:
        for key, _ in ready.select(timeout=30):
            source = key.fileobj
            assert isinstance(source, socket.socket)
            data = source.recv(65536)
            if not data:
                return False
            ways[source].sendall(data)
        return True

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 304:
            self.send_header("Content-Length", str(len(reply.body)))
        body = reply.body
        if fault is not None and (fault.truncate is not None or fault.stall):
            body = body[: fault.truncate or 0]
            self.close_connection = True
        # Head and body in one piece: two would wait for each other.
        self._headers_buffer: list[bytes]
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()
        if fault is not None and fault.stall:
            self.connection.recv(1)  # until either side hangs up


def _contents(files: Mapping[str, bytes] | Path | str | None) -> Mapping[str, bytes]:
    if files is None:
        return {}
    if isinstance(files, str | Path):
        found = sorted(path for path in Path(files).iterdir() if path.is_file())
        return {p.name: p.read_bytes() for p in found if p.name.endswith((".whl", ".tar.gz", ".zip"))}
    return files


def _read_metadata(filename: str, data: bytes) -> bytes | None:
    if not filename.endswith(".whl"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            return archive.read(names[0]) if names else None
    except zipfile.BadZipFile:
        return None


def _anchor(about: Mapping[str, object]) -> str:
    hashes = about["hashes"]
    assert isinstance(hashes, dict)
    fragment = next((f"#{name}={digest}" for name, digest in hashes.items()), "")
    attributes = {"href": f"{about['url']}{fragment}"}
    if about.get("requires-python"):
        attributes["data-requires-python"] = str(about["requires-python"])
    if about["yanked"] is not False:
        attributes["data-yanked"] = "" if about["yanked"] is True else str(about["yanked"])
    metadata = about.get("core-metadata")
    if metadata is not None:
        text = "false" if metadata is False else "true"
        attributes["data-core-metadata"] = (
            f"sha256={metadata['sha256']}" if isinstance(metadata, dict) else text
        )
    rendered = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<a {rendered}>{html.escape(str(about['filename']))}</a><br>"
