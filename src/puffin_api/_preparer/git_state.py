"""What a git repository on disk has checked out, read from its files: no process is started for it."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?").fullmatch
_REF = re.compile(r"refs/[^\0\n]+").fullmatch
_LARGEST = 64 << 20
_MOST_HOPS = 5


def current_commit(tree: str | os.PathLike[str]) -> str:
    """Return the commit that is checked out; empty where there is no repository or no commit.

    In repositories that keep their references in tables, something else that changes with every commit.
    """
    folder = _git_folder(tree)
    if not folder:
        return ""
    common = _common_folder(folder)
    text = _read(folder, "HEAD")
    for _ in range(_MOST_HOPS):
        if not text.startswith("ref:"):
            break
        text = _reference(common, text.removeprefix("ref:").strip())
    if _COMMIT(text):
        return text
    return " ".join(_read(common, "reftable/tables.list").split())


def current_tags(tree: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the tags with what they point to, each as ``<id> <reference>``, sorted."""
    folder = _git_folder(tree)
    if not folder:
        return ()
    common = _common_folder(folder)
    tags = {ref: value for ref, value in _packed(common) if ref.startswith("refs/tags/")}
    top = os.path.join(common, "refs", "tags")
    for where, _, files in os.walk(top):
        for file in files:
            ref = f"refs/tags/{os.path.relpath(os.path.join(where, file), top)}".replace(os.sep, "/")
            tags[ref] = _read(common, ref)
    tables = _read(common, "reftable/tables.list").split()
    return (*sorted(f"{value} {ref}" for ref, value in tags.items()), *tables)


def _git_folder(tree: str | os.PathLike[str]) -> str:
    """Return the folder of the repository that a tree is in, itself or above."""
    here = os.path.abspath(tree)
    while True:
        place = os.path.join(here, ".git")
        if os.path.isdir(place):
            return place
        # Worktrees and submodules have a file that says where the folder is.
        if (text := _read(here, ".git")).startswith("gitdir:"):
            return os.path.join(here, text.removeprefix("gitdir:").strip())
        above = os.path.dirname(here)
        if above == here:
            return ""
        here = above


def _common_folder(folder: str) -> str:
    """Return where the references are: those of a worktree are its repository's."""
    return os.path.join(folder, _read(folder, "commondir") or ".")


def _reference(common: str, ref: str) -> str:
    if not _REF(ref) or ".." in ref.split("/"):
        return ""
    return _read(common, ref) or dict(_packed(common)).get(ref, "")


def _packed(common: str) -> Iterator[tuple[str, str]]:
    for line in _read(common, "packed-refs").splitlines():
        value, _, ref = line.partition(" ")
        if _COMMIT(value):
            yield ref, value


def _read(folder: str, file: str) -> str:
    try:
        with open(os.path.join(folder, file), encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST).strip()
    except OSError:  # not there, a folder, not for us: nothing that could be told
        return ""
