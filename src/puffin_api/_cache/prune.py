"""Pruning: how large the cache is, and the removal of what nothing leads to any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

import attrs

from puffin_api._cache.archive_store import MANIFEST
from puffin_api._cache.layout import Bucket
from puffin_api._fs import linked_text, read_directory_link, remove_tree, rename, unique_name
from puffin_api._fs.atomic import TEMPORARY_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from puffin_api._cache.layout import CacheLayout

_LINK_BUCKETS = (Bucket.WHEELS, Bucket.BUILT_WHEELS)
_PROJECT_BUCKETS = (Bucket.SIMPLE, Bucket.WHEELS, Bucket.BUILT_WHEELS)
# How many folders lie between a bucket and its projects, by kind: one more where files at one address
# are told apart by what the server says of them, or by their time.
_KIND_DEPTHS = {"pypi": (0,), "index": (1, 2), "url": (1, 2), "path": (1, 2), "git": (2,)}
DAY = 86400.0


@attrs.frozen(kw_only=True)
class DiskUse:
    """What lies in a cache; a file with several names counts once."""

    files: int
    size: int
    """Bytes."""
    buckets: Mapping[str, int]
    """Bytes by the name of the folder below the root."""


@attrs.frozen(kw_only=True)
class Removed:
    """What was removed: the top of each tree, and the bytes that this gave back."""

    paths: tuple[Path, ...]
    size: int


def size(layout: CacheLayout) -> DiskUse:
    """Add up what lies in the cache."""
    seen: set[tuple[int, int]] = set()
    buckets: dict[str, int] = {}
    for top in _children(layout.root):
        buckets[top.name] = sum(_sizes(Path(top.path), seen))
    return DiskUse(files=len(seen), size=sum(buckets.values()), buckets=buckets)


def prune_unreferenced(layout: CacheLayout, *, older_than: float = DAY, now: float | None = None) -> Removed:
    """Remove archives that no link leads to, and what killed processes left unfinished.

    Args:
        layout: The cache.
        older_than: Seconds that something must have been left alone. What is younger stays: its link
            may be about to be published, or an installation may be reading it.
        now: The time, in seconds since the epoch, if not the present.

    Raises:
        OSError: A link could not be read, so nobody knows what it leads to; no archive was removed.
    """
    before = (time.time() if now is None else now) - older_than
    linked = _linked_archives(layout)
    orphans = [
        Path(entry.path)
        for entry in _children(layout.bucket(Bucket.ARCHIVE))
        if os.path.realpath(entry.path) not in linked
    ]
    return _remove_all(layout, (path for path in [*orphans, *_unfinished(layout)] if _changed(path) < before))


def remove(layout: CacheLayout, names: Iterable[str]) -> Removed:
    """Remove all that is known of these projects (normalised names).

    Their archives become orphans: whoever uses one keeps it until `prune_unreferenced`.
    """
    wanted = frozenset(names)
    found = [
        Path(entry.path)
        for bucket in _PROJECT_BUCKETS
        for folder in _project_folders(layout.bucket(bucket))
        for entry in _children(folder)
        if _project_of(entry.name) in wanted
    ]
    return _remove_all(layout, found)


def dangling_links(layout: CacheLayout) -> tuple[Path, ...]:
    """Return the links that lead to no complete archive; a look-up takes them for missing already."""
    return tuple(
        path
        for bucket in _LINK_BUCKETS
        for path in _links(layout.bucket(bucket))
        if not _leads_to_archive(path)
    )


def verify(layout: CacheLayout) -> Removed:
    """Remove the links that lead to no complete archive."""
    return _remove_all(layout, [path for path in dangling_links(layout) if not _leads_to_archive(path)])


def _leads_to_archive(link: Path) -> bool:
    archive = read_directory_link(link)
    return archive is not None and (archive / MANIFEST).is_file()


def _linked_archives(layout: CacheLayout) -> set[str]:
    """Return the canonical paths that links lead to."""
    return {
        os.path.realpath(os.path.join(path.parent, text))
        for bucket in _LINK_BUCKETS
        for path, text in _links(layout.bucket(bucket)).items()
    }


def _links(folder: Path) -> dict[Path, str]:
    """Find the links of any kind in a tree, with what they say."""
    found: dict[Path, str] = {}
    for path in _walk(folder):
        try:
            text = linked_text(path)
        except FileNotFoundError:  # removed meanwhile
            continue
        if text is not None:
            found[path] = text
    return found


def _unfinished(layout: CacheLayout) -> Iterator[Path]:
    """Find scratch folders and files that were never renamed."""
    yield from (Path(entry.path) for entry in _children(layout.temporary))
    for bucket in Bucket:
        if bucket not in (
            Bucket.ARCHIVE,
            Bucket.GIT,
        ):  # what lies in these is not written by us, file by file
            yield from (p for p in _walk(layout.bucket(bucket)) if p.name.endswith(TEMPORARY_SUFFIX))


def _project_folders(bucket: Path) -> Iterator[Path]:
    for kind, depths in _KIND_DEPTHS.items():
        folders = [bucket / kind]
        for depth in range(1 + max(depths)):
            if depth in depths:
                yield from folders
            folders = [Path(entry.path) for folder in folders for entry in _children(folder)]


def _project_of(name: str) -> str:
    """Return the project that a file or folder belongs to: what follows a dot is a suffix of ours.

    A link to a wheel of some other project is no such folder, though it may begin like one.
    """
    project, _, suffix = name.partition(".")
    return name if "-" in suffix else project


def _remove_all(layout: CacheLayout, paths: Iterable[Path]) -> Removed:
    done: list[Path] = []
    freed = 0
    for path in paths:
        trash = layout.temporary / unique_name()
        trash.parent.mkdir(exist_ok=True)
        try:
            # Out of sight in one step: nobody may find half an archive.
            rename(path, trash)
        except FileNotFoundError:
            continue
        freed += sum(_sizes(trash, set()))
        remove_tree(trash)
        done.append(path)
    return Removed(paths=tuple(done), size=freed)


def _changed(path: Path) -> float:
    """Return when something was last changed or renamed; far ahead where it is gone."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return float("inf")
    return max(status.st_mtime, status.st_ctime)


def _sizes(top: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    """Give the size of each file in a tree that was not seen yet."""
    for path in _walk(top):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        identity = status.st_dev, status.st_ino
        if identity not in seen:
            seen.add(identity)
            yield status.st_size


def _walk(top: Path) -> Iterator[Path]:
    """Give all that is no directory in a tree, links included; they are not followed."""
    if not _is_tree(top):
        if os.path.lexists(top):
            yield top
        return
    folders = [top]
    for folder in folders:
        for entry in _children(folder):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and _is_tree(path):
                folders.append(path)
            else:
                yield path


def _is_tree(path: Path) -> bool:
    """Tell a real directory from a link to one; a junction calls itself a directory."""
    if path.is_symlink() or not path.is_dir():
        return False
    try:
        os.readlink(path)
    except OSError:
        return True
    return False


def _children(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder, sorted by name; a missing one is empty."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
