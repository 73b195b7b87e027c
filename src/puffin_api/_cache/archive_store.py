"""Unpacked wheels: made in a scratch folder, renamed into the archive, found through links."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path

from puffin_api._cache.mending import in_folder, make_folder
from puffin_api._fs import read_directory_link, remove_tree, rename, unique_name
from puffin_api.errors import CacheUnavailable, DiskFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Generator, Iterator, Sequence

    from puffin_api._cache.layout import CacheLayout
    from puffin_api.protocols import DirectoryLink

MANIFEST = "manifest.json"
"""Written last by the unpacker: an archive without it is not complete and so not there."""
FILES = "files"
"""The folder of an archive that holds the unpacked tree."""


class ArchiveStore:
    """The archives of a cache. Many threads and processes may use it at once.

    An archive is never changed or replaced: publishing the same wheel again makes a second archive
    and moves the link; whoever was given the path of the first keeps a complete one.
    """

    __slots__ = ("_layers", "_layout", "_link", "_read_only")

    def __init__(
        self,
        layout: CacheLayout,
        link: DirectoryLink,
        *,
        read_only: bool = False,
        layers: Sequence[CacheLayout] = (),
    ) -> None:
        self._layout = layout
        self._link = link
        self._read_only = read_only
        self._layers = tuple(layers)

    @contextmanager
    def scratch(self) -> Generator[Path, None, None]:
        """Give an empty folder inside the cache, removed at the end unless it was persisted.

        Raises:
            CacheUnavailable: The cache is read-only or cannot be written.
        """
        self.check_writable()
        folder = self._layout.temporary / unique_name()
        try:
            in_folder(self._layout.root, folder.parent, folder.mkdir)
        except OSError as error:
            raise self._failure(error) from error
        try:
            yield folder
        finally:
            remove_tree(folder)

    def persist(self, temp_dir: Path, link_path: Path) -> Path:
        """Turn a complete scratch folder into an archive, let the link lead to it, return its canonical path.

        Of several that persist under one link at once each gets a complete archive of its own; the
        link leads to one of them, the others are orphans that `prune_unreferenced` removes.

        Raises:
            CacheUnavailable: The cache is read-only or cannot be written.
            DiskFull: There is no room for the link.
        """
        self.check_writable()
        assert (temp_dir / MANIFEST).is_file(), f"{temp_dir} has no manifest"
        archive = self._layout.archive(unique_name())
        try:
            make_folder(self._layout.root, archive.parent)
            rename(temp_dir, archive)
            in_folder(self._layout.root, link_path.parent, lambda: self._link.publish(link_path, archive))
        except OSError as error:
            raise self._failure(error) from error
        return Path(os.path.realpath(archive))

    def lookup(self, link_path: Path) -> Path | None:
        """Return the canonical path of a complete archive, None where there is none.

        The path stays good whatever becomes of the link: look up once and keep it.
        """
        return next(self.candidates(link_path), None)

    def candidates(self, link_path: Path) -> Iterator[Path]:
        """Give the canonical paths of complete archives, that of the first layer first."""
        archive = self._link.read(link_path)
        if archive is not None and _is_complete(archive):
            yield archive
        for layer in self._layers:
            # Somebody else wrote that tree, on another system perhaps, with another kind of link.
            archive = read_directory_link(layer.root / link_path.relative_to(self._layout.root))
            if archive is not None and _is_complete(archive):
                yield archive

    def is_ours(self, archive: Path) -> bool:
        """Tell whether an archive lies in the first layer and may be written to: touched, or sealed again."""
        return not self._read_only and archive.parent == self._layout.archive(archive.name).parent

    def forget(self, link_path: Path) -> None:
        """Remove the link; the archive stays for those that use it, until it is pruned."""
        self.check_writable()
        self._link.remove(link_path)

    def forget_archives(self, link_path: Path, archives: Container[Path]) -> None:
        """Remove the link if it leads to one of these archives."""
        if self._read_only:
            return
        archive = self._link.read(link_path)
        if archive is not None and archive in archives:
            self._link.remove(link_path)

    def check_writable(self) -> None:
        """Raise CacheUnavailable where the cache was opened read-only."""
        if self._read_only:
            raise CacheUnavailable(
                f"The cache {self._layout.root} was opened read-only, so nothing can be unpacked into it",
                hint="Open a cache that can be written and give this one as a layer.",
                path=str(self._layout.root),
            )

    def _failure(self, error: OSError) -> CacheUnavailable | DiskFull:
        root = str(self._layout.root)
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            return DiskFull(f"No room is left on the volume of the cache {root}", path=root)
        return CacheUnavailable(f"The cache {root} cannot be written: {error}", path=root)


def _is_complete(archive: Path) -> bool:
    return os.path.isfile(os.path.join(archive, MANIFEST))
