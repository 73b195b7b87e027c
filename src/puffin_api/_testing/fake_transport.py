"""FakeTransport: a `Transport` that answers from a dictionary and notes what it was asked."""

from __future__ import annotations

from contextlib import contextmanager

from puffin_api._concurrency import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from puffin_api._model.cancel import CancelToken
    from puffin_api.protocols import Response


class FakeResponse:
    """An answer to one request.

    Args:
        body: The bytes, or the pieces in which they come.
        status: HTTP status.
        headers: Fields; names in lower case.
        url: Where the answer comes from, if not from where it was asked for.
        breaks: Raised after the body, as when a connection breaks.
    """

    def __init__(
        self,
        body: bytes | list[bytes] = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        url: str = "",
        breaks: BaseException | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.headers: Mapping[str, str] = dict(headers or {})
        self.url = url
        self.breaks = breaks

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        """Give the body."""
        pieces = [self.body] if isinstance(self.body, bytes) else self.body
        for piece in pieces:
            for start in range(0, len(piece), size):
                yield piece[start : start + size]
        if self.breaks is not None:
            raise self.breaks

    def at(self, url: str) -> FakeResponse:
        """Return the same answer, from this URL unless it names another."""
        return FakeResponse(
            self.body, status=self.status, headers=self.headers, url=self.url or url, breaks=self.breaks
        )


class FakeTransport:
    """Answers each URL with what a test has put there; 404 for all others.

    An answer is the body, a `FakeResponse`, an exception to raise, a function of URL and headers, or a
    list of these, used up one by one, the last of which stays.

    >>> transport = FakeTransport({"https://index.invalid/simple/flask/": b"{}"})
    """

    def __init__(self, answers: Mapping[str, object] | None = None) -> None:
        self.answers: dict[str, object] = dict(answers or {})
        self.requests: list[tuple[str, dict[str, str]]] = []
        """URL and fields of each request, in order."""
        self.is_closed: bool = False
        self._lock = Lock()

    @contextmanager
    def open(
        self, url: str, *, headers: Mapping[str, str], cancel: CancelToken | None = None
    ) -> Generator[Response]:
        """Answer a request."""
        if cancel is not None:
            cancel.check()
        with self._lock:
            self.requests.append((url, dict(headers)))
            answer = self.answers.get(url, FakeResponse(status=404))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(url, headers)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, bytes):
            answer = FakeResponse(answer)
        assert isinstance(answer, FakeResponse), f"{answer!r} is no answer"
        yield answer.at(url)

    def close(self) -> None:
        """Take note."""
        self.is_closed = True

    def count(self, part: str) -> int:
        """Return how many requests had this text in their URL."""
        return sum(part in url for url, _ in self.requests)
