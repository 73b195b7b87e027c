"""The files of a project's tree, without what is made from them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from puffin_api._concurrency import Pump

    State = tuple[int, int] | str | int
    """Size and time of a file, the target of a link to a folder, or what stands in the way of reading it."""

_RESULTS = {"build", "dist"}
_CACHES = {"__pycache__", "node_modules", "__pypackages__"}
_MARKS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""A folder with one of these is a virtual environment, or says itself that it is a cache."""
_BUILD_MARKS = (("CMakeCache.txt", "CMakeLists.txt"), ("meson-private", "meson.build"))
"""A folder with the first of these is where CMake or Meson builds; with the second, sources are in it too."""


class TreeWalk:
    """Walks a folder, always in the same order.

    Args:
        top: The folder.
        is_project: Whether it is that of the project, where build results lie; further down, a folder
            of such a name is a package like any other.
        pump: Asked at each folder whether the caller has cancelled.
    """

    def __init__(self, top: str, *, is_project: bool, pump: Pump) -> None:
        self._top = top
        self._is_project = is_project
        self._pump = pump

    def files(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Give each file below, and its path from the top with ``/``."""
        for prefix, entries in self._folders():
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield prefix + entry.name, entry

    def folders(self, most: int) -> Iterator[tuple[str, int]]:
        """Give the first so many folders, as path from the top, with the time of their last change."""
        for (prefix, _), _ in zip(self._folders(), range(most), strict=False):
            try:
                yield prefix, os.stat(os.path.join(self._top, prefix)).st_mtime_ns
            except OSError as error:
                yield prefix, -(error.errno or 1)

    def _folders(self) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        todo = [""]
        while todo:
            self._pump.check()
            prefix = todo.pop()
            entries = _listed(os.path.join(self._top, prefix))
            yield prefix, entries
            below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            todo += [
                f"{prefix}{entry.name}/" for entry in reversed(below) if not self._is_left_out(prefix, entry)
            ]

    def _is_left_out(self, prefix: str, entry: os.DirEntry[str]) -> bool:
        name = entry.name
        if name.startswith(".") or name in _CACHES or name.endswith(".egg-info"):
            return True
        if self._is_project and not prefix and name in _RESULTS:
            return not os.path.exists(os.path.join(entry.path, "__init__.py"))
        return any(os.path.exists(os.path.join(entry.path, mark)) for mark in _MARKS) or any(
            os.path.exists(os.path.join(entry.path, mark))
            and not os.path.exists(os.path.join(entry.path, description))
            for mark, description in _BUILD_MARKS
        )


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not there, or not for us: nothing that a build could take in
        return []


def file_state(entry: os.DirEntry[str]) -> State:
    """Return what changes when the content of a file does."""
    try:
        # Links to folders are not followed: they may lead in a circle.
        if entry.is_symlink() and entry.is_dir():
            return os.readlink(entry.path)
        state = entry.stat()
    except OSError as error:
        return error.errno or 1
    return state.st_size, state.st_mtime_ns
