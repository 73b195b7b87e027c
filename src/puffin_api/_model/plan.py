"""Plan and report: what a change of an environment will do, and what it did."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType
    from typing import Literal, Protocol

    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.direct_url import DirectUrl
    from puffin_api._model.events import Notice
    from puffin_api._model.file import DistFile
    from puffin_api._model.installed import InstalledDistribution
    from puffin_api._model.resolution import DependencyPath, Resolution, ResolvedPackage

    Action = Literal["install", "upgrade", "downgrade", "reinstall", "remove"]
    Cause = Literal[
        "missing", "version", "origin", "duplicate", "broken", "asked", "extraneous", "orphan", "undo"
    ]
    Mode = Literal["add", "sync", "uninstall", "undo"]

    class Explains(Protocol):
        """What a change needs of the resolution that it comes from."""

        def why(self, name: str) -> tuple[DependencyPath, ...]: ...


@attrs.frozen(kw_only=True)
class Change:
    """One package that is put in, replaced or taken out."""

    action: Action
    name: str
    """Normalised."""
    old: str | None = None
    """The version that is there; None where there is none."""
    new: str | None = None
    """The version that will be there; None where it is removed."""
    cause: Cause = "missing"
    """Why it has to change: not there, another version, another origin (URL or index), there more than
    once, there without METADATA, asked for by the caller, not part of the resolution, no longer needed by
    anything, or part of a change that is undone."""
    cached: bool = False
    """True where the wheel lies in the cache already."""
    package: ResolvedPackage | None = attrs.field(default=None, repr=False)
    """What will be installed."""
    direct_url: DirectUrl | None = attrs.field(default=None, repr=False)
    """Its origin where that is not an index."""
    _explains: Explains | None = attrs.field(default=None, eq=False, repr=False, alias="explains")

    @property
    def reasons(self) -> tuple[DependencyPath, ...]:
        """The ways that lead from the caller's requirements to the package; found when asked for."""
        return () if self._explains is None else self._explains.why(self.name)

    @property
    def file(self) -> DistFile | None:
        """The file that will be installed."""
        return None if self.package is None else self.package.file

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        file = self.file
        return {
            "schema": 1,
            "action": self.action,
            "name": self.name,
            "old": self.old,
            "new": self.new,
            "cause": self.cause,
            "cached": self.cached,
            "reasons": [str(path) for path in self.reasons],
            "file": None if file is None else file.to_dict(),
            "direct_url": None if self.direct_url is None else self.direct_url.to_dict(),
        }


@attrs.frozen(kw_only=True)
class Break:
    """A requirement of something that stays, which will not be met any more."""

    name: str
    """The package that stays."""
    version: str
    requirement: str
    becomes: str | None
    """The version that will be there instead; None for none at all."""

    def __str__(self) -> str:
        then = "is removed" if self.becomes is None else f"becomes {self.becomes}"
        return f"{self.name} {self.version} requires {self.requirement}, which {then}"

    def to_dict(self) -> dict[str, object]:
        """Return the break as JSON-able data."""
        return {"schema": 1, **attrs.asdict(self)}


@attrs.frozen(kw_only=True)
class Blocker:
    """Why a plan cannot be carried out as it stands."""

    code: str
    """``downgrade-not-allowed`` or ``remove-not-allowed`` for one package; ``externally-managed``,
    ``not-writable`` or ``disk-full`` for the place."""
    name: str
    """The package; empty where it is the place."""
    message: str

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, object]:
        """Return the blocker as JSON-able data."""
        return {"schema": 1, **attrs.asdict(self)}


@attrs.frozen(kw_only=True)
class RemovedFiles:
    """What a distribution had that was removed or replaced."""

    folder: str
    """That around its metadata."""
    files: Sequence[str] = attrs.field(hash=False)
    """Relative to the folder."""
    record: str = ""
    """The text of its RECORD."""
    tree: str = ""
    """The project, where it was in development mode."""
    modules: tuple[str, ...] = ()
    """The top-level modules of the project; they are not among the files."""

    def with_tree_of(self, dist: InstalledDistribution) -> RemovedFiles:
        """Return the same with what the distribution says of its project, if it is in development mode."""
        tree = dist.editable_project_location
        return self if tree is None else attrs.evolve(self, tree=str(tree), modules=dist.modules())


@attrs.frozen(kw_only=True)
class StaleReport:
    """Which loaded modules no longer are what lies on disk; told from files, never from names."""

    stale: tuple[str, ...] = ()
    """Loaded modules whose file is removed or replaced, and those of a project that is no longer in
    development mode."""
    importers: tuple[str, ...] = ()
    """Other loaded modules that hold a stale module or something out of one."""
    now_importable: tuple[str, ...] = ()
    """Top-level modules that the change brings and that are not loaded."""
    restart: Literal["no", "advised", "required"] = "no"
    """``required`` where native code or the running program itself is stale."""

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON-able data, with a ``schema`` number."""
        return {
            "schema": 1,
            "stale": list(self.stale),
            "importers": list(self.importers),
            "now_importable": list(self.now_importable),
            "restart": self.restart,
        }


@attrs.frozen(kw_only=True)
class Plan:
    """What has to be done, found out without changing anything."""

    changes: tuple[Change, ...] = ()
    """By name."""
    mode: Mode = "add"
    environment: str = ""
    """Where, for people to read."""
    environment_fingerprint: str = ""
    """Of the environment that the plan was made for."""
    breaks: tuple[Break, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    requested: frozenset[str] = frozenset()
    """Names of the packages that a user asked for."""
    notices: tuple[Notice, ...] = ()
    kept: int = 0
    """How many packages of the resolution are there already."""
    undoes: str = ""
    """The transaction that the plan undoes."""
    _leaving: tuple[InstalledDistribution, ...] = attrs.field(
        default=(), eq=False, repr=False, alias="leaving"
    )
    _arriving: tuple[CachedWheel, ...] = attrs.field(default=(), eq=False, repr=False, alias="arriving")
    _resolution: Resolution | None = attrs.field(default=None, eq=False, repr=False, alias="resolution")
    _terms: Mapping[str, object] = attrs.field(factory=dict, eq=False, repr=False, alias="terms")

    @property
    def terms(self) -> Mapping[str, object]:
        """The arguments that the plan was made with, so that it can be made anew on the same terms."""
        return self._terms

    @property
    def resolution(self) -> Resolution | None:
        """What the plan was made from; None for the removal of packages."""
        return self._resolution

    @property
    def arriving(self) -> tuple[CachedWheel, ...]:
        """The wheels to be installed that lay in the cache when the plan was made."""
        return self._arriving

    @property
    def is_empty(self) -> bool:
        """True where nothing has to be done."""
        return not self.changes

    @property
    def download_bytes(self) -> int:
        """Bytes to be fetched, as far as the index gives sizes; no dependencies of builds."""
        return sum(change.package.file_row.size or 0 for change in self._to_fetch() if change.package)

    @property
    def builds(self) -> tuple[str, ...]:
        """Names of the packages that have to be built from source."""
        return tuple(c.name for c in self._to_fetch() if c.package is not None and c.package.needs_build)

    @property
    def leaving(self) -> tuple[InstalledDistribution, ...]:
        """The distributions that are removed or replaced."""
        return self._leaving

    def stale_modules(self, modules: Mapping[str, ModuleType] | None = None) -> StaleReport:
        """Tell what the plan means for the modules that are loaded now.

        Args:
            modules: The loaded modules by name; None for those of this process.
        """
        from puffin_api._model.stale import stale_before

        return stale_before(self._leaving, self._arriving, modules, changes=self.changes)

    def to_dict(self) -> dict[str, object]:
        """Return the plan as JSON-able data, with a ``schema`` number."""
        return {
            "schema": 1,
            "mode": self.mode,
            "environment": self.environment,
            "environment_fingerprint": self.environment_fingerprint,
            "changes": [change.to_dict() for change in self.changes],
            "breaks": [item.to_dict() for item in self.breaks],
            "blockers": [item.to_dict() for item in self.blockers],
            "requested": sorted(self.requested),
            "download_bytes": self.download_bytes,
            "builds": list(self.builds),
            "kept": self.kept,
            "undoes": self.undoes,
            "notices": [notice.to_dict() for notice in self.notices],
        }

    def _to_fetch(self) -> Iterable[Change]:
        return (change for change in self.changes if change.package is not None and not change.cached)


@attrs.frozen(kw_only=True)
class PreparedPlan:
    """A plan whose wheels all lie in the cache, verified and built: only the commit is missing."""

    plan: Plan
    wheels: Mapping[str, CachedWheel] = attrs.field(hash=False)
    """By normalised name, one for each change that installs something."""
    bytes_downloaded: int = 0
    notices: tuple[Notice, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the prepared plan as JSON-able data, with a ``schema`` number."""
        return {
            "schema": 1,
            "plan": self.plan.to_dict(),
            "wheels": {name: str(wheel.archive) for name, wheel in self.wheels.items()},
            "bytes_downloaded": self.bytes_downloaded,
            "notices": [notice.to_dict() for notice in self.notices],
        }


@attrs.frozen(kw_only=True)
class Before:
    """What a package was before a change, beside its version."""

    requested: bool
    """Whether a user had asked for it."""
    direct_url: DirectUrl | None = None
    """Its origin where that was not an index."""

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON-able data."""
        origin = self.direct_url
        return {
            "schema": 1,
            "requested": self.requested,
            "direct_url": None if origin is None else origin.to_dict(),
        }


@attrs.frozen(kw_only=True)
class InstallReport:
    """What was done."""

    changes: tuple[Change, ...] = ()
    notices: tuple[Notice, ...] = ()
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    """Seconds by phase."""
    bytes_downloaded: int = 0
    transaction_id: str = ""
    """Empty where nothing had to be changed."""
    environment: str = ""
    """Where, for people to read."""
    before: Mapping[str, Before] = attrs.field(factory=dict, hash=False)
    """By name, what else was known of the packages that were replaced or removed."""
    _removed: tuple[RemovedFiles, ...] = attrs.field(default=(), eq=False, repr=False, alias="removed")
    _arrived: tuple[CachedWheel, ...] = attrs.field(default=(), eq=False, repr=False, alias="arrived")
    _restored: tuple[str, ...] = attrs.field(default=(), eq=False, repr=False, alias="restored")

    @property
    def changed(self) -> bool:
        """True where the environment is not what it was."""
        return bool(self.changes)

    def stale_modules(self, modules: Mapping[str, ModuleType] | None = None) -> StaleReport:
        """Tell what the change means for the modules that are loaded now.

        Args:
            modules: The loaded modules by name; None for those of this process.
        """
        from puffin_api._model.stale import stale_after

        return stale_after(
            self._removed, self._arrived, modules, restored=self._restored, changes=self.changes
        )

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON-able data, with a ``schema`` number."""
        return {
            "schema": 1,
            "changed": self.changed,
            "changes": [change.to_dict() for change in self.changes],
            "notices": [notice.to_dict() for notice in self.notices],
            "timings": dict(self.timings),
            "bytes_downloaded": self.bytes_downloaded,
            "transaction_id": self.transaction_id,
            "environment": self.environment,
            "before": {name: before.to_dict() for name, before in self.before.items()},
        }


@attrs.frozen
class Recovered:
    """One interrupted transaction that was dealt with."""

    transaction: str
    outcome: Literal["finished", "rolled-back", "discarded"]
    """Cleaned up after its end, undone, or thrown away because it had not begun to change anything."""


@attrs.frozen(kw_only=True)
class RecoveryReport:
    """What recovering an environment did."""

    transactions: tuple[Recovered, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON-able data, with a ``schema`` number."""
        return {"schema": 1, "transactions": [attrs.asdict(item) for item in self.transactions]}
