"""What a change means for the modules that are loaded in this process."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from puffin_api._model.plan import InstallReport, Plan, StaleReport


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

    Drops what the import system remembers of folders; loaded modules stay loaded.
    """
    import importlib

    if report.changed:
        importlib.invalidate_caches()
