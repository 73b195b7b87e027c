"""Project: what an index says about one project, as a public value."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._model.file import DistFile


@attrs.frozen(kw_only=True)
class Project:
    """One project as an index serves it (PEP 503, 691, 700, 792)."""

    name: str
    """Normalised."""
    versions: tuple[str, ...]
    """Ascending."""
    files: tuple[DistFile, ...]
    """In the order of the versions."""
    index: str = ""
    """URL of the index, without credentials."""
    status: str = "active"
    """PEP 792: ``active``, ``archived``, ``quarantined`` or ``deprecated``."""
    skipped: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """File names that belong to no version, with the reason."""

    def to_dict(self) -> dict[str, object]:
        """Return the project as JSON-able data."""
        return {
            "schema": 1,
            "name": self.name,
            "versions": list(self.versions),
            "files": [file.to_dict() for file in self.files],
            "index": self.index,
            "status": self.status,
            "skipped": dict(self.skipped),
        }
