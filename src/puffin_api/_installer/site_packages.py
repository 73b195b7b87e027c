"""What is installed: one look at each folder, everything else read when it is asked for."""

from __future__ import annotations

import hashlib
import os
import stat

from puffin_api._installer.developed_modules import developed_modules
from puffin_api._installer.journal import MARK, PREFIX
from puffin_api._installer.recovery import is_transaction
from puffin_api._model.dist_info import is_module_file, split_dist_info, split_egg_info
from puffin_api._model.installed import InstalledDistribution, InstalledSet
from puffin_api._model.names import is_name, normalize
from puffin_api._model.problems import BrokenMetadata, DuplicateDistribution, InterruptedTransaction
from puffin_api._wheel.record import parse_record, record_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from puffin_api._model.problems import Problem

_USUAL = ".dist-info"
_SUFFIXES = (_USUAL, ".egg-info", ".egg-link", ".egg")
# A pipe that stands where a file should be must not be waited for.
_READ: int = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_LONGEST_VERSION = 200
"""None that a folder is named after is longer, and Python reads no number of thousands of digits."""
_NO_NAME = "the name is not that of a distribution"
_NO_FOLDER = "it is not a folder"


class DistributionFolder:
    """Reads one installed distribution: a ``.dist-info`` folder, or what very old tools left."""

    __slots__ = ("_path", "kind")

    def __init__(self, path: str, kind: str) -> None:
        self._path = path
        self.kind = kind

    def read_text(self, name: str) -> str | None:
        """Return the text of a metadata file, None where it is missing or unreadable."""
        try:
            return read_file(self._file(name)).decode(errors="surrogateescape")
        except NotADirectoryError:
            return _read_zipped(self._path, name) if self.kind == "egg" else None
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return None

    def has(self, name: str) -> bool:
        """Tell whether there is anything of that name, readable or not."""
        path = f"{self._path}{os.sep}{name}" if self.kind == "dist-info" else self._file(name)
        try:
            # The first one is much quicker, and does not see links that lead nowhere.
            return os.access(path, os.F_OK) or os.path.lexists(path)
        except ValueError:  # a name that no file can have
            return False

    def record(self) -> Sequence[tuple[str, str, str]] | None:
        """Return path, digest and size of each file, relative to the folder around; None for no list."""
        if self.kind == "dist-info":
            text = self.read_text("RECORD")
            try:
                return None if text is None else parse_record(text)
            except ValueError:
                return None
        if self.kind == "egg-info":
            return self._installed_files()
        return None

    def paths(self) -> Sequence[str]:
        """Return the path of each file as `record` does; none where there is no list."""
        if self.kind == "dist-info":
            return self.listed()[0]
        return [row[0] for row in self.record() or ()]

    def listed(self) -> tuple[Sequence[str], str]:
        """Return `paths`, and the text of RECORD that they were read from; empty where there is none."""
        if self.kind != "dist-info":
            return self.paths(), ""
        text = self.read_text("RECORD") or ""
        try:
            return record_paths(text), text
        except ValueError:
            return (), text

    def module_files(self) -> Sequence[str]:
        """Return the absolute paths of all modules, by the path as given and by the real one."""
        bases = {os.path.dirname(self._path)}
        bases |= {os.path.realpath(base) for base in bases}
        paths = [path for path in self.paths() if is_module_file(path)]
        return [os.path.normpath(os.path.join(base, path)) for base in bases for path in paths]

    def linked_folder(self) -> str:
        """Return the folder that an ``egg-link`` names; "" where it names none, and for other kinds."""
        return _linked_folder(self._path) if self.kind == "egg-link" else ""

    def developed_modules(self, tree: str, own: Iterable[str]) -> Sequence[str]:
        """Return the top-level modules of what is developed in a tree; ``own`` is what they may be called."""
        return developed_modules(os.path.dirname(self._path), self.paths(), tree=tree, own=own)

    def _file(self, name: str) -> str:
        if self.kind == "dist-info":
            return f"{self._path}{os.sep}{name}"
        if self.kind == "egg":
            return os.path.join(self._path, "EGG-INFO", name)
        if self.kind == "egg-link":
            folder = _egg_info_of_link(self._path)
            return os.path.join(folder, name) if folder else ""
        if self.kind == "egg-info" and name == "PKG-INFO" and os.path.isfile(self._path):
            return self._path  # one file, as distutils wrote it
        return os.path.join(self._path, name)

    def _installed_files(self) -> Sequence[tuple[str, str, str]] | None:
        text = self.read_text("installed-files.txt")
        if text is None:
            return None
        folder = os.path.basename(self._path)  # the paths are relative to the .egg-info folder
        paths = (os.path.normpath(os.path.join(folder, line)) for line in text.splitlines() if line)
        return [(path.replace(os.sep, "/"), "", "") for path in paths]


class Listing:
    """One look at the folders of an environment: what is installed, and every name in each folder."""

    __slots__ = ("fingerprint", "found", "interrupted", "names", "problems")

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str, str]] = []
        """Name, version, path and kind of each distribution."""
        self.names: dict[str, set[str]] = {}
        """All entries by folder."""
        self.interrupted: list[str] = []
        """Folders of transactions that have not ended."""
        self.problems: list[BrokenMetadata | InterruptedTransaction] = []
        self.fingerprint = ""


def list_distributions(roots: Iterable[Path | str], *, strict: bool = False) -> InstalledSet:
    """List what is installed in these folders, earlier ones first. Nothing that is broken raises.

    Args:
        roots: Usually purelib and platlib; the same folder twice counts once.
        strict: See `look`.

    Raises:
        OSError: Only if it is strict: a folder cannot be read.
    """
    listing = look(roots, strict=strict)
    dists = [
        InstalledDistribution(name, version, path, DistributionFolder(path, kind))
        for name, version, path, kind in listing.found
    ]
    if len(listing.names) > 1:
        dists.sort(key=_by_name)  # keeps the order of the folders for one name
    return InstalledSet(tuple(dists), (*listing.problems, *_duplicates(dists)), listing.fingerprint)


def fingerprint(roots: Iterable[Path | str]) -> str:
    """Return a text that changes with every change of what is installed in these folders."""
    return look(roots).fingerprint


def look(roots: Iterable[Path | str], *, strict: bool = False) -> Listing:
    """Read each folder once; a folder that is missing is empty.

    Args:
        roots: Usually purelib and platlib.
        strict: For whoever is to change something: what cannot be read is an error and no problem.

    Raises:
        OSError: Only if it is strict: a folder cannot be read.
    """
    listing = Listing()
    marks: list[str] = []
    for root in _distinct(roots):
        names = listing.names[root] = set()
        found: list[tuple[str, str, str, str]] = []
        try:
            with os.scandir(root) as entries:
                for entry in entries:
                    name = entry.name
                    names.add(name)
                    if name.endswith(_SUFFIXES):
                        _take(entry, found, listing.problems, marks)
                    elif name.startswith(PREFIX):
                        listing.interrupted.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError as error:  # also in the middle: what was seen until then counts
            if strict:
                raise
            reason = f"the folder cannot be read: {error.strerror or error}"
            listing.problems.append(BrokenMetadata(name=os.path.basename(root), location=root, reason=reason))
        found.sort()
        listing.found += found
    listing.interrupted.sort()
    listing.problems.sort(key=_location)
    listing.problems += [InterruptedTransaction(path=path) for path in listing.interrupted if _waits(path)]
    marks.sort()
    listing.fingerprint = hashlib.sha256("\n".join(marks).encode(errors="surrogateescape")).hexdigest()[:32]
    return listing


def _waits(folder: str) -> bool:
    """Tell whether the folder of a transaction holds a change that is neither made nor undone.

    A change that was made leaves its folder where a file in it was still in use: only trash is in it.
    """
    return is_transaction(os.path.basename(folder)) and not os.path.lexists(f"{folder}/{MARK}")


def _distinct(roots: Iterable[Path | str]) -> list[str]:
    """Leave out folders that are an earlier one by another path, as ``lib64`` often is ``lib``."""
    paths = list(dict.fromkeys(os.fspath(root) for root in roots))
    if len(paths) == 1:
        return paths
    found: dict[object, str] = {}
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found[path] = path  # whatever is wrong with it, reading it tells
        else:
            found.setdefault((status.st_dev, status.st_ino), path)
    return list(found.values())


def _location(problem: BrokenMetadata | InterruptedTransaction) -> str:
    return problem.location if isinstance(problem, BrokenMetadata) else problem.path


def read_file(path: str) -> bytes:
    """Read a file. Most that are asked for are not there: this fails at half the cost of ``open``."""
    descriptor = os.open(path, _READ)
    try:
        pieces: list[bytes] = []
        while piece := os.read(descriptor, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _read_zipped(egg: str, name: str) -> str | None:
    """Read a file of the metadata of an ``.egg`` that is an archive."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(egg) as archive:
            return archive.read(f"EGG-INFO/{name}").decode(errors="surrogateescape")
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # no archive, a broken or an encrypted one, or nothing of that name in it


def _take(
    entry: os.DirEntry[str],
    found: list[tuple[str, str, str, str]],
    problems: list[BrokenMetadata | InterruptedTransaction],
    marks: list[str],
) -> None:
    """Note one distribution, or why it is none; both where its name says too little."""
    name = entry.name
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # it went while we looked
        return
    marks.append(f"{name} {status.st_ino} {status.st_mtime_ns}")
    if name.endswith(_USUAL) and stat.S_ISDIR(status.st_mode):
        split = split_dist_info(name)
        if split is not None:  # nearly all go this way
            found.append((*split, entry.path, "dist-info"))
            return
    _, _, kind = name.rpartition(".")
    reason = ""
    if kind != "dist-info":
        split = _split_old(entry, kind)
    elif not stat.S_ISDIR(status.st_mode) and not os.path.isdir(entry.path):
        split, reason = None, _NO_FOLDER
    else:
        split = split_dist_info(name)
        if split is None:
            split, reason = _split_odd(entry), _NO_NAME
    if split is None or reason:
        problems.append(BrokenMetadata(name=name, location=entry.path, reason=reason or _NO_NAME))
    if split is not None:
        found.append((*split, entry.path, kind))


def _split_odd(entry: os.DirEntry[str]) -> tuple[str, str] | None:
    """Tell name and version of a ``name.dist-info`` without a version, which only its METADATA knows."""
    name = entry.name.removesuffix(".dist-info").rstrip("-")
    if not is_name(name):
        return None
    version = _version_inside(normalize(name), entry.path, "dist-info")
    return (normalize(name), version) if version else None


def _split_old(entry: os.DirEntry[str], kind: str) -> tuple[str, str] | None:
    """Tell name and version of what setuptools and distutils left; the version may be inside only."""
    split = split_egg_info(entry.name.removesuffix(".egg-link"))
    if split is None or split[1]:
        return split
    return split[0], _version_inside(split[0], entry.path, kind)


def _version_inside(name: str, path: str, kind: str) -> str:
    """Return the version that the metadata tell for a project; "" where they tell none."""
    metadata = InstalledDistribution(name, "", path, DistributionFolder(path, kind)).metadata
    if metadata is None or normalize(metadata.name) != name or len(metadata.version) > _LONGEST_VERSION:
        return ""
    return metadata.version


def _egg_info_of_link(path: str) -> str:
    """Return the .egg-info folder in the place that an .egg-link file names; "" where there is none."""
    place = _linked_folder(path)
    try:
        names = [name for name in os.listdir(place) if name.endswith(".egg-info")] if place else []
    except OSError:
        return ""
    wanted = split_egg_info(os.path.basename(path).removesuffix(".egg-link"))
    # Several projects may be developed in one folder.
    names.sort(key=lambda name: (split_egg_info(name) or ("", ""))[:1] != (wanted or ("", ""))[:1])
    return os.path.join(place, names[0]) if names else ""


def _linked_folder(path: str) -> str:
    try:
        folder = first_line(path)
    except OSError:
        return ""
    return "" if "\0" in folder else folder


def first_line(path: str) -> str:
    """Return what an ``.egg-link`` file has to say.

    Raises:
        OSError: It cannot be read.
    """
    return read_file(path).partition(b"\n")[0].decode(errors="surrogateescape").strip()


def _by_name(dist: InstalledDistribution) -> str:
    return dist.name


def _duplicates(dists: Sequence[InstalledDistribution]) -> list[Problem]:
    """Report projects that are there more than once; ``dists`` are sorted by name."""
    found: list[Problem] = []
    index = 0 if len({dist.name for dist in dists}) < len(dists) else len(dists)
    while index < len(dists):
        end = index + 1
        while end < len(dists) and dists[end].name == dists[index].name:
            end += 1
        if end - index > 1:
            several = dists[index:end]
            found.append(
                DuplicateDistribution(
                    name=dists[index].name,
                    versions=tuple(dist.version for dist in several),
                    locations=tuple(str(dist.location) for dist in several),
                )
            )
        index = end
    return found
