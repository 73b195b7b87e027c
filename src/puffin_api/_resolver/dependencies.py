"""Dependencies that count for a target: the one place where markers are evaluated."""

from __future__ import annotations

from puffin_api._model.requirement import extras_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.target import Target


def holds(marker: str, target: Target, extra: str = "") -> bool:
    """Evaluate a marker; one that makes no sense for its variables is false, never an error.

    Args:
        extra: The extra that is being looked at, empty for none.
    """
    if not marker:
        return True
    memo = target.memo
    key = (marker, extra)
    known = memo.get(key)
    if known is None:
        known = memo[key] = _evaluate(marker, {**target.markers, "extra": extra})
    return bool(known)


def _evaluate(marker: str, environment: Mapping[str, str]) -> bool:
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
    from packaging.version import InvalidVersion

    try:
        return Marker(marker).evaluate(dict(environment))
    except (InvalidMarker, InvalidVersion, UndefinedComparison, UndefinedEnvironmentName):
        return False


def active_rows(metadata: DistMetadata, target: Target, extra: str = "") -> tuple[RequirementRow, ...]:
    """Return the requirements that hold for the target.

    Args:
        extra: Those that hold for this extra and not without it; empty for those that always do.
    """
    if not extra:
        return tuple(row for row in metadata.requires if not row.gate and holds(row.marker, target))
    return tuple(row for row in metadata.requires if _for_extra(row, target, extra))


def _for_extra(row: RequirementRow, target: Target, extra: str) -> bool:
    if row.gate:
        return row.gate == extra and holds(row.marker, target)
    # An extra somewhere inside the marker: it counts where it makes the difference.
    if not row.marker or extra not in (e.lower().replace("_", "-") for e in extras_in(row.marker)):
        return False
    spelt = next(e for e in extras_in(row.marker) if e.lower().replace("_", "-") == extra)
    return holds(row.marker, target, spelt) and not holds(row.marker, target)


class Amendments:
    """What the caller changes about everybody's dependencies.

    Constraints narrow the versions of packages that are needed anyway; overrides replace every
    requirement of a name; excludes drop them.
    """

    __slots__ = ("_constraints", "_excludes", "_given", "_overrides", "_target", "empty")

    def __init__(
        self,
        target: Target,
        constraints: Iterable[RequirementRow] = (),
        overrides: Iterable[RequirementRow] = (),
        excludes: Iterable[str] = (),
    ) -> None:
        constraints, overrides = tuple(constraints), tuple(overrides)
        self._given = constraints, overrides
        self._target = target
        self._constraints = _by_name(row for row in constraints if _applies(row, target))
        # An override whose marker is false still replaces: the requirement is then dropped.
        replaced = _by_name(overrides)
        self._overrides = {
            name: tuple(row for row in rows if _applies(row, target)) for name, rows in replaced.items()
        }
        self._excludes = frozenset(excludes)
        self.empty = not (self._overrides or self._excludes)
        """True where ``apply`` changes nothing."""

    def for_target(self, target: Target) -> Amendments:
        """Return the same amendments for another target."""
        return Amendments(target, *self._given, self._excludes)

    def without_constraint(self, row: RequirementRow) -> Amendments:
        """Return the amendments without one constraint."""
        constraints, overrides = self._given
        kept = [each for each in constraints if each is not row]
        return Amendments(self._target, kept, overrides, self._excludes)

    def apply(self, rows: Sequence[RequirementRow]) -> Iterator[RequirementRow]:
        """Give the rows with overrides and excludes applied."""
        replaced: set[str] = set()
        for row in rows:
            if row.name in self._excludes:
                continue
            override = self._overrides.get(row.name)
            if override is None:
                yield row
            elif row.name not in replaced:
                replaced.add(row.name)
                yield from override

    def constraints(self, name: str) -> tuple[RequirementRow, ...]:
        """Return the constraints on a project."""
        return self._constraints.get(name, ())

    def all_constraints(self) -> tuple[RequirementRow, ...]:
        """Return every constraint that holds for the target."""
        return tuple(row for rows in self._constraints.values() for row in rows)

    def all_overrides(self) -> tuple[RequirementRow, ...]:
        """Return every override that holds for the target."""
        return tuple(row for rows in self._overrides.values() for row in rows)

    def excludes(self, name: str) -> bool:
        """Tell whether the caller excludes a project."""
        return name in self._excludes

    def is_overridden(self, name: str) -> bool:
        """Tell whether the caller replaces the requirements of this project."""
        return name in self._overrides


def _applies(row: RequirementRow, target: Target) -> bool:
    return not row.gate and holds(row.marker, target)


def _by_name(rows: Iterable[RequirementRow]) -> dict[str, tuple[RequirementRow, ...]]:
    groups: dict[str, tuple[RequirementRow, ...]] = {}
    for row in rows:
        groups[row.name] = (*groups.get(row.name, ()), row)
    return groups
