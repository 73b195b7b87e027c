"""Local sources: what is at a path, and whether a tree has changed since it was built."""

from __future__ import annotations

import hashlib
import os
import stat
from fnmatch import fnmatchcase
from typing import Literal

from puffin_api._concurrency import SILENT, Pump
from puffin_api._model.filename import source_ending
from puffin_api._preparer.archive_kind import archive_kind
from puffin_api._preparer.build_outputs import NOTHING, Outputs
from puffin_api._preparer.freshness_keys import (
    DirectoryKey,
    EnvironmentKey,
    FileKey,
    FreshnessKey,
    GitKey,
    freshness_keys,
)
from puffin_api._preparer.git_state import current_commit, current_tags
from puffin_api._preparer.tree_walk import TreeWalk, file_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

MOST_FILES = 20_000
"""Files that a pattern is followed to; beyond, folders have to do."""
_FORMAT = "1"
"""Changes with what goes into a stamp, so that no old one is taken for a new one."""
_LOOKS = 10
"""Files that are looked at for each that may fit."""
_READ_WHOLE = 1 << 20
_MAGIC = frozenset("*?[")


def local_kind(path: Path) -> Literal["wheel", "archive", "tree"] | None:
    """Look what is at a path; None where it is nothing that could be installed.

    A folder is a tree where it has a ``pyproject.toml`` or ``setup.py``. A file is what its name says,
    and where that says nothing, what its first bytes do.
    """
    if path.is_dir():
        marks = ("pyproject.toml", "setup.py")
        return "tree" if any((path / mark).is_file() for mark in marks) else None
    if not path.is_file():
        return None
    if path.name.lower().endswith(".whl"):
        return "wheel"
    return "archive" if source_ending(path.name) or archive_kind(path) else None


def tree_stamp(
    tree: Path,
    keys: Sequence[FreshnessKey] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    outputs: Outputs = NOTHING,
    most_files: int = MOST_FILES,
    pump: Pump = SILENT,
) -> str:
    """Return a text that changes when something changes that matters to a build of the tree.

    Files that are named are compared by content, up to a size; those found by a pattern by size and time.
    Caches, build results, virtual environments and hidden folders are not searched.

    Args:
        tree: The folder of the project.
        keys: What to look at; None for what `freshness_keys` says.
        env: The environment that builds will have.
        outputs: What builds have written into the tree. Where a pattern finds it, it counts as what it was
            before; a file that is named counts as it is.
        most_files: With more files for a pattern, only changes of folders are seen: files that are
            added, removed and renamed.
        pump: Asked at each folder whether the caller has cancelled.
    """
    digest = hashlib.sha256()
    for key in dict.fromkeys(freshness_keys(tree) if keys is None else keys):
        digest.update(f"{key!r}\n".encode(errors="surrogateescape"))
        for row in _rows(os.fspath(tree), key, env or {}, outputs, most_files, pump):
            digest.update(f"{row!r}\n".encode())
    return f"{_FORMAT}-{digest.hexdigest()}"


def _rows(
    tree: str, key: FreshnessKey, env: Mapping[str, str], outputs: Outputs, most_files: int, pump: Pump
) -> Iterable[object]:
    """Give what to compare, each of a type whose `repr` tells it from all others."""
    match key:
        case FileKey(pattern) if _MAGIC & set(pattern):
            return _found(tree, pattern, outputs, most_files, pump)
        case FileKey(path):
            return (_named(os.path.join(tree, path)),)
        case DirectoryKey(path):
            return (_folder(os.path.join(tree, path)),)
        case GitKey(commit=commit, tags=tags):
            return (current_commit(tree) if commit else "", current_tags(tree) if tags else ())
        case EnvironmentKey(name):
            return (env.get(name),)


def _named(path: str) -> object:
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _READ_WHOLE:
            return state.st_size, state.st_mtime_ns
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return error.errno


def _folder(path: str) -> object:
    try:
        state = os.stat(path)
    except OSError as error:
        return error.errno
    return stat.S_ISDIR(state.st_mode), state.st_mtime_ns


def _found(tree: str, pattern: str, outputs: Outputs, most_files: int, pump: Pump) -> Iterator[object]:
    """Give the files that a pattern fits; where they are too many, the folders instead."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    fixed = next(i for i, part in enumerate(parts) if _MAGIC & set(part))
    within = "/".join(parts[:fixed])
    rest = tuple(parts[fixed:])
    walk = TreeWalk(os.path.join(tree, within), is_project=not within, pump=pump)
    rows: list[object] = []
    for looks, (path, entry) in enumerate(walk.files()):
        if fits(path.split("/"), rest):
            state = outputs.before(f"{within}/{path}" if within else path, file_state(entry))
            rows += [] if state is None else [(path, state)]
        if len(rows) > most_files or looks > _LOOKS * most_files:
            return iter(walk.folders(most_files))
    return iter(rows)


def fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether the parts of a path fit those of a pattern, where ``**`` is any number of parts."""
    places = _past_stars({0}, pattern)
    for part in path:
        stay = {at for at in places if at < len(pattern) and pattern[at] == "**"}
        step = {at + 1 for at in places - stay if at < len(pattern) and fnmatchcase(part, pattern[at])}
        places = _past_stars(stay | step, pattern)
    return len(pattern) in places


def _past_stars(places: set[int], pattern: Sequence[str]) -> set[int]:
    """Add the places after each ``**``, which may stand for nothing."""
    reached = set(places)
    for at, part in enumerate(pattern):
        if at in reached and part == "**":
            reached.add(at + 1)
    return reached
