"""Resolution: the answer of the resolver, as values."""

from __future__ import annotations

import functools
import hashlib
from types import MappingProxyType

import attrs

from puffin_api._model.file import DistFile
from puffin_api._model.requirement import requirement_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from puffin_api._model.build_terms import BuildTerms
    from puffin_api._model.events import Notice
    from puffin_api._model.file import FileRow
    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.target import Target


@attrs.frozen
class Edge:
    """One requirement that holds: who asks for what, as written."""

    requirement: str
    """The whole requirement (PEP 508), verbatim."""
    extra: str = ""
    """The extra of the dependent that brings it in, empty for none."""

    @property
    def name(self) -> str:
        """Normalised name of the project that is required."""
        return requirement_row(self.requirement).name

    @property
    def extras(self) -> tuple[str, ...]:
        """Normalised extras that are required of it."""
        return requirement_row(self.requirement).extras

    @property
    def specifier(self) -> str:
        """Version specifiers, empty for any version."""
        return requirement_row(self.requirement).specifier

    @property
    def marker(self) -> str:
        """The whole marker as written, empty for none."""
        _, _, marker = self.requirement.partition(self._separator)
        return marker.strip()

    @property
    def _separator(self) -> str:
        # A URL may hold semicolons; the one of a marker has a space before it then (PEP 508).
        return " ;" if "@" in self.requirement else ";"

    def __str__(self) -> str:
        return self.requirement.partition(self._separator)[0].strip()


@attrs.frozen
class DependencyPath:
    """A way from a requirement of the caller to a package."""

    edges: tuple[Edge, ...]
    """The first is the caller's own requirement, the last one asks for the package."""

    @property
    def names(self) -> tuple[str, ...]:
        """The packages on the way, the asked one last."""
        return tuple(edge.name for edge in self.edges)

    def to_dict(self) -> dict[str, object]:
        """Return the path as JSON-able data."""
        return {"schema": 1, "requirements": [edge.requirement for edge in self.edges]}

    def __str__(self) -> str:
        return " -> ".join(str(edge) for edge in self.edges)


@attrs.frozen
class VersionChoice:
    """Why a package has the version that it has."""

    chosen: str
    rejected: Mapping[str, Rejection] = attrs.field(factory=dict, hash=False)
    """What would have been preferred, best first, each with the reason against it."""

    def to_dict(self) -> dict[str, object]:
        """Return the choice as JSON-able data."""
        rejected = {version: reason.to_dict() for version, reason in self.rejected.items()}
        return {"schema": 1, "chosen": self.chosen, "rejected": rejected}


@attrs.frozen
class ResolutionDiff:
    """What changes from one resolution to another; all by normalised name."""

    added: Mapping[str, str] = attrs.field(hash=False)
    removed: Mapping[str, str] = attrs.field(hash=False)
    changed: Mapping[str, tuple[str, str]] = attrs.field(hash=False)
    """Old and new version; of what does not come from an index, ``version @ URL``, and of a project in
    development mode ``version @ URL (editable)``."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def to_dict(self) -> dict[str, object]:
        """Return the difference as JSON-able data."""
        changed = {name: list(versions) for name, versions in self.changed.items()}
        return {
            "schema": 1,
            "added": dict(self.added),
            "removed": dict(self.removed),
            "changed": changed,
        }


class ResolvedPackage:
    """One package of a resolution: immutable; its parts are made when they are first looked at."""

    __slots__ = (
        "_file",
        "_files",
        "_groups",
        "_made",
        "extras",
        "metadata_from",
        "name",
        "required_by",
        "source",
        "version",
    )

    def __init__(  # one parameter for each column
        self,
        name: str,
        version: str,
        extras: tuple[str, ...],
        file: FileRow,
        files: Sequence[FileRow],
        groups: Sequence[tuple[str, Sequence[RequirementRow]]],
        *,
        source: str = "index",
        metadata_from: str = "wheel",
        required_by: tuple[str, ...] = (),
    ) -> None:
        self.name: str = name
        """Normalised."""
        self.version: str = version
        self.extras: tuple[str, ...] = extras
        """Normalised extras that are part of the resolution, sorted."""
        self.source: str = source
        """``index``, ``url``, ``path`` or ``git``."""
        self.metadata_from: str = metadata_from
        """``wheel``, ``sdist``, ``build`` or ``caller``: what the dependencies were read from."""
        self._file = file
        self._made: DistFile | None = None
        self._files = files
        self._groups = groups
        """What it requires, by the extra that brings it in."""
        self.required_by: tuple[str, ...] = required_by
        """Names of the packages that require it, sorted; the caller's own requirement is not here."""

    @property
    def file(self) -> DistFile:
        """The file to be installed."""
        if self._made is None:
            self._made = DistFile.of(self._file)
        return self._made

    @property
    def file_row(self) -> FileRow:
        """The same, as the library keeps it inside."""
        return self._file

    @property
    def location(self) -> str:
        """The URL of what does not come from an index, with the folder in it that counts; else empty."""
        return "" if self.source == "index" else _location(self._file)

    @property
    def editable(self) -> bool:
        """True for a local project in development mode."""
        return self._file.origin is not None and self._file.origin.editable

    @property
    def alternatives(self) -> tuple[DistFile, ...]:
        """The other files of the release, for any target."""
        return tuple(DistFile.of(row) for row in self._files if row is not self._file)

    @property
    def requires(self) -> tuple[Edge, ...]:
        """What it requires for this target, as written."""
        return tuple(Edge(row.text, extra) for extra, rows in self._groups for row in rows)

    @property
    def required_names(self) -> frozenset[str]:
        """Normalised names of what it requires."""
        return frozenset(row.name for _, rows in self._groups for row in rows)

    @property
    def needs_build(self) -> bool:
        """True where there is no wheel for the target."""
        return not self._file.is_wheel

    def _among(self, others: Iterable[str]) -> ResolvedPackage:
        """Return the same package with the names of what requires it."""
        return ResolvedPackage(
            self.name,
            self.version,
            self.extras,
            self._file,
            self._files,
            self._groups,
            source=self.source,
            metadata_from=self.metadata_from,
            required_by=tuple(sorted(others)),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the package as JSON-able data."""
        return {
            "schema": 1,
            "name": self.name,
            "version": self.version,
            "extras": list(self.extras),
            "file": self.file.to_dict(),
            "stamp": self._file.origin.stamp if self._file.origin is not None else "",
            "alternatives": [file.to_dict() for file in self.alternatives],
            "requires": [{"requirement": e.requirement, "extra": e.extra} for e in self.requires],
            "source": self.source,
            "metadata_from": self.metadata_from,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> ResolvedPackage:
        """Make the package of what ``to_dict`` gave."""
        file = DistFile.from_dict(_mapping(data["file"])).row()
        if file.origin is not None:  # the state of a local tree, which direct_url.json has no place for
            file.origin = file.origin.with_stamp(str(data.get("stamp", "")))
        others = [DistFile.from_dict(_mapping(item)).row() for item in _list(data["alternatives"])]
        edges = [_mapping(item) for item in _list(data["requires"])]
        return cls(
            str(data["name"]),
            str(data["version"]),
            tuple(str(extra) for extra in _list(data["extras"])),
            file,
            (file, *others),
            tuple((str(e["extra"]), (requirement_row(str(e["requirement"])),)) for e in edges),
            source=str(data["source"]),
            metadata_from=str(data["metadata_from"]),
        )

    def _key(self) -> tuple[object, ...]:
        row, where = self._file, (self.location, self.editable)
        return self.name, self.version, self.extras, row.filename, row.url, row.hashes, self.source, where

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ResolvedPackage) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<ResolvedPackage {self.name} {self.version}>"


class Resolution:
    """A set of packages that meets every requirement, for one target.

    Equal, and with the same ``digest``, where packages, roots and target are.
    """

    def __init__(  # one parameter for each part
        self,
        packages: Iterable[ResolvedPackage],
        *,
        roots: Sequence[RequirementRow],
        target: Target,
        inputs: Mapping[str, object] | None = None,
        notices: Sequence[Notice] = (),
        choices: Callable[[str], VersionChoice] | None = None,
        builds: BuildTerms | None = None,
    ) -> None:
        self._builds = builds
        self._by_name = {package.name: package for package in packages}
        self._roots = tuple(roots)
        self._choices = choices
        self.target = target
        self.inputs: Mapping[str, object] = MappingProxyType(dict(inputs or {}))
        """What was asked, as JSON-able data."""
        self.notices: tuple[Notice, ...] = tuple(notices)

    @functools.cached_property
    def packages(self) -> Mapping[str, ResolvedPackage]:
        """The packages by normalised name, sorted."""
        links: dict[str, set[str]] = {name: set() for name in self._by_name}
        for package in self._by_name.values():
            for name in package.required_names & links.keys() - {package.name}:
                links[name].add(package.name)
        among = ResolvedPackage._among  # noqa: SLF001  # its neighbour in this module
        return MappingProxyType({name: among(self._by_name[name], links[name]) for name in sorted(links)})

    @property
    def roots(self) -> tuple[str, ...]:
        """The caller's requirements that hold for the target, as written."""
        return tuple(row.text for row in self._roots)

    @property
    def builds(self) -> BuildTerms | None:
        """How its sources are built, for whoever installs it; None where nothing is known of that."""
        return self._builds

    @property
    def root_names(self) -> frozenset[str]:
        """Normalised names of the projects that the caller asked for."""
        return frozenset(row.name for row in self._roots)

    @functools.cached_property
    def digest(self) -> str:
        """Hex digest of packages, files, roots and target."""
        lines = [self.target.digest, *sorted(self.roots)]
        for name, package in self.packages.items():
            row = package.file_row
            where = [package.location] if package.location else []
            where += ["editable"] if package.editable else []
            lines.append(
                " ".join((name, package.version, *package.extras, row.filename, *row.hashes, *where))
            )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def why(self, name: str) -> tuple[DependencyPath, ...]:
        """Return the ways that lead to a package: the shortest through each that requires it.

        Raises:
            KeyError: The package is not part of the resolution.
        """
        from puffin_api._model.dependency_paths import paths_to

        package = self.packages[name]
        return paths_to(package.name, self._roots, self.packages)

    def why_version(self, name: str) -> VersionChoice:
        """Return the version of a package and what spoke against those that would be preferred.

        Raises:
            KeyError: The package is not part of the resolution.
        """
        chosen = self.packages[name].version
        return self._choices(name) if self._choices is not None else VersionChoice(chosen)

    def diff(self, other: Resolution) -> ResolutionDiff:
        """Return what changes from this resolution to another."""
        old = {name: _identity(package) for name, package in self.packages.items()}
        new = {name: _identity(package) for name, package in other.packages.items()}
        return ResolutionDiff(
            added={name: new[name] for name in new.keys() - old.keys()},
            removed={name: old[name] for name in old.keys() - new.keys()},
            changed={n: (old[n], new[n]) for n in old.keys() & new.keys() if old[n] != new[n]},
        )

    def to_requirements_txt(self, *, hashes: bool = False, annotate: bool = False) -> str:
        """Return the packages as lines of a requirements file, for the target of this resolution.

        What does not come from an index is named by its URL, repositories with the exact commit, local
        projects in development mode after ``-e``.

        Args:
            hashes: Give the hashes of all files of each release, where there are some: repositories and local
                projects have none, and pip refuses them beside others that have.
            annotate: Say in a comment who requires it.
        """
        from puffin_api._model.requirements_export import requirements_txt

        return requirements_txt(self, hashes=hashes, annotate=annotate)

    def to_dict(self) -> dict[str, object]:
        """Return the resolution as JSON-able data that ``from_dict`` takes."""
        return {
            "schema": 1,
            "roots": list(self.roots),
            "target": self.target.to_dict(),
            "packages": [package.to_dict() for package in self.packages.values()],
            "inputs": dict(self.inputs),
            "notices": [notice.to_dict() for notice in self.notices],
            "builds": None if self._builds is None else self._builds.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Resolution:
        """Make the resolution of what ``to_dict`` gave.

        Data hold the names of the variables for builds without their values, and neither builder nor runner.
        What needs those is built only by an installer that is given the like.

        Raises:
            ValueError: The data are of another schema.
        """
        from puffin_api._model.build_terms import BuildTerms
        from puffin_api._model.events import Notice
        from puffin_api._model.target import Target

        if data.get("schema") != 1:
            raise ValueError(f"a resolution of schema {data.get('schema')!r} cannot be read")
        notices = [_mapping(item) for item in _list(data["notices"])]
        builds = data.get("builds")  # which older data do not have
        return cls(
            [ResolvedPackage.from_dict(_mapping(item)) for item in _list(data["packages"])],
            roots=[requirement_row(str(text)) for text in _list(data["roots"])],
            target=Target.from_dict(_mapping(data["target"])),
            inputs=_mapping(data["inputs"]),
            notices=[
                Notice(code=str(n["code"]), message=str(n["message"]), data=_mapping(n["data"]))
                for n in notices
            ],
            builds=None if builds is None else BuildTerms.from_dict(_mapping(builds)),
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Unlike data, a pickle goes to a program that is trusted with the values of variables.
        return _restored, (self.to_dict(), self._builds)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Resolution) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Resolution of {', '.join(self.roots)}: {len(self._by_name)} packages>"


def _restored(data: Mapping[str, object], builds: BuildTerms | None) -> Resolution:
    resolution = Resolution.from_dict(data)
    resolution._builds = builds  # noqa: SLF001  # its neighbour in this module
    return resolution


def _identity(package: ResolvedPackage) -> str:
    """Return the version, with where it comes from when that is not an index."""
    if not package.location:
        return package.version
    return f"{package.version} @ {package.location}{' (editable)' if package.editable else ''}"


def _location(file: FileRow) -> str:
    """Return the URL of direct files; those of trees and repositories have their folder in them already."""
    from urllib.parse import quote

    from puffin_api._model.direct_url import ArchiveInfo

    origin = file.origin
    if origin is None or not origin.subdirectory or not isinstance(origin.info, ArchiveInfo):
        return file.url
    return f"{file.url}#subdirectory={quote(origin.subdirectory)}"


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {type(value).__name__}")  # bad data, not a bad call
    return value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise ValueError(f"expected an array, found {type(value).__name__}")  # bad data, not a bad call
    return value
