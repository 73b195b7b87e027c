"""Cache: a folder of immutable archives and of what indexes said."""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from pathlib import Path

from puffin_api._api.wiring import CacheParts
from puffin_api._cache import disk_use
from puffin_api._cache.layout import user_cache_folder
from puffin_api._cache.prune import prune, remove
from puffin_api._cache.verify import verify
from puffin_api._fs import choose_directory_link, remove_tree
from puffin_api._model.cache_reports import CacheReport, CacheSize, CacheStatus, LinkSupport
from puffin_api._model.names import normalize
from puffin_api._model.options import LinkMode
from puffin_api._preparer.soundness import inspect
from puffin_api.errors import CacheUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from puffin_api._cache.prune import Removed
    from puffin_api._model.cancel import CancelToken

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
        use = disk_use.size(self._parts.layout)
        return CacheSize(files=use.files, bytes=use.size, buckets=use.buckets)

    def verify(self, *, repair: bool = True, cancel: CancelToken | None = None) -> CacheReport:
        """Read everything, compare it with what was written, and remove what is damaged.

        Reads all files of all unpacked wheels, so it takes as long as the disk needs for that. Others
        may go on working.

        Args:
            repair: False to report only, as for a cache that was opened read-only.
            cancel: Stops it; what was removed stays removed.

        Returns:
            ``damaged`` says what was wrong, ``removed`` what is gone: what an operation under way
            uses is only unlinked, so that nobody finds it any more.

        Raises:
            CacheUnavailable: Something cannot be read or removed.
        """
        check = _checker(cancel)
        with self._translated():
            found = verify(
                self._parts.layout,
                self._parts.leases,
                inspect=lambda archive: inspect(archive, check=check),
                repair=repair and not self.read_only,
                check=check,
            )
        return _report(found.removed, found.damaged)

    def prune(
        self,
        *,
        unused_for: float | timedelta | None = None,
        max_bytes: int | None = None,
        cancel: CancelToken | None = None,
    ) -> CacheReport:
        """Remove what is not needed, while others work.

        Unpacked wheels that nothing leads to go, and what killed processes left behind, once they are a
        day old. What operations under way use stays in any case, and so do unpacked wheels into which
        environments lead by symbolic links (`LinkMode.SYMLINK`).

        Args:
            unused_for: What was not used for so long goes too; seconds, or a time span.
            max_bytes: What was not used for longest goes until no more than this is left.
            cancel: Stops it; what was removed stays removed.

        Raises:
            CacheUnavailable: The cache was opened read-only, or something cannot be read or removed.
        """
        self._parts.archives.check_writable()
        with self._translated():
            return _report(
                prune(
                    self._parts.layout,
                    self._parts.leases,
                    unused_for=unused_for.total_seconds()
                    if isinstance(unused_for, timedelta)
                    else unused_for,
                    max_bytes=max_bytes,
                    check=_checker(cancel),
                )
            )

    def remove(self, names: Iterable[str]) -> CacheReport:
        """Forget everything about some projects; archives that are in use stay until pruned.

        Raises:
            CacheUnavailable: The cache was opened read-only, or something cannot be removed.
        """
        self._parts.archives.check_writable()
        with self._translated():
            return _report(
                remove(self._parts.layout, self._parts.leases, [normalize(name) for name in names])
            )

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise CacheUnavailable(
                f"The cache {self.path} cannot be tidied up: {error}", path=str(self.path)
            ) from error

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"


def _report(removed: Removed, damaged: Mapping[Path, str] | None = None) -> CacheReport:
    return CacheReport(removed=removed.paths, bytes=removed.size, damaged=damaged or {})


def _checker(cancel: CancelToken | None) -> Callable[[], None]:
    return cancel.check if cancel is not None else lambda: None
