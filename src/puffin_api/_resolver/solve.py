"""The solver: PubGrub over masks of versions.

The vocabulary is PubGrub's: *terms*, *incompatibilities*, a *partial solution* made of decisions
and derivations, *unit propagation*, *conflict resolution*. One round is::

    propagate -> (conflict -> learn, backjump) -> reprioritise -> choose a package
      -> choose its version -> tell its dependencies -> decide, unless they contradict at once

The solver does no I/O: it asks a ``ReleaseSource``, and tells it beforehand what it will ask.
"""

from __future__ import annotations

from puffin_api._concurrency import Pump
from puffin_api._model.events import Backtracked, PackageDecided
from puffin_api._resolver.bulk_exclusion import Run
from puffin_api._resolver.candidates import PRERELEASE, is_file, summary
from puffin_api._resolver.effort import Effort
from puffin_api._resolver.incompatibility import (
    Belongs,
    Dependency,
    Incompatibility,
    Required,
    Unusable,
    term,
)
from puffin_api._resolver.knowledge import IN_METADATA, Knowledge
from puffin_api._resolver.package import Package
from puffin_api._resolver.priorities import Priorities
from puffin_api._resolver.propagation import Propagator
from puffin_api._resolver.version_set import ABSENT, PRESENT, bits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource


_MOST_AHEAD = 32
"""So many candidates are read ahead at most where one after the other turns out to be of no use."""


class GaveUp(Exception):
    """It takes more than the caller has patience for."""


class Solver:
    """One resolution. Not to be used twice.

    Args:
        problem: What is asked.
        source: Where releases and metadata come from.
        pump: Where events go and where cancelling comes from.
        patience: The most that it may take; None for as much as it takes.
    """

    def __init__(
        self,
        problem: Problem,
        source: ReleaseSource,
        pump: Pump | None = None,
        *,
        patience: Effort | None = None,
    ) -> None:
        self._problem = problem
        self._patience = patience
        self._pump = pump or Pump()
        self._priorities = Priorities()
        self._propagator = Propagator(self._priorities.enqueue, self._on_conflict, self._check)
        self._solution = self._propagator.solution
        self._knowledge = Knowledge(problem, source, self._pump)
        self.conflicts = 0
        """How often the search had to go back."""

    def solve(self) -> list[Package]:
        """Return the decided packages, extras included, in the order of discovery.

        Raises:
            Unsolvable: There is no solution.
            GaveUp: It takes more than there is patience for.
            PackageNotFound: No index knows a project that the caller requires.
            NetworkError: An index could not be asked.
            Cancelled: The caller changed its mind.
        """
        changed = self._require(self._problem.roots)
        is_watched = self._patience is not None or not self._pump.silent or self._pump.cancel is not None
        while True:
            if is_watched:
                self._check()
            self._propagator.propagate(changed)
            if self._priorities.must_move and (changed := self._reprioritise()):
                continue
            package = self._priorities.next()
            if package is None:
                return self._finish()
            self._advance(package)
            changed = [package]

    @property
    def unfollowed(self) -> frozenset[tuple[str, str]]:
        """Projects from a URL that were barred for URLs in their own metadata, each with the extra."""
        return frozenset(self._knowledge.unfollowed)

    @property
    def visited(self) -> int:
        """How many candidates were looked at."""
        return self._knowledge.visited

    @property
    def effort(self) -> Effort:
        """What it has taken so far."""
        return Effort(self.conflicts, self.visited, self._propagator.looks)

    def _check(self) -> None:
        """Raise when the caller has cancelled, or when patience is at an end."""
        self._pump.check()
        if self._patience is not None and self.effort.exceeds(self._patience):
            raise GaveUp

    # --- requirements -------------------------------------------------------------------------

    def _require(self, rows: Sequence[RequirementRow]) -> list[Package]:
        """Turn the caller's requirements into incompatibilities of one term each."""
        self._knowledge.expect([row.name for row in rows], rows)
        changed = []
        for row in rows:
            package = self._knowledge.package(row.name, required=True)
            self._priorities.notice(package, row)
            mask = package.snapshot.mask(row)
            cause = Required(row, package)
            others = (term(package, package.full & ~mask),) if mask else ()
            self._propagator.add(Incompatibility(others, cause))
            changed.append(package)
            for extra in row.extras:
                wanted = self._extra(package, extra)
                self._propagator.add(Incompatibility((term(wanted, ABSENT),), cause))
                changed.append(wanted)
        return changed

    def _extra(self, base: Package, name: str) -> Package:
        """Return the package of an extra, which cannot be had without its project."""
        extra = base.extras.get(name)
        if extra is None:
            extra = Package(base.name, name, ABSENT | PRESENT, base.place + len(base.extras) + 1)
            extra.base = base
            base.extras = {**base.extras, name: extra}
            terms = (term(extra, PRESENT), term(base, ABSENT))
            self._propagator.add(Incompatibility(terms, Belongs(extra)))
        return extra

    # --- deciding -----------------------------------------------------------------------------

    def _advance(self, package: Package) -> None:
        """Decide a package, or learn why it cannot be decided that way."""
        if package.extra:
            self._decide(package, package.base.decision, 1)
        elif bit := self._pick(package):
            self._decide(package, bit, bit)
        if not package.decision:
            self._priorities.enqueue(package)  # its turn may come again without any change to it

    def _pick(self, package: Package) -> int:
        """Return the version to try, 0 where none of those left can be used."""
        mask = package.current & ~package.unusable
        ahead, recall = 1, self._knowledge.recall
        while bit := package.candidates.best(mask):
            if bit in package.metadata or recall(package, bit) or self._is_usable(package, bit):
                return bit
            self._pump.check()
            package.unusable |= 1 << bit
            mask &= ~(1 << bit)
            if package.reasons[bit].code in IN_METADATA:  # the next ones may be no better, at a request each
                ahead = min(2 * ahead, _MOST_AHEAD)
                self._knowledge.read_ahead(package, mask, ahead)
        for hidden in bits(package.candidates.hidden(mask)):
            package.reject(hidden, PRERELEASE)
        self._exclude_unusable(package)
        return 0

    def _exclude_unusable(self, package: Package) -> None:
        """Tell that no state which is left can be used: one incompatibility for each kind of reason."""
        kinds: dict[str, dict[int, Rejection]] = {}
        for bit in bits(package.current & ~ABSENT):
            reason = package.reasons[bit]
            kinds.setdefault(reason.code, {})[bit] = reason
        for reasons in kinds.values():
            mask = sum(1 << bit for bit in reasons)
            cause = Unusable(package, reasons)
            self._propagator.add(Incompatibility((term(package, mask),), cause))

    def _is_usable(self, package: Package, bit: int) -> bool:
        if self._problem.dependencies:
            return self._knowledge.metadata(package, bit, self._priorities.moved) is not None
        choice = package.candidates.choose(bit)
        if not is_file(choice):
            self._knowledge.reject(package, bit, summary(choice))
        return is_file(choice)

    def _decide(self, package: Package, version: int, state: int) -> None:
        """Tell the dependencies of a version (for an extra: those it adds); decide if none contradicts.

        Args:
            version: Bit number of the project's version.
            state: Bit number to be decided.
        """
        conflict = self._tell_dependencies(package, version)
        if conflict is None:
            self._solution.decide(package, state)
            if not self._pump.silent and not package.extra:
                text = package.snapshot.version(version)
                self._pump.send(PackageDecided(name=package.name, version=text))
        else:
            self._priorities.count(package, conflict, self._exclude_alike(package, conflict))

    def _exclude_alike(self, package: Package, conflict: Incompatibility) -> int:
        """Exclude the next candidates too where they ask the same; returns how many are excluded."""
        if package.extra or not isinstance(conflict, Dependency) or conflict.dependency.base is package:
            return 1
        moved = self._priorities.moved
        run = Run(self._problem, self._knowledge, package, conflict.dependency, moved)
        run.collect()
        excluded = run.incompatibility()
        if excluded is not None:
            self._propagator.add(excluded)
        return run.count

    # --- dependencies -------------------------------------------------------------------------

    def _tell_dependencies(self, package: Package, version: int) -> Incompatibility | None:
        """Add an incompatibility for each dependency; returns the first that is satisfied already."""
        if not self._problem.dependencies:
            return None
        base = package.base
        rows = self._problem.rows(base.candidates.view, base.metadata[version], package.extra)
        conflict = self._tell(package, version, rows) if rows else None
        base.is_told = True
        return conflict

    def _tell(self, package: Package, version: int, rows: Sequence[RequirementRow]) -> Incompatibility | None:
        if package.extra and (foreign := self._problem.foreign_url(rows)) is not None:
            return self._bar_extra(package, version, foreign)
        conflict: Dependency | None = None
        base, knowledge = package.base, self._knowledge
        known = knowledge.packages
        fresh = [name for row in rows if (name := row.name) not in known]
        if fresh:
            knowledge.expect(fresh, rows)
        bit, via = 1 << version, package if package.extra else None
        for row in rows:
            dependency = known.get(row.name) or knowledge.package(row.name)
            if row.singleton:
                self._priorities.notice(dependency, row)
            states = None if row.url else dependency.snapshot.masks.get(row.specifier)
            if states is None:
                states = dependency.snapshot.mask(row)
            found = _edge(base, bit, via, dependency, states, row)
            if found is not None and conflict is None:
                conflict = found
            for extra in row.extras:
                found = _edge(base, bit, via, self._extra(dependency, extra), PRESENT, row)
                conflict = conflict or found
        return conflict

    def _bar_extra(self, extra: Package, version: int, direct: RequirementRow) -> Incompatibility:
        """Tell that a version cannot be had with an extra: that one asks for a direct URL."""
        base = extra.base
        reason = self._knowledge.bar(base, extra.extra, direct)
        terms = (term(base, 1 << version), term(extra, PRESENT))
        barred = Incompatibility(terms, Unusable(base, {version: reason}))
        self._propagator.add(barred)
        return barred

    # --- conflicts ----------------------------------------------------------------------------

    def _on_conflict(self, package: Package, learnt: Incompatibility) -> None:
        self.conflicts += 1
        self._check()
        if not self._pump.silent:
            self._pump.send(Backtracked(conflicts=self.conflicts))
        self._priorities.count(package, learnt, 1)

    def _reprioritise(self) -> list[Package]:
        """Put what conflicts a lot in another order; returns what has to be looked at again."""
        early, late = self._priorities.reprioritise()
        changed: list[Package] = []
        for package in late:
            if package.decision:
                self._solution.backtrack(self._solution.level_before(package))
                changed = [package, *early]
        return changed

    def _finish(self) -> list[Package]:
        """Return what was decided, and let go of the proof: it is full of cycles."""
        decided = []
        everything = list(self._knowledge.packages.values())
        for package in everything:
            package.incompatibilities.clear()
            package.history.clear()
            package.edges = None
            if package.extras:
                everything += package.extras.values()
            if package.decision:
                decided.append(package)
        self._priorities.clear()
        self._solution.trail.clear()
        return decided


def _edge(
    base: Package, bit: int, via: Package | None, target: Package, states: int, row: RequirementRow
) -> Dependency | None:
    """Note one dependency; returns its incompatibility if the partial solution satisfies it.

    Args:
        base: The project that depends.
        bit: Mask of its version.
        via: The extra that brings it in, None for all.
        target: What it depends on.
        states: What that may be in.
        row: The requirement.
    """
    is_own = target is base
    if is_own and states & bit:
        return None  # it asks for itself as it is
    edge = base.find_edge(target, states, via) if base.is_told else None
    if edge is not None:
        edge.widen(bit)
    else:
        edge = Dependency(base, bit, via, target, states, row)
        if base.edges is not None:
            base.edges[target, states, via] = edge
        base.incompatibilities.append(edge)
        if via is not None:
            via.incompatibilities.append(edge)
        if not is_own:
            target.incompatibilities.append(edge)
    return edge if is_own or not target.current & states else None
