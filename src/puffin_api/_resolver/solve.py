"""The solver: PubGrub over masks of versions.

The vocabulary is PubGrub's: *terms*, *incompatibilities*, a *partial solution* made of decisions
and derivations, *unit propagation*, *conflict resolution*. One round is::

    propagate -> (conflict -> learn, backjump) -> reprioritise -> choose a package
      -> choose its version -> tell its dependencies -> decide, unless they contradict at once

The solver does no I/O: it asks a ``ReleaseSource``, and tells it beforehand what it will ask.
"""

from __future__ import annotations

import heapq

from puffin_api._concurrency import SILENT
from puffin_api._model.events import Backtracked, CandidateRejected, PackageDecided
from puffin_api._resolver.candidates import admits_python, is_file, summary
from puffin_api._resolver.incompatibility import (
    Belongs,
    Conflict,
    Depends,
    Incompatibility,
    Required,
    Unknown,
    Unusable,
    resolvent,
    term,
)
from puffin_api._resolver.package import (
    CONFLICT_EARLY,
    CONFLICT_LATE,
    SINGLETON,
    UNSPECIFIED,
    Package,
)
from puffin_api._resolver.partial_solution import PartialSolution, level_without, satisfier
from puffin_api._resolver.scout import RequirementScout
from puffin_api._resolver.snapshot import Snapshot, unknown
from puffin_api._resolver.version_set import ABSENT, PRESENT
from puffin_api.errors import PackageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from puffin_api._concurrency import Pump
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource

_THRESHOLD = 5
"""So many conflicts move a package forward (or back) in the order of decisions."""
_WIDEST = 256
"""At most so many candidates are asked for at once."""


class Unsolvable(Exception):  # not an error of the caller: the facade turns it into one
    """There is no solution; the incompatibility without terms says why."""

    def __init__(self, incompatibility: Incompatibility) -> None:
        super().__init__("no solution")
        self.incompatibility = incompatibility


class _Run:
    """Candidates in a row that ask for the same impossible thing."""

    __slots__ = ("admitted", "alike", "last", "over", "rows")

    def __init__(self) -> None:
        self.alike = 0
        """Mask of the candidates."""
        self.admitted = 0
        """What they ask for, together."""
        self.last = 0
        self.over = False
        self.rows: dict[RequirementRow, None] = {}

    def take(self, bit: int, states: int, rows: Iterable[RequirementRow]) -> None:
        self.alike |= 1 << bit
        self.admitted |= states
        self.last = bit
        self.rows.update(dict.fromkeys(rows))


class Solver:
    """One resolution. Not to be used twice."""

    def __init__(self, problem: Problem, source: ReleaseSource, pump: Pump = SILENT) -> None:
        self._problem = problem
        self._source = source
        self._pump = pump
        self._scout = RequirementScout(problem)
        self._packages: dict[str, Package] = {}
        self._heap: list[tuple[int, int, int, Package]] = []
        self._moved: dict[Package, None] = {}
        self._solution = PartialSolution(self._enqueue)
        self._early: list[Package] = []
        self._late: list[Package] = []
        self.conflicts = 0
        """How often the search had to go back."""
        self.visited = 0
        """How many candidates were looked at."""

    def solve(self) -> list[Package]:
        """Return the decided packages, extras included, in the order of discovery.

        Raises:
            Unsolvable: There is no solution.
            PackageNotFound: No index knows a project that the caller requires.
            NetworkError: An index could not be asked.
            Cancelled: The caller changed its mind.
        """
        changed = self._require(self._problem.roots)
        while True:
            self._pump.check()
            self._propagate(changed)
            changed = self._reprioritise()
            if changed:
                continue
            package = self._next()
            if package is None:
                return self._finish()
            self._advance(package)
            changed = [package]

    def _finish(self) -> list[Package]:
        """Return what was decided, and let go of the proof: it is full of cycles."""
        for package in self._all():
            package.incompatibilities.clear()
            package.edges.clear()
            package.history.clear()
        self._heap.clear()
        self._solution.trail.clear()
        return [package for package in self._all() if package.decision]

    @property
    def packages(self) -> dict[str, Package]:
        """Every project that was looked at."""
        return self._packages

    # --- asking -------------------------------------------------------------------------------

    def _require(self, rows: Sequence[RequirementRow]) -> list[Package]:
        """Turn the caller's requirements into incompatibilities of one term each."""
        self._scout.expect(rows)
        self._source.hint([row.name for row in rows], self._scout)
        changed = []
        for row in rows:
            package = self._package(row.name, required=True)
            self._notice_urgency(package, row)
            mask = self._problem.mask(package.snapshot, row)
            cause = Required(row)
            others = (term(package, package.full & ~mask),) if mask else ()
            self._add(Incompatibility(others, cause))
            for extra in row.extras:
                wanted = self._extra(package, extra)
                self._add(Incompatibility((term(wanted, ABSENT),), cause))
                changed.append(wanted)
            changed.append(package)
        return changed

    def _package(self, name: str, *, required: bool = False) -> Package:
        """Return the package of a project; waits for its versions the first time."""
        package = self._packages.get(name)
        if package is not None:
            return package
        reason = ""
        try:
            releases = self._source.releases(name)
        except PackageNotFound as error:
            if required:
                raise
            releases, reason = unknown(name), str(error)
        snapshot = Snapshot.of(releases)
        package = Package(name, "", snapshot.full, order=len(self._packages), tiebreak=0)
        package.snapshot = snapshot
        package.candidates = self._problem.candidates(snapshot)
        package.unknown = reason
        self._packages[name] = package
        return package

    def _extra(self, base: Package, name: str) -> Package:
        """Return the package of an extra, which cannot be had without its project."""
        extra = base.extras.get(name)
        if extra is None:
            tiebreak = len(base.extras) + 1
            extra = Package(base.name, name, ABSENT | PRESENT, order=base.order, tiebreak=tiebreak)
            extra.base = base
            base.extras[name] = extra
            terms = (term(extra, PRESENT), term(base, ABSENT))
            self._add(Incompatibility(terms, Belongs(extra)))
        return extra

    def _all(self) -> Iterable[Package]:
        for package in self._packages.values():
            yield package
            yield from package.extras.values()

    def _metadata(self, package: Package, bit: int) -> DistMetadata | None:
        """Return the metadata of a version; None once it is known that the version is unusable."""
        found = package.metadata.get(bit)
        if found is None and bit not in package.reasons:
            self._load(package, [bit])
            found = package.metadata.get(bit)
        return found

    def _load(self, package: Package, wanted: Sequence[int]) -> None:
        """Get the metadata of several versions, or the reasons why they cannot be used."""
        memory, accepted = package.snapshot.metadata, package.candidates.view.accepted
        files, missing = [], []
        for bit in wanted:
            if bit in package.metadata or bit in package.reasons:
                continue
            choice = package.candidates.choose(bit)
            if not is_file(choice):
                self._reject(package, bit, summary(choice))
            elif bit in accepted and self._problem.amendments.empty:
                package.metadata[bit] = accepted[bit]
                self.visited += 1
            elif (known := memory.get(choice.filename)) is not None:
                self._keep(package, bit, known)
            else:
                files.append(choice)
                missing.append(bit)
        if not files:
            return
        self._look_ahead()
        for bit, file, result in zip(missing, files, self._source.metadata(files), strict=True):
            if isinstance(result, Exception):
                self._reject(package, bit, str(result))
            else:
                memory[file.filename] = result
                self._keep(package, bit, result)

    def _keep(self, package: Package, bit: int, metadata: DistMetadata) -> None:
        """Take metadata in, unless it bars the version."""
        self.visited += 1
        required = metadata.requires_python
        if required and not admits_python(required, self._problem.policy.target):
            self._reject(package, bit, f"requires Python {required}")
            return
        rows = self._problem.rows(package.candidates.view, metadata)
        direct = next((row for row in rows if row.url), None)
        if direct is not None:
            self._reject(package, bit, f"depends on a direct URL ({direct.text})")
            return
        package.metadata[bit] = metadata
        if self._problem.amendments.empty:
            package.candidates.view.accepted[bit] = metadata

    def _reject(self, package: Package, bit: int, reason: str) -> None:
        package.reasons[bit] = reason
        if not self._pump.silent:
            version = package.snapshot.version(bit)
            self._pump.send(CandidateRejected(name=package.name, version=version, reason=reason))

    def _look_ahead(self) -> None:
        """Before waiting: ask for the likely candidates of everything that has moved."""
        files = []
        for package in self._moved:
            if package.extra or package.decision or package.current & ABSENT:
                continue
            bit = package.candidates.best(package.current & ~package.unusable)
            if bit and bit not in package.metadata:
                choice = package.candidates.choose(bit)
                if is_file(choice) and choice.filename not in package.snapshot.metadata:
                    files.append(choice)
        self._moved.clear()
        if files:
            self._source.touch(files)

    # --- deciding -----------------------------------------------------------------------------

    def _advance(self, package: Package) -> None:
        """Decide a package, or learn why it cannot be decided that way."""
        if package.extra:
            self._decide(package, package.base.decision, 1)
        elif bit := self._pick(package):
            self._decide(package, bit, bit)
        if not package.decision:
            self._enqueue(package)  # its turn may come again without anything having changed it

    def _pick(self, package: Package) -> int:
        """Return the version to try, 0 where none of those left can be used."""
        mask = package.current & ~ABSENT & ~package.unusable
        while bit := package.candidates.best(mask):
            if not self._problem.dependencies:
                if is_file(choice := package.candidates.choose(bit)):
                    return bit
                self._reject(package, bit, summary(choice))
            elif self._metadata(package, bit) is not None:
                return bit
            package.unusable |= 1 << bit
            mask &= ~(1 << bit)
        for hidden in _bits(package.candidates.hidden(mask)):
            package.reasons[hidden] = "is a pre-release, which the caller does not allow"
        self._add(Incompatibility((term(package, package.current),), self._why_none(package)))
        return 0

    def _why_none(self, package: Package) -> Unusable:
        reasons = {bit: package.reasons[bit] for bit in _bits(package.current & ~ABSENT)}
        return Unusable(package, reasons)

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
            return
        times = 1
        if (
            not package.extra
            and isinstance(conflict.cause, Depends)
            and conflict.cause.dependency is not package
        ):
            times = self._exclude_alike(package, conflict.cause.dependency)
        self._count(package, conflict, times)

    def _tell_dependencies(self, package: Package, version: int) -> Incompatibility | None:
        """Add an incompatibility for each dependency; returns the first that is satisfied already."""
        if not self._problem.dependencies:
            return None
        base, known, conflict = package.base, self._packages, None
        problem, constrained = self._problem, self._problem.amendments.constrained
        rows = problem.rows(base.candidates.view, base.metadata[version], package.extra)
        self._expect(rows)
        for row in rows:
            dependency = known.get(row.name) or self._package(row.name)
            if row.singleton:
                self._notice_urgency(dependency, row)
            states = dependency.snapshot.masks.get(row.specifier)
            if states is None or constrained:
                states = problem.mask(dependency.snapshot, row)
            found = self._edge(package, version, dependency, states, row)
            conflict = conflict or found
            for extra in row.extras:
                found = self._edge(package, version, self._extra(dependency, extra), PRESENT, row)
                conflict = conflict or found
        return conflict

    def _expect(self, rows: Sequence[RequirementRow]) -> None:
        """Have everything that is new read ahead, all at once, before the first wait."""
        fresh = [row for row in rows if row.name not in self._packages]
        if fresh:
            self._scout.expect(fresh)
            self._source.hint([row.name for row in fresh], self._scout)

    def _edge(
        self, package: Package, version: int, target: Package, states: int, row: RequirementRow
    ) -> Incompatibility | None:
        """Note one dependency; returns its incompatibility if the partial solution satisfies it."""
        base, bit = package.base, 1 << version
        if target is base and states & bit:
            return None  # it asks for itself as it is
        key = (target, states, package.extra)
        known = base.edges.get(key)
        if known is not None:
            known.widen(bit)
        else:
            known = base.edges[key] = self._new_edge(package, bit, target, states, row)
        return known if not target.current & states or target is base else None

    def _new_edge(
        self, package: Package, bit: int, target: Package, states: int, row: RequirementRow
    ) -> Incompatibility:
        base = package.base
        terms: tuple[tuple[Package, int, int], ...] = ((base, bit, base.full ^ bit),)
        if package.extra:
            terms = (*terms, (package, PRESENT, ABSENT))
        if states and target is not base:
            terms = (*terms, (target, target.full ^ states, states))
        edge = Incompatibility(terms, Depends(base, target, (row,), package.extra))
        for other, _, _ in terms:
            other.incompatibilities.append(edge)
        return edge

    def _exclude_alike(self, package: Package, dependency: Package) -> int:
        """Exclude at once all next candidates that ask the same impossible thing.

        The versions of ``package`` from the best on whose dependency on ``dependency`` fits none
        of its current states are put into one incompatibility, instead of being tried one by one.
        Where that is all versions that the package may have now, some more are looked at, as
        whoever brought it into this corner will next try one of those.

        Returns:
            How many of the versions that the package may have now were excluded.
        """
        run = _Run()
        mask = package.current & ~ABSENT & ~package.unusable
        while not run.over and (batch := package.candidates.ordered(mask, package.widest)):
            mask = self._extend(run, package, dependency, batch, mask)
        if run.alike and not run.over:
            mask = package.candidates.after(package.full & ~package.unusable, run.last)
            self._extend(run, package, dependency, package.candidates.ordered(mask, package.widest), mask)
        if not run.alike:
            return 1
        terms = [term(package, run.alike)]
        if run.admitted:
            terms.append(term(dependency, dependency.full & ~run.admitted))
        self._add(Incompatibility(tuple(terms), Depends(package, dependency, tuple(run.rows), "")))
        return max(1, (run.alike & package.current).bit_count())

    def _extend(
        self, run: _Run, package: Package, dependency: Package, batch: Sequence[int], mask: int
    ) -> int:
        """Take candidates into the run until one is not like it; returns those that are left."""
        self._load(package, batch)
        package.widest = min(_WIDEST, package.widest * 2)
        for bit in batch:
            mask &= ~(1 << bit)
            if bit in package.reasons:
                continue
            states, asked = self._demand(package, bit, dependency)
            if states & dependency.current:
                run.over = True
                break
            run.take(bit, states, asked)
        return mask

    def _demand(
        self, package: Package, version: int, dependency: Package
    ) -> tuple[int, list[RequirementRow]]:
        """Return the states of ``dependency`` that a version asks for, and by which requirements."""
        states, asked = dependency.full, []
        for row in self._problem.rows(package.candidates.view, package.metadata[version]):
            if row.name != dependency.name:
                continue
            if dependency.extra:
                if dependency.extra in row.extras:
                    states &= PRESENT
                    asked.append(row)
            else:
                states &= self._problem.mask(dependency.snapshot, row)
                asked.append(row)
        return states, asked

    # --- propagating --------------------------------------------------------------------------

    def _add(self, incompatibility: Incompatibility) -> None:
        for package, _, _ in incompatibility.terms:
            package.incompatibilities.append(incompatibility)
        if not incompatibility.terms:
            raise Unsolvable(incompatibility)

    def _propagate(self, changed: list[Package]) -> None:
        """Derive whatever the incompatibilities leave no choice about."""
        derive = self._solution.derive
        while changed:
            conflict = None
            for candidate in reversed(changed.pop().incompatibilities):
                open_package: Package | None = None
                own = 0
                for package, mask, complement in candidate.terms:
                    current = package.current
                    if not current & mask:
                        break  # this term is false: nothing follows
                    if current & complement:
                        if open_package is not None:
                            break  # two terms are open: nothing follows yet
                        open_package, own = package, complement
                else:
                    if open_package is None:
                        conflict = candidate
                        break
                    derive(open_package, own, candidate)
                    if open_package not in changed:
                        changed.append(open_package)
            if conflict is not None:
                changed[:] = [self._resolve_conflict(conflict)]

    def _resolve_conflict(self, conflict: Incompatibility) -> Package:
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
        if learnt is not conflict:
            self._add(learnt)
        self._solution.backtrack(level)
        self._solution.derive(package, complement, learnt)
        self.conflicts += 1
        if not self._pump.silent:
            self._pump.send(Backtracked(conflicts=self.conflicts))
        self._count(package, learnt, 1)
        return package

    # --- the order of decisions ---------------------------------------------------------------

    def _enqueue(self, package: Package) -> None:
        """Note that a package has to be decided."""
        base = package.base
        heapq.heappush(self._heap, (base.urgency, base.order, package.tiebreak, package))
        self._moved[package] = None

    def _next(self) -> Package | None:
        """Return the most urgent package that has to be decided."""
        heap = self._heap
        while heap:
            urgency, _, _, package = heapq.heappop(heap)
            if package.decision or package.current & ABSENT or urgency != package.base.urgency:
                continue  # an entry that time has passed by
            return package
        return None

    def _notice_urgency(self, package: Package, row: RequirementRow) -> None:
        if package.urgency == UNSPECIFIED and row.singleton:
            self._set_urgency(package, SINGLETON)

    def _set_urgency(self, package: Package, urgency: int) -> None:
        package.urgency = urgency
        for each in (package, *package.extras.values()):
            if not each.current & ABSENT and not each.decision:
                self._enqueue(each)

    def _count(self, affected: Package, conflict: Incompatibility, times: int) -> None:
        """Keep count of who rejects whom."""
        base = affected.base
        culprits = {p.base for p, _, _ in conflict.terms if p.base is not base}
        for culprit in sorted(culprits, key=lambda p: p.order):
            before, culprit.culprit = culprit.culprit, culprit.culprit + times
            if before < _THRESHOLD <= culprit.culprit:
                self._late.append(culprit)
        if culprits:
            before, base.affected = base.affected, base.affected + times
            if before < _THRESHOLD <= base.affected:
                self._early.append(base)

    def _reprioritise(self) -> list[Package]:
        """Decide what is often rejected before what rejects it; returns what has to be looked at."""
        changed: list[Package] = []
        for package in self._early:
            if package.urgency != CONFLICT_EARLY:
                self._set_urgency(package, CONFLICT_EARLY)
        for package in self._late:
            if package.urgency not in (CONFLICT_EARLY, CONFLICT_LATE):
                self._set_urgency(package, CONFLICT_LATE)
                if package.decision:
                    self._solution.backtrack(self._solution.level_before(package))
                    changed = [package, *self._early]
        self._early.clear()
        self._late.clear()
        return changed


def _last_satisfier(
    incompatibility: Incompatibility,
) -> tuple[Package, tuple[int, int, int, Incompatibility | None, int], int, int]:
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


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


__all__ = ["Conflict", "Solver", "Unknown", "Unsolvable"]
