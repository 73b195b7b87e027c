"""What a wheel puts where: its files, its ``.data`` files, scripts, and a RECORD of all of them."""

from __future__ import annotations

import functools
import json
import os

from puffin_api._model.dist_info import INSTALLER_BYTES, STAMP
from puffin_api._model.events import Notice
from puffin_api._wheel.record import digest_bytes, parse_record, record_row
from puffin_api._wheel.scripts import ScriptMaker, can_be_called, wrapped_entry_point
from puffin_api.errors import UnsafeArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puffin_api._model.cached import CachedWheel, DataFile, EntryPoint
    from puffin_api._model.direct_url import DirectUrl

_INSTALLER_DIGEST = digest_bytes(INSTALLER_BYTES)
_EMPTY_DIGEST = digest_bytes(b"")
_SCHEMES = ("purelib", "platlib", "scripts", "data", "headers")


class Places:
    """The folders that the parts of a wheel go to, as canonical absolute paths.

    Two schemes with one folder are one place. A file whose path leads from one place into another
    one inside it counts as one of the inner place, so that each file has one place and path.
    """

    __slots__ = ("_nested", "_relative", "folders", "home")

    def __init__(self, folders: Mapping[str, str]) -> None:
        """Take the folder of each scheme: purelib, platlib, scripts, data, headers."""
        self.folders: dict[str, str] = {}
        self.home: dict[str, str] = {}
        """The place of each scheme."""
        names: dict[str, str] = {}
        for scheme in _SCHEMES:
            folder = folders[scheme]
            self.home[scheme] = names.setdefault(folder, scheme)
            self.folders.setdefault(self.home[scheme], folder)
        self._nested = self._find_nested()
        self._relative: dict[tuple[str, str], str] = {}

    def locate(self, scheme: str, path: str) -> tuple[str, str]:
        """Return place and path of a file that a wheel gives by scheme and path."""
        place = self.home[scheme]
        for prefix, inner in self._nested.get(place, ()):
            if path.startswith(prefix):
                return inner, path[len(prefix) :]
        return place, path

    def inside(self, place: str) -> tuple[tuple[str, str], ...]:
        """Return the places inside a place: the path there, ending in ``/``, and which it is."""
        return self._nested.get(place, ())

    def relative(self, place: str, path: str, *, start: str) -> str:
        """Return the path as seen from the place ``start``, with ``/``: as a RECORD there names it."""
        if place == start:
            return path
        prefix = self._relative.get((place, start))
        if prefix is None:
            prefix = os.path.relpath(self.folders[place], self.folders[start]).replace(os.sep, "/")
            self._relative[place, start] = prefix
        return f"{prefix}/{path}"

    def _find_nested(self) -> dict[str, tuple[tuple[str, str], ...]]:
        nested: dict[str, list[tuple[str, str]]] = {}
        for outer, above in self.folders.items():
            top = above.rstrip(os.sep) + os.sep
            for inner, folder in self.folders.items():
                if inner != outer and folder.startswith(top):
                    prefix = folder[len(top) :].replace(os.sep, "/") + "/"
                    nested.setdefault(outer, []).append((prefix, inner))
        # The innermost place first: it is the longest prefix.
        return {
            outer: tuple(sorted(pairs, key=lambda pair: -len(pair[0]))) for outer, pairs in nested.items()
        }


class LaidOutFile:
    """A file that is not part of the wheel's own tree: written from content, or taken from the archive."""

    __slots__ = ("content", "digest", "executable", "path", "place", "size", "source")

    def __init__(
        self,
        place: str,
        path: str,
        digest: str,
        size: int,
        *,
        content: bytes | None = None,
        source: str = "",
        executable: bool = False,
    ) -> None:
        self.place = place
        self.path = path
        self.digest = digest
        self.size = size
        self.content = content
        """What is written; None where ``source`` is linked."""
        self.source = source
        """Relative to the archive's files."""
        self.executable = executable


class Layout:
    """Everything that installing one wheel puts somewhere."""

    __slots__ = (
        "_taken",
        "archive",
        "dist_info",
        "elsewhere",
        "extra",
        "links_record",
        "manifest",
        "name",
        "notices",
        "place",
        "skip",
    )

    def __init__(self, wheel: CachedWheel, place: str) -> None:
        self.manifest = wheel.manifest
        self.name = wheel.manifest.name
        self.archive = f"{wheel.archive}{os.sep}files"
        self.place = place
        """Where the wheel's own tree goes."""
        self.extra: list[LaidOutFile] = []
        """Scripts and ``.data`` files."""
        self.dist_info: list[tuple[str, bytes]] = []
        """Files that are written into the dist-info folder; RECORD is the last."""
        self.links_record = False
        """Whether the archive's own RECORD is linked, instead of one written."""
        self.skip: set[str] = set()
        """Files of the tree that are not to be linked."""
        self.elsewhere: set[str] = set()
        """Top-level folders of the tree of which nothing is left in it."""
        self.notices: list[Notice] = []
        self._taken: set[tuple[str, str]] = set()

    def add(self, extra: LaidOutFile) -> None:
        """Add a script or ``.data`` file; of two in one place, the first is the one that counts."""
        if (extra.place, extra.path) not in self._taken:
            self._taken.add((extra.place, extra.path))
            self.extra.append(extra)

    def digests(self) -> dict[str, str]:
        """Return the digest of each file of the wheel's own tree, as in RECORD."""
        rows = {path: digest for path, digest, _ in parse_record(self.manifest.record)}
        return {path: rows.get(path, "") for path in self.tree}

    @property
    def tree(self) -> Sequence[str]:
        """The files that are linked out of the wheel's own tree."""
        files: Sequence[str] = self.manifest.files
        if self.links_record:
            files = (*files, f"{self.manifest.dist_info}/RECORD")
        return [path for path in files if path not in self.skip] if self.skip else files


def lay_out(
    wheel: CachedWheel,
    places: Places,
    *,
    executable: str,
    windows: str = "",
    requested: bool = False,
    direct_url: DirectUrl | None = None,
) -> Layout:
    """Work out what installing a wheel puts where. Reads shipped scripts, changes nothing.

    Args:
        wheel: The unpacked wheel.
        places: Where the schemes are.
        executable: The interpreter that scripts shall run with.
        windows: The platform tag of the environment where it is one of Windows, see
            `puffin_api._wheel.launchers.windows_platform`; nothing for scripts of other systems.
        requested: Whether the user asked for it, so that REQUESTED is written.
        direct_url: Where it came from, when that is not an index.

    Raises:
        UnsafeArchive: A script or data file may not be put where the wheel wants it.
        OSError: A shipped script cannot be read.
    """
    manifest = wheel.manifest
    layout = Layout(wheel, places.home["purelib" if manifest.root_is_purelib else "platlib"])
    maker = ScriptMaker(executable, windows)
    if manifest.entry_points:
        _add_entry_points(layout, places, maker)
    if manifest.data:
        _add_data(layout, places, maker)
    for prefix, inner in places.inside(layout.place):
        if prefix[:-1] in manifest.top_level:
            _hand_over(layout, prefix, inner)
    layout.dist_info = _dist_info_files(layout, places, requested=requested, direct_url=direct_url)
    return layout


def _add_entry_points(layout: Layout, places: Places, maker: ScriptMaker) -> None:
    scripts: dict[str, bytes] = {}
    for entry in sorted(layout.manifest.entry_points, key=lambda entry: entry.gui):
        if not can_be_called(entry):
            layout.notices.append(_script_skipped(layout.name, entry))
            continue
        name, content, starts = maker.entry_point(entry, layout.name)
        scripts[name] = content
        if not starts:
            layout.notices.append(_no_launcher(layout.name, name))
    for name, content in scripts.items():
        layout.add(_written(places.home["scripts"], name, content))


def _add_data(layout: Layout, places: Places, maker: ScriptMaker) -> None:
    entry_points = {entry.name for entry in layout.manifest.entry_points if can_be_called(entry)}
    digests = functools.cache(layout.digests)
    for data in layout.manifest.data:
        if data.scheme == "scripts" and wrapped_entry_point(data.path) in entry_points:
            continue
        extra = _data_file(layout, data, places, maker)
        if extra.place != layout.place or not _is_in_tree(layout, extra, data.source, digests()):
            layout.add(extra)


def _is_in_tree(layout: Layout, extra: LaidOutFile, source: str, digests: Mapping[str, str]) -> bool:
    """Tell whether the wheel's own tree has this very file. Where it has another one, that is left out.

    The dist-info folder is not open to ``.data`` files: RECORD or INSTALLER might be one.
    """
    if extra.path.startswith(f"{layout.manifest.dist_info}/"):
        raise UnsafeArchive(
            f"{layout.name} has a .data file that would be put into its .dist-info folder",
            name=layout.name,
            entry=source,
            rule="data-in-dist-info",
        )
    if digests.get(extra.path) == extra.digest:
        return True
    if extra.path in digests:
        layout.skip.add(extra.path)
    return False


def _data_file(layout: Layout, data: DataFile, places: Places, maker: ScriptMaker) -> LaidOutFile:
    if data.scheme not in _SCHEMES:
        raise UnsafeArchive(
            f"{layout.name} has files for an unknown scheme {data.scheme!r}",
            name=layout.name,
            entry=data.source,
            rule="data-scheme",
        )
    if data.scheme == "scripts":
        return _shipped_script(layout, data, places, maker)
    path = f"{layout.name}/{data.path}" if data.scheme == "headers" else data.path
    place, path = places.locate(data.scheme, path)
    return LaidOutFile(place, path, data.digest, data.size, source=data.source, executable=data.executable)


def _hand_over(layout: Layout, prefix: str, inner: str) -> None:
    """Count the files of a folder that is a place of its own (``bin`` of a plain folder) as that one's."""
    manifest = layout.manifest
    for path, digest, size in parse_record(manifest.record):
        if path.startswith(prefix):
            layout.skip.add(path)
            layout.add(
                LaidOutFile(
                    inner,
                    path[len(prefix) :],
                    digest,
                    int(size),
                    source=path,
                    executable=path in manifest.executables,
                )
            )
    layout.elsewhere.add(prefix[:-1])


def _shipped_script(layout: Layout, data: DataFile, places: Places, maker: ScriptMaker) -> LaidOutFile:
    """Copy a script: it gets a new first line or, at least, its executable bit, and the cache must not."""
    maker.check(data.path, layout.name)
    with open(f"{layout.archive}/{data.source}", "rb") as file:
        content = file.read()
    return _written(places.home["scripts"], data.path, maker.shipped(content))


def _written(place: str, path: str, content: bytes) -> LaidOutFile:
    return LaidOutFile(place, path, digest_bytes(content), len(content), content=content, executable=True)


def _dist_info_files(
    layout: Layout, places: Places, *, requested: bool, direct_url: DirectUrl | None
) -> list[tuple[str, bytes]]:
    manifest, folder = layout.manifest, layout.manifest.dist_info
    if manifest.has_record and not (layout.extra or requested or direct_url):
        layout.links_record = True  # it would say the same
        return []
    rows = [manifest.record] if not layout.skip else _kept_rows(layout)
    for extra in layout.extra:
        path = places.relative(extra.place, extra.path, start=layout.place)
        rows.append(record_row(path, extra.digest, extra.size))
    files: list[tuple[str, bytes]] = []
    if not manifest.has_record:
        files.append((f"{folder}/INSTALLER", INSTALLER_BYTES))
        rows.append(record_row(files[0][0], _INSTALLER_DIGEST, len(INSTALLER_BYTES)))
    if requested:
        files.append((f"{folder}/REQUESTED", b""))
        rows.append(record_row(files[-1][0], _EMPTY_DIGEST, 0))
    if direct_url is not None:
        content = direct_url.to_json().encode()
        files.append((f"{folder}/direct_url.json", content))
        rows.append(record_row(files[-1][0], digest_bytes(content), len(content)))
    if direct_url is not None and direct_url.stamp:
        content = json.dumps({"version": 1, "stamp": direct_url.stamp}).encode()
        files.append((f"{folder}/{STAMP}", content))
        rows.append(record_row(files[-1][0], digest_bytes(content), len(content)))
    rows.append(record_row(f"{folder}/RECORD", "", ""))
    files.append((f"{folder}/RECORD", "".join(rows).encode()))
    return files


def _kept_rows(layout: Layout) -> list[str]:
    """Return the rows of the tree without those of files that ``.data`` files take the place of."""
    rows = parse_record(layout.manifest.record)
    return [record_row(*row) for row in rows if row[0] not in layout.skip]


def _no_launcher(package: str, script: str) -> Notice:
    return Notice(
        code="no-launcher",
        message=f"{package}: {script} has no .exe launcher; start it with python",
        data={"name": package, "script": script},
    )


def _script_skipped(package: str, entry: EntryPoint) -> Notice:
    target = f"{entry.module}:{entry.attribute}"
    return Notice(
        code="script-skipped",
        message=f"{package}: no script {entry.name} is made, as Python cannot import {target}",
        data={"name": package, "script": entry.name, "target": target},
    )
