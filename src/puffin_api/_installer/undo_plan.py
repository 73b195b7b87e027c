"""Plans that undo a change, by what was put aside or by what an index has."""

from __future__ import annotations

from urllib.parse import quote

import attrs

from puffin_api._installer.planner import (
    action_between,
    leaving_of,
    origins,
    requirements_broken,
    same_version,
)
from puffin_api._model.direct_url import ArchiveInfo, VcsInfo
from puffin_api._model.options import Editable
from puffin_api._model.plan import Change, Plan
from puffin_api._urls import url_to_path
from puffin_api.errors import PlanOutdated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.direct_url import DirectUrl
    from puffin_api._model.installed import InstalledSet
    from puffin_api._model.plan import Action, Before, InstallReport
    from puffin_api._model.resolution import Resolution
    from puffin_api._model.target import Target


def plan_undo(
    changes: Iterable[Change],
    installed: InstalledSet,
    *,
    target: Target | None,
    transaction: str,
    environment: str = "",
) -> Plan:
    """Work out what undoing a change means: each package becomes what it was before.

    Args:
        changes: What was done.
        installed: What is there now.
        target: Judges markers; None takes every requirement for one that holds.
        transaction: Identifier of the change.
        environment: Where, for people to read.

    Raises:
        PlanOutdated: A package is no longer what the change made of it.
    """
    changes = tuple(changes)
    diff = [
        f"{change.name}: left as {change.new or 'removed'}, found {', '.join(found) or 'none'}"
        for change in changes
        if not _is_as_left(change, found := [dist.version for dist in installed.all(change.name)])
    ]
    if diff:
        raise PlanOutdated(
            "The change cannot be undone: its packages were changed again since",
            hint="Undo later changes first, or install the versions that you want.",
            path=environment,
            diff=diff,
        )
    back = [_reverse(change) for change in changes]
    return Plan(
        changes=tuple(back),
        mode="undo",
        environment=environment,
        environment_fingerprint=installed.fingerprint,
        breaks=requirements_broken(back, installed, target, ()),
        leaving=leaving_of(back, installed),
        undoes=transaction,
    )


def earlier_requirements(report: InstallReport) -> list[str | Editable]:
    """Return what has to be asked for, to have the packages that a change has replaced or removed."""
    return [
        _earlier(change.name, change.old, report.before.get(change.name))
        for change in report.changes
        if change.old is not None
    ]


def _earlier(name: str, version: str, before: Before | None) -> str | Editable:
    origin = None if before is None else before.direct_url
    if origin is None:
        return f"{name}=={version}"
    if origin.editable:
        return Editable(url_to_path(origin.url) / origin.subdirectory)
    return f"{name} @ {_exact(origin)}"


def _exact(origin: DirectUrl) -> str:
    """Return the URL of a requirement for this very content: with commit, digest and subdirectory."""
    url, _, fragment = origin.url.partition("#")
    marks = [fragment] if fragment else []
    if isinstance(origin.info, VcsInfo):
        url = f"{origin.info.vcs}+{url}@{origin.info.commit_id}"
    elif isinstance(origin.info, ArchiveInfo):
        marks += [f"{name}={digest}" for name, digest in origin.info.hashes.items() if name not in fragment]
    if origin.subdirectory and "subdirectory=" not in fragment:
        marks.append(f"subdirectory={quote(origin.subdirectory)}")
    return f"{url}#{'&'.join(marks)}" if marks else url


def plan_return(
    plan: Plan,
    resolution: Resolution,
    before: Mapping[str, Before],
    cached: Mapping[str, CachedWheel | bool],
) -> Plan:
    """Return an undoing plan that takes the earlier versions from the cache or an index.

    Args:
        plan: From `plan_undo`.
        resolution: Of what `earlier_requirements` gave.
        before: What else was known of the packages.
        cached: Names whose wheel lies in the cache already, with the wheel or True.
    """
    direct = origins(resolution)
    for name, item in before.items():  # a commit was asked for, where a branch had been
        if name in direct and item.direct_url is not None and isinstance(item.direct_url.info, VcsInfo):
            direct[name] = item.direct_url
    changes = [_with_package(change, resolution, direct, cached) for change in plan.changes]
    wheels = [cached.get(change.name, False) for change in changes if change.package is not None]
    return attrs.evolve(
        plan,
        changes=tuple(changes),
        requested=frozenset(name for name, item in before.items() if item.requested),
        arriving=tuple(wheel for wheel in wheels if not isinstance(wheel, bool)),
        resolution=resolution,
        undoes="",
    )


def _with_package(
    change: Change,
    resolution: Resolution,
    direct: Mapping[str, DirectUrl],
    cached: Mapping[str, CachedWheel | bool],
) -> Change:
    if change.new is None:
        return change
    return attrs.evolve(
        change,
        package=resolution.packages[change.name],
        direct_url=direct.get(change.name),
        cached=bool(cached.get(change.name, False)),
    )


def _is_as_left(change: Change, found: list[str]) -> bool:
    if change.new is None:
        return not found
    return len(found) == 1 and same_version(found[0], change.new)


def _reverse(change: Change) -> Change:
    if change.old is None:
        return Change(action="remove", name=change.name, old=change.new, cause="undo")
    action: Action = "install" if change.new is None else action_between(change.new, change.old)
    return Change(action=action, name=change.name, old=change.new, new=change.old, cause="undo")
