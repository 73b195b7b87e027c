"""Compares what shall be installed with what is, without touching either."""

from __future__ import annotations

import json
from itertools import pairwise

import attrs

from puffin_api._installer.installed_graph import InstalledGraph
from puffin_api._model.direct_url import ArchiveInfo, DirectUrl
from puffin_api._model.dist_info import STAMP
from puffin_api._model.events import Notice
from puffin_api._model.names import normalize
from puffin_api._model.options import Allow
from puffin_api._model.plan import Blocker, Break, Change, Plan
from puffin_api._model.requirement import lenient_row
from puffin_api._urls import resource
from puffin_api.errors import ProtectedPackage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from typing import Literal

    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.installed import InstalledDistribution, InstalledSet
    from puffin_api._model.plan import Action, Cause
    from puffin_api._model.resolution import Resolution, ResolvedPackage
    from puffin_api._model.target import Target


SEED_PACKAGES = frozenset({"pip", "setuptools", "wheel"})
"""What tools put into environments on their own, so that nobody lists it."""


def make_plan(
    resolution: Resolution,
    installed: InstalledSet,
    *,
    mode: Literal["add", "sync"] = "add",
    reinstall: Iterable[str] | bool = (),
    protect: Iterable[str] = (),
    allow: Allow | None = None,
    cached: Mapping[str, CachedWheel | bool] | None = None,
    direct_urls: Mapping[str, DirectUrl] | None = None,
    requested: Iterable[str] | None = None,
    seeds: Iterable[str] = SEED_PACKAGES,
    environment: str = "",
) -> Plan:
    """Work out the changes that turn what is installed into what was resolved.

    A version that is there is kept, unless a direct URL is asked for and it came from elsewhere.

    Args:
        resolution: What shall be there.
        installed: What is there.
        mode: ``add`` leaves alone what the resolution does not name, ``sync`` removes it.
        reinstall: Names to be installed again though they are there; True for all.
        protect: Names that must not change. ``sync`` keeps them.
        allow: What the plan may do; anything else becomes one of its ``blockers``.
        cached: Names whose wheel lies in the cache already, with the wheel or True.
        direct_urls: The origin of packages; None for what the resolution says.
        requested: Names that the user asked for; None for the roots of the resolution.
        seeds: Names that ``sync`` keeps although the resolution does not name them. Pass nothing for
            an environment that was made without them.
        environment: Where, for people to read.

    Raises:
        ProtectedPackage: A protected package would have to change.
    """
    names = resolution.root_names if requested is None else frozenset(map(normalize, requested))
    origin_of = origins(resolution) if direct_urls is None else direct_urls
    planner = _Planner(resolution, installed, cached or {}, origin_of)
    if isinstance(reinstall, bool):
        reinstall = resolution.packages if reinstall else ()
    again = frozenset(map(normalize, reinstall))
    shielded = frozenset(map(normalize, protect))
    changes = planner.compare(again)
    if mode == "sync":
        changes += planner.extraneous(shielded | frozenset(map(normalize, seeds)))
    changes.sort(key=_by_name)
    _check_protected(changes, shielded, resolution.packages)
    return Plan(
        changes=tuple(changes),
        mode=mode,
        environment=environment,
        environment_fingerprint=installed.fingerprint,
        breaks=requirements_broken(changes, installed, resolution.target, resolution.packages.keys()),
        blockers=_blockers(changes, allow or Allow()),
        requested=names & resolution.packages.keys(),
        kept=sum(1 for name in resolution.packages if name in installed) - planner.replaced,
        leaving=leaving_of(changes, installed),
        arriving=planner.arriving(changes),
        resolution=resolution,
    )


def plan_uninstall(
    names: Iterable[str],
    installed: InstalledSet,
    *,
    target: Target | None,
    orphans: bool = False,
    allow_broken: bool = False,
    protect: Iterable[str] = (),
    environment: str = "",
) -> Plan:
    """Work out what removing packages means.

    A name that is not installed becomes a Notice; that is what the caller wanted, after all.

    Args:
        names: The packages to remove.
        installed: What is there.
        target: Judges markers; None takes every requirement for one that holds.
        orphans: Remove as well what was installed for their sake only: not asked for by a user
            (no REQUESTED file) and required by nothing that stays.
        allow_broken: Go on where something that stays requires one of them.
        protect: Names that must not be removed.
        environment: Where, for people to read.

    Raises:
        ProtectedPackage: A package is protected, or required by something that stays.
    """
    wanted = list(dict.fromkeys(normalize(name) for name in names))
    going = [name for name in wanted if name in installed]
    changes = [_removal(installed, name, "asked") for name in going]
    if orphans:
        graph = InstalledGraph(installed, target)
        changes += [_removal(installed, name, "orphan") for name in graph.orphans_without(going)]
    changes.sort(key=_by_name)
    _check_protected(changes, frozenset(map(normalize, protect)), {})
    breaks = requirements_broken(changes, installed, target, ())
    if breaks and not allow_broken:
        raise _still_required(breaks)
    return Plan(
        changes=tuple(changes),
        mode="uninstall",
        environment=environment,
        environment_fingerprint=installed.fingerprint,
        breaks=breaks,
        leaving=leaving_of(changes, installed),
        notices=tuple(
            Notice(code="not-installed", message=f"{name} is not installed", data={"name": name})
            for name in wanted
            if name not in installed
        ),
    )


class _Planner:
    """One comparison of a resolution with what is installed."""

    def __init__(
        self,
        resolution: Resolution,
        installed: InstalledSet,
        cached: Mapping[str, CachedWheel | bool],
        direct_urls: Mapping[str, DirectUrl],
    ) -> None:
        self._resolution = resolution
        self._installed = installed
        self._cached = cached
        self._direct_urls = direct_urls
        self._duplicates = _duplicates(installed)
        self.replaced = 0

    def compare(self, reinstall: Container[str]) -> list[Change]:
        """Return a change for each package of the resolution that is not there as it should be."""
        changes: list[Change] = []
        for name, package in self._resolution.packages.items():
            dist = self._installed.get(name)
            cause = self._cause(package, dist, again=name in reinstall)
            if cause is not None:
                changes.append(self._change(package, dist, cause))
        return changes

    def extraneous(self, keep: frozenset[str]) -> list[Change]:
        """Return the removal of everything that the resolution does not name."""
        names = dict.fromkeys(dist.name for dist in self._installed)
        return [
            _removal(self._installed, name, "extraneous")
            for name in names
            if name not in self._resolution.packages and name not in keep
        ]

    def arriving(self, changes: Sequence[Change]) -> tuple[CachedWheel, ...]:
        """Return the wheels of a plan that are known already."""
        wheels = [self._cached.get(change.name, False) for change in changes if change.package is not None]
        return tuple(wheel for wheel in wheels if not isinstance(wheel, bool))

    def _cause(
        self, package: ResolvedPackage, dist: InstalledDistribution | None, *, again: bool
    ) -> Cause | None:
        if dist is None:
            return "missing"
        if package.name in self._duplicates:
            return "duplicate"
        if dist.version != package.version and not same_version(dist.version, package.version):
            return "version"
        if not dist.has_file("METADATA") and dist.kind == "dist-info":
            return "broken"
        if again:
            return "asked"
        return None if self._same_origin(package.name, dist) else "origin"

    def _same_origin(self, name: str, dist: InstalledDistribution) -> bool:
        wanted = self._direct_urls.get(name)
        if wanted is None:
            return True  # whoever asks for a version has it, wherever it came from
        there = dist.direct_url
        if there is None or not _spelt_alike(wanted).same_origin(_spelt_alike(there)):
            return False
        return not wanted.stamp or wanted.stamp == _stamp(dist) or (wanted.editable and not _stamp(dist))

    def _change(self, package: ResolvedPackage, dist: InstalledDistribution | None, cause: Cause) -> Change:
        self.replaced += dist is not None
        name = package.name
        return Change(
            action="install" if dist is None else action_between(dist.version, package.version),
            name=name,
            old=None if dist is None else dist.version,
            new=package.version,
            cause=cause,
            cached=bool(self._cached.get(name, False)),
            package=package,
            direct_url=self._direct_urls.get(name),
            explains=self._resolution,
        )


def origins(resolution: Resolution) -> dict[str, DirectUrl]:
    """Return the origin of each package that does not come from an index."""
    found: dict[str, DirectUrl] = {}
    for name, package in resolution.packages.items():
        if package.source == "index":
            continue
        file = package.file
        origin = file.origin or DirectUrl(url=file.url, info=ArchiveInfo())
        if isinstance(origin.info, ArchiveInfo):
            origin = attrs.evolve(origin, info=ArchiveInfo(hashes=file.hashes))
        found[name] = origin
    return found


def _spelt_alike(origin: DirectUrl) -> DirectUrl:
    """Return an origin so that tools which escape other characters of an archive's URL agree."""
    return attrs.evolve(origin, url=resource(origin.url)) if isinstance(origin.info, ArchiveInfo) else origin


def _stamp(dist: InstalledDistribution) -> str:
    """Return the state of the local tree that was installed; empty where nobody has written it down."""
    try:
        data = json.loads(dist.read_text(STAMP) or "{}")
    except (ValueError, RecursionError):
        return ""
    stamp = data.get("stamp") if isinstance(data, dict) else None
    return stamp if isinstance(stamp, str) else ""


def same_version(first: str, second: str) -> bool:
    """Tell whether two versions are equal; those that are none are compared as text."""
    return first == second or _version_order(first, second) == 0


def _version_order(old: str, new: str) -> int | None:
    """Return -1, 0 or 1 for new below, equal to or above old; None where one is no version."""
    from packaging.version import InvalidVersion, Version

    try:
        before, after = Version(old), Version(new)
    except InvalidVersion:
        return None
    return (after > before) - (after < before)


def action_between(old: str, new: str) -> Action:
    """Return what replacing one version by another is called."""
    match _version_order(old, new):
        case 0:
            return "reinstall"
        case -1:
            return "downgrade"
        case _:  # what is no version is older than anything
            return "upgrade"


def _duplicates(installed: InstalledSet) -> frozenset[str]:
    names = [dist.name for dist in installed]  # sorted
    if len(set(names)) == len(names):
        return frozenset()
    return frozenset(first for first, second in pairwise(names) if first == second)


def _removal(installed: InstalledSet, name: str, cause: Cause) -> Change:
    dist = installed.get(name)
    return Change(action="remove", name=name, old="" if dist is None else dist.version, cause=cause)


def leaving_of(changes: Sequence[Change], installed: InstalledSet) -> tuple[InstalledDistribution, ...]:
    """Return the distributions that changes take away."""
    names = {change.name for change in changes if change.old is not None}
    return tuple(dist for dist in installed if dist.name in names) if names else ()


def _check_protected(
    changes: Sequence[Change], protect: frozenset[str], packages: Mapping[str, ResolvedPackage]
) -> None:
    for change in changes:
        if change.name not in protect or change.old is None:
            continue
        package = packages.get(change.name)
        requesters = () if package is None else package.required_by
        then = "be removed" if change.new is None else f"become {change.new}"
        raise ProtectedPackage(
            f"{change.name} {change.old} is protected and would {then}",
            hint=f"Give {change.name}=={change.old} to the resolver as a constraint.",
            name=change.name,
            requested_by=requesters or ("the caller",),
        )


def _blockers(changes: Sequence[Change], allow: Allow) -> tuple[Blocker, ...]:
    return tuple(
        Blocker(
            code=f"{change.action}-not-allowed",
            name=change.name,
            message=f"{change.name} {change.old} would {_what(change)}, which is not allowed",
        )
        for change in changes
        if (change.action == "downgrade" and not allow.downgrade)
        or (change.action == "remove" and not allow.remove)
    )


def _what(change: Change) -> str:
    return "be removed" if change.new is None else f"go back to {change.new}"


def requirements_broken(
    changes: Sequence[Change],
    installed: InstalledSet,
    target: Target | None,
    resolved: Iterable[str],
) -> tuple[Break, ...]:
    """Return the requirements of what stays that will not be met; the resolution itself is sound."""
    becomes = {change.name: change.new for change in changes if change.action not in {"install", "reinstall"}}
    if not becomes:
        return ()
    apart = becomes.keys() | frozenset(resolved)
    graph = InstalledGraph(installed, target)
    return tuple(
        Break(name=dist.name, version=dist.version, requirement=row.text, becomes=becomes[row.name])
        for dist in installed
        if dist.name not in apart
        for row in graph.requirements(dist.name)
        if row.name in becomes and not graph.admits(row, becomes[row.name])
    )


def _still_required(breaks: Sequence[Break]) -> ProtectedPackage:
    needed = lenient_row(breaks[0].requirement).name
    requesters = tuple(dict.fromkeys(item.name for item in breaks))
    return ProtectedPackage(
        f"{needed} cannot be removed: {', '.join(requesters)} would be broken",
        hint="Remove what requires it as well, or allow it with allow_broken=True.",
        name=needed,
        requested_by=requesters,
    )


def _by_name(change: Change) -> str:
    return change.name
