"""Why packages have the versions that they have: what speaks against each better one."""

from __future__ import annotations

from puffin_api._model.rejection import Rejection
from puffin_api._model.requirement import requirement_row
from puffin_api._model.resolution import VersionChoice
from puffin_api._resolver.candidates import is_file, summary
from puffin_api._resolver.effort import Effort
from puffin_api._resolver.explain import facts_in_words
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.solve import GaveUp, Solver
from puffin_api._resolver.version_set import ABSENT
from puffin_api.errors import Cancelled, NetworkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource

_MOST_TRIALS = 8
_PATIENCE = Effort(conflicts=200, visited=5000, looks=200_000)
_MOST_TOLD = 3
_UNKNOWN = Rejection("conflict", "has dependencies that do not go together with the rest")


class Choices:
    """Answers "why this version", worked out when it is asked.

    Where no single requirement speaks against a version, the resolution is tried anew with it.

    Args:
        bases: The decided projects by name.
        problem: What was asked.
        source: Where releases and metadata came from.
    """

    def __init__(self, bases: Mapping[str, Package], problem: Problem, source: ReleaseSource) -> None:
        self._bases = bases
        self._problem = problem
        self._source = source

    def __call__(self, name: str) -> VersionChoice:
        """Return the version of a package, with what was passed over."""
        package = self._bases[name]
        version = package.snapshot.version
        found = {bit: self._objection(package, bit) for bit in self._better(package)}
        found |= self._deeper(package, sorted(bit for bit in found if found[bit] is _UNKNOWN))
        return VersionChoice(
            version(package.decision), {version(bit): reason for bit, reason in found.items()}
        )

    def _better(self, package: Package) -> list[int]:
        """Return what would have been preferred, best first."""
        better: list[int] = []
        mask = package.full & ~ABSENT
        while (bit := package.candidates.best(mask)) and bit != package.decision:
            better.append(bit)
            mask &= ~(1 << bit)
        return better

    # --- what one look tells ------------------------------------------------------------------

    def _objection(self, package: Package, bit: int) -> Rejection:
        if bit in package.reasons:
            return package.reasons[bit]
        for who, row in self._demands(package):
            if not package.snapshot.mask(row) >> bit & 1:
                return Rejection("required-otherwise", f"does not fit: {who} {row.text}", row.text)
        choice = package.candidates.choose(bit)
        if not is_file(choice):
            return summary(choice)
        metadata = package.metadata.get(bit)
        for row in self._problem.rows(package.candidates.view, metadata) if metadata is not None else ():
            other = self._bases.get(row.name)
            if other is not None and not other.snapshot.mask(row) >> other.decision & 1:
                chosen = other.snapshot.version(other.decision)
                text = f"requires {row.text}, and {chosen} was chosen"
                return Rejection("requirement-unmet", text, row.text)
        return _UNKNOWN

    def _demands(self, package: Package) -> list[tuple[str, RequirementRow]]:
        """Return what is asked of the package, and by whom, as the beginning of a sentence."""
        name, rows_of = package.name, self._problem.rows
        found = [("you require", row) for row in self._problem.roots if row.name == name]
        found += [("your constraints say", row) for row in self._problem.amendments.constraints(name)]
        for other in self._bases.values():
            metadata = other.metadata.get(other.decision)
            if metadata is not None:
                rows = [*rows_of(other.candidates.view, metadata)]
                for extra in other.extras.values():
                    if extra.decision:
                        rows += rows_of(other.candidates.view, metadata, extra.extra)
                found += [(f"{other.name} requires", row) for row in rows if row.name == name]
        return found

    # --- what only a trial tells --------------------------------------------------------------

    def _deeper(self, package: Package, left: Sequence[int]) -> dict[int, Rejection]:
        """Try versions with which nothing is wrong at first sight; given and returned by bit number."""
        found: dict[int, Rejection] = {}
        above = [bit for bit in left if bit > package.decision]
        apart = [bit for bit in left if bit < package.decision]
        trials = _MOST_TRIALS
        while above and trials:  # one trial, from the lowest on, may tell for all
            trials -= 1
            outcome, best = self._outcome(package, ">=", above[0])
            if outcome is None:
                break
            found |= dict.fromkeys(above if not best else [bit for bit in above if bit == best], outcome)
            apart += [bit for bit in above if bit < best]
            above = [bit for bit in above if bit > best] if best else []
        for bit in apart[::-1][:trials]:
            outcome, _ = self._outcome(package, "==", bit)
            if outcome is not None:
                found[bit] = outcome
        return found

    def _outcome(self, package: Package, operator: str, bit: int) -> tuple[Rejection | None, int]:
        """Try a requirement more; returns what came of it, and the version that it came to, if any."""
        name = package.name
        row = requirement_row(f"{name}{operator}{package.snapshot.version(bit)}")
        found = self._attempt(self._problem.changed(roots=[*self._problem.roots, row]))
        if isinstance(found, Unsolvable):
            return _because(found, row), 0
        if found is None:
            return None, 0
        decided = {package.name: package for package in found if not package.extra}
        return self._trade_off(decided), decided[name].decision

    def _attempt(self, problem: Problem) -> list[Package] | Unsolvable | None:
        """Solve a variation; None where it cannot be told within reason, or not any more."""
        try:
            return Solver(problem, self._source, patience=_PATIENCE).solve()
        except Unsolvable as unsolvable:
            return unsolvable
        except (GaveUp, NetworkError, Cancelled):  # cancelled: the client was closed since
            return None

    def _trade_off(self, decided: Mapping[str, Package]) -> Rejection:
        """Say what a solution with another version costs."""
        both = [(old, decided[name]) for name, old in self._bases.items() if name in decided]
        older = [(old, new) for old, new in both if new.decision < old.decision]
        other = older or [(old, new) for old, new in both if new.decision != old.decision]
        costs = [f"{new.name} {_version(new)} instead of {_version(old)}" for old, new in other]
        costs += [f"{name} {_version(new)}" for name, new in decided.items() if name not in self._bases]
        return Rejection("trade-off", f"is possible only with {_list(costs)}", ", ".join(costs))


def _because(unsolvable: Unsolvable, row: RequirementRow) -> Rejection:
    facts = facts_in_words(unsolvable.incompatibility, besides=row)
    return Rejection("conflict", f"is not possible: {_list(facts)}", "; ".join(facts))


def _version(package: Package) -> str:
    return package.snapshot.version(package.decision)


def _list(items: Sequence[str]) -> str:
    more = f", and {len(items) - _MOST_TOLD} more" if len(items) > _MOST_TOLD else ""
    return ", ".join(items[:_MOST_TOLD]) + more
