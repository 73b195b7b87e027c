"""What a finished transaction has put aside is kept for a while, so that the change can be undone.

::

    <cache>/undo-v0/<place>/<transaction>/
        .puffin-committed         the journal: which old entry stood where
        .puffin-old-1, ...        the old entries themselves

    The folder of the transaction is moved there by one rename, which is cheaper than to remove it. Of each
    environment the last change is kept: that is what people want back, and it bounds what it takes. Undoing
    renames the entries back, so that every byte is as it was, whoever had installed it.
"""

from __future__ import annotations

import os

from puffin_api._fs import unique_name
from puffin_api._installer.journal import MARK, PARTS, PREFIX, is_there, read_steps
from puffin_api._model.dist_info import top_level_modules
from puffin_api._model.events import Notice
from puffin_api._wheel.record import record_paths
from puffin_api.errors import FileConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from puffin_api._installer.journal import Files, Step
    from puffin_api._installer.staging import Stage

    Owners = Callable[[Collection[str]], Mapping[str, tuple[str, str]]]
    """Takes absolute paths; returns name and digest for those that belong to an installed distribution."""

_OLD = f"{PREFIX}old-"


class UndoStore:
    """The kept changes of one environment. Used under the lock of the environment.

    Args:
        folder: Theirs alone; made when it is needed.
        trash: A folder on the same volume, for what is to be removed.
    """

    __slots__ = ("_folder", "_trash")

    def __init__(self, folder: str, trash: str) -> None:
        self._folder = folder
        self._trash = trash

    def keep(self, transaction_folder: str, files: Files) -> list[str] | None:
        """Move the folder of a finished transaction here, in place of earlier ones.

        Returns:
            What is to be removed now; None where it could not be kept, as on another volume.
        """
        name = os.path.basename(transaction_folder).removeprefix(PREFIX)
        try:
            if is_there(f"{transaction_folder}/{PARTS}"):
                return None  # some of it lies on other volumes
            earlier = self._names()
            if earlier is None:
                os.makedirs(self._folder, exist_ok=True)
            files.rename(transaction_folder, f"{self._folder}/{name}")
        except OSError:
            return None
        return [path for path in (self._discard(other, files) for other in earlier or ()) if path]

    def read(self, transaction: str, base: str) -> Kept | None:
        """Return what a transaction has put aside; None where it is not kept."""
        folder = f"{self._folder}/{transaction}"
        steps = read_steps(f"{folder}/{MARK}")
        if steps is None:
            return None
        entries = [
            (_absolute(base, step[1]), f"{folder}/{os.path.basename(step[2])}")
            for step in steps
            if step[0] == "rename" and os.path.basename(step[2]).startswith(_OLD)
        ]
        modes = {_absolute(base, step[1]): step[2] for step in steps if step[0] == "rmdir"}
        return Kept([entry for entry in entries if is_there(entry[1])], modes)

    def _names(self) -> list[str] | None:
        try:
            return os.listdir(self._folder)
        except FileNotFoundError:
            return None

    def _discard(self, name: str, files: Files) -> str | None:
        """Take an earlier change out of sight in one step: nobody may restore half of it."""
        target = f"{self._trash}/{unique_name()}"
        try:
            files.rename(f"{self._folder}/{name}", target)
        except OSError:
            return None  # the next one tries again
        return target


class Kept:
    """The old entries of a change: where each stood, and where it lies now."""

    __slots__ = ("_modes", "entries", "notices")

    def __init__(self, entries: Sequence[tuple[str, str]], modes: Mapping[str, str]) -> None:
        self._modes = modes
        # RECORD is what makes a distribution complete: its folder comes last.
        self.entries = sorted(entries, key=lambda entry: entry[0].endswith(".dist-info"))
        self.notices: list[Notice] = []

    def modules(self) -> tuple[str, ...]:
        """Return the names of the top-level modules that come back."""
        found: set[str] = set()
        for target, source in self.entries:
            if target.endswith(".dist-info"):
                found.update(top_level_modules(_paths(source)))
        return tuple(sorted(found))

    def steps(self, stage: Stage, gone: Collection[str], owners: Owners) -> list[Step]:
        """Return the steps that bring everything back.

        Args:
            stage: Of the transaction that does it.
            gone: Absolute paths of the entries that are taken away before.
            owners: Tells to whom files belong that stand in the way.

        Raises:
            FileConflict: A place is taken by a distribution that stays, or by a folder.
        """
        work = _Restoring(stage, gone, self._modes)
        for folder in sorted(self._modes):
            work.make(folder)
        for target, source in self.entries:
            work.bring(source, target)
        self._look_at(work.met, owners)
        return work.steps

    def _look_at(self, met: Collection[str], owners: Owners) -> None:
        taken = owners(met) if met else {}
        for path in met:
            if path in taken:
                raise FileConflict(
                    f"{path} cannot be restored: it belongs to {taken[path][0]} now",
                    hint=f"Remove {taken[path][0]} first.",
                    path=path,
                    owners=[taken[path][0]],
                )
            message = f"What stood there before replaces a file that nothing owns: {path}"
            self.notices.append(Notice(code="file-replaced", message=message, data={"path": path}))


class _Restoring:
    """Works out how old entries get back into their places."""

    def __init__(self, stage: Stage, gone: Collection[str], modes: Mapping[str, str]) -> None:
        self._stage = stage
        self._modes = modes
        """Permissions of folders that were removed on their own."""
        self._gone = frozenset(gone)
        self._made: set[str] = set()
        self.steps: list[Step] = []
        self.met: list[str] = []
        """Files that stand in the way."""

    def bring(self, source: str, target: str) -> None:
        """Bring one entry back; a folder that has been made anew meanwhile is filled.

        Raises:
            FileConflict: A folder stands where a file was: whoever may own a file in it would lose it.
        """
        if self._is_free(target):
            self.make(os.path.dirname(target))
        elif _is_folder(source) and _is_folder(target):
            for name in sorted(os.listdir(source)):
                self.bring(f"{source}{os.sep}{name}", f"{target}{os.sep}{name}")
            return
        elif _is_folder(target):
            raise FileConflict(
                f"{target} cannot be restored: there is a folder now",
                hint="Remove what has brought it first.",
                path=target,
                owners=[],
            )
        else:
            self.met.append(target)
            self.steps.append(self._stage.aside_path(target))
        self.steps.append(("rename", self._stage.relative(source), self._stage.relative(target)))

    def _is_free(self, path: str) -> bool:
        return self._is_gone(path) or not is_there(path)

    def _is_gone(self, path: str) -> bool:
        return path in self._gone or any(folder in self._gone for folder in _parents(path))

    def make(self, folder: str) -> None:
        """Make a folder and those above it, where they will not be there."""
        missing: list[str] = []
        while folder not in self._made and self._is_free(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        self._made.update(missing)
        for path in reversed(missing):
            mode = (self._modes[path],) if path in self._modes else ()
            self.steps.append(("mkdir", self._stage.relative(path), *mode))


def _absolute(base: str, path: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _parents(path: str) -> Iterator[str]:
    parent = os.path.dirname(path)
    while parent != path:
        yield parent
        path, parent = parent, os.path.dirname(parent)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _paths(dist_info: str) -> Sequence[str]:
    try:
        with open(f"{dist_info}/RECORD", encoding="utf-8", errors="surrogateescape") as file:
            return record_paths(file.read())
    except (OSError, ValueError):
        return ()
