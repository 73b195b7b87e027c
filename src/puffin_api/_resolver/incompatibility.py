"""Incompatibility: terms that must not all hold at once, and why."""

from __future__ import annotations

from puffin_api._resolver.version_set import PRESENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.package import Package

    Terms = tuple[tuple[Package, int, int], ...]
    """Package, states of it, and all its other states."""


class Required:
    """The caller asks for it."""

    __slots__ = ("package", "row")

    def __init__(self, row: RequirementRow, package: Package) -> None:
        self.row = row
        self.package = package


class Constrained:
    """The caller narrows the versions that may be used, should the package be needed."""

    __slots__ = ("row",)

    def __init__(self, row: RequirementRow) -> None:
        self.row = row


class Unusable:
    """These versions cannot be used; the reason for each, by bit number, is of one kind."""

    __slots__ = ("package", "reasons")

    def __init__(self, package: Package, reasons: Mapping[int, Rejection]) -> None:
        self.package = package
        self.reasons = reasons


class Belongs:
    """An extra cannot be had without its package."""

    __slots__ = ("package",)

    def __init__(self, package: Package) -> None:
        self.package = package


class Conflict:
    """It follows from two others."""

    __slots__ = ("left", "right")

    def __init__(self, left: Incompatibility, right: Incompatibility) -> None:
        self.left = left
        self.right = right


class Incompatibility:
    """A set of terms of which at least one must be false in every solution.

    A term holds the complement of its mask too, as both are needed at every look.
    """

    __slots__ = ("cause", "terms")

    def __init__(self, terms: Terms, cause: Cause | None) -> None:
        self.terms = terms
        self.cause = cause
        """None only in a ``Dependency``, which is its own cause."""

    def mask(self, package: Package) -> int | None:
        """Return the mask of the term for a package, None where there is no such term."""
        for other, mask, _ in self.terms:
            if other is package:
                return mask
        return None


class Dependency(Incompatibility):
    """Some versions of a package depend on some versions of another.

    Most incompatibilities are of this kind, so its terms lie in fields of their own: propagation looks at
    these, and there is less for the garbage collector to look at.
    """

    __slots__ = ("asked", "dependency", "others", "package", "rows", "states", "versions", "via")

    def __init__(
        self,
        package: Package,
        versions: int,
        via: Package | None,
        dependency: Package,
        states: int,
        rows: RequirementRow | tuple[RequirementRow, ...],
    ) -> None:
        self.package = package
        """The project that depends."""
        self.versions = versions
        self.others = package.full & ~versions
        self.via = via
        """The extra of the dependent that needs it, None for all."""
        self.dependency = dependency
        self.states = states
        """What it may be in."""
        self.asked = states if dependency is not package else 0
        """The same; 0 where there is no term for it, as it can be met by nothing."""
        self.rows = rows
        """One requirement where all versions agree, else several with the same effect."""
        self.cause = None

    @property
    def terms(self) -> Terms:  # type: ignore[override]  # made when somebody wants to see them
        found: Terms = ((self.package, self.versions, self.others),)
        if self.via is not None:
            found = (*found, term(self.via, PRESENT))
        if self.asked:
            found = (*found, term(self.dependency, self.dependency.full & ~self.asked))
        return found

    @property
    def extra(self) -> str:
        """The name of the extra that needs it, empty for none."""
        return "" if self.via is None else self.via.extra

    def widen(self, mask: int) -> None:
        """Let it hold for more versions, which have the same dependency."""
        self.versions |= mask
        self.others &= ~mask


Cause = Required | Constrained | Unusable | Belongs | Conflict


def term(package: Package, mask: int) -> tuple[Package, int, int]:
    """Return the term that a package is in one of the states of a mask."""
    return package, mask, package.full & ~mask


def resolvent(left: Incompatibility, right: Incompatibility, pivot: Package) -> Incompatibility:
    """Return what follows from two incompatibilities that speak of the same package.

    Whatever state the package is in, one of the two applies: so the other terms of both cannot
    all hold (unless the package is in a state that neither names).
    """
    merged = {package: mask for package, mask, _ in left.terms}
    for package, mask, _ in right.terms:
        known = merged.get(package)
        if known is None:
            merged[package] = mask
        elif package is pivot:
            merged[package] = known | mask
        else:
            merged[package] = known & mask
    terms = tuple(
        (package, mask, package.full & ~mask) for package, mask in merged.items() if mask != package.full
    )
    return Incompatibility(terms, Conflict(left, right))
