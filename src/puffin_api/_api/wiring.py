"""Wiring: the parts behind the facade, made and put together here and nowhere else.

A facade class keeps its parts in one private attribute. Other facade classes get at them by the
functions of this module, so that they are no part of the public API.
"""

from __future__ import annotations

import contextlib
import functools

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.leases import Leases
from puffin_api._cache.locks import FileLocks
from puffin_api._cache.store import EntryStore
from puffin_api._fs import choose_directory_link, detect_link_support, unique_name
from puffin_api._model.options import LinkMode
from puffin_api._preparer.telling import Telling
from puffin_api.errors import CacheUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from puffin_api._api.cache import Cache
    from puffin_api._api.client import Client
    from puffin_api._client.crawler import Build, CallSource
    from puffin_api._client.http_cache import Policy
    from puffin_api._client.registry import Registry
    from puffin_api._concurrency import Pump, WorkerPool
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.events import Notice
    from puffin_api._model.file import DistFile
    from puffin_api._preparer.database import SourceDatabase
    from puffin_api._preparer.git import GitStore
    from puffin_api._preparer.prepare import WheelPreparer
    from puffin_api._preparer.wheel_index import CachedWheels
    from puffin_api._wheel.link import Linker
    from puffin_api.protocols import CredentialProvider


_LONG_WORK = 3600.0
"""Seconds to wait for another process that builds or clones."""


def parts_of_cache(cache: Cache) -> CacheParts:
    """Return what is behind a cache."""
    return cache._parts  # noqa: SLF001  # the one door between the classes of the facade


def parts_of_client(client: Client) -> ClientParts:
    """Return what is behind a client."""
    return client._parts  # noqa: SLF001  # see above


class CacheParts:
    """The stores of one cache."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool,
        lock_timeout: float | None,
        layers: Sequence[Path],
        take: Callable[[int], bool] | None = None,
    ) -> None:
        self.layout = CacheLayout(path)
        self.layers = tuple(CacheLayout(layer) for layer in layers)
        self.read_only = read_only
        self._lock_timeout = lock_timeout
        self._take = take
        self._link_support: dict[tuple[int, int], tuple[str, ...]] = {}
        if not read_only:
            self.layout.initialize()

    @functools.cached_property
    def entries(self) -> EntryStore:
        """The entries of the cache."""
        return EntryStore(self.layout, read_only=self.read_only, layers=self.layers)

    @functools.cached_property
    def archives(self) -> ArchiveStore:
        """The archives of the cache.

        Raises:
            CacheUnavailable: It cannot be found out how links can be made in it.
        """
        try:
            link = choose_directory_link(self.layout.temporary)
        except OSError as error:
            root = self.layout.root
            raise CacheUnavailable(
                f"The cache folder {root} cannot be used: {error.strerror}", path=str(root)
            ) from error
        return ArchiveStore(self.layout, link, read_only=self.read_only, layers=self.layers)

    @functools.cached_property
    def leases(self) -> Leases:
        """Who uses what of the cache."""
        return Leases(self.layout, read_only=self.read_only)

    def locks(
        self,
        on_wait: Callable[[str, str], None] | None = None,
        on_degraded: Callable[[Path, str], None] | None = None,
    ) -> FileLocks:
        """Return the maker of locks, with the cache's patience."""
        return FileLocks(self._lock_timeout, on_wait=on_wait, on_degraded=on_degraded, take=self._take)

    def link_kinds(self, folder: Path) -> tuple[str, ...]:
        """Return the ways that work from the cache to a folder; tried once for each pair of volumes."""
        source = self.layout.temporary
        pair = (source.stat().st_dev, folder.stat().st_dev)
        known = self._link_support.get(pair)
        if known is None:
            known = self._link_support[pair] = detect_link_support(source, folder)
        return known


class Brought:
    """Wheels that lie in the cache, whole, and what it took."""

    __slots__ = ("notices", "received", "wheels")

    def __init__(
        self, wheels: dict[str, CachedWheel], received: int, notices: tuple[Notice, ...] = ()
    ) -> None:
        self.wheels = wheels
        """By normalised project name."""
        self.received = received
        """Bytes."""
        self.notices = notices


class ClientParts:
    """What a client is made of; each part is made when it is first needed."""

    def __init__(
        self,
        cache: Callable[[], Cache],
        pool: WorkerPool,
        make_registry: Callable[[CacheParts], Registry],
        add_login: Callable[[str, tuple[str, str]], None],
        *,
        env: Mapping[str, str] | None = None,
        credentials: CredentialProvider | None = None,
        offline: bool = False,
        must_ask: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._cache = cache
        self._must_ask = must_ask
        self.env = dict(env or {})
        """Variables for child processes: backends and git."""
        self._credentials = credentials
        self._offline = offline
        self.add_login = add_login
        """Takes the user name and password for a URL."""
        self._make_registry = make_registry
        self._token = unique_name()
        self._leases: dict[Pump, contextlib.ExitStack] = {}
        self.pool = pool
        """The threads of the client."""

    @property
    def cache(self) -> CacheParts:
        """The stores of the client's cache."""
        return parts_of_cache(self._cache())

    @functools.cached_property
    def registry(self) -> Registry:
        """What the indexes say, kept in memory."""
        return self._make_registry(self.cache)

    @functools.cached_property
    def linker(self) -> Linker:
        """How files get out of the cache."""
        from puffin_api._wheel.link import Linker

        return Linker(self._cache().link_mode)

    @functools.cached_property
    def wheels(self) -> CachedWheels:
        """The wheels that lie unpacked in the cache."""
        from puffin_api._client.source_index import SOURCE_PREFIX
        from puffin_api._preparer.wheel_index import CachedWheels, wheel_kind

        def kind(file: DistFile) -> str:
            found = wheel_kind(file)
            if file.hashes or file.url.startswith("file:"):
                return found
            if not file.index:
                # At a URL there may be another file tomorrow: what the server said tells them apart.
                return f"{found}/{self.registry.metadata.validator(file.url) or self._token}"
            # Every client calls its sources alike: what no digest tells from others is for us alone.
            return f"{found}/{self._token}" if file.index.startswith(SOURCE_PREFIX) else found

        return CachedWheels(self.cache.layout, self.cache.archives, kind=kind)

    @functools.cached_property
    def preparer(self) -> WheelPreparer:
        """Brings wheels into the cache."""
        from puffin_api._preparer.prepare import WheelPreparer

        return WheelPreparer(
            layout=self.cache.layout,
            store=self.cache.archives,
            wheels=self.wheels,
            fetch=self._fetch,
            lock=self.cache.locks().hold,
            pool=self.pool,
            take=self.cache.leases.take,
        )

    @functools.cached_property
    def repositories(self) -> GitStore:
        """The git repositories in the cache."""
        from puffin_api._interpreter.host import SubprocessRunner
        from puffin_api._preparer.git import GitStore

        return GitStore(
            self.cache.layout,
            SubprocessRunner(),
            lock=FileLocks(_LONG_WORK).hold,
            env=self.env,
            offline=self._offline,
            credentials=self._credentials,
            layers=self.cache.layers,
            read_only=self.cache.read_only,
        )

    @functools.cached_property
    def sources(self) -> SourceDatabase:
        """What is known of sources, and what was built of them."""
        from puffin_api._preparer.built_results import BuiltResults
        from puffin_api._preparer.database import SourceDatabase
        from puffin_api._preparer.source_place import SourcePlaces

        layout, store = self.cache.layout, self.cache.archives
        places = SourcePlaces(
            layout=layout,
            scratch=store.scratch,
            fetch=self._fetch,
            fetch_newer=self._fetch_newer,
            entries=self.cache.entries,
            must_ask=self._must_ask,
            repositories=lambda: self.repositories,
            env=self.env,
            layers=self.cache.layers,
        )
        results = BuiltResults(
            layout=layout,
            store=store,
            wheels=self.wheels,
            take=self.cache.leases.take,
            layers=self.cache.layers,
        )
        return SourceDatabase(
            layout=layout,
            results=results,
            places=places,
            lock=FileLocks(_LONG_WORK).hold,
            lease=self.cache.leases.lease,
        )

    def end_builds(self) -> None:
        """End what is kept of builds, if there were any."""
        if "sources" in self.__dict__:
            self.sources.close()

    def view(self, pump: Pump, *, build: Build | None = None) -> CallSource:
        """Return the view of the indexes for one call.

        Args:
            pump: That of the call.
            build: Gives the metadata of sources; None where sources do not count.
        """
        from puffin_api._client.crawler import CallSource

        return CallSource(self.registry, self.pool, pump, build=build)

    @contextlib.contextmanager
    def using_cache(
        self, pump: Pump, folders: Callable[[], Mapping[str, str]], *, at_once: bool = False
    ) -> Generator[None]:
        """Keep what a call brings into the cache from being pruned, until its end.

        Args:
            pump: That of the call.
            folders: Gives the folders by scheme that files will be linked into.
            at_once: Also if it never brings anything, as it uses what an earlier change has put aside.
        """
        with contextlib.ExitStack() as lease:
            self._leases[pump] = lease
            try:
                if at_once:
                    self.take_lease(pump)
                self.note_links(folders)
                yield
            finally:
                del self._leases[pump]

    def take_lease(self, pump: Pump) -> None:
        """Keep what is used from now on from being pruned, if the call has said that it uses the cache."""
        call = self._leases.get(pump)
        if call is not None:
            call.enter_context(self.cache.leases.lease())

    def note_links(self, folders: Callable[[], Mapping[str, str]]) -> None:
        """Note that files of the cache are going to be used where they are: without that, nothing may be.

        Args:
            folders: Gives the folders by scheme that files will be linked into.
        """
        if self._cache().link_mode is not LinkMode.SYMLINK:
            return
        from puffin_api._installer.os_errors import typed_error

        try:
            self.cache.leases.note_symlinked({folders()[kind] for kind in ("purelib", "platlib")})
        except OSError as error:
            doing = "note who uses files of the cache"
            raise typed_error(error, doing=doing, place=str(self.cache.layout.root)) from error

    def bring(self, files: Iterable[DistFile], pump: Pump, *, here: Iterable[CachedWheel] = ()) -> Brought:
        """Bring wheels into the cache.

        Args:
            files: What they are made of.
            pump: Hears of it.
            here: Wheels that were found there before. They are looked at again: what was damaged or
                pruned meanwhile is fetched anew, or is missing in the result if no file is given for it.
        """
        wanted, found = list(files), list(here)
        if not wanted and not found:
            return Brought({}, 0)
        self.take_lease(pump)
        telling, before = Telling(pump), pump.received
        wheels = self.preparer.intact(found, pump=pump, telling=telling) if found else {}
        missing = [file for file in wanted if file.name not in wheels]
        if missing:
            wheels.update(self.preparer.prepare_wheels(missing, pump=pump, telling=telling))
        if not all(file.index for file in wanted):
            self.flush()  # what was learned of files from URLs once they had been verified
        return Brought(wheels, pump.received - before, telling.notices)

    def prepare(self, files: Iterable[DistFile], pump: Pump) -> tuple[dict[str, CachedWheel], int]:
        """Bring wheels into the cache; returns them by project, and the bytes that were received."""
        brought = self.bring(files, pump)
        return brought.wheels, brought.received

    def telling(self, pump: Pump) -> Telling:
        """Return what gathers the notices of a call."""
        return Telling(pump)

    def flush(self) -> None:
        """Store what the registry has learned, if there is one."""
        if "registry" in self.__dict__:
            self.registry.flush()

    def _fetch(self, file: DistFile, target: Path, /, *, pump: Pump) -> Mapping[str, str]:
        digests = self.registry.fetcher.fetch_file(file, target, pump=pump)
        self.registry.metadata.note_verified(file.row(), target)
        pump.note_received(target.stat().st_size)
        return digests

    def _fetch_newer(
        self, file: DistFile, target: Path, /, *, known: Policy | None, pump: Pump
    ) -> tuple[Mapping[str, str] | None, Policy]:
        digests, policy = self.registry.fetcher.fetch_newer(file, target, known=known, pump=pump)
        if digests is not None:
            pump.note_received(target.stat().st_size)
        return digests, policy
