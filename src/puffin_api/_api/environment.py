"""Environment: a place that packages live in."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from puffin_api._installer import health, recovery, site_packages, stale_modules
from puffin_api._interpreter.discover import python_in
from puffin_api._interpreter.info import Scheme
from puffin_api._model import dependency_paths, requirements_export, stale
from puffin_api._model.events import LockWaiting
from puffin_api.errors import EnvironmentProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from packaging.requirements import Requirement

    from puffin_api._api.cache import Cache
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._cache.locks import Cancel, FileLocks
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.installed import InstalledSet
    from puffin_api._model.plan import RecoveryReport
    from puffin_api._model.problems import Problem
    from puffin_api._model.resolution import DependencyPath, Resolution
    from puffin_api._model.target import Target
    from puffin_api.protocols import Reporter, Runner

_ASKED_AFTER_A_CHANGE = (stale_modules, stale, dependency_paths, requirements_export)
"""Imported with this: afterwards, the library itself may be what was replaced."""
LOCK_NAME = ".puffin-api.lock"
FOLDER_LOCK_NAME = ".puffin_api.lock"
"""In a plain folder, where the other name would be taken for the folder of a transaction."""


class Environment:
    """A virtual environment, the packages of an interpreter, or a plain folder.

    It keeps nothing in memory: every question looks at the disk. Threads may share it.
    """

    def __init__(
        self,
        interpreter: Interpreter | None,
        *,
        target: Target | None = None,
        scheme: Scheme | None = None,
        root: Path | None = None,
    ) -> None:
        self._interpreter = interpreter
        if interpreter is not None:
            target = target or interpreter.target
            scheme = scheme or interpreter.scheme
            root = root or interpreter.info.prefix
        assert target is not None, "an environment without an interpreter has a target of its own"
        assert scheme is not None, "... and a scheme"
        assert root is not None, "... and a root"
        self.target: Target = target
        """What packages are resolved for."""
        self.scheme: Scheme = scheme
        """Where the parts of packages go."""
        self.root: Path = root
        """The prefix or folder."""

    @classmethod
    def at(
        cls,
        prefix: str | os.PathLike[str],
        *,
        cache: Cache | None = None,
        runner: Runner | None = None,
        cancel: CancelToken | None = None,
    ) -> Environment:
        """Open a virtual environment or prefix by asking its interpreter what it is.

        Args:
            prefix: The folder.
            cache: Where the answer is kept.
            runner: How the interpreter is started.
            cancel: Stops it.

        Raises:
            EnvironmentProblem: There is no interpreter in the folder.
            ProbeFailed: It does not work.
        """
        from puffin_api._api.interpreter import Interpreter

        python = python_in(Path(prefix))
        if python is None:
            raise EnvironmentProblem(
                f"{os.fspath(prefix)} is not an environment: it has no interpreter",
                hint="Create one with Interpreter.create_venv, or use Environment.directory.",
                path=os.fspath(prefix),
            )
        return cls(Interpreter.probe(python, cache=cache, runner=runner, cancel=cancel))

    @classmethod
    def directory(
        cls, path: str | os.PathLike[str], *, target: Target | Interpreter | Environment
    ) -> Environment:
        """Return a plain folder as an environment: modules at its top, scripts in ``bin``.

        Args:
            path: The folder; made by the first install.
            target: What its packages are for.
        """
        from puffin_api._model.target import Target

        root = Path(path).absolute()
        place = str(root)
        scheme = Scheme(
            purelib=place,
            platlib=place,
            scripts=str(root / "bin"),
            data=place,
            include=str(root / "include"),
        )
        owned = target if isinstance(target, Target) else target.target
        return cls(None, target=owned, scheme=scheme, root=root)

    @property
    def interpreter(self) -> Interpreter:
        """The interpreter of the environment.

        Raises:
            EnvironmentProblem: It is a plain folder.
        """
        if self._interpreter is None:
            raise EnvironmentProblem(
                f"{self.root} is a plain folder without an interpreter", path=str(self.root)
            )
        return self._interpreter

    @property
    def has_interpreter(self) -> bool:
        """False for a plain folder."""
        return self._interpreter is not None

    @property
    def _roots(self) -> tuple[str, ...]:
        """The folders that distributions are in."""
        return tuple(dict.fromkeys((self.scheme.purelib, self.scheme.platlib)))

    def installed(self) -> InstalledSet:
        """List what is installed; what is broken becomes a problem, never an error."""
        return site_packages.list_distributions(self._roots)

    def check(self, *, deep: bool = False, cancel: CancelToken | None = None) -> tuple[Problem, ...]:
        """Look for everything that is wrong.

        A change that another process is making at the moment looks like an interrupted one.

        Args:
            deep: Also compare every file with what was installed; compiled files may be missing.
            cancel: Stops it, also within large files.
        """
        pulse = cancel.check if cancel is not None else _nothing
        return health.check(self.installed(), self.target, deep=deep, pulse=pulse)

    def satisfies(self, what: Resolution | Iterable[str | Requirement]) -> bool:
        """Tell whether everything of a resolution is installed, or requirements are met.

        Versions and origins of a resolution are compared as a plan does. Requirements are followed through
        their extras and all that is below them; what has no metadata meets none.

        Raises:
            RequirementInvalid: A requirement does not parse.
        """
        from puffin_api._installer.planner import make_plan
        from puffin_api._model.resolution import Resolution

        if isinstance(what, Resolution):
            return make_plan(what, self.installed()).is_empty
        return health.satisfies([str(item) for item in what], self.installed(), self.target)

    def why(self, name: str) -> tuple[DependencyPath, ...]:
        """Return the ways that lead to an installed package; none where it is not installed.

        Raises:
            RequirementInvalid: It is not a valid name.
        """
        return health.why(name, self.installed(), self.target)

    def fingerprint(self) -> str:
        """Return a text that changes with every change of what is installed."""
        return site_packages.fingerprint(self._roots)

    @contextlib.contextmanager
    def lock(
        self,
        *,
        timeout: float | None = 60.0,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> Generator[None]:
        """Keep everybody else who uses this library from changing the environment.

        The holder cannot change it either: a lock is not taken twice.

        Args:
            timeout: Seconds to wait; None for ever.
            reporter: Hears who is waited for.
            cancel: Ends the wait.

        Raises:
            LockTimeout: Somebody held it for longer; ``owner`` tells who.
            NotWritable: There can be no lock file.
        """
        from puffin_api._cache.locks import FileLocks

        def waiting(_: str, owner: str) -> None:
            if reporter is not None:
                reporter.on_event(LockWaiting(path=str(self.root), owner=owner))

        with hold(self, FileLocks(timeout, on_wait=waiting), cancel=cancel):
            yield

    def recover(
        self,
        *,
        timeout: float | None = 60.0,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> RecoveryReport | None:
        """End what an interrupted change left behind; None where there is nothing.

        Args:
            timeout: Seconds to wait for the lock; None for ever.
            reporter: Hears who is waited for.
            cancel: Ends the wait.

        Raises:
            RollbackFailed: It can be neither finished nor undone now.
            LockTimeout: Somebody is changing the environment.
            NotWritable: There can be no lock file.
        """
        if not any(recovery.find_interrupted(root) for root in self._roots):
            return None
        with self.lock(timeout=timeout, reporter=reporter, cancel=cancel):
            return recovery.recover(self._roots)

    def __repr__(self) -> str:
        return f"<Environment {self.root}>"


def hold(
    environment: Environment, locks: FileLocks, *, cancel: Cancel | None = None
) -> contextlib.AbstractContextManager[None]:
    """Return the lock of an environment, to be entered."""
    name = LOCK_NAME if environment.has_interpreter else FOLDER_LOCK_NAME
    what = f"change {environment.root}"
    return locks.hold(environment.root / name, what=what, cancel=cancel)


def _nothing() -> None:
    """Nobody can cancel."""
