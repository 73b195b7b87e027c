"""Request: the arguments of one resolution, put into the library's own terms."""

from __future__ import annotations

import os

import attrs

from puffin_api._model.file import STRONG_DIGESTS
from puffin_api._model.names import normalize
from puffin_api._model.options import Editable, HashPolicy, PrereleaseMode, ResolutionMode, Upgrade
from puffin_api._model.requirement import requirement_row, row_of
from puffin_api._resolver.candidates import Policy
from puffin_api._resolver.dependencies import Amendments, holds
from puffin_api._resolver.digests import Digests
from puffin_api._resolver.problem import Problem
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path
    from typing import Protocol

    from packaging.requirements import Requirement

    from puffin_api._api.environment import Environment
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._client.direct_files import DirectFiles
    from puffin_api._model.build_terms import BuildTerms
    from puffin_api._model.options import Pin
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.requirement_manifest import Manifest
    from puffin_api._model.resolution import Resolution
    from puffin_api._model.target import Target

    Moment = datetime | timedelta
    Req = str | Requirement | Path | Editable
    """PEP 508, also with a URL; or what lies at a path."""

    class InstalledLike(Protocol):
        """What is needed of an installed distribution."""

        @property
        def name(self) -> str: ...
        @property
        def version(self) -> str: ...


@attrs.frozen(kw_only=True)
class Request:
    """What `Resolver.resolve` was asked."""

    target: Target
    roots: tuple[RequirementRow, ...]
    constraints: tuple[RequirementRow, ...]
    overrides: tuple[RequirementRow, ...]
    excludes: frozenset[str]
    mode: ResolutionMode
    prereleases: PrereleaseMode
    hashes: HashPolicy
    policy: Policy
    preferences: Mapping[str, tuple[str, ...]]
    locked: Mapping[str, tuple[str, ...]]
    protected: tuple[RequirementRow, ...]
    """Constraints that keep what must not change."""
    dependencies: bool
    builds: BuildTerms | None = None
    """How sources are built."""

    @classmethod
    def of(  # one parameter for each thing that can be asked
        cls,
        requirements: Iterable[Req] | Manifest,
        files: DirectFiles,
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
        cutoff: Mapping[str, float | None] | None = None,
        hashes: HashPolicy = HashPolicy.WHEN_GIVEN,
        dependencies: bool = True,
        only_binary: Collection[str] = (),
        no_binary: Collection[str] = (),
        sources: str = "",
        builds: BuildTerms | None = None,
    ) -> Request:
        """Read the arguments of `Resolver.resolve`.

        Raises:
            RequirementInvalid: A requirement or a digest does not parse.
        """
        upgrade = upgrade or Upgrade.none()
        target = target_of(target)
        wanted, given = given_by(requirements)
        digests = _digests(given, hashes)
        files.demand({} if digests is None else digests.given)
        kept = [item for item in installed if not upgrade.covers(normalize(item.name))]
        pins = [pin for pin in _pins(locked) if not upgrade.covers(normalize(pin[0]))]
        return cls(
            target=target,
            roots=_roots(wanted, target, files),
            constraints=_rows((*given.constraints, *constraints), files),
            overrides=_rows((*given.overrides, *overrides), files),
            excludes=frozenset(normalize(name) for name in excludes),
            mode=mode,
            prereleases=prereleases,
            hashes=hashes,
            policy=Policy(
                target,
                cutoff=cutoff_of(exclude_newer) if cutoff is None else cutoff,
                only_binary=_names(only_binary),
                no_binary=_names(no_binary),
                sources=sources,
                digests=digests,
            ),
            preferences=_grouped([*((i.name, i.version) for i in kept), *pins]),
            locked=_grouped(pins),
            protected=tuple(_protected(protect, kept)),
            dependencies=dependencies,
            builds=builds,
        )

    def problem(self, *, protected: bool = True) -> Problem:
        """Make the solver's problem.

        Args:
            protected: Whether what must not change is kept.
        """
        constraints = (*self.constraints, *(self.protected if protected else ()))
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

    def inputs(self) -> dict[str, object]:
        """Return what was asked, as JSON-able data."""
        return {
            "requirements": [row.text for row in self.roots],
            "constraints": [row.text for row in self.constraints],
            "overrides": [row.text for row in self.overrides],
            "excludes": sorted(self.excludes),
            "mode": self.mode.value,
            "prereleases": self.prereleases.value,
            "hashes": self.hashes.value,
            "dependencies": self.dependencies,
        }


def target_of(target: Target | Interpreter | Environment) -> Target:
    """Return what is resolved for."""
    from puffin_api._model.target import Target

    return target if isinstance(target, Target) else target.target


# --- requirements -----------------------------------------------------------------------------


def given_by(requirements: Iterable[Req] | Manifest) -> tuple[Iterable[Req], Manifest]:
    """Return what is required, and what else a manifest says."""
    from puffin_api._model.requirement_manifest import Manifest

    if isinstance(requirements, str):
        raise TypeError("requirements are a list: put the text in brackets")
    if isinstance(requirements, Manifest):
        return requirements.requirements, requirements
    return requirements, Manifest()


def as_row(item: Req, files: DirectFiles) -> RequirementRow:
    """Return a requirement in our own form; a path is looked at for that."""
    if isinstance(item, str):
        row = requirement_row(item)
    elif isinstance(item, Editable):
        row = files.row_of_path(item.path, extras=item.extras, editable=True)
    elif isinstance(item, os.PathLike):
        row = files.row_of_path(item)
    else:
        row = row_of(item)
    return files.without_login(row) if row.url else row


def _rows(items: Iterable[Req], files: DirectFiles) -> tuple[RequirementRow, ...]:
    return tuple(as_row(item, files) for item in items)


def _roots(items: Iterable[Req], target: Target, files: DirectFiles) -> tuple[RequirementRow, ...]:
    return tuple(row for row in _rows(items, files) if not row.gate and holds(row.marker, target))


def _names(names: Collection[str]) -> frozenset[str]:
    if isinstance(names, str):
        names = [names]
    return frozenset(name if name == ":all:" else normalize(name) for name in names)


# --- digests ----------------------------------------------------------------------------------


def _digests(given: Manifest, policy: HashPolicy) -> Digests | None:
    """Return the digests that files must have: those of all requirements for a project at once."""
    required = policy is HashPolicy.REQUIRE
    allowed: dict[str, frozenset[str]] = {}
    if policy is not HashPolicy.IGNORE:
        for text, hashes in given.hashes.items():
            name = requirement_row(text).name
            found = frozenset(_digest(digest, name) for digest in hashes)
            if found:
                allowed[name] = allowed.get(name, found) & found
    return Digests(allowed, required=required) if allowed or required else None


def _digest(digest: str, name: str) -> str:
    """Return a digest as ``algorithm:hex``."""
    algorithm, _, value = digest.lower().replace("=", ":", 1).partition(":")
    wanted = STRONG_DIGESTS.get(algorithm)
    if wanted != len(value) or not set(value) <= set("0123456789abcdef"):
        raise RequirementInvalid(
            f"{digest!r}, given for {name}, is no digest that proves anything",
            hint=f"Write it as 'sha256:<64 hex digits>'; {', '.join(STRONG_DIGESTS)} can be used.",
            text=digest,
        )
    return f"{algorithm}:{value}"


# --- what is there ----------------------------------------------------------------------------


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


def cutoff_of(when: Moment | Mapping[str, Moment | None] | None) -> dict[str, float | None]:
    """Return limits in seconds since the epoch."""
    if when is None:
        return {}
    from collections.abc import Mapping

    if not isinstance(when, Mapping):
        return {"": _seconds(when)}
    return {
        normalize(name) if name else "": None if moment is None else _seconds(moment)
        for name, moment in when.items()
    }


def cutoff_key(when: Moment | Mapping[str, Moment | None] | None) -> str:
    """Return a text that is equal for limits given alike, whenever that is; empty for none."""
    if when is None:
        return ""
    from collections.abc import Mapping

    if not isinstance(when, Mapping):
        when = {"": when}
    said = {normalize(name) if name else "": moment for name, moment in when.items()}
    return " ".join(f"{name}<{_text(moment)}" for name, moment in sorted(said.items()))


def _text(when: Moment | None) -> str:
    from datetime import datetime

    if when is None:
        return "never"
    return str(_seconds(when)) if isinstance(when, datetime) else f"now-{when.total_seconds()}"


def _seconds(when: Moment) -> float:
    from datetime import UTC, datetime

    if not isinstance(when, datetime):
        return (datetime.now(UTC) - when).timestamp()
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
