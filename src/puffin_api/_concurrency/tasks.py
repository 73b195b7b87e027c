"""Task: the result or failure of one piece of work; OnceMap: each piece of work done once."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")
K = TypeVar("K", bound="Hashable")


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

    @property
    def failure(self) -> BaseException | None:
        """The error of a task that is done; None where it has a value."""
        return self._error

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
