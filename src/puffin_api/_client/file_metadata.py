"""FileMetadata: the metadata of files, from memory, from disk, or from where they are."""

from __future__ import annotations

import os

from puffin_api._cache.layout import index_kind, url_kind
from puffin_api._client.remote_wheel import read_local_metadata
from puffin_api._concurrency import SILENT, OnceMap
from puffin_api._model.file import DistFile
from puffin_api._model.metadata import dist_metadata, parse_metadata
from puffin_api._model.names import normalize
from puffin_api._urls import url_to_path
from puffin_api.errors import MetadataInvalid, PackageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from puffin_api._cache.metadata_table import MetadataTable
    from puffin_api._cache.project_table import ProjectTables
    from puffin_api._client.remote_wheel import RemoteWheels
    from puffin_api._concurrency import Pump
    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import CoreMetadata, DistMetadata
    from puffin_api.protocols import PackageSource

    Result = DistMetadata | PackageError


class FileMetadata:
    """The metadata of files; kept in memory for the life of a client. Many threads may ask at once.

    Args:
        wheels: Reads it out of wheels that are somewhere else.
        tables: What is stored; None for nothing.
        sources: The custom sources by the address that stands for them.
        kinds: Where in the cache things of an index are, by its URL.
    """

    def __init__(
        self,
        wheels: RemoteWheels,
        *,
        tables: ProjectTables | None,
        sources: Mapping[str, PackageSource],
        kinds: Mapping[str, str],
    ) -> None:
        self._wheels = wheels
        self._tables = tables
        self._sources = sources
        self._kinds = kinds
        self._found: dict[str, Result] = {}
        self._failed: set[str] = set()
        self._open: dict[tuple[str, str], MetadataTable] = {}
        self._unsaved: set[tuple[str, str]] = set()
        self.loading: OnceMap[str, Result] = OnceMap()
        """URLs of files whose metadata is being read at the moment."""

    def known(self, file: FileRow) -> Result | None:
        """Return the metadata of a file that is in memory or on disk; never waits."""
        key = _identity(file)
        found = self._found.get(key)
        if found is None:
            table = self._table(file)
            stored = table.get(file) if table is not None else None
            if stored is not None:
                found = self._found[key] = stored
        return found

    def load(self, file: FileRow, *, pump: Pump = SILENT) -> Result:
        """Read the metadata of a wheel; blocks. What is wrong with the file is the result.

        Raises:
            NetworkError: It cannot be read.
        """
        result: Result
        key = _identity(file)
        try:
            result = dist_metadata(self.core(file, pump=pump))
        except PackageError as error:
            result = error
            if not file.index:
                self._failed.add(key)
        else:
            if file.index:
                self._store(file, result)
        self._found[key] = result
        return result

    def forget_failures(self) -> None:
        """Forget what was wrong with files from URLs: at the next call there may be others."""
        while self._failed:
            self._found.pop(self._failed.pop(), None)

    def note_verified(self, file: FileRow, path: Path) -> None:
        """Store the metadata of a file from a URL, which is on disk now and has the right digests.

        Not before: what a server sends in pieces may be of the file that it had until yesterday.
        """
        if file.index or not file.hashes or file.url.startswith("file:"):
            return
        try:
            core = parse_metadata(read_local_metadata(path, file), source=file.filename)
            _check_consistency(file, core)
            found = dist_metadata(core)
        except PackageError:
            return  # told by whoever unpacks it
        self._store(file, found)
        self._found[_identity(file)] = found

    def _store(self, file: FileRow, found: DistMetadata) -> None:
        table = self._table(file)
        if table is not None:
            table.add(file, found)
            self._unsaved.add((self._kind(file) or "", file.project))

    def core(self, file: FileRow, *, pump: Pump = SILENT) -> CoreMetadata:
        """Read the metadata of a wheel in full; blocks.

        Raises:
            PackageError: Something is wrong with the file.
            NetworkError: It cannot be read.
        """
        source = self._sources.get(file.index)
        if source is not None:
            core = source.metadata(DistFile.of(file))
        else:
            core = parse_metadata(self._wheels.metadata(file, pump=pump), source=file.filename)
        _check_consistency(file, core)
        return core

    def is_given(self, index: str) -> bool:
        """Tell whether a source of the caller's gives the metadata of its files, of whatever kind."""
        return index in self._sources

    def validator(self, url: str) -> str:
        """Return what tells the file that is at a URL now from others; empty where that is not known."""
        return self._wheels.validators.get(url, "")

    @property
    def has_unsaved(self) -> bool:
        """True where ``flush`` has something to do."""
        return bool(self._unsaved)

    def flush(self) -> None:
        """Store what was learned since the last time. One thread at a time."""
        while self._unsaved:
            self._open[self._unsaved.pop()].flush()

    def _kind(self, file: FileRow) -> str | None:
        """Return where metadata of a file is stored, None where it is not."""
        if file.index in self._sources:
            return None
        if not file.index:  # whatever is at its URL: what was read of these bytes holds
            return url_kind(file.url) if file.hashes else None
        return self._kinds.get(file.index) or index_kind(file.index)  # of a page of find-links

    def _table(self, file: FileRow) -> MetadataTable | None:
        kind = self._kind(file)
        if kind is None or self._tables is None or file.url.startswith("file:"):
            return None  # a local file is as near as a table, and may be another by now
        key = kind, file.project
        table = self._open.get(key)
        if table is None:
            table = self._open.setdefault(key, self._tables.metadata(kind, file.project))
        return table


def _identity(file: FileRow) -> str:
    """Return what stands for the bytes of a file: a local one may be replaced, as when it is built anew."""
    if not file.url.startswith("file:"):
        # At a URL that somebody names there may be other files in turn: the digests tell which is meant.
        return file.url if file.index else " ".join(("@", file.url, *sorted(file.hashes)))
    try:
        status = os.stat(url_to_path(file.url))
    except OSError:
        return file.url
    return f"{file.url} {status.st_mtime_ns}-{status.st_size}"


def _check_consistency(file: FileRow, core: CoreMetadata) -> None:
    """Refuse metadata of another project or version than the file's name says."""
    if normalize(core.name) != file.project:
        reason = f"its metadata is that of {core.name}"
    elif core.version != file.version and not _is_same_version(core.version, file.version):
        reason = f"its metadata says version {core.version}"
    else:
        return
    raise MetadataInvalid(
        f"{file.filename} cannot be used: {reason}",
        name=file.project,
        source=file.filename,
        reason=reason,
    )


def _is_same_version(left: str, right: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(left) == Version(right)
    except InvalidVersion:
        return False
