"""The folder of a transaction: where new files wait for their rename and old ones for their end."""

from __future__ import annotations

import os
import stat

from puffin_api._installer.journal import PARTS, PREFIX, is_folder
from puffin_api._installer.recovery import PART_SUFFIX
from puffin_api._model.events import Notice
from puffin_api._wheel.link import link_files
from puffin_api.errors import DiskFull, PathTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from puffin_api._concurrency import Pump, WorkerPool
    from puffin_api._fs import LinkKind
    from puffin_api._installer.journal import Files, Step
    from puffin_api._wheel.lay_out import Layout, Places
    from puffin_api._wheel.link import Linker, Way

    _Paths = tuple[Sequence[str], Sequence[str]]
    """Where files lie, and where they go."""

_THREADED = 2000
"""From so many files on, two threads link faster than one."""


class Stage:
    """Lays wheels out beside their places, and names the steps that bring everything home."""

    def __init__(self, folder: str, places: Places, layouts: Sequence[Layout], files: Files) -> None:
        """Take the transaction's folder and what goes into it; nothing is made before ``open``."""
        self._folder = folder
        self._layouts = layouts
        self._base = os.path.dirname(folder)
        self._places = places
        self._files = files
        self._volume = files.volume(self._base)
        self._volumes: dict[str, int] = {}
        self._archives: dict[str, int] = {}
        self._parts: dict[int, str] = {self._volume: folder}
        """The folder of the transaction on each volume that it changes."""
        self._aside = 0
        self._made: set[str] = set()
        self._innermost_first = sorted(places.folders.items(), key=lambda item: -len(item[1]))
        self._flat = _flat_names(layouts)
        self._changed: dict[str, None] = {}
        self._new_folders: dict[str, str] = {}
        self._to_copy = 0

    # -- steps: worked out before anything is made

    def aside_path(self, path: str) -> Step:
        """Return the step that takes an existing entry away."""
        for place, folder in self._innermost_first:
            if path.startswith(folder + os.sep):
                return self.aside(place, path[len(folder) + 1 :])
        raise AssertionError(f"{path} is outside all places")

    def aside(self, place: str, path: str) -> Step:
        """Return the step that takes an existing entry of a place away."""
        self._aside += 1
        old = f"{self.relative(self._part(place))}/{PREFIX}old-{self._aside}"
        return ("rename", f"{self._prefix(place)}{path}", old)

    @property
    def has_old(self) -> bool:
        """Whether any step takes an existing entry away."""
        return self._aside > 0

    def into(self, place: str, path: str) -> Step:
        """Return the step that brings a staged entry into its place."""
        return ("rename", self.relative(self._staged(place, path)), f"{self._prefix(place)}{path}")

    def missing_folders(self, place: str) -> list[Step]:
        """Return the steps that make the folder of a place where it is missing."""
        missing: list[Step] = []
        folder = self._places.folders[place]
        while folder != self._base and folder not in self._made and not is_folder(folder):
            missing.append(("mkdir", self.relative(folder)))
            self._made.add(folder)
            folder = os.path.dirname(folder)
        return missing[::-1]

    def changed_folders(self) -> Iterable[str]:
        """Return the folders of the places that the steps so far change."""
        return self._changed.keys()

    def check_lengths(self) -> None:
        """Find paths that are too long, where the system would fail in some odd way.

        Where files wait, their paths are the longest that they have.

        Raises:
            PathTooLong: There is one.
        """
        limit = self._files.longest_path
        if limit is None:
            return
        for layout in self._layouts:
            paths = [f"{self._new(layout.place)}/{path}" for path in layout.tree]
            paths += [f"{self._new(layout.place)}/{path}" for path, _ in layout.dist_info]
            paths += [self._staged(extra.place, extra.path) for extra in layout.extra]
            longest = max(paths, key=len, default="")
            if len(longest) > limit:
                raise PathTooLong(
                    f"A path of {layout.name} would have {len(longest)} characters, and {limit} are possible",
                    hint="Use an environment in a shorter folder, or switch long paths on.",
                    path=longest,
                )

    # -- making

    def open(self) -> None:
        """Make the transaction's folder, and those on other volumes."""
        mkdir = self._files.mkdir
        mkdir(self._folder)
        others = [part for part in self._parts.values() if part != self._folder]
        if others:
            # Written before they are made: what recovery does not find would stay for ever.
            text = "\n".join(self.relative(part) for part in others)
            self._files.write_atomic(f"{self._folder}/{PARTS}", text.encode(errors="surrogateescape"))
        for part in others:
            mkdir(part)
        self._made = set(self._parts.values())

    def fill(self, linker: Linker, pool: WorkerPool | None, pump: Pump) -> list[Notice]:
        """Put the files of all wheels into the stage; returns what is worth telling.

        Raises:
            OSError: Something could not be written.
            DiskFull: Copies would not fit; nothing was copied yet.
        """
        notices: list[Notice] = []
        self._make_shared_folders()
        jobs = [self._job(layout, linker, notices) for layout in self._layouts]
        if pool is not None and sum(job.weight for job in jobs) >= _THREADED:
            # Two and no more: a third thread only waits for the interpreter lock.
            pool.map(lambda half: _run(half, pump), _halves(jobs), pump=pump)
        else:
            _run(jobs, pump)
        write = self._files.write
        for layout in self._layouts:
            new = self._new(layout.place)
            for path, content in layout.dist_info:
                write(f"{new}/{path}", content, 0o666)
            for extra in layout.extra:
                if extra.content is not None:
                    mode = 0o777 if extra.executable else 0o666
                    write(self._staged(extra.place, extra.path), extra.content, mode)
        return notices

    def write_edits(self, edits: Mapping[str, bytes]) -> None:
        """Write the new content of shared files of site-packages."""
        for name, content in edits.items():
            if content:
                self._files.write(self._staged("purelib", name), content, 0o666)

    def _make_shared_folders(self) -> None:
        """Make the folders that do not belong to one wheel only; no job waits for another one then."""
        seen: set[str] = set()
        for layout in self._layouts:
            new = self._new(layout.place)
            self._make_parents(f"{new}/{layout.manifest.dist_info}")
            folders = {f"{new}/{path}" for path in layout.manifest.directories}
            for folder in sorted(folders & seen):
                self._make_parents(f"{folder}/")
            seen |= folders
        for layout in self._layouts:
            for extra in layout.extra:
                self._make_parents(self._staged(extra.place, extra.path))

    def _make_parents(self, path: str) -> None:
        """Make the folders above a staged entry; the transaction's own are there."""
        missing: list[str] = []
        folder = path.rpartition("/")[0]
        while folder not in self._made:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for target in reversed(missing):
            self._made.add(target)
            self._files.mkdir(target)

    def _job(self, layout: Layout, linker: Linker, notices: list[Notice]) -> _Job:
        """Say what has to be made and linked for one wheel.

        Where the way is not known yet, the folders and the first file are made here, to find out.
        """
        new = self._new(layout.place)
        folders = [f"{new}/{path}" for path in layout.manifest.directories]
        job = _Job([path for path in folders if path not in self._made], self._files)
        source, ways = layout.archive, self._files.ways
        shares = self._has_our_permissions(layout)
        if not shares:  # a link would bring those of whoever filled the cache
            copying: dict[LinkKind, Way] = {**ways, "hardlink": ways["copy"]}
            ways = copying
        for place, target, old, paths in self._sources(layout):
            volumes = (self._volume_of_archive(source), self._volume_of(place))
            kind, placed = linker.known(volumes), 0
            if kind is None:
                job.make_folders()
                first = (f"{source}/{old[0]}", f"{target}/{paths[0]}")
                kind = linker.choose(volumes, *first, ways=ways, on_fallback=_teller(notices, source))
                placed = 1
            if kind == "copy" or (kind == "hardlink" and not shares):
                self._to_copy += layout.manifest.installed_size if place == layout.place else 0
                self._check_room(target)
            job.add((old[placed:], paths[placed:]), source, target, ways[kind])
        return job

    def _has_our_permissions(self, layout: Layout) -> bool:
        """Tell whether the cache was filled under the umask of now, which a folder that we made tells."""
        rights = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH | stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
        sample = f"{layout.archive}/{layout.manifest.dist_info}/METADATA"
        try:
            theirs = os.stat(sample).st_mode
        except OSError:
            return True  # whatever is wrong with it, placing the files tells
        return (theirs ^ os.stat(self._folder).st_mode) & rights == 0

    def _sources(self, layout: Layout) -> Iterable[tuple[str, str, Sequence[str], Sequence[str]]]:
        """Return, for each place, the folder to wait in, where files lie, and where they wait."""
        tree = layout.tree
        if tree:
            yield layout.place, self._new(layout.place), tree, tree
        by_place: dict[str, tuple[list[str], list[str]]] = {}
        for extra in layout.extra:
            if extra.content is None:
                old, new = by_place.setdefault(extra.place, ([], []))
                old.append(extra.source)
                new.append(self._staged(extra.place, extra.path)[len(self._part(extra.place)) + 1 :])
        for place, (old, new) in by_place.items():
            yield place, self._part(place), old, new

    def _check_room(self, folder: str) -> None:
        needed = self._to_copy
        free = self._files.free_bytes(os.path.dirname(folder))
        if free < needed:
            raise DiskFull(
                f"{needed} bytes have to be copied and {free} are free", path=folder, needed=needed, free=free
            )

    # -- names

    def _new(self, place: str) -> str:
        """Return the folder in which the entries of a place wait."""
        if place not in self._new_folders:
            part = self._part(place)
            # Those of site-packages lie in the folder itself.
            self._new_folders[place] = part if place == "purelib" else f"{part}/{PREFIX}{place}"
        return self._new_folders[place]

    def _staged(self, place: str, path: str) -> str:
        """Return where an entry of a place waits."""
        name = self._flat.get((place, path))
        return f"{self._new(place)}/{path}" if name is None else f"{self._part(place)}/{name}"

    def _part(self, place: str) -> str:
        """Return the transaction's folder on the volume of a place; a new one lies in the place itself."""
        volume = self._volume_of(place)
        if volume not in self._parts:
            folder = existing_folder(self._places.folders[place])
            self._parts[volume] = f"{folder}{os.sep}{os.path.basename(self._folder)}{PART_SUFFIX}"
        return self._parts[volume]

    def _volume_of_archive(self, files: str) -> int:
        """Return the volume of an archive's files: the one of the folder that all archives lie in."""
        archives = os.path.dirname(os.path.dirname(files))
        if archives not in self._archives:
            self._archives[archives] = self._files.volume(archives)
        return self._archives[archives]

    def _volume_of(self, place: str) -> int:
        if place not in self._volumes:
            folder = self._places.folders[place]
            self._volumes[place] = (
                self._volume if folder == self._base else self._files.volume(existing_folder(folder))
            )
        return self._volumes[place]

    def _prefix(self, place: str) -> str:
        """Return what comes before a path of a place, to make it relative to site-packages."""
        folder = self._places.folders[place]
        self._changed[folder] = None
        return "" if folder == self._base else self.relative(folder) + "/"

    def relative(self, path: str) -> str:
        """Return a path as steps have it: relative to site-packages."""
        if path.startswith(self._base + os.sep):
            return path[len(self._base) + 1 :]
        try:
            return os.path.relpath(path, self._base)
        except ValueError:  # another drive
            return path


class _Job:
    """The folders and links of one wheel."""

    __slots__ = ("_files", "_folders", "_links", "weight")

    def __init__(self, folders: Sequence[str], files: Files) -> None:
        self._folders = folders
        self._files = files
        self._links: list[tuple[_Paths, str, str, Way]] = []
        self.weight = len(folders)

    def add(self, paths: _Paths, source: str, target: str, way: Way) -> None:
        self._links.append((paths, source, target, way))
        self.weight += len(paths[0])

    def make_folders(self) -> None:
        """Make the folders, once."""
        folders, self._folders = self._folders, ()
        for folder in folders:
            self._files.mkdir(folder)

    def run(self) -> None:
        """Make and link everything."""
        self.make_folders()
        for paths, source, target, way in self._links:
            link_files(zip(*paths, strict=True), source, target, way, self._files.ways["copy"])


def _halves(jobs: Sequence[_Job]) -> tuple[list[_Job], list[_Job]]:
    """Share the jobs out so that both halves take about as long."""
    halves: tuple[list[_Job], list[_Job]] = ([], [])
    weights = [0, 0]
    for job in sorted(jobs, key=lambda job: -job.weight):
        lighter = weights.index(min(weights))
        halves[lighter].append(job)
        weights[lighter] += job.weight
    return halves


def _run(jobs: Iterable[_Job], pump: Pump) -> None:
    for job in jobs:
        pump.check()
        job.run()


def _flat_names(layouts: Sequence[Layout]) -> dict[tuple[str, str], str]:
    """Give single files, such as scripts, names in the transaction's folder: that saves a folder."""
    single = [
        (extra.place, extra.path)
        for layout in layouts
        for extra in layout.extra
        if "/" not in extra.path and extra.place != "purelib"
    ]
    return {key: f"{PREFIX}new-{number}" for number, key in enumerate(single, 1)}


def _teller(notices: list[Notice], source: str) -> Callable[[LinkKind, str], None]:
    def tell(kind: LinkKind, reason: str) -> None:
        notices.append(
            Notice(
                code="link-fallback",
                message=f"Files are copied out of the cache, as they cannot be linked: {reason}",
                data={"way": kind, "reason": reason, "source": source},
            )
        )

    return tell


def existing_folder(path: str) -> str:
    """Return the path or its nearest ancestor that exists."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
