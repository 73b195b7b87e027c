"""Where paths lie: inside a root, on which volume."""

from __future__ import annotations

import os

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
