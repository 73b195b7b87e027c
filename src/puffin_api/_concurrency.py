"""Threads, in one place: a bounded pool, do-it-once maps, and the event pump of a call."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from typing import Generic, TypeVar

from puffin_api.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from typing import Protocol

    class Token(Protocol):
        """What waiting needs of a cancel token."""

        def check(self) -> None: ...
        def remaining(self) -> float | None: ...
        def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]: ...


T = TypeVar("T")
K = TypeVar("K", bound="Hashable")
S = TypeVar("S")

Lock = threading.Lock
thread_id = threading.get_ident
"""For the few places outside this module that guard a field of their own."""

_PROGRESS_SECONDS = 0.1
"""At most ten progress events a second for each task."""
_POLL_SECONDS = 60.0
"""A wait wakes on its own now and then, so that a lost wake-up could only delay."""


class Task(Generic[T]):
    """The result or failure of one piece of work, once it is there."""

    __slots__ = ("_callbacks", "_done", "_error", "_lock", "_value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._done = False
        self._value: T | None = None
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        """True once ``result`` returns or raises at once."""
        return self._done

    def result(self) -> T:
        """Return the value, or raise the error, of a task that is done."""
        assert self._done, "the task is not done"
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set together with _done

    def succeed(self, value: T) -> None:
        """Finish with a value; only the first finish counts."""
        self._finish(value, None)

    def fail(self, error: BaseException) -> None:
        """Finish with an error; only the first finish counts."""
        self._finish(None, error)

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call back once, from whatever thread finishes; at once where it is done already."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback()

    def wait(self) -> T:
        """Block this thread until done. For workers; callers wait through their pump."""
        if not self._done:
            waiter = threading.Event()
            self.on_done(waiter.set)
            waiter.wait()
        return self.result()

    def _finish(self, value: T | None, error: BaseException | None) -> None:
        with self._lock:
            if self._done:
                return
            self._value, self._error = value, error
            self._done = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


def finished(value: T) -> Task[T]:
    """Return a task that is done already."""
    task: Task[T] = Task()
    task.succeed(value)
    return task


class WorkerPool:
    """At most ``size`` daemon threads, started when needed; ``close`` ends them.

    Work is done in the order of submission, urgent work first. A pool may be shared by many callers.
    """

    def __init__(self, size: int, *, name: str = "puffin") -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._work: deque[tuple[Callable[[], None], Callable[[BaseException], None]]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, call: Callable[[], T], *, urgent: bool = False) -> Task[T]:
        """Queue a call; its result or failure arrives in the task.

        Args:
            urgent: Somebody is waiting: take it before all that is queued.
        """
        task: Task[T] = Task()

        def run() -> None:
            try:
                value = call()
            except BaseException as error:  # noqa: BLE001  # not swallowed: it is the task's result
                task.fail(error)
            else:
                task.succeed(value)

        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            if urgent:
                self._work.appendleft((run, task.fail))
            else:
                self._work.append((run, task.fail))
            if self._idle >= len(self._work):
                self._ready.notify()
            elif len(self._threads) < self._size:
                self._start_thread()
        return task

    def map(
        self,
        call: Callable[[S], T],
        items: Iterable[S],
        *,
        pump: Pump,
        on_failure: Callable[[], None] | None = None,
    ) -> list[T]:
        """Call once for each item, in parallel; the results in the order of the items.

        An error is raised as soon as it is met: items that have not begun are dropped, and those under
        way are waited for.

        Args:
            call: What is done.
            items: For what.
            pump: That of the call.
            on_failure: Asks those under way to stop.
        """
        stop = threading.Event()
        tasks = [self.submit(_unless(stop, call, item)) for item in items]
        try:
            for task in tasks:
                pump.wait(task)
        except BaseException:
            stop.set()
            if on_failure is not None:
                on_failure()
            for task in tasks:
                pump.settle(task)
            raise
        return [result for task in tasks for result in task.result()]

    def close(self) -> None:
        """Finish what is under way, fail what has not begun, and end the threads."""
        with self._lock:
            self._closed = True
            dropped, self._work = self._work, deque()
            self._ready.notify_all()
            threads = list(self._threads)
        for _, fail in dropped:
            fail(Cancelled("Closed before the work began", reason="closed"))
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                while not self._work:
                    if self._closed:
                        return
                    self._idle += 1
                    self._ready.wait()
                    self._idle -= 1
                run, _ = self._work.popleft()
            run()


def _unless(stop: threading.Event, call: Callable[[S], T], item: S) -> Callable[[], Sequence[T]]:
    """Return the call as a thunk that gives one result, or none when it is too late to begin."""

    def run() -> Sequence[T]:
        return () if stop.is_set() else (call(item),)

    return run


class OnceMap(Generic[K, T]):
    """Does each piece of work once; everyone who asks gets the same result or the same failure."""

    def __init__(self) -> None:
        self._tasks: dict[K, Task[T]] = {}
        self._lock = threading.Lock()

    def claim(self, key: K) -> tuple[Task[T], bool]:
        """Return the task of a key, and whether the caller is the one who must finish it."""
        task = self._tasks.get(key)
        if task is not None:
            return task, False
        with self._lock:
            task = self._tasks.get(key)
            if task is not None:
                return task, False
            task = self._tasks[key] = Task()
            return task, True

    def get(self, key: K) -> Task[T] | None:
        """Return the task of a key that somebody has claimed."""
        return self._tasks.get(key)

    def forget(self, key: K, task: Task[T] | None = None) -> None:
        """Let the next caller do the work again (only if the key still has this task)."""
        with self._lock:
            if task is None or self._tasks.get(key) is task:
                self._tasks.pop(key, None)

    def run(self, key: K, call: Callable[[], T]) -> T:
        """Return the result for the key, from this thread's work or from another's."""
        task, mine = self.claim(key)
        if mine:
            try:
                task.succeed(call())
            except BaseException as error:
                task.fail(error)
                raise
        return task.wait()

    def __len__(self) -> int:
        return len(self._tasks)


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
