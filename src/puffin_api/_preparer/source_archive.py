"""Unpack a source archive into a folder, so that whatever it holds, nothing outside is written.

A tar archive can only be read from front to back, so its entries are checked and written in turn: each
file is made anew in folders that were made here, and links come last, when all is written that could have
gone through them. Of the modes only the executable bit is kept. Times are kept, for builds that look
at them, within what zip archives can express: that is what most builds end in.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import tarfile

from puffin_api._concurrency import SILENT, Pump
from puffin_api._preparer.archive_kind import checked_kind
from puffin_api._preparer.source_rules import Budget, refused
from puffin_api._preparer.source_zip import zip_entries
from puffin_api._preparer.tar_entries import tar_entries
from puffin_api._preparer.tar_stream import PIECE, TarStream
from puffin_api._preparer.tree_rules import SourceEntry, TreeRules
from puffin_api._wheel.rules import Limits, check_limits
from puffin_api._wheel.zip_directory import open_zip
from puffin_api.errors import CacheUnavailable, DiskFull, MetadataInvalid, PathTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from puffin_api.errors import PuffinError

MARKS = ("pyproject.toml", "setup.py", "PKG-INFO")
"""Each of these files tells the top folder of sources."""
_EARLIEST, _LATEST = 315_532_800, 4_354_819_198
"""1980 and the end of 2107, between which zip archives can date a file."""
_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/|$))+", re.ASCII).fullmatch
"""Names in which nothing leads elsewhere on any system."""
_TAR_TYPES = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}


def unpack_source(
    archive: Path, target: Path, *, filename: str, limits: Limits | None = None, pump: Pump = SILENT
) -> Path:
    """Unpack a ``.tar.gz``, ``.tar.bz2``, ``.tar.xz``, ``.tar`` or ``.zip``; the top folder of its tree.

    Nothing outside the target is written. On failure the target holds a part; to remove it is up to
    the caller.

    Args:
        archive: The file.
        target: An empty folder, or none yet.
        filename: The archive's real file name; ``archive`` may have another.
        limits: How much the archive may hold.
        pump: Asked often whether the caller has cancelled.

    Raises:
        UnsafeArchive: The archive is damaged, of another kind than its name says, or breaks another
            rule of `puffin_api._preparer.source_rules.SOURCE_RULES`.
        MetadataInvalid: It holds no sources of a project.
        DiskFull: There is no room for it.
        PathTooLong: The file system does not take a path.
        CacheUnavailable: The archive cannot be read or the target not be written.
    """
    limits = limits or Limits()
    try:
        os.makedirs(target, exist_ok=True)
        assert not os.listdir(target), "the target is empty"
        kind = checked_kind(archive, filename)
        budget = Budget(filename, os.path.getsize(archive), limits)
        tree = _Tree(target, filename, budget, limits, pump)
        with _entries(archive, kind, filename, budget, limits, pump) as entries:
            for entry in entries:
                pump.check()
                tree.add(entry)
        tree.make_links()
        return _top_folder(target, filename)
    except OSError as error:
        raise _failure(error, target, filename) from error


class _Tree:
    """The tree as far as it is written."""

    def __init__(self, target: Path, archive: str, budget: Budget, limits: Limits, pump: Pump) -> None:
        self._root = os.fspath(target)
        self._archive = archive
        self._budget = budget
        self._pump = pump
        self._rules = TreeRules(
            archive, max_entries=limits.max_entries, case_sensitive=_is_case_sensitive(self._root)
        )

    def add(self, entry: SourceEntry) -> None:
        is_again = self._rules.is_known(entry)
        path, folders = self._rules.place(entry)
        second_opinion(entry, self._root, self._archive)
        for folder in folders:
            os.mkdir(f"{self._root}/{folder}")
        if entry.kind == "hard-link":
            entry.content = self._copied(self._rules.hard_link_target(entry), entry)
        if entry.kind in ("folder", "link"):
            return
        full = f"{self._root}/{path}"
        if not is_again:
            _write(full, entry)
        elif not _holds(full, entry.content):
            raise refused(self._archive, "duplicate-entry", entry.name)

    def make_links(self) -> None:
        """Make the symbolic links, now that nothing is written any more."""
        for path, target in self._rules.checked_links():
            self._pump.check()
            make_link(f"{self._root}/{path}", target)

    def _copied(self, path: str, entry: SourceEntry) -> Iterator[bytes]:
        """Read a file again: a second name for one file would let a build change both."""
        with open(f"{self._root}/{path}", "rb") as file:
            while piece := file.read(PIECE):
                self._pump.check()
                self._budget.spend(len(piece), entry.name)
                yield piece


def make_link(path: str, target: str) -> None:
    """Make a symbolic link, or where the system does not let us, a copy of the file."""
    there = os.path.join(os.path.dirname(path), target)
    try:
        os.symlink(target, path, target_is_directory=os.path.isdir(there))
    except OSError:
        # Windows wants a privilege for it. A link to nothing is of no use as a copy either.
        if os.path.isfile(there):
            shutil.copyfile(there, path)


def second_opinion(entry: SourceEntry, root: str, archive: str) -> None:
    """Ask the standard library too: a mistake in our rules should not be enough to write outside.

    Pythons before 3.11.4 have no opinion.

    Raises:
        UnsafeArchive: The standard library would not unpack the entry.
    """
    data_filter = getattr(tarfile, "data_filter", None)
    # It asks the file system for every part of the path: for names like these, to no purpose.
    if data_filter is None or (entry.kind in ("file", "folder") and _PLAIN(entry.name)):
        return
    member = tarfile.TarInfo(entry.name)
    member.type = _TAR_TYPES.get(entry.kind, tarfile.LNKTYPE)
    member.linkname = entry.target
    try:
        data_filter(member, root)
    except tarfile.FilterError as error:
        is_link = entry.kind in ("link", "hard-link")
        raise refused(archive, "link-outside" if is_link else "parent-path", entry.name) from error


@contextlib.contextmanager
def _entries(
    archive: Path, kind: str, filename: str, budget: Budget, limits: Limits, pump: Pump
) -> Generator[Iterable[SourceEntry]]:
    if kind == "zip":
        with open_zip(archive, filename) as opened, open(archive, "rb") as file:
            check_limits(opened.entries, filename, opened.size, limits)
            yield zip_entries(opened, file, pump=pump)
    else:
        with open(archive, "rb") as file:
            stream = TarStream(file, kind, archive=filename, budget=budget, pump=pump)
            yield tar_entries(stream, filename)


def _write(path: str, entry: SourceEntry) -> None:
    # The umask is applied by the system; to read it here would mean to set it.
    mode = 0o777 if entry.executable else 0o666
    with open(path, "xb", opener=functools.partial(os.open, mode=mode)) as file:
        file.writelines(entry.content)
    mtime = min(max(entry.mtime, _EARLIEST), _LATEST)
    os.utime(path, (mtime, mtime))


def _holds(path: str, content: Iterable[bytes | memoryview]) -> bool:
    """Tell whether a file has this content: some tools put the same file in twice."""
    with open(path, "rb") as file:
        return all(file.read(len(piece)) == piece for piece in content) and not file.read(1)


def _is_case_sensitive(folder: str) -> bool:
    probe = os.path.join(folder, "case")
    with open(probe, "xb"):
        pass
    try:
        return not os.path.lexists(os.path.join(folder, "CASE"))
    finally:
        os.unlink(probe)


def _top_folder(target: Path, archive: str) -> Path:
    """Return the one folder that there is, or the target where the sources are not in a folder."""
    # macOS writes what its file systems know of a file beside it, under such names.
    names = [name for name in os.listdir(target) if not name.startswith("._")]
    if len(names) == 1 and os.path.isdir(target / names[0]) and not os.path.islink(target / names[0]):
        return target / names[0]
    if any(os.path.isfile(target / mark) for mark in MARKS):
        return target
    reason = "it has neither one top folder nor a pyproject.toml, setup.py or PKG-INFO"
    raise MetadataInvalid(
        f"{archive} is no source distribution: {reason}", name="", source=archive, reason=reason
    )


def _failure(error: OSError, target: Path, archive: str) -> PuffinError:
    path = str(error.filename or target)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return DiskFull(f"No room is left to unpack {archive} into {target}", path=path)
    if error.errno == errno.ENAMETOOLONG:
        return PathTooLong(f"The path {path} is longer than the file system allows", path=path)
    return CacheUnavailable(f"{archive} cannot be unpacked into {target}: {error}", path=path)
