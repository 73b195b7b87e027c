"""Trying again: how often, after how long, and a pause that a cancel ends at once."""

from __future__ import annotations

import queue
import random
import time
from email.utils import parsedate_to_datetime

from puffin_api._model.options import RetryPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from puffin_api._model.cancel import CancelToken

    Sleep = Callable[[float, "CancelToken | None"], None]


def pause(seconds: float, cancel: CancelToken | None) -> None:
    """Sleep, but no longer than until the token is thrown or its deadline is over."""
    if cancel is None:
        time.sleep(seconds)
        return
    woken: queue.SimpleQueue[None] = queue.SimpleQueue()
    release = cancel.on_cancel(lambda: woken.put(None))
    try:
        left = cancel.remaining()
        woken.get(timeout=seconds if left is None else min(seconds, left))
    except queue.Empty:
        pass  # slept through
    finally:
        release()
    cancel.check()


class Retries:
    """Decides whether and when a failed exchange is tried again; time and chance can be put in."""

    __slots__ = ("_chance", "_clock", "_sleep", "policy")

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        sleep: Sleep = pause,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self._sleep = sleep
        self._clock = clock
        self._chance = chance

    def wait(self, attempt: int, *, asked: float | None = None, cancel: CancelToken | None = None) -> bool:
        """Wait for the next try; False where there is none.

        Args:
            attempt: How many tries there have been.
            asked: Seconds that the server wants to be left alone; too many end the tries.
            cancel: Ends the wait.
        """
        policy = self.policy
        if attempt >= policy.attempts or (asked is not None and asked > policy.longest):
            return False
        # Half of it by chance, so that many clients that failed together do not come back together.
        delay = min(policy.backoff * 2 ** (attempt - 1), policy.longest) * (0.5 + 0.5 * self._chance())
        self._sleep(max(delay, asked or 0.0), cancel)
        return True

    def retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Return the seconds that ``Retry-After`` asks for, as a number or as a date; None without it."""
        text = headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._clock())
        except (ValueError, OverflowError):
            return None
