"""Advice after a failure: the smallest conflict, and what would help.

A hint that says "there is a solution" was tried. What another index has, and what a wheel would be that
nobody has built, cannot be tried from here: these hints only say where to look. Nothing is built for a
trial: what the caller has ruled out must not run because of a hint. "There may be a solution" then.
"""

from __future__ import annotations

from puffin_api._concurrency import Pump
from puffin_api._model.filename import SOURCE_ENDINGS, parse_sdist_name, source_ending
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.requirement import requirement_row
from puffin_api._model.version_key import admits
from puffin_api._resolver.candidates import is_file
from puffin_api._resolver.digests import Digests
from puffin_api._resolver.effort import Effort
from puffin_api._resolver.explain import facts_of, failure
from puffin_api._resolver.incompatibility import Constrained, Dependency, Required, Unusable
from puffin_api._resolver.other_pythons import other_pythons, would_suit
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.solve import GaveUp, Solver
from puffin_api._urls import redact_in
from puffin_api.errors import BuildForbidden, NetworkError, OfflineMiss

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem
    from puffin_api.errors import PuffinError
    from puffin_api.protocols import ReleaseSource

_MOST_CONFLICTS = 200
"""A trial with more conflicts than this is given up."""
_FEW_CONFLICTS = 10
"""Up to here a wheel that is lacking is the cause; beyond, one circumstance of many."""
_MOST_TRIALS = 40
_MOST_REASONS = 100
_LEAST = Effort(_MOST_CONFLICTS, visited=1000, looks=20_000)
"""So much may go into a trial, however soon the failure was found: some 20 ms where nothing is fetched."""
_HINT = 0.25
"""Incompatibilities that a hint may look at, as a share of those of the search that failed."""
_CONFLICT = 1.0
"""The same for making the conflict smaller, which matters more than a hint."""
_BEYOND = 2
"""So many times as many candidates may be looked at: a solution lies further on than the failure."""
_TOGETHER = 4
"""All trials together may take as much as so many of the dearest."""


class Advisor:
    """Tries variations of a problem that has no solution.

    Args:
        problem: What has no solution.
        source: Where releases and metadata come from.
        pump: Where cancelling comes from.
        spent: What it took to find out. Trials are held to that: a failure that is found soon is told soon.
    """

    def __init__(self, problem: Problem, source: ReleaseSource, pump: Pump, spent: Effort) -> None:
        self._problem = problem
        self._source = source
        self._spent = spent
        most = _share(spent, _CONFLICT)
        self._left = Effort(_MOST_TRIALS * most.conflicts, _TOGETHER * most.visited, _TOGETHER * most.looks)
        self._pump = Pump(None, pump.cancel)  # nobody wants to hear of trials
        self._trials = 0
        self._needs_build = False
        """Whether only a build could tell how the last trial ends."""

    def error(self, last: Incompatibility) -> PuffinError:
        """Return the error to be raised for a proof that there is no solution.

        Raises:
            Cancelled: The caller changed its mind.
        """
        last = self._smallest(last)
        facts = facts_of(last, check=self._pump.check)
        error = failure(last, tuple(dict.fromkeys(self._hints(facts))), check=self._pump.check)
        missing = _offline(facts)
        if not missing:
            return error
        miss = OfflineMiss(
            f"Offline, and the cache does not hold what is needed: {', '.join(missing)}",
            hint="Resolve once with a connection; then the cache holds it.",
            url="",
            missing=missing,
        )
        miss.__cause__ = error
        return miss

    # --- the smallest conflict ----------------------------------------------------------------

    def _smallest(self, last: Incompatibility) -> Incompatibility:
        """Return the proof for as few of the caller's requirements as cannot be met together."""
        rows = kept = self._required(last)
        for row in rows[:_MOST_TRIALS] if len(rows) > 1 else ():
            if row not in kept:
                continue
            smaller = self._try(
                self._problem.changed(roots=[r for r in kept if r is not row]), share=_CONFLICT
            )
            if isinstance(smaller, Unsolvable):
                last = smaller.incompatibility
                kept = self._required(last)
        if len(kept) < len(rows):
            # Alone, what conflicts is told without detours.
            again = self._try(self._problem.changed(roots=kept), share=_CONFLICT)
            last = again.incompatibility if isinstance(again, Unsolvable) else last
        return last

    def _required(self, last: Incompatibility) -> list[RequirementRow]:
        facts = facts_of(last, check=self._pump.check)
        return list(dict.fromkeys(row for fact in facts for row in _rows(fact)))

    # --- what would help ----------------------------------------------------------------------

    def _hints(self, facts: list[Incompatibility]) -> Iterator[str]:
        problem = self._problem.changed(roots=[r for fact in facts for r in _rows(fact)])
        reasons = [(c.package, c.reasons) for f in facts if isinstance(c := f.cause, Unusable)]
        codes = {reason.code for _, found in reasons for reason in found.values()}
        if "prerelease" in codes:
            yield from self._if_prereleases(problem)
        if codes & {"too-new", "no-upload-time"}:
            yield from self._if_later(problem)
        if codes & {"only-binary", "no-binary"}:
            yield from self._if_any_kind(problem)
        if codes & {"hash-mismatch", "hash-missing"}:
            yield from self._if_any_digest(problem)
        if codes & (kinds := self._kinds_of_python()):
            yield from self._if_other_python(problem, [r for _, f in reasons for r in f.values()], kinds)
        if "yanked" in codes:
            yield from self._if_yanked(problem, reasons)
        for fact in facts:
            if isinstance(fact.cause, Constrained):
                yield from self._if_unconstrained(problem, fact.cause.row)
        if codes & {"needs-build", "incompatible-tags"}:
            yield from _if_built(reasons)
        yield from _if_asked_elsewhere(facts)
        yield from _if_asked_by_url(facts)

    def _if_prereleases(self, problem: Problem) -> Iterator[str]:
        changed = problem.changed(prereleases=PrereleaseMode.IF_NECESSARY)
        yield from self._told(changed, "with pre-releases; allow them with PrereleaseMode.IF_NECESSARY")

    def _if_later(self, problem: Problem) -> Iterator[str]:
        found = self._try(problem.changed(policy=problem.policy.changed(cutoff={})))
        if isinstance(found, list):
            times = [time for package in found if (time := _upload_time(package)) is not None]
            if times:
                from datetime import UTC, datetime

                latest = datetime.fromtimestamp(max(times), UTC).strftime("%Y-%m-%d %H:%M")
                yield f"there is a solution with files uploaded until {latest} UTC; set exclude_newer later"
            else:
                yield "there is a solution without exclude_newer"
        elif self._needs_build:
            yield "there may be a solution without exclude_newer"

    def _if_any_kind(self, problem: Problem) -> Iterator[str]:
        changed = problem.changed(policy=problem.policy.changed(only_binary=(), no_binary=()))
        yield from self._told(changed, "without only_binary and no_binary")

    def _if_any_digest(self, problem: Problem) -> Iterator[str]:
        changed = problem.changed(policy=problem.policy.changed(digests=Digests()))
        yield from self._told(changed, "with files of other digests; if you trust them, give theirs")

    def _kinds_of_python(self) -> set[str]:
        """Return the codes for which another Python is tried."""
        kinds = {"requires-python"}
        return kinds | {"incompatible-tags"} if self._spent.conflicts <= _FEW_CONFLICTS else kinds

    def _if_other_python(self, problem: Problem, reasons: list[Rejection], kinds: set[str]) -> Iterator[str]:
        told = reasons[-_MOST_REASONS:]  # of the newest versions
        for target in other_pythons(problem.policy.target):
            self._pump.check()
            suits = any(would_suit(target, reason, kinds) for reason in told)
            if suits and self._works(problem.for_target(target)):
                yield f"there is a solution for Python {target.markers['python_version']}"
                return

    def _if_yanked(
        self, problem: Problem, reasons: Sequence[tuple[Package, Mapping[int, Rejection]]]
    ) -> Iterator[str]:
        for package, found in reasons:
            yanked = [bit for bit, reason in found.items() if reason.code == "yanked"]
            for bit in sorted(yanked, reverse=True)[:1]:
                pin = f"{package.name}=={package.snapshot.version(bit)}"
                changed = problem.changed(roots=[*problem.roots, requirement_row(pin)])
                yield from self._told(changed, f"with a yanked release; require {pin} to accept it")

    def _if_unconstrained(self, problem: Problem, row: RequirementRow) -> Iterator[str]:
        changed = problem.changed(amendments=problem.amendments.without_constraint(row))
        yield from self._told(changed, f"without the constraint {redact_in(row.text, row.url)}")

    # --- trying -------------------------------------------------------------------------------

    def _told(self, problem: Problem, how: str) -> Iterator[str]:
        """Give the hint that a variation has a solution, if it has one or may have."""
        if self._works(problem):
            yield f"there is a solution {how}"
        elif self._needs_build:
            yield f"there may be a solution {how}"

    def _works(self, problem: Problem) -> bool:
        return isinstance(self._try(problem), list)

    def _try(self, problem: Problem, *, share: float = _HINT) -> list[Package] | Unsolvable | None:
        """Solve a variation; None where it cannot be told within reason."""
        self._trials += 1
        self._needs_build = False
        if self._trials > _MOST_TRIALS:
            return None
        patience = _share(self._spent, share).capped(self._left)
        solver = Solver(problem, self._source, self._pump, patience=patience)
        try:
            return solver.solve()
        except Unsolvable as unsolvable:
            return unsolvable
        except BuildForbidden:
            self._needs_build = True
            return None
        except (GaveUp, NetworkError):
            return None
        finally:
            self._left = self._left.without(solver.effort)


def _share(spent: Effort, share: float) -> Effort:
    """Return a share of what was spent, but not too little to find anything out."""
    visited, looks = _BEYOND * spent.visited, int(spent.looks * share)
    return Effort(_MOST_CONFLICTS, max(_LEAST.visited, visited), max(_LEAST.looks, looks))


def _rows(fact: Incompatibility) -> tuple[RequirementRow, ...]:
    return (fact.cause.row,) if isinstance(fact.cause, Required) else ()


def _offline(facts: list[Incompatibility]) -> list[str]:
    """Return the projects and files that were not there because we are offline."""
    needed = [fact.dependency.base for fact in facts if isinstance(fact, Dependency)]
    unknown = [package.name for package in needed if package.unknown and package.unknown.code == "offline"]
    causes = [fact.cause for fact in facts if isinstance(fact.cause, Unusable)]
    reasons = [reason for cause in causes for reason in cause.reasons.values()]
    return list(dict.fromkeys([*unknown, *(r.value for r in reasons if r.code == "offline")]))


def _upload_time(package: Package) -> float | None:
    if package.extra:
        return None
    choice = package.candidates.choose(package.decision)
    return choice.upload_time if is_file(choice) else None


def _if_built(reasons: Sequence[tuple[Package, Mapping[int, Rejection]]]) -> Iterator[str]:
    for package, found in reasons:
        if any(name.endswith((".tar.gz", ".zip")) for r in found.values() for name in r.files):
            yield (
                f"{package.name} has a source distribution; allow builds with BuildPolicy.ALLOW, or build a"
                " wheel of it for this target and give its folder as find_links"
            )


def _if_asked_elsewhere(facts: Sequence[Incompatibility]) -> Iterator[str]:
    """Name the indexes that may have what is lacking."""
    for package in filter(None, map(_lacking, facts)):
        releases = package.base.snapshot.releases
        if releases.unasked:
            yield (
                f"{', '.join(releases.unasked)} not asked for {releases.name}, as {releases.index} knows it;"
                " pin it with Client(index_pins=...), or use IndexStrategy.BEST_MATCH"
            )


def _if_asked_by_url(facts: Sequence[Incompatibility]) -> Iterator[str]:
    """Name the source archives that no index may offer, but that can be built where they are asked for."""
    lacking = dict.fromkeys(package.base for package in map(_lacking, facts) if package is not None)
    for package in lacking:
        rows = [row for fact in facts for row in _rows(fact) if row.name == package.name]
        pins = [row for row in rows if row.singleton and row.specifier]
        for name in package.snapshot.releases.skipped if pins else ():
            version = _odd_archive(name, package.name)
            if version and all(admits(row.specifier, version) for row in pins):
                yield f"{name} is no .tar.gz or .zip file; to build it all the same, require its URL"


def _odd_archive(filename: str, project: str) -> str:
    """Return the version of a source archive that an index offers in vain; "" for any other file."""
    if not source_ending(filename):
        return ""
    try:
        return parse_sdist_name(filename, project, endings=SOURCE_ENDINGS)
    except ValueError:
        return ""


def _lacking(fact: Incompatibility) -> Package | None:
    """Return the project of which a fact says that some version is not there or cannot be used."""
    match fact.cause:
        case Unusable(package=package):
            return package
        case Required(package=package):
            return None if fact.terms else package
        case _:
            return fact.dependency if isinstance(fact, Dependency) and not fact.states else None
