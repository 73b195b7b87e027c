"""The scout: tells those who read ahead which file is likely to be looked at next."""

from __future__ import annotations

from collections import deque

from puffin_api._concurrency import Lock
from puffin_api._resolver.candidates import is_file
from puffin_api._resolver.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.releases import Releases
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.problem import Problem
    from puffin_api._resolver.snapshot import View


class RequirementScout:
    """Knows what has been asked of each project so far, by the solver or by what was read ahead.

    What it says changes only when things are fetched, never the result. Called from many threads;
    what two of them miss of each other is merely not read ahead.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._views: dict[str, View] = {}
        self._noted: deque[Sequence[RequirementRow]] = deque()
        self._lock = Lock()
        self._asked: dict[str, dict[RequirementRow, None]] = {}

    def expect(self, rows: Sequence[RequirementRow]) -> None:
        """Take note of requirements."""
        self._noted.append(rows)  # sorted when somebody wants to know: mostly nobody does

    def _asked_of(self, name: str) -> list[RequirementRow]:
        """Return what has been asked of a project so far."""
        with self._lock:
            while self._noted:
                for row in self._noted.popleft():
                    self._asked.setdefault(row.name, {})[row] = None
            return list(self._asked.get(name, ()))

    def pick(self, releases: Releases) -> FileRow | None:
        """Return the file of the best version that all requirements so far admit."""
        if not self._problem.dependencies:
            return None
        snapshot = Snapshot.of(releases)
        mask = self._problem.allowed(snapshot)
        for row in self._asked_of(releases.name):
            mask &= snapshot.mask(row)
        candidates = self._problem.candidates(snapshot)
        self._views[releases.name] = candidates.view
        while bit := candidates.best(mask):
            choice = candidates.choose(bit)
            if is_file(choice):
                return choice
            mask &= ~(1 << bit)
        return None

    def follow(self, file: FileRow, metadata: DistMetadata) -> Sequence[str]:
        """Return the projects that this file depends on for the target, extras asked for included."""
        if not self._problem.dependencies:
            return ()
        view = self._views.get(file.project)
        if view is None:
            return ()
        rows = list(self._problem.rows(view, metadata))
        extras = {extra for row in self._asked_of(file.project) for extra in row.extras}
        for extra in sorted(extras):
            rows += self._problem.rows(view, metadata, extra)
        self.expect(rows)
        direct = self._problem.direct
        return list(dict.fromkeys(row.name for row in rows if row.name not in direct))
