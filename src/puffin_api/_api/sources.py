"""Sources: what one call finds out about sources and builds of them, with all that builds need."""

from __future__ import annotations

import functools
import hashlib
import os

import attrs

from puffin_api._api.build_options import BuildOptions, interpreter_for, python_key
from puffin_api._builder.build import Builder
from puffin_api._builder.build_stack import NO_BUILD, BuildStack
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api._interpreter.venv import info_of_venv
from puffin_api._model.file import DistFile, FileRow
from puffin_api._model.metadata import dist_metadata
from puffin_api._model.names import normalize
from puffin_api._model.options import BuildPolicy, HashPolicy
from puffin_api._model.version_key import sort_version
from puffin_api._preparer.database import Described, Terms
from puffin_api._preparer.git_repositories import GitTerms
from puffin_api.errors import BuildFailed, BuildForbidden, MetadataInvalid, RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from puffin_api._api.environment import Environment
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._api.wiring import ClientParts
    from puffin_api._builder.build import Build
    from puffin_api._concurrency import Pump
    from puffin_api._interpreter.info import InterpreterInfo
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.git_url import GitUrl, Login
    from puffin_api._model.metadata import CoreMetadata, DistMetadata
    from puffin_api._model.resolution import Resolution
    from puffin_api._model.target import Target
    from puffin_api._preparer.telling import Telling


class Sources:
    """Answers for one call, on the thread of the call.

    Args:
        parts: Those of the client.
        target: What is resolved or installed for; its interpreter builds, or else the running one.
        options: What the caller says about builds.
        pump: That of the call.
        stack: The builds that wait for this call.
    """

    def __init__(
        self,
        parts: ClientParts,
        target: Target | Interpreter | Environment,
        options: BuildOptions,
        pump: Pump,
        *,
        stack: BuildStack = NO_BUILD,
    ) -> None:
        self._parts = parts
        self._given = target
        self._options = options
        self._pump = pump
        self._stack = stack
        self._known: dict[tuple[str, str, str], Described] = {}
        """By what tells sources apart, what was found out when the file was made."""

    # -- for requirements that name sources

    def commit(self, url: GitUrl, login: Login | None) -> str:
        """Return the commit that a revision stands for."""
        repositories = self._parts.repositories
        if login is not None:
            repositories.add_login(url, login)
        with self._parts.cache.leases.lease():
            return repositories.resolve(url, self._pump, telling=self._telling)

    def complete(self, file: FileRow) -> FileRow:
        """Return a file with name, version and digests, which its metadata tells."""
        given = DistFile.of(file)
        found = self._parts.sources.describe(given, self._terms)
        core = found.core
        order = sort_version(core.version)
        if order is None:
            raise RequirementInvalid(
                f"{given.url} cannot be used: {core.version!r} is not a valid version", text=given.url
            )
        digests = self._parts.sources.digests(given, self._pump)
        made = FileRow(
            project=normalize(core.name),
            version=order[1],
            filename=file.filename or f"{core.name}-{order[1]}",
            url=file.url,
            hashes=tuple(f"{key}:{value}" for key, value in digests.items()),
            size=file.size,
            allowed=file.allowed,
            origin=file.origin and file.origin.with_stamp(self._parts.sources.stamp(given, self._pump)),
        )
        self._known[made.source] = found
        return made

    # -- for the resolver

    def metadata(self, file: FileRow) -> DistMetadata:
        """Return the metadata of sources.

        Raises:
            BuildForbidden: Only a build could tell, and none is allowed.
            BuildFailed: It failed, and that is not to be passed over.
            PackageError: The sources cannot be used.
            NetworkError: They cannot be had.
        """
        given = self._parts.registry.metadata
        if given.is_given(file.index):
            return dist_metadata(given.core(file, pump=self._pump), origin="sdist")
        found = self._known.get(file.source) if not file.index else None
        try:
            if found is None:
                found = self._parts.sources.describe(DistFile.of(file), self._terms)
        except BuildFailed as error:
            if not self._options.skip_failed:
                raise
            reason = f"it cannot be built: {error}"
            raise MetadataInvalid(reason, name=file.project, source=file.filename, reason=reason) from error
        return dist_metadata(found.core, origin="build" if found.origin == "build" else "sdist")

    def core(self, file: DistFile) -> CoreMetadata:
        """Return the metadata of sources in full; errors as `metadata`."""
        return self._parts.sources.describe(file, self._terms).core

    # -- for the installer

    def wheel(self, file: DistFile) -> CachedWheel:
        """Return the unpacked wheel of sources, built where there is none."""
        return self._parts.sources.wheel(file, self._terms)

    @property
    def may_build(self) -> bool:
        """Whether wheels may be built."""
        return self._options.policy is BuildPolicy.ALLOW

    def lookup(self, file: DistFile) -> CachedWheel | None:
        """Return the unpacked wheel of sources if it was built before."""
        return self._parts.sources.lookup(file, self._terms)

    # -- how it is built

    @functools.cached_property
    def _interpreter(self) -> InterpreterInfo:
        return interpreter_for(self._given)

    @functools.cached_property
    def _target(self) -> Target:
        from puffin_api._model.target import Target

        return self._given if isinstance(self._given, Target) else self._given.target

    @functools.cached_property
    def _python(self) -> str:
        return python_key(self._interpreter)

    @functools.cached_property
    def _telling(self) -> Telling:
        telling = self._parts.telling(self._pump)
        may_start = self._options.policy is not BuildPolicy.NEVER
        self._parts.repositories.agree(telling, GitTerms(self._options.runner, may_start))
        return telling

    @functools.cached_property
    def _terms(self) -> Terms:
        return Terms(
            policy=self._options.policy,
            open=self._open,
            guard=self._guard,
            settings=self._settings,
            python=self._python,
            tools=self._tools,
            target=self._target,
            pump=self._pump,
            telling=self._telling,
        )

    def _tools(self, package: str) -> Hashable:
        """What builds, and what of the settings counts for a build but not for its result."""
        settings, runner, info = self._options.in_full, self._options.runner, self._interpreter
        # All virtual environments of one Python build alike, where each build gets one of its own.
        python = info.base_executable if settings.is_isolated(package) else str(info.path)
        # A kept build holds on to its runner, so that no other one can have its identity.
        return (python, id(runner), settings.timeout, settings.keep_logs)

    def _settings(self, package: str) -> str:
        digest = self._options.in_full.digest(package)
        if not self._options.about_requirements:
            return digest
        parts = "\0".join((digest, *self._options.about_requirements))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def _guard(self, source: str, package: str) -> None:
        self._stack.enter(source, package=package or source)

    def _open(self, tree: Path, *, package: str, source: str) -> AbstractContextManager[Build]:
        if self._options.policy is BuildPolicy.NEVER:
            raise BuildForbidden(f"{package or source} would have to be built", package=package)
        return self._builder.open(
            tree,
            package=package,
            settings=self._options.in_full,
            pump=self._pump,
            source=source,
            stack=self._stack,
        )

    @functools.cached_property
    def _builder(self) -> Builder:
        layout = self._parts.cache.layout
        return Builder(
            interpreter=self._interpreter,
            context=lambda stack: _Context(self._parts, self._interpreter, self._options, self._pump, stack),
            runner=self._options.runner or SubprocessRunner(),
            logs=layout.build_logs,
            env=self._parts.env,
            scratch=layout.temporary,
        )


@attrs.frozen
class _Context:
    """What builds need of the rest: their own requirements, resolved and installed."""

    parts: ClientParts
    interpreter: InterpreterInfo
    options: BuildOptions
    pump: Pump
    stack: BuildStack

    def resolve(self, requirements: Iterable[str]) -> Resolution:
        """Resolve build requirements for the interpreter that builds."""
        from puffin_api._api.interpreter import Interpreter
        from puffin_api._api.request import Request
        from puffin_api._api.solving import solve
        from puffin_api._client.direct_files import DirectFiles

        target = Interpreter(self.interpreter)
        sources = self._sources(target)
        files = DirectFiles(self.parts.add_login, hashes=HashPolicy.WHEN_GIVEN, sources=sources)
        request = Request.of(
            requirements,
            files,
            target=target,
            constraints=self.options.constraints,
            cutoff=self.options.cutoff,
            sources=self.options.key(target),
        )
        with self.parts.view(self.pump, build=sources.metadata) as view:
            return solve(request, files, view, self.pump)

    def install(self, resolution: Resolution, prefix: Path) -> None:
        """Install them into the build environment."""
        from puffin_api._api.change import Changer
        from puffin_api._api.environment import Environment
        from puffin_api._api.interpreter import Interpreter
        from puffin_api._installer.journal import OS_FILES
        from puffin_api._installer.planner import make_plan

        environment = Environment(Interpreter(info_of_venv(prefix, self.interpreter)))
        changer = Changer(
            environment,
            self.parts,
            review=None,
            runner=self.options.runner,
            files=OS_FILES,
            # It is the work of one already; and on one thread, waits in a circle are seen.
            workers=1,
            sources=lambda _plan, _pump: self._sources(environment),
        )
        self.parts.note_links(environment.scheme.to_dict)  # a build that is kept has no lease
        plan = make_plan(resolution, environment.installed(), environment=os.fspath(prefix))
        changer.commit(changer.prepare(plan, self.pump), pump=self.pump)

    def _sources(self, target: Interpreter | Environment) -> Sources:
        return Sources(self.parts, target, self.options, self.pump, stack=self.stack)
