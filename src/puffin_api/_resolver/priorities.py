"""Priorities: which package is decided next, and how conflicts change that."""

from __future__ import annotations

import heapq

from puffin_api._resolver.package import CONFLICT_EARLY, CONFLICT_LATE, SINGLETON, UNSPECIFIED
from puffin_api._resolver.version_set import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package

_BITS = 24
"""For the order of discovery, and for the number of an extra."""
_PLACE = (1 << 2 * _BITS) - 1
ENOUGH = 5
"""So many conflicts move a package forward (or back) in the order of decisions."""


class Priorities:
    """The order of decisions.

    Exact pins first; then what is often rejected, then everything in the order of discovery, and at
    last what often rejects others. The heap keeps entries that time has passed by; they are dropped
    when they come up.
    """

    __slots__ = ("_early", "_heap", "_late", "_packages", "moved", "must_move")

    def __init__(self) -> None:
        self._heap: list[int] = []
        """Urgency, order of discovery, and number of the extra in one integer."""
        self._packages: dict[int, Package] = {}
        self._early: list[Package] = []
        self._late: list[Package] = []
        self.must_move = False
        """Whether ``reprioritise`` has anything to do."""
        self.moved: dict[Package, None] = {}
        """Packages whose candidates may have changed since this was last emptied."""

    def enqueue(self, package: Package) -> None:
        """Note that a package has to be decided."""
        base = package.base
        place = base.order << _BITS | package.tiebreak
        self._packages[place] = package
        heapq.heappush(self._heap, base.urgency << 2 * _BITS | place)
        self.moved[package] = None

    def next(self) -> Package | None:
        """Return the most urgent package that has to be decided."""
        heap = self._heap
        while heap:
            entry = heapq.heappop(heap)
            package = self._packages[entry & _PLACE]
            if package.decision or package.current & ABSENT or entry >> 2 * _BITS != package.base.urgency:
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
        for culprit in sorted(culprits, key=lambda p: p.order):
            before, culprit.culprit = culprit.culprit, culprit.culprit + times
            if before < ENOUGH <= culprit.culprit:
                self._late.append(culprit)
                self.must_move = True
        if culprits:
            before, base.affected = base.affected, base.affected + times
            if before < ENOUGH <= base.affected:
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
        self.moved.clear()

    def _move(self, package: Package, urgency: int) -> None:
        package.urgency = urgency
        for each in (package, *package.extras.values()):
            if not each.current & ABSENT and not each.decision:
                self.enqueue(each)
