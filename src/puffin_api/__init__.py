"""Resolve, build and install Python packages in your own process.

Importing this package loads nothing else: each public name is fetched from its home on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api import errors as errors
    from puffin_api import model as model
    from puffin_api import protocols as protocols
    from puffin_api import testing as testing
    from puffin_api._api.cache import Cache
    from puffin_api._api.client import Client
    from puffin_api._api.environment import Environment
    from puffin_api._api.installer import Installer
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._api.resolver import Resolver
    from puffin_api._installer.stale_modules import refresh_imports, stale_modules
    from puffin_api.errors import PuffinError
    from puffin_api.model import (
        Allow,
        BuildPolicy,
        BuildSettings,
        CancelToken,
        Editable,
        HashPolicy,
        Index,
        IndexStrategy,
        InstallReport,
        LinkMode,
        Manifest,
        Pin,
        Plan,
        PrereleaseMode,
        Refresh,
        Resolution,
        ResolutionMode,
        RetryPolicy,
        Target,
        Timeouts,
        Tls,
        Upgrade,
    )

__all__ = [
    "Allow",
    "BuildPolicy",
    "BuildSettings",
    "Cache",
    "CancelToken",
    "Client",
    "Editable",
    "Environment",
    "HashPolicy",
    "Index",
    "IndexStrategy",
    "InstallReport",
    "Installer",
    "Interpreter",
    "LinkMode",
    "Manifest",
    "Pin",
    "Plan",
    "PrereleaseMode",
    "PuffinError",
    "Refresh",
    "Resolution",
    "ResolutionMode",
    "Resolver",
    "RetryPolicy",
    "Target",
    "Timeouts",
    "Tls",
    "Upgrade",
    "refresh_imports",
    "stale_modules",
]

# Where each name lives. Type checkers read the imports above instead; a test keeps the three lists equal.
_HOMES: dict[str, str] = {
    "Allow": "puffin_api.model",
    "BuildPolicy": "puffin_api.model",
    "BuildSettings": "puffin_api.model",
    "Cache": "puffin_api._api.cache",
    "CancelToken": "puffin_api.model",
    "Client": "puffin_api._api.client",
    "Editable": "puffin_api.model",
    "Environment": "puffin_api._api.environment",
    "HashPolicy": "puffin_api.model",
    "Index": "puffin_api.model",
    "IndexStrategy": "puffin_api.model",
    "InstallReport": "puffin_api.model",
    "Installer": "puffin_api._api.installer",
    "Interpreter": "puffin_api._api.interpreter",
    "LinkMode": "puffin_api.model",
    "Manifest": "puffin_api.model",
    "Pin": "puffin_api.model",
    "Plan": "puffin_api.model",
    "PrereleaseMode": "puffin_api.model",
    "PuffinError": "puffin_api.errors",
    "Refresh": "puffin_api.model",
    "Resolution": "puffin_api.model",
    "ResolutionMode": "puffin_api.model",
    "Resolver": "puffin_api._api.resolver",
    "RetryPolicy": "puffin_api.model",
    "Target": "puffin_api.model",
    "Timeouts": "puffin_api.model",
    "Tls": "puffin_api.model",
    "Upgrade": "puffin_api.model",
    "refresh_imports": "puffin_api._installer.stale_modules",
    "stale_modules": "puffin_api._installer.stale_modules",
}

_MODULES = ("errors", "model", "protocols", "testing")

if not TYPE_CHECKING:  # hidden from type checkers: with it, any misspelt name would pass

    def __getattr__(name: str) -> object:
        """Fetch a public name from its home and keep it."""
        home = _HOMES.get(name)
        if home is None and name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

        from importlib import import_module

        value = import_module(f"{__name__}.{name}") if home is None else getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name.startswith("__"))})
