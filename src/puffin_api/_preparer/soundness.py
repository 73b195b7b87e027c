"""Whether an archive still holds what was unpacked into it: by sizes and times, or by digests.

The manifest was written last, so a file that is newer was written to by somebody: an editor that saved
it where it is hard-linked into an environment, or a copy of the whole cache that gave new times. The
digest tells one from the other. What has neither another size nor a newer time is taken as it is;
only `sealed=NEVER` reads all of it.
"""

from __future__ import annotations

import hashlib
import os
import stat

from puffin_api._cache.archive_store import FILES, MANIFEST
from puffin_api._wheel.manifest import read_manifest
from puffin_api._wheel.record import digest_bytes, encode_digest, parse_record, record_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from puffin_api._model.cached import WheelManifest

NEVER = -1
"""A time before all others: every file is compared by its digest."""


def sealed_at(archive: str) -> int:
    """Return when the manifest was written, in nanoseconds.

    Raises:
        OSError: There is no manifest.
    """
    return os.stat(f"{archive}{os.sep}{MANIFEST}").st_mtime_ns


def find_damage(
    archive: str, manifest: WheelManifest, sealed: int, *, check: Callable[[], None] | None = None
) -> tuple[str, int]:
    """Return what is wrong with the files of an archive, empty where nothing is, and their newest time.

    The time is of before anything was read: once the files have been found right, `seal` may write
    it down, and no later change goes unnoticed.

    Args:
        archive: The folder.
        manifest: What was unpacked.
        sealed: When it was, in nanoseconds; files that are newer are read, with `NEVER` all of them.
        check: Called now and then while files are read; may raise.
    """
    top = f"{archive}{os.sep}{FILES}{os.sep}"
    paths = [*manifest.files, *[file.source for file in manifest.data]]
    if manifest.has_record:
        paths.append(f"{manifest.dist_info}/RECORD")
    try:
        found = _look_at(top, paths)
    except OSError:
        return _compare(top, manifest, sealed, check), sealed
    newest = max([status.st_mtime_ns for status in found], default=sealed)
    if (
        newest <= sealed
        and sum([status.st_size for status in found]) == _expected_size(manifest)
        and {stat.S_IFMT(status.st_mode) for status in found} <= {stat.S_IFREG}
    ):
        return "", newest
    return _compare(top, manifest, sealed, check), newest


def inspect(archive: Path, *, check: Callable[[], None] | None = None) -> str:
    """Return what is wrong with an archive, after reading all of it; empty where nothing is."""
    place = os.fspath(archive)
    if not os.path.lexists(f"{place}{os.sep}{MANIFEST}"):
        return f"{MANIFEST} is missing"
    manifest = read_manifest(f"{place}{os.sep}{MANIFEST}")
    if manifest is None:
        return f"{MANIFEST} is damaged, or of another version"
    return find_damage(place, manifest, NEVER, check=check)[0]


def seal(archive: str, when: int) -> bool:
    """Let the manifest count as written at this time, in nanoseconds; False where that is not possible."""
    try:
        os.utime(f"{archive}{os.sep}{MANIFEST}", ns=(when, when))
    except OSError:
        return False
    return True


def _look_at(top: str, paths: Sequence[str]) -> list[os.stat_result]:
    """Return the status of all files, or raise OSError; one by one, as two threads take longer than one."""
    if os.stat not in os.supports_dir_fd:
        return [os.lstat(top + path) for path in paths]
    # An eighth quicker, as the way to the folder is gone once only.
    stat_file, folder = os.stat, os.open(top, os.O_RDONLY)
    try:
        return [stat_file(path, dir_fd=folder, follow_symlinks=False) for path in paths]
    finally:
        os.close(folder)


def _compare(top: str, manifest: WheelManifest, sealed: int, check: Callable[[], None] | None) -> str:
    """Look at file by file; returns what is wrong with the first one that is not as it was."""
    for path, digest, size in _rows(manifest):
        if check is not None:
            check()
        damage = _damage(top + path, digest, size, sealed)
        if damage:
            return f"{path} {damage}"
    return ""


def _damage(path: str, digest: str, size: int, sealed: int) -> str:
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return "is no file"
        if status.st_size != size:
            return f"has {status.st_size} bytes instead of {size}"
        if status.st_mtime_ns > sealed and _digest(path) != digest:
            return "has other content"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _digest(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return encode_digest(hashlib.file_digest(file, "sha256").digest())


def _rows(manifest: WheelManifest) -> Iterator[tuple[str, str, int]]:
    """Give path, digest and size of all files of an archive."""
    for path, digest, size in parse_record(manifest.record):
        yield path, digest, int(size)
    for file in manifest.data:
        yield file.source, file.digest, file.size
    if manifest.has_record:
        content = _record(manifest).encode()
        yield f"{manifest.dist_info}/RECORD", digest_bytes(content), len(content)


def _record(manifest: WheelManifest) -> str:
    return manifest.record + record_row(f"{manifest.dist_info}/RECORD", "", "")


def _expected_size(manifest: WheelManifest) -> int:
    if not manifest.has_record:
        return manifest.installed_size
    record = _record(manifest)
    return manifest.installed_size + (len(record) if record.isascii() else len(record.encode()))
