"""Where paths lie: inside a root, on which volume; and how long they may be."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    AnyPath = str | Path


def is_inside(root: AnyPath, path: AnyPath) -> bool:
    """Tell whether the path is the root or below it, by its text alone.

    ``..`` is taken back from the text; a relative path is one below the root. Links are not
    followed: see `resolves_inside`.
    """
    top = os.path.normcase(os.path.normpath(root))
    place = os.path.normcase(os.path.normpath(os.path.join(root, path)))
    return place == top or place.startswith(top if top.endswith(os.sep) else top + os.sep)


def resolves_inside(root: AnyPath, path: AnyPath) -> bool:
    """Tell whether the path, all links followed, is the root or below it; it need not exist."""
    return is_inside(os.path.realpath(root), os.path.realpath(os.path.join(root, path)))


def same_volume(first: AnyPath, second: AnyPath) -> bool:
    """Tell whether two places, which need not exist yet, are on one volume.

    True promises little (bind mounts of one volume refuse renames); False is certain.
    """
    return _device(first) == _device(second)


def _device(path: AnyPath) -> int:
    """Return the device of the nearest ancestor that exists."""
    place = os.path.realpath(path)
    while True:
        try:
            return os.stat(place).st_dev
        except (FileNotFoundError, NotADirectoryError):
            parent = os.path.dirname(place)
            if parent == place:
                raise
            place = parent


if sys.platform == "win32":

    def longest_path() -> int | None:
        """Return how many characters a path may have; None where long paths are switched on."""
        import winreg

        key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as handle:
                switched_on = winreg.QueryValueEx(handle, "LongPathsEnabled")[0] == 1
        except OSError:
            switched_on = False
        return None if switched_on else 259

else:

    def longest_path() -> int | None:
        """Return None: here the system says when a path is too long."""
        return None
