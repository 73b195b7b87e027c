"""Manifest: requirements as they stand in a file, each with its place."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.requirements import Requirement


@attrs.frozen(kw_only=True)
class Manifest:
    """What a project or file asks for."""

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    hashes: Mapping[str, Sequence[str]] = attrs.field(factory=dict, hash=False)
    """For some requirements or constraints, by their text: the digests of which a file of the project must
    have one, each as ``sha256:<hex>`` (or sha384, sha512). Those of all that name a project count at once."""

    @classmethod
    def of(cls, *requirements: str | Requirement) -> Manifest:
        """Return a manifest of these requirements."""
        return cls(requirements=tuple(str(item) for item in requirements))
