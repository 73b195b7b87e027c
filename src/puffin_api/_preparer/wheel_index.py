"""The wheels that lie unpacked in the cache, by the file they were made of."""

from __future__ import annotations

import os

from puffin_api._cache.archive_store import MANIFEST
from puffin_api._cache.layout import index_kind, path_kind, url_kind
from puffin_api._model.cached import CachedWheel
from puffin_api._preparer.soundness import NEVER, find_damage, seal, sealed_at
from puffin_api._urls import url_to_path
from puffin_api._wheel.manifest import read_manifest_and_hashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from puffin_api._cache.archive_store import ArchiveStore
    from puffin_api._cache.layout import CacheLayout
    from puffin_api._model.cached import WheelManifest
    from puffin_api._model.file import DistFile

_MOST_REMEMBERED = 2000
GONE = "is not there any more"
"""What is wrong with an archive that was pruned: nothing that had to be told."""


def wheel_kind(file: DistFile) -> str:
    """Return the folder of the cache for what comes from where this file comes from.

    A wheel on a local disk may be replaced by another of its name, so its time and size are part of it.
    """
    if file.url.startswith("file:"):
        path = url_to_path(file.url)
        try:
            status = os.stat(path)
        except OSError:
            return path_kind(path)
        return f"{path_kind(path)}/{status.st_mtime_ns:x}-{status.st_size:x}"
    return index_kind(file.index) if file.index else url_kind(file.url)


class CachedWheels:
    """Answers whether a wheel is unpacked already. Many threads may ask at once.

    Manifests are remembered by the canonical path of their archive, which never changes.

    Args:
        layout: Where the links are.
        store: Follows them.
        kind: The folder for the origin of a file; `wheel_kind` unless somebody knows better.
    """

    def __init__(
        self, layout: CacheLayout, store: ArchiveStore, *, kind: Callable[[DistFile], str] = wheel_kind
    ) -> None:
        self._layout = layout
        self._store = store
        self._kind = kind
        self._remembered: dict[Path, tuple[CachedWheel, Mapping[str, str]]] = {}
        self._known: dict[tuple[object, ...], _Known] = {}
        self._sealed: dict[Path, tuple[int, int]] = {}
        """When manifests were written, and up to when files count as right."""
        self._damaged: dict[Path, str] = {}
        """Archives that were found damaged: a layer keeps them, and so does whoever uses them elsewhere."""

    def link(self, file: DistFile) -> Path:
        """Where the link to the unpacked wheel is, or will be."""
        return self._layout.wheel(self._kind(file), file.name, file.filename.removesuffix(".whl"))

    def lookup(self, file: DistFile) -> CachedWheel | None:
        """Return the unpacked wheel; None where there is none, or one of other bytes than expected."""
        key = _content(file)
        if key is None:
            return self._look_up(file, self.link(file))
        known = self._known.get(key)
        if known is not None and known.is_current():
            return known.wheel
        link = self.link(file)
        signature = _signature(os.fspath(link))
        found = self._look_up(file, link)
        if found is not None and signature is not None:
            self._known[key] = _Known(found, os.fspath(link), signature)
        return found

    def at(self, link: Path) -> CachedWheel | None:
        """Return the unpacked wheel that a link leads to, whatever it was made of; None for none."""
        for archive in self._store.candidates(link):
            found = None if archive in self._damaged else self._remembered.get(archive) or self._read(archive)
            if found is not None:
                return found[0]
        return None

    def _look_up(self, file: DistFile, link: Path) -> CachedWheel | None:
        for archive in self._store.candidates(link):
            if archive in self._damaged:
                continue
            found = self._remembered.get(archive) or self._read(archive)
            if found is not None and found[0].name == file.name and _agree(found[1], file):
                return found[0]
        return None

    def damage(self, wheel: CachedWheel, *, check: Callable[[], None] | None = None) -> str:
        """Return what is wrong with an archive, empty where nothing is; a damaged one is not found again.

        Costs one look at each file. Those that are newer than the manifest are read, once.

        Args:
            wheel: What was found before, perhaps long ago.
            check: Called now and then while files are read; may raise.
        """
        archive = wheel.archive
        known = self._damaged.get(archive)
        if known is None:
            known = self._find_damage(wheel, check)
            if known:
                self._damaged[archive] = known
                self._known = {k: v for k, v in self._known.copy().items() if v.wheel.archive != archive}
        return known

    def _find_damage(self, wheel: CachedWheel, check: Callable[[], None] | None) -> str:
        place = os.fspath(wheel.archive)
        try:
            sealed = sealed_at(place)
        except OSError:
            return GONE
        known, counts = self._sealed.get(wheel.archive, (sealed, sealed))
        # A manifest that was written to since it was read says nothing about the time before.
        damage, newest = find_damage(place, wheel.manifest, counts if known == sealed else NEVER, check=check)
        if not damage:
            counts = max(newest, sealed)
            if newest > sealed and self._store.is_ours(wheel.archive) and seal(place, newest):
                sealed = newest
            self._sealed[wheel.archive] = sealed, counts
        return damage

    def forget_damaged(self, file: DistFile) -> None:
        """Remove the link of a file if it leads to an archive that was found damaged."""
        self._store.forget_archives(self.link(file), self._damaged.keys())

    def lookup_all(self, files: Iterable[DistFile]) -> dict[str, CachedWheel]:
        """Return those of the files that are unpacked, by normalised project name."""
        found = ((file.name, self.lookup(file)) for file in files if file.is_wheel)
        return {name: wheel for name, wheel in found if wheel is not None}

    def remember(self, archive: Path, manifest: WheelManifest, hashes: Mapping[str, str]) -> CachedWheel:
        """Make the value of an archive that has just been persisted."""
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
            self._known.clear()
            self._sealed.clear()
        wheel = CachedWheel(archive=archive, manifest=manifest, hashes=hashes)
        self._remembered[archive] = wheel, hashes
        return wheel

    def _read(self, archive: Path) -> tuple[CachedWheel, Mapping[str, str]] | None:
        try:
            sealed = sealed_at(os.fspath(archive))
        except OSError:
            return None
        found = read_manifest_and_hashes(os.path.join(archive, MANIFEST))
        if found is None:
            return None
        self._sealed.setdefault(archive, (sealed, sealed))
        return self.remember(archive, *found), found[1]


class _Known:
    """A wheel that was looked up, and the link that led to it: following it again takes much longer than
    to see that it is still the same.
    """

    __slots__ = ("_link", "_manifest", "_signature", "wheel")

    def __init__(self, wheel: CachedWheel, link: str, signature: tuple[int, ...]) -> None:
        self.wheel = wheel
        self._link = link
        self._signature = signature
        self._manifest = f"{wheel.archive}{os.sep}{MANIFEST}"

    def is_current(self) -> bool:
        """Tell whether the link is as it was, and the archive there."""
        return _signature(self._link) == self._signature and os.path.isfile(self._manifest)


def _signature(link: str) -> tuple[int, ...] | None:
    """Return what is another once the link is; None where there is no link."""
    try:
        status = os.lstat(link)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _content(file: DistFile) -> tuple[object, ...] | None:
    """Return what tells a file from all others; None for one that may be another tomorrow."""
    if not file.hashes or file.url.startswith("file:"):
        return None
    return file.index, file.url, *file.hashes.items(), *file.allowed


def _agree(recorded: Mapping[str, str], file: DistFile) -> bool:
    """Tell whether the archive was made of the expected bytes; what cannot be compared is not."""
    if file.allowed and not any(f"{name}:{digest}" in file.allowed for name, digest in recorded.items()):
        return False
    expected = file.hashes
    if not expected:
        return True
    common = recorded.keys() & expected.keys()
    return bool(common) and all(recorded[name] == expected[name].lower() for name in common)
