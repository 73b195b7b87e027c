"""Cache: a folder of immutable archives and of what indexes said."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

from puffin_api._cache import prune as pruning
from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout, user_cache_folder
from puffin_api._cache.locks import FileLocks
from puffin_api._cache.store import EntryStore
from puffin_api._fs import choose_directory_link, detect_link_support, remove_tree
from puffin_api._model.cache_reports import CacheReport, CacheSize, CacheStatus, LinkSupport
from puffin_api._model.names import normalize
from puffin_api._model.options import LinkMode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

_KINDS = {
    "SymlinkDirectoryLink": "symlink",
    "JunctionDirectoryLink": "junction",
    "PointerFileDirectoryLink": "pointer",
}


class Cache:
    """A cache folder. Many threads and processes may use one at once.

    Args:
        path: The folder; made when first written to.
        link_mode: How files get from the cache into environments.
        read_only: Never write; what is missing is fetched each time.
        lock_timeout: Seconds to wait for another process.
        layers: Read-only caches that are looked into after this one.

    Raises:
        CacheUnavailable: The folder cannot be made (unless ``read_only``).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        link_mode: LinkMode = LinkMode.AUTO,
        read_only: bool = False,
        lock_timeout: float | None = 60.0,
        layers: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        self.link_mode = link_mode
        self.read_only = read_only
        self._lock_timeout = lock_timeout
        self._layout = CacheLayout(Path(path))
        self._layers = tuple(CacheLayout(Path(layer)) for layer in layers)
        if not read_only:
            self._layout.initialize()
        self._link_support: dict[tuple[int, int], tuple[str, ...]] = {}

    @classmethod
    def user(cls) -> Cache:
        """Return the cache of the user in the place that the platform has for caches."""
        return cls(user_cache_folder())

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Generator[Cache]:
        """Give a cache that is removed at the end."""
        import tempfile

        folder = tempfile.mkdtemp(prefix="puffin-")
        try:
            yield cls(folder)
        finally:
            remove_tree(folder)

    @property
    def path(self) -> Path:
        """The folder, canonical."""
        return self._layout.root

    @property
    def layout(self) -> CacheLayout:
        """Where things lie."""
        return self._layout

    @property
    def layers(self) -> tuple[CacheLayout, ...]:
        """The layouts of the caches that are looked into after this one."""
        return self._layers

    @functools.cached_property
    def entries(self) -> EntryStore:
        """The entries of the cache."""
        return EntryStore(self._layout, read_only=self.read_only, layers=self._layers)

    @functools.cached_property
    def archives(self) -> ArchiveStore:
        """The archives of the cache."""
        link = choose_directory_link(self._layout.temporary)
        return ArchiveStore(self._layout, link, read_only=self.read_only, layers=self._layers)

    def locks(self, on_wait: Callable[[str, str], None] | None = None) -> FileLocks:
        """Return the maker of locks, with the cache's patience."""
        return FileLocks(self._lock_timeout, on_wait=on_wait)

    def status(self) -> CacheStatus:
        """Say whether and how the cache can be used."""
        writable = not self.read_only and os.access(self.path, os.W_OK)
        kind = type(choose_directory_link(self._layout.temporary)).__name__
        return CacheStatus(
            path=self.path,
            writable=writable,
            directory_links=_KINDS[kind],
            layers=tuple(layer.root for layer in self._layers),
        )

    def links_to(self, path: str | os.PathLike[str]) -> LinkSupport:
        """Find out how files can get from the cache to an existing folder."""
        return LinkSupport(modes=self.link_kinds(Path(path)))

    def link_kinds(self, folder: Path) -> tuple[str, ...]:
        """Return the ways that work from the cache to a folder; tried once for each pair of volumes."""
        source = self._layout.temporary
        pair = (source.stat().st_dev, folder.stat().st_dev)
        known = self._link_support.get(pair)
        if known is None:
            known = self._link_support[pair] = detect_link_support(source, folder)
        return known

    def size(self) -> CacheSize:
        """Add up what lies in the cache."""
        use = pruning.size(self._layout)
        return CacheSize(files=use.files, bytes=use.size, buckets=use.buckets)

    def verify(self) -> CacheReport:
        """Remove links that lead nowhere."""
        return _report(pruning.verify(self._layout))

    def prune(self) -> CacheReport:
        """Remove archives that nothing leads to, and what killed processes left behind."""
        return _report(pruning.prune_unreferenced(self._layout))

    def remove(self, names: Iterable[str]) -> CacheReport:
        """Forget everything about some projects; archives that are in use stay until pruned."""
        return _report(pruning.remove(self._layout, [normalize(name) for name in names]))

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"


def _report(removed: pruning.Removed) -> CacheReport:
    return CacheReport(removed=removed.paths, bytes=removed.size)
