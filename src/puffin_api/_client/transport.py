"""Urllib3Transport: HTTP over urllib3's connection pools, with our own redirects, retries and errors."""

from __future__ import annotations

import time
from contextlib import contextmanager
from urllib.parse import urljoin

from urllib3 import HTTPConnectionPool, ProxyManager
from urllib3 import exceptions as failures
from urllib3.util import Timeout, make_headers, parse_url

from puffin_api._client import network_errors
from puffin_api._client.auth import Credentials, basic
from puffin_api._client.connections import Exchange, PlainPool, TlsPool, current
from puffin_api._client.local_files import open_local
from puffin_api._client.network_errors import Failed
from puffin_api._client.retry import Retries
from puffin_api._client.trust import Trust
from puffin_api._concurrency import Lock
from puffin_api._model.options import Timeouts, Tls
from puffin_api._urls import origin, redact, split_credentials
from puffin_api.errors import Cancelled, ServerError, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager

    from urllib3 import BaseHTTPResponse

    from puffin_api._client.auth import Login
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.options import RetryPolicy
    from puffin_api.protocols import Response

MOST_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_MEANINGFUL = {200, 206, 304, 404, 410, 416}
_WORTH_A_RETRY = {408, 429, 500, 502, 503, 504, 520, 522, 524}
_CONNECTION_FAILURES = (failures.HTTPError, OSError, ValueError)
# Less than this is read to the end for the sake of the connection.
_SMALL_REST = 65536


class Urllib3Transport:
    """The `Transport` for real use: http, https and file. Many threads share one."""

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        tls: Tls | None = None,
        proxy: str | Callable[[str], str | None] | None = None,
        retries: RetryPolicy | Retries | None = None,
        timeouts: Timeouts | None = None,
        user_agent: str = "puffin-api",
        connections: int = 50,
    ) -> None:
        """Make a transport; nothing is opened or loaded before the first request.

        Args:
            credentials: Logins for URLs and origins.
            tls: Whom to trust.
            proxy: URL of the proxy for everything, or a function from an origin to it or None.
            retries: How often to try.
            timeouts: How long to wait.
            user_agent: How we call ourselves.
            connections: Kept open for each origin.
        """
        self._credentials = credentials or Credentials()
        self._trust = Trust(tls or Tls.system())
        self._proxy = proxy
        self._retries = retries if isinstance(retries, Retries) else Retries(retries)
        self._timeouts = timeouts or Timeouts()
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._connections = connections
        self._pools: dict[str, tuple[HTTPConnectionPool, bool]] = {}
        self._lock = Lock()
        self._live: set[Exchange] = set()
        self._closed = False

    def open(
        self, url: str, *, headers: Mapping[str, str], cancel: CancelToken | None = None
    ) -> AbstractContextManager[Response]:
        if url.startswith("file:"):
            return open_local(url, headers)
        return self._opened(url, headers, cancel)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            live, self._live = self._live, set()
            pools, self._pools = self._pools, {}
        for exchange in live:
            exchange.wake()
        for pool, _ in pools.values():
            pool.close()

    @contextmanager
    def _opened(
        self, url: str, headers: Mapping[str, str], cancel: CancelToken | None
    ) -> Generator[Response]:
        request = _Request(url, {**self._headers, **headers}, cancel, self._timeouts.total)
        with self._lock:
            self._live.add(request.exchange)
        release = cancel.on_cancel(request.exchange.wake) if cancel is not None else None
        try:
            response = self._persist(request)
            try:
                yield response
            finally:
                response.finish()
        finally:
            if release is not None:
                release()
            with self._lock:
                self._live.discard(request.exchange)

    def _persist(self, request: _Request) -> HttpResponse:
        """Try until an answer is of use or the tries are used up."""
        attempt = 0
        while True:
            attempt += 1
            self._check(request)
            try:
                response = self._follow(request)
            except Failed as failed:
                self._check(request)
                if failed.final or not self._retries.wait(attempt, cancel=request.cancel):
                    raise failed.error from failed.__cause__
                continue
            if response.status in _MEANINGFUL:
                return response
            asked = self._retries.retry_after(response.headers)
            response.finish()
            is_hopeless = response.status not in _WORTH_A_RETRY
            if is_hopeless or not self._retries.wait(attempt, asked=asked, cancel=request.cancel):
                raise network_errors.for_status(response.status, response.url, asked)

    def _follow(self, request: _Request) -> HttpResponse:
        """Send the request wherever redirects lead; a login is sent to the origin it is for only."""
        url, hops = request.url, 0
        while True:
            address, login = split_credentials(url)
            response = self._authenticate(request, address, login)
            location = response.headers.get("location", "")
            if response.status not in _REDIRECTS or not location:
                return response
            response.finish()
            hops += 1
            if hops > MOST_REDIRECTS:
                raise _refused(response, f"is the end of {MOST_REDIRECTS} redirects and leads to another")
            url = urljoin(address, location).partition("#")[0]
            if not url.startswith(("http://", "https://")):
                raise _refused(response, f"leads to {redact(url)}, which is no web address")

    def _authenticate(self, request: _Request, url: str, login: Login | None) -> HttpResponse:
        """Send once with what is given for the URL, and once more with what the provider says."""
        login = login or self._credentials.given(url) or self._credentials.remembered(url)
        response = self._send(request, url, login)
        if response.status == 401:
            other = self._credentials.asked(url)
            if other is not None and other != login:
                response.finish()
                response = self._send(request, url, other)
        return response

    def _send(self, request: _Request, url: str, login: Login | None) -> HttpResponse:
        place = origin(url)
        headers = request.headers_for(place)
        if login is not None:
            headers["Authorization"] = basic(login)
        token = current.set(request.exchange)
        try:
            pool, is_forwarded = self._pool(place)
            if is_forwarded:
                headers.update(getattr(pool, "proxy_headers", {}) or {})
            raw = pool.urlopen(
                "GET",
                url if is_forwarded else _target(url),
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout(request),
                preload_content=False,
                decode_content=False,
            )
        except _CONNECTION_FAILURES as error:
            raise network_errors.translate(error, url) from error
        finally:
            current.reset(token)
        return HttpResponse(raw, url, request, self._check)

    def _timeout(self, request: _Request) -> Timeout:
        left = request.left()
        connect, idle = self._timeouts.connect, self._timeouts.idle
        if left is not None:
            connect = left if connect is None else min(connect, left)
            idle = left if idle is None else min(idle, left)
        return Timeout(connect=connect, read=idle)

    def _check(self, request: _Request) -> None:
        """Raise where there is no sense in going on."""
        if request.cancel is not None:
            request.cancel.check()
        if self._closed:
            raise Cancelled("The client was closed", reason="closed")
        if request.left() == 0:
            url = redact(request.url)
            raise TimedOut(f"{url} was not answered completely in time", url=url, phase="total")

    def _pool(self, place: str) -> tuple[HTTPConnectionPool, bool]:
        """Return the connections to an origin, and whether they end at a proxy that forwards."""
        found = self._pools.get(place)
        if found is None:
            made = self._make_pool(place)
            with self._lock:
                found = self._pools.setdefault(place, made)
        return found

    def _make_pool(self, place: str) -> tuple[HTTPConnectionPool, bool]:
        parts = parse_url(place)
        is_tls = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not parts.host:
            raise failures.LocationValueError("it is no web address")
        proxy = self._proxy(place) if callable(self._proxy) else self._proxy
        if proxy is not None:
            return self._proxied(proxy, parts.scheme, parts.host, parts.port), not is_tls
        if is_tls:
            context = self._trust.context(parts.host, parts.port)
            return TlsPool(parts.host, parts.port, maxsize=self._connections, ssl_context=context), False
        return PlainPool(parts.host, parts.port, maxsize=self._connections), False

    def _proxied(self, proxy: str, scheme: str, host: str, port: int | None) -> HTTPConnectionPool:
        address, login = split_credentials(proxy if "://" in proxy else f"http://{proxy}")
        manager = ProxyManager(
            address,
            proxy_headers=make_headers(proxy_basic_auth=":".join(login)) if login else None,
            proxy_ssl_context=self._trust.context(host, port) if address.startswith("https:") else None,
            ssl_context=self._trust.context(host, port) if scheme == "https" else None,
            maxsize=self._connections,
        )
        manager.pool_classes_by_scheme = dict[str, type[HTTPConnectionPool]](http=PlainPool, https=TlsPool)
        return manager.connection_from_host(host, port, scheme)


class _Request:
    """What stays the same over the redirects and tries of one exchange."""

    __slots__ = ("_expires", "_headers", "_place", "cancel", "exchange", "url")

    def __init__(
        self, url: str, headers: dict[str, str], cancel: CancelToken | None, total: float | None
    ) -> None:
        self.url = url
        self.cancel = cancel
        self.exchange = Exchange()
        self._headers = headers
        self._place = origin(url)
        self._expires = None if total is None else time.monotonic() + total

    def headers_for(self, place: str) -> dict[str, str]:
        """Return the caller's fields; those that are secret only for the origin that he named."""
        if place == self._place:
            return dict(self._headers)
        return {k: v for k, v in self._headers.items() if k.lower() not in ("authorization", "cookie")}

    def left(self) -> float | None:
        """Return the seconds that are left for the whole exchange, 0 when they are over."""
        left = None if self._expires is None else max(0.0, self._expires - time.monotonic())
        deadline = self.cancel.remaining() if self.cancel is not None else None
        if deadline is None or left is None:
            return deadline if left is None else left
        return min(deadline, left)


class HttpResponse:
    """A response of urllib3 as the `Response` protocol wants it."""

    __slots__ = ("_check", "_raw", "_request", "headers", "status", "url")

    def __init__(
        self, raw: BaseHTTPResponse, url: str, request: _Request, check: Callable[[_Request], None]
    ) -> None:
        self._raw = raw
        self._request = request
        self._check = check
        self.status = raw.status
        self.url = url
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in raw.headers.items()}

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        try:
            for chunk in self._raw.stream(size, decode_content=False):
                self._check(self._request)
                yield chunk
        except _CONNECTION_FAILURES as error:
            self._check(self._request)
            raise network_errors.translate(error, self.url).error from error
        if self._request.exchange.woken:  # what looks like the end may be our own doing
            self._check(self._request)

    def finish(self) -> None:
        """Give the connection back; close it where more than a little was not read."""
        raw = self._raw
        try:
            left = raw.length_remaining
            if not self._request.exchange.woken and left is not None and left <= _SMALL_REST:
                raw.drain_conn()
        finally:
            # Does nothing to a connection that urllib3 has put back already.
            raw.close()
            raw.release_conn()


def _target(url: str) -> str:
    """Return path and query, which is what the server is asked for."""
    at = url.find("/", url.index("://") + 3)
    mark = url.find("?")
    if at < 0 or 0 <= mark < at:
        return "/" + (url[mark:] if mark >= 0 else "")
    return url[at:]


def _refused(response: HttpResponse, what: str) -> Failed:
    url = redact(response.url)
    return Failed(ServerError(f"{url} {what}", url=url, status=response.status), final=True)
