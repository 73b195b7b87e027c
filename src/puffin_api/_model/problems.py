"""What can be wrong with an environment: one frozen value for each kind of finding."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class _Finding:
    """What all problems have: a stable ``code``, a ``message`` and ``data``."""

    __slots__ = ()
    code = "problem"

    @property
    def message(self) -> str:
        """One sentence for people; it may change."""
        raise NotImplementedError

    @property
    def data(self) -> Mapping[str, object]:
        """The fields by name, as JSON-able data."""
        names = [field.name for field in attrs.fields(type(self))]  # type: ignore[arg-type]  # every child is an attrs class
        values = {name: getattr(self, name) for name in names}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def to_dict(self) -> dict[str, object]:
        """Return the problem as JSON-able data, with a ``schema`` number."""
        return {"schema": 1, "code": self.code, "message": self.message, "data": dict(self.data)}


def _printable(text: str) -> str:
    """Escape what no terminal can show: names of broken files hold line ends and bytes that are no text."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@attrs.frozen(kw_only=True)
class MissingDependency(_Finding):
    """A distribution requires a project that is not installed."""

    code = "missing-dependency"
    name: str
    version: str
    requirement: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(f"{self.name} {self.version} requires {self.requirement}, which is not installed")


@attrs.frozen(kw_only=True)
class VersionConflict(_Finding):
    """A distribution requires another version of a project than the one installed."""

    code = "version-conflict"
    name: str
    version: str
    requirement: str
    installed: str
    """The version that is there."""

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(
            f"{self.name} {self.version} requires {self.requirement}, but {self.installed} is installed"
        )


@attrs.frozen(kw_only=True)
class DuplicateDistribution(_Finding):
    """One project is installed more than once."""

    code = "duplicate-distribution"
    name: str
    versions: tuple[str, ...]
    locations: tuple[str, ...]

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(f"{self.name} is installed {len(self.versions)} times: {', '.join(self.versions)}")


@attrs.frozen(kw_only=True)
class BrokenMetadata(_Finding):
    """The metadata of a distribution are missing or cannot be read."""

    code = "broken-metadata"
    name: str
    """Normalised name, or the name of the folder where it does not tell one."""
    location: str
    reason: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(f"The metadata of {self.name} are broken: {self.reason} ({self.location})")


@attrs.frozen(kw_only=True)
class MissingFile(_Finding):
    """A file that a distribution installed is gone."""

    code = "missing-file"
    name: str
    path: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(f"A file of {self.name} is missing: {self.path}")


@attrs.frozen(kw_only=True)
class ModifiedFile(_Finding):
    """A file that a distribution installed was changed."""

    code = "modified-file"
    name: str
    path: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(f"A file of {self.name} was changed: {self.path}")


@attrs.frozen(kw_only=True)
class InterruptedTransaction(_Finding):
    """A change of the environment was interrupted; ``recover`` finishes or undoes it."""

    code = "interrupted-transaction"
    path: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(f"A change was interrupted and waits to be recovered: {self.path}")


@attrs.frozen(kw_only=True)
class UnsupportedPython(_Finding):
    """A distribution does not support the Python of the environment."""

    code = "unsupported-python"
    name: str
    version: str
    requires_python: str
    python: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _printable(
            f"{self.name} {self.version} requires Python {self.requires_python}, but this is {self.python}"
        )


Problem = (
    MissingDependency
    | VersionConflict
    | DuplicateDistribution
    | BrokenMetadata
    | MissingFile
    | ModifiedFile
    | InterruptedTransaction
    | UnsupportedPython
)
