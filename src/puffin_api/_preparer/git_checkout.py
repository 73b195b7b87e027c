"""A commit laid out as files: its own, those of its submodules, and those that Git LFS keeps."""

from __future__ import annotations

from contextlib import nullcontext

import attrs

from puffin_api._fs import remove_tree
from puffin_api._model.git_url import submodule_url
from puffin_api._preparer import git_tree
from puffin_api._preparer.git_failures import in_submodule, local_error, refused_path, unusable
from puffin_api._preparer.git_program import GitFailed, is_ssh
from puffin_api.errors import Cancelled, PuffinError, RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from puffin_api._model.git_url import GitUrl
    from puffin_api._preparer.git_database import GitDatabase
    from puffin_api._preparer.git_repositories import GitCall, GitRepositories

_MOST_LEVELS = 32


@attrs.frozen(kw_only=True, eq=False)
class GitCheckouts:
    """Makes checkouts in folders that nobody else knows yet."""

    repositories: GitRepositories
    lfs: bool

    def lay_out(self, url: GitUrl, commit: str, tree: Path, call: GitCall, level: int = 0) -> bool:
        """Write the files of a commit into an empty folder; True where Git LFS keeps some and is missing."""
        self._write_files(url, commit, tree, call)
        is_lacking = self._fill_lfs(url, tree, call)
        for submodule in git_tree.submodules(call.program, tree, pump=call.pump):
            try:
                is_lacking |= self._lay_out_submodule(url, submodule, tree, call, level + 1)
            except Cancelled:
                raise
            except PuffinError as error:
                raise in_submodule(error, submodule.path, url) from error
        return is_lacking

    def _lay_out_submodule(
        self, parent: GitUrl, submodule: git_tree.Submodule, tree: Path, call: GitCall, level: int
    ) -> bool:
        if not submodule.address:
            raise unusable(parent, ".gitmodules has no address for it")
        place = git_tree.place_of(tree, submodule.path)
        if place is None or level > _MOST_LEVELS:
            raise unusable(parent, "there is no place for it in the repository")
        url, login = submodule_url(parent, submodule.address, submodule.commit)
        if login is not None:
            self.repositories.logins.add(url, login)
        # It is the outermost repository whose history makes the version of a project.
        without_history = attrs.evolve(call, history=False)
        return self.lay_out(url, submodule.commit, place, without_history, level)

    def _write_files(self, url: GitUrl, commit: str, tree: Path, call: GitCall) -> None:
        places = self.repositories.databases(url, call)
        database = next((place for place in places if place.is_noted(commit, history=call.history)), None)
        if database is not None and database.read_only:
            try:
                _read(database, commit, tree, call)
            except (
                GitFailed,
                OSError,
            ):  # it is damaged, or changes just now: nobody keeps that from doing so
                _clear(tree)
            else:
                return
        try:
            self._write_own_files(url, commit, tree, call)
        except (GitFailed, FileNotFoundError) as failure:
            if isinstance(failure, GitFailed) and (path := refused_path(failure)):
                raise unusable(url, f"it holds a path that git does not write: {path}") from failure
            # Something of the database must be damaged: all of it is fetched anew.
            own = self.repositories.database(url, call)
            with self.repositories.held(own.lock, f"mending {url.url}", call):
                own.remove()
            _clear(tree)
            try:
                self._write_own_files(url, commit, tree, call)
            except GitFailed as failure:
                raise local_error(failure, url, self.repositories.layout.root) from failure

    def _write_own_files(self, url: GitUrl, commit: str, tree: Path, call: GitCall) -> None:
        self.repositories.bring(url, commit, call, is_own=True)
        database = self.repositories.database(url, call)
        _read(
            database,
            commit,
            tree,
            call,
            lambda: self.repositories.held(database.lock, f"reading {url.url}", call),
        )

    def _fill_lfs(self, url: GitUrl, tree: Path, call: GitCall) -> bool:
        """Get the files that Git LFS keeps; True where it is missing."""
        if not self.lfs or not git_tree.wants_lfs(tree):
            return False
        if not call.program.has("git-lfs"):
            return True
        self._check_lfs(url, tree, call)
        login = self.repositories.logins.of(url)

        def fill() -> int:
            return git_tree.fill_lfs(call.program, tree, url.address, login, pump=call.pump)

        self.repositories.remote.transfer(url, call.pump, fill, is_last=True)
        return False

    def _check_lfs(self, url: GitUrl, tree: Path, call: GitCall) -> None:
        """Refuse a repository that would have Git LFS read files of this machine, or call by ssh."""
        try:
            addresses = git_tree.lfs_addresses(call.program, tree, pump=call.pump)
        except GitFailed as failure:
            raise unusable(url, f"its settings for Git LFS cannot be read: {failure}") from failure
        for address in addresses:
            try:
                place, _ = submodule_url(url, address, "")
            except RequirementInvalid as error:
                raise unusable(url, f"the place that it names for Git LFS is none: {error}") from error
            if is_ssh(place.address) and not is_ssh(url.address):
                raise unusable(url, f"it wants files of Git LFS by ssh, from {place.url}")


def _read(
    database: GitDatabase,
    commit: str,
    tree: Path,
    call: GitCall,
    held: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Write the files of a commit, and a repository that holds it."""
    with held():
        tags = database.tags(commit) if call.history else ""
        is_cut = database.is_cut(commit)
        git_tree.make_repository(database.folder, tree, commit, tags=tags, is_cut=is_cut)
    git_tree.fill(call.program, tree, pump=call.pump)


def _clear(tree: Path) -> None:
    remove_tree(tree)
    tree.mkdir()
