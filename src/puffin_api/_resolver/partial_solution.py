"""Partial solution: every assignment so far, in order, and how to take them back."""

from __future__ import annotations

from puffin_api._resolver.package import FIELDS, LEVEL, MASK
from puffin_api._resolver.version_set import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Assignment, Package


class PartialSolution:
    """The trail of decisions and derivations.

    A package's ``history`` is its part of the trail; its ``current`` mask is the last one of it.
    """

    __slots__ = ("_positive", "decisions", "level", "trail")

    def __init__(self, positive: Callable[[Package], None]) -> None:
        self.trail: list[Package] = []
        self.decisions: list[Package] = []
        self.level = 0
        self._positive = positive
        """Told of each package that has to be decided (again)."""

    def decide(self, package: Package, bit: int) -> None:
        """Choose a version."""
        self.level += 1
        self.decisions.append(package)
        package.decision = bit
        package.current = own = 1 << bit
        package.history += (len(self.trail), own, own, None, self.level)
        self.trail.append(package)

    def derive(self, package: Package, own: int, cause: Incompatibility) -> None:
        """Note that the package must be in one of the states ``own``, because of ``cause``."""
        package.current = mask = package.current & own
        package.history += (len(self.trail), mask, own, cause, self.level)
        self.trail.append(package)
        if not mask & ABSENT and not package.decision:
            self._positive(package)

    def backtrack(self, level: int) -> None:
        """Take back every assignment above a level."""
        undone: dict[Package, None] = {}
        trail = self.trail
        while trail and trail[-1].history[-1] > level:
            package = trail.pop()
            del package.history[-FIELDS:]
            undone[package] = None
        for package in self.decisions[level:]:
            package.decision = 0
        del self.decisions[level:]
        self.level = level
        for package in undone:
            package.current = package.history[MASK - FIELDS] if package.history else package.full
            if not package.current & ABSENT and not package.decision:
                self._positive(package)

    def level_before(self, package: Package) -> int:
        """Return the level on which the package was not yet decided."""
        return self.decisions.index(package)


def satisfier(package: Package, complement: int) -> Assignment:
    """Return the first assignment from which on the package is outside ``complement``."""
    history = package.history
    for place, left in enumerate(history[MASK::FIELDS]):
        if not left & complement:
            number, mask, own, cause, level = history[place * FIELDS : (place + 1) * FIELDS]
            return number, mask, own, cause, level
    raise AssertionError(f"no assignment of {package} satisfies the term")


def level_without(package: Package, last: Assignment, complement: int) -> int:
    """Return the level of the assignment that, with ``last``, satisfies the term; 0 if none is needed."""
    own = last[2]
    if not own & complement:
        return 0
    for mask, level in zip(package.history[MASK::FIELDS], package.history[LEVEL::FIELDS], strict=True):
        if not mask & own & complement:
            return int(level)
    raise AssertionError(f"no assignment of {package} satisfies the term")
