"""The safety rules for source archives: what each is about, and those for names and sizes."""

from __future__ import annotations

import os
import re

from puffin_api._model.filename import guess_sdist_name
from puffin_api._wheel.rules import RULES, broken_rule
from puffin_api._zip import ZIP_RULES
from puffin_api.errors import UnsafeArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._wheel.rules import Limits

SOURCE_RULES = {
    **ZIP_RULES,
    "not-an-archive": "it is no archive of a known kind",
    "other-kind": "it is an archive of another kind than its name says",
    "damaged-header": "the header of an entry is damaged",
    "data-after-end": "there is data after the end of the archive",
    "too-many-entries": RULES["too-many-entries"],
    "too-large": RULES["too-large"],
    "ratio": "unpacked it would be larger by a factor that no honest archive reaches",
    "absolute-path": RULES["absolute-path"],
    "parent-path": RULES["parent-path"],
    "backslash": RULES["backslash"],
    "drive-letter": RULES["drive-letter"],
    "control-character": "the name of an entry has a zero byte, or on Windows another control character",
    "windows-character": RULES["windows-character"],
    "reserved-name": RULES["reserved-name"],
    "trailing-dot-or-space": RULES["trailing-dot-or-space"],
    "name-too-long": RULES["name-too-long"],
    "special-file": "an entry is a device, pipe or other special file",
    "sparse-file": "an entry is a sparse file, whose data does not show its size",
    "entry-type": RULES["entry-type"],
    "directory-with-data": RULES["directory-with-data"],
    "link-with-data": "an entry for a link has content",
    "link-outside": "a link leads out of the archive",
    "link-loop": "links lead to each other in a circle",
    "link-target": "a hard link is to no file that comes before it",
    "through-link": "the name of an entry leads through a link",
    "duplicate-entry": "two entries have the same name and are not the same",
    "case-conflict": "two entries have names that are the same on this file system",
    "file-and-directory": RULES["file-and-directory"],
}
"""Every rule by its stable name, the ``rule`` of `UnsafeArchive`, with what is wrong where it is broken."""

LONGEST_NAME = 1024
"""Characters of a path, and of the target of a link."""
has_drive = re.compile(r"[A-Za-z]:").match
"""Whether a part of a path begins with a drive letter, to be called with it."""
_LONGEST_PART = 255


class Budget:
    """How much an archive may still unpack to.

    Args:
        archive: Its file name, for messages.
        size: Its bytes, packed.
        limits: The bounds.
    """

    def __init__(self, archive: str, size: int, limits: Limits) -> None:
        self._archive = archive
        self._most = min(limits.max_bytes, max(limits.ratio_floor, limits.max_ratio * size))
        self._rule = "too-large" if self._most == limits.max_bytes else "ratio"
        self._used = 0

    def spend(self, count: int, entry: str = "") -> None:
        """Count bytes; raise UnsafeArchive where it is too many."""
        self._used += count
        if self._used > self._most:
            raise refused(self._archive, self._rule, entry)


def clean_path(name: str, archive: str) -> str:
    """Return a name as a plain relative path; empty for the root of the archive.

    Empty parts and ``.`` are left out: many archives name their entries ``./demo-1.0/setup.py``.

    Raises:
        UnsafeArchive: It is no relative path, or one that leads elsewhere on some system.
    """
    if name.startswith("/"):
        raise refused(archive, "absolute-path", name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for part in parts:
        if rule := broken_part(part):
            raise refused(archive, rule, name)
    path = "/".join(parts)
    if len(path) > LONGEST_NAME:
        raise refused(archive, "name-too-long", name)
    return path


def broken_part(part: str, *, windows: bool = os.name == "nt") -> str:
    """Name the rule that one part of a path breaks, or nothing.

    Fewer rules than for wheels hold everywhere: sources are unpacked where they are built, and the data for
    tests in them has names that only Windows cannot have.
    """
    if part == "..":
        return "parent-path"
    if "\0" in part:
        return "control-character"
    if "\\" in part:
        return "backslash"
    if has_drive(part):
        return "drive-letter"
    if len(part.encode(errors="surrogateescape")) > _LONGEST_PART:
        return "name-too-long"
    return broken_rule(part, windows=True) if windows else ""


def refused(archive: str, rule: str, entry: str = "") -> UnsafeArchive:
    """Make the error of a broken rule; the project is taken from the archive's file name."""
    where = f" (entry {entry!r})" if entry else ""
    guess = guess_sdist_name(archive)
    return UnsafeArchive(
        f"{archive} is refused: {SOURCE_RULES[rule]}{where}",
        name=guess.name if guess else "",
        archive=archive,
        entry=entry,
        rule=rule,
    )
