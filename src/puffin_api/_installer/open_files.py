"""What leaves where a folder cannot be renamed while something in it is in use, as on Windows.

A library that a program has loaded, or a program that runs, may be renamed there, but not the folder it is
in. So folders with such files are taken apart: everything else in them goes as a whole.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAY_BE_RUNNING = (".pyd", ".dll", ".exe")


def take_apart(entries: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split folders that may not be renamed as a whole.

    Args:
        entries: Absolute paths of files and folders that leave.

    Returns:
        The entries to be renamed, and the folders that are empty then, inner ones first.

    Raises:
        OSError: A folder cannot be read.
    """
    whole: list[str] = []
    emptied: list[str] = []
    for entry in entries:
        if os.path.islink(entry) or not os.path.isdir(entry):
            whole.append(entry)
            continue
        pieces, folders, has_program = _look(entry)
        whole += pieces if has_program else [entry]
        emptied += folders if has_program else []
    return whole, emptied


def _look(folder: str) -> tuple[list[str], list[str], bool]:
    """Return the pieces of a folder, the folders that are empty without them, and whether that is needed."""
    pieces: list[str] = []
    emptied: list[str] = []
    needed = False
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if not entry.is_dir(follow_symlinks=False):
                pieces.append(entry.path)
                needed = needed or entry.name.lower().endswith(_MAY_BE_RUNNING)
                continue
            inner, folders, has_program = _look(entry.path)
            pieces += inner if has_program else [entry.path]
            emptied += folders if has_program else []
            needed = needed or has_program
    return pieces, [*emptied, folder], needed
