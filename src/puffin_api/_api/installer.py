"""Installer: from a resolution to a changed environment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import attrs

from puffin_api._api.build_options import BuildOptions, sources_of
from puffin_api._api.change import Changer
from puffin_api._api.operation import operation
from puffin_api._api.wiring import parts_of_client
from puffin_api._concurrency import SILENT
from puffin_api._installer import planner
from puffin_api._installer.journal import OS_FILES
from puffin_api._installer.undo_plan import earlier_requirements, plan_return, plan_undo
from puffin_api._model.options import BuildPolicy
from puffin_api._model.plan import Plan, PreparedPlan
from puffin_api.errors import InstallFailed, PlanOutdated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Literal

    from puffin_api._api.client import Client
    from puffin_api._api.environment import Environment
    from puffin_api._api.given_builder import GivenSources
    from puffin_api._api.request import Req
    from puffin_api._api.resolver import Resolver
    from puffin_api._api.sources import Sources
    from puffin_api._concurrency import Pump
    from puffin_api._installer.journal import Files
    from puffin_api._model.build_settings import BuildSettings
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import DistFile
    from puffin_api._model.options import Allow
    from puffin_api._model.plan import InstallReport
    from puffin_api._model.resolution import Resolution
    from puffin_api.protocols import PlanReview, Reporter, Runner, SourceBuilder

    Commit = Callable[[PreparedPlan], InstallReport]

_REPLANS = 3
"""So often a plan is made anew when the environment keeps changing under it."""


class Installer:
    """Changes one environment, each time as a whole or not at all.

    Args:
        environment: What is changed.
        client: Where files come from, and whose cache they go through.
        builder: Builds wheels of sources, in place of the standard way.
        resolver: Resolves requirements given to ``install``; one over the client by default.
        review: May refuse a plan before anything is downloaded.
        build_policy: What may be built from source, whatever was allowed when it was resolved.
        build_settings: How sources are built, where a resolution does not say it.
        runner: Starts build backends, git, and the interpreter of the environment where modules are compiled;
            where there is none, the one that a resolution was made with starts the first two.
        workers: How many builds may run at a time; as many as there are processors by default.
        files: How the environment is changed on the disk; ``puffin_api.testing.FaultyFs`` lets it fail.
    """

    def __init__(
        self,
        environment: Environment,
        client: Client,
        *,
        builder: SourceBuilder | None = None,
        resolver: Resolver | None = None,
        review: PlanReview | None = None,
        build_policy: BuildPolicy = BuildPolicy.ALLOW,
        build_settings: BuildSettings | None = None,
        runner: Runner | None = None,
        workers: int | None = None,
        files: Files = OS_FILES,
    ) -> None:
        self._environment = environment
        self._client = client
        self._parts = parts_of_client(client)
        self._resolver = resolver
        self._builds = BuildOptions(
            policy=build_policy, settings=build_settings, runner=runner, builder=builder
        )
        self._work = Changer(
            environment,
            self._parts,
            review=review,
            runner=runner,
            files=files,
            workers=workers,
            sources=self._sources,
        )

    def plan(
        self,
        resolution: Resolution,
        *,
        mode: Literal["add", "sync"] = "add",
        reinstall: Iterable[str] | bool = (),
        protect: Iterable[str] = (),
        allow: Allow | None = None,
    ) -> Plan:
        """Work out what has to change; reads only.

        Args:
            resolution: What shall be there.
            mode: ``add`` leaves alone what the resolution does not name, ``sync`` removes it.
            reinstall: Names to be installed again though they are there; True for all.
            protect: Names that must not change.
            allow: What may be done without further asking.

        Raises:
            ProtectedPackage: A protected package would have to change.
        """
        names = reinstall if isinstance(reinstall, bool) else tuple(reinstall)
        terms = {"reinstall": names, "protect": tuple(protect), "allow": allow}
        plan = planner.make_plan(
            resolution,
            self._environment.installed(),
            mode=mode,
            **terms,  # type: ignore[arg-type]  # each has the type of its parameter
            cached=self._cached(resolution),
            environment=str(self._environment.root),
        )
        return self._complete(plan, terms)

    def plan_uninstall(
        self,
        names: Iterable[str],
        *,
        orphans: bool = False,
        allow_broken: bool = False,
        protect: Iterable[str] = (),
    ) -> Plan:
        """Work out what removing packages means; reads only.

        Args:
            names: The packages to remove; those that are not there become notices.
            orphans: Also remove what was installed for their sake only.
            allow_broken: Go on where something that stays requires one of them.
            protect: Names that must not be removed.

        Raises:
            ProtectedPackage: A package is protected, or required by something that stays.
        """
        names = tuple(names)
        terms = {"orphans": orphans, "allow_broken": allow_broken, "protect": tuple(protect)}
        plan = planner.plan_uninstall(
            names,
            self._environment.installed(),
            target=self._environment.target,
            **terms,  # type: ignore[arg-type]  # each has the type of its parameter
            environment=str(self._environment.root),
        )
        return self._complete(plan, {"names": names, **terms})

    def prepare(
        self,
        plan: Plan,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> PreparedPlan:
        """Bring all wheels of a plan into the cache; the environment is not touched.

        Raises:
            PolicyDenied: The review refuses the plan.
            BuildForbidden: A package has no wheel for the target.
            NetworkError: A file cannot be had.
            HashMismatch: A file is not the expected one.
            UnsafeArchive: A wheel breaks a safety rule.
            MetadataInvalid: A wheel is not valid.
        """
        with operation("prepare", reporter, cancel) as pump, self._work.using(pump):
            return self._work.prepare(plan, pump)

    def install(
        self,
        what: Resolution | Plan | PreparedPlan | Iterable[Req],
        *,
        if_outdated: Literal["error", "replan"] = "error",
        compile: bool = False,  # noqa: A002  # what it is called everywhere
        requested: Iterable[str] | None = None,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> InstallReport:
        """Make the environment contain what is asked for.

        Args:
            what: A resolution, a plan, a prepared plan, or requirements.
            if_outdated: What to do when the environment is no longer the one of the plan.
            compile: Compile the new modules, with the interpreter of the environment, after the change.
            requested: Names to be marked as asked for; the resolution's roots by default.
            reporter: Hears what is done, on this thread.
            cancel: Stops it; a commit under way is rolled back.

        Raises:
            PlanOutdated: The environment changed since the plan was made.
            EnvironmentProblem: The environment cannot be changed.
            InstallFailed: The change failed; ``state`` says what became of the environment.
            PuffinError: Resolving or preparing failed; the environment is untouched.
        """
        with operation("install", reporter, cancel) as pump, self._work.using(pump):
            self._work.check_not_managed()
            commit = partial(self._work.commit, pump=pump, requested=requested, compiles=compile)
            if isinstance(what, PreparedPlan):
                # Reviewed again, too: it may be the work of an installer without a review.
                return self._install_plan(self._work.renew(what, pump), pump, if_outdated, commit)
            if isinstance(what, Plan):
                return self._install_plan(self._work.prepare(what, pump), pump, if_outdated, commit)
            resolution = self._resolution(what, reporter, cancel)
            return self._install_as_is(lambda: self.plan(resolution), pump, commit)

    def sync(
        self,
        resolution: Resolution,
        *,
        compile: bool = False,  # noqa: A002  # what it is called everywhere
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> InstallReport:
        """Make the environment contain what was resolved and nothing else; see ``install``."""
        with operation("install", reporter, cancel) as pump, self._work.using(pump):
            self._work.check_not_managed()
            commit = partial(self._work.commit, pump=pump, compiles=compile)
            return self._install_as_is(lambda: self.plan(resolution, mode="sync"), pump, commit)

    def uninstall(
        self,
        what: Iterable[str] | Plan,
        *,
        allow_broken: bool = False,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> InstallReport:
        """Remove packages.

        Args:
            what: Their names, or a plan from ``plan_uninstall``.
            allow_broken: Go on where something that stays requires one of them.
            reporter: Hears what is done, on this thread.
            cancel: Stops it; a commit under way is rolled back.

        Raises:
            ProtectedPackage: Something that stays requires one of them.
            PolicyDenied: The review refuses the plan.
            PlanOutdated: The environment changed since the plan was made.
            InstallFailed: The change failed; ``state`` says what became of the environment.
        """
        with operation("uninstall", reporter, cancel) as pump:
            self._work.check_not_managed()
            if isinstance(what, Plan):
                return self._work.commit(self._work.prepare(what, pump), pump=pump)
            names = tuple(what)
            make = partial(self.plan_uninstall, names, allow_broken=allow_broken)
            return self._install_as_is(make, pump, partial(self._work.commit, pump=pump))

    def undo(
        self,
        report: InstallReport,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> InstallReport:
        """Make the packages of a change what they were before it.

        What the last change of an environment has replaced is kept in the cache, and comes back byte for
        byte, whatever had installed it. After a later change, or where nothing is kept, the earlier
        versions are installed anew, from the cache or the index.

        Args:
            report: What the change returned; also one that was pickled.
            reporter: Hears what is done, on this thread.
            cancel: Stops it; a commit under way is rolled back.

        Raises:
            PlanOutdated: Its packages were changed again since.
            EnvironmentProblem: The report is about another environment.
            PolicyDenied: The review refuses the plan.
            FileConflict: A file would come back where one of another package is now.
            ResolutionFailed: An earlier version is neither kept nor to be had.
            InstallFailed: The change failed; ``state`` says what became of the environment.
        """
        with operation("undo", reporter, cancel) as pump, self._work.using(pump, at_once=True):
            self._work.check_not_managed()
            self._work.check_is_here(report)
            make = partial(self._plan_undo, report, reporter, cancel)
            return self._install_as_is(make, pump, partial(self._work.commit, pump=pump))

    # --- the steps ----------------------------------------------------------------------------

    def _complete(self, plan: Plan, terms: Mapping[str, object]) -> Plan:
        """Add what the planner does not know: how the plan was asked for, and what its place is like."""
        blockers = (*self._work.blockers(plan), *plan.blockers)
        return attrs.evolve(plan, terms=terms, blockers=blockers)

    def _resolution(
        self,
        what: Resolution | Iterable[Req],
        reporter: Reporter | None,
        cancel: CancelToken | None,
    ) -> Resolution:
        from puffin_api._model.resolution import Resolution

        if isinstance(what, Resolution):
            return what
        return self._resolver_or_ours().resolve(
            what,
            target=self._environment,
            installed=self._environment.installed(),
            build_policy=self._builds.policy,
            build_settings=self._builds.settings,
            reporter=reporter,
            cancel=cancel,
        )

    def _plan_undo(
        self, report: InstallReport, reporter: Reporter | None, cancel: CancelToken | None
    ) -> Plan:
        environment = self._environment
        plan = plan_undo(
            report.changes,
            self._work.installed(),
            target=environment.target,
            transaction=report.transaction_id,
            environment=str(environment.root),
        )
        if self._work.is_kept(report.transaction_id):
            return plan
        if not any(change.new for change in plan.changes):
            return attrs.evolve(plan, undoes="")
        resolution = self._resolver_or_ours().resolve(
            earlier_requirements(report),
            target=environment,
            dependencies=False,
            build_policy=self._builds.policy,
            build_settings=self._builds.settings,
            reporter=reporter,
            cancel=cancel,
        )
        return plan_return(plan, resolution, report.before, self._cached(resolution))

    def _sources(self, plan: Plan, pump: Pump) -> Sources | GivenSources:
        """Return what builds the sources of a plan, on the terms that they were resolved on."""
        return sources_of(self._parts, self._environment, self._options(plan.resolution), pump)

    def _options(self, resolution: Resolution | None) -> BuildOptions:
        return self._builds.over(None if resolution is None else resolution.builds)

    def _cached(self, resolution: Resolution) -> _Cached:
        def find(file: DistFile) -> CachedWheel | None:
            if file.is_wheel:
                return self._parts.wheels.lookup(file)
            options = self._options(resolution)
            return sources_of(self._parts, self._environment, options, SILENT).lookup(file)

        return _Cached(resolution, find)

    def _resolver_or_ours(self) -> Resolver:
        from puffin_api._api.resolver import Resolver

        return self._resolver or Resolver(
            self._client, builder=self._builds.builder, runner=self._builds.runner
        )

    def _install_as_is(self, make: Callable[[], Plan], pump: Pump, commit: Commit) -> InstallReport:
        """Plan, prepare, commit; anew where somebody else changed the environment meanwhile."""
        for attempt in range(_REPLANS):
            plan = make()
            try:
                return commit(self._work.prepare(plan, pump))
            except PlanOutdated:
                if attempt == _REPLANS - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    def _install_plan(
        self,
        prepared: PreparedPlan,
        pump: Pump,
        if_outdated: Literal["error", "replan"],
        commit: Commit,
    ) -> InstallReport:
        try:
            return commit(prepared)
        except PlanOutdated:
            if if_outdated == "error":
                raise
        return commit(self._work.prepare(self._again(prepared.plan), pump))

    def _again(self, plan: Plan) -> Plan:
        """Make a plan anew, on the same terms, for the environment as it is now."""
        if plan.mode == "uninstall":
            return self.plan_uninstall(**plan.terms)  # type: ignore[arg-type]  # as they were given
        resolution = plan.resolution
        if resolution is None:
            raise InstallFailed(
                "The environment changed, and this plan does not know the resolution it came from",
                hint="Plan again from the resolution.",
                path=str(self._environment.root),
            )
        return self.plan(resolution, mode=plan.mode, **plan.terms)  # type: ignore[arg-type]  # as they were given


class _Cached(Mapping[str, "CachedWheel | bool"]):
    """The wheels of a resolution that are in the cache, each looked for when it is asked for."""

    def __init__(self, resolution: Resolution, find: Callable[[DistFile], CachedWheel | None]) -> None:
        self._packages = resolution.packages
        self._find = find
        self._found: dict[str, CachedWheel | bool] = {}

    def __getitem__(self, name: str) -> CachedWheel | bool:
        found = self._found.get(name)
        if found is None:
            found = self._find(self._packages[name].file) or False
            self._found[name] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._packages)

    def __len__(self) -> int:
        return len(self._packages)
