"""The scout: tells those who read ahead which file is likely to be looked at next."""

from __future__ import annotations

from puffin_api._resolver.candidates import is_file
from puffin_api._resolver.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        self._asked: dict[str, dict[RequirementRow, None]] = {}

    def expect(self, rows: Iterable[RequirementRow]) -> None:
        """Take note of requirements."""
        for row in rows:
            self._asked.setdefault(row.name, {})[row] = None

    def pick(self, releases: Releases) -> FileRow | None:
        """Return the file of the best version that all requirements so far admit."""
        if not self._problem.dependencies:
            return None
        snapshot = Snapshot.of(releases)
        mask = snapshot.full
        for row in list(self._asked.get(releases.name, ())):
            mask &= self._problem.mask(snapshot, row)
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
        extras = {extra for row in list(self._asked.get(file.project, ())) for extra in row.extras}
        for extra in sorted(extras):
            rows += self._problem.rows(view, metadata, extra)
        self.expect(rows)
        return list(dict.fromkeys(row.name for row in rows))
