"""Metadata and wheels of sources: from what is promised, from the cache, or from a build."""

from __future__ import annotations

import attrs

from puffin_api._model.direct_url import ArchiveInfo, DirInfo
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.metadata import parse_metadata
from puffin_api._model.names import normalize
from puffin_api._model.options import BuildPolicy
from puffin_api._preparer.build_turns import BuildTurns
from puffin_api._preparer.built_results import rank_of
from puffin_api._preparer.static_metadata import StaticMetadata, read_static
from puffin_api._preparer.workbench import KeptBuilds, Workbench
from puffin_api._urls import redact
from puffin_api.errors import BuildForbidden, MetadataInvalid, UnsafeArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol, TypeVar

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._concurrency import Pump
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.file import DistFile
    from puffin_api._model.metadata import CoreMetadata
    from puffin_api._model.target import Target
    from puffin_api._preparer.build_turns import Check
    from puffin_api._preparer.built_results import BuiltResults
    from puffin_api._preparer.source_place import Place, SourcePlaces
    from puffin_api._preparer.telling import Telling
    from puffin_api._preparer.workbench import Build

    T = TypeVar("T")

    class Lock(Protocol):
        """Excludes other processes."""

        def __call__(
            self,
            path: Path,
            *,
            what: str,
            cancel: Check,
            on_wait: Callable[[str, str], None],
            on_degraded: Callable[[Path, str], None],
        ) -> AbstractContextManager[None]: ...

    class Open(Protocol):
        """Makes a tree ready to be built."""

        def __call__(self, tree: Path, *, package: str, source: str) -> AbstractContextManager[Build]: ...


@attrs.frozen(kw_only=True, eq=False)
class Terms:
    """On which terms one call builds."""

    policy: BuildPolicy
    open: Open
    guard: Callable[[str, str], None]
    """Takes sources and their project; raises where they are being built already for each other's sake."""
    settings: Callable[[str], str]
    """A text for what is said about builds of a project; equal where it is the same."""
    python: str
    """The interpreter that builds, in a few letters."""
    tools: Callable[[str], Hashable]
    """For a project, what is the same for calls that may go on with each other's builds."""
    target: Target
    """What wheels have to be for."""
    pump: Pump
    telling: Telling


@attrs.frozen
class Described:
    """What is known of sources."""

    core: CoreMetadata
    origin: str
    """``pkg-info``, ``pyproject`` or ``build``."""


class SourceDatabase:
    """Gives metadata and wheels of sources. Many threads may ask at once, many processes share a cache.

    Each is built once: by one of the calls under way in this process, and by one of the processes. What
    lies in the layers of the cache counts as built.
    """

    def __init__(
        self,
        *,
        layout: CacheLayout,
        results: BuiltResults,
        places: SourcePlaces,
        lock: Lock,
        lease: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._layout = layout
        self._results = results
        self._places = places
        self._lock = lock
        self._lease = lease
        self._described: dict[Hashable, Described] = {}
        self._turns = BuildTurns()
        self._kept = KeptBuilds()

    def close(self) -> None:
        """End what is kept of builds; later ones keep nothing."""
        self._kept.close()

    def describe(self, file: DistFile, terms: Terms) -> Described:
        """Return the metadata of sources; a build is the last resort.

        Raises:
            BuildForbidden: Only a build could tell, and none is allowed.
            BuildFailed: It failed.
            PackageError: The sources cannot be used.
            NetworkError: They cannot be had.
        """
        place = self._places.find(file, terms.pump)
        if not file.name and place.project:
            return self.describe(attrs.evolve(file, name=place.project), terms)
        how = self._how(file, terms)
        key = (place.folder, how)
        found = self._described.get(key) or self._read(place, how)
        if found is None:
            found = self._alone(key, file, place, terms, lambda: self._find_out(file, place, how, terms))
        self._check(file, found.core)
        self._described[key] = found
        if file.name:
            return found
        # From now on it is known whose it is: what was learned goes there, as do the settings of the project.
        named = attrs.evolve(file, name=normalize(found.core.name))
        folder = self._places.name(place, named.name)
        is_alike = found.origin != "build" or terms.settings(named.name) == terms.settings("")
        if is_alike:
            self._kept.move((*key, terms.tools("")), (folder, how, terms.tools(named.name)))
            return found
        self._kept.drop((*key, terms.tools("")))
        return self.describe(named, terms)

    def wheel(self, file: DistFile, terms: Terms) -> CachedWheel:
        """Return the unpacked wheel of sources; it is built where there is none that fits.

        Raises:
            BuildForbidden: No build is allowed, or its wheel is not for the target.
            BuildFailed: It failed.
            PackageError: The sources cannot be used.
            NetworkError: They cannot be had.
        """
        place = self._places.find(file, terms.pump)
        found = self._taken(file, place, terms)
        if found is not None:
            return found
        if terms.policy is not BuildPolicy.ALLOW:
            raise _forbidden(file, "a wheel of it has to be built")
        key = (place.folder, terms.settings(file.name), terms.target.digest)
        return self._alone(key, file, place, terms, lambda: self._make_wheel(file, place, terms))

    def stamp(self, file: DistFile, pump: Pump) -> str:
        """Return the state of a local tree, as a text."""
        return self._places.find(file, pump).folder.name

    def digests(self, file: DistFile, pump: Pump) -> Mapping[str, str]:
        """Return the digests of an archive; none for trees."""
        return self._places.find(file, pump).digests

    def lookup(self, file: DistFile, terms: Terms) -> CachedWheel | None:
        """Return the wheel of sources that has been built before; downloads nothing."""
        if not file.hashes and not file.url.startswith("file:") and not file.url.startswith("git+"):
            return None
        return self._built(file, self._places.find(file, terms.pump), terms)

    # -- metadata

    def _find_out(self, file: DistFile, place: Place, how: str, terms: Terms) -> Described:
        known = self._read(place, how)
        if known is not None:  # another process was quicker
            return known
        with Workbench(self._results.new_folder) as bench:
            tree = self._places.open(file, place, bench, terms.pump, terms.telling)
            static = read_static(
                tree,
                name=file.name or None,
                version=file.version or None,
                is_sdist=_is_archive(file),
            )
            if isinstance(static, StaticMetadata):
                return Described(static.core, static.origin)
            if terms.policy is BuildPolicy.NEVER:
                raise _forbidden(file, f"its metadata is not static: {static.reason}")
            return self._build_metadata(tree, bench, file, place, how, terms)

    def _build_metadata(
        self, tree: Path, bench: Workbench, file: DistFile, place: Place, how: str, terms: Terms
    ) -> Described:
        editable = _is_editable(file)
        build = bench.enter(terms.open(tree, package=file.name, source=place.title))
        with self._places.noting(file, terms.pump):
            made = build.metadata(bench.folder, editable=editable)
        dist_info = made
        if dist_info is None:
            if terms.policy is BuildPolicy.METADATA_ONLY:
                raise _forbidden(file, "its backend gives metadata only with a wheel")
            with self._places.noting(file, terms.pump):
                built = build.wheel(bench.folder, editable=editable)
            wheel = self._store_wheel(file, place, terms, build, built)
            dist_info = wheel.archive / "files" / wheel.manifest.dist_info
        text = (dist_info / "METADATA").read_bytes()
        core = parse_metadata(text, source=file.filename or place.title)
        self._results.keep_metadata(place, how, text)
        self._check(file, core)
        if made is not None and terms.policy is BuildPolicy.ALLOW:
            self._kept.keep(self._kept_key(file, place, terms), bench, build, made)
        return Described(core, "build")

    def _read(self, place: Place, how: str) -> Described | None:
        core = self._results.metadata(place, how)
        return None if core is None else Described(core, "build")

    @staticmethod
    def _how(file: DistFile, terms: Terms) -> str:
        return f"{terms.settings(file.name)}-{terms.python}"

    def _kept_key(self, file: DistFile, place: Place, terms: Terms) -> Hashable:
        """Return what tells builds apart that are kept."""
        return (place.folder, self._how(file, terms), terms.tools(file.name))

    @staticmethod
    def _check(file: DistFile, core: CoreMetadata) -> None:
        """Refuse metadata of another project or version than the file is of, where that is known."""
        reason = ""
        if file.name and normalize(core.name) != file.name:
            reason = f"its metadata is that of {core.name}, not of {file.name}"
        elif _is_other_version(core.version, file.version):
            reason = f"its metadata says version {core.version}"
        if reason:
            source = file.filename or redact(file.url)  # a tree has no file name
            raise MetadataInvalid(
                f"{source} cannot be used: {reason}", name=file.name, source=source, reason=reason
            )

    # -- wheels

    def _built(self, file: DistFile, place: Place, terms: Terms) -> CachedWheel | None:
        """Return the best wheel for the target that was built with these settings."""
        wheel = self._results.wheel(
            place, terms.settings(file.name), target=terms.target, check=terms.pump.check
        )
        if wheel is not None:  # another call, or process, may have built it
            self._kept.drop(self._kept_key(file, place, terms))
        return wheel

    def _taken(self, file: DistFile, place: Place, terms: Terms) -> CachedWheel | None:
        """Return what was built before, unless it was pruned before we could say that we use it."""
        wheel = self._built(file, place, terms)
        return wheel if wheel is not None and self._results.take(wheel) else None

    def _make_wheel(self, file: DistFile, place: Place, terms: Terms) -> CachedWheel:
        found = self._taken(file, place, terms)
        if found is not None:  # another process was quicker
            return found
        kept = self._kept.take(self._kept_key(file, place, terms))
        if kept is None:
            with Workbench(self._results.new_folder) as bench:
                tree = self._places.open(file, place, bench, terms.pump, terms.telling)
                build = bench.enter(terms.open(tree, package=file.name, source=place.title))
                return self._build_wheel(file, place, terms, bench, build)
        with kept.bench:
            kept.build.resume(terms.pump, package=file.name or place.title)
            # The state of a user's own tree tells much, but not whether a version or a list has changed.
            metadata = None if _is_tree(file) else kept.metadata
            return self._build_wheel(file, place, terms, kept.bench, kept.build, metadata)

    def _build_wheel(
        self,
        file: DistFile,
        place: Place,
        terms: Terms,
        bench: Workbench,
        build: Build,
        metadata: Path | None = None,
    ) -> CachedWheel:
        with self._places.noting(file, terms.pump):
            made = build.wheel(bench.folder, editable=_is_editable(file), metadata_directory=metadata)
        wheel = self._store_wheel(file, place, terms, build, made)
        if rank_of(made.name, terms.target) is None:
            raise BuildForbidden(
                f"The wheel that was built, {made.name}, is not for {terms.target}",
                hint="Build on the platform that it is for, and give the wheel by its path.",
                package=file.name,
            )
        return wheel

    def _store_wheel(
        self, file: DistFile, place: Place, terms: Terms, build: Build, made: Path
    ) -> CachedWheel:
        """Unpack a wheel that was built, and let a link lead to it."""
        wheel = parse_wheel_name(made.name)
        if (file.name and wheel.name != file.name) or _is_other_version(wheel.version, file.version):
            hint = "Resolve again: the sources may have changed since." if _is_tree(file) else ""
            raise build.failed(f"it is {made.name}, not {file.name} {file.version}", hint=hint)
        try:
            return self._results.keep_wheel(place, terms.settings(file.name), made, terms.pump)
        except (MetadataInvalid, UnsafeArchive) as error:
            raise build.failed(f"it is no wheel: {error}") from error

    # -- once

    def _alone(self, key: Hashable, file: DistFile, place: Place, terms: Terms, work: Callable[[], T]) -> T:
        """Do some work, or wait for the call of this process that does it; other processes wait for us."""
        terms.guard(place.title, file.name)  # before we wait for ourselves
        # Backends write into a user's own tree, so that it is built once at a time in whatever way.
        alone = place.folder.parent.parent if _is_tree(file) else place.folder
        lock = self._layout.lock("built", str(alone.relative_to(self._layout.root)))

        def hold(check: Check) -> AbstractContextManager[None]:
            return self._lock(
                lock,
                what=f"building {place.title}",
                cancel=check,
                on_wait=lambda _, owner: terms.telling.waiting(place.folder, owner),
                on_degraded=terms.telling.degraded,
            )

        with self._lease():  # also on what it needs to be built
            # What is forbidden to one call may be allowed to another.
            return self._turns.run((key, terms.policy), lock, hold, terms.pump, work)


def _is_other_version(version: str, expected: str) -> bool:
    """Tell versions apart where both are known; a build may add a local part."""
    from packaging.version import InvalidVersion, Version

    if not expected or version == expected:
        return False
    try:
        return Version(version).public != Version(expected).public
    except InvalidVersion:
        return False


def _is_tree(file: DistFile) -> bool:
    return file.origin is not None and isinstance(file.origin.info, DirInfo)


def _is_archive(file: DistFile) -> bool:
    """Tell archives from folders and repositories: a PKG-INFO is the rest of some build in these."""
    return file.origin is None or isinstance(file.origin.info, ArchiveInfo)


def _is_editable(file: DistFile) -> bool:
    return file.origin is not None and file.origin.editable


def _forbidden(file: DistFile, why: str) -> BuildForbidden:
    return BuildForbidden(
        f"{file.filename or file.url} cannot be used without a build: {why}",
        hint="Allow builds with build_policy=BuildPolicy.ALLOW, or choose a version that has a wheel.",
        package=file.name,
    )
