"""Installer: from a resolution to a changed environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs

from puffin_api._api.environment import hold
from puffin_api._api.operation import operation
from puffin_api._api.wiring import parts_of_client
from puffin_api._installer import planner, transaction
from puffin_api._installer.journal import OS_FILES
from puffin_api._model.events import LockWaiting
from puffin_api._model.names import normalize
from puffin_api._model.plan import InstallReport, Plan, PreparedPlan
from puffin_api.errors import (
    BuildForbidden,
    ExternallyManaged,
    InstallFailed,
    PlanOutdated,
    PolicyDenied,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from typing import Literal

    from puffin_api._api.client import Client
    from puffin_api._api.environment import Environment
    from puffin_api._api.request import Req
    from puffin_api._api.resolver import Resolver
    from puffin_api._concurrency import Pump
    from puffin_api._installer.journal import Files
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.events import Notice
    from puffin_api._model.options import Allow
    from puffin_api._model.resolution import Resolution
    from puffin_api._preparer.wheel_index import CachedWheels
    from puffin_api.protocols import PlanReview, Reporter

_REPLANS = 3
"""So often a plan is made anew when the environment keeps changing under it."""


class Installer:
    """Changes one environment, each time as a whole or not at all.

    Args:
        environment: What is changed.
        client: Where files come from, and whose cache they go through.
        resolver: Resolves requirements given to ``install``; one over the client by default.
        review: May refuse a plan before anything is downloaded.
        files: How the environment is changed on the disk; ``puffin_api.testing.FaultyFs`` lets it fail.
    """

    def __init__(
        self,
        environment: Environment,
        client: Client,
        *,
        resolver: Resolver | None = None,
        review: PlanReview | None = None,
        files: Files = OS_FILES,
    ) -> None:
        self._environment = environment
        self._client = client
        self._parts = parts_of_client(client)
        self._resolver = resolver
        self._review = review
        self._files = files

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
            cached=_Cached(resolution, self._parts.wheels),
            environment=str(self._environment.root),
        )
        return attrs.evolve(plan, terms=terms)

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
        return attrs.evolve(plan, terms={"names": names, **terms})

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
        with operation("prepare", reporter, cancel) as pump:
            return self._prepare(plan, pump)

    def install(
        self,
        what: Resolution | Plan | PreparedPlan | Iterable[Req],
        *,
        if_outdated: Literal["error", "replan"] = "error",
        requested: Iterable[str] | None = None,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> InstallReport:
        """Make the environment contain what is asked for.

        Args:
            what: A resolution, a plan, a prepared plan, or requirements.
            if_outdated: What to do when the environment is no longer the one of the plan.
            requested: Names to be marked as asked for; the resolution's roots by default.
            reporter: Hears what is done, on this thread.
            cancel: Stops it; a commit under way is rolled back.

        Raises:
            PlanOutdated: The environment changed since the plan was made.
            EnvironmentProblem: The environment cannot be changed.
            InstallFailed: The change failed; ``state`` says what became of the environment.
            PuffinError: Resolving or preparing failed; the environment is untouched.
        """
        with operation("install", reporter, cancel) as pump:
            self._check_not_managed()
            if isinstance(what, PreparedPlan):
                self._refuse(what.plan)  # it may be the work of an installer without a review
                return self._install_plan(what, pump, if_outdated, requested)
            if isinstance(what, Plan):
                return self._install_plan(self._prepare(what, pump), pump, if_outdated, requested)
            resolution = self._resolution(what, reporter, cancel)
            return self._install_as_is(lambda: self.plan(resolution), pump, requested)

    def sync(
        self,
        resolution: Resolution,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> InstallReport:
        """Make the environment contain what was resolved and nothing else; see ``install``."""
        with operation("install", reporter, cancel) as pump:
            self._check_not_managed()
            return self._install_as_is(lambda: self.plan(resolution, mode="sync"), pump, None)

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
            self._check_not_managed()
            if isinstance(what, Plan):
                return self._commit(self._prepare(what, pump), pump, None)
            names = tuple(what)
            make = lambda: self.plan_uninstall(names, allow_broken=allow_broken)  # noqa: E731  # a thunk
            return self._install_as_is(make, pump, None)

    # --- the steps ----------------------------------------------------------------------------

    def _resolution(
        self,
        what: Resolution | Iterable[Req],
        reporter: Reporter | None,
        cancel: CancelToken | None,
    ) -> Resolution:
        from puffin_api._api.resolver import Resolver
        from puffin_api._model.resolution import Resolution

        if isinstance(what, Resolution):
            return what
        resolver = self._resolver or Resolver(self._client)
        return resolver.resolve(
            what,
            target=self._environment,
            installed=self._environment.installed(),
            reporter=reporter,
            cancel=cancel,
        )

    def _install_as_is(
        self, make: Callable[[], Plan], pump: Pump, requested: Iterable[str] | None
    ) -> InstallReport:
        """Plan, prepare, commit; anew where somebody else changed the environment meanwhile."""
        for attempt in range(_REPLANS):
            plan = make()
            try:
                return self._commit(self._prepare(plan, pump), pump, requested)
            except PlanOutdated:
                if attempt == _REPLANS - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    def _install_plan(
        self,
        prepared: PreparedPlan,
        pump: Pump,
        if_outdated: Literal["error", "replan"],
        requested: Iterable[str] | None,
    ) -> InstallReport:
        try:
            return self._commit(prepared, pump, requested)
        except PlanOutdated:
            if if_outdated == "error":
                raise
        return self._commit(self._prepare(self._again(prepared.plan), pump), pump, requested)

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

    def _prepare(self, plan: Plan, pump: Pump) -> PreparedPlan:
        self._refuse(plan)
        here = {wheel.name: wheel for wheel in plan.arriving}
        packages = [change.package for change in plan.changes if change.package is not None]
        missing = [package.file for package in packages if package.name not in here]
        fetched, received = self._parts.prepare(missing, pump)
        return PreparedPlan(plan=plan, wheels={**here, **fetched}, bytes_downloaded=received)

    def _refuse(self, plan: Plan) -> None:
        """Raise whatever speaks against a plan, before anything is downloaded."""
        if plan.blockers:
            text = "; ".join(blocker.message for blocker in plan.blockers)
            raise InstallFailed(
                f"The plan is not allowed: {text}",
                hint="Allow it with plan(..., allow=Allow(...)).",
                path=str(self._environment.root),
            )
        if self._review is not None:
            violations = tuple(self._review.review(plan))
            if violations:
                raise PolicyDenied(f"The plan was refused: {violations[0]}", violations=violations)
        if plan.builds:
            name = plan.builds[0]
            raise BuildForbidden(f"{name} has no wheel for {self._environment.target}", package=name)

    def _commit(self, prepared: PreparedPlan, pump: Pump, requested: Iterable[str] | None) -> InstallReport:
        plan = prepared.plan
        if plan.is_empty:
            return InstallReport(notices=plan.notices)
        names = plan.requested if requested is None else frozenset(map(normalize, requested))
        result = transaction.commit(
            plan.changes,
            prepared.wheels,
            self._scheme(),
            executable=self._executable(),
            requested=names,
            lock=self._lock(pump),
            expected_fingerprint=plan.environment_fingerprint,
            linker=self._parts.linker,
            pool=self._parts.pool,
            pump=pump,
            files=self._files,
        )
        notices: tuple[Notice, ...] = (*plan.notices, *prepared.notices, *result.notices)
        arrived: tuple[CachedWheel, ...] = tuple(prepared.wheels.values())
        return InstallReport(
            changes=result.changes,
            notices=notices,
            timings=result.timings,
            bytes_downloaded=prepared.bytes_downloaded,
            transaction_id=result.transaction_id,
            removed=result.removed,
            arrived=arrived,
        )

    def _lock(self, pump: Pump) -> AbstractContextManager[None]:
        def waiting(_: str, owner: str) -> None:
            pump.send(LockWaiting(path=str(self._environment.root), owner=owner))
            pump.deliver()

        return hold(self._environment, self._parts.cache.locks(waiting), cancel=pump)

    def _scheme(self) -> Mapping[str, str]:
        scheme = self._environment.scheme.to_dict()
        scheme["headers"] = scheme.pop("include")
        return scheme

    def _executable(self) -> str:
        environment = self._environment
        if environment.has_interpreter:
            return os.fspath(environment.interpreter.path)
        return "python" if environment.target.markers["os_name"] == "nt" else "/usr/bin/env python3"

    def _check_not_managed(self) -> None:
        environment = self._environment
        if not environment.has_interpreter:
            return
        managed = environment.interpreter.info.externally_managed
        if managed is not None:
            raise ExternallyManaged(
                f"{environment.root} is managed by the system: {managed.message.strip()}",
                hint="Create a virtual environment with Interpreter.create_venv and install there.",
                path=str(managed.path),
            )


class _Cached(Mapping[str, "CachedWheel | bool"]):
    """The wheels of a resolution that are in the cache, each looked for when it is asked for."""

    def __init__(self, resolution: Resolution, wheels: CachedWheels) -> None:
        self._packages = resolution.packages
        self._wheels = wheels
        self._found: dict[str, CachedWheel | bool] = {}

    def __getitem__(self, name: str) -> CachedWheel | bool:
        found = self._found.get(name)
        if found is None:
            found = self._wheels.lookup(self._packages[name].file) or False
            self._found[name] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._packages)

    def __len__(self) -> int:
        return len(self._packages)
