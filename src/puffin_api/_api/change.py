"""Changer: what all changes of an environment have in common, from a plan to a report."""

from __future__ import annotations

import os

import attrs

from puffin_api._api.environment import hold
from puffin_api._api.parallel_work import in_parallel
from puffin_api._concurrency import SILENT
from puffin_api._installer import transaction
from puffin_api._installer.os_errors import typed_error
from puffin_api._installer.site_packages import list_distributions
from puffin_api._installer.staging import existing_folder
from puffin_api._installer.undo import UndoStore
from puffin_api._model.names import normalize
from puffin_api._model.options import Allow
from puffin_api._model.plan import Blocker, InstallReport, PreparedPlan
from puffin_api._wheel.launchers import windows_platform
from puffin_api.errors import (
    BuildForbidden,
    DiskFull,
    EnvironmentProblem,
    ExternallyManaged,
    InstallFailed,
    NotWritable,
    PolicyDenied,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from puffin_api._api.environment import Environment
    from puffin_api._api.given_builder import GivenSources
    from puffin_api._api.sources import Sources
    from puffin_api._api.wiring import ClientParts
    from puffin_api._concurrency import Pump
    from puffin_api._installer.bytecode import Compiler
    from puffin_api._installer.journal import Files
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.events import Notice
    from puffin_api._model.file import DistFile
    from puffin_api._model.installed import InstalledSet
    from puffin_api._model.plan import Plan
    from puffin_api._preparer.telling import Telling
    from puffin_api.errors import PuffinError
    from puffin_api.protocols import PlanReview, Runner


class Changer:
    """Carries out plans for one environment."""

    def __init__(
        self,
        environment: Environment,
        parts: ClientParts,
        *,
        review: PlanReview | None,
        runner: Runner | None,
        files: Files,
        workers: int | None = None,
        sources: Callable[[Plan, Pump], Sources | GivenSources],
    ) -> None:
        self._environment = environment
        self._parts = parts
        self._review = review
        self._runner = runner
        self._files = files
        self._sources = sources
        self._workers = workers or os.cpu_count() or 1

    def blockers(self, plan: Plan) -> tuple[Blocker, ...]:
        """Return what the environment and the cache have against a plan; see `Plan.blockers`."""
        errors = self._obstacles(plan)
        return tuple(Blocker(code=error.code, name="", message=str(error)) for error in errors)

    def using(self, pump: Pump, *, at_once: bool = False) -> AbstractContextManager[None]:
        """Keep what a call brings into the cache, or takes out of it, from being pruned while it lasts."""
        return self._parts.using_cache(pump, self._scheme, at_once=at_once)

    def prepare(self, plan: Plan, pump: Pump, here: Iterable[CachedWheel] | None = None) -> PreparedPlan:
        """Bring all wheels of a plan into the cache; those that were found there are looked at again."""
        self.refuse(plan)
        files = [change.package.file for change in plan.changes if change.package is not None]
        wheels = [file for file in files if file.is_wheel]
        brought = self._parts.bring(wheels, pump, here=plan.arriving if here is None else here)
        missing = [file for file in files if file.name not in brought.wheels]
        built = self._build(missing, plan, pump) if missing else {}
        return PreparedPlan(
            plan=plan,
            wheels={**brought.wheels, **built},
            bytes_downloaded=brought.received,
            notices=brought.notices,
        )

    def _build(self, files: Sequence[DistFile], plan: Plan, pump: Pump) -> dict[str, CachedWheel]:
        """Build wheels of sources, several at a time; the first failure ends the others."""
        self._parts.take_lease(pump)
        if len(files) == 1 or self._workers == 1:
            sources = self._sources(plan, pump)
            return {file.name: sources.wheel(file) for file in files}

        def build(file: DistFile, relay: Pump) -> CachedWheel:
            return self._sources(plan, relay).wheel(file)

        made = in_parallel(build, files, workers=self._workers, pump=pump)
        return {file.name: wheel for file, wheel in zip(files, made, strict=True)}

    def renew(self, prepared: PreparedPlan, pump: Pump) -> PreparedPlan:
        """Bring back what was pruned or damaged since a plan was prepared."""
        again = self.prepare(prepared.plan, pump, prepared.wheels.values())
        return attrs.evolve(
            again,
            bytes_downloaded=prepared.bytes_downloaded + again.bytes_downloaded,
            notices=(*prepared.notices, *again.notices),
        )

    def refuse(self, plan: Plan) -> None:
        """Raise whatever speaks against a plan, before anything is downloaded."""
        for error in self._obstacles(plan):
            raise error
        forbidden = [blocker.message for blocker in plan.blockers if blocker.name]
        if forbidden:
            text = "; ".join(forbidden)
            raise InstallFailed(
                f"The plan is not allowed: {text}",
                hint="Allow it with plan(..., allow=Allow(...)).",
                path=str(self._environment.root),
            )
        if self._review is not None:
            violations = tuple(self._review.review(plan))
            if violations:
                raise PolicyDenied(f"The plan was refused: {violations[0]}", violations=violations)
        if plan.builds and not self._sources(plan, SILENT).may_build:
            raise BuildForbidden(
                f"{plan.builds[0]} has no wheel for {self._environment.target}, and nothing may be built",
                hint="Allow it with build_policy=BuildPolicy.ALLOW.",
                package=plan.builds[0],
            )

    def commit(
        self,
        prepared: PreparedPlan,
        *,
        pump: Pump,
        requested: Iterable[str] | None = None,
        compiles: bool = False,
    ) -> InstallReport:
        """Carry out a plan whose wheels are in the cache."""
        plan = prepared.plan
        if plan.is_empty:
            return InstallReport(notices=plan.notices)
        names = plan.requested if requested is None else frozenset(map(normalize, requested))
        telling = self._parts.telling(pump)
        result = transaction.commit(
            plan.changes,
            prepared.wheels,
            self._scheme(),
            executable=self._executable(),
            windows=windows_platform(self._environment.target),
            requested=names,
            lock=self._lock(pump, telling),
            expected_fingerprint=plan.environment_fingerprint,
            linker=self._parts.linker,
            pool=self._parts.pool,
            pump=pump,
            files=self._files,
            allow_conflicts=_allows_conflicts(plan),
            undo_store=self._undo_store(),
            restore=plan.undoes,
            compiler=self._compiler(pump) if compiles else None,
        )
        notices: tuple[Notice, ...] = (*plan.notices, *prepared.notices, *telling.notices, *result.notices)
        arrived: tuple[CachedWheel, ...] = tuple(prepared.wheels.values())
        return InstallReport(
            changes=result.changes,
            notices=notices,
            timings=result.timings,
            bytes_downloaded=prepared.bytes_downloaded,
            transaction_id=result.transaction_id,
            environment=str(self._environment.root),
            before=result.before,
            removed=result.removed,
            arrived=arrived,
            restored=result.restored,
        )

    def _lock(self, pump: Pump, telling: Telling) -> AbstractContextManager[None]:
        root = self._environment.root

        def waiting(_: str, owner: str) -> None:
            telling.waiting(root, owner)
            pump.deliver()

        return hold(self._environment, self._parts.cache.locks(waiting, telling.degraded), cancel=pump)

    def _scheme(self) -> Mapping[str, str]:
        scheme = self._environment.scheme.to_dict()
        scheme["headers"] = scheme.pop("include")
        return scheme

    def _compiler(self, pump: Pump) -> Compiler:
        # Imported only where it is wanted, and before the change: we may be among what is replaced.
        from puffin_api._installer.bytecode import Compiler
        from puffin_api._interpreter.host import SubprocessRunner

        environment = self._environment
        return Compiler(
            environment.interpreter.path if environment.has_interpreter else None,
            runner=self._runner or SubprocessRunner(),
            workers=os.cpu_count() or 1,
            pool=self._parts.pool,
            pump=pump,
        )

    def _executable(self) -> str:
        environment = self._environment
        if environment.has_interpreter:
            return os.fspath(environment.interpreter.path)
        return "python" if environment.target.markers["os_name"] == "nt" else "/usr/bin/env python3"

    def check_not_managed(self) -> None:
        """Raise where the environment is the system's."""
        error = self._managed()
        if error is not None:
            raise error

    def _obstacles(self, plan: Plan) -> Iterator[PuffinError]:
        if plan.is_empty:
            return
        managed = self._managed()
        if managed is not None:
            yield managed
        scheme = self._environment.scheme
        for folder in dict.fromkeys((scheme.purelib, scheme.platlib)):
            there = existing_folder(folder)
            if not self._files.is_writable(there):
                yield NotWritable(f"The folder cannot be written: {there}", path=there)
        needed = plan.download_bytes  # unpacked it is more, but that much is certain
        cache = existing_folder(str(self._parts.cache.layout.root))
        if needed and needed > (free := self._files.free_bytes(cache)):
            message = f"{needed} bytes have to be fetched and {free} are free on the volume of {cache}"
            yield DiskFull(message, path=cache, needed=needed, free=free)

    def _managed(self) -> ExternallyManaged | None:
        environment = self._environment
        if not environment.has_interpreter:
            return None
        managed = environment.interpreter.info.externally_managed
        if managed is None:
            return None
        return ExternallyManaged(
            f"{environment.root} is managed by the system: {managed.message.strip()}",
            hint="Create a virtual environment with Interpreter.create_venv and install there.",
            path=str(managed.path),
        )

    def installed(self) -> InstalledSet:
        """List what is installed.

        Raises:
            PuffinError: A folder cannot be read: what is in it would seem to be gone.
        """
        scheme = self._environment.scheme
        try:
            return list_distributions([scheme.purelib, scheme.platlib], strict=True)
        except OSError as error:
            raise typed_error(error, doing="list what is installed", place=scheme.purelib) from error

    def is_kept(self, transaction_id: str) -> bool:
        """Tell whether what a change has replaced can be put back as it was.

        Raises:
            PuffinError: It cannot be told.
        """
        store, base = self._undo_store(), os.path.realpath(self._environment.scheme.purelib)
        try:
            return store is not None and store.read(transaction_id, base) is not None
        except OSError as error:
            doing = "look for what the change had replaced"
            raise typed_error(error, doing=doing, place=str(self._parts.cache.layout.root)) from error

    def _undo_store(self) -> UndoStore | None:
        cache = self._parts.cache
        if cache.read_only:
            return None
        base = os.path.realpath(self._environment.scheme.purelib)
        return UndoStore(str(cache.layout.undo(base)), str(cache.layout.temporary))

    def check_is_here(self, report: InstallReport) -> None:
        """Raise where a report is about another environment."""
        here = str(self._environment.root)
        if report.changed and report.environment != here:
            raise EnvironmentProblem(
                f"The report is about {report.environment}, and this is {here}",
                hint="Undo it with an installer for that environment.",
                path=here,
            )


def _allows_conflicts(plan: Plan) -> bool:
    allow = plan.terms.get("allow")
    return isinstance(allow, Allow) and allow.file_conflicts
