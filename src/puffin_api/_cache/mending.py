"""Mending: room for what is to be written where only damage can explain what stands in its way."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from puffin_api._fs import remove_tree, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TRIES = 100


def make_folder(root: Path, folder: Path) -> None:
    """Make a folder of the cache with those above it; a file in the place of one of them is removed.

    Raises:
        OSError: It cannot be made.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError):  # the last one: a link to nothing
        _remove_files(root, folder)
        os.makedirs(folder, exist_ok=True)


def in_folder(root: Path, folder: Path, act: Callable[[], None]) -> None:
    """Do something in a folder of the cache, which is made where it is missing.

    Raises:
        OSError: It cannot be done.
    """
    for _ in range(_TRIES):
        make_folder(root, folder)
        try:
            act()
        except FileNotFoundError:  # somebody else has removed the project meanwhile
            continue
        return
    make_folder(root, folder)
    act()


def write_file(root: Path, path: Path | str, data: bytes) -> None:
    """Write a file of the cache in one step, folders included; what stands in its place is removed.

    Raises:
        OSError: It cannot be written; what was there stands, unless it was no file.
    """
    try:
        write_atomic(path, data)
        return
    except FileNotFoundError:
        pass
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError):
        # Windows says of a folder that it must not be replaced.
        if os.path.isdir(path):
            remove_tree(path)
        elif os.path.isdir(os.path.dirname(path)):
            raise
    in_folder(root, Path(path).parent, lambda: write_atomic(path, data))


def clear_for_file(path: Path) -> Path:
    """Remove what stands at a path and is no file; returns the path."""
    try:
        is_file = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return path
    if not is_file:
        with suppress(OSError):  # whoever opens it hears of it
            remove_tree(path)
    return path


def _remove_files(root: Path, folder: Path) -> None:
    """Remove whatever is no folder on the way from the root to a folder, the root left alone."""
    for place in (folder, *folder.parents):
        if place == root or root not in place.parents:
            return
        if os.path.lexists(place) and not os.path.isdir(place):
            with suppress(OSError):  # another thread has removed it, and may have made the folder
                os.unlink(place)
