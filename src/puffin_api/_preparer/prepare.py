"""From chosen wheels to unpacked ones in the cache: fetched in parallel, each once."""

from __future__ import annotations

import hashlib

from puffin_api._cache.mending import clear_for_file
from puffin_api._concurrency import OnceMap, Pump, Relay
from puffin_api._model.cancel import stoppable
from puffin_api._preparer.heartbeat import Heartbeat
from puffin_api._preparer.telling import Telling
from puffin_api._preparer.wheel_index import GONE
from puffin_api._wheel.unpack import unpack_wheel
from puffin_api.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
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

        def __call__(
            self,
            path: Path,
            *,
            what: str,
            cancel: Pump,
            on_wait: Callable[[str, str], None],
            on_degraded: Callable[[Path, str], None],
        ) -> AbstractContextManager[None]: ...

    class Take(Protocol):
        """Notes that archives are about to be used, so that nobody prunes them."""

        def __call__(self, archives: Iterable[Path], /) -> None: ...


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
        take: Notes which archives are about to be used.
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
        take: Take = lambda _: None,
    ) -> None:
        self._layout = layout
        self._store = store
        self._wheels = wheels
        self._fetch = fetch
        self._lock = lock
        self._pool = pool
        self._unpack = unpack
        self._take = take
        self._under_way: OnceMap[tuple[object, ...], CachedWheel] = OnceMap()

    def intact(
        self, wheels: Iterable[CachedWheel], *, pump: Pump, telling: Telling | None = None
    ) -> dict[str, CachedWheel]:
        """Return those wheels whose archives are still there and undamaged, by project name.

        The others are not found in the cache any more, so that `prepare_wheels` fetches them.
        """
        telling = telling or Telling(pump)
        wheels = list(wheels)
        self._take([wheel.archive for wheel in wheels])
        return {wheel.name: wheel for wheel in wheels if self._is_intact(wheel, pump, telling)}

    def prepare_wheels(
        self, wanted: Sequence[DistFile], *, pump: Pump, telling: Telling | None = None
    ) -> dict[str, CachedWheel]:
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
        told = telling or Telling(pump)
        found = self.intact(self._wheels.lookup_all(wanted).values(), pump=pump, telling=told)
        while missing := [file for file in wanted if file.name not in found]:
            # The largest decide when all is done, so they begin; files of unknown size may be large.
            missing.sort(key=lambda file: -1 if file.size is None else -file.size)
            made = self._prepare_all(missing, pump, told)
            # What another call has made may have been pruned before we could say that we use it too.
            self._take([wheel.archive for wheel in made])
            found.update({wheel.name: wheel for wheel in made if wheel.archive.is_dir()})
        return {file.name: found[file.name] for file in wanted}

    def _prepare_all(self, files: Sequence[DistFile], pump: Pump, telling: Telling) -> list[CachedWheel]:
        switch, token = stoppable(pump.cancel)
        relay = Relay(pump, token)
        return self._pool.map(
            lambda file: self._prepare(file, relay, telling),
            files,
            pump=pump,
            on_failure=lambda: switch.cancel("another download failed"),
        )

    def _is_intact(self, wheel: CachedWheel, pump: Pump, telling: Telling) -> bool:
        pump.check()
        damage = self._wheels.damage(wheel, check=pump.check)
        if damage and damage != GONE:
            telling.repaired(wheel.name, wheel.archive, damage)
        return not damage

    def _prepare(self, file: DistFile, pump: Pump, telling: Telling) -> CachedWheel:
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
            wheel = self._make(file, pump, telling)
        except BaseException as error:
            self._under_way.forget(key, task)
            task.fail(error)
            raise
        self._under_way.forget(key, task)
        task.succeed(wheel)
        return wheel

    def _make(self, file: DistFile, pump: Pump, telling: Telling) -> CachedWheel:
        self._store.check_writable()
        link = self._wheels.link(file)
        lock = clear_for_file(self._layout.lock("wheel", str(link.relative_to(self._layout.root))))
        with self._lock(
            lock,
            what=f"fetching {file.filename}",
            cancel=pump,
            on_wait=lambda _, owner: telling.waiting(link, owner),
            on_degraded=telling.degraded,
        ):
            while (wheel := self._wheels.lookup(file)) is not None:  # somebody else was quicker
                if self.intact([wheel], pump=pump, telling=telling):
                    return wheel
            self._wheels.forget_damaged(file)
            return self._make_anew(file, link, Heartbeat(pump, lock))

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
