"""Looks for what is wrong with an environment, and answers what it holds and why."""

from __future__ import annotations

import base64
import hashlib
import os

from puffin_api._installer.installed_graph import InstalledGraph
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
        deep: Also read every installed file and compare it with RECORD.
        pulse: Called for each distribution; may raise to cancel.
    """
    problems: list[Problem] = list(installed.problems)
    graph = InstalledGraph(installed, target)
    for dist in installed:
        pulse()
        problems += _metadata_problems(dist, target)
        problems += _requirement_problems(dist, installed, graph)
        if deep:
            problems += _file_problems(dist)
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
    metadata = dist.metadata
    location = str(dist.location)
    if metadata is None:
        file = "METADATA" if dist.kind == "dist-info" else "PKG-INFO"
        yield BrokenMetadata(name=dist.name, location=location, reason=f"{file} is missing or invalid")
        return
    for reason in metadata.invalid:
        yield BrokenMetadata(name=dist.name, location=location, reason=reason)
    if normalize(metadata.name) != dist.name:
        reason = f"METADATA is of another project, {metadata.name}"
        yield BrokenMetadata(name=dist.name, location=location, reason=reason)
    if dist.kind == "dist-info" and dist.record is None:
        yield BrokenMetadata(name=dist.name, location=location, reason="RECORD is missing or invalid")
    specifier = lenient_specifier(dist.requires_python) if dist.requires_python else None
    # By release only: a pre-release of Python 3.15 does for ">=3.15".
    if specifier is not None and not specifier.contains(target.python.base_version, prereleases=True):
        yield UnsupportedPython(
            name=dist.name,
            version=dist.version,
            requires_python=dist.requires_python,
            python=str(target.python),
        )


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


def _file_problems(dist: InstalledDistribution) -> Iterator[Problem]:
    base = os.path.dirname(str(dist.location))
    for path, digest, _ in dist.record or ():
        try:
            same = _has_digest(os.path.join(base, path), digest)
        except (FileNotFoundError, NotADirectoryError):
            yield MissingFile(name=dist.name, path=path)
        except OSError:
            yield ModifiedFile(name=dist.name, path=path)
        else:
            if not same:
                yield ModifiedFile(name=dist.name, path=path)


def _has_digest(path: str, digest: str) -> bool:
    """Tell whether a file has the digest of its RECORD row; without one, being there is enough."""
    name, _, expected = digest.partition("=")
    with open(path, "rb", buffering=0) as file:
        if not expected or name not in hashlib.algorithms_available:
            return True
        hasher = hashlib.new(name)
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode() == expected.rstrip("=")
