"""What a project declares to be looked at, to tell whether it has to be built anew."""

from __future__ import annotations

import os
import tomllib

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST = 16 << 20


@attrs.frozen
class FileKey:
    """A file, or all files that a pattern with ``*``, ``?``, ``[...]`` and ``**`` fits."""

    pattern: str


@attrs.frozen
class DirectoryKey:
    """A folder: whether it is there, and when something was last added to it or removed."""

    path: str


@attrs.frozen
class GitKey:
    """What is checked out in the repository that the project is in."""

    commit: bool = False
    tags: bool = False


@attrs.frozen
class EnvironmentKey:
    """A variable of the environment of builds."""

    name: str


FreshnessKey = FileKey | DirectoryKey | GitKey | EnvironmentKey

PROJECT_FILES: tuple[FreshnessKey, ...] = tuple(
    FileKey(name) for name in ("pyproject.toml", "setup.py", "setup.cfg")
)
"""What decides on metadata: enough for editable installs, whose modules are not copied."""
ALL_FILES: tuple[FreshnessKey, ...] = (*PROJECT_FILES, FileKey("**"))
"""Whatever a build may take in."""


def freshness_keys(tree: str | os.PathLike[str], *, editable: bool = False) -> tuple[FreshnessKey, ...]:
    """Return what to look at: what the project declares, or `ALL_FILES`, or for editables `PROJECT_FILES`.

    The declaration is ``cache-keys`` in the table ``[tool.puffin-api]``, or the one of uv, in the same form.
    Where a part of it cannot be understood, all files are looked at as well.
    """
    declared = _declared(tree)
    if declared is None:
        return PROJECT_FILES if editable else ALL_FILES
    keys = [_parsed(item) for item in declared]
    understood = tuple(key for key in keys if key is not None)
    # A change of the declaration itself must not go unnoticed.
    return (FileKey("pyproject.toml"), *understood, *(ALL_FILES if None in keys else ()))


def read_pyproject(tree: str | os.PathLike[str]) -> Mapping[str, object]:
    """Return what is in ``pyproject.toml``; nothing where it cannot be read: the build will tell why."""
    try:
        with open(os.path.join(tree, "pyproject.toml"), "rb") as file:
            return tomllib.loads(file.read(_LARGEST).decode())
    except (OSError, ValueError, RecursionError):
        return {}


def _declared(tree: str | os.PathLike[str]) -> list[object] | None:
    tool = read_pyproject(tree).get("tool")
    for name in ("puffin-api", "uv"):
        table = tool.get(name) if isinstance(tool, dict) else None
        keys = table.get("cache-keys") if isinstance(table, dict) else None
        if keys is not None:
            return keys if isinstance(keys, list) else [keys]
    return None


def _parsed(item: object) -> FreshnessKey | None:
    """Return one item of the declaration; None where it is not understood."""
    match item:
        case str() as pattern:
            return _file(pattern)
        case {"file": str() as pattern, **others} if not others:
            return _file(pattern)
        case {"dir": str() as path, **others} if not others:
            return DirectoryKey(path)
        case {"env": str() as name, **others} if not others:
            return EnvironmentKey(name)
        case {"git": True, **others} if not others:
            return GitKey(commit=True)
        case {"git": dict() as parts, **others} if not others:
            return _git(parts)
        case _:
            return None


def _file(pattern: str) -> FileKey | None:
    # Alternatives and exclusions are not in our language: to take them as names would find nothing.
    return None if any(char in pattern for char in "{}!\\") else FileKey(pattern)


def _git(parts: Mapping[object, object]) -> GitKey | None:
    commit, tags = parts.get("commit", False), parts.get("tags", False)
    if parts.keys() - {"commit", "tags"} or not isinstance(commit, bool) or not isinstance(tags, bool):
        return None
    return GitKey(commit, tags)
