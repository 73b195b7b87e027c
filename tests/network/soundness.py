"""An independent judge of resolutions: it stands on `packaging` alone and shares no code with the library."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version


class OfferedFile(Protocol):
    """What has to be known of a file of an index."""

    @property
    def filename(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def yanked(self) -> str | None: ...
    @property
    def requires_python(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Place:
    """A Python, as `packaging` saw it from within."""

    markers: dict[str, str]
    tags: tuple[str, ...]
    """Best first."""

    @property
    def python(self) -> str:
        return self.markers["python_full_version"]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One package of a resolution, with what its METADATA says."""

    name: str
    version: str
    file: OfferedFile
    others: Sequence[OfferedFile] = ()
    """The other files of the release."""
    extras: frozenset[str] = frozenset()
    requires_dist: Sequence[str] = ()
    requires_python: str = ""
    provides_extra: frozenset[str] = frozenset()

    @classmethod
    def of_metadata(cls, text: str, file: OfferedFile, **more: object) -> Chosen:
        """Take name, version and requirements out of the text of a METADATA file."""
        raw, _ = parse_email(text)
        return cls(
            name=canonicalize_name(raw["name"]),
            version=raw["version"],
            file=file,
            requires_dist=raw.get("requires_dist", []),
            requires_python=raw.get("requires_python", ""),
            provides_extra=frozenset(canonicalize_name(e) for e in raw.get("provides_extra", [])),
            **more,  # type: ignore[arg-type]  # others and extras
        )


@dataclass
class _Demand:
    """What is asked of one project by all that require it."""

    extras: set[str] = field(default_factory=set)
    requirements: list[tuple[str, Requirement]] = field(default_factory=list)
    """Each with who has it."""


def faults(
    roots: Iterable[str],
    packages: Iterable[Chosen],
    place: Place,
    offered: Callable[[str], Iterable[OfferedFile]],
) -> list[str]:
    """Return everything that is wrong with a resolution, a sentence each.

    Args:
        roots: The requirements of the caller.
        packages: The packages that were chosen.
        place: What they were chosen for.
        offered: All files of a project that the index has.
    """
    by_name: dict[str, Chosen] = {}
    found: list[str] = []
    for package in packages:
        if package.name in by_name:
            found.append(f"{package.name} is there twice")
        by_name[package.name] = package
    demands = _walk(roots, by_name, place)
    for name, demand in sorted(demands.items()):
        found += _unmet(name, demand, by_name.get(name))
    found += [f"{name} is superfluous" for name in sorted(by_name.keys() - demands.keys())]
    for name, package in sorted(by_name.items()):
        found += _unfit(package, place)
        found += _unwanted(package, demands.get(name, _Demand()), place, offered)
    return found


def _walk(roots: Iterable[str], packages: dict[str, Chosen], place: Place) -> dict[str, _Demand]:
    """Follow all requirements that hold from the roots to the last package."""
    demands: dict[str, _Demand] = {}
    todo: list[tuple[str, str]] = []

    def ask(who: str, requirement: Requirement) -> None:
        name = canonicalize_name(requirement.name)
        demand = demands.get(name)
        if demand is None:
            demand = demands[name] = _Demand()
            todo.append((name, ""))
        demand.requirements.append((who, requirement))
        fresh = {canonicalize_name(extra) for extra in requirement.extras} - demand.extras
        demand.extras |= fresh
        todo.extend((name, extra) for extra in fresh)

    for requirement in _holding(roots, place, ""):
        ask("the caller", requirement)
    while todo:
        name, extra = todo.pop()
        if name in packages:
            for requirement in _holding(packages[name].requires_dist, place, extra):
                ask(f"{name}[{extra}]" if extra else name, requirement)
    return demands


def _holding(texts: Iterable[str], place: Place, extra: str) -> Iterator[Requirement]:
    for text in texts:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({**place.markers, "extra": extra}):
            yield requirement


def _unmet(name: str, demand: _Demand, package: Chosen | None) -> Iterator[str]:
    for who, requirement in demand.requirements:
        if package is None:
            yield f"{who} requires {requirement}, but {name} is missing"
        elif not requirement.specifier.contains(package.version, prereleases=True):
            yield f"{who} requires {requirement}, but {name} {package.version} was chosen"
    if package is not None:
        wanted = demand.extras & package.provides_extra
        if wanted != package.extras & package.provides_extra:
            yield f"{name} has the extras {sorted(package.extras)}; {sorted(wanted)} are required"


def _unfit(package: Chosen, place: Place) -> Iterator[str]:
    """What keeps a package from working in the place, or a better file from being used."""
    label = f"{package.name} {package.version}"
    file = package.file
    for source, text in (("metadata", package.requires_python), ("index", file.requires_python)):
        if not admits(text, place):
            yield f"{label} requires Python {text} ({source}), not {place.python}"
    name, version, tags = _wheel(file.filename)
    if name != package.name or version != Version(package.version):
        yield f"{label} is to be installed from {file.filename}"
    rank = _rank(tags, place)
    if rank is None:
        yield f"{file.filename} does not fit the tags of Python {place.python}"
        return
    for other in package.others:
        better = _rank(_wheel(other.filename)[2], place)
        if better is not None and better < rank and is_usable(other, place):
            yield f"{file.filename} was chosen, but {other.filename} fits better"


def _unwanted(
    package: Chosen, demand: _Demand, place: Place, offered: Callable[[str], Iterable[OfferedFile]]
) -> Iterator[str]:
    """What should only be chosen where there is nothing else: yanked files and pre-releases."""
    label = f"{package.name} {package.version}"
    if package.file.yanked is not None and not any(
        _pins(requirement.specifier) for _, requirement in demand.requirements
    ):
        yield f"{label} was yanked"
    if Version(package.version).is_prerelease:
        stable = [
            version
            for version in sorted(usable_versions(offered(package.name), place), reverse=True)
            if not version.is_prerelease
            and all(version in requirement.specifier for _, requirement in demand.requirements)
        ]
        if stable:
            yield f"{label} is a pre-release, but {stable[0]} would do"


def _pins(specifier: SpecifierSet) -> bool:
    return any(part.operator in ("==", "===") and not part.version.endswith(".*") for part in specifier)


def usable_versions(files: Iterable[OfferedFile], place: Place) -> set[Version]:
    """Return the versions of which there is a wheel for the place."""
    return {Version(file.version) for file in files if is_usable(file, place)}


def is_usable(file: OfferedFile, place: Place) -> bool:
    """Tell whether the file is a wheel that can be installed in the place without being asked for by name."""
    fits = _rank(_wheel(file.filename)[2], place) is not None
    return fits and file.yanked is None and admits(file.requires_python, place)


def admits(requires_python: str, place: Place) -> bool:
    """Tell whether a Requires-Python lets the place in; one that cannot be read says nothing."""
    try:
        return SpecifierSet(requires_python).contains(place.python, prereleases=True)
    except InvalidSpecifier:
        return True


def _wheel(filename: str) -> tuple[str, Version | None, frozenset[Tag]]:
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return "", None, frozenset()
    return name, version, tags


def _rank(tags: frozenset[Tag], place: Place) -> int | None:
    ranks = _ranks(place.tags)
    return min((ranks[tag] for tag in tags if tag in ranks), default=None)


@functools.cache
def _ranks(tags: tuple[str, ...]) -> dict[Tag, int]:
    return {tag: rank for rank, text in reversed(list(enumerate(tags))) for tag in parse_tag(text)}
