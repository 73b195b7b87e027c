"""Metadata of a source tree without running code, where the tree promises that a build gives the same.

The promise is PKG-INFO's of a source distribution (metadata 2.2 and newer, PEP 643), or that of the table
``[project]`` (PEP 621). Nothing is raised for a tree that promises nothing, or something unreadable: a
build may still tell, and where none is allowed, the reason is there.
"""

from __future__ import annotations

import os
import re
import tomllib
from typing import Literal

import attrs
from packaging.version import InvalidVersion, Version

from puffin_api._model.metadata import CoreMetadata, parse_metadata
from puffin_api._model.names import normalize
from puffin_api._preparer.pyproject_metadata import NotPromised, project_metadata
from puffin_api.errors import MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_PROMISED = ("requires-dist", "requires-python", "provides-extra")
"""What has to be known for a resolution."""
_LARGEST = 16 << 20


@attrs.frozen
class StaticMetadata:
    """What a tree promises to be built with."""

    core: CoreMetadata
    origin: Literal["pkg-info", "pyproject"]


@attrs.frozen
class NotStatic:
    """Only a build can tell; why."""

    reason: str
    """To follow "the metadata of demo is not static: "."""


def read_static(
    tree: Path, *, name: str | None = None, version: str | None = None, is_sdist: bool
) -> StaticMetadata | NotStatic:
    """Read what the tree promises. Reads two files at most, and raises nothing for what is in them.

    Args:
        tree: The folder with ``pyproject.toml``, ``setup.py`` or PKG-INFO.
        name: The project that it should be, where known: metadata of another is no promise.
        version: The version that it should be, as the name of an archive gives it, where known.
        is_sdist: Whether the tree is that of a source distribution. A PKG-INFO elsewhere is the rest of some
            build, and there a version may not be left to the file name.
    """
    wanted = _Wanted(name, version)
    reason = ""
    if is_sdist:
        try:
            return StaticMetadata(wanted.checked(_read_pkg_info(tree)), "pkg-info")
        except _Declared as error:
            return NotStatic(str(error))
        except NotPromised as error:
            reason = f"PKG-INFO: {error}; "
    try:
        project = project_metadata(_read_toml(tree), version=version if is_sdist else None)
        return StaticMetadata(wanted.checked(project), "pyproject")
    except NotPromised as error:
        return NotStatic(f"{reason}pyproject.toml: {error}")


class _Declared(NotPromised):
    """The tree says that only a build can tell: then what else it says does not count."""


@attrs.frozen
class _Wanted:
    name: str | None
    version: str | None

    def checked(self, core: CoreMetadata) -> CoreMetadata:
        """Return the metadata if it is of the project and version that the file is."""
        if self.name is not None and normalize(core.name) != normalize(self.name):
            raise NotPromised(f"it is of {core.name!r}, not of {self.name!r}")
        if self.version is not None and not _is_same(core.version, self.version):
            raise NotPromised(f"it is of version {core.version}, not of {self.version}")
        return core


def _is_same(version: str, other: str) -> bool:
    try:
        return Version(version) == Version(other)
    except InvalidVersion:
        return version == other


def _read_pkg_info(tree: Path) -> CoreMetadata:
    data = _read(tree, "PKG-INFO")
    try:
        core = parse_metadata(data, source="PKG-INFO")
    except MetadataInvalid as error:
        raise NotPromised(error.reason) from error
    match = re.fullmatch(r"2\.([0-9]+)", core.metadata_version)
    if match is None or int(match[1]) < 2:
        raise NotPromised(f"metadata {core.metadata_version or 'of no version'} promises nothing")
    open_fields = [field for field in _PROMISED if field in core.dynamic]
    if open_fields:
        raise _Declared(f"PKG-INFO: {open_fields[0]} is dynamic")
    if core.invalid:
        raise NotPromised(core.invalid[0])
    return core


def _read_toml(tree: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_read(tree, "pyproject.toml").decode())
    except (ValueError, RecursionError) as error:  # of TOML, and of UTF-8
        raise NotPromised(f"it cannot be read: {error}") from error


def _read(tree: Path, file: str) -> bytes:
    try:
        with open(os.path.join(tree, file), "rb") as opened:
            data = opened.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise NotPromised("there is none") from error
    except OSError as error:
        raise NotPromised(f"it cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise NotPromised("it is too large")
    return data
