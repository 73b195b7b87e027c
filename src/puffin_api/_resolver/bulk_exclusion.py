"""Bulk exclusion: candidates in a row that ask for the same impossible thing go in one step.

When the best candidate of a package asks for states of another that the partial solution has ruled
out, the next ones often ask for the same. Their dependencies together make one incompatibility,
instead of one conflict for each.
"""

from __future__ import annotations

from puffin_api._resolver.incompatibility import Dependency
from puffin_api._resolver.priorities import ENOUGH
from puffin_api._resolver.version_set import ABSENT, PRESENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.knowledge import Knowledge
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem

_CONVINCING = 8
"""So many candidates that ask the same are not there by chance."""
_NARROWEST, _WIDEST = 8, 256
"""At most so many candidates are asked for at once."""


class Run:
    """The candidates from the best on whose dependency fits none of the dependency's states."""

    def __init__(
        self,
        problem: Problem,
        knowledge: Knowledge,
        package: Package,
        dependency: Package,
        moved: dict[Package, None],
    ) -> None:
        self._problem = problem
        self._knowledge = knowledge
        self._package = package
        self._dependency = dependency
        self._moved = moved
        self._alike = 0
        self._admitted = 0
        self._last = 0
        self._is_over = False
        self._rows: dict[RequirementRow, None] = {}

    def collect(self) -> None:
        """Look at candidates until one is different.

        Where that is all versions that the package may have now, some more are looked at, as
        whoever brought it into this corner will next try one of those. Versions that the caller
        leaves out for good are never tried. Nor is more looked at where the dependency can give way.
        """
        package = self._package
        candidates = package.candidates
        mask = package.current & ~ABSENT & ~package.unusable
        while not self._ends and (batch := candidates.ordered(mask, self._width)):
            mask = self._extend(batch, mask)
        if self._alike and not self._ends:
            mask = candidates.after(package.possible & ~package.unusable, self._last)
            self._extend(candidates.ordered(mask, self._width), mask)

    @property
    def _width(self) -> int:
        return self._knowledge.widths.get(self._package, _NARROWEST)

    @property
    def count(self) -> int:
        """How many of the versions that the package may have now are excluded; enough to change the order
        of decisions where the dependency can give way.

        The others are not counted: measured on hard sets, that moves packages forward too soon, and
        up to eighty times as many candidates are looked at.
        """
        if self._can_give_way:
            return ENOUGH
        return max(1, (self._alike & self._package.current).bit_count())

    @property
    def _ends(self) -> bool:
        return self._is_over or self._can_give_way

    @property
    def _can_give_way(self) -> bool:
        """True where it was a choice, early on, that so many now contradict, and another would be open.

        Then that choice should wait for these.
        """
        dependency = self._dependency
        if self._is_over or not dependency.decision or self._alike.bit_count() < _CONVINCING:
            return False
        return bool(self._admitted & dependency.possible & ~ABSENT)

    def incompatibility(self) -> Dependency | None:
        """Return what excludes them all; None where there is nothing to exclude."""
        if not self._alike:
            return None
        return Dependency(
            self._package, self._alike, None, self._dependency, self._admitted, tuple(self._rows)
        )

    def _extend(self, batch: Sequence[int], mask: int) -> int:
        """Take candidates in until one is different; returns those that were not looked at."""
        package = self._package
        self._knowledge.load(package, batch, self._moved)
        self._knowledge.widths[package] = min(_WIDEST, self._width * 2)
        for bit in batch:
            mask &= ~(1 << bit)
            if bit in package.reasons:
                continue
            states, asked = self._demand(bit)
            if states & self._dependency.current:
                self._is_over = True
                break
            self._alike |= 1 << bit
            self._admitted |= states
            self._last = bit
            self._rows.update(dict.fromkeys(asked))
        return mask

    def _demand(self, bit: int) -> tuple[int, list[RequirementRow]]:
        """Return the states of the dependency that a version asks for, and by which requirements."""
        package, dependency = self._package, self._dependency
        states, asked = dependency.full, []
        for row in self._problem.rows(package.candidates.view, package.metadata[bit]):
            if row.name != dependency.name:
                continue
            if not dependency.extra:
                states &= dependency.snapshot.mask(row)
                asked.append(row)
            elif dependency.extra in row.extras:
                states &= PRESENT
                asked.append(row)
        return states, asked
