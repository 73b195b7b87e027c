"""From chosen wheels to unpacked ones in the cache: fetched in parallel, each once."""

from __future__ import annotations

import hashlib

from puffin_api._concurrency import OnceMap, Pump
from puffin_api._wheel.unpack import unpack_wheel
from puffin_api.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    from puffin_api._cache.archive_store import ArchiveStore
    from puffin_api._cache.layout import CacheLayout
    from puffin_api._concurrency import WorkerPool
    from puffin_api._model.cached import CachedWheel, WheelManifest
    from puffin_api._model.file import DistFile
    from puffin_api._preparer.wheel_index import CachedWheels

    class Fetch(Protocol):
        """Downloads a file to a path that is not there yet, and checks it against ``file.hashes``."""

        def __call__(self, file: DistFile, target: Path, /, *, pump: Pump) -> Mapping[str, str] | None:
            """Return the digests it computed, in lower-case hex by algorithm, if any."""
            ...

    class Unpack(Protocol):
        """Unpacks a wheel: `unpack_wheel`, perhaps with some arguments bound."""

        def __call__(
            self,
            wheel: Path,
            target: Path,
            *,
            filename: str,
            pump: Pump,
            source_hashes: Mapping[str, str] | None,
        ) -> WheelManifest: ...

    class Lock(Protocol):
        """Excludes other processes: `hold` of `puffin_api._cache.locks.FileLocks`."""

        def __call__(self, path: Path, *, what: str, cancel: Pump) -> AbstractContextManager[None]: ...


class WheelPreparer:
    """Brings wheels into the cache. Many threads may call it at once, and share one.

    Each file is fetched once: by one of the calls under way in this process, and by one of the
    processes that share the cache.

    Args:
        layout: Where the locks of the cache are.
        store: Where archives are made.
        wheels: What is there already.
        fetch: Downloads one file; sends its own events.
        lock: Excludes other processes.
        pool: Does the work. The callables are called in it, and must not wait for it.
        unpack: Unpacks one wheel.
    """

    def __init__(
        self,
        *,
        layout: CacheLayout,
        store: ArchiveStore,
        wheels: CachedWheels,
        fetch: Fetch,
        lock: Lock,
        pool: WorkerPool,
        unpack: Unpack = unpack_wheel,
    ) -> None:
        self._layout = layout
        self._store = store
        self._wheels = wheels
        self._fetch = fetch
        self._lock = lock
        self._pool = pool
        self._unpack = unpack
        self._under_way: OnceMap[tuple[object, ...], CachedWheel] = OnceMap()

    def prepare_wheels(self, wanted: Sequence[DistFile], *, pump: Pump) -> dict[str, CachedWheel]:
        """Return the unpacked wheels by normalised project name; those that are missing are fetched.

        The first error is raised; it ends the rest, and nothing half done stays.

        Raises:
            NetworkError: A file cannot be had.
            HashMismatch: A file is not the expected one.
            UnsafeArchive: A file breaks a rule for archives.
            MetadataInvalid: A file is not a valid wheel, or not the one its name says.
            CacheUnavailable: The cache cannot be written.
            Cancelled: The caller cancelled.
        """
        found = self._wheels.lookup_all(wanted)
        missing = [file for file in wanted if file.name not in found]
        # The largest decide when all is done, so they begin; files of unknown size may be large.
        missing.sort(key=lambda file: -1 if file.size is None else -file.size)
        made = self._pool.map(lambda file: self._prepare(file, pump), missing, pump=pump)
        found.update(zip((file.name for file in missing), made, strict=True))
        return {file.name: found[file.name] for file in wanted}

    def _prepare(self, file: DistFile, pump: Pump) -> CachedWheel:
        """Do it, or wait for the call of this process that does."""
        key = (self._wheels.link(file), *sorted(file.hashes.items()), *file.allowed)
        while True:
            pump.check()
            task, mine = self._under_way.claim(key)
            if mine:
                break
            try:
                return Pump(cancel=pump.cancel).wait(task)
            except Cancelled:
                # Ours is checked above; if it was the other's, the work is still to be done.
                continue
        try:
            wheel = self._make(file, pump)
        except BaseException as error:
            self._under_way.forget(key, task)
            task.fail(error)
            raise
        self._under_way.forget(key, task)
        task.succeed(wheel)
        return wheel

    def _make(self, file: DistFile, pump: Pump) -> CachedWheel:
        link = self._wheels.link(file)
        lock = self._layout.lock("wheel", str(link.relative_to(self._layout.root)))
        with self._lock(lock, what=f"fetching {file.filename}", cancel=pump):
            wheel = self._wheels.lookup(file)
            return self._make_anew(file, link, pump) if wheel is None else wheel

    def _make_anew(self, file: DistFile, link: Path, pump: Pump) -> CachedWheel:
        with self._store.scratch() as scratch:
            download, archive = scratch / "wheel", scratch / "archive"
            hashes = {**file.hashes, **(self._fetch(file, download, pump=pump) or {})}
            if "sha256" not in hashes:
                hashes["sha256"] = _sha256(download)
            pump.check()
            manifest = self._unpack(
                download, archive, filename=file.filename, pump=pump, source_hashes=hashes
            )
            canonical = self._store.persist(archive, link)
        return self._wheels.remember(canonical, manifest, hashes)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
