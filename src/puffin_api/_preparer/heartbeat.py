"""Signs of life from long work under a lock, for those who wait for it."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from puffin_api._concurrency import Pump, Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 1.0


class Heartbeat(Relay):
    """The pump of work under a lock. Whoever asks it whether to go on, as all long work does, is alive.

    Args:
        pump: That of the call.
        lock: The lock file: it is touched, once a second at most.
    """

    def __init__(self, pump: Pump, lock: Path) -> None:
        super().__init__(pump)
        self._lock = lock
        self._beaten = time.monotonic()

    def check(self) -> None:
        """Raise when the caller has cancelled."""
        super().check()
        now = time.monotonic()
        if now - self._beaten >= _SECONDS:
            self._beaten = now
            with suppress(OSError):  # a file system without such times: then there is a limit
                os.utime(self._lock)
