"""The databases of a cache: each repository is fetched by one thread of one process at a time."""

from __future__ import annotations

from contextlib import contextmanager

import attrs

from puffin_api._cache.mending import clear_for_file
from puffin_api._preparer.git_database import GitDatabase
from puffin_api._preparer.git_failures import read_only, translated, unusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._concurrency import Pump
    from puffin_api._model.git_url import GitUrl
    from puffin_api._preparer.git_logins import GitLogins
    from puffin_api._preparer.git_program import GitProgram
    from puffin_api._preparer.git_remote import GitRemote
    from puffin_api._preparer.prepare import Lock
    from puffin_api._preparer.telling import Telling
    from puffin_api.protocols import Runner


@attrs.frozen(eq=False)
class GitTerms:
    """What a call says about git."""

    runner: Runner | None = None
    """Starts git; None for the runner of the store."""
    may_start: bool = True
    """Whether git may be started at all."""


@attrs.frozen(eq=False)
class GitCall:
    """What one call has with it wherever it goes."""

    pump: Pump
    telling: Telling
    history: bool
    """Whether commits are needed with all that came before them."""
    program: GitProgram
    """Git, as it is started for this call."""
    may_start: bool


@attrs.frozen(kw_only=True, eq=False)
class GitRepositories:
    """Gives the database of a repository, and brings commits into it.

    Args:
        layout: The cache.
        layers: Caches that are only read.
        read_only: Whether the cache is only read, too.
        logins: Knows the logins for servers.
        remote: Talks to servers.
        lock: Excludes other processes.
    """

    layout: CacheLayout
    logins: GitLogins
    remote: GitRemote
    lock: Lock
    layers: Sequence[CacheLayout] = ()
    read_only: bool = False

    def database(self, url: GitUrl, call: GitCall) -> GitDatabase:
        """Return the database of a repository, for this call."""
        login = self.logins.of(url)
        return GitDatabase(call.program, self.layout, url, login, call.pump, read_only=self.read_only)

    def databases(self, url: GitUrl, call: GitCall) -> list[GitDatabase]:
        """Return the database of a repository, and then those of the layers."""
        layers = [
            GitDatabase(call.program, layer, url, None, call.pump, read_only=True) for layer in self.layers
        ]
        return [self.database(url, call), *layers]

    @contextmanager
    def held(self, path: Path, what: str, call: GitCall) -> Generator[None, None, None]:
        """Hold a lock; what the file system says meanwhile is said of the cache.

        Raises:
            CacheUnavailable: The cache is only read, so that nothing can be done in it.
        """
        if self.read_only:
            raise read_only(what, self.layout.root)
        hold = self.lock(
            clear_for_file(path),
            what=what,
            cancel=call.pump,
            on_wait=lambda _, owner: call.telling.waiting(path, owner),
            on_degraded=call.telling.degraded,
        )
        with hold, translated(self.layout.root):
            yield

    def bring(
        self, url: GitUrl, commit: str, call: GitCall, ref: str = "", *, is_own: bool = False
    ) -> GitDatabase | None:
        """See to it that a commit is in a database, and return that.

        Args:
            url: The repository.
            commit: The full name of the commit.
            call: With its history or without.
            ref: What has led to it; it may be missing nevertheless, as that may have moved: None then.
            is_own: Whether it has to be in the cache itself, and not in a layer.

        Raises:
            RequirementInvalid: The repository does not have it, and nothing has led to it.
        """
        database, *layers = self.databases(url, call)
        places = [database] if is_own else [database, *layers]
        for place in places:
            if place.is_noted(commit, history=call.history):
                return place
        if database.has(commit, history=call.history):
            return database
        with self.held(database.lock, f"fetching {url.url}", call):
            if database.has(commit, history=call.history):  # somebody else was quicker
                return database

            def fetch() -> int:
                return database.fetch_commit(commit, ref, history=call.history)

            self.remote.fetch(database, url, call.pump, fetch)
            if database.has(commit, history=call.history):
                return database
            if not ref:
                raise unusable(
                    url.at(commit),
                    "the repository does not have this commit",
                    hint="A forced push may have removed it; name a branch or tag, or another commit.",
                )
        return None
