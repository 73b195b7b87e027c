"""What leaves where a folder cannot be renamed, though what is in it can.

On Windows a library that a program has loaded, or a program that runs, may be renamed, but not the folder it
is in: such folders are taken apart, and everything else in them goes as a whole. In containers, no folder
that came with the image may be renamed, but each of its files can.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAY_BE_RUNNING = (".pyd", ".dll", ".exe")


def take_apart(entries: Iterable[str], *, all_folders: bool = False) -> tuple[list[str], list[str]]:
    """Split folders that may not be renamed as a whole.

    Args:
        entries: Absolute paths of files and folders that leave.
        all_folders: Split all of them, and not only those with programs and libraries.

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
        pieces, folders, has_program = _look(entry, all_folders)
        whole += pieces if has_program else [entry]
        emptied += folders if has_program else []
    return whole, emptied


def _look(folder: str, all_folders: bool) -> tuple[list[str], list[str], bool]:  # noqa: FBT001  # private
    """Return the pieces of a folder, the folders that are empty without them, and whether that is needed."""
    pieces: list[str] = []
    emptied: list[str] = []
    needed = all_folders
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if not entry.is_dir(follow_symlinks=False):
                pieces.append(entry.path)
                needed = needed or entry.name.lower().endswith(_MAY_BE_RUNNING)
                continue
            inner, folders, has_program = _look(entry.path, all_folders)
            pieces += inner if has_program else [entry.path]
            emptied += folders if has_program else []
            needed = needed or has_program
    return pieces, [*emptied, folder], needed
