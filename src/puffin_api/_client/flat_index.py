"""Find-links: local folders, and pages that list files of any project."""

from __future__ import annotations

import json
import os
import re
import time

from puffin_api._client.body import exchange, read_body
from puffin_api._client.http_cache import Policy
from puffin_api._client.page_files import FileNames
from puffin_api._client.retry import Retries
from puffin_api._client.simple_html import Link, read_page
from puffin_api._concurrency import SILENT, OnceMap
from puffin_api._model.releases import releases_of
from puffin_api._urls import path_to_url, redact, split_credentials, url_to_path
from puffin_api.errors import ConnectFailed, OfflineMiss, ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.store import EntryStore
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import FileRow
    from puffin_api._model.releases import Releases
    from puffin_api.protocols import Response, Transport

_ENDINGS = (".whl", ".tar.gz", ".zip")
_SEPARATORS = re.compile(r"[-_.]+")


class FlatIndex:
    """The files of all find-links locations. Many threads may ask it at once.

    Args:
        locations: Paths of folders or pages, or URLs.
        transport: Reads the pages.
        layout: Where pages are cached; None not to cache them.
        store: The cache.
        retries: How often to try.
        clock: The time, in seconds since the epoch.
        offline: Read nothing but local files and cached pages of any age.
    """

    def __init__(
        self,
        locations: Sequence[str | Path],
        *,
        transport: Transport,
        layout: CacheLayout | None = None,
        store: EntryStore | None = None,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.time,
        offline: bool = False,
    ) -> None:
        self._places = [_place(location) for location in locations]
        self._transport = transport
        self._layout = layout
        self._store = store
        self._retries = retries or Retries()
        self._clock = clock
        self._offline = offline
        self._pages: OnceMap[str, list[Link]] = OnceMap()
        self._local: dict[tuple[Path, int], list[Link]] = {}

    @property
    def locations(self) -> Sequence[str]:
        """The locations without credentials, for messages."""
        return [str(place) if not isinstance(place, str) else redact(place) for place in self._places]

    @property
    def is_ready(self) -> bool:
        """True where nothing has to be read from the network (any more)."""
        return all(not isinstance(place, str) or self._loaded(place) for place in self._places)

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when a local folder does, or a file in it."""
        return tuple(_changed(place) for place in self._places if not isinstance(place, str))

    def releases(
        self, project: str, *, stamp: Sequence[int] | None = None, pump: Pump = SILENT
    ) -> Releases | None:
        """Return the versions of a project, None where no location has a file of it.

        Args:
            project: Normalised name.
            stamp: Of the call, so that a folder is looked at once for all its projects; None to look.
            pump: Of the call.

        Raises:
            OfflineMiss: No place that can be read offline has a file of it, and some cannot be read.
            NetworkError: A location is not there or cannot be read: without it, a file could come
                from somewhere else than it was meant to.
        """
        if not self._places:
            return None
        rows: list[FileRow] = []
        skipped: dict[str, str] = {}
        missed: OfflineMiss | None = None
        changes = iter(self.stamp() if stamp is None else stamp)
        for place in self._places:
            try:
                if isinstance(place, str):
                    links = self._page(place, pump)
                else:
                    links = self._links(place, next(changes))
            except OfflineMiss as error:
                missed = error  # the other places may do
                continue
            index = redact(place) if isinstance(place, str) else path_to_url(place)
            rows += _rows_of(project, links, index, skipped)
        if missed is not None and not rows:
            raise missed
        return releases_of(project, rows, skipped=skipped) if rows else None

    def _loaded(self, url: str) -> bool:
        task = self._pages.get(url)
        return task is not None and task.done

    def _links(self, place: Path, changed: int) -> list[Link]:
        found = self._local.get((place, changed))
        if found is None:
            found = _local_links(place)
            # What it was before is of no use to later calls.
            self._local = {key: links for key, links in self._local.items() if key[0] != place}
            self._local[place, changed] = found
        return found

    def _page(self, url: str, pump: Pump) -> list[Link]:
        try:
            return self._pages.run(url, lambda: self._read_page(url, pump))
        except BaseException:
            self._pages.forget(url)  # the next one who asks tries again
            raise

    def _read_page(self, url: str, pump: Pump) -> list[Link]:
        now = self._clock()
        stored = self._stored(url)
        if stored is not None and (self._offline or stored[1].is_fresh(now)):
            return read_page(stored[2], stored[0]).links
        if self._offline:
            shown = redact(url)
            raise OfflineMiss(
                f"The find-links page {shown} is not in the cache, and we are offline",
                hint="Resolve once while connected, or take it out of find_links.",
                url=shown,
                missing=[shown],
            )
        headers = {"Accept": "text/html", "Accept-Encoding": "gzip"}
        if stored is not None:
            headers |= stored[1].revalidation_headers()
        cancel: CancelToken | None = pump.cancel  # type: ignore[assignment]  # the one kind there is

        def consume(response: Response) -> tuple[str, Policy, bytes]:
            if response.status == 304 and stored is not None:
                return stored[0], stored[1].renewed(response.headers, now), stored[2]
            if response.status != 200:
                shown = redact(response.url)
                raise ServerError(f"{shown} answered {response.status}", url=shown, status=response.status)
            return response.url, Policy.of(response.headers, now), read_body(response)

        final, policy, body = exchange(
            self._transport, url, headers, consume, retries=self._retries, cancel=cancel
        )
        links = read_page(body, final).links
        self._keep(url, final, policy, body)
        return links

    def _stored(self, url: str) -> tuple[str, Policy, bytes] | None:
        if self._store is None or self._layout is None:
            return None
        data = self._store.read(self._layout.flat_index(split_credentials(url)[0]))
        head, _, body = (data or b"").partition(b"\n")
        try:
            final, stored_at, row = json.loads(head)
            return final, Policy.from_row(row, stored_at), body
        except (ValueError, TypeError):
            return None

    def _keep(self, url: str, final: str, policy: Policy, body: bytes) -> None:
        if self._store is None or self._layout is None or not policy.storable:
            return
        head = json.dumps([split_credentials(final)[0], policy.stored_at, policy.to_row()])
        path = self._layout.flat_index(split_credentials(url)[0])
        self._store.write(path, head.encode() + b"\n" + body)


def _place(location: str | Path) -> str | Path:
    """A path for what is local, else the URL."""
    from pathlib import Path

    if isinstance(location, str) and location.startswith("file:"):
        return url_to_path(location)
    if isinstance(location, str) and "://" in location:
        return location
    return Path(os.path.abspath(location))


def _changed(path: Path) -> int:
    """Return what is another number once a page, or a folder or a file in it, is another."""
    try:
        if path.is_file():
            return os.stat(path).st_mtime_ns
        # The time of the folder would say nothing of a wheel that was built anew in its place.
        return hash(tuple(sorted(_identity(entry) for entry in _offered(path))))
    except OSError:
        return 0


def _offered(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [e for e in entries if e.name.endswith(_ENDINGS) and e.is_file()]


def _identity(entry: os.DirEntry[str]) -> tuple[str, int, int]:
    status = entry.stat()
    return entry.name, status.st_mtime_ns, status.st_size


def _local_links(path: Path) -> list[Link]:
    """Read a folder, its own files only, or a page on disk."""
    try:
        if path.is_file():
            return read_page(path.read_bytes(), path_to_url(path)).links
        names = sorted(entry.name for entry in _offered(path))
    except OSError as error:
        raise ConnectFailed(
            f"The find-links location {path} cannot be read: {error.strerror}",
            hint="Create the folder, or take it out of find_links.",
            url=path_to_url(path),
        ) from error
    return [Link(path_to_url(path / name), {}) for name in names]


def _may_be_of(project: str, filename: str) -> bool:
    """Tell quickly whether a file could belong to a project."""
    return _SEPARATORS.sub("-", filename[: 2 * len(project) + 16]).lower().startswith(f"{project}-")


def _rows_of(project: str, links: Sequence[Link], index: str, skipped: dict[str, str]) -> Iterator[FileRow]:
    """Give the files of a project among links; what cannot be used is noted in ``skipped``."""
    names = FileNames(project)
    for link in links:
        if not _may_be_of(project, link.filename):
            continue
        try:
            version = names.version(link.filename)
        except ValueError as error:
            skipped[link.filename] = str(error)
            continue
        row = _row(link, project, version)
        row.index = index
        yield row


def _row(link: Link, project: str, version: str) -> FileRow:
    from puffin_api._cache.page_rows import unpack_row

    return unpack_row(link.pack(), project=project, version=version)
