"""Bodies of responses: decoded, bounded, read again when a connection breaks in the middle."""

from __future__ import annotations

import zlib

from puffin_api._urls import redact
from puffin_api.errors import ConnectFailed, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeVar

    from puffin_api._client.retry import Retries
    from puffin_api._model.cancel import CancelToken
    from puffin_api.protocols import Response, Transport

    T = TypeVar("T")

LONGEST_PAGE = 512 * 1024 * 1024
"""No page of an index is larger, also when unpacked: a server must not fill our memory."""


def exchange(
    transport: Transport,
    url: str,
    headers: Mapping[str, str],
    consume: Callable[[Response], T],
    *,
    retries: Retries,
    cancel: CancelToken | None = None,
) -> T:
    """Open a URL and consume the response; once more from the start when its body breaks off.

    The transport repeats what fails before a body; what breaks inside one is repeated here.
    """
    attempt = 0
    while True:
        attempt += 1
        is_open = False
        try:
            with transport.open(url, headers=headers, cancel=cancel) as response:
                is_open = True
                return consume(response)
        except (ConnectFailed, TimedOut):
            if not is_open or not retries.wait(attempt, cancel=cancel):
                raise


def read_body(response: Response, *, longest: int = LONGEST_PAGE) -> bytes:
    """Return the whole body with its content encoding undone.

    Raises:
        ConnectFailed: It is cut short, damaged, or longer than allowed.
    """
    pieces: list[bytes] = []
    size = 0
    for piece in decoded(response):
        size += len(piece)
        if size > longest:
            raise _broken(response, f"is longer than {longest} bytes")
        if piece:  # one piece alone is not copied
            pieces.append(piece)
    return b"".join(pieces)


def decoded(response: Response) -> Iterator[bytes]:
    """Give the body piece by piece with its content encoding undone."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return response.chunks()
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _inflated(response)
    raise _broken(response, f"came in the encoding {encoding!r}, which was not asked for")


def _inflated(response: Response) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out whether it is gzip or zlib
    try:
        for chunk in response.chunks():
            data = chunk
            while data:  # a megabyte at a time: what is small on the wire may be huge
                yield inflater.decompress(data, 1 << 20)
                data = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise _broken(response, f"is damaged ({error})") from error
    if not inflater.eof:
        raise _broken(response, "is cut short")


def _broken(response: Response, what: str) -> ConnectFailed:
    url = redact(response.url)
    return ConnectFailed(f"The body of {url} {what}", url=url)
