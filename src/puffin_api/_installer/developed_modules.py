"""Which modules a project in development mode offers: looked for in its tree, where its path files lead."""

from __future__ import annotations

import os
import re

from puffin_api._model.dist_info import is_module_file, top_level_modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_PATH_FILE = ".pth"
_CODE = ("import ", "import\t")
"""How the lines of a path file begin that are run."""
_DEEPEST = 3
"""Levels below a folder that are searched for a module: those of a namespace."""
_BESIDES = re.compile(
    r"(?:benchmark|doc|example|requirement|sample|script|task|test|tool)s?"
    r"|build|conftest|dist|fabfile|hubconf|node_modules|noxfile|setup|testing|toxfile|venv|versioneer",
    re.IGNORECASE,
).fullmatch
"""What lies beside the packages of many projects, and is not part of them."""


class _PathFiles:
    """What the path files of a distribution say."""

    def __init__(self, site: str, files: Iterable[str]) -> None:
        self.folders: list[str] = []
        """Absolute paths."""
        self.loaders: set[str] = set()
        """Modules that are imported at the start, to lead to the tree in their own way."""
        for name in files:
            if name.endswith(_PATH_FILE) and "/" not in name:
                for line in _lines(os.path.join(site, name)):
                    self._take(site, line)

    def _take(self, site: str, line: str) -> None:
        if line.startswith(_CODE):
            names = line.partition(";")[0].split(None, 1)[1].split(",")
            self.loaders.update(name.split()[0].partition(".")[0] for name in names if name.strip())
        else:
            self.folders.append(os.path.join(site, line))


def developed_modules(site: str, files: Sequence[str], *, tree: str, own: Iterable[str]) -> tuple[str, ...]:
    """Return the top-level modules of a distribution whose modules are in a tree elsewhere.

    A folder inside the tree holds nothing but modules of the project. At the top there are tests, too, and
    what builds it: there, only what is called as the project says counts, or else what looks like a package.

    Args:
        site: The folder that the distribution is installed in.
        files: Its files, relative to that.
        tree: The project.
        own: What the modules of the project may be called; in any case.
    """
    path_files = _PathFiles(site, files)
    root, names = _real(tree), {name.lower() for name in own}
    found = set(top_level_modules(files)) - path_files.loaders
    folders = {_real(folder) for folder in path_files.folders}
    inside = {folder for folder in folders if folder.startswith(os.path.join(root, ""))}
    if root in folders:
        found.update(_at_the_top(root, names))
    elif not inside:  # something else than folders leads to it
        both = {*_modules_in(root), *_modules_in(os.path.join(root, "src"))}
        found.update(_called(both, names))
    for folder in inside:
        found.update(_modules_in(folder))
    return tuple(sorted(found))


def _at_the_top(root: str, names: Collection[str]) -> Collection[str]:
    there = _modules_in(root)
    likely = {name for name in there if not _BESIDES(name)}
    packages = {name for name in likely if _is_package(os.path.join(root, name))}
    return _called(there, names) or packages or likely


def _called(modules: Iterable[str], names: Collection[str]) -> set[str]:
    return {name for name in modules if name.lower() in names}


def _modules_in(folder: str) -> tuple[str, ...]:
    return top_level_modules(_first_modules(folder))


def _first_modules(folder: str) -> Iterator[str]:
    """Give the module files in a folder, and one of each folder in it that has any."""
    for entry in _entries(folder):
        if not _is_folder(entry):
            yield entry.name
        elif entry.name.isidentifier() and (inner := _any_module(entry.path, _DEEPEST)):
            yield f"{entry.name}/{inner}"


def _any_module(folder: str, levels: int) -> str:
    """Return the name of some module file in or below a folder; "" where there is none."""
    entries = _entries(folder)
    found = next((entry.name for entry in entries if is_module_file(entry.name)), "")
    if found or levels == 0:
        return found
    below = (entry.path for entry in entries if entry.name.isidentifier() and _is_folder(entry))
    return next(filter(None, (_any_module(path, levels - 1) for path in below)), "")


def _is_package(folder: str) -> bool:
    names = [entry.name for entry in _entries(folder)]
    return any(name.partition(".")[0] == "__init__" and is_module_file(name) for name in names)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed
        return False


def _real(folder: str) -> str:
    """Return the path without links; as it is where no path is like that."""
    try:
        return os.path.realpath(folder)
    except ValueError:
        return folder


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (OSError, ValueError):  # ValueError: no path is like that
        return []


def _lines(path: str) -> Iterator[str]:
    """Give the lines of a path file that are not empty; none where it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for raw in lines:
        line = raw.rstrip()
        if line and not line.startswith("#"):
            yield line
