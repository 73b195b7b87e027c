"""Which loaded modules a change of files makes stale: paths compared with ``__spec__.origin``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from puffin_api._model.direct_url import developed_tree
from puffin_api._model.dist_info import is_module_file, top_level_modules
from puffin_api._model.plan import RemovedFiles, StaleReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from types import ModuleType
    from typing import Literal

    from puffin_api._model.cached import CachedWheel, WheelManifest
    from puffin_api._model.installed import InstalledDistribution
    from puffin_api._model.plan import Change

_NATIVE = (".so", ".pyd")
_EGG = ".egg"
"""Ends the name of a folder, or an archive, in which all that was installed lies."""
_ENVIRONMENT = frozenset({"site-packages", "dist-packages"})
"""Folders that packages are installed in; an environment often lies in the project that it is for."""
_LIBRARIES = frozenset({"purelib", "platlib"})
# How types of functions are called that know the module they come from.
_FUNCTIONS = frozenset({"function", "builtin_function_or_method", "cython_function_or_method"})


def stale_before(
    leaving: Iterable[InstalledDistribution],
    arriving: Iterable[CachedWheel],
    modules: Mapping[str, ModuleType] | None = None,
    *,
    changes: Iterable[Change] = (),
) -> StaleReport:
    """Tell what a change will mean for loaded modules.

    Args:
        leaving: What is removed or replaced.
        arriving: What comes. A wheel that is not known yet counts as one that changes every file.
        modules: The loaded modules by name; None for those of this process.
        changes: What is done; see `stale_after`.
    """
    removed = [_removed_files(dist) for dist in leaving]
    return stale_after(removed, arriving, modules, changes=changes)


def stale_after(
    removed: Iterable[RemovedFiles],
    arrived: Iterable[CachedWheel],
    modules: Mapping[str, ModuleType] | None = None,
    *,
    restored: Iterable[str] = (),
    changes: Iterable[Change] = (),
) -> StaleReport:
    """Tell what a change has meant for loaded modules.

    Args:
        removed: The files of the distributions that were removed or replaced.
        arrived: The wheels that were installed.
        modules: The loaded modules by name; None for those of this process.
        restored: Top-level modules that came by other ways.
        changes: What was done: a project that is in development mode again has lost no module.
    """
    wheels, leaving = tuple(arrived), tuple(removed)
    digests: dict[str, str] = {}
    for wheel in wheels:
        digests |= _digests(wheel.manifest)
    gone: list[str] = []
    known: set[str] = set()
    for dist in leaving:
        files = dist.files
        mine, old = [path for path in files if is_module_file(path)], _digests_in(dist.record)
        known.update(top_level_modules(mine), dist.modules)
        # The same bytes at the same place: what was loaded is what lies there.
        paths = [path for path in mine if not old.get(path) or digests.get(path) != old[path]]
        eggs = [path for path in files if path.endswith(_EGG)]
        for folder in {dist.folder, os.path.realpath(dist.folder)}:
            gone += [*module_paths(folder, paths), *(os.path.join(folder, egg) for egg in eggs)]
    fresh = {name for wheel in wheels for name in modules_of_wheel(wheel.manifest)}
    return stale_report(
        gone,
        fresh.union(restored) - known,
        modules,
        developed=[dist for dist in leaving if dist.tree],
        still_developed=[tree for change in changes if (tree := developed_tree(change.direct_url))],
    )


def stale_report(
    gone: Iterable[str],
    fresh: Iterable[str],
    modules: Mapping[str, ModuleType] | None = None,
    *,
    developed: Sequence[RemovedFiles] = (),
    still_developed: Iterable[str] = (),
) -> StaleReport:
    """Compare loaded modules with the files that a change touches.

    Args:
        gone: Absolute paths of the module files that are removed or replaced by others, and of whole eggs.
        fresh: Names of the top-level modules that the change brings.
        modules: The loaded modules by name; None for those of this process.
        developed: What was in development mode and is removed or replaced.
        still_developed: The trees of what is in development mode after that.
    """
    loaded = dict(sys.modules if modules is None else modules)
    origins = {name: _origin(module) for name, module in loaded.items()}
    stale = _loaded_from({os.path.normcase(path) for path in gone}, origins)
    stale |= _loaded_from_trees(developed, set(map(_real, still_developed)), loaded, origins)
    native = any(origins[name].endswith(_NATIVE) for name in stale)
    importers = _importers(loaded, stale) if stale else set()
    # A session without a file, such as a notebook, can import again; a program begins anew.
    is_program = "__main__" in stale or ("__main__" in importers and origins["__main__"] != "")
    return StaleReport(
        stale=tuple(sorted(stale)),
        importers=tuple(sorted(importers)),
        now_importable=tuple(sorted(set(fresh) - loaded.keys())),
        restart=_restart(stale, must=native or is_program),
    )


def module_paths(base: str, files: Iterable[str]) -> list[str]:
    """Return the absolute paths of the module files among these, which are relative to ``base``."""
    return [os.path.normpath(os.path.join(base, path)) for path in files if is_module_file(path)]


def modules_of_wheel(manifest: WheelManifest) -> tuple[str, ...]:
    """Return the top-level modules that a wheel brings."""
    others = (file.path for file in manifest.data if file.scheme in _LIBRARIES)
    return top_level_modules((*manifest.files, *others))


def _removed_files(dist: InstalledDistribution) -> RemovedFiles:
    folder, name = os.path.split(str(dist.location))
    files = (name,) if dist.kind == "egg" else dist.files
    return RemovedFiles(folder=folder, files=files, record=dist.read_text("RECORD") or "").with_tree_of(dist)


def _digests(manifest: WheelManifest) -> dict[str, str]:
    """Return the digest of each module file of a wheel, by its path below purelib or platlib."""
    others = {file.path: file.digest for file in manifest.data if file.scheme in _LIBRARIES}
    return _digests_in(manifest.record) | others


def _digests_in(record: str) -> dict[str, str]:
    """Return the digest of each module file that RECORD names; a path in quotes is no module's."""
    rows = (line.rsplit(",", 2) for line in record.split("\n"))
    return {cells[0]: cells[1] for cells in rows if len(cells) == 3 and is_module_file(cells[0])}


def _restart(stale: set[str], *, must: bool) -> Literal["no", "advised", "required"]:
    if not stale:
        return "no"
    # A native module cannot be loaded twice, and the running program cannot be loaded again.
    return "required" if must else "advised"


def _loaded_from(paths: set[str], origins: Mapping[str, str]) -> set[str]:
    """Return the modules that come from one of these files, by whatever links they were reached."""
    files = {os.path.basename(path) for path in paths}
    eggs = tuple(path + os.sep for path in paths if path.endswith(_EGG))
    folders: dict[str, str] = {}
    found: set[str] = set()
    for name, origin in origins.items():
        path = os.path.normcase(origin)
        folder, file = os.path.split(path)
        if file not in files and not (eggs and _EGG + os.sep in path):
            continue
        if path not in paths and not path.startswith(eggs):
            if folder not in folders:
                folders[folder] = os.path.realpath(folder)
            # The file itself may be a link, into a cache for example.
            path = os.path.join(folders[folder], file)
        if path in paths or path.startswith(eggs):
            found.add(name)
    return found


def _loaded_from_trees(
    developed: Sequence[RemovedFiles],
    still: Collection[str],
    loaded: Mapping[str, object],
    origins: Mapping[str, str],
) -> set[str]:
    """Return the modules of projects that go out of development mode.

    Their files stay, but no longer are what is imported. Where a project goes into it again, only its native
    modules count: a build may have written them anew, in their place.
    """
    found: set[str] = set()
    for dist in developed:
        suffixes = _NATIVE if _real(dist.tree) in still else ("",)
        found |= {
            name
            for name, origin in origins.items()
            if _top_level(name, loaded[name]) in dist.modules
            and origin.endswith(suffixes)
            and _is_developed(origin, dist)
        }
    return found


def _top_level(name: str, module: object) -> str:
    if name == "__main__":  # ``python -m`` gives it the name that it was found by
        spec = _contents(module).get("__spec__")
        name = str(getattr(spec, "name", ""))
    return name.partition(".")[0]


def _is_developed(origin: str, dist: RemovedFiles) -> bool:
    """Tell whether a module was loaded from a tree, and not from an environment that lies in the tree."""
    path = _below(origin, dist.tree)
    if not path or _ENVIRONMENT.intersection(path.split(os.sep)):
        return False
    return not (_below(dist.folder, dist.tree) and _below(origin, dist.folder))


def _below(path: str, folder: str) -> str:
    """Return the path relative to a folder, by whatever links it was reached; "" where it is elsewhere."""
    parent, name = os.path.split(path)
    for whole, top in ((path, folder), (os.path.join(_real(parent), name), _real(folder))):
        start = os.path.join(os.path.normcase(top), "")
        if os.path.normcase(whole).startswith(start):
            return os.path.normcase(whole)[len(start) :]
    return ""


def _real(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _contents(module: object) -> dict[str, object]:
    """Return the namespace of a module without running code of its own, which lazy ones have."""
    try:
        contents = object.__getattribute__(module, "__dict__")
    except AttributeError:  # anything may be put among the modules
        return {}
    # A copy: another thread may import into the module meanwhile.
    return dict(contents) if isinstance(contents, dict) else {}


def _origin(module: object) -> str:
    contents = _contents(module)
    spec = contents.get("__spec__")
    origin = getattr(spec, "origin", None) or contents.get("__file__")
    return origin if isinstance(origin, str) else ""


def _importers(loaded: Mapping[str, object], stale: set[str]) -> set[str]:
    """Return the modules that hold a stale module, or something that was defined in one."""
    objects = {id(loaded[name]) for name in stale}
    found: set[str] = set()
    for name, module in loaded.items():
        if name not in stale and any(
            id(value) in objects or _home(value) in stale for value in _contents(module).values()
        ):
            found.add(name)
    return found


def _home(value: object) -> str:
    """Return the module in which a class or function was defined; "" for all other things."""
    # Only types and functions are asked, by their real type: any other object may run code then.
    kind = type(value)
    home: object = ""
    if issubclass(kind, type):
        with suppress(AttributeError):
            home = type.__dict__["__module__"].__get__(value)
    elif kind.__name__ in _FUNCTIONS:
        home = getattr(value, "__module__", "")
    return home if isinstance(home, str) else ""
