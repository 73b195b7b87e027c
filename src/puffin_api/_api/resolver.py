"""Resolver: from requirements to a resolution."""

from __future__ import annotations

import os

import attrs

from puffin_api._api.client import Client
from puffin_api._api.operation import operation
from puffin_api._api.wiring import parts_of_client
from puffin_api._client.direct_files import DirectFiles, requirement_of_path
from puffin_api._model.names import normalize
from puffin_api._model.options import PrereleaseMode, ResolutionMode, Upgrade
from puffin_api._model.requirement import requirement_row, row_of
from puffin_api._resolver.advice import Advisor
from puffin_api._resolver.candidates import Policy
from puffin_api._resolver.dependencies import Amendments, holds
from puffin_api._resolver.direct import direct_releases
from puffin_api._resolver.problem import Problem
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.result import resolution_of
from puffin_api._resolver.solve import Solver
from puffin_api.errors import ProtectedPackage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path
    from typing import Protocol

    from packaging.requirements import Requirement

    from puffin_api._api.environment import Environment
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.options import Pin
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.requirement_manifest import Manifest
    from puffin_api._model.resolution import Resolution
    from puffin_api._model.target import Target
    from puffin_api.protocols import ReleaseSource, Reporter

    Moment = datetime | timedelta
    Req = str | Requirement | Path
    """PEP 508, also with the URL of a wheel; or the path of a local wheel."""

    class InstalledLike(Protocol):
        """What is needed of an installed distribution."""

        @property
        def name(self) -> str: ...
        @property
        def version(self) -> str: ...


@attrs.frozen(kw_only=True)
class _Options:
    """The arguments of one call, put into the library's own terms."""

    target: Target
    roots: tuple[RequirementRow, ...]
    constraints: tuple[RequirementRow, ...]
    overrides: tuple[RequirementRow, ...]
    excludes: frozenset[str]
    mode: ResolutionMode
    prereleases: PrereleaseMode
    policy: Policy
    preferences: Mapping[str, tuple[str, ...]]
    locked: Mapping[str, tuple[str, ...]]
    dependencies: bool

    def problem(self, protected: Sequence[RequirementRow] = ()) -> Problem:
        """Make the solver's problem, with some more constraints."""
        constraints = (*self.constraints, *protected)
        return Problem(
            self.roots,
            self.policy,
            Amendments(self.target, constraints, self.overrides, self.excludes),
            mode=self.mode,
            prereleases=self.prereleases,
            preferences=self.preferences,
            permitted=self.locked,
            dependencies=self.dependencies,
        )


class Resolver:
    """Finds a set of packages that meets requirements.

    A resolver keeps no state of its own: what it learns of projects stays with the client, so that
    a second resolution over the same projects does no I/O. Threads may share it.

    Args:
        client: Where releases and metadata come from.
    """

    def __init__(self, client: Client | ReleaseSource) -> None:
        self._client = client

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
        exclude_newer: Moment | Mapping[str, Moment] | None = None,
        dependencies: bool = True,
        only_binary: Collection[str] = (),
        no_binary: Collection[str] = (),
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> Resolution:
        """Resolve requirements for one target.

        Args:
            requirements: What the caller wants: PEP 508, also with the URL of a wheel, or the path of a
                local wheel. A project with a URL comes from there alone, whoever requires it.
            target: What to resolve for.
            installed: Distributions that are there already; their versions are kept where possible.
            locked: An earlier answer; its versions are kept where possible, even if yanked since.
            protect: Installed packages that must stay as they are.
            constraints: Narrow the versions of packages that are needed anyway; one with a URL says
                where the package comes from.
            overrides: Replace every requirement of the same name, whoever has it.
            excludes: Projects that are never to be part of the answer.
            upgrade: Packages whose installed or locked versions do not count.
            mode: Whether the highest or the lowest admissible versions are preferred.
            prereleases: When a pre-release may be chosen.
            exclude_newer: Leave out files uploaded at this time or later; an age is counted back
                from now. By project, with the empty name for all others.
            dependencies: False for the required packages alone.
            only_binary: Projects (or ``:all:``) of which only wheels may be used.
            no_binary: Projects (or ``:all:``) of which no wheels may be used.
            reporter: Hears what is done, on this thread.
            cancel: Stops it.

        Returns:
            The packages with their files and requirements.

        Raises:
            RequirementInvalid: A requirement does not parse, or its URL is not that of a wheel of it.
            BuildForbidden: What a requirement names by URL or path would have to be built.
            PackageNotFound: No index knows a project that is required here.
            ResolutionFailed: There is no such set; the error is a value that says why.
            ProtectedPackage: There is one only if a protected package changes.
            NetworkError: An index could not be asked.
            Cancelled: The token was thrown.
        """
        upgrade = upgrade or Upgrade.none()
        target = _target(target)
        files = self._direct_files()
        kept = [item for item in installed if not upgrade.covers(normalize(item.name))]
        pins = [pin for pin in _pins(locked) if not upgrade.covers(normalize(pin[0]))]
        options = _Options(
            target=target,
            roots=_roots(requirements, target, files),
            constraints=tuple(_row(item, files) for item in constraints),
            overrides=tuple(_row(item, files) for item in overrides),
            excludes=frozenset(normalize(name) for name in excludes),
            mode=mode,
            prereleases=prereleases,
            policy=Policy(
                target,
                cutoff=_cutoff(exclude_newer),
                only_binary=_names(only_binary),
                no_binary=_names(no_binary),
            ),
            preferences=_grouped([*((i.name, i.version) for i in kept), *pins]),
            locked=_grouped(pins),
            dependencies=dependencies,
        )
        protected = _protected(protect, kept)
        with operation("resolve", reporter, cancel) as pump:
            return self._solve(options, protected, files, pump)

    def _solve(
        self, options: _Options, protected: Sequence[RequirementRow], files: DirectFiles, pump: Pump
    ) -> Resolution:
        source, finish = self._source(pump)
        inputs = _inputs(options)
        try:
            problem = options.problem(protected)
            direct = direct_releases(problem, source, files.file)
            problem = problem.changed(direct=direct) if direct else problem
            try:
                return resolution_of(Solver(problem, source, pump).solve(), problem, inputs)
            except Unsolvable as unsolvable:
                last = unsolvable.incompatibility
            if protected:
                free = options.problem().changed(direct=problem.direct)
                self._blame_protection(free, protected, source, pump)
            raise Advisor(problem, source, pump).error(last)
        finally:
            finish()

    def _blame_protection(
        self,
        problem: Problem,
        protected: Sequence[RequirementRow],
        source: ReleaseSource,
        pump: Pump,
    ) -> None:
        """Raise ProtectedPackage if the problem, which has no protection, has a solution."""
        try:
            free = resolution_of(Solver(problem, source, pump).solve(), problem, {})
        except Unsolvable:
            return
        for row in protected:
            package = free.packages.get(row.name)
            if package is not None and f"=={package.version}" != row.specifier:
                chain = [str(path) for path in free.why(row.name)]
                raise ProtectedPackage(
                    f"{row.name} is protected at {row.specifier[2:]}, but would have to become"
                    f" {package.version}",
                    hint="Require something that goes with the protected version.",
                    name=row.name,
                    requested_by=chain,
                )

    def _source(self, pump: Pump) -> tuple[ReleaseSource, Callable[[], None]]:
        """Return the source for one call, and what ends it."""
        if isinstance(self._client, Client):
            return parts_of_client(self._client).release_source(pump)
        return self._client, _nothing

    def _direct_files(self) -> DirectFiles:
        """Return what makes files of requirements with URLs."""
        if isinstance(self._client, Client):
            return DirectFiles(parts_of_client(self._client).add_login)
        return DirectFiles()


def _nothing() -> None:
    """A source of the caller's own ends when the caller says so."""


def _target(target: Target | Interpreter | Environment) -> Target:
    from puffin_api._model.target import Target

    return target if isinstance(target, Target) else target.target


def _row(item: Req, files: DirectFiles) -> RequirementRow:
    if isinstance(item, str):
        row = requirement_row(item)
    elif isinstance(item, os.PathLike):
        row = requirement_of_path(item)
    else:
        row = row_of(item)
    return files.without_login(row) if row.url else row


def _roots(
    requirements: Iterable[Req] | Manifest, target: Target, files: DirectFiles
) -> tuple[RequirementRow, ...]:
    from puffin_api._model.requirement_manifest import Manifest

    if isinstance(requirements, str):
        raise TypeError("requirements are a list: put the text in brackets")
    if isinstance(requirements, Manifest):
        requirements = requirements.requirements
    rows = [_row(item, files) for item in requirements]
    return tuple(row for row in rows if not row.gate and holds(row.marker, target))


def _names(names: Collection[str]) -> frozenset[str]:
    if isinstance(names, str):
        names = [names]
    return frozenset(name if name == ":all:" else normalize(name) for name in names)


def _pins(locked: Resolution | Iterable[Pin]) -> list[tuple[str, str]]:
    from puffin_api._model.resolution import Resolution

    if isinstance(locked, Resolution):
        return [(package.name, package.version) for package in locked.packages.values()]
    return [(pin.name, pin.version) for pin in locked]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for name, version in pairs:
        name = normalize(name)  # noqa: PLW2901  # the normal form takes its place
        groups[name] = (*groups.get(name, ()), str(version))
    return groups


def _protected(protect: Iterable[str], installed: Iterable[InstalledLike]) -> list[RequirementRow]:
    """Return constraints that keep the protected packages that are installed."""
    versions = {normalize(item.name): str(item.version) for item in installed}
    names = [normalize(name) for name in protect]
    return [requirement_row(f"{n}=={versions[n]}") for n in names if n in versions]


def _cutoff(when: Moment | Mapping[str, Moment] | None) -> dict[str, float | None]:
    from collections.abc import Mapping

    if when is None:
        return {}
    if not isinstance(when, Mapping):
        return {"": _seconds(when)}
    return {normalize(name) if name else "": _seconds(moment) for name, moment in when.items()}


def _seconds(when: Moment) -> float:
    from datetime import UTC, datetime

    if not isinstance(when, datetime):
        return (datetime.now(UTC) - when).timestamp()
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _inputs(options: _Options) -> dict[str, object]:
    return {
        "requirements": [row.text for row in options.roots],
        "constraints": [row.text for row in options.constraints],
        "overrides": [row.text for row in options.overrides],
        "excludes": sorted(options.excludes),
        "mode": options.mode.value,
        "prereleases": options.prereleases.value,
        "dependencies": options.dependencies,
    }
