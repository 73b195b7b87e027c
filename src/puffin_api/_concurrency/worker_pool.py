"""WorkerPool: a bounded number of threads, and what becomes of the work that is given to them."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from typing import Any, TypeVar

from puffin_api._concurrency.tasks import Task
from puffin_api.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from puffin_api._concurrency.pump import Pump

S = TypeVar("S")
T = TypeVar("T")


class WorkerPool:
    """At most ``size`` daemon threads, started when needed; ``close`` ends them.

    Work is done in the order of submission, urgent work first. A pool may be shared by many callers.
    """

    def __init__(self, size: int, *, name: str = "puffin") -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._work: deque[tuple[Callable[[], None], Task[Any]]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._process = os.getpid()

    def submit(self, call: Callable[[], T], *, urgent: bool = False) -> Task[T]:
        """Queue a call; its result or failure arrives in the task.

        Args:
            urgent: Somebody is waiting: take it before all that is queued.

        Raises:
            RuntimeError: The pool is closed. In a forked child it always is: its threads are the parent's.
        """
        if self._is_elsewhere:  # before the lock, which a thread that is not here may hold
            raise RuntimeError("the pool is that of another process")
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
                self._work.appendleft((run, task))
            else:
                self._work.append((run, task))
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

        The first error, whichever item has it, is raised as soon as what is under way has ended: items that
        have not begun are dropped.

        Args:
            call: What is done.
            items: For what.
            pump: That of the call.
            on_failure: Asks those under way to stop.
        """
        wanted = list(items)
        outcome, tasks = _Outcome(len(wanted)), list[Task[T]]()
        try:
            for item in wanted:
                tasks.append(self._queue(outcome.unless_known(call, item)))
                outcome.depends_on(tasks[-1])
            pump.wait(outcome)
        except BaseException:
            self._withdraw(tasks)
            if on_failure is not None:
                on_failure()
            for task in tasks:
                pump.settle(task)
            raise
        return [task.result() for task in tasks]

    def close(self) -> None:
        """Finish what is under way, fail what has not begun, and end the threads."""
        if self._is_elsewhere:
            return
        with self._lock:
            self._closed = True
            dropped, self._work = self._work, deque()
            self._ready.notify_all()
            threads = list(self._threads)
        for _, task in dropped:
            task.fail(Cancelled("Closed before the work began", reason="closed"))
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    def _queue(self, call: Callable[[], T]) -> Task[T]:
        try:
            return self.submit(call)
        except RuntimeError as error:
            raise Cancelled("The client is closed", reason="closed") from error

    @property
    def _is_elsewhere(self) -> bool:
        return os.getpid() != self._process

    def _withdraw(self, tasks: Collection[Task[Any]]) -> None:
        """Fail those that have not begun: before them in the queue there may be long work of others."""
        if not tasks:
            return
        unwanted = set(tasks)
        with self._lock:
            dropped = [task for _, task in self._work if task in unwanted]
            self._work = deque(entry for entry in self._work if entry[1] not in unwanted)
        for task in dropped:
            task.fail(_too_late())

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Do one piece of work; False where there will be none.

        Called anew for each: no variable of a thread that waits may keep alive what it did last.
        """
        with self._lock:
            while not self._work:
                if self._closed:
                    return False
                self._idle += 1
                self._ready.wait()
                self._idle -= 1
            run, _ = self._work.popleft()
        run()
        return True


class _Outcome(Task[None]):
    """What becomes of several tasks: the first failure, or that all of them are done.

    Args:
        count: How many.
    """

    __slots__ = ("_count", "_successes")

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._successes = itertools.count(1)
        if count == 0:
            self.succeed(None)

    def depends_on(self, task: Task[Any]) -> None:
        """Learn from a task, in the thread that finishes it."""

        def learn() -> None:
            if task.failure is not None:
                self.fail(task.failure)
            elif next(self._successes) == self._count:
                self.succeed(None)

        task.on_done(learn)

    def unless_known(self, call: Callable[[S], T], item: S) -> Callable[[], T]:
        """Return the call as a thunk that does not begin once something has failed."""

        def run() -> T:
            if self.done:
                raise _too_late()
            return call(item)

        return run


def _too_late() -> Cancelled:
    return Cancelled("Dropped, as other work has failed", reason="other work has failed")
