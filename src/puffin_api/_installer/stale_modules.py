"""What a change means for the modules that are loaded in this process."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from puffin_api._model.plan import InstallReport, Plan, StaleReport

_METADATA = ("importlib.metadata", "importlib_metadata")
"""The module of the standard library, and its separate edition."""


def stale_modules(what: Plan | InstallReport, modules: Mapping[str, ModuleType] | None = None) -> StaleReport:
    """Tell which loaded modules a plan will make stale, or a change has made stale.

    Found by comparing files, never names: RECORD with ``__spec__.origin``.

    Args:
        what: The plan, or the report of the change.
        modules: The loaded modules by name; None for those of this process.
    """
    return what.stale_modules(modules)


def refresh_imports(report: InstallReport) -> None:
    """Let this process see what was installed into its own environment.

    Drops what the import system and `importlib.metadata` remember of folders. Loaded modules stay loaded,
    and no ``.pth`` file is read: its lines may be code, and a folder that it names is for the next start.
    """
    if not report.changed:
        return
    importlib.invalidate_caches()
    for name in _METADATA:
        # Before Python 3.13, the call above does not come here.
        finder = getattr(sys.modules.get(name), "MetadataPathFinder", None)
        if finder is not None:
            finder().invalidate_caches()  # of an instance: in old versions it is no class method
