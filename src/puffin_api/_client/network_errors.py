"""What failed on the way, as the network errors of this library."""

from __future__ import annotations

import socket
import ssl
from http import HTTPStatus

from urllib3 import exceptions as failures

from puffin_api._urls import origin, redact
from puffin_api.errors import (
    AuthenticationRequired,
    ConnectFailed,
    Forbidden,
    NetworkError,
    ProxyFailed,
    RateLimited,
    ServerError,
    TimedOut,
    TlsVerificationFailed,
)


class Failed(Exception):
    """One try has failed; ``final`` where another would fail just so."""

    def __init__(self, error: NetworkError, *, final: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.final = final


def translate(error: Exception, url: str) -> Failed:
    """Return what an exception of urllib3 or the sockets below it means to the caller."""
    url = redact(url)
    reason = _reason(error)
    if isinstance(error, failures.ProxyError):
        has_refused = "Tunnel connection failed: 4" in str(error.original_error)
        return Failed(ProxyFailed(f"The proxy gave no way to {url}: {reason}", url=url), final=has_refused)
    certificate = _caused_by(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        return Failed(_untrusted(url, certificate), final=True)
    is_refused = isinstance(error, failures.NewConnectionError)  # which urllib3 counts as a time-out too
    if isinstance(error, failures.ConnectTimeoutError) and not is_refused:
        return Failed(TimedOut(f"No connection to {url} in time", url=url, phase="connect"))
    if isinstance(error, failures.TimeoutError | TimeoutError) and not is_refused:
        return Failed(TimedOut(f"{url} sent nothing for too long", url=url, phase="idle"))
    return Failed(ConnectFailed(f"{url} cannot be read: {reason}", url=url), final=_is_final(error))


def for_status(status: int, url: str, retry_after: float | None = None) -> NetworkError:
    """Return the error for a status that is of no use to the caller."""
    url = redact(url)
    if status == 401:
        return AuthenticationRequired(
            f"{url} asks for a user name and a password",
            hint="Give credentials for this origin, or check those that were given.",
            url=url,
            origin=origin(url),
        )
    if status == 403:
        return Forbidden(f"{url} refuses access (403)", url=url)
    if status == 407:
        return ProxyFailed(f"The proxy on the way to {url} asks for a login (407)", url=url)
    if status == 429:
        return RateLimited(f"{url} asks us to come back later (429)", url=url, retry_after=retry_after)
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    return ServerError(f"{url} answered {phrase}", url=url, status=status)


def _untrusted(url: str, error: BaseException) -> TlsVerificationFailed:
    host = origin(url).partition("://")[2]
    why = getattr(error, "verify_message", "") or str(error)
    return TlsVerificationFailed(
        f"The certificate of {host} is not trusted: {why}",
        hint="Give the bundle of certificates that you trust as `Tls(ca_bundle=...)`.",
        url=url,
        host=host,
    )


def _reason(error: BaseException) -> str:
    """Return the innermost message: urllib3 wraps it in texts that name objects."""
    inner = error.__cause__ or error.__context__
    for argument in error.args:
        inner = argument if isinstance(argument, BaseException) else inner
    if inner is not None and isinstance(error, failures.HTTPError):
        return _reason(inner)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _caused_by(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return seen
        nested = next((a for a in seen.args if isinstance(a, BaseException)), None)
        seen = nested or seen.__cause__ or seen.__context__
    return None


def _is_final(error: Exception) -> bool:
    """Tell whether it is the address that is wrong, not the moment."""
    if isinstance(error, failures.LocationValueError):
        return True
    lookup = _caused_by(error, socket.gaierror)
    return lookup is not None and getattr(lookup, "errno", None) == socket.EAI_NONAME
