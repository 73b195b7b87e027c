"""What builds of sources have given, in a cache and in its layers: metadata and wheels.

::

    built-wheels-v0/<kind>/<project>/<state of the sources>/
        source.archive              as it was downloaded
        <how>.metadata              METADATA that a backend gave
        <how>/<wheel's name>        link to the unpacked wheel

    ``<how>`` stands for the build settings and, for metadata, the interpreter.
"""

from __future__ import annotations

import contextlib
import errno
import os

from puffin_api._cache.mending import in_folder, write_file
from puffin_api._fs import unique_name
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.metadata import parse_metadata
from puffin_api._wheel.unpack import unpack_wheel
from puffin_api.errors import CacheUnavailable, DiskFull, MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Protocol

    from puffin_api._cache.archive_store import ArchiveStore
    from puffin_api._cache.layout import CacheLayout
    from puffin_api._concurrency import Pump
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.metadata import CoreMetadata
    from puffin_api._model.target import Target
    from puffin_api._preparer.source_place import Place
    from puffin_api._preparer.wheel_index import CachedWheels

    class Take(Protocol):
        """Notes that archives are about to be used, so that nobody prunes them."""

        def __call__(self, archives: Iterable[Path], /) -> None: ...


class BuiltResults:
    """Finds what was built of sources, and keeps what is built."""

    def __init__(
        self,
        *,
        layout: CacheLayout,
        store: ArchiveStore,
        wheels: CachedWheels,
        take: Take,
        layers: Sequence[CacheLayout] = (),
    ) -> None:
        self._layout = layout
        self._store = store
        self._wheels = wheels
        self._take = take
        self._layers = layers

    def metadata(self, place: Place, how: str) -> CoreMetadata | None:
        """Return the metadata that a backend has given for sources."""
        for folder in self._folders(place):
            with contextlib.suppress(OSError, MetadataInvalid):
                text = (folder / f"{how}.metadata").read_bytes()
                return parse_metadata(text, source=place.title)
        return None

    def keep_metadata(self, place: Place, how: str, text: bytes) -> None:
        """Keep what a backend gives."""
        with contextlib.suppress(OSError):  # without it, the backend is asked once more
            write_file(self._layout.root, place.folder / f"{how}.metadata", text)

    def wheel(
        self, place: Place, settings: str, *, target: Target, check: Callable[[], None]
    ) -> CachedWheel | None:
        """Return the best wheel for the target that was built with these settings, and is intact."""
        best: tuple[int, CachedWheel] | None = None
        for name in sorted({name for folder in self._folders(place) for name in _names(folder / settings)}):
            rank = rank_of(name, target)
            if rank is None or (best is not None and best[0] <= rank):
                continue
            wheel = self._wheels.at(place.folder / settings / name)
            if wheel is not None and not self._wheels.damage(wheel, check=check):
                best = rank, wheel
        return None if best is None else best[1]

    def take(self, wheel: CachedWheel) -> bool:
        """Note that a wheel is about to be used; False where it was pruned before that."""
        self._take([wheel.archive])
        return wheel.archive.is_dir()

    def keep_wheel(self, place: Place, settings: str, made: Path, pump: Pump) -> CachedWheel:
        """Unpack a wheel that was built, and let a link lead to it.

        Raises:
            MetadataInvalid: It is no valid wheel.
            UnsafeArchive: It breaks a safety rule.
        """
        link = place.folder / settings / made.name.removesuffix(".whl")
        with self._store.scratch() as scratch:
            archive = scratch / "archive"
            manifest = unpack_wheel(made, archive, filename=made.name, pump=pump, source_hashes=place.digests)
            canonical = self._store.persist(archive, link)
        return self._wheels.remember(canonical, manifest, place.digests)

    def new_folder(self) -> Path:
        """Make an empty folder on the volume of the cache, for what is being made."""
        self._store.check_writable()
        folder = self._layout.temporary / unique_name()
        try:
            in_folder(self._layout.root, folder.parent, folder.mkdir)
        except OSError as error:
            root = str(self._layout.root)
            if error.errno == errno.ENOSPC:
                raise DiskFull(f"No room is left on the volume of the cache {root}", path=root) from error
            raise CacheUnavailable(f"The cache {root} cannot be written: {error}", path=root) from error
        return folder

    def _folders(self, place: Place) -> Iterator[Path]:
        """Give the folder of a place, and the same in caches that are only read."""
        yield place.folder
        for layer in self._layers:
            yield layer.root / place.folder.relative_to(self._layout.root)


def rank_of(name: str, target: Target) -> int | None:
    """Return the place of a wheel's best tag among those of the target."""
    wheel = parse_wheel_name(name if name.endswith(".whl") else f"{name}.whl")
    ranks = [target.ranks[tag] for tag in wheel.expanded_tags() if tag in target.ranks]
    return min(ranks, default=None)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
