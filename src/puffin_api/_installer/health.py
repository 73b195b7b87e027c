"""Looks for what is wrong with an environment, and answers what it holds and why."""

from __future__ import annotations

import base64
import hashlib
import os
import stat

from puffin_api._installer.installed_graph import InstalledGraph
from puffin_api._model.dist_info import is_version, odd_entry_point
from puffin_api._model.names import normalize
from puffin_api._model.problems import (
    BrokenMetadata,
    MissingDependency,
    MissingFile,
    ModifiedFile,
    UnsupportedPython,
    VersionConflict,
)
from puffin_api._model.requirement import lenient_specifier, requirement_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from puffin_api._model.installed import InstalledDistribution, InstalledSet
    from puffin_api._model.problems import Problem
    from puffin_api._model.resolution import DependencyPath
    from puffin_api._model.target import Target

_CHUNK = 1 << 20
# What RECORD may name digests by, as `hashlib` calls them.
_DIGESTS = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"})
_READ: int = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_OPTIONAL_FILES = ("INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt")


def check(
    installed: InstalledSet,
    target: Target,
    *,
    deep: bool = False,
    pulse: Callable[[], None] = lambda: None,
) -> tuple[Problem, ...]:
    """Look for everything that is wrong.

    Args:
        installed: What is there.
        target: The interpreter of the environment; it decides on markers and Requires-Python.
        deep: Also read every installed file and compare it with RECORD. Compiled files may be missing:
            they are a cache, and come back.
        pulse: Called for each distribution, and within large files; may raise to cancel.
    """
    problems: list[Problem] = list(installed.problems)
    graph = InstalledGraph(installed, target)
    for dist in installed:
        pulse()
        problems += _metadata_problems(dist, target)
        problems += _requirement_problems(dist, installed, graph)
        if deep:
            problems += _file_problems(dist, pulse)
    return tuple(problems)


def satisfies(requirements: Iterable[str], installed: InstalledSet, target: Target | None) -> bool:
    """Tell whether requirements are met by what is installed, with extras and all that is below them.

    Raises:
        RequirementInvalid: A requirement does not parse.
    """
    return InstalledGraph(installed, target).meets([requirement_row(text) for text in requirements])


def why(name: str, installed: InstalledSet, target: Target | None) -> tuple[DependencyPath, ...]:
    """Return the ways that lead to an installed package; empty where it is not installed."""
    normal = normalize(name)
    return InstalledGraph(installed, target).paths_to(normal) if normal in installed else ()


def _metadata_problems(dist: InstalledDistribution, target: Target) -> Iterator[Problem]:
    location = str(dist.location)
    for reason in _faults(dist, os.path.basename(location)):
        yield BrokenMetadata(name=dist.name, location=location, reason=reason)
    # By release only: a pre-release of Python 3.15 does for ">=3.15".
    if _admits_python(dist.requires_python, target.python.base_version) is False:
        yield UnsupportedPython(
            name=dist.name,
            version=dist.version,
            requires_python=dist.requires_python,
            python=str(target.python),
        )


def _admits_python(requires_python: str, python: str) -> bool | None:
    """Tell whether a Requires-Python admits a version; None where it cannot be understood."""
    if not requires_python:
        return True
    specifier = lenient_specifier(requires_python)
    try:
        return None if specifier is None else specifier.contains(python, prereleases=True)
    except ValueError:  # a number that Python refuses to read
        return None


def _faults(dist: InstalledDistribution, folder: str) -> Iterator[str]:
    """Give the reasons for which something about a distribution is not known."""
    if dist.version and not is_version(dist.version):
        yield f"{dist.version} is not a version"
    yield from _faults_of_metadata(dist)
    if dist.kind == "dist-info":
        yield from _faults_of_record(dist, folder)
    yield from _faults_of_other_files(dist)


def _faults_of_metadata(dist: InstalledDistribution) -> Iterator[str]:
    metadata = dist.metadata
    file = "METADATA" if dist.kind == "dist-info" else "PKG-INFO"
    if metadata is None:
        yield f"{file} {_what_is_wrong(dist, file)}"
        return
    yield from metadata.invalid
    if _admits_python(metadata.requires_python, "3") is None:
        yield f"{metadata.requires_python[:100]!r} is not a set of versions of Python"
    if normalize(metadata.name) != dist.name:
        yield f"{file} is of another project, {metadata.name}"
    elif not _same_version(metadata.version, dist.version):
        yield f"{file} is of another version, {metadata.version[:100]}"


def _faults_of_record(dist: InstalledDistribution, folder: str) -> Iterator[str]:
    text = dist.read_text("RECORD")
    if text is None:
        yield f"RECORD {_what_is_wrong(dist, 'RECORD')}"
    elif f"{folder}/" not in text:  # it lists itself and METADATA at least
        yield f"RECORD names no file of {folder}"
    elif '"' in text and dist.record is None:  # without quotes, every line is a row
        yield "RECORD is invalid"


def _faults_of_other_files(dist: InstalledDistribution) -> Iterator[str]:
    for name in _OPTIONAL_FILES:
        if not dist.has_file(name):  # most are not there, and this is quicker than to try
            continue
        text = dist.read_text(name)
        if text is None:
            yield f"{name} cannot be read"
        elif name == "direct_url.json" and dist.direct_url is None:
            yield f"{name} is invalid"
        elif name == "entry_points.txt":
            line = odd_entry_point(text)
            if line is not None:
                yield f"{name} has a line that makes no sense: {line[:100]}"


def _what_is_wrong(dist: InstalledDistribution, file: str) -> str:
    if dist.read_text(file) is not None:
        return "is invalid"
    return "cannot be read" if dist.has_file(file) else "is missing"


def _same_version(first: str, second: str) -> bool:
    """Tell whether two versions are equal; a folder may write ``_`` where a version has ``-``."""
    if first == second:
        return True
    from packaging.version import Version

    try:
        return Version(first) == Version(second.replace("_", "-"))
    except ValueError:
        return False


def _requirement_problems(
    dist: InstalledDistribution, installed: InstalledSet, graph: InstalledGraph
) -> Iterator[Problem]:
    if installed.get(dist.name) is not dist:
        return  # the second of two is a problem already, and is never imported
    for row in graph.requirements(dist.name):
        there = installed.get(row.name)
        if there is None:
            yield MissingDependency(name=dist.name, version=dist.version, requirement=row.text)
        elif not graph.admits(row, there.version):
            yield VersionConflict(
                name=dist.name, version=dist.version, requirement=row.text, installed=there.version
            )


def _file_problems(dist: InstalledDistribution, pulse: Callable[[], None]) -> Iterator[Problem]:
    base = os.path.dirname(str(dist.location))
    for path, digest, _ in dist.record or ():
        pulse()
        try:
            same = _has_digest(os.path.join(base, path), digest, pulse)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no file can have that name
            if not path.endswith(".pyc"):
                yield MissingFile(name=dist.name, path=path)
        except OSError:
            yield ModifiedFile(name=dist.name, path=path)
        else:
            if not same:
                yield ModifiedFile(name=dist.name, path=path)


def _has_digest(path: str, digest: str, pulse: Callable[[], None]) -> bool:
    """Tell whether a file has the digest of its RECORD row; without one, being a file is enough."""
    name, _, expected = digest.partition("=")
    descriptor = os.open(path, _READ)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        if not expected or name not in _DIGESTS:
            return True
        hasher = hashlib.new(name, usedforsecurity=False)
        while chunk := os.read(descriptor, _CHUNK):
            hasher.update(chunk)
            pulse()
    finally:
        os.close(descriptor)
    return base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode() == expected.rstrip("=")
