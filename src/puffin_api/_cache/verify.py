"""Verifying: whether everything in a cache is what was written, and the removal of what is not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import attrs

from puffin_api._cache.archive_store import MANIFEST
from puffin_api._cache.disk_use import LINK_BUCKETS, children, target_of, walk
from puffin_api._cache.layout import Bucket
from puffin_api._cache.metadata_table import is_metadata_table
from puffin_api._cache.project_table import is_page_table
from puffin_api._cache.prune import Piece, Remover
from puffin_api._cache.store import read_entry
from puffin_api._fs.atomic import TEMPORARY_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.leases import Leases
    from puffin_api._cache.prune import Removed

_ARCHIVE_SUFFIX = ".archive"
"""Of sources as they were downloaded, in a folder that is named by their digest."""
_KNOWN_SUFFIXES = (".metadata", ".http", TEMPORARY_SUFFIX)
"""Of files that may lie beside the links to wheels."""


@attrs.frozen(kw_only=True)
class Verified:
    """What was found, and what was removed of it."""

    damaged: Mapping[Path, str]
    """What is wrong, by path."""
    removed: Removed


def verify(
    layout: CacheLayout,
    leases: Leases,
    *,
    inspect: Callable[[Path], str],
    repair: bool,
    check: Callable[[], None] = lambda: None,
) -> Verified:
    """Read everything and remove what is damaged.

    An archive that an operation under way has taken only loses its links: it goes when it is pruned.

    Args:
        layout: The cache.
        leases: Who uses it.
        inspect: Says what is wrong with an archive, empty where nothing is.
        repair: False to remove nothing.
        check: Called now and then; may raise.
    """
    archives: dict[Path, str] = {}
    for entry in children(layout.bucket(Bucket.ARCHIVE)):
        check()
        damage = inspect(Path(entry.path))
        if damage and os.path.lexists(entry.path):
            archives[Path(entry.path)] = damage
    others = dict(_damaged_links(layout, archives))
    for path, damage in _damaged_entries(layout):
        check()
        others[path] = damage
    work = Remover(layout, leases, check)
    if repair:
        for path in others:
            work.discard(path)
        work.remove(Piece(path, float("inf")) for path in archives)
    return Verified(damaged={**archives, **others}, removed=work.removed())


def _damaged_links(layout: CacheLayout, archives: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """Give the links that lead to no sound archive, and what stands in the place of one."""
    damaged = {os.path.realpath(path) for path in archives}
    for bucket in LINK_BUCKETS:
        for path in walk(layout.bucket(bucket)):
            if path.name.endswith(_KNOWN_SUFFIXES):
                continue
            look = _damage_of_sources if path.name.endswith(_ARCHIVE_SUFFIX) else _damage_of_link
            damage = look(path, damaged)
            # Somebody may have replaced or removed it while it was looked at.
            if damage and os.path.lexists(path) and damage == look(path, damaged):
                yield path, damage


def _damage_of_link(path: Path, damaged: Collection[str]) -> str:
    try:
        archive = target_of(path)
    except FileNotFoundError:
        return ""
    if archive is None:
        return "is no link"
    if archive in damaged:
        return "leads to a damaged archive"
    return "" if os.path.isfile(os.path.join(archive, MANIFEST)) else "leads to no archive"


def _damage_of_sources(path: Path, _: Collection[str]) -> str:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if path.parent.name.startswith(digest[:32]) else "is damaged"


def _damaged_entries(layout: CacheLayout) -> Iterator[tuple[Path, str]]:
    for bucket in (Bucket.SIMPLE, Bucket.FLAT_INDEX, Bucket.INTERPRETER):
        for path in walk(layout.bucket(bucket)):
            if path.name.endswith(TEMPORARY_SUFFIX) or _is_sound(path):
                continue
            # Somebody may have replaced it while it was read.
            if os.path.lexists(path) and not _is_sound(path):
                yield path, "is damaged, or of another version"


def _is_sound(path: Path) -> bool:
    if path.name.endswith(".page"):
        return is_page_table(path)
    if path.name.endswith(".meta"):
        return is_metadata_table(path)
    return read_entry(path) is not None
