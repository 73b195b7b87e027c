"""Unit propagation and conflict resolution: what follows, and what is learnt when nothing fits."""

from __future__ import annotations

from puffin_api._resolver.incompatibility import Dependency, resolvent
from puffin_api._resolver.partial_solution import PartialSolution, level_without, satisfier
from puffin_api._resolver.version_set import ABSENT, PRESENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Assignment, Package


_STRETCH = 2_000
"""After so many looks it is asked whether to stop: some milliseconds."""


class Unsolvable(Exception):
    """There is no solution; the incompatibility without terms says why."""

    def __init__(self, incompatibility: Incompatibility) -> None:
        super().__init__("no solution")
        self.incompatibility = incompatibility


class Propagator:
    """Keeps the partial solution in line with the incompatibilities.

    Args:
        positive: Told of each package that has to be decided (again).
        conflicted: Told of each conflict: the package that it moves, and what was learnt.
        check: Called now and then: raises when it is time to stop.
    """

    __slots__ = ("_check", "_conflicted", "_pause", "looks", "solution")

    def __init__(
        self,
        positive: Callable[[Package], None],
        conflicted: Callable[[Package, Incompatibility], None],
        check: Callable[[], None],
    ) -> None:
        self.solution = PartialSolution(positive)
        self._conflicted = conflicted
        self._check = check
        self._pause = _STRETCH
        self.looks = 0
        """How many incompatibilities were looked at: where the time goes, counted so that it is the same
        on every machine."""

    def add(self, incompatibility: Incompatibility) -> None:
        """Take note of an incompatibility.

        Raises:
            Unsolvable: It has no terms.
        """
        if not incompatibility.terms:
            raise Unsolvable(incompatibility)
        for package, _, _ in incompatibility.terms:
            package.incompatibilities.append(incompatibility)

    def propagate(self, changed: list[Package]) -> None:  # noqa: C901, PLR0912, PLR0915  # the innermost loop
        """Derive whatever the incompatibilities leave no choice about.

        Args:
            changed: The packages to begin with; emptied.

        Raises:
            Unsolvable: There is no solution.
        """
        derive = self.solution.derive
        conflict: Incompatibility | None
        while changed:
            conflict = None
            candidates = changed.pop().incompatibilities
            self.looks += len(candidates)
            if self.looks > self._pause:
                self._rest()
            # The newest come first: they are the most likely to be unit.
            for candidate in reversed(candidates):
                # At most one term may be open; where one is false, nothing follows.
                found: Package | None = None
                own = 0
                if isinstance(candidate, Dependency):
                    # Most are met already, so that is asked first.
                    current = candidate.dependency.current
                    left = current & candidate.asked
                    if left == current:
                        continue
                    current = candidate.package.current
                    if not current & candidate.versions:
                        continue
                    if current & candidate.others:
                        found, own = candidate.package, candidate.others
                    if candidate.via is not None and candidate.via.current & ABSENT:
                        if found is not None or not candidate.via.current & PRESENT:
                            continue
                        found, own = candidate.via, ABSENT
                    if left:
                        if found is not None:
                            continue
                        found, own = candidate.dependency, candidate.asked
                elif (term := _open_term(candidate)) is None:
                    continue
                else:
                    found, own = term
                if found is None:
                    conflict = candidate
                    break
                derive(found, own, candidate)
                # Where this is all that is known of it, nothing more follows.
                if len(found.incompatibilities) > 1 and found not in changed:
                    changed.append(found)
            if conflict is not None:
                changed[:] = [self._resolve(conflict)]

    def _rest(self) -> None:
        self._pause = self.looks + _STRETCH
        self._check()

    def _resolve(self, conflict: Incompatibility) -> Package:
        """Learn from a satisfied incompatibility, go back, and derive what was learnt."""
        learnt = conflict
        while True:
            if not learnt.terms:
                raise Unsolvable(learnt)
            package, last, complement, level = _last_satisfier(learnt)
            cause = last[3]
            if cause is None or level < last[4]:
                break
            learnt = resolvent(learnt, cause, package)
            self.looks += len(learnt.terms)  # a long chain is undone here, link by link
            if self.looks > self._pause:
                self._rest()
        if learnt is not conflict:
            self.add(learnt)
        self.solution.backtrack(level)
        self.solution.derive(package, complement, learnt)
        self._conflicted(package, learnt)
        return package


def _open_term(incompatibility: Incompatibility) -> tuple[Package | None, int] | None:
    """Return the package whose term is open, and what it has to be then; no package where all terms hold.

    None where nothing follows.
    """
    found: tuple[Package | None, int] = None, 0
    for package, mask, complement in incompatibility.terms:
        if not package.current & mask:
            return None
        if package.current & complement:
            if found[0] is not None:
                return None
            found = package, complement
    return found


def _last_satisfier(incompatibility: Incompatibility) -> tuple[Package, Assignment, int, int]:
    """Find the assignment that made the last term true.

    Returns:
        Its package, the assignment, the complement of the package's term, and the highest level
        of the other assignments that are needed to satisfy the incompatibility.
    """
    found = [(satisfier(package, no), package, no) for package, _, no in incompatibility.terms]
    last, package, complement = max(found, key=lambda item: item[0][0])
    level = level_without(package, last, complement)
    for assignment, other, _ in found:
        if other is not package and assignment[4] > level:
            level = assignment[4]
    return package, last, complement, level
