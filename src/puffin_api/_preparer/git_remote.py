"""What is asked of git servers: events, repeated tries, and what a revision leads to."""

from __future__ import annotations

import difflib

from puffin_api._model.events import FetchFinished, FetchStarted
from puffin_api._model.git_url import RevisionKind
from puffin_api._preparer.git_failures import remote_error, unusable
from puffin_api._preparer.git_program import GitFailed
from puffin_api.errors import ConnectFailed, OfflineMiss, PuffinError, ServerError, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Literal, TypeVar

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._client.retry import Sleep
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.git_url import GitUrl, Revision
    from puffin_api._preparer.git_database import GitDatabase

    T = TypeVar("T")

_HEAD = "HEAD"
_PEELED = "^{}"
"""What git puts behind the name of an annotated tag to mean the commit that it is for."""
_FIRST_PAUSE = 0.3
_MOST_MOVES = 3
_MOST_NAMES = 5


class GitRemote:
    """Talks to servers, for any thread.

    Args:
        layout: The cache.
        offline: Whether not to.
        attempts: Tries in all where a server cannot be reached.
        pause: Waits for some seconds, or until the token is thrown.
    """

    def __init__(self, layout: CacheLayout, *, offline: bool, attempts: int, pause: Sleep) -> None:
        self._cache = layout.root
        self._offline = offline
        self._attempts = attempts
        self._pause = pause

    def fetch(self, database: GitDatabase, url: GitUrl, pump: Pump, work: Callable[[], int]) -> None:
        """Fetch into a database, whose lock is held; one that is damaged is made anew."""
        try:
            self.transfer(url, pump, work)
        except GitFailed:
            database.remove()
            self.transfer(url, pump, work, is_last=True)

    def transfer(
        self,
        url: GitUrl,
        pump: Pump,
        work: Callable[[], T],
        *,
        kind: Literal["page", "file"] = "file",
        is_last: bool = False,
    ) -> T:
        """Do something that calls the server, with its events; tries again what may succeed then.

        Args:
            url: The repository.
            pump: Hears of it.
            work: Does it; a number that it returns is that of the bytes received.
            kind: What is transferred.
            is_last: Whether a failure that nobody understands is that of the network.

        Raises:
            OfflineMiss: The server must not be called.
            GitFailed: Nobody understands why.
        """
        if self._offline and not url.is_local:
            raise _offline(url)
        task = pump.begin(
            lambda task: FetchStarted(task=task, kind=kind, name=url.url),
            lambda task: FetchFinished(task=task, received=0, error="unfinished"),
        )
        code, received = "failed", 0
        try:
            result = self._try(url, pump, work, is_last=is_last)
            code, received = "", result if isinstance(result, int) else 0
            pump.note_received(received)
        except PuffinError as error:
            code = error.code
            raise
        finally:
            pump.end(task, lambda: FetchFinished(task=task, received=received, error=code))
        return result

    def resolve(
        self,
        databases: Sequence[GitDatabase],
        url: GitUrl,
        pump: Pump,
        bring: Callable[[str, str], bool],
        held: Callable[[], AbstractContextManager[None]],
    ) -> str:
        """Return what a revision stands for, and have it brought into the cache.

        Args:
            databases: That of the repository, and then those that are only read.
            url: The repository and the revision, which is no full commit.
            pump: Events, and cancelling.
            bring: Brings a commit that a ref leads to; tells whether it is there then.
            held: Holds the lock of the database.
        """
        refs = _candidates(url.revision)
        if self._offline and not url.is_local:
            return _last_known(databases, url, refs)
        database = databases[0]
        for _ in range(_MOST_MOVES):
            found = self._ask(database, url, pump, refs)
            ref = next((ref for ref in refs if ref in found), "")
            if not ref:
                return self._resolve_short(databases, url, pump, found, held)
            commit = found.get(ref + _PEELED, found[ref])
            if bring(commit, ref):
                database.note_ref(refs, ref, commit)
                return commit
        raise unusable(url, "what it leads to is no commit, or changes all the time")

    def _ask(
        self, database: GitDatabase, url: GitUrl, pump: Pump, refs: tuple[str, ...]
    ) -> Mapping[str, str]:
        patterns = [_HEAD, *refs, *(ref + _PEELED for ref in refs if ref != _HEAD)]
        ask = lambda: database.remote_refs(*patterns)  # noqa: E731
        return self.transfer(url, pump, ask, kind="page", is_last=True)

    def _resolve_short(
        self,
        databases: Sequence[GitDatabase],
        url: GitUrl,
        pump: Pump,
        refs: Mapping[str, str],
        held: Callable[[], AbstractContextManager[None]],
    ) -> str:
        name, database = url.revision.name, databases[0]
        if url.revision.kind is RevisionKind.SHORT_COMMIT and refs:
            found = _commits(databases, name)
            if not found:
                length = len(next(iter(refs.values())))
                with held():
                    self.fetch(database, url, pump, lambda: database.fetch_all(length))
                found = database.commits(name)
            if len(found) == 1:
                return found[0]
            if found:
                raise unusable(url, f"the commits {', '.join(found)} begin so", hint="Write more of it.")
        raise self._not_found(database, url, pump)

    def _not_found(self, database: GitDatabase, url: GitUrl, pump: Pump) -> PuffinError:
        refs = self.transfer(url, pump, database.remote_refs, kind="page", is_last=True)
        named = [ref.removesuffix(_PEELED) for ref in refs if ref.startswith("refs/")]
        if not named:
            return unusable(url, "the repository is empty", hint="Push something to it first.")
        if url.revision.kind is RevisionKind.DEFAULT:
            hint = "Name a branch, a tag or a commit after an @."
            return unusable(url, "the repository has no default branch", hint=hint)
        if url.revision.kind is not RevisionKind.REF:
            named = [_short(ref) for ref in named if ref.startswith(("refs/heads/", "refs/tags/"))]
        near = difflib.get_close_matches(url.revision.name, named, n=_MOST_NAMES, cutoff=0.5)
        names = ", ".join(near or dict.fromkeys(named[:_MOST_NAMES]))
        what = "branch, tag or commit" if url.revision.kind is RevisionKind.SHORT_COMMIT else "such ref"
        if url.revision.kind is RevisionKind.BRANCH_OR_TAG:
            what = "branch or tag of that name"
        hint = f"{'Near to it is' if near else 'It has among others'}: {names}."
        return unusable(url, f"the repository has no {what}", hint=hint)

    def _try(self, url: GitUrl, pump: Pump, work: Callable[[], T], *, is_last: bool) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                return work()
            except GitFailed as failure:
                error = remote_error(failure, url, self._cache)
                if error is None and not is_last:
                    raise
                error = error or ConnectFailed(f"git could not read {url.url}: {failure}", url=url.url)
                if attempt >= self._attempts or not _may_pass(error):
                    raise error from failure
            pump.check()
            token: CancelToken | None = pump.cancel  # type: ignore[assignment]  # the one kind there is
            self._pause(_FIRST_PAUSE * 3 ** (attempt - 1), token)


def _candidates(revision: Revision) -> tuple[str, ...]:
    """Return the refs that a revision may name, in the order in which they count."""
    if revision.kind is RevisionKind.DEFAULT:
        return (_HEAD,)
    if revision.kind is RevisionKind.REF:
        return (revision.name,)
    return (f"refs/heads/{revision.name}", f"refs/tags/{revision.name}")


def _last_known(databases: Sequence[GitDatabase], url: GitUrl, refs: tuple[str, ...]) -> str:
    """Return what a revision led to when somebody last asked the server."""
    for database in databases:
        for commit in filter(None, map(database.noted_ref, refs)):
            if any(place.has(commit) for place in databases):
                return commit
    if url.revision.kind is RevisionKind.SHORT_COMMIT:
        found = _commits(databases, url.revision.name)
        if len(found) == 1:
            return found[0]
    raise _offline(url)


def _commits(databases: Sequence[GitDatabase], start: str) -> list[str]:
    return list(dict.fromkeys(commit for database in databases for commit in database.commits(start)))


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def _may_pass(error: PuffinError) -> bool:
    return isinstance(error, ConnectFailed | TimedOut) or (
        isinstance(error, ServerError) and error.status in (500, 502, 503, 504)
    )


def _offline(url: GitUrl) -> OfflineMiss:
    return OfflineMiss(
        f"{url} is not in the cache, and we are offline",
        hint="Get it once while online, or name a commit that is in the cache.",
        url=url.url,
        missing=[str(url)],
    )
