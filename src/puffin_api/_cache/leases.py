"""Leases: which archives the operations under way use, in any process, so that pruning leaves them alone.

::

    .leases/<unique id>         one for each operation, locked while it lasts; its time is the beginning
    .environments/<key>         a folder into which files were linked symbolically, as text

An operation first takes its lease, then touches each archive that it is going to use. So what a pruner
finds touched since the beginning of the oldest living lease may be in use. A lease that nobody has
locked is that of a process that has died, and counts nothing.

Touching and removing exclude each other by a lock: an archive is touched before somebody decides whether
it may go, or is gone before it is touched, and then fetched anew.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress

from puffin_api._cache.keys import digest
from puffin_api._cache.locks import FileLocks, hold_file, remove_if_free
from puffin_api._cache.mending import clear_for_file, make_folder, write_file
from puffin_api._fs import unique_name
from puffin_api.errors import NotWritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout

DAY = 86400.0
_GATE_SECONDS = 60.0
"""Held for less than a millisecond each time, so whoever waits that long waits for a stopped process."""


class Leases:
    """The leases of one cache. Many threads and processes may use it at once."""

    __slots__ = ("_layout", "_locks", "_read_only")

    def __init__(self, layout: CacheLayout, *, read_only: bool = False) -> None:
        self._layout = layout
        self._read_only = read_only
        self._locks = FileLocks(_GATE_SECONDS)

    @contextmanager
    def lease(self) -> Generator[None]:
        """Keep what is taken meanwhile from being pruned; nothing happens where nothing can be written."""
        release = None if self._read_only else self._begin()
        try:
            yield
        finally:
            if release is not None:
                release()

    def take(self, archives: Iterable[Path]) -> None:
        """Note that archives are about to be used; those of other layers are none of our business."""
        top = f"{self._layout.archive('')}{os.sep}"
        ours = [text for text in map(os.fspath, archives) if text.startswith(top)]
        if self._read_only or not ours:
            return
        with self.gate():
            for path in ours:
                with suppress(OSError):  # gone, or of another user: whoever uses it will see
                    os.utime(path)

    @contextmanager
    def gate(self) -> Generator[None]:
        """Exclude touching while something is removed, and the other way round."""
        with ExitStack() as held:
            with suppress(NotWritable):  # nobody can prune either who has no more rights than we
                lock = clear_for_file(self._layout.lock("gate"))
                held.enter_context(self._locks.hold(lock, what="using or pruning archives"))
            yield

    def oldest(self) -> float:
        """Return when the oldest operation that is under way began; infinite where there is none.

        Leases of processes that have died are removed.
        """
        begun = [when for path in _entries(self._layout.leases) if (when := self._living(path)) is not None]
        return min(begun, default=float("inf"))

    def note_symlinked(self, folders: Iterable[str]) -> None:
        """Remember folders into which files of archives are about to be linked symbolically."""
        if self._read_only:
            return
        for folder in folders:
            path = self._layout.environments / digest("environment", folder)
            write_file(self._layout.root, path, os.fsencode(folder))

    def symlinked(self) -> set[str]:
        """Return the names of archives that symbolic links in environments lead to.

        Environments that have been gone for a day are forgotten.
        """
        used: set[str] = set()
        for path in _entries(self._layout.environments):
            with suppress(OSError):
                with open(path, "rb") as file:
                    folder = os.fsdecode(file.read())
                if not os.path.isdir(folder) and time.time() - os.stat(path).st_mtime > DAY:
                    os.unlink(path)
                used.update(_archives_in(folder, os.fspath(self._layout.archive(""))))
        return used

    def _begin(self) -> Callable[[], None] | None:
        path = self._layout.leases / unique_name()
        try:
            make_folder(self._layout.root, path.parent)
            return hold_file(path)
        except OSError:
            return None  # a full disk, no permission: the archives' times protect them for a day

    @staticmethod
    def _living(path: Path) -> float | None:
        try:
            when = os.stat(path).st_mtime
            dead = remove_if_free(path, unsure=time.time() - when > DAY)
        except OSError:
            return None  # ended meanwhile
        return None if dead else when


def _archives_in(site_packages: str, archives: str) -> Iterator[str]:
    """Give the names of the archives that the files of dist-info folders lead to."""
    for folder in _names(site_packages):
        if not folder.endswith(".dist-info"):
            continue
        for name in _names(f"{site_packages}{os.sep}{folder}"):
            with suppress(OSError):
                place = os.readlink(f"{site_packages}{os.sep}{folder}{os.sep}{name}")
                if place.startswith(archives + os.sep):
                    yield place[len(archives) + 1 :].partition(os.sep)[0]


def _entries(folder: Path) -> list[Path]:
    return [folder / name for name in _names(os.fspath(folder))]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
