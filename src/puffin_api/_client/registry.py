"""Registry: what all indexes together say of a project; kept in memory for the life of a client."""

from __future__ import annotations

import time

from puffin_api._cache.project_table import ProjectTables
from puffin_api._client.fetch import Fetcher
from puffin_api._client.file_metadata import FileMetadata
from puffin_api._client.flat_index import FlatIndex
from puffin_api._client.hosts import Hosts
from puffin_api._client.joined_releases import JoinedReleases
from puffin_api._client.remote_wheel import RemoteWheels
from puffin_api._client.retry import Retries
from puffin_api._client.simple_index import Page, SimpleIndex
from puffin_api._client.source_index import Given, SourceIndex
from puffin_api._concurrency import SILENT, Lock, OnceMap
from puffin_api._model.file import DistFile
from puffin_api._model.options import Index, IndexStrategy, Refresh
from puffin_api._model.project import Project
from puffin_api.errors import (
    Cancelled,
    OfflineMiss,
    PackageNotFound,
    PuffinError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.store import EntryStore
    from puffin_api._concurrency import Pump
    from puffin_api._model.releases import Releases
    from puffin_api.protocols import PackageSource, Transport


_FOREVER = float("inf")
_SOURCE_SECONDS = 600.0
"""How long the answer of a custom source is used: it has no way to say."""


class Entry:
    """What is kept of a project in memory."""

    __slots__ = ("error", "fresh_until", "pages", "releases", "stamp", "status")

    def __init__(
        self,
        releases: Releases | None,
        *,
        fresh_until: float,
        stamp: tuple[int, ...],
        status: str = "active",
        pages: Mapping[str, Page] | None = None,
        error: PuffinError | None = None,
    ) -> None:
        self.releases = releases
        self.fresh_until = fresh_until
        self.stamp = stamp
        """Of the local folders that it took files from."""
        self.status = status
        self.pages = pages or {}
        self.error = error


class Registry:
    """The indexes of one client. Any thread may call; what blocks is said to."""

    def __init__(
        self,
        indexes: Sequence[Index | PackageSource],
        *,
        transport: Transport,
        find_links: Sequence[str | Path] = (),
        layout: CacheLayout | None = None,
        layers: Sequence[CacheLayout] = (),
        read_only: bool = False,
        store: EntryStore | None = None,
        refresh: Refresh | None = None,
        offline: bool = False,
        strategy: IndexStrategy = IndexStrategy.FIRST_INDEX,
        pins: Mapping[str, int] | None = None,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Put the parts together; nothing is read yet.

        Args:
            indexes: In order of preference; explicit ones are asked for pinned projects only.
            transport: Does the exchanges.
            find_links: Folders and pages whose files stand beside those of the indexes.
            layout: Where the cache is; None to keep everything in memory.
            layers: Further caches that are only read.
            read_only: Never write to the cache.
            store: Small entries of the cache.
            refresh: What to revalidate once, however fresh.
            offline: Use what is cached, however old, and local files.
            strategy: Which index answers where several know a project.
            pins: Position of the one index that is asked, for some projects (names normalised).
            retries: How often to try what breaks off.
            clock: The time, in seconds since the epoch.
        """
        self.clock = clock
        self.offline = offline
        self._strategy = strategy
        self._refresh = refresh or Refresh.none()
        self._pins = pins or {}
        self._tables = None if layout is None else ProjectTables(layout, layers=layers, read_only=read_only)
        retries = retries or Retries()
        self._indexes: list[SimpleIndex | SourceIndex] = []
        for number, index in enumerate(indexes):
            if isinstance(index, Index):
                self._indexes.append(
                    SimpleIndex(
                        index,
                        transport=transport,
                        tables=self._tables,
                        retries=retries,
                        clock=clock,
                        offline=offline,
                    )
                )
            else:
                self._indexes.append(SourceIndex(index, number, clock))
        self.flat = FlatIndex(
            find_links,
            transport=transport,
            layout=layout,
            store=store,
            retries=retries,
            clock=clock,
            offline=offline,
        )
        sources = {i.url: i.source for i in self._indexes if isinstance(i, SourceIndex)}
        self.fetcher = Fetcher(transport, retries=retries, offline=offline, source_of=sources.get)
        wheels = RemoteWheels(
            transport,
            hosts=Hosts(store, layout, clock=clock),
            fetch=self.fetcher.fetch_file,
            scratch=None if layout is None or read_only else layout.temporary,
            retries=retries,
            offline=offline,
        )
        kinds = {i.url: i.kind for i in self._indexes if isinstance(i, SimpleIndex)}
        self.metadata = FileMetadata(wheels, tables=self._tables, sources=sources, kinds=kinds)
        """The metadata of files."""
        self._entries: dict[str, Entry] = {}
        self._refreshed: set[tuple[str, str]] = set()
        self._flushing = Lock()
        self.loading_pages: OnceMap[str, Releases] = OnceMap()
        """Projects that are being asked for at the moment."""

    # -- projects -----------------------------------------------------------------------------

    def ready(self, name: str, *, since: float, stamp: tuple[int, ...]) -> Releases | None:
        """Return what is in memory and good for a call that began at ``since``; None where nothing is.

        Raises:
            PuffinError: The project was asked for since then, and that failed.
        """
        entry = self._entries.get(name)
        if entry is None or entry.fresh_until < since or entry.stamp != stamp:
            return None
        if entry.error is not None:
            raise entry.error
        return entry.releases

    def from_disk(self, name: str, *, stamp: tuple[int, ...]) -> Releases | None:
        """Return what is known without the network and without waiting; None where it has to be asked."""
        if self._tables is None and not self.flat.locations:
            return None
        entry = self._look_up(name, stamp, online=False, pump=SILENT)
        if entry is None or entry.releases is None:
            return None
        self._entries[name] = entry
        return entry.releases

    def load(self, name: str, *, stamp: tuple[int, ...], pump: Pump = SILENT) -> Releases:
        """Ask the indexes; blocks. The result, also a failure, is kept in memory.

        Raises:
            PackageNotFound: No index knows the project.
            NetworkError: It cannot be found out.
        """
        try:
            entry = self._look_up(name, stamp, online=True, pump=pump)
            assert entry is not None, "online there is always an answer"
            if entry.releases is None:
                raise self._not_found(name)
        except PuffinError as error:
            # Whoever asks within a call that had begun by now gets the same; later ones try again.
            if not isinstance(error, Cancelled):
                before = self._entries.get(name)
                pages = before.pages if before is not None else None
                self._entries[name] = Entry(
                    None, fresh_until=self.clock(), stamp=stamp, pages=pages, error=error
                )
            raise
        self._entries[name] = entry
        assert entry.releases is not None, "looked at above"
        return entry.releases

    def project(self, name: str, releases: Releases) -> Project:
        """Return the public value of a project whose releases were just looked up."""
        entry = self._entries.get(name)
        files = [row for position in range(len(releases)) for row in releases.files(position)]
        return Project(
            name=name,
            versions=tuple(releases.versions),
            files=tuple(DistFile.of(row) for row in files),
            index=releases.index,
            status=entry.status if entry is not None else "active",
            skipped=dict(releases.skipped),
        )

    def _look_up(self, name: str, stamp: tuple[int, ...], *, online: bool, pump: Pump) -> Entry | None:
        """Ask one index after the other as the strategy says; None where that takes the network."""
        uses_flat = name not in self._pins
        if not online and uses_flat and not self.flat.is_ready:
            return None
        before = self._entries.get(name)
        pages: dict[str, Page] = {}
        found: list[tuple[Releases, str]] = []
        unasked: Sequence[str] = ()
        fresh_until = _FOREVER
        missed: OfflineMiss | None = None
        indexes = self._indexes_for(name)
        for position, index in enumerate(indexes, start=1):
            try:
                answer = self._ask(
                    index, name, before, online=online, pump=pump, is_last=position == len(indexes)
                )
            except OfflineMiss as error:
                missed = error
                continue
            if answer is None:
                return None
            if isinstance(answer, Page):
                pages[index.url] = answer
                until, status = answer.policy.fresh_until(), answer.status
            else:
                until, status = self.clock() + _SOURCE_SECONDS, answer.status
            fresh_until = min(fresh_until, until)
            if answer.releases is not None:
                found.append((answer.releases, status))
                if self._strategy is IndexStrategy.FIRST_INDEX:
                    unasked = tuple(other.name for other in indexes[position:])
                    break
        flat, flat_missed = self._flat(name, stamp, pump) if uses_flat else (None, None)
        missed = flat_missed or missed
        if missed is not None and not found and flat is None:
            raise missed
        releases = self._joined(name, flat, [releases for releases, _ in found], before)
        if releases is not None:
            releases.unasked = unasked
        return Entry(
            releases,
            fresh_until=fresh_until,
            stamp=stamp,
            status=found[0][1] if found else "active",
            pages=pages,
        )

    def _flat(
        self, name: str, stamp: tuple[int, ...], pump: Pump
    ) -> tuple[Releases | None, OfflineMiss | None]:
        try:
            return self.flat.releases(name, stamp=stamp, pump=pump), None
        except OfflineMiss as error:
            return None, error

    def _ask(
        self,
        index: SimpleIndex | SourceIndex,
        name: str,
        before: Entry | None,
        *,
        online: bool,
        pump: Pump,
        is_last: bool,
    ) -> Page | Given | None:
        """Return what one index says, None where that takes the network and we stay away from it."""
        if isinstance(index, SourceIndex):
            return index.ask(name) if online else None
        key = (index.url, name)
        must_ask = self._refresh.covers(name) and key not in self._refreshed and not self.offline
        known = before.pages.get(index.url) if before is not None else None
        # In memory it may be good for longer than on disk: where the server has not said for how long.
        if (
            known is not None
            and not must_ask
            and (known.policy.fresh_until() >= self.clock() or index.is_unchanged(name, known))
        ):
            return known
        stored = None if known is not None or must_ask else index.stored(name)
        if stored is not None and stored.releases is None and is_last and not self.offline:
            # "Not here" spares the way to the other indexes; as the last word it is asked for again,
            # so that a project can be found as soon as it is published.
            stored = None
        if stored is not None or not online:
            return stored
        page = index.fetch(name, known=known, pump=pump)
        self._refreshed.add(key)
        return page

    def _indexes_for(self, name: str) -> Sequence[SimpleIndex | SourceIndex]:
        position = self._pins.get(name)
        if position is not None:
            return [self._indexes[position]]
        return [i for i in self._indexes if not i.explicit]

    def _joined(
        self, name: str, flat: Releases | None, parts: list[Releases], before: Entry | None
    ) -> Releases | None:
        if flat is None and len(parts) < 2:
            return parts[0] if parts else None
        if not parts:
            return flat
        old = before.releases if before is not None else None
        if isinstance(old, JoinedReleases) and old.is_of(parts, flat):
            return old  # nothing has changed: keep what was worked out for it
        is_first_enough = self._strategy is IndexStrategy.FIRST_MATCH
        return JoinedReleases(name, parts, beside=flat, is_first_enough=is_first_enough)

    def _not_found(self, name: str) -> PackageNotFound:
        is_pinned = name in self._pins
        asked = [index.name for index in self._indexes_for(name)]
        asked += [] if is_pinned else self.flat.locations
        where = ", ".join(asked) if asked else "no index at all"
        waiting = [] if is_pinned else [index.name for index in self._indexes if index.explicit]
        return PackageNotFound(
            f"There is no project called {name} at {where}"
            + (", to which it is pinned" if is_pinned else ""),
            hint=f"Check the spelling, or {'pin it to' if is_pinned else 'add'} the index that has it"
            + (f"; {', '.join(waiting)}: asked for projects that are pinned to it." if waiting else "."),
            name=name,
            indexes=asked,
        )

    # -- what is to be stored -----------------------------------------------------------------

    @property
    def has_unsaved(self) -> bool:
        """True where ``flush`` has something to do."""
        return self.metadata.has_unsaved or any(
            isinstance(index, SimpleIndex) and index.has_unsaved for index in self._indexes
        )

    def flush(self) -> None:
        """Store what was learned since the last time; on return it is stored, whoever did it."""
        with self._flushing:
            for index in self._indexes:
                if isinstance(index, SimpleIndex):
                    index.flush()
            self.metadata.flush()
