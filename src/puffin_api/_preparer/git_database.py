"""One bare clone for each repository: what was fetched once is never fetched again.

Beside what git keeps in it, the folder holds a mark that is written last when it is made, a file for each
commit that is known to be complete (with or without what came before it), and what refs led to when the
server was asked for the last time.
"""

from __future__ import annotations

import os
from contextlib import suppress

from puffin_api._cache.keys import digest
from puffin_api._cache.mending import make_folder, write_file
from puffin_api._fs import remove_tree, rename, unique_name
from puffin_api._preparer.git_failures import is_refusal
from puffin_api._preparer.git_program import GitFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._concurrency import Pump
    from puffin_api._model.git_url import GitUrl, Login
    from puffin_api._preparer.git_program import GitProgram

_READY = "puffin-database-v0"
_COMMITS = "puffin-commits"
_REFS = "puffin-refs"
_TREE, _HISTORY = b"tree\n", b"history\n"
_FORMATS = {40: "sha1", 64: "sha256"}
_FETCHED = "refs/puffin/fetched"
"""For commits that were fetched, no matter with what."""
_WHOLE = "refs/puffin/whole"
"""For commits that were fetched with their history and its tags."""
_TAGS = "+refs/tags/*:refs/tags/*"
_BRANCHES_AND_TAGS = ("+refs/heads/*:refs/puffin/heads/*", _TAGS)
_EVERYTHING = ("+refs/*:refs/puffin/all/*",)


class GitDatabase:
    """The clone of one repository, for one call. Whoever fetches into it holds its lock.

    One that is only read has what is noted, and nothing is ever written into it.
    """

    def __init__(
        self,
        program: GitProgram,
        layout: CacheLayout,
        url: GitUrl,
        login: Login | None,
        pump: Pump,
        *,
        read_only: bool = False,
    ) -> None:
        self._program = program
        self._layout = layout
        self._address = url.address
        self._login = login
        self._pump = pump
        self.read_only = read_only
        self.folder: Path = layout.git_database(url.repository)
        self.lock: Path = layout.lock("git", url.repository)

    def has(self, commit: str, *, history: bool = False) -> bool:
        """Tell whether a commit is there with all its files; starts no process where that is noted.

        Args:
            commit: Its full name.
            history: Whether all that came before it has to be there too.
        """
        if self.is_noted(commit, history=history):
            return True
        return not self.read_only and self._exists() and self._look_up(commit, history=history)

    def is_noted(self, commit: str, *, history: bool = False) -> bool:
        """Tell whether it is noted that a commit is there; starts no process."""
        note = self._noted(commit) if self._exists() else b""
        return note == _HISTORY or (note == _TREE and not history)

    def commits(self, start: str) -> list[str]:
        """Return the commits whose names begin so."""
        if not self._exists():
            return []
        if self.read_only:
            return [name for name in self._all_noted() if name.startswith(start.lower())]
        found = self._run("rev-parse", f"--disambiguate={start.lower()}").split()
        return [name for name in found if self._look_up(name, history=False)]

    def tags(self, commit: str) -> str:
        """Return the tags in the history of a commit, as lines of a file of packed refs."""
        line = "--format=%(objectname) %(refname)"
        return self._run("for-each-ref", line, f"--merged={commit}", "refs/tags")

    def is_cut(self, commit: str) -> bool:
        """Tell whether something is missing of what came before a commit that is there."""
        cut = self._cut_commits()
        roots = self._run("rev-list", "--max-parents=0", commit, "--").split() if cut else ()
        return not cut.isdisjoint(roots)

    def noted_ref(self, ref: str) -> str:
        """Return what a ref led to when the server was last asked; empty where that is not known."""
        try:
            return (self.folder / _REFS / digest(ref)).read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    def note_ref(self, refs: Sequence[str], found: str, commit: str) -> None:
        """Note what a ref leads to, and which ones before it there are not."""
        for ref in refs:
            place = self.folder / _REFS / digest(ref)
            if ref == found:
                if self.noted_ref(ref) != commit:
                    self._write(place, f"{commit}\n".encode())
                return
            if not self.read_only:
                _remove_files(place.parent, [place.name])

    def remote_refs(self, *patterns: str) -> Mapping[str, str]:
        """Ask the server what its refs lead to; those of annotated tags also as ``<ref>^{}``.

        Raises:
            GitFailed: It did not answer.
        """
        output = self._call("ls-remote", "--quiet", "--", self._address, *patterns)
        lines = (line.partition("\t") for line in output.splitlines())
        return {ref: value for value, tab, ref in lines if tab}

    def fetch_commit(self, commit: str, ref: str = "", *, history: bool = False) -> int:
        """Fetch a commit, as little else as the server allows; returns the bytes that this took.

        It may be missing nevertheless, as the ref may have moved.

        Args:
            commit: Its full name.
            ref: What leads to it: no server refuses to send that.
            history: With all that came before it.

        Raises:
            GitFailed: The server cannot be read.
        """
        self._prepare(commit)
        before = self._size()
        try:
            source = ref or commit
            if history:
                tags = ("--prune", _TAGS)  # all of them: a server does not say which are in the history
                self._fetch(f"+{source}:{_WHOLE}/{commit}", *self._depth(history=True), *tags)
            else:
                self._fetch(f"+{source}:{_FETCHED}/{commit}", *self._depth(history=False))
        except GitFailed as failure:
            if not is_refusal(failure):
                raise
            self._fetch_more(commit)
        if self._look_up(commit, history=False) and history:
            # Where the repository has no more either, this is all of it.
            self._note(commit, _HISTORY)
        return self._size() - before

    def fetch_all(self, length: int = 40) -> int:
        """Fetch all branches and tags; returns the bytes that this took."""
        self._prepare("0" * length)
        before = self._size()
        self._fetch(*_BRANCHES_AND_TAGS, *self._depth(history=True), "--prune")
        return self._size() - before

    def remove(self) -> None:
        """Remove it, since it is damaged."""
        remove_tree(self.folder)

    def _fetch_more(self, commit: str) -> None:
        """Fetch more and more, until the commit is there."""
        for refs in (_BRANCHES_AND_TAGS, _EVERYTHING):
            self._fetch(*refs, *self._depth(history=True), "--prune")
            if self._look_up(commit, history=False):
                return

    def _fetch(self, *words: str) -> None:
        options = [word for word in words if word.startswith("--")]
        refs = [word for word in words if not word.startswith("--")]
        # Tags come only where they are asked for: which ones would follow depends on server and protocol.
        command = ("fetch", "--quiet", "--force", "--no-tags", "--update-shallow", *options)
        self._call(*command, "--", self._address, *refs, folder=self.folder)

    def _depth(self, *, history: bool) -> tuple[str, ...]:
        is_cut = os.path.exists(self.folder / "shallow")
        if history:
            return ("--unshallow",) if is_cut else ()
        # What is whole stays so: then a fetch takes little anyway.
        is_empty = not os.path.exists(self.folder / "refs" / "puffin")
        return ("--depth=1",) if is_cut or is_empty else ()

    def _prepare(self, commit: str) -> None:
        """Make the database where there is none, or one of another format."""
        name = _FORMATS[len(commit)]
        if self._format() == name:
            self._clear_remains()
            return
        scratch = self._layout.temporary / unique_name()
        make_folder(self._layout.root, scratch.parent)
        option = () if name == "sha1" else (f"--object-format={name}",)  # which older gits do not know
        try:
            self._program.run(
                ["init", "--quiet", "--bare", "--template=", *option, str(scratch)],
                pump=self._pump,
                cwd=scratch.parent,
            )
            (scratch / _READY).write_text(f"{name}\n", "ascii")
            if not self._exists() and os.path.isdir(self.folder / _REFS):
                rename(self.folder / _REFS, scratch / _REFS)  # noted while a layer had all that was asked for
            make_folder(self._layout.root, self.folder.parent)
            remove_tree(self.folder)
            rename(scratch, self.folder)
        finally:
            remove_tree(scratch)

    def _clear_remains(self) -> None:
        """Remove what a killed git has left: we hold the lock, so none is at work."""
        for folder, _, names in os.walk(self.folder / "refs"):
            _remove_files(folder, (name for name in names if name.endswith(".lock")))
        locks = ("shallow.lock", "packed-refs.lock", "config.lock", "HEAD.lock")
        _remove_files(self.folder, locks)
        packs = self.folder / "objects" / "pack"
        with suppress(OSError):
            _remove_files(packs, (name for name in os.listdir(packs) if name.startswith("tmp_")))

    def _exists(self) -> bool:
        return self._format() != ""

    def _format(self) -> str:
        try:
            return (self.folder / _READY).read_text("ascii").strip()
        except OSError:
            return ""

    def _look_up(self, commit: str, *, history: bool) -> bool:
        """Find out whether a commit is there, and note it."""
        try:
            found = self._run("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").strip()
            if found != commit or (history and not self._is_whole(commit)):
                return False
        except GitFailed:
            return False
        self._note(commit, _HISTORY if history else _TREE)
        return True

    def _is_whole(self, commit: str) -> bool:
        """Tell whether a commit is in the history of one that was fetched with it."""
        places = (_WHOLE, "refs/puffin/heads", "refs/puffin/all")
        return bool(self._run("for-each-ref", "--count=1", f"--contains={commit}", *places))

    def _cut_commits(self) -> set[str]:
        try:
            return set((self.folder / "shallow").read_text("ascii").split())
        except OSError:
            return set()

    def _noted(self, commit: str) -> bytes:
        try:
            return (self.folder / _COMMITS / commit).read_bytes()
        except OSError:
            return b""

    def _all_noted(self) -> list[str]:
        try:
            return sorted(os.listdir(self.folder / _COMMITS))
        except OSError:
            return []

    def _note(self, commit: str, content: bytes) -> None:
        self._write(self.folder / _COMMITS / commit, content)

    def _write(self, path: Path, content: bytes) -> None:
        if self.read_only:
            return
        with suppress(OSError):  # a cache that cannot be written: it is found out anew each time
            write_file(self._layout.root, path, content)

    def _size(self) -> int:
        with suppress(OSError), os.scandir(self.folder / "objects" / "pack") as files:
            return sum(file.stat().st_size for file in files if file.name.endswith(".pack"))
        return 0

    def _run(self, *arguments: str) -> str:
        return self._program.run(arguments, pump=self._pump, cwd=self.folder, folder=self.folder)

    def _call(self, *arguments: str, folder: Path | None = None) -> str:
        return self._program.run(
            arguments,
            pump=self._pump,
            cwd=folder or self._layout.root,
            folder=folder,
            address=self._address,
            login=self._login,
        )


def _remove_files(folder: Path | str, names: Iterable[str]) -> None:
    for name in names:
        with suppress(OSError):
            os.unlink(os.path.join(folder, name))
