"""What a cache says of itself."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@attrs.frozen(kw_only=True)
class CacheStatus:
    """Whether and how a cache can be used."""

    path: Path
    writable: bool
    directory_links: str
    """``symlink``, ``junction`` or ``pointer``: how archives are published here."""
    layers: tuple[Path, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the status as JSON-able data."""
        return {
            "schema": 1,
            "path": str(self.path),
            "writable": self.writable,
            "directory_links": self.directory_links,
            "layers": [str(layer) for layer in self.layers],
        }


@attrs.frozen(kw_only=True)
class LinkSupport:
    """How files can get from a cache to a folder, the preferred way first."""

    modes: tuple[str, ...]
    """Of ``clone``, ``hardlink``, ``copy`` and ``symlink``, those that work."""

    def to_dict(self) -> dict[str, object]:
        """Return the ways as JSON-able data."""
        return {"schema": 1, "modes": list(self.modes)}


@attrs.frozen(kw_only=True)
class CacheSize:
    """What lies in a cache; a file with several names counts once."""

    files: int
    bytes: int
    buckets: Mapping[str, int] = attrs.field(hash=False)
    """Bytes by folder below the root."""

    def to_dict(self) -> dict[str, object]:
        """Return the size as JSON-able data."""
        sizes = dict(self.buckets)
        return {"schema": 1, "files": self.files, "bytes": self.bytes, "buckets": sizes}


@attrs.frozen(kw_only=True)
class CacheReport:
    """What was found in a cache, and removed from it."""

    removed: tuple[Path, ...]
    """The top of each tree that is gone."""
    bytes: int
    """Freed. What environments still hold by hard links is counted too."""
    damaged: Mapping[Path, str] = attrs.field(factory=dict, hash=False)
    """What is not as it was written, and what is wrong with it."""

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON-able data."""
        return {
            "schema": 1,
            "removed": [str(path) for path in self.removed],
            "bytes": self.bytes,
            "damaged": {str(path): damage for path, damage in self.damaged.items()},
        }
