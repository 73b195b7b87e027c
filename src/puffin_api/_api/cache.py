"""Cache: a folder of immutable archives and of what indexes said."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from puffin_api._api.wiring import CacheParts
from puffin_api._cache import prune as pruning
from puffin_api._cache.layout import user_cache_folder
from puffin_api._fs import choose_directory_link, remove_tree
from puffin_api._model.cache_reports import CacheReport, CacheSize, CacheStatus, LinkSupport
from puffin_api._model.names import normalize
from puffin_api._model.options import LinkMode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

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
        self._parts = CacheParts(
            Path(path),
            read_only=read_only,
            lock_timeout=lock_timeout,
            layers=[Path(layer) for layer in layers],
        )

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
        return self._parts.layout.root

    def status(self) -> CacheStatus:
        """Say whether and how the cache can be used."""
        writable = not self.read_only and os.access(self.path, os.W_OK)
        kind = type(choose_directory_link(self._parts.layout.temporary)).__name__
        return CacheStatus(
            path=self.path,
            writable=writable,
            directory_links=_KINDS[kind],
            layers=tuple(layer.root for layer in self._parts.layers),
        )

    def links_to(self, path: str | os.PathLike[str]) -> LinkSupport:
        """Find out how files can get from the cache to an existing folder."""
        return LinkSupport(modes=self._parts.link_kinds(Path(path)))

    def size(self) -> CacheSize:
        """Add up what lies in the cache."""
        use = pruning.size(self._parts.layout)
        return CacheSize(files=use.files, bytes=use.size, buckets=use.buckets)

    def verify(self) -> CacheReport:
        """Remove links that lead nowhere."""
        return _report(pruning.verify(self._parts.layout))

    def prune(self) -> CacheReport:
        """Remove archives that nothing leads to, and what killed processes left behind."""
        return _report(pruning.prune_unreferenced(self._parts.layout))

    def remove(self, names: Iterable[str]) -> CacheReport:
        """Forget everything about some projects; archives that are in use stay until pruned."""
        return _report(pruning.remove(self._parts.layout, [normalize(name) for name in names]))

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"


def _report(removed: pruning.Removed) -> CacheReport:
    return CacheReport(removed=removed.paths, bytes=removed.size)
