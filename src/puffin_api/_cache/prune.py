"""Pruning: the removal of what nothing leads to, what was not used for long, and what is too much."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import attrs

from puffin_api._cache.disk_use import children, links, size, size_of, target_of, walk
from puffin_api._cache.layout import PYPI, Bucket
from puffin_api._cache.leases import DAY
from puffin_api._cache.mending import make_folder
from puffin_api._fs import remove_tree, rename, unique_name
from puffin_api._fs.atomic import TEMPORARY_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.leases import Leases

_PROJECT_BUCKETS = (Bucket.SIMPLE, Bucket.WHEELS, Bucket.BUILT_WHEELS)
_ENTRY_BUCKETS = (*_PROJECT_BUCKETS, Bucket.FLAT_INDEX, Bucket.INTERPRETER)
"""What lies in the others is not written by us, file by file."""
# How many folders lie between a bucket and its projects, by kind: one more where files at one address
# are told apart by what the server says of them, or by their time.
_KIND_DEPTHS = {"pypi": (0,), "given": (0,), "index": (1, 2), "url": (1, 2), "path": (1, 2), "git": (2,)}


@attrs.frozen(kw_only=True)
class Removed:
    """What was removed: the top of each tree, and the bytes that this gave back."""

    paths: tuple[Path, ...]
    size: int


class Piece:
    """Something that goes or stays as a whole: an archive with its links, an entry, a kept change."""

    __slots__ = ("is_change", "links", "path", "used")

    def __init__(
        self, path: Path, used: float, links: Iterable[Path] = (), *, is_change: bool = False
    ) -> None:
        self.path = path
        self.used = used
        """When it was last used, as far as the file system tells."""
        self.links = tuple(links)
        self.is_change = is_change
        """Whether it goes only while no operation is under way: what an environment's last change has put
        aside, and repositories."""


def prune(
    layout: CacheLayout,
    leases: Leases,
    *,
    unused_for: float | None = None,
    max_bytes: int | None = None,
    older_than: float = DAY,
    now: float | None = None,
    check: Callable[[], None] = lambda: None,
) -> Removed:
    """Remove what is not needed; what an operation under way uses, in any process, stays.

    Archives that no link leads to and what killed processes left unfinished always go. So do the archives
    of links into which no environment leads symbolically, once they are unused for too long or too much.

    Args:
        layout: The cache.
        leases: Who uses it.
        unused_for: Seconds; what was not used for so long goes.
        max_bytes: What was not used for longest goes until so much is left.
        older_than: Seconds that something unfinished or without a link must have been left alone: its
            link may be about to be published.
        now: The time, in seconds since the epoch, if not the present.
        check: Called now and then; may raise.

    Raises:
        OSError: A link could not be read, so nobody knows what it leads to; nothing was removed.
    """
    work = Remover(layout, leases, check)
    now = time.time() if now is None else now
    archives = _archives(layout)
    lost = [piece for piece in archives if not piece.links] + list(_unfinished(layout))
    work.remove(piece for piece in lost if _changed(piece.path) < now - older_than)
    if unused_for is not None:
        work.remove(piece for piece in _all_pieces(layout, archives) if piece.used < now - unused_for)
    if max_bytes is not None:
        _shrink(work, layout, lambda: _all_pieces(layout, _archives(layout)), max_bytes)
    return work.removed()


def remove(layout: CacheLayout, leases: Leases, names: Iterable[str]) -> Removed:
    """Remove all that is known of these projects (normalised names).

    Their archives become orphans: whoever uses one keeps it until `prune`.
    """
    wanted = {text for name in names for text in (name, layout.simple(PYPI, name).name)}
    work = Remover(layout, leases)
    for bucket in _PROJECT_BUCKETS:
        for folder in _project_folders(layout.bucket(bucket)):
            for entry in children(folder):
                if _project_of(entry.name) in wanted:
                    work.discard(Path(entry.path))
    return work.removed()


class Remover:
    """Removes single things so that nobody finds a part of one, or loses what is in use."""

    def __init__(self, layout: CacheLayout, leases: Leases, check: Callable[[], None] = lambda: None) -> None:
        self._layout = layout
        self._leases = leases
        self._check = check
        self._symlinked: set[str] = set()
        self._is_settled = False
        """Whether nobody was at work who could have made symbolic links since we looked at them."""
        self._paths: list[Path] = []
        self._size = 0

    def removed(self) -> Removed:
        """Return what was removed so far."""
        return Removed(paths=tuple(self._paths), size=self._size)

    def remove(self, pieces: Iterable[Piece]) -> None:
        """Remove those pieces that are not in use, and were not since they were looked at."""
        for piece in pieces:
            self._check()
            with self._leases.gate():
                trash = None if self._is_used(piece) else self._take_away(piece)
            if trash is not None:
                self._empty(piece.path, trash)

    def discard(self, path: Path) -> None:
        """Remove whatever stands at a path, used or not."""
        trash = self._rename(path)
        if trash is not None:
            self._empty(path, trash)

    def _is_used(self, piece: Piece) -> bool:
        """Tell whether a piece stays. Nobody can begin to use it meanwhile: we hold the gate."""
        oldest = self._leases.oldest()
        if not self._is_settled:  # after the leases: who has given one back has made all links
            self._symlinked = self._leases.symlinked()
            self._is_settled = oldest == float("inf")
        try:
            when = os.lstat(piece.path).st_mtime
        except OSError:
            return True  # gone
        if piece.is_change:
            return oldest != float("inf")  # it may be about to come back
        return when >= oldest or when > piece.used or piece.path.name in self._symlinked

    def _take_away(self, piece: Piece) -> Path | None:
        for link in piece.links:
            if _leads_to(link, os.fspath(piece.path)):  # it may lead to a new one that was made meanwhile
                trash = self._rename(link)
                if trash is not None:
                    remove_tree(trash)
        return self._rename(piece.path)

    def _rename(self, path: Path) -> Path | None:
        """Put something out of sight in one step: nobody may find half of it."""
        trash = self._layout.temporary / unique_name()
        make_folder(self._layout.root, trash.parent)
        try:
            rename(path, trash)
        except FileNotFoundError:
            return None
        return trash

    def _empty(self, path: Path, trash: Path) -> None:
        self._size += size_of(trash)
        remove_tree(trash)
        self._paths.append(path)


def _leads_to(link: Path, archive: str) -> bool:
    try:
        return target_of(link) == os.path.realpath(archive)
    except OSError:
        return False


def _shrink(work: Remover, layout: CacheLayout, find: Callable[[], Iterable[Piece]], max_bytes: int) -> None:
    """Remove what was not used for longest until the rest is small enough, or nothing else may go."""
    while (surplus := size(layout).size - max_bytes) > 0:
        before = work.removed()
        _remove_oldest(work, find(), surplus)
        if work.removed() == before:
            return


def _remove_oldest(work: Remover, pieces: Iterable[Piece], surplus: int) -> None:
    """Remove pieces of so many bytes; a file with several names counts for each, so less may be gone."""
    for piece in sorted(pieces, key=lambda piece: (piece.used, piece.path)):
        if surplus <= 0:
            return
        before = work.removed().size
        work.remove([piece])
        surplus -= work.removed().size - before


def _archives(layout: CacheLayout) -> list[Piece]:
    """Return the archives, each with the links that lead to it."""
    by_archive: dict[str, list[Path]] = {}
    for link, archive in links(layout).items():
        by_archive.setdefault(archive, []).append(link)
    return [
        Piece(path, used, by_archive.get(os.path.realpath(path), ()))
        for path in (Path(entry.path) for entry in children(layout.bucket(Bucket.ARCHIVE)))
        if (used := _modified(path)) is not None
    ]


def _all_pieces(layout: CacheLayout, archives: Iterable[Piece]) -> Iterator[Piece]:
    yield from (piece for piece in archives if piece.links)
    linked = links(layout)
    for bucket in _ENTRY_BUCKETS:
        for path in walk(layout.bucket(bucket)):
            if path not in linked and not path.name.endswith(TEMPORARY_SUFFIX):
                with suppress(OSError):
                    status = os.lstat(path)
                    # Reading is noted by some file systems, at least once a day.
                    yield Piece(path, max(status.st_mtime, status.st_atime))
    yield from _git_pieces(layout)
    for log in children(layout.build_logs):
        used = _modified(Path(log.path))
        if used is not None:
            yield Piece(Path(log.path), used)
    for place in children(layout.bucket(Bucket.UNDO)):
        for entry in children(Path(place.path)):
            used = _modified(Path(entry.path))
            if used is not None:
                yield Piece(Path(entry.path), used, is_change=True)


def _git_pieces(layout: CacheLayout) -> Iterator[Piece]:
    """Give the checkouts and clones; nobody notes who uses them, so they go when nobody uses anything."""
    bucket = layout.bucket(Bucket.GIT)
    found = [(Path(entry.path), "HEAD") for entry in children(bucket / "db")]
    for repository in children(bucket / "checkouts"):
        found += [(Path(entry.path), "complete") for entry in children(Path(repository.path))]
    for folder, mark in found:
        with suppress(OSError):
            status = os.lstat(folder / mark) if (folder / mark).exists() else os.lstat(folder)
            yield Piece(folder, max(status.st_mtime, status.st_atime), is_change=True)


def _unfinished(layout: CacheLayout) -> Iterator[Piece]:
    """Find scratch folders and files that were never renamed."""
    found = [Path(entry.path) for entry in children(layout.temporary)]
    for bucket in _ENTRY_BUCKETS:
        found += [p for p in walk(layout.bucket(bucket)) if p.name.endswith(TEMPORARY_SUFFIX)]
    for path in found:
        used = _modified(path)
        if used is not None:
            yield Piece(path, used)


def _project_folders(bucket: Path) -> Iterator[Path]:
    for kind, depths in _KIND_DEPTHS.items():
        folders = [bucket / kind]
        for depth in range(1 + max(depths)):
            if depth in depths:
                yield from folders
            folders = [Path(entry.path) for folder in folders for entry in children(folder)]


def _project_of(name: str) -> str:
    """Return the project that a file or folder belongs to: what follows a dot is a suffix of ours.

    A link to a wheel of some other project is no such folder, though it may begin like one.
    """
    project, _, suffix = name.partition(".")
    return name if "-" in suffix else project


def _modified(path: Path) -> float | None:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None


def _changed(path: Path) -> float:
    """Return when something was last changed or renamed; far ahead where it is gone."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return float("inf")
    return max(status.st_mtime, status.st_ctime)
