"""Where a backend runs: an environment made for one build, or the interpreter as it is."""

from __future__ import annotations

import contextlib
import os

import attrs

from puffin_api._builder.failure import failed
from puffin_api._interpreter.host import least_environment
from puffin_api._interpreter.venv import create_venv, info_of_venv
from puffin_api._model.names import normalize
from puffin_api._model.requirement import parse_requirement
from puffin_api.errors import (
    BuildFailed,
    EnvironmentProblem,
    InstallFailed,
    PackageError,
    RequirementInvalid,
    ResolutionFailed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from puffin_api._builder.failure import Phase
    from puffin_api._interpreter.info import InterpreterInfo
    from puffin_api._model.resolution import Resolution
    from puffin_api.protocols import BuildContext

# What would make the interpreter of the build another one, or lead it to packages of the caller.
_SCRUBBED = frozenset(
    {
        "PYTHONEXECUTABLE",
        "PYTHONHOME",
        "PYTHONINSPECT",
        "PYTHONPATH",
        "PYTHONPLATLIBDIR",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",
        "__PYVENV_LAUNCHER__",
    }
)
_SCRUBBED_PREFIXES = ("PIP_", "_PYPROJECT_HOOKS_")
_FAILURES = (EnvironmentProblem, InstallFailed, PackageError, RequirementInvalid, ResolutionFailed)
"""What is wrong with build requirements; of the network and of cancelling it is not the build that tells."""


@attrs.frozen(kw_only=True, eq=False)
class BuildEnvironment:
    """An interpreter for the backend of one build, and what its children are started with."""

    python: Path
    variables: Mapping[str, str] = attrs.field(repr=False)
    options: tuple[str, ...] = ()
    requirements: BuildRequirements | None = None
    """What is installed; None where nothing may be."""

    @classmethod
    def isolated(
        cls,
        info: InterpreterInfo,
        folder: Path,
        *,
        package: str,
        context: BuildContext,
        env: Mapping[str, str],
        extra_env: Mapping[str, str],
        library_version: str = "",
    ) -> BuildEnvironment:
        """Make a virtual environment in the folder, with nothing in it.

        Args:
            env: The caller's variables: cleaned of what would lead out of the environment.
            extra_env: More of them, taken as they are.

        Raises:
            BuildFailed: It cannot be made.
        """
        with _as_build_failure(package, "install-requires"):
            prefix = create_venv(folder / "env", info, prompt=package, library_version=library_version)
        inside = info_of_venv(prefix, info)
        variables = child_variables(
            env, extra_env, scripts=inside.scheme.scripts, prefix=prefix, temporary=folder
        )
        requirements = BuildRequirements(package, context, prefix)
        return cls(python=inside.path, variables=variables, requirements=requirements)

    @classmethod
    def shared(
        cls, info: InterpreterInfo, folder: Path, *, env: Mapping[str, str], extra_env: Mapping[str, str]
    ) -> BuildEnvironment:
        """Take the interpreter with what it has; nothing is installed, not even bytecode."""
        prefix = info.prefix if info.is_virtual else None
        variables = child_variables(
            {**env, "PYTHONDONTWRITEBYTECODE": "1"},
            extra_env,
            scripts=info.scheme.scripts,
            prefix=prefix,
            temporary=folder,
        )
        return cls(python=info.path, variables=variables)


def child_variables(
    given: Mapping[str, str],
    extra: Mapping[str, str],
    *,
    scripts: str,
    prefix: Path | None,
    temporary: Path,
) -> dict[str, str]:
    """Return the complete environment of a backend.

    The folder of scripts comes first in ``PATH``. Temporary files go into a folder of the build: whatever
    a backend forgets there, or cannot remove because it was killed, goes with it.
    """
    known = {_variable(name): value for name, value in given.items()}
    kept = {name: value for name, value in known.items() if not _is_scrubbed(name)}
    place = temporary / "tmp"
    place.mkdir(exist_ok=True)
    own: dict[str, str] = {name: str(place) for name in ("TMPDIR", "TEMP", "TMP")}
    if prefix is not None:
        own["VIRTUAL_ENV"] = str(prefix)
    merged = {**least_environment(), **kept, **own, **{_variable(name): extra[name] for name in extra}}
    return {**merged, "PATH": os.pathsep.join([scripts, merged.get("PATH") or os.defpath])}


def _variable(name: str) -> str:
    """Windows takes ``Path`` and ``PATH`` for the same variable."""
    return name.upper() if os.name == "nt" else name


def _is_scrubbed(name: str) -> bool:
    return name in _SCRUBBED or name.startswith(_SCRUBBED_PREFIXES)


class BuildRequirements:
    """What is installed in an isolated environment; grows as the backend tells what it needs."""

    def __init__(self, package: str, context: BuildContext, prefix: Path) -> None:
        self._package = package
        self._context = context
        self._prefix = prefix
        self._wanted: tuple[str, ...] = ()
        self._resolution: Resolution | None = None

    def add(self, requirements: Sequence[str]) -> None:
        """Install what is not there yet, resolved together with what is.

        Raises:
            BuildFailed: The requirements cannot be met or installed.
            NetworkError: It cannot be found out.
            Cancelled: The caller's token was thrown.
        """
        missing = [text for text in requirements if not self._has(text)]
        if not missing:
            return
        wanted = tuple(dict.fromkeys((*self._wanted, *missing)))
        with _as_build_failure(self._package, "requires"):
            resolution = self._context.resolve(wanted)
        with _as_build_failure(self._package, "install-requires"):
            self._context.install(resolution, self._prefix)
        self._wanted, self._resolution = wanted, resolution

    def _has(self, text: str) -> bool:
        """True where the requirement is met for certain; one with a marker or URL is left to the resolver."""
        if text in self._wanted or self._resolution is None:
            return text in self._wanted
        requirement = parse_requirement(text)
        if requirement.marker is not None or requirement.url is not None:
            return False
        package = self._resolution.packages.get(normalize(requirement.name))
        return (
            package is not None
            and requirement.specifier.contains(package.version, prereleases=True)
            and {normalize(extra) for extra in requirement.extras} <= set(package.extras)
        )


@contextlib.contextmanager
def _as_build_failure(package: str, phase: Phase) -> Generator[None]:
    try:
        yield
    except BuildFailed as error:
        error.add_note(f"It is needed to build {package}.")
        raise
    except _FAILURES as error:
        raise failed(package, phase, str(error), hint=error.hint) from error
