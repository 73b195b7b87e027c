"""SimpleIndex: one index of the simple API, its pages stored and revalidated as HTTP says."""

from __future__ import annotations

import functools
import os
import time

from puffin_api._cache.layout import PYPI, index_kind
from puffin_api._cache.project_table import TableDamaged, decode_page_table, encode_page_table
from puffin_api._client.body import exchange, read_body
from puffin_api._client.http_cache import Policy
from puffin_api._client.local_files import local_stamp
from puffin_api._client.page_draft import PageDraft
from puffin_api._client.retry import Retries
from puffin_api._concurrency import SILENT, Lock
from puffin_api._model.events import FetchFinished, FetchStarted
from puffin_api._model.options import Index
from puffin_api._urls import canonical, redact, split_credentials, url_to_path
from puffin_api.errors import OfflineMiss, ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from puffin_api._cache.project_table import PageTable, ProjectTables
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import FileRow
    from puffin_api._model.releases import Releases
    from puffin_api.protocols import Response, Transport

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_ABSENT = "absent"
"""Status of a project that the index does not know; never that of a real one (PEP 792)."""


class Page:
    """What an index says of a project, and for how long."""

    __slots__ = ("policy", "stamp", "table")

    def __init__(self, table: PageTable | PageDraft, policy: Policy) -> None:
        self.table = table
        self.policy = policy
        self.stamp: tuple[object, ...] | None = None
        """Of a local page that was read in this process: what is another once the page is."""

    @property
    def releases(self) -> Releases | None:
        """The versions, None where the index does not know the project."""
        return None if self.table.status == _ABSENT else self.table.releases

    @property
    def status(self) -> str:
        """PEP 792 status of the project."""
        return self.table.status


class SimpleIndex:
    """One index. Many threads may ask it at once; it keeps nothing in memory."""

    def __init__(
        self,
        index: Index,
        *,
        transport: Transport,
        tables: ProjectTables | None = None,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.time,
        offline: bool = False,
    ) -> None:
        bare = split_credentials(index.url)[0].partition("#")[0]
        self.url = bare if bare.endswith("/") else f"{bare}/"
        """Without credentials, ending in a slash."""
        self.name = index.name or self.url
        self.explicit = index.explicit
        self.kind = PYPI if canonical(bare) == canonical(Index.pypi().url) else index_kind(bare)
        self.is_local = bare.startswith("file:")
        self._transport = transport
        self._tables = tables
        self._retries = retries or Retries()
        self._clock = clock
        self._unsaved: list[tuple[PageDraft, Policy]] = []
        self._lock = Lock()
        self._folder = os.fspath(url_to_path(self.url)) if self.is_local else ""
        self._offline = offline and not self.is_local

    def stored(self, project: str, *, any_age: bool = False) -> Page | None:
        """Return the page from disk where it is fresh, or is there at all; no network."""
        if self._tables is None:
            return None
        table = self._tables.read_page(self.kind, project)
        if table is None:
            return None
        stored_at, row = table.policy
        policy = Policy.from_row(row, stored_at)
        if not any_age and not self._offline and not policy.is_fresh(self._clock()):
            return None
        return self._page(table, policy)

    def is_unchanged(self, project: str, known: Page) -> bool:
        """Tell whether a page of a local index is as it was; a look at it is quicker than to ask for it."""
        return known.stamp is not None and known.stamp == self._stamp(project)

    def _stamp(self, project: str) -> tuple[object, ...] | None:
        try:
            return local_stamp(f"{self._folder}/{project}") if self.is_local else None
        except OSError:
            return None  # told by whoever reads it

    def fetch(self, project: str, *, known: Page | None = None, pump: Pump = SILENT) -> Page:
        """Ask the index, with the conditions that a known page allows.

        Raises:
            NetworkError: It cannot be asked; 401 and 403 are errors too, and no "not here".
            MetadataInvalid: It answers with something that is no page.
        """
        if self._offline:
            raise OfflineMiss(
                f"{project} is not in the cache, and we are offline", url=self.url, missing=[project]
            )
        known = known or self.stored(project, any_age=True)
        stamp = self._stamp(project)  # before it is read
        task = pump.begin(
            lambda t: FetchStarted(task=t, kind="page", name=project),
            lambda t: FetchFinished(task=t, received=0, error="unfinished"),
        )
        failure, received, is_cached = "failed", 0, False
        try:
            answer = self._ask(project, known, pump)
            page, received = self._taken_in(project, answer, known)
            page.stamp = stamp
            failure, is_cached = "", page is known
        except BaseException as error:
            failure = getattr(error, "code", failure)
            raise
        finally:
            pump.end(
                task,
                lambda: FetchFinished(task=task, received=received, cached=is_cached, error=failure),
            )
        return page

    def _ask(self, project: str, known: Page | None, pump: Pump) -> _Answer:
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
        if known is not None:
            headers |= known.policy.revalidation_headers()
        cancel: CancelToken | None = pump.cancel  # type: ignore[assignment]  # the one kind there is
        url = f"{self.url}{project}/"
        return exchange(self._transport, url, headers, _Answer, retries=self._retries, cancel=cancel)

    def _taken_in(self, project: str, answer: _Answer, known: Page | None) -> tuple[Page, int]:
        now = self._clock()
        if answer.status == 304 and known is not None:
            self._renew(project, known, answer, now)
            return known, 0
        # "Not changed" without a page to be compared with is no answer, and must not count as "not here".
        if answer.status not in (200, 404, 410):
            url = redact(answer.url)
            raise ServerError(f"{url} answered {answer.status}", url=url, status=answer.status)
        policy = Policy.of(answer.headers, now)
        draft = _read(answer, project, self.url)
        if policy.storable and self._tables is not None:
            with self._lock:
                self._unsaved.append((draft, policy))
        return self._page(draft, policy), len(answer.body)

    @property
    def has_unsaved(self) -> bool:
        """True where ``flush`` has something to do."""
        return bool(self._unsaved)

    def flush(self) -> None:
        """Write the pages that have come since the last time."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, []
        tables = self._tables
        if tables is None:
            return
        for draft, policy in unsaved:
            project = draft.releases.name
            write = functools.partial(tables.write_page, self.kind, project)
            draft.settle(policy, write, tables.recent_metadata(self.kind, project))

    def _renew(self, project: str, known: Page, answer: _Answer, now: float) -> None:
        """Take note that nothing has changed; the page stays the same object."""
        before = known.policy.to_row()
        known.policy = known.policy.renewed(answer.headers, now)
        if self._tables is None:
            return
        if known.policy.to_row() == before:
            self._tables.renew_page(self.kind, project, known.policy.stored_at)

    def _page(self, table: PageTable | PageDraft, policy: Policy) -> Page:
        table.mend = self._mend
        return Page(table, policy)

    def _mend(self, project: str, key: str) -> Sequence[FileRow]:
        """Give the files of a version whose row on disk was lost: of the table that replaced it, or anew."""
        stored = self.stored(project, any_age=True)
        for page in (stored, None):
            table = (page or self.fetch(project, known=_unconditional())).table
            table.mend = None
            if key in table.releases.keys:
                try:
                    return table.files(list(table.releases.keys).index(key))
                except TableDamaged:
                    continue
        return ()


class _Answer:
    """A response with its body read."""

    __slots__ = ("body", "headers", "status", "url")

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.url = response.url
        self.headers = response.headers
        self.body = read_body(response) if response.status == 200 else b""


def _read(answer: _Answer, project: str, index: str) -> PageDraft:
    """Read the page by what it is: servers lie about the type, pages do not."""
    if answer.status != 200:
        return PageDraft.of_packed([], answer.url, project, index, skipped={}, status=_ABSENT)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind.endswith(("+json", "/json")) or answer.body[:64].lstrip()[:1] == b"{"
    make = PageDraft.of_json if is_json else PageDraft.of_html
    return make(answer.body, answer.url, project, index)


def _unconditional() -> Page:
    """Stand for a page without validators, so that the server has to send all of it."""
    table = decode_page_table(encode_page_table("x", [], stored_at=0.0, policy=[], status=_ABSENT))
    assert table is not None, "what was just encoded can be decoded"
    return Page(table, Policy(stored_at=0.0))
