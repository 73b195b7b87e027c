"""Commits a change set: stage, journal, rename, mark, clean up; or everything back as it was.

::

    site-packages/
      .puffin-<id>/           the folder of the transaction, on the same volume as what it changes
        flask/ ...                what will be renamed into site-packages, complete before the first rename
        .puffin-data/share/...    the same for other places; single files are .puffin-new-1 and so on
        .puffin-old-1, ...        what made room
        .puffin-journal.json      every step, written before the first one
        .puffin-committed         what the journal is renamed to: only cleaning up is left

    One folder and no more in the usual case: making and removing one costs as much as ten links.
"""

from __future__ import annotations

import errno
import os
import time

import attrs

# Everything that a commit needs is imported here: the library itself may be what is replaced.
from puffin_api._concurrency import SILENT
from puffin_api._fs import unique_name
from puffin_api._installer.bytecode import python_sources
from puffin_api._installer.journal import (
    MARK,
    OS_FILES,
    PREFIX,
    is_there,
    mark_committed,
    mode_of,
    needs_recovery,
    run_steps,
    undo_steps,
    write_journal,
)
from puffin_api._installer.leaving import Leaving
from puffin_api._installer.open_files import take_apart
from puffin_api._installer.os_errors import typed_error
from puffin_api._installer.placing import Placer, ignores_case
from puffin_api._installer.recovery import clean, is_transaction, recover_one
from puffin_api._installer.site_packages import look
from puffin_api._installer.staging import Stage
from puffin_api._installer.trash import Trash
from puffin_api._model.events import (
    ChangeFinished,
    ChangeStarted,
    CommitFinished,
    CommitStarted,
    Notice,
    RollbackFinished,
    RollbackStarted,
)
from puffin_api._wheel.lay_out import Places, lay_out
from puffin_api._wheel.link import Linker
from puffin_api.errors import InstallFailed, NotWritable, PlanOutdated, PuffinError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from puffin_api._concurrency import Pump, Task, WorkerPool
    from puffin_api._installer.bytecode import Compiler
    from puffin_api._installer.journal import Files, Step
    from puffin_api._installer.placing import Moves
    from puffin_api._installer.site_packages import Listing
    from puffin_api._installer.undo import UndoStore
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.plan import Before, Change, RemovedFiles
    from puffin_api._wheel.lay_out import Layout
    from puffin_api.errors import State

_MANY_FILES = 100
"""From here on, the trash of a commit is emptied by the worker pool, after the call."""


@attrs.frozen(kw_only=True)
class CommitResult:
    """What a commit did."""

    transaction_id: str
    changes: tuple[Change, ...]
    notices: tuple[Notice, ...]
    timings: Mapping[str, float]
    """Seconds: ``lay-out``, ``wait`` (for the lock), ``check``, ``stage``, ``commit``, ``clean``."""
    removed: tuple[RemovedFiles, ...]
    """The files that the removed distributions had."""
    before: Mapping[str, Before]
    """What else was known of them, by name."""
    restored: tuple[str, ...]
    """The top-level modules that came back, where a change was undone."""
    trash: Task[None] | None
    """The clean-up where it goes on after the call; what it leaves, the next change removes."""


def commit(
    changes: Sequence[Change],
    wheels: Mapping[str, CachedWheel],
    scheme: Mapping[str, Path | str],
    *,
    executable: str,
    windows: str = "",
    requested: Collection[str] = (),
    lock: AbstractContextManager[object],
    expected_fingerprint: str | None = None,
    linker: Linker | None = None,
    pool: WorkerPool | None = None,
    pump: Pump = SILENT,
    files: Files = OS_FILES,
    allow_conflicts: bool = False,
    undo_store: UndoStore | None = None,
    restore: str = "",
    compiler: Compiler | None = None,
) -> CommitResult:
    """Make all changes of a plan, or none of them.

    Args:
        changes: What to do. Each distribution of a changed name that is there is removed.
        wheels: An unpacked wheel for each change with a new version, by name.
        scheme: The folders: purelib, platlib, scripts, data, headers.
        executable: The interpreter that scripts shall run with.
        windows: The platform tag of an environment of Windows, for `lay_out`.
        requested: Names that the user asked for; the others came as dependencies.
        lock: Held from the look at the environment to the end of the commit.
        expected_fingerprint: Of the environment that the plan was made for; None to take it as it is.
        linker: How files get out of the cache; keep one for each cache, it remembers.
        pool: For many files: two threads link them, one empties the trash.
        pump: Where events go and where cancelling comes from.
        files: How the disk is changed.
        allow_conflicts: Where two packages bring different files of one path, let the later one win.
        undo_store: Where to keep what is replaced or removed; None to remove it.
        restore: The transaction in the store whose old entries come back.
        compiler: Compiles the modules that arrived, after the commit and before the lock is let go.

    Raises:
        PlanOutdated: The environment is not the one of the plan.
        FileConflict: A file belongs to another distribution.
        RollbackFailed: It failed, and so did undoing it.
        PuffinError: It failed; ``state`` tells whether anything had been changed before.
    """
    options = _Options(linker or Linker(), pool, pump, files, allow_conflicts, undo_store, restore)
    scripts, names = (executable, windows), frozenset(requested)
    work = _Commit(changes, wheels, scheme, options)
    try:
        work.prepare(scripts, names)
        with lock:
            work.lap("wait")
            try:
                result = work.run(expected_fingerprint)
            except _FoldersStay:
                work = _Commit(changes, wheels, scheme, options, moves_folders=False)
                work.prepare(scripts, names)
                result = work.run(expected_fingerprint)
            if compiler is not None:
                result = work.compile(result, compiler)
        # Last of all: whoever empties the trash would compete with us for the interpreter lock.
        return attrs.evolve(result, trash=work.empty_trash())
    except OSError as error:
        raise typed_error(error, doing="change the environment", place=work.base) from error


class _FoldersStay(Exception):
    """Everything is back as it was: a folder could not be renamed, though its files perhaps can.

    That is so in containers, where a folder that came with the image may not be moved.
    """


@attrs.frozen
class _Options:
    """How a change is made; see `commit`."""

    linker: Linker
    pool: WorkerPool | None
    pump: Pump
    files: Files
    allow_conflicts: bool
    undo_store: UndoStore | None
    restore: str


class _Commit:
    """One transaction from beginning to end."""

    def __init__(
        self,
        changes: Sequence[Change],
        wheels: Mapping[str, CachedWheel],
        scheme: Mapping[str, Path | str],
        options: _Options,
        *,
        moves_folders: bool = True,
    ) -> None:
        self._changes = tuple(changes)
        self._wheels = wheels
        self._options = options
        self._files = options.files
        self._pump = options.pump
        self._pool = options.pool
        self._moves_folders = moves_folders
        # Canonical, so that ".." in a path of the journal leads where it says.
        known: dict[str, str] = {}
        self._places = Places(
            {name: _canonical(os.path.abspath(folder), known) for name, folder in scheme.items()}
        )
        self._aliases = {
            self._places.folders[self._places.home[name]]: os.path.abspath(scheme[name])
            for name in ("purelib", "platlib")
        }
        self.base = self._places.folders["purelib"]
        self._id = unique_name()
        self._folder = f"{self.base}{os.sep}{PREFIX}{self._id}"
        self._layouts: list[Layout] = []
        self._notices: list[Notice] = []
        self._steps: list[Step] = []
        self._restored: tuple[str, ...] = ()
        self._timings: dict[str, float] = {}
        self._clock = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the last lap."""
        now = time.perf_counter()
        self._timings[name] = self._timings.get(name, 0.0) + now - self._clock
        self._clock = now

    def prepare(self, scripts: tuple[str, str], requested: frozenset[str]) -> None:
        """Do what needs no lock: work out what each wheel puts where."""
        executable, windows = scripts
        for change in self._changes:
            if change.new is None or self._options.restore:
                continue
            wheel = self._wheels[change.name]
            origin = change.direct_url
            layout = lay_out(
                wheel,
                self._places,
                executable=executable,
                windows=windows,
                requested=change.name in requested,
                direct_url=origin and origin.with_digest(wheel.hashes),
            )
            self._layouts.append(layout)
            self._notices += layout.notices
        self.lap("lay-out")

    def run(self, expected: str | None) -> CommitResult:
        """Do all that needs the lock."""
        self.inspect(expected)
        self.stage()
        self.change()
        return self.finish()

    def compile(self, result: CommitResult, compiler: Compiler) -> CommitResult:
        """Compile the modules that arrived; nothing is undone any more, whatever comes of it."""
        try:
            notices = compiler(python_sources(self._layouts, self._places))
        except BaseException as error:
            raise self._with_state(error, "committed") from error
        for notice in notices:
            self._send(notice)
        self.lap("compile")
        return attrs.evolve(result, notices=(*result.notices, *notices))

    def inspect(self, expected: str | None) -> None:
        """Look at the environment and work out all steps; everything that speaks against it is found here."""
        if not os.path.isdir(self.base):
            os.makedirs(self.base, exist_ok=True)
        listing = self._look()
        if expected is not None and listing.fingerprint != expected:
            raise self._outdated(listing)
        names = {change.name for change in self._changes}
        new = {change.name for change in self._changes if change.new is not None}
        self._leaving = leaving = Leaving(listing, names, self._places, replaced=new)
        removal = leaving.plan()
        self._notices += leaving.notices
        entries, emptied = removal.entries, list[str]()
        if not (self._moves_folders and self._files.moves_open_folders):
            entries, emptied = take_apart(entries, all_folders=not self._moves_folders)
        gone = [*entries, *emptied]
        placer = Placer(
            self._layouts,
            self._places,
            gone={*gone, *leaving.replaced},
            names=listing.names,
            owners=leaving.owners,
            ignores_case=ignores_case(self.base, listing.names),
            allow_conflicts=self._options.allow_conflicts,
        )
        moves = placer.moves()
        self._notices += moves.notices
        self._stage = Stage(self._folder, self._places, self._layouts, self._files)
        self._steps = self._list_steps(entries, emptied, moves)
        if self._options.restore:
            self._restore(gone)
        self._stage.check_lengths()
        self._check_writable()
        self.lap("check")

    def _restore(self, gone: Sequence[str]) -> None:
        """Add the steps that bring back what an earlier change has put aside."""
        kept = (
            self._options.undo_store.read(self._options.restore, self.base)
            if self._options.undo_store
            else None
        )
        if kept is None:
            raise InstallFailed(
                "The change cannot be undone: what it replaced is not kept any more",
                hint="Install the earlier versions.",
                path=self.base,
            )
        self._steps += kept.steps(self._stage, gone, self._leaving.owners)
        self._notices += kept.notices
        self._restored = kept.modules()

    def stage(self) -> None:
        """Put everything that is new beside its place."""
        try:
            self._pump.check()
            self._stage.open()
            self._announce(started=True)
            self._notices += self._stage.fill(self._options.linker, self._pool, self._pump)
            self._stage.write_edits(self._leaving.edits)
            self._announce(started=False)
        except BaseException:
            self._discard()
            raise
        self.lap("stage")

    def change(self) -> None:
        """Rename old entries away and new ones in; on any failure, back again."""
        self._send(CommitStarted(transaction=self._id, changes=len(self._changes)))
        try:
            write_journal(self._folder, self._id, self._steps, self._files)
            run_steps(self.base, self._steps, self._files, self._pump.check)
            mark_committed(self._folder, self._files)
        except BaseException as error:
            if self._is_marked():
                raise self._with_state(error, "committed") from error
            self._roll_back(error)
            if self._moves_folders and _is_about_a_folder(error):
                raise _FoldersStay from error
            raise self._with_state(error, "rolled-back") from error
        self._send(CommitFinished(transaction=self._id))
        self.lap("commit")

    def _is_marked(self) -> bool:
        try:
            return is_there(f"{self._folder}/{MARK}")
        except OSError as error:
            raise needs_recovery(self._folder, error.strerror or str(error)) from error

    def finish(self) -> CommitResult:
        """Keep or remove what is left over, unless it is so much that `empty_trash` is to do it."""
        self._trash = trash = Trash([self._folder], self._files, self._pool)
        trash.is_much = self._leaving.files > _MANY_FILES
        if self._options.undo_store is not None and self._stage.has_old:
            earlier = self._options.undo_store.keep(self._folder, self._files)
            if earlier is not None:
                trash.folders, trash.is_much = earlier, True
        if not trash.is_much or self._pool is None:
            try:
                trash.empty()
            except OSError as error:  # the change is made; the next one removes what is left
                self._note("trash-left", f"Old files could not be removed yet: {error}", path=self._folder)
        self.lap("clean")
        for notice in self._notices:
            self._send(notice)
        return CommitResult(
            transaction_id=self._id,
            changes=self._changes,
            notices=tuple(self._notices),
            timings=self._timings,
            removed=tuple(self._removed()),
            before=self._leaving.before,
            restored=self._restored,
            trash=None,
        )

    def empty_trash(self) -> Task[None] | None:
        """Have the pool remove what is left over, where that is much."""
        return self._trash.empty_later()

    def _removed(self) -> Iterator[RemovedFiles]:
        """Give the removed files below the folders as given too: modules are loaded by that path."""
        for removed in self._leaving.removed:
            yield removed
            given = self._aliases.get(removed.folder, removed.folder)
            if given != removed.folder:
                yield attrs.evolve(removed, folder=given)

    def _look(self) -> Listing:
        """List the environment; an interrupted transaction is ended first."""
        roots = [self.base, self._places.folders[self._places.home["platlib"]]]
        listing = look(roots, strict=True)
        interrupted = [path for path in listing.interrupted if is_transaction(os.path.basename(path))]
        if not interrupted:
            return listing
        for path in interrupted:
            done = recover_one(path, self._files)
            if is_there(path):
                continue  # nothing but files that are still in use
            self._note("recovered", f"An interrupted change was {done.outcome}", transaction=done.transaction)
        return look(roots, strict=True)

    def _outdated(self, listing: Listing) -> PlanOutdated:
        there: dict[str, list[str]] = {}
        for name, version, _, _ in listing.found:
            there.setdefault(name, []).append(version)
        diff = [
            f"{change.name}: planned for {change.old or 'none'}, found {', '.join(found) or 'none'}"
            for change in self._changes
            if (found := there.get(change.name, [])) != ([change.old] if change.old else [])
        ]
        return PlanOutdated(
            "The environment was changed after the plan was made",
            hint="Make the plan again.",
            path=self.base,
            diff=diff,
        )

    def _list_steps(self, entries: Sequence[str], emptied: Sequence[str], moves: Moves) -> list[Step]:
        """Old files away, folders that are missing, new files in; the metadata folders last of each."""
        stage = self._stage
        ordered = sorted(entries, key=lambda path: path.endswith(".dist-info"))
        steps: list[Step] = [stage.aside_path(path) for path in ordered]
        steps += [("rmdir", stage.relative(folder), mode_of(folder)) for folder in emptied]
        steps += [stage.aside(place, path) for place, path in moves.aside]
        steps += [stage.aside("purelib", name) for name in self._leaving.edits]
        for place in dict.fromkeys(place for place, _ in moves.into):
            steps += stage.missing_folders(place)
        steps += [stage.into("purelib", name) for name, text in self._leaving.edits.items() if text]
        steps += [stage.into(place, path) for place, path in moves.into]
        return steps

    def _check_writable(self) -> None:
        for folder in self._stage.changed_folders():
            if os.path.isdir(folder) and not self._files.is_writable(folder):
                raise NotWritable(f"The folder cannot be written: {folder}", path=folder)

    def _discard(self) -> None:
        """Throw away what is staged; what cannot be removed now, the next change removes."""
        try:
            clean(self._folder, self._files)
        except OSError:
            pass  # the error that brought us here is the one to tell

    def _roll_back(self, cause: BaseException) -> None:
        self._send(RollbackStarted(transaction=self._id))
        try:
            undo_steps(self.base, self._steps, self._files)
        except OSError as error:
            reason = error.strerror or str(error)
            self._send(RollbackFinished(transaction=self._id, error=reason))
            raise needs_recovery(self._folder, f"{reason}, after: {cause}") from cause
        self._discard()
        self._send(RollbackFinished(transaction=self._id))

    def _with_state(self, error: BaseException, state: State) -> BaseException:
        """Return the error to be raised, as one of the library where it is one of the system."""
        if isinstance(error, OSError):
            error = typed_error(error, doing="change the environment", place=self.base)
        if isinstance(error, PuffinError):
            error.state = state
        return error

    def _announce(self, *, started: bool) -> None:
        if not self._pump.silent:
            kind = ChangeStarted if started else ChangeFinished
            for change in self._changes:
                self._send(kind(name=change.name, action=change.action))

    def _note(self, code: str, message: str, **data: object) -> None:
        self._notices.append(Notice(code=code, message=message, data=data))

    def _send(self, event: object) -> None:
        self._pump.send(event)


def _canonical(path: str, known: dict[str, str]) -> str:
    """Return the path with all links followed, as ``realpath`` does, but each folder looked at once."""
    if path not in known:
        parent, name = os.path.split(path)
        if not name:
            return path
        real = os.path.join(_canonical(parent, known), name)
        known[path] = os.path.realpath(real) if os.path.islink(real) else real
    return known[path]


def _is_about_a_folder(error: BaseException) -> bool:
    """Tell whether a folder could not be renamed, as if it were on another volume."""
    if not isinstance(error, OSError) or error.errno != errno.EXDEV:
        return False
    return isinstance(error.filename, str) and os.path.isdir(error.filename)
