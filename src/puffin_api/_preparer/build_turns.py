"""Turns: work on sources is done once, by one call and one process, and nobody waits in a circle.

A build that needs another one holds its own lock while it waits for the other's. Each such wait is noted
beside the lock that the waiting call holds, so that all processes can follow who waits for whom::

    call 1:  holds A, waits for B        .locks/A.waits  "B"
    call 2:  holds B, waits for A        .locks/B.waits  "A"      from B to A, which call 2 waits for

Who finds a circle waits no longer but does the work itself: its own stack of builds then names the cycle.
"""

from __future__ import annotations

import contextlib
import copy
import os

from puffin_api._concurrency import OnceMap, Pump, Task, thread_id
from puffin_api._fs import write_atomic
from puffin_api.errors import Cancelled, PuffinError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol, TypeGuard, TypeVar

    from puffin_api._concurrency import Token

    T = TypeVar("T")
    S = TypeVar("S")

    class Check(Protocol):
        """Raises where a wait should end."""

        def check(self) -> None: ...

    Hold = Callable[[Check], AbstractContextManager[None]]
    """Takes a lock between processes; what it is given may end the wait for it."""


_LOOK_SECONDS = 0.1
"""How often a call that holds something looks whether it waits in a circle."""


class BuildTurns:
    """Lets work be done by one call at a time. Many threads may ask."""

    def __init__(self) -> None:
        self._under_way: OnceMap[Hashable, object] = OnceMap()
        self._notes = _WaitNotes()

    def run(self, key: Hashable, lock: Path, hold: Hold, pump: Pump, work: Callable[[], T]) -> T:
        """Return the result of some work, from this call or from the one that does it already.

        Args:
            key: Of the work; calls with equal keys share its result, or the error that it ends with.
            lock: The file that processes lock for it.
            hold: Locks that file.
            pump: That of the call.
            work: Does it.
        """
        while True:
            pump.check()
            task, mine = self._under_way.claim(key)
            if mine:
                return self._do(key, task, lambda: self._with_lock(lock, hold, pump, work))
            try:
                self._wait(task, lock, pump)
            except _Circle:
                return work()
            try:
                return task.result()  # type: ignore[return-value]  # by the same key
            except _NotDone:
                continue
            except PuffinError as error:
                raise _another(error) from error.__cause__

    def _do(self, key: Hashable, task: Task[object], work: Callable[[], T]) -> T:
        try:
            result = work()
        except BaseException as error:
            self._under_way.forget(key, task)
            task.fail(_another(error) if _is_of_the_work(error) else _NotDone())
            raise
        self._under_way.forget(key, task)
        task.succeed(result)
        return result

    def _with_lock(self, lock: Path, hold: Hold, pump: Pump, work: Callable[[], T]) -> T:
        with contextlib.ExitStack() as stack:
            with self._notes.wanting(lock) as is_circle:
                try:
                    stack.enter_context(hold(_Watch(pump, is_circle)))
                except _Circle:
                    return work()
            stack.enter_context(self._notes.holding(lock))
            return work()

    def _wait(self, task: Task[object], lock: Path, pump: Pump) -> None:
        """Wait until the task is over, whatever becomes of it."""
        over: Task[None] = Task()
        task.on_done(lambda: over.succeed(None))
        with self._notes.wanting(lock) as is_circle:
            token = pump.cancel if is_circle is None else _WatchToken(pump.cancel, is_circle)
            Pump(cancel=token).wait(over)


class _Circle(Exception):  # no error: it ends a wait
    """The call waits for one that waits for it."""


class _NotDone(Exception):
    """The call that did the work has ended before it was done."""


def _another(error: PuffinError) -> PuffinError:
    """Return an error like this: each call notes on its own for what the work was needed."""
    made = copy.copy(error)
    made.__cause__ = error.__cause__
    return made


def _is_of_the_work(error: BaseException) -> TypeGuard[PuffinError]:
    """Tell what others would come upon as well from what the call alone has met: its token, its reporter."""
    return isinstance(error, PuffinError) and not isinstance(error, Cancelled)


class _Watch:
    """Ends a wait for a lock."""

    def __init__(self, given: Check, is_circle: Callable[[], bool] | None) -> None:
        self._given = given
        self._is_circle = is_circle

    def check(self) -> None:
        self._given.check()
        if self._is_circle is not None and self._is_circle():
            raise _Circle


class _WatchToken:
    """Ends a wait for a task."""

    def __init__(self, token: Token | None, is_circle: Callable[[], bool]) -> None:
        self._token = token
        self._is_circle = is_circle

    def check(self) -> None:
        if self._token is not None:
            self._token.check()
        if self._is_circle():
            raise _Circle

    def remaining(self) -> float:
        remaining = self._token.remaining() if self._token is not None else None
        return _LOOK_SECONDS if remaining is None else min(remaining, _LOOK_SECONDS)

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._token.on_cancel(callback) if self._token is not None else lambda: None


class _WaitNotes:
    """What each call holds and waits for. A build and those that it needs run on one thread."""

    def __init__(self) -> None:
        self._held: dict[int, list[Path]] = {}
        """The locks of each thread, the outermost first."""

    @contextlib.contextmanager
    def holding(self, lock: Path) -> Generator[None]:
        """Count a lock among those that the call holds."""
        held = self._held.setdefault(thread_id(), [])
        _forget(lock)  # of an owner that was killed
        held.append(lock)
        try:
            yield
        finally:
            held.pop()
            if not held:
                del self._held[thread_id()]

    @contextlib.contextmanager
    def wanting(self, lock: Path) -> Generator[Callable[[], bool] | None]:
        """Note that the call waits for a lock; gives what tells whether that can never end.

        That is None for a call that holds nothing.
        """
        held = self._held.get(thread_id())
        if not held:
            yield None
            return
        mine, last = list(held), held[-1]
        with contextlib.suppress(OSError):  # where nothing can be noted, nobody finds out
            write_atomic(_note(last), lock.name.encode())
        try:
            yield lambda: _leads_to(lock, mine)
        finally:
            _forget(last)


def _leads_to(lock: Path, mine: list[Path]) -> bool:
    """Follow who waits for whom, from the holder of a lock on."""
    seen: set[Path] = set()
    while lock not in seen:
        if lock in mine:
            return True
        seen.add(lock)
        try:
            lock = lock.with_name(_note(lock).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
    return False


def _note(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.waits")


def _forget(lock: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(_note(lock))
