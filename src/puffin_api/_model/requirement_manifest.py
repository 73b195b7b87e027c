"""Manifest: requirements as they stand in a file, each with its place."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.requirements import Requirement


@attrs.frozen(kw_only=True)
class Manifest:
    """What a project or file asks for."""

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()

    @classmethod
    def of(cls, *requirements: str | Requirement) -> Manifest:
        """Return a manifest of these requirements."""
        return cls(requirements=tuple(str(item) for item in requirements))
