"""Verdicts: how one answer stands to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Difference:
    """Where two sets of pins differ: by name, our version and theirs."""

    newer: dict[str, tuple[str, str]]
    """Ours is newer."""
    older: dict[str, tuple[str, str]]
    more: tuple[str, ...]
    """Packages that only we have."""
    fewer: tuple[str, ...]

    @classmethod
    def of(cls, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Difference:
        """Compare versions as versions, not as text."""
        newer: dict[str, tuple[str, str]] = {}
        older: dict[str, tuple[str, str]] = {}
        for name in sorted(ours.keys() & theirs.keys()):
            pair = (ours[name], theirs[name])
            mine, other = map(Version, pair)
            if mine != other:
                (newer if mine > other else older)[name] = pair
        return cls(
            newer,
            older,
            tuple(sorted(ours.keys() - theirs.keys())),
            tuple(sorted(theirs.keys() - ours.keys())),
        )

    @property
    def is_empty(self) -> bool:
        return not (self.newer or self.older or self.more or self.fewer)

    @property
    def best_of_both(self) -> list[str]:
        """The newer version of each pair, as constraints: if nobody can have them all, each side pays."""
        return [f"{n}>={a}" for n, (a, _) in self.newer.items()] + [
            f"{n}>={b}" for n, (_, b) in self.older.items()
        ]

    def __str__(self) -> str:
        parts = [
            f"{len(self.newer)} newer" if self.newer else "",
            f"{len(self.older)} older" if self.older else "",
            f"{len(self.more)} more" if self.more else "",
            f"{len(self.fewer)} fewer" if self.fewer else "",
        ]
        return ", ".join(filter(None, parts))


def verdict(
    ours: Mapping[str, str] | None, theirs: Mapping[str, str] | None, *, is_exclusive: bool | None = None
) -> str:
    """Say in a word or two how our answer stands to theirs.

    Args:
        ours: Our pins; None where we found no solution.
        theirs: Theirs, likewise.
        is_exclusive: Whether it was shown that nobody can have the best of both; None if not tried.
    """
    if ours is None or theirs is None:
        return (
            "none, as uv" if ours is theirs else f"WRONG: only {'uv has' if ours is None else 'we have'} one"
        )
    found = Difference.of(ours, theirs)
    if found.is_empty:
        return "equal"
    if found.newer and found.older:
        kind = "trade-off" if is_exclusive else "mixed"
    elif found.newer or found.older:
        kind = "newer" if found.newer else "OLDER"
    else:
        kind = "other packages"
    return f"{kind} ({found})"
