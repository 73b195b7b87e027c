"""Git repositories as sources: from a URL to a commit, and from a commit to its files in the cache.

A repository is cloned once, into a database that all revisions share; each commit is laid out once. Who
fetches into a database holds its lock, who lays out a commit holds that of the checkout. Nobody who holds
the lock of a database waits for another lock, so that submodules may lead in a circle. What is complete is
read without a lock, and without starting a process.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from pathlib import Path

from puffin_api._cache.mending import make_folder
from puffin_api._client.retry import pause
from puffin_api._concurrency import Lock as Mutex
from puffin_api._concurrency import OnceMap, Pump
from puffin_api._fs import remove_tree, rename, resolves_inside, unique_name
from puffin_api._model.git_url import Revision, RevisionKind
from puffin_api._preparer.git_checkout import GitCheckouts
from puffin_api._preparer.git_failures import forbidden, translated, unusable
from puffin_api._preparer.git_logins import GitLogins
from puffin_api._preparer.git_marks import TREE, GitMarks, misses_lfs, write_mark
from puffin_api._preparer.git_program import GitProgram
from puffin_api._preparer.git_remote import GitRemote
from puffin_api._preparer.git_repositories import GitCall, GitRepositories, GitTerms
from puffin_api._preparer.telling import Telling
from puffin_api.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeVar

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._client.retry import Sleep
    from puffin_api._model.git_url import GitUrl, Login
    from puffin_api._preparer.prepare import Lock
    from puffin_api.protocols import CredentialProvider, Runner

    T = TypeVar("T")

_LFS_MISSING = "git-lfs-missing"
_DESCRIPTIONS = ("pyproject.toml", "setup.py", "setup.cfg")
_USUAL_TERMS = GitTerms()


class GitStore:
    """The git repositories of a cache. Many threads may use it at once, and many processes one cache.

    Args:
        layout: Where they are.
        runner: Starts git, for calls that have no runner of their own.
        lock: Excludes other processes. A fetch may take minutes: it should wait for longer than that.
        env: The environment of the user for git: PATH, HOME, proxies. Of its ``GIT_`` variables only those
            that say how to reach a server are used.
        offline: Whether to do with what is in the cache, and with repositories of this machine.
        git: The program; None to look for it in the PATH of ``env``.
        lfs: Whether to get the files that Git LFS keeps, unless ``env`` says not to (GIT_LFS_SKIP_SMUDGE).
        credentials: Gives logins for origins; each is asked for once.
        attempts: Tries in all where a server cannot be reached.
        pause: Waits for some seconds, or until the token is thrown.
        layers: Caches that are only read: what lies in one of them is taken from there.
        read_only: Whether the cache itself is only read.
    """

    def __init__(
        self,
        layout: CacheLayout,
        runner: Runner,
        *,
        lock: Lock,
        env: Mapping[str, str],
        offline: bool = False,
        git: Path | None = None,
        lfs: bool = True,
        credentials: CredentialProvider | None = None,
        attempts: int = 3,
        pause: Sleep = pause,
        layers: Sequence[CacheLayout] = (),
        read_only: bool = False,
    ) -> None:
        program = GitProgram(runner, env, path=git)
        lfs = lfs and not program.skips_lfs
        self._layout = layout
        self._program = program
        self._logins = GitLogins(program.expand, credentials)
        self._remote = GitRemote(layout, offline=offline, attempts=attempts, pause=pause)
        self._repositories = GitRepositories(
            layout=layout,
            layers=layers,
            read_only=read_only,
            logins=self._logins,
            remote=self._remote,
            lock=lock,
        )
        self._checkouts = GitCheckouts(repositories=self._repositories, lfs=lfs)
        self._marks = GitMarks(layout=layout, layers=layers, lfs=lfs, has_lfs=lambda: program.has("git-lfs"))
        self._resolved: dict[Hashable, str] = {}
        self._asking: OnceMap[Hashable, str] = OnceMap()
        self._under_way: OnceMap[Hashable, Path] = OnceMap()
        self._terms: weakref.WeakKeyDictionary[Telling, GitTerms] = weakref.WeakKeyDictionary()
        self._mutex = Mutex()

    def add_login(self, url: GitUrl, login: Login) -> None:
        """Use a login for a repository, and for others of its server that have none of their own."""
        self._logins.add(url, login)

    def agree(self, telling: Telling, terms: GitTerms) -> None:
        """Take note of how git is started for one call.

        Between here and the one who asks, much is passed on that knows nothing of git. So the terms go
        with what each call has of its own and takes with it everywhere.

        Args:
            telling: That of the call.
            terms: Its terms, for as long as it lives.
        """
        with self._mutex:
            self._terms[telling] = terms

    def resolve(
        self, url: GitUrl, pump: Pump, *, history: bool = False, telling: Telling | None = None
    ) -> str:
        """Return the full name of the commit that a revision stands for; it is in the cache from then on.

        What moves is asked for once in the life of this object. A full commit that is in the cache is not
        asked for at all, and starts no process.

        Args:
            url: The repository and the revision.
            pump: Events, and cancelling.
            history: Whether to fetch what came before the commit at the same time; `checkout` will need it.
            telling: Hears of what is to be told.

        Raises:
            RequirementInvalid: There is no such repository or revision.
            NetworkError: It cannot be found out.
            BuildForbidden: Git would have to be started, and must not.
            PackageError: There is no git.
            CacheUnavailable: The cache cannot be written.
            LockTimeout: Another process kept the repository for too long.
            Cancelled: The caller cancelled.
        """
        call = self._call(pump, telling, history=history)
        if url.revision.kind is RevisionKind.COMMIT:
            # Whether it is needed at all is not known yet, where git must not be started.
            if call.may_start and self._marks.find(url, url.revision.name, history=history) is None:
                self._repositories.bring(url, url.revision.name, call)
            return url.revision.name
        key = (url.repository, url.revision)
        if key not in self._resolved:
            _check_may_start(url, call)
            ask = lambda: self._resolved.get(key) or self._ask(url, call)  # noqa: E731  # a thunk
            self._resolved[key] = _once(self._asking, (key, id(call.program.runner)), ask, pump)
        return self._resolved[key]

    def checkout(
        self, url: GitUrl, commit: str, pump: Pump, *, history: bool = True, telling: Telling | None = None
    ) -> Path:
        """Return the canonical path of a folder with the files of a commit, and of its submodules.

        The folder is shared and must not be changed: copy it to build in it. It starts no process where it is
        there already. That the subdirectory of the URL is there is checked; see `project_folder`.

        Args:
            url: The repository; its revision does not matter.
            commit: The full name of the commit.
            pump: Events, and cancelling.
            history: Whether what came before it is needed, with its tags: builds ask git for the version.
                Without it the files are the same.
            telling: Hears of what is missing.

        Raises:
            RequirementInvalid: There is no such commit, or no such folder in it, or none for a submodule.
            NetworkError: It cannot be had.
            BuildForbidden: Git would have to be started, and must not.
            PackageError: There is no git.
            CacheUnavailable: The cache cannot be written.
            DiskFull: There is no room in it.
            LockTimeout: Another process kept the repository for too long.
            Cancelled: The caller cancelled.
        """
        assert Revision.parse(commit).kind is RevisionKind.COMMIT, f"{commit} is no full name of a commit"
        call = self._call(pump, telling, history=history)
        commit = commit.lower()
        tree = self._marks.find(url, commit, history=history)
        if tree is None:
            _check_may_start(url.at(commit), call)
            key = (self._marks.folder(url, commit, history=history), id(call.program.runner))
            tree = _once(self._under_way, key, lambda: self._make(url, commit, call), pump)
        if misses_lfs(tree):
            call.telling.notice(
                _LFS_MISSING,
                f"Files of {url.url} are kept by Git LFS, which is not installed: they hold only pointers",
                {"url": url.url, "commit": commit},
                about=tree,
            )
        project_folder(tree, url)
        return tree

    def _call(self, pump: Pump, telling: Telling | None, *, history: bool) -> GitCall:
        terms = _USUAL_TERMS
        if telling is not None:
            with self._mutex:
                terms = self._terms.get(telling, terms)
        program = self._program if terms.runner is None else self._program.by(terms.runner)
        return GitCall(pump, telling or Telling(pump), history, program, terms.may_start)

    def _make(self, url: GitUrl, commit: str, call: GitCall) -> Path:
        folder = self._marks.folder(url, commit, history=call.history)
        path = self._layout.lock("git-checkout", str(folder.relative_to(self._layout.root)))
        with self._repositories.held(path, f"checking out {url.url}", call):
            tree = self._marks.find(url, commit, history=call.history)
            if tree is not None:  # somebody else was quicker
                return tree
            with self._scratch() as scratch:
                (scratch / TREE).mkdir()
                is_lacking = self._checkouts.lay_out(url, commit, scratch / TREE, call)
                write_mark(scratch, commit, misses_lfs=is_lacking)
                call.pump.check()
                make_folder(self._layout.root, folder.parent)
                remove_tree(folder)
                rename(scratch, folder)
        return folder / TREE

    def _ask(self, url: GitUrl, call: GitCall) -> str:
        """Find out what a revision that may move stands for."""
        databases = self._repositories.databases(url, call)

        def bring(commit: str, ref: str) -> bool:
            return self._repositories.bring(url, commit, call, ref) is not None

        def hold() -> AbstractContextManager[None]:
            return self._repositories.held(databases[0].lock, f"fetching {url.url}", call)

        with translated(self._layout.root):
            return self._remote.resolve(databases, url, call.pump, bring, hold)

    @contextmanager
    def _scratch(self) -> Generator[Path, None, None]:
        folder = self._layout.temporary / unique_name()
        make_folder(self._layout.root, folder.parent)
        folder.mkdir()
        try:
            yield folder
        finally:
            remove_tree(folder)


def project_folder(checkout: Path, url: GitUrl) -> Path:
    """Return the folder of a checkout that the URL names.

    Raises:
        RequirementInvalid: It is not there, is no folder, or leads out of the checkout by a link, itself or
            with a file that says what the project is.
    """
    place = checkout / url.subdirectory
    if url.subdirectory:
        _check_inside(checkout, place, url)
        if not place.is_dir():
            hint = "Name one that is there at this revision, relative to the repository."
            raise unusable(url, f"the repository has no folder {url.subdirectory}", hint=hint)
        place = Path(place.resolve())
    for name in _DESCRIPTIONS:
        _check_inside(checkout, place / name, url)
    return place


def _check_inside(checkout: Path, place: Path, url: GitUrl) -> None:
    if not resolves_inside(checkout, place):
        what = "folder" if place.is_dir() else "file"
        name = place.relative_to(checkout).as_posix()
        raise unusable(url, f"the {what} {name} leads out of the repository")


def _check_may_start(url: GitUrl, call: GitCall) -> None:
    if not call.may_start:
        raise forbidden(url)


def _once(works: OnceMap[Hashable, T], key: Hashable, call: Callable[[], T], pump: Pump) -> T:
    """Do a piece of work, or wait for the thread that does it."""
    while True:
        pump.check()
        task, mine = works.claim(key)
        if mine:
            break
        try:
            return Pump(cancel=pump.cancel).wait(task)
        except Cancelled:
            continue  # ours is checked above; if it was the other's, the work is still to be done
    try:
        result = call()
    except BaseException as error:
        works.forget(key, task)
        task.fail(error)
        raise
    works.forget(key, task)
    task.succeed(result)
    return result
