"""Workbenches: what one build works with, kept from the metadata until the wheel is wanted.

A backend that gave metadata is wanted again when the wheel is installed, mostly by the next call, and needs
the same tree and the same environment. So both stay for a while; what is kept holds no lock and no thread.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref

from puffin_api._concurrency import Lock
from puffin_api._fs import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Protocol, Self, TypeVar

    from puffin_api._concurrency import Pump
    from puffin_api.errors import BuildFailed

    T = TypeVar("T")

    class Build(Protocol):
        """One tree with its backend ready to be called."""

        @property
        def is_whole(self) -> bool: ...
        def metadata(self, target: Path, *, editable: bool = False) -> Path | None: ...
        def wheel(
            self, target: Path, *, editable: bool = False, metadata_directory: Path | None = None
        ) -> Path: ...
        def failed(self, reason: str, *, hint: str = "") -> BuildFailed: ...
        def rest(self) -> None: ...
        def resume(self, pump: Pump, *, package: str) -> None: ...


_MOST = 8
_SECONDS = 3600.0
"""Far less than the day after which upkeep of the cache takes a folder for that of a killed process."""


class Workbench:
    """A folder of the cache, and all else that goes when the work ends. For one thread at a time.

    Args:
        make_folder: Makes an empty one, which is asked for only where it is needed.
    """

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self._make_folder = make_folder
        self._folder: Path | None = None
        self._belongings = contextlib.ExitStack()
        self._process = os.getpid()

    @property
    def folder(self) -> Path:
        """An empty folder when it is first asked for."""
        if self._folder is None:
            self._folder = self._make_folder()
            self._belongings.callback(_remove, self._folder)
        return self._folder

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that ends with the work, before what came before it.

        It must not end by being forgotten, as generators do: a forked child forgets what is ours.
        """
        return self._belongings.enter_context(context)

    @property
    def is_ours(self) -> bool:
        """False in a child that was forked off: what is on the bench is its parent's."""
        return os.getpid() == self._process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_ours:
            self._belongings.__exit__(kind, error, trace)

    def hand_over(self) -> Workbench:
        """Return another one with all that is on this, which then ends with nothing."""
        other = Workbench(self._make_folder)
        other._folder, self._folder = self._folder, None
        other._belongings = self._belongings.pop_all()
        return other


def _remove(folder: Path) -> None:
    # What a backend left running may still write there: no reason to lose what was built, and upkeep
    # of the cache removes what is left.
    with contextlib.suppress(OSError):
        remove_tree(folder)


class KeptBuild:
    """A build that has given metadata, and may be asked for the wheel."""

    __slots__ = ("bench", "build", "metadata", "since")

    def __init__(self, bench: Workbench, build: Build, metadata: Path, since: float) -> None:
        self.bench = bench
        self.build = build
        self.metadata = metadata
        self.since = since

    @property
    def is_whole(self) -> bool:
        """Whether nobody has removed anything."""
        return self.build.is_whole and self.metadata.is_dir()


class KeptBuilds:
    """The builds that are kept, by whatever tells them apart. Many threads may keep and take.

    They end when they are closed, are the oldest of too many, have been kept for too long, or nobody
    has this object any more, and at the exit of the process.

    Args:
        most: How many are kept.
        seconds: For how long.
        clock: Seconds, from any start.
    """

    def __init__(
        self, *, most: int = _MOST, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._builds: dict[Hashable, KeptBuild] = {}
        """The one that was kept first comes first."""
        self._lock = Lock()
        self._is_open = True
        weakref.finalize(self, _end_all, self._builds)

    def keep(self, key: Hashable, bench: Workbench, build: Build, metadata: Path) -> None:
        """Keep a build with all that is on its workbench, in place of the one with this key."""
        build.rest()
        kept = KeptBuild(bench.hand_over(), build, metadata, self._clock())
        with self._lock:
            ended = self._pop([key])
            self._builds[key] = kept
            surplus = len(self._builds) - self._most if self._is_open else len(self._builds)
            ended += self._pop(list(self._builds)[: max(0, surplus)])
        _end(ended)

    def take(self, key: Hashable) -> KeptBuild | None:
        """Return a build, which is the caller's from now on; None where none is kept that could be used."""
        with self._lock:
            since = self._clock() - self._seconds
            ended = self._pop([each for each, kept in self._builds.items() if kept.since < since])
            found = self._pop([key])
        if found and not (found[0].bench.is_ours and found[0].is_whole):
            ended, found = [*ended, *found], []
        _end(ended)
        return found[0] if found else None

    def drop(self, key: Hashable) -> None:
        """End a build that is not needed any more, if it is kept."""
        if self._builds:
            with self._lock:
                ended = self._pop([key])
            _end(ended)

    def move(self, key: Hashable, other: Hashable) -> None:
        """Let a build be found under another key."""
        with self._lock:
            ended = self._pop([other]) if key in self._builds else []
            for kept in self._pop([key]):
                self._builds[other] = kept
        _end(ended)

    def close(self) -> None:
        """End all builds, and keep none from now on."""
        with self._lock:
            self._is_open = False
            ended = self._pop(list(self._builds))
        _end(ended)

    def __len__(self) -> int:
        return len(self._builds)

    def _pop(self, keys: Iterable[Hashable]) -> list[KeptBuild]:
        return [self._builds.pop(key) for key in keys if key in self._builds]


def _end_all(builds: dict[Hashable, KeptBuild]) -> None:
    _end(builds.values())


def _end(builds: Iterable[KeptBuild]) -> None:
    for kept in builds:
        with contextlib.suppress(OSError), kept.bench:  # nobody waits for it
            pass
