"""Connections of urllib3 that another thread can wake while they are blocked."""

from __future__ import annotations

import contextlib
import socket
import ssl
from contextvars import ContextVar

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from puffin_api._concurrency import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib3._base_connection import BaseHTTPConnection


class Exchange:
    """The socket that one request uses at the moment. `wake` may be called from any thread."""

    __slots__ = ("_lock", "_socket", "woken")

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self.woken = False

    def hold(self, sock: socket.socket | None) -> None:
        """Take note of the socket in use, None when it belongs to the pool again."""
        with self._lock:
            self._socket = sock
            if self.woken and sock is not None:
                _shut_down(sock)

    def wake(self) -> None:
        """Make every read and write fail, the one under way included; the socket is of no use then."""
        with self._lock:
            self.woken = True
            if self._socket is not None:
                _shut_down(self._socket)


current: ContextVar[Exchange | None] = ContextVar("puffin_api_exchange", default=None)
"""The exchange that this thread is in: urllib3 has no way to hand it down to its connections."""


def _shut_down(sock: socket.socket) -> None:
    # Not the method of TLS sockets: that one would first take their state away from the reader.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class WakeableTlsSocket(ssl.SSLSocket):
    """A TLS socket that can be woken during its handshake too."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as in the base class
        exchange = current.get()
        if exchange is not None:
            exchange.hold(self)
        super().do_handshake(block)


def _connect(connection: HTTPConnection) -> socket.socket:
    """Open the TCP connection as urllib3 would, but let the exchange see the socket before it blocks."""
    exchange = current.get()
    host, port = connection.host.strip("[]"), connection.port
    try:
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        bad_name = socket.gaierror(socket.EAI_NONAME, str(error))
        cause = error if isinstance(error, socket.gaierror) else bad_name
        raise NameResolutionError(host, connection, cause) from error
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            if isinstance(connection.timeout, int | float):
                sock.settimeout(connection.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if exchange is not None:
                exchange.hold(sock)
            sock.connect(address)
        except OSError as error:
            failure = error
            sock.close()
        else:
            return sock
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"no answer from {host} in time") from failure
    raise NewConnectionError(connection, str(failure)) from failure


class _PlainConnection(HTTPConnection):
    exchange: Exchange | None = None

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _TlsConnection(HTTPSConnection):
    exchange: Exchange | None = None

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _Wakeable(HTTPConnectionPool):
    """Tells the exchange which connection it was given, and when that is the pool's again."""

    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        connection = super()._get_conn(timeout)
        exchange = current.get()
        if exchange is not None and isinstance(connection, _PlainConnection | _TlsConnection):
            connection.exchange = exchange
            exchange.hold(connection.sock)
        return connection

    def _put_conn(self, conn: BaseHTTPConnection | None) -> None:
        if isinstance(conn, _PlainConnection | _TlsConnection) and conn.exchange is not None:
            conn.exchange.hold(None)
            conn.exchange = None
        super()._put_conn(conn)


class PlainPool(_Wakeable):
    """Connections to one origin over TCP."""

    ConnectionCls = _PlainConnection  # pyright: ignore[reportAssignmentType]  # as urllib3 itself does it


class TlsPool(_Wakeable, HTTPSConnectionPool):
    """Connections to one origin over TLS."""

    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]  # as urllib3 itself does it

    def _validate_conn(self, conn: BaseHTTPConnection) -> None:
        # Without the warning about hosts that are not verified: the caller has named them as such.
        if conn.is_closed:
            conn.connect()
