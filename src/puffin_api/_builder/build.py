"""Builder: turns a source tree into metadata or a wheel with the build backend that it names.

A backend is a program of other people and runs with the rights of this process. It cannot be kept from
reading or writing outside the tree, from using the network, or from starting a process that leaves its
group; a ``Runner`` that starts children in a sandbox can. What stays in the group, and the temporary files
of a build, end with it.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import shutil
import tempfile
from pathlib import Path

import attrs

from puffin_api._builder.backend import Backend
from puffin_api._builder.build_environment import BuildEnvironment
from puffin_api._builder.build_log import BuildLog
from puffin_api._builder.build_stack import NO_BUILD
from puffin_api._builder.failure import disk_trouble
from puffin_api._builder.hook_process import HookProcess
from puffin_api._builder.hooks import Hooks
from puffin_api._concurrency import SILENT
from puffin_api._fs import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from puffin_api._builder.build_stack import BuildStack
    from puffin_api._builder.hook_process import Slots
    from puffin_api._concurrency import Pump
    from puffin_api._interpreter.info import InterpreterInfo
    from puffin_api._model.build_settings import BuildSettings
    from puffin_api.errors import BuildFailed
    from puffin_api.protocols import BuildContext, Runner


class Build:
    """One source tree with its backend ready to be called; for one thread at a time.

    Leaving the context, as on an error, removes the environment and temporary files. Until then it may
    be handed from call to call: `rest` lets go of one, `resume` takes up the next.
    """

    def __init__(
        self,
        hooks: Hooks,
        environment: BuildEnvironment,
        requires: tuple[str, ...],
        belongings: contextlib.ExitStack,
    ) -> None:
        self._hooks = hooks
        self._requirements = environment.requirements
        self._requires = requires
        self._belongings = belongings
        self._ready: set[bool] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._belongings.__exit__(kind, error, trace)

    def metadata(self, target: Path, *, editable: bool = False) -> Path | None:
        """Let the backend write a ``.dist-info`` folder into ``target``, without building.

        Returns:
            The folder; None where the backend cannot: a wheel has to be built then.

        Raises:
            BuildFailed: A step of the build failed.
        """
        self._prepare(editable=editable)
        made = self._hooks.metadata(editable=editable)
        return None if made is None else self._deliver(made, target)

    def wheel(self, target: Path, *, editable: bool = False, metadata_directory: Path | None = None) -> Path:
        """Build a wheel into ``target``, which gets nothing else, and return its path.

        Args:
            target: A folder.
            editable: Build one that leads to the tree (PEP 660).
            metadata_directory: What ``metadata`` gave for the same tree and settings.

        Raises:
            BuildFailed: A step of the build failed.
        """
        self._prepare(editable=editable)
        build = self._hooks.editable if editable else self._hooks.wheel
        return self._deliver(build(metadata_directory), target)

    def failed(self, reason: str, *, hint: str = "") -> BuildFailed:
        """Return the error for a result that turns out to be of no use, with what the backend last said."""
        return self._hooks.process.failed("check", reason, hint=hint, exit_code=0)

    def rest(self) -> None:
        """Let go of the call that the build was opened for, once it needs nothing more to be installed."""
        self._requirements = None
        self._hooks.process.pump = SILENT
        self._hooks.process.log.rest()

    def resume(self, pump: Pump, *, package: str) -> None:
        """Take up another call, for the same kind of result: nothing else can be installed any more."""
        self._hooks.process.pump = pump
        self._hooks.process.package = package

    @property
    def is_whole(self) -> bool:
        """Whether the tree and the interpreter are still there."""
        return self._hooks.tree.is_dir() and self._hooks.python.exists() and self._hooks.scratch.is_dir()

    def _prepare(self, *, editable: bool) -> None:
        """Install what the hooks of this kind need, once."""
        if self._requirements is None or editable in self._ready:
            return
        self._requirements.add(self._requires)
        self._requirements.add(self._hooks.requires(editable=editable))
        self._ready.add(editable)

    def _deliver(self, made: Path, target: Path) -> Path:
        """Move what a hook made into the caller's folder."""
        place = target / made.name
        with disk_trouble(self._hooks.process.package, "check"):
            remove_tree(place)
            shutil.move(made, place)
        return place


@attrs.frozen(kw_only=True, eq=False)
class Builder:
    """Builds source trees for one interpreter. Many threads may call it."""

    interpreter: InterpreterInfo
    """Builds, and is what build requirements are resolved for."""
    context: Callable[[BuildStack], BuildContext]
    """Gives what resolves and installs build requirements; whatever that builds has to be given the stack."""
    runner: Runner
    logs: Path
    """Folder for the logs of builds that fail; made when it is needed."""
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Variables for all backends, such as ``HOME``, ``PATH``, ``LANG``, ``CC`` and ``CFLAGS``."""
    slots: Slots | None = None
    """How many backends may run at a time: a semaphore, taken for each call of a hook."""
    scratch: Path | None = None
    """Folder for environments and temporary files; None for the system's."""
    library_version: str = ""

    def open(
        self,
        tree: Path,
        *,
        package: str,
        settings: BuildSettings,
        pump: Pump,
        source: str = "",
        stack: BuildStack = NO_BUILD,
    ) -> Build:
        """Make ready to build a tree; a context, whose end removes the environment and temporary files.

        Metadata and a wheel of one tree are cheapest from one such build.

        Args:
            tree: The source tree, built where it is: backends write into it.
            package: Name of the project, empty where it is not known yet.
            settings: What the caller says about builds.
            pump: Hears what happens, and stops it.
            source: What the tree is a copy of, the same text for the same source, without credentials;
                empty for the path of the tree.
            stack: The builds that wait for this one.

        Raises:
            BuildFailed: The tree is no project, or needs itself to be built.
        """
        title = package or source or str(tree)
        backend = Backend.read(tree, package=title)
        inner = stack.enter(source or os.path.realpath(tree), package=title)
        requires = (*backend.requires, *settings.requires_for(package))
        with contextlib.ExitStack() as belongings:
            folder = self._scratch(title, belongings)
            with disk_trouble(title, "install-requires"):
                log = belongings.enter_context(BuildLog(self.logs, title, keep=settings.keep_logs))
                environment = self._environment(folder, title, package, settings, inner)
                script = _put_script(folder)
            process = HookProcess(
                package=title,
                runner=self.runner,
                log=log,
                script=script,
                options=environment.options,
                variables=environment.variables,
                timeout=settings.timeout,
                slots=self.slots,
                pump=pump,
            )
            hooks = Hooks(
                tree=tree,
                backend=backend,
                python=environment.python,
                process=process,
                config_settings=settings.config_for(package),
                scratch=folder,
            )
            return Build(hooks, environment, requires, belongings.pop_all())

    def _environment(
        self, folder: Path, title: str, package: str, settings: BuildSettings, stack: BuildStack
    ) -> BuildEnvironment:
        extra = settings.env_for(package)
        if not settings.is_isolated(package):
            return BuildEnvironment.shared(self.interpreter, folder, env=self.env, extra_env=extra)
        return BuildEnvironment.isolated(
            self.interpreter,
            folder,
            package=title,
            context=self.context(stack),
            env=self.env,
            extra_env=extra,
            library_version=self.library_version,
        )

    def _scratch(self, title: str, belongings: contextlib.ExitStack) -> Path:
        """A folder for the build; canonical, so that no backend mistakes one path for two."""
        with disk_trouble(title, "install-requires"):
            folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="puffin-build-", dir=self.scratch)))
        belongings.callback(_remove, folder)
        return folder


def _remove(folder: Path) -> None:
    # On Windows, what a backend left running may hold a file open: no reason to lose the wheel.
    with contextlib.suppress(OSError):
        remove_tree(folder)


def _put_script(folder: Path) -> Path:
    """Write the hook script where a child can read it, also when this package is in a zip file."""
    source = pkgutil.get_data("puffin_api._builder", "hook_script.py")
    assert source is not None, "the package has lost its hook script"
    place = folder / "script"
    place.mkdir()
    script = place / "hook_script.py"
    script.write_bytes(source)
    return script
