"""Resolver: from requirements to a resolution."""

from __future__ import annotations

import contextlib
import os

import attrs

from puffin_api._api.build_options import BuildOptions, SourcesOnDemand
from puffin_api._api.client import Client
from puffin_api._api.locked_commits import locked_commits
from puffin_api._api.operation import operation
from puffin_api._api.request import Request, cutoff_key, cutoff_of, given_by, target_of
from puffin_api._api.roots_ahead import certain_sources, find_out
from puffin_api._api.solving import solve
from puffin_api._api.wiring import parts_of_client
from puffin_api._client.direct_files import DirectFiles
from puffin_api._model.build_settings import BuildSettings
from puffin_api._model.options import BuildPolicy, HashPolicy, PrereleaseMode, ResolutionMode, Upgrade
from puffin_api._model.requirement_manifest import Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence

    from packaging.requirements import Requirement

    from puffin_api._api.environment import Environment
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._api.request import InstalledLike, Moment, Req
    from puffin_api._client.direct_files import GitKey
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.options import Pin
    from puffin_api._model.resolution import Resolution
    from puffin_api._model.target import Target
    from puffin_api.protocols import ReleaseSource, Reporter, Runner, SourceBuilder


class Resolver:
    """Finds a set of packages that meets requirements.

    A resolver keeps no state of its own: what it learns of projects stays with the client, so that
    a second resolution over the same projects does no I/O. Threads may share it.

    Args:
        client: Where releases and metadata come from.
        builder: Tells the metadata of sources, in place of the standard way.
        runner: Starts build backends, and git.
        workers: Of how many sources that are required by path or URL the metadata is found out at a time; as
            many as there are processors by default. What the search comes upon is taken one by one, as it
            has to know each before it goes on.
    """

    def __init__(
        self,
        client: Client | ReleaseSource,
        *,
        builder: SourceBuilder | None = None,
        runner: Runner | None = None,
        workers: int | None = None,
    ) -> None:
        self._client = client
        self._builder = builder
        self._runner = runner
        self._workers = workers or os.cpu_count() or 1

    def resolve(  # one parameter for each thing that can be asked
        self,
        requirements: Iterable[Req] | Manifest,
        *,
        target: Target | Interpreter | Environment,
        installed: Iterable[InstalledLike] = (),
        locked: Resolution | Iterable[Pin] = (),
        protect: Iterable[str] = (),
        constraints: Iterable[Req] = (),
        overrides: Iterable[Req] = (),
        excludes: Iterable[str] = (),
        upgrade: Upgrade | None = None,
        mode: ResolutionMode = ResolutionMode.HIGHEST,
        prereleases: PrereleaseMode = PrereleaseMode.IF_NECESSARY,
        exclude_newer: Moment | Mapping[str, Moment | None] | None = None,
        hashes: HashPolicy = HashPolicy.WHEN_GIVEN,
        dependencies: bool = True,
        only_binary: Collection[str] = (),
        no_binary: Collection[str] = (),
        build_policy: BuildPolicy = BuildPolicy.ALLOW,
        build_constraints: Iterable[str | Requirement] = (),
        build_settings: BuildSettings | None = None,
        config_settings: Mapping[str, str | Sequence[str]] | None = None,
        skip_failed_builds: bool = False,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> Resolution:
        """Resolve requirements for one target.

        Args:
            requirements: What the caller wants: PEP 508, also with the URL of a wheel, or the path of a
                local wheel. A project with a URL comes from there alone, whoever requires it.
            target: What to resolve for.
            installed: Distributions that are there already; their versions are kept where possible.
            locked: An earlier answer; its versions, and the commits of its branches and tags, are kept where
                possible, even if yanked since.
            protect: Installed packages that must stay as they are.
            constraints: Narrow the versions of packages that are needed anyway; one with a URL says
                where the package comes from.
            overrides: Replace every requirement of the same name, whoever has it.
            excludes: Projects that are never to be part of the answer.
            upgrade: Packages whose installed or locked versions do not count.
            mode: Whether the highest or the lowest admissible versions are preferred.
            prereleases: When a pre-release may be chosen.
            exclude_newer: Leave out files uploaded at this time or later; an age is counted back
                from now. By project, with the empty name for all others; None for no limit. It
                holds for what builds need, too.
            hashes: Whether files must have the digests that a manifest gives for its requirements and
                constraints, and URLs in their fragments (``WHEN_GIVEN``); whether every file must have
                one from there (``REQUIRE``); or whether they do not count (``IGNORE``). Digests that an
                index gives are checked in any case.
            dependencies: False for the required packages alone.
            only_binary: Projects (or ``:all:``) of which only wheels may be used.
            no_binary: Projects (or ``:all:``) of which no wheels may be used. Neither of the two holds for
                what builds need: `build_constraints` with URLs say where that comes from.
            build_policy: What may be built from source. ``NEVER`` starts no process at all: sources whose
                metadata is not static cannot be used then. ``METADATA_ONLY`` asks backends for metadata,
                but never for a wheel.
            build_constraints: Narrow the versions of build requirements.
            build_settings: How sources are built, in full.
            config_settings: For all backends (PEP 517), where that is all there is to say.
            skip_failed_builds: Pass over versions whose metadata cannot be built, instead of failing.
            reporter: Hears what is done, on this thread.
            cancel: Stops it.

        Returns:
            The packages with their files and requirements.

        Raises:
            RequirementInvalid: A requirement does not parse, or its URL is not that of a wheel of it.
            BuildForbidden: What a requirement names by URL or path would have to be built, and may not be.
            BuildFailed: Only a build could tell the metadata of something, and it failed.
            PackageNotFound: No index knows a project that is required here.
            ResolutionFailed: There is no such set; the error is a value that says why.
            ProtectedPackage: There is one only if a protected package changes.
            NetworkError: An index could not be asked.
            Cancelled: The token was thrown.
        """
        options = BuildOptions(
            policy=build_policy,
            settings=_settings(build_settings, config_settings),
            constraints=tuple(str(item) for item in build_constraints),
            cutoff=cutoff_of(exclude_newer),
            cutoff_key=cutoff_key(exclude_newer),
            skip_failed=skip_failed_builds,
            runner=self._runner,
            builder=self._builder,
        )
        with operation("resolve", reporter, cancel) as pump:
            sources = self._sources(target, options, pump)
            commits = locked_commits(locked, upgrade)
            files = DirectFiles(self._add_login, hashes=hashes, sources=sources, commits=commits)
            if not isinstance(requirements, (Manifest, str)):
                requirements = list(requirements)  # it is gone through twice
            overrides, excludes = tuple(overrides), tuple(excludes)
            if sources is not None:
                self._look_ahead(
                    requirements,
                    sources,
                    target=target_of(target),
                    hashes=hashes,
                    commits=commits,
                    amended=bool(overrides or excludes),
                    pump=pump,
                )
            request = Request.of(
                requirements,
                files,
                target=target,
                installed=installed,
                locked=locked,
                protect=protect,
                constraints=constraints,
                overrides=overrides,
                excludes=excludes,
                upgrade=upgrade,
                mode=mode,
                prereleases=prereleases,
                exclude_newer=exclude_newer,
                hashes=hashes,
                dependencies=dependencies,
                only_binary=only_binary,
                no_binary=no_binary,
                sources="" if sources is None else options.key(target),
                builds=options.terms,
            )
            with self._view(pump, sources) as view:
                return solve(request, files, view, pump)

    def _look_ahead(
        self,
        requirements: Iterable[Req] | Manifest,
        sources: SourcesOnDemand,
        *,
        target: Target,
        hashes: HashPolicy,
        commits: Mapping[GitKey, str],
        amended: bool,
        pump: Pump,
    ) -> None:
        wanted, given = given_by(requirements)
        items = certain_sources(wanted, target, amended=amended or bool(given.overrides))
        if len(items) < 2 or self._workers < 2:  # one at a time is what happens anyway
            return
        if given.hashes:  # these have to be held against each archive before it is built
            return
        find_out(
            items,
            sources=sources,
            hashes=hashes,
            commits=commits,
            add_login=self._add_login,
            workers=self._workers,
            pump=pump,
        )

    def _sources(
        self, target: Target | Interpreter | Environment, options: BuildOptions, pump: Pump
    ) -> SourcesOnDemand | None:
        """Return what tells of sources; None where the caller's own source of releases does."""
        if not isinstance(self._client, Client):
            return None
        return SourcesOnDemand(parts_of_client(self._client), target, options, pump)

    @contextlib.contextmanager
    def _view(self, pump: Pump, sources: SourcesOnDemand | None) -> Generator[ReleaseSource]:
        """Give the source of releases for one call."""
        if not isinstance(self._client, Client):
            yield self._client  # it ends when the caller says so
            return
        build = None if sources is None else sources.metadata
        with parts_of_client(self._client).view(pump, build=build) as view:
            yield view

    @property
    def _add_login(self) -> Callable[[str, tuple[str, str]], None] | None:
        return parts_of_client(self._client).add_login if isinstance(self._client, Client) else None


def _settings(
    settings: BuildSettings | None, config: Mapping[str, str | Sequence[str]] | None
) -> BuildSettings | None:
    if not config:
        return settings
    return attrs.evolve(settings or BuildSettings(), config_settings=config)
