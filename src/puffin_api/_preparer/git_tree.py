"""The files of a commit, laid out beside a repository of their own, and which submodules they ask for.

A build may ask git for tags and tracked files. So each tree has a small repository: the packs of the
database by hard links, no remote, no hooks, and nothing that would run a program.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

from puffin_api._fs import copy_file, hardlink_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from puffin_api._concurrency import Pump
    from puffin_api._preparer.git_program import GitProgram

# Filters are programs that git would run for files that a repository names.
_NO_FILTERS = "* -filter\n"
_LFS = re.compile(r"\bfilter=lfs\b").search
_LFS_CONFIG = """[filter "lfs"]
	clean = git-lfs clean -- %f
	smudge = git-lfs smudge -- %f
	process = git-lfs filter-process
	required = true
"""
_LFS_SETTINGS = ".lfsconfig"
_MODULES = ".gitmodules"
_GITLINK = "160000"


@attrs.frozen
class Submodule:
    """A repository that another one has at a path."""

    path: str
    commit: str
    address: str
    """As written: maybe relative to that of the other repository. Empty where there is none."""


def make_repository(database: Path, tree: Path, commit: str, *, tags: str, is_cut: bool) -> None:
    """Make the repository of a tree that is still empty.

    Args:
        database: Where the commit is; nobody should fetch into it meanwhile.
        tree: The folder of the tree.
        commit: What the tree shall hold.
        tags: The tags in the history of the commit, as lines of a file of packed refs.
        is_cut: Whether its history is cut off somewhere.

    Raises:
        OSError: It cannot be made.
    """
    folder = tree / ".git"
    for name in ("refs", "info", "objects"):
        (folder / name).mkdir(parents=True)
    if is_cut:  # before the objects: a database of a layer may grow meanwhile
        copy_file(database / "shallow", folder / "shallow")
    _link_objects(database / "objects", folder / "objects")
    if tags:
        (folder / "packed-refs").write_text(tags, "utf-8", "surrogateescape", newline="\n")
    (folder / "info" / "attributes").write_text(_NO_FILTERS, "ascii")
    (folder / "config").write_text(_config(commit), "ascii", newline="\n")
    (folder / "HEAD").write_text(f"{commit}\n", "ascii", newline="\n")


def fill(program: GitProgram, tree: Path, *, pump: Pump) -> None:
    """Write the files of the commit.

    Raises:
        GitFailed: The database is damaged, or the file system cannot take the files.
    """
    _run(program, tree, pump, "read-tree", "--reset", "-u", "HEAD")


def submodules(program: GitProgram, tree: Path, *, pump: Pump) -> list[Submodule]:
    """Return the submodules that are to be laid out in a tree.

    Raises:
        GitFailed: They cannot be read.
    """
    if not _is_file(tree / _MODULES):
        return []
    addresses = _addresses(_run(program, tree, pump, "config", "--no-includes", "-zlf", _MODULES))
    found: list[Submodule] = []
    for entry in _run(program, tree, pump, "ls-files", "--stage", "-z").split("\0"):
        what, _, path = entry.partition("\t")
        mode, _, rest = what.partition(" ")
        address = addresses.get(path, "")
        if mode == _GITLINK and address is not None:
            found.append(Submodule(path, rest.partition(" ")[0], address))
    return found


def place_of(tree: Path, path: str) -> Path | None:
    """Return the folder of a submodule, empty; None where its path leads out of the tree, over a link."""
    place = tree
    for part in path.split("/"):
        place /= part
        if part.lower() in ("", ".", "..", ".git") or place.is_symlink():
            return None
        place.mkdir(exist_ok=True)
    return place if not any(os.scandir(place)) else None


def wants_lfs(tree: Path) -> bool:
    """Tell whether files of a tree are kept elsewhere, by Git LFS."""
    return any(True for _ in _lfs_lines(tree))


def lfs_addresses(program: GitProgram, tree: Path, *, pump: Pump) -> list[str]:
    """Return where a repository says that the files are which Git LFS keeps; empty where it does not.

    Raises:
        GitFailed: What it says cannot be read.
    """
    if not os.path.lexists(tree / _LFS_SETTINGS):
        return []
    # What its file includes counts for Git LFS, so it has to count here.
    listing = _run(program, tree, pump, "config", "--includes", "-zlf", _LFS_SETTINGS)
    settings = (entry.partition("\n") for entry in listing.split("\0"))
    return [value for key, _, value in settings if key == "lfs.url" or key.endswith(".lfsurl")]


def fill_lfs(
    program: GitProgram, tree: Path, address: str, login: tuple[str, str] | None, *, pump: Pump
) -> int:
    """Put the files that Git LFS keeps in the place of the pointers to them; returns their bytes.

    Raises:
        GitFailed: They cannot be had.
    """
    attributes = _NO_FILTERS + "".join(f"{pattern} filter=lfs\n" for pattern in _lfs_lines(tree))
    (tree / ".git" / "info" / "attributes").write_text(attributes, "utf-8", newline="\n")
    with open(tree / ".git" / "config", "a", encoding="ascii", newline="\n") as config:
        config.write(_LFS_CONFIG)
    program.run(
        ["-c", f"remote.origin.url={address}", "lfs", "pull", "origin"],
        pump=pump,
        cwd=tree,
        folder=tree / ".git",
        address=address,
        login=login,
    )
    return _size(tree / ".git" / "lfs" / "objects")


def _size(top: Path) -> int:
    return sum(
        os.stat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(top) for name in names
    )


def _run(program: GitProgram, tree: Path, pump: Pump, *arguments: str) -> str:
    words = [f"--work-tree={tree}", *arguments]
    return program.run(words, pump=pump, cwd=tree, folder=tree / ".git")


def _config(commit: str) -> str:
    """Return settings that make the files the same everywhere, whatever the user's own are."""
    version, extension = (0, "") if len(commit) == 40 else (1, "[extensions]\n\tobjectformat = sha256\n")
    links = "" if os.name == "nt" else "\tsymlinks = true\n\tfilemode = true\n"
    return (
        f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n"
        f"\tautocrlf = false\n\teol = lf\n\tsafecrlf = false\n{links}[gc]\n\tauto = 0\n{extension}"
    )


def _link_objects(source: Path, target: Path) -> None:
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name != "info"]
        place = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(place, exist_ok=True)
        for name in names:
            if not name.startswith("tmp_") and not name.endswith((".lock", ".keep")):
                _link(os.path.join(folder, name), os.path.join(place, name))


def _link(source: str, target: str) -> None:
    try:
        hardlink_file(source, target)
    except OSError:  # another volume, no hard links here, or too many
        copy_file(source, target)


def _addresses(listing: str) -> dict[str, str | None]:
    """Return the address of each submodule by its path; None where it shall not be laid out."""
    settings: dict[str, dict[str, str]] = {}
    for entry in listing.split("\0"):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, field = rest.rpartition(".")
        if section == "submodule" and name:
            settings.setdefault(name, {})[field] = value
    return {
        fields["path"].rstrip("/"): None if fields.get("update") == "none" else fields.get("url", "")
        for fields in settings.values()
        if "path" in fields
    }


def _lfs_lines(tree: Path) -> Iterator[str]:
    """Give the patterns of files that Git LFS keeps, as they are written at the top of a tree."""
    for folder, folders, names in os.walk(tree):
        place = Path(folder)
        if place != tree and ".git" in folders:
            folders.clear()  # a submodule, which has attributes of its own
            continue
        folders[:] = sorted(name for name in folders if name != ".git")
        if ".gitattributes" in names and _is_file(place / ".gitattributes"):
            prefix = "" if place == tree else f"{place.relative_to(tree).as_posix()}/"
            for line in (place / ".gitattributes").read_text("utf-8", "replace").splitlines():
                pattern = line.split(maxsplit=1)[0] if line.strip() else ""
                if _LFS(line) and not pattern.startswith(("#", "[attr]", '"')):
                    yield _at_the_top(pattern, prefix)


def _at_the_top(pattern: str, prefix: str) -> str:
    """Return a pattern of a folder as it is written at the top of the tree."""
    if not prefix:
        return pattern
    return f"{prefix}{'' if '/' in pattern else '**/'}{pattern.lstrip('/')}"


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
