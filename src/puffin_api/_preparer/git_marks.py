"""Checkouts that are complete: how they are marked, and how they are found without starting a process."""

from __future__ import annotations

import hashlib
import os
import stat

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._model.git_url import GitUrl

TREE = "tree"
_COMPLETE = "complete"
_FORMAT = "puffin-checkout-v1"
_LFS_MISSING = "git-lfs-missing"


@attrs.frozen(kw_only=True, eq=False)
class GitMarks:
    """Finds the checkouts of a cache.

    Args:
        layout: Where they are made.
        layers: Caches that are only read.
        lfs: Whether files that Git LFS keeps are wanted.
        has_lfs: Tells whether they could be had now.
    """

    layout: CacheLayout
    layers: Sequence[CacheLayout]
    lfs: bool
    has_lfs: Callable[[], bool]

    def folder(self, url: GitUrl, commit: str, *, history: bool) -> Path:
        """Return the folder in which a checkout is made."""
        return self._folder(self.layout, url, commit, history=history)

    def _folder(self, layout: CacheLayout, url: GitUrl, commit: str, *, history: bool) -> Path:
        folder = layout.git_checkout(url.repository, commit)
        options = f"{'' if history else '-cut'}{'' if self.lfs else '-pointers'}"
        return folder.with_name(folder.name + options)

    def find(self, url: GitUrl, commit: str, *, history: bool) -> Path | None:
        """Return the tree of a checkout that is there and whole, with the history or more."""
        for folder in self._folders(url, commit, history=history):
            mark = _read(folder)
            if mark[:2] != [_FORMAT, commit] or (_LFS_MISSING in mark and self.has_lfs()):
                continue
            if mark[2:3] == [_state(folder / TREE)]:  # nobody has damaged or edited anything
                return folder / TREE
        return None

    def _folders(self, url: GitUrl, commit: str, *, history: bool) -> Iterator[Path]:
        for layout in (self.layout, *self.layers):
            for whole in (True,) if history else (True, False):
                yield self._folder(layout, url, commit, history=whole)


def write_mark(folder: Path, commit: str, *, misses_lfs: bool) -> None:
    """Mark a checkout as complete: the last thing that is written.

    Raises:
        OSError: It cannot be written.
    """
    mark = [_FORMAT, commit, _state(folder / TREE), *([_LFS_MISSING] if misses_lfs else [])]
    (folder / _COMPLETE).write_text("\n".join(mark), "ascii")


def misses_lfs(tree: Path) -> bool:
    """Tell whether a tree has pointers in the place of files that Git LFS keeps."""
    return _LFS_MISSING in _read(tree.parent)


def _read(folder: Path) -> list[str]:
    try:
        return (folder / _COMPLETE).read_text("ascii").split()
    except (OSError, ValueError):
        return []


def _state(tree: Path) -> str:
    """Return a text that changes when a file of a checkout is changed, removed or added.

    It stays when somebody takes away the right to write, or gives it to others.
    """
    digest = hashlib.sha256()
    todo = [os.fspath(tree)]
    while todo:
        folder = todo.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return ""
        for entry in entries:
            if entry.name == ".git":  # git writes into it
                continue
            status = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(status.st_mode)
            if is_folder:
                todo.append(entry.path)
            size, when = (0, 0) if is_folder else (status.st_size, status.st_mtime_ns)
            kind = f"{stat.S_IFMT(status.st_mode):o} {status.st_mode & 0o100 and not is_folder}"
            row = f"{folder[len(os.fspath(tree)) :]} {entry.name!r} {kind} {size} {when}\n"
            digest.update(row.encode(errors="surrogateescape"))
    return digest.hexdigest()
