"""What leaves with a change set: the files of the old distributions, less those that others own too."""

from __future__ import annotations

import os
from contextlib import suppress

from puffin_api._installer.site_packages import DistributionFolder, first_line, read_file
from puffin_api._model.direct_url import DirectUrl
from puffin_api._model.events import Notice
from puffin_api._model.installed import InstalledDistribution
from puffin_api._model.plan import Before, RemovedFiles
from puffin_api._wheel.record import parse_record
from puffin_api._wheel.uninstall import OwnedFiles
from puffin_api.errors import InstallFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from puffin_api._installer.site_packages import Listing
    from puffin_api._wheel.lay_out import Places
    from puffin_api._wheel.uninstall import Removal

_EASY_INSTALL = "easy-install.pth"


class Leaving:
    """The distributions of a listing that are removed or replaced."""

    def __init__(
        self, listing: Listing, names: Collection[str], places: Places, *, replaced: Collection[str] = ()
    ) -> None:
        """Sort the distributions of these names out and read what they own.

        Args:
            listing: What is there.
            names: Projects that are removed or replaced.
            places: The folders of the environment.
            replaced: Those that are replaced: of them, ruins that nobody could remove may be in the way.

        Raises:
            InstallFailed: It cannot be told which files one of them owns.
        """
        self._owned = OwnedFiles(places.folders.values())
        self._base = places.folders["purelib"]
        self._replaced = replaced
        self._tokens: set[bytes] = set()
        self._stays = {
            path: name for name, _, path, kind in listing.found if kind == "dist-info" and name not in names
        }
        """Names of the distributions that stay, by the place of their metadata."""
        self.removed: list[RemovedFiles] = []
        self.before: dict[str, Before] = {}
        """What else is known of them, by name."""
        self.notices: list[Notice] = []
        self.edits: dict[str, bytes] = {}
        """New content of shared files in site-packages; empty for a file that goes."""
        self.files = 0
        """How many files leave."""
        for name, version, path, kind in listing.found:
            if name in names:
                self._add(name, version, path, kind)

    @property
    def replaced(self) -> set[str]:
        """Absolute paths of the shared files that are edited."""
        return {f"{self._base}{os.sep}{name}" for name in self.edits}

    def plan(self) -> Removal:
        """Return the entries to be renamed away.

        Raises:
            OSError: A folder cannot be read.
        """
        self._keep_shared()
        removal = self._owned.plan()
        self.files = removal.files
        self.notices += [
            Notice(
                code="file-refused", message=f"Left alone, as it lies outside: {path}", data={"path": path}
            )
            for path in removal.refused
        ]
        return removal

    def owners(self, paths: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return name and digest of each of these files that a distribution which stays owns."""
        found: dict[str, tuple[str, str]] = {}
        for location, name in self._stays.items():
            base = os.path.dirname(location)
            for path, digest, _ in _rows(_read(location)):
                target = os.path.normpath(f"{base}{os.sep}{path}")
                if target in paths:
                    found[target] = name, digest
        return found

    def _add(self, name: str, version: str, location: str, kind: str) -> None:
        base = os.path.dirname(location)
        paths, record = self._paths(name, location, kind)
        self._owned.add(base, paths)
        if kind == "egg-link":
            self._forget_paths(base, first_line(location))
        elif kind == "egg":
            egg = os.path.basename(location)
            self._forget_paths(base, egg, f"./{egg}", location)
        if kind != "egg-link" and os.path.isdir(location):
            self._owned.add_folder(location)
        if self._stays:
            self._tokens.update(_tokens(paths, os.path.basename(location)))
        before = _before(location, paths)
        self.before.setdefault(name, before)
        removed = RemovedFiles(folder=base, files=paths, record=record)
        if kind == "egg-link" or (before.direct_url is not None and before.direct_url.editable):
            # Asked now: what leads to its modules leaves with the rest.
            removed = removed.with_tree_of(
                InstalledDistribution(name, version, location, DistributionFolder(location, kind))
            )
        self.removed.append(removed)

    def _paths(self, name: str, location: str, kind: str) -> tuple[Sequence[str], str]:
        """Return the files of a distribution, and the text of its RECORD."""
        if kind in {"egg-link", "egg"}:  # an egg is one file, or a folder that nobody else has a share in
            return [os.path.basename(location)], ""
        source = DistributionFolder(location, kind)
        paths, record = source.listed()
        folder = f"{os.path.basename(location)}/"
        # What does not even name its own folder is no RECORD.
        if paths and (kind != "dist-info" or any(path.startswith(folder) for path in paths)):
            return paths, record
        if kind == "dist-info" and name in self._replaced and not source.has("METADATA"):
            self._note_ruin(name, location)
            return [], ""
        missing = "RECORD" if kind == "dist-info" else "installed-files.txt"
        why = f"{location} has no {missing}" if os.path.isdir(location) else f"distutils wrote {location}"
        raise InstallFailed(
            f"{name} cannot be removed: {why}, so its files are not known",
            hint=f"Remove {location} and the package by hand, or install it again with the tool that did.",
            path=location,
        )

    def _note_ruin(self, name: str, location: str) -> None:
        message = f"{name} had neither METADATA nor RECORD: what else it had installed stays ({location})"
        self.notices.append(Notice(code="ruin-replaced", message=message, data={"path": location}))

    def _forget_paths(self, base: str, *places: str) -> None:
        """Take what led to a distribution out of easy-install.pth, which many may share."""
        if base != self._base:
            return
        text = self.edits.get(_EASY_INSTALL)  # somebody before us may have taken out a line
        if text is None:
            try:
                text = read_file(f"{base}/{_EASY_INSTALL}")
            except FileNotFoundError:
                return
        lines = text.splitlines()
        forgotten = {os.fsencode(place) for place in places}
        rest = [line for line in lines if line.strip() not in forgotten]
        if rest != lines:
            self.edits[_EASY_INSTALL] = b"".join(line + b"\n" for line in rest)

    def _keep_shared(self) -> None:
        """Take back the files that a distribution which stays names in its RECORD as well."""
        if not self._tokens:
            return
        for location in self._stays:
            text = _read(location)
            # A search in the bytes is cheap; few distributions share a folder with another one.
            if not any(token in text for token in self._tokens):
                continue
            base = os.path.dirname(location)
            for path, _, _ in _rows(text):
                target = os.path.normpath(f"{base}{os.sep}{path}")
                if target in self._owned:
                    self._owned.discard(target)


def _before(location: str, paths: Sequence[str]) -> Before:
    """Tell what the files of a distribution say of its coming; nothing is read in the usual case."""
    folder = os.path.basename(location)
    origin = None
    if f"{folder}/direct_url.json" in paths:
        with suppress(OSError, ValueError):
            origin = DirectUrl.from_json(read_file(f"{location}/direct_url.json").decode())
    return Before(requested=f"{folder}/REQUESTED" in paths, direct_url=origin)


def _tokens(paths: Iterable[str], dist_info: str) -> set[bytes]:
    """Return how lines of a RECORD begin that name something beside or below these paths."""
    found: set[str] = set()
    for path in paths:
        up = 0
        while path.startswith("../", up):
            up += 3
        top, slash, _ = path[up:].partition("/")
        found.add(f"\n{path[:up]}{top}{slash or ','}")
    found.discard(f"\n{dist_info}/")
    found.discard("\n__pycache__/")
    return {text.encode(errors="surrogateescape") for text in found}


def _read(location: str) -> bytes:
    """Return a RECORD with a line end in front; nothing where it cannot be read."""
    try:
        return b"\n" + read_file(f"{location}/RECORD")
    except OSError:
        return b""


def _rows(text: bytes) -> list[tuple[str, str, str]]:
    try:
        return parse_record(text.decode(errors="surrogateescape"))
    except ValueError:
        return []
