"""Which loaded modules a change of files makes stale: paths compared with ``__spec__.origin``."""

from __future__ import annotations

import os
import sys

from puffin_api._model.dist_info import top_level_modules
from puffin_api._model.plan import StaleReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType
    from typing import Literal

    from puffin_api._model.cached import WheelManifest

MODULE_SUFFIXES = (".py", ".so", ".pyd")
_NATIVE = (".so", ".pyd")


def stale_report(
    gone: Iterable[str], fresh: Iterable[str], modules: Mapping[str, ModuleType] | None = None
) -> StaleReport:
    """Compare loaded modules with the files that a change touches.

    Args:
        gone: Absolute paths of the module files that are removed or replaced.
        fresh: Names of the top-level modules that the change brings.
        modules: The loaded modules by name; None for those of this process.
    """
    loaded = dict(sys.modules if modules is None else modules)
    paths = {os.path.normcase(path) for path in gone}
    origins = {name: _origin(module) for name, module in loaded.items()}
    stale = {name for name, origin in origins.items() if origin and os.path.normcase(origin) in paths}
    native = any(origins[name].endswith(_NATIVE) for name in stale)
    importers = _importers(loaded, stale) if stale else set()
    return StaleReport(
        stale=tuple(sorted(stale)),
        importers=tuple(sorted(importers)),
        now_importable=tuple(sorted(set(fresh) - loaded.keys())),
        restart=_restart(stale, importers, native=native),
    )


def module_paths(base: str, files: Iterable[str]) -> list[str]:
    """Return the absolute paths of the module files among these, which are relative to ``base``."""
    return [os.path.normpath(os.path.join(base, path)) for path in files if path.endswith(MODULE_SUFFIXES)]


def modules_of_wheel(manifest: WheelManifest) -> tuple[str, ...]:
    """Return the top-level modules that a wheel brings."""
    return top_level_modules(manifest.files)


def _restart(stale: set[str], importers: set[str], *, native: bool) -> Literal["no", "advised", "required"]:
    if not stale:
        return "no"
    # A native module cannot be loaded twice, and the running program cannot be loaded again.
    return "required" if native or "__main__" in stale | importers else "advised"


def _origin(module: object) -> str:
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None) or getattr(module, "__file__", None)
    return origin if isinstance(origin, str) else ""


def _importers(loaded: Mapping[str, object], stale: set[str]) -> set[str]:
    """Return the modules that hold a stale module, or something that was defined in one."""
    objects = {id(loaded[name]) for name in stale}
    found: set[str] = set()
    for name, module in loaded.items():
        if name in stale:
            continue
        # A copy: another thread may import into the module meanwhile.
        values = list(getattr(module, "__dict__", {}).values())
        if any(id(value) in objects or _home(value) in stale for value in values):
            found.add(name)
    return found


def _home(value: object) -> str:
    """Return the module in which a class or function was defined; "" for all other things."""
    # Only types and functions are asked: any other object may run code when an attribute is read.
    if isinstance(value, type) or type(value).__name__ == "function":
        home = getattr(value, "__module__", "")
        return home if isinstance(home, str) else ""
    return ""
