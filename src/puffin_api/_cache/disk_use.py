"""What lies in a cache: files, links, sizes; whatever vanishes meanwhile is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from puffin_api._cache.layout import Bucket
from puffin_api._fs import linked_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from puffin_api._cache.layout import CacheLayout

LINK_BUCKETS = (Bucket.WHEELS, Bucket.BUILT_WHEELS)


@attrs.frozen(kw_only=True)
class DiskUse:
    """What lies in a cache; a file with several names counts once."""

    files: int
    size: int
    """Bytes."""
    buckets: Mapping[str, int]
    """Bytes by the name of the folder below the root."""


def size(layout: CacheLayout) -> DiskUse:
    """Add up what lies in the cache."""
    seen: set[tuple[int, int]] = set()
    buckets: dict[str, int] = {}
    for top in children(layout.root):
        buckets[top.name] = sum(_sizes(Path(top.path), seen))
    return DiskUse(files=len(seen), size=sum(buckets.values()), buckets=buckets)


def size_of(top: Path) -> int:
    """Add up the bytes of one tree, or the size of one file."""
    return sum(_sizes(top, set()))


def links(layout: CacheLayout) -> dict[Path, str]:
    """Return the links to archives, of any kind, each with the canonical path that it says.

    Raises:
        OSError: A link could not be read, so nobody knows what it leads to.
    """
    found: dict[Path, str] = {}
    for bucket in LINK_BUCKETS:
        for path in walk(layout.bucket(bucket)):
            try:
                target = target_of(path)
            except FileNotFoundError:  # removed meanwhile
                continue
            if target is not None:
                found[path] = target
    return found


def target_of(link: Path) -> str | None:
    """Return the canonical path that a link of any kind says, None where it is no link.

    Raises:
        OSError: It is missing or cannot be read.
    """
    text = linked_text(link)
    return None if text is None else os.path.realpath(os.path.join(link.parent, text))


def walk(top: Path) -> Iterator[Path]:
    """Give all that is no directory in a tree, links included; they are not followed."""
    if _is_link(top) or not top.is_dir():
        if os.path.lexists(top):
            yield top
        return
    folders = [top]
    for folder in folders:
        for entry in children(folder):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and not _is_link(path):
                folders.append(path)
            else:
                yield path


def children(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder, sorted by name; a missing one is empty."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sizes(top: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    """Give the size of each file in a tree that was not seen yet."""
    for path in walk(top):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        identity = status.st_dev, status.st_ino
        if identity not in seen:
            seen.add(identity)
            yield status.st_size


def _is_link(path: Path) -> bool:
    """Tell a link from a real directory; a junction calls itself a directory."""
    try:
        os.readlink(path)
    except OSError:
        return False
    return True
