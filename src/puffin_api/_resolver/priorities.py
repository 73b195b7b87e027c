"""Priorities: which package is decided next, and how conflicts change that."""

from __future__ import annotations

import heapq

from puffin_api._resolver.package import (
    CONFLICT_EARLY,
    CONFLICT_LATE,
    EXTRA_BITS,
    SINGLETON,
    UNSPECIFIED,
)
from puffin_api._resolver.version_set import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package

_ABOVE = 2 * EXTRA_BITS
"""Where the urgency begins, above the places."""
_PLACE = (1 << _ABOVE) - 1
ENOUGH = 5
"""So many conflicts move a package forward (or back) in the order of decisions."""


class Priorities:
    """The order of decisions.

    Exact pins first; then what is often rejected, then everything in the order of discovery, and at
    last what often rejects others. The heap keeps entries that time has passed by; they are dropped
    when they come up.
    """

    __slots__ = ("_affected", "_culprits", "_early", "_heap", "_late", "_packages", "moved", "must_move")

    def __init__(self) -> None:
        self._heap: list[int] = []
        """Urgency and place in one integer."""
        self._packages: dict[int, Package] = {}
        self._affected: dict[Package, int] = {}
        """How often the versions of projects were rejected by others."""
        self._culprits: dict[Package, int] = {}
        """How often projects had others rejected."""
        self._early: list[Package] = []
        self._late: list[Package] = []
        self.must_move = False
        """Whether ``reprioritise`` has anything to do."""
        self.moved: dict[Package, None] = {}
        """Packages whose candidates may have changed since this was last emptied."""

    def enqueue(self, package: Package) -> None:
        """Note that a package has to be decided."""
        place = package.place
        self._packages[place] = package
        heapq.heappush(self._heap, package.base.urgency << _ABOVE | place)
        self.moved[package] = None

    def next(self) -> Package | None:
        """Return the most urgent package that has to be decided."""
        heap = self._heap
        while heap:
            entry = heapq.heappop(heap)
            package = self._packages[entry & _PLACE]
            if package.decision or package.current & ABSENT or entry >> _ABOVE != package.base.urgency:
                continue
            return package
        return None

    def notice(self, package: Package, row: RequirementRow) -> None:
        """Take note that a requirement names the package."""
        if package.urgency == UNSPECIFIED and row.singleton:
            self._move(package, SINGLETON)

    def count(self, affected: Package, conflict: Incompatibility, times: int) -> None:
        """Keep count of who rejects whom."""
        base = affected.base
        culprits = {p.base for p, _, _ in conflict.terms if p.base is not base}
        for culprit in sorted(culprits, key=lambda p: p.place):
            if _reaches_enough(self._culprits, culprit, times):
                self._late.append(culprit)
                self.must_move = True
        if culprits and _reaches_enough(self._affected, base, times):
            self._early.append(base)
            self.must_move = True

    def reprioritise(self) -> tuple[list[Package], list[Package]]:
        """Decide what is often rejected before what rejects it.

        Returns:
            What was moved forward, and what was moved back: decisions about the latter have to be
            taken back.
        """
        self.must_move = False
        early, self._early = self._early, []
        late, self._late = self._late, []
        for package in early:
            if package.urgency != CONFLICT_EARLY:
                self._move(package, CONFLICT_EARLY)
        late = [p for p in late if p.urgency not in (CONFLICT_EARLY, CONFLICT_LATE)]
        for package in late:
            self._move(package, CONFLICT_LATE)
        return early, late

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._packages.clear()
        self._affected.clear()
        self._culprits.clear()
        self.moved.clear()

    def _move(self, package: Package, urgency: int) -> None:
        package.urgency = urgency
        for each in (package, *package.extras.values()):
            if not each.current & ABSENT and not each.decision:
                self.enqueue(each)


def _reaches_enough(counts: dict[Package, int], package: Package, times: int) -> bool:
    """Count on, and tell whether it is enough now and was not before."""
    before = counts.get(package, 0)
    counts[package] = before + times
    return before < ENOUGH <= before + times
