"""Pump: the events of a call, delivered on the thread that called."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from typing import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from puffin_api._concurrency.tasks import Task

    class Token(Protocol):
        """What waiting needs of a cancel token."""

        def check(self) -> None: ...
        def remaining(self) -> float | None: ...
        def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]: ...


T = TypeVar("T")

_PROGRESS_SECONDS = 0.1
"""At most ten progress events a second for each task."""
_POLL_SECONDS = 60.0
"""A wait wakes on its own now and then, so that a lost wake-up could only delay."""


class Pump:
    """The events of one call of the public API, delivered on the thread that called.

    Workers ``send``; the caller delivers whatever has come whenever it waits for a task or looks
    whether it is cancelled, and once more at the end. Ctrl-C and the cancel token act there too.
    """

    def __init__(self, deliver: Callable[[object], None] | None = None, cancel: Token | None = None) -> None:
        self._deliver = deliver
        self._cancel = cancel
        self._thread = threading.get_ident()
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._open: dict[int, Callable[[], object]] = {}
        self._last: dict[int, float] = {}
        self._ids = itertools.count(1)
        self._closed = False
        self._counting = threading.Lock()
        self.received: int = 0
        """Bytes of files that were received for the call."""
        self.silent: bool = deliver is None
        """True where nobody listens: senders may save themselves the making of events."""

    def check(self) -> None:
        """Raise when the caller has cancelled. For any thread; on the caller's own, deliver events first.

        Work that never waits would keep its events to itself: whoever may be stopped here may also
        be heard here.
        """
        if self._deliver is not None and threading.get_ident() == self._thread:
            self.deliver()
        if self._cancel is not None:
            self._cancel.check()

    @property
    def cancel(self) -> Token | None:
        """The token of the call."""
        return self._cancel

    def note_received(self, count: int) -> None:
        """Add to the bytes that were received. For any thread."""
        with self._counting:
            self.received += count

    def send(self, event: object) -> None:
        """Queue an event for delivery. For any thread."""
        if not self.silent and not self._closed:
            self._inbox.put(event)

    def begin(self, make: Callable[[int], object], unfinished: Callable[[int], object]) -> int:
        """Send a started event; returns the number of the task.

        Args:
            make: Gives the started event for a task number.
            unfinished: Gives the finished event, should the call end before the task does.
        """
        task = next(self._ids)
        if not self.silent:
            self._open[task] = lambda: unfinished(task)
            self.send(make(task))
        return task

    def progress(self, task: int, make: Callable[[], object]) -> None:
        """Send a progress event unless the task has sent one within the last tenth of a second."""
        if self.silent:
            return
        now = time.monotonic()
        if now - self._last.get(task, 0.0) >= _PROGRESS_SECONDS and task in self._open:
            self._last[task] = now
            self.send(make())

    def end(self, task: int, event: Callable[[], object]) -> None:
        """Send the finished event of a task, once."""
        if self._open.pop(task, None) is not None:
            self._last.pop(task, None)
            self.send(event())

    def wait(self, task: Task[T]) -> T:
        """Deliver events until the task is done; its result or failure.

        Raises:
            Cancelled: The caller's token was thrown; the task may still be running.
        """
        if not task.done:
            self._await(task)
        elif not self.silent:
            self.deliver()
        return task.result()

    def settle(self, task: Task[T]) -> None:
        """Wait until the task is over, whatever becomes of it, cancelled or not."""
        if not task.done:
            waiter = threading.Event()
            task.on_done(waiter.set)
            waiter.wait()

    def deliver(self) -> None:
        """Hand over what has come so far. For the calling thread only."""
        if self._deliver is None:
            return
        while True:
            try:
                event = self._inbox.get_nowait()
            except queue.Empty:
                return
            if event is not None:
                self._deliver(event)

    def close(self) -> None:
        """End the stream: tasks still open get their finished event, later ones are dropped."""
        for task in list(self._open):
            unfinished = self._open.pop(task, None)
            if unfinished is not None:
                self.send(unfinished())
        self._closed = True
        self._deliver_rest()

    def _deliver_rest(self) -> None:
        """Deliver all that is left: what was heard to begin is heard to end, even by one that raises."""
        failure: BaseException | None = None
        while True:
            try:
                self.deliver()
                break
            except BaseException as error:  # noqa: BLE001  # raised below
                failure = failure or error
        if failure is not None:
            raise failure

    def _await(self, task: Task[T]) -> None:
        # A silent pump may serve several threads at once: each has to get its own wake-up.
        inbox: queue.SimpleQueue[object] = queue.SimpleQueue() if self.silent else self._inbox
        wake = lambda: inbox.put(None)  # noqa: E731  # a thunk, used twice below
        task.on_done(wake)
        release = self._cancel.on_cancel(wake) if self._cancel is not None else None
        try:
            while not task.done:
                self.check()
                if not task.done:  # else what was delivered meanwhile had the wake-up among it
                    self._hand_over(self._next_event(inbox))
        finally:
            if release is not None:
                release()
        self.deliver()

    def _next_event(self, inbox: queue.SimpleQueue[object]) -> object:
        limit = self._cancel.remaining() if self._cancel is not None else None
        try:
            return inbox.get(timeout=_POLL_SECONDS if limit is None else min(limit, _POLL_SECONDS))
        except queue.Empty:
            return None

    def _hand_over(self, event: object) -> None:
        if event is not None and self._deliver is not None:
            self._deliver(event)


class Relay(Pump):
    """The pump of a worker that waits for others in its turn: events go on to the pump of the call.

    Args:
        pump: That of the call.
        cancel: Stops the worker; None for what stops the call.
    """

    def __init__(self, pump: Pump, cancel: Token | None = None) -> None:
        super().__init__(None, cancel or pump.cancel)
        self._call = pump
        self.silent = pump.silent

    def note_received(self, count: int) -> None:
        """Add to the bytes that were received, for the worker and for the call."""
        super().note_received(count)
        self._call.note_received(count)

    def send(self, event: object) -> None:
        """Queue an event for delivery on the thread of the call."""
        self._call.send(event)

    def begin(self, make: Callable[[int], object], unfinished: Callable[[int], object]) -> int:
        """Send a started event; returns the number of the task."""
        return self._call.begin(make, unfinished)

    def progress(self, task: int, make: Callable[[], object]) -> None:
        """Send a progress event, not too often."""
        self._call.progress(task, make)

    def end(self, task: int, event: Callable[[], object]) -> None:
        """Send the finished event of a task, once."""
        self._call.end(task, event)


SILENT = Pump()
"""For calls that nobody listens to and nobody can cancel."""
