"""Unpack a wheel into a folder of the cache: all that can be checked first is, before anything is written.

::

    target/
      files/            the tree of the wheel; RECORD, INSTALLER and the like are ours, not the wheel's
      manifest.json     written last: without it, the archive is not complete

Of the modes only the executable bit is kept. Files get the time of unpacking, not that of the zip:
reproducible builds give every release the same time, and Python would take an old ``.pyc`` for that
of a new source file of the same time and size.
"""

from __future__ import annotations

import errno
import os
import stat

from puffin_api._concurrency import SILENT, Pump
from puffin_api._model.cached import DataFile, WheelManifest
from puffin_api._model.dist_info import INSTALLER_BYTES, STAMP
from puffin_api._wheel.integrity import UNLISTED, Digest, check_record
from puffin_api._wheel.manifest import write_manifest
from puffin_api._wheel.read import (
    check_metadata,
    data_location,
    find_data_folder,
    find_dist_info,
    parse_entry_points,
    parse_wheel_file,
    read_text_file,
    wheel_name,
)
from puffin_api._wheel.record import digest_bytes, record_row
from puffin_api._wheel.rules import Limits, check_entries, check_limits
from puffin_api._wheel.zip_directory import open_zip
from puffin_api.errors import CacheUnavailable, DiskFull, PathTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from puffin_api._concurrency import WorkerPool
    from puffin_api._model.cached import EntryPoint
    from puffin_api._model.filename import WheelName
    from puffin_api._wheel.zip_directory import ZipFile
    from puffin_api._zip import ZipEntry
    from puffin_api.errors import PuffinError

_DROPPED = (*UNLISTED, "INSTALLER", "REQUESTED", "direct_url.json", STAMP)
"""Files of the ``.dist-info`` folder that the installer writes: theirs must not be linked in its way."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_SPLIT = 4 << 20
"""Compressed bytes that are worth a thread of their own."""
_MOST_PARTS = 8


def unpack_wheel(
    wheel: Path,
    target: Path,
    *,
    filename: str,
    limits: Limits | None = None,
    pump: Pump = SILENT,
    pool: WorkerPool | None = None,
    source_hashes: Mapping[str, str] | None = None,
) -> WheelManifest:
    """Unpack a wheel into ``target / "files"`` and write ``target / "manifest.json"``.

    Nothing outside the target is written. On failure the target holds a part and no manifest; to
    remove it is up to the caller.

    Args:
        wheel: The archive.
        target: An empty folder, or none yet.
        filename: The wheel's real file name; ``wheel`` may have another.
        limits: How much the archive may hold.
        pump: Asked often whether the caller has cancelled.
        pool: Shares the work of large wheels. Not the pool that this call runs in: it is waited for.
        source_hashes: Known digests of the archive, in lower-case hex by algorithm, for the manifest.

    Raises:
        UnsafeArchive: The archive breaks a rule of `puffin_api._wheel.rules.RULES`.
        HashMismatch: A file does not have the digest that RECORD lists.
        MetadataInvalid: It is no valid wheel, or not the one that its file name says.
        DiskFull: There is no room for it.
        PathTooLong: The file system does not take a path.
        CacheUnavailable: The wheel cannot be read or the target not be written.
    """
    name = wheel_name(filename)
    files = os.path.join(target, "files")
    try:
        with open_zip(wheel, filename) as archive:
            contents = _inspect(archive, name, limits or Limits())
            os.makedirs(files)
            for folder in contents.folders:
                os.mkdir(f"{files}/{folder}")
            digests = _write_all(archive, contents, files, pool, pump)
        manifest = _manifest(contents, digests)
        _write_ours(manifest, files)
        write_manifest(os.path.join(target, "manifest.json"), manifest, source_hashes=source_hashes)
    except OSError as error:
        raise _failure(error, target) from error
    return manifest


class _Contents:
    """What has been found and checked before the first byte is written."""

    __slots__ = (
        "data_folder",
        "dist_info",
        "entries",
        "entry_points",
        "expected",
        "filename",
        "folders",
        "name",
        "root_is_purelib",
        "version",
    )

    name: WheelName
    filename: str
    version: str
    dist_info: str
    data_folder: str
    root_is_purelib: bool
    entry_points: tuple[EntryPoint, ...]
    entries: list[ZipEntry]
    """In archive order; directories too, their data has to be checked."""
    folders: list[str]
    expected: dict[str, str]
    """The digest that RECORD gives, by path."""


def _inspect(archive: ZipFile, name: WheelName, limits: Limits) -> _Contents:
    filename, entries = archive.archive, archive.entries
    check_limits(entries, filename, archive.size, limits)
    contents = _Contents()
    contents.name, contents.filename, contents.entries = name, filename, entries
    contents.folders = check_entries(entries, filename, limits)
    paths = [entry.name for entry in entries]
    dist_info = contents.dist_info = find_dist_info(paths, name, filename)
    contents.data_folder = find_data_folder(paths, name, filename)

    def read(part: str, *, required: bool = True) -> bytes:
        return read_text_file(archive, f"{dist_info}/{part}", name, limits=limits, required=required)

    contents.version = check_metadata(read("METADATA"), name, filename).version
    contents.root_is_purelib = parse_wheel_file(read("WHEEL"), name, filename)
    contents.entry_points = parse_entry_points(read("entry_points.txt", required=False), name, filename)
    contents.expected = check_record(
        read("RECORD"), entries, dist_info=dist_info, name=name, filename=filename
    )
    for entry in entries:
        if _is_data(entry, contents):
            data_location(entry.name, contents.data_folder, name, filename)
    return contents


def _write_all(
    archive: ZipFile, contents: _Contents, files: str, pool: WorkerPool | None, pump: Pump
) -> dict[str, str]:
    """Write all files; their digests by path."""
    parts = _parts(contents.entries) if pool is not None else [contents.entries]

    def write(part: Sequence[ZipEntry]) -> dict[str, str]:
        digests = {}
        for entry in part:
            pump.check()
            digests[entry.name] = _write(archive, entry, contents, files)
        return digests

    if pool is None or len(parts) == 1:
        return write(contents.entries)
    # This thread need not be the one that events are delivered on.
    results = pool.map(write, parts, pump=Pump(cancel=pump.cancel))
    return {path: digest for result in results for path, digest in result.items()}


def _parts(entries: Sequence[ZipEntry]) -> list[Sequence[ZipEntry]]:
    """Cut into runs of about the same compressed size, one where it is not worth more."""
    total = sum(entry.compressed_size for entry in entries)
    share = max(_SPLIT, total // _MOST_PARTS + 1)
    parts: list[list[ZipEntry]] = [[]]
    size = 0
    for entry in entries:
        if size >= share:
            parts.append([])
            size = 0
        parts[-1].append(entry)
        size += entry.compressed_size
    return list(parts)


def _write(archive: ZipFile, entry: ZipEntry, contents: _Contents, files: str) -> str:
    """Check the content of one entry and write it where it is a file to be kept; its digest."""
    digest = Digest(contents.expected.get(entry.name, ""))
    if entry.is_directory or _is_dropped(entry, contents):
        for piece in archive.pieces(entry):
            digest.update(piece)
        return digest.finish(entry, contents.name)
    # The umask is applied by the system; to read it here would mean to set it.
    descriptor = os.open(f"{files}/{entry.name}", _CREATE, 0o777 if _is_executable(entry) else 0o666)
    try:
        for piece in archive.pieces(entry):
            digest.update(piece)
            _write_piece(descriptor, piece)
    finally:
        os.close(descriptor)
    return digest.finish(entry, contents.name)


def _write_piece(descriptor: int, piece: bytes | memoryview) -> None:
    done = os.write(descriptor, piece)
    while done < len(piece):
        done += os.write(descriptor, piece[done:])


def _manifest(contents: _Contents, digests: dict[str, str]) -> WheelManifest:
    kept = [e for e in contents.entries if not e.is_directory and not _is_dropped(e, contents)]
    files = [entry for entry in kept if not _is_data(entry, contents)]
    installer = f"{contents.dist_info}/INSTALLER"
    rows = [record_row(entry.name, digests[entry.name], entry.size) for entry in files]
    rows.append(record_row(installer, digest_bytes(INSTALLER_BYTES), len(INSTALLER_BYTES)))
    within = f"{contents.data_folder}/"
    return WheelManifest(
        name=contents.name.name,
        version=contents.version,
        dist_info=contents.dist_info,
        root_is_purelib=contents.root_is_purelib,
        directories=tuple(
            [folder for folder in contents.folders if not f"{folder}/".startswith(within)]
            if contents.data_folder
            else contents.folders
        ),
        files=(*[entry.name for entry in files], installer),
        executables=frozenset([entry.name for entry in files if _is_executable(entry)]),
        record="".join(rows),
        has_record=True,
        top_level=tuple(sorted({entry.name.partition("/")[0] for entry in files})),
        data=tuple([_data_file(e, contents, digests[e.name]) for e in kept if _is_data(e, contents)]),
        entry_points=contents.entry_points,
        installed_size=sum(entry.size for entry in kept) + len(INSTALLER_BYTES),
    )


def _write_ours(manifest: WheelManifest, files: str) -> None:
    """Write what every installation of the wheel has alike, so that it can be linked too."""
    record = manifest.record + record_row(f"{manifest.dist_info}/RECORD", "", "")
    for name, content in (("INSTALLER", INSTALLER_BYTES), ("RECORD", record.encode())):
        descriptor = os.open(f"{files}/{manifest.dist_info}/{name}", _CREATE, 0o666)
        try:
            _write_piece(descriptor, content)
        finally:
            os.close(descriptor)


def _data_file(entry: ZipEntry, contents: _Contents, digest: str) -> DataFile:
    scheme, path = data_location(entry.name, contents.data_folder, contents.name, contents.filename)
    return DataFile(scheme, path, entry.name, digest, entry.size, _is_executable(entry))


def _is_data(entry: ZipEntry, contents: _Contents) -> bool:
    folder = contents.data_folder
    return bool(folder) and not entry.is_directory and entry.name.startswith(f"{folder}/")


def _is_dropped(entry: ZipEntry, contents: _Contents) -> bool:
    folder, _, last = entry.name.rpartition("/")
    return folder == contents.dist_info and last in _DROPPED


def _is_executable(entry: ZipEntry) -> bool:
    return bool(entry.mode & 0o111) and stat.S_IFMT(entry.mode) in (0, stat.S_IFREG)


def _failure(error: OSError, target: Path) -> PuffinError:
    path = str(error.filename or target)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return DiskFull(f"No room is left to unpack a wheel into {target}", path=path)
    if error.errno == errno.ENAMETOOLONG:
        return PathTooLong(f"The path {path} is longer than the file system allows", path=path)
    return CacheUnavailable(f"A wheel cannot be unpacked into {target}: {error}", path=path)
