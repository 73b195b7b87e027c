"""CancelToken: how a caller stops an operation at any moment."""

from __future__ import annotations

import time

from puffin_api.errors import Cancelled, DeadlineExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._concurrency import Token


class CancelToken:
    """A switch that any thread may throw, once; every operation looks at it often.

    Threads that cannot look (blocked in a socket, waiting for a child) are woken by the callbacks
    that the library registers for the time of the wait.
    """

    def __init__(self) -> None:
        self._cancelled = False
        self._reason = ""
        self._expires: float | None = None
        self._parents: tuple[CancelToken, ...] = ()
        self._callbacks: dict[object, Callable[[], None]] = {}

    @classmethod
    def deadline(cls, seconds: float) -> CancelToken:
        """Return a token that cancels itself after this many seconds from now."""
        token = cls()
        token._expires = time.monotonic() + seconds
        return token

    @classmethod
    def any(cls, *tokens: CancelToken) -> CancelToken:
        """Return a token that is cancelled as soon as one of these is."""
        token = cls()
        token._parents = tokens
        return token

    def cancel(self, reason: str = "") -> None:
        """Cancel; the first reason stays. May be called from any thread, also from a signal handler."""
        if self._cancelled:
            return
        self._reason = reason
        self._cancelled = True
        for callback in list(self._callbacks.values()):
            callback()

    @property
    def cancelled(self) -> bool:
        """True once cancelled, or past its deadline."""
        return self.cause() is not None

    def check(self) -> None:
        """Do nothing, or raise.

        Raises:
            Cancelled: The token was cancelled.
            DeadlineExceeded: Its time is over.
        """
        cause = self.cause()
        if cause is not None:
            raise cause

    def remaining(self) -> float | None:
        """Return the seconds to the nearest deadline, None where there is none."""
        times = [p.remaining() for p in self._parents]
        if self._expires is not None:
            times.append(max(0.0, self._expires - time.monotonic()))
        return min((t for t in times if t is not None), default=None)

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once on ``cancel`` (at once where it has happened); returns how to take it back.

        A deadline does not call back: waiters bound their waits by ``remaining()``.
        """
        key = object()
        releases = [parent.on_cancel(callback) for parent in self._parents]
        self._callbacks[key] = callback  # one atomic step; cancel() copies before it calls
        if self._cancelled:
            callback()

        def release() -> None:
            self._callbacks.pop(key, None)
            for undo in releases:
                undo()

        return release

    def cause(self) -> Cancelled | None:
        """Return the error that ``check`` raises, None where it does nothing."""
        if self._cancelled:
            text = f"Cancelled: {self._reason}" if self._reason else "Cancelled"
            return Cancelled(text, reason=self._reason)
        if self._expires is not None and time.monotonic() >= self._expires:
            return DeadlineExceeded("The deadline has passed", reason="deadline")
        return next((c for c in (p.cause() for p in self._parents) if c is not None), None)


def stoppable(cancel: Token | None) -> tuple[CancelToken, CancelToken]:
    """Return a switch, and the token for work that ends by the switch or by what a caller gave.

    Args:
        cancel: The token of a call.
    """
    switch = CancelToken()
    if cancel is None:
        return switch, switch
    return switch, CancelToken.any(switch, cancel)  # type: ignore[arg-type]  # the one kind there is
