"""What removing distributions takes away: whole folders where they own all of it, else single entries."""

from __future__ import annotations

import os

from puffin_api._fs import is_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CACHE = "__pycache__"
_NO_NAMES = frozenset(("", ".", ".."))
_NOTHING: frozenset[str] = frozenset()


class Removal:
    """The entries to be taken away, and what was left alone."""

    __slots__ = ("entries", "files", "refused")

    def __init__(self) -> None:
        self.entries: list[str] = []
        """Absolute paths of files and of folders that go as a whole; none lies inside another."""
        self.files = 0
        """How many files that are, about."""
        self.refused: list[str] = []
        """Paths that a RECORD names outside the environment, or behind a link; they stay."""


class OwnedFiles:
    """The files that a set of distributions owns, by folder.

    Paths are sorted into folders by their text alone; only ``plan`` looks at the disk.
    """

    def __init__(self, roots: Iterable[str]) -> None:
        """Take the canonical folders of the environment's schemes; nothing outside is ever touched."""
        self._roots = {os.path.normpath(root) for root in roots}
        self._names: dict[str, set[str]] = {}
        self._children: dict[str, set[str]] = {root: set() for root in self._roots}
        self._whole: set[str] = set()
        self._refused: list[str] = []

    def add(self, base: str, paths: Iterable[str]) -> None:
        """Add the files of one distribution; paths are relative to ``base``, as RECORD has them."""
        known: dict[str, set[str] | None] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            try:
                names = known[folder]
            except KeyError:
                place = self._folder(base, folder)
                names = known[folder] = None if place is None else self._names[place]
            if names is not None and name not in _NO_NAMES:
                names.add(name)
            elif names is None or name or not folder:  # some tools list folders too: `pkg/`
                self._refused.append(path)

    def add_folder(self, path: str) -> None:
        """Add a folder that belongs to the distributions whatever is in it: a dist-info folder."""
        if self._folder(os.path.dirname(path), os.path.basename(path)) is not None:
            self._whole.add(path)

    def folders(self) -> Iterable[str]:
        """Return the folders that hold owned files."""
        return self._names.keys()

    def discard(self, path: str) -> None:
        """Take a file back: somebody who stays owns it as well."""
        folder, name = os.path.split(path)
        self._names.get(folder, set()).discard(name)

    def __contains__(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self._names.get(folder, ())

    def plan(self) -> Removal:
        """Look which of the files are there and what can go as a whole."""
        removal = Removal()
        removal.refused += self._refused
        sweep = _Sweep(self._roots, self._names, self._children, self._whole, removal)
        sweep.look()
        sweep.collect()
        return removal

    def _folder(self, base: str, folder: str) -> str | None:
        """Return the absolute folder and make it known with its parents; None where it is outside."""
        path = f"{base}{os.sep}{folder}" if folder else base
        # Most paths are plain, and so inside of where they begin; only odd ones are worth a closer look.
        plain = os.sep == "/" and not folder.startswith(("/", ".")) and "/." not in folder
        if not plain or "//" in folder or base not in self._roots:
            path = os.path.normpath(os.path.join(base, folder))
            if not any(is_inside(root, path) for root in self._roots):
                return None
        if path in self._names:
            return path
        self._names[path] = set()
        self._link_to_parents(path)
        return path

    def _link_to_parents(self, path: str) -> None:
        while path not in self._roots:
            parent, _, name = path.rpartition(os.sep)
            known = self._children.setdefault(parent, set())
            if name in known:
                return
            known.add(name)
            path = parent


class _Folder:
    """What one look at a folder found."""

    __slots__ = ("folders", "mine", "stray")

    def __init__(self) -> None:
        self.mine: list[str] = []
        """Names of the owned files that are there."""
        self.folders: list[str] = []
        """Paths of the folders inside that hold, or may hold, owned files."""
        self.stray = False


class _Sweep:
    """Walks the owned folders, parents first, then decides from the leaves up.

    ::

        google/               stray: other people's ``auth`` is in it
          cloud/              whole, because all below is owned: one entry
            storage/          whole
    """

    def __init__(
        self,
        roots: set[str],
        names: dict[str, set[str]],
        children: dict[str, set[str]],
        whole: set[str],
        removal: Removal,
    ) -> None:
        self._roots = roots
        self._names = names
        self._children = children
        self._whole = whole
        self._removal = removal
        self._found: dict[str, _Folder] = {}

    def look(self) -> None:
        """Read each owned folder once. Folders behind links are not owned, whatever RECORD says."""
        # Roots inside other roots are reached on their own.
        pending = sorted(root for root in self._roots if self._children[root] or self._names.get(root))
        for folder in pending:  # grows while it is walked
            if folder in self._found:
                continue
            try:
                entries = os.scandir(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            found = self._found[folder] = _Folder()
            with entries:
                self._read(folder, entries, found)
            pending += found.folders

    def _read(self, folder: str, entries: Iterable[os.DirEntry[str]], found: _Folder) -> None:
        names, children = self._names.get(folder, _NOTHING), self._children.get(folder, _NOTHING)
        files: list[str] = []
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):  # nearly all of them
                files.append(entry.name)
            elif entry.name in children or (entry.name == _CACHE and names):
                found.folders.append(entry.path)
            else:
                found.stray = True
        found.mine = files if names.issuperset(files) else self._mine(folder, files, found)

    def _mine(self, folder: str, files: Iterable[str], found: _Folder) -> list[str]:
        """Return the owned ones among the files of a folder; the others make it stray."""
        names, children = self._names.get(folder, _NOTHING), self._children.get(folder, _NOTHING)
        in_cache = folder.endswith(os.sep + _CACHE)
        mine: list[str] = []
        for name in files:
            if name in names or (in_cache and self._is_compiled(folder, name)):
                mine.append(name)
                continue
            found.stray = True
            if name in children:  # a link, or a file, where a folder should be
                self._removal.refused.append(f"{folder}{os.sep}{name}")
        return mine

    def _is_compiled(self, cache: str, name: str) -> bool:
        """Tell whether a file of ``__pycache__`` was compiled from an owned module."""
        sources = self._names.get(os.path.dirname(cache), _NOTHING)
        # Modules may have dots in their names, and so may what follows them: `x.cpython-312-pytest-8.3.pyc`.
        at = name.find(".")
        while at > 0 and f"{name[:at]}.py" not in sources:
            at = name.find(".", at + 1)
        return at > 0 and ".pyc" in name[at:]

    def collect(self) -> None:
        """Decide for each folder, children first, whether it goes as a whole."""
        going: set[str] = set()
        pieces: list[list[str]] = []
        for folder in reversed(self._found):
            found = self._found[folder]
            self._removal.files += len(found.mine)
            if folder in self._whole or (
                not found.stray and folder not in self._roots and going.issuperset(found.folders)
            ):
                going.add(folder)
            else:
                files = [f"{folder}{os.sep}{name}" for name in found.mine]
                pieces.append(files + [path for path in found.folders if path in going])
        for paths in reversed(pieces):
            self._removal.entries += paths
