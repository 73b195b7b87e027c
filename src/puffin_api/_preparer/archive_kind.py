"""What kind of archive a file is, by its first bytes, and whether its name says the same."""

from __future__ import annotations

from puffin_api._model.filename import SOURCE_ENDINGS, source_ending
from puffin_api._preparer.source_rules import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 512
"""Tar archives are made of blocks of this size."""
_BEGINNINGS = {
    b"\x1f\x8b": "tar.gz",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"BZh": "tar.bz2",
    b"\xfd7zXZ\0": "tar.xz",
}


def archive_kind(path: Path) -> str:
    """Return ``tar.gz``, ``zip``, ``tar.bz2``, ``tar.xz`` or ``tar``; empty where it is none of them."""
    with open(path, "rb") as file:
        head = file.read(BLOCK)
    if len(head) == BLOCK and is_header(head):
        return "tar"
    return next((kind for beginning, kind in _BEGINNINGS.items() if head.startswith(beginning)), "")


def checked_kind(path: Path, filename: str) -> str:
    """Return the kind of an archive that has to be what its name says, if that says anything.

    Raises:
        UnsafeArchive: It is no archive, or one of another kind.
    """
    kind = archive_kind(path)
    if not kind:
        raise refused(filename, "not-an-archive")
    if SOURCE_ENDINGS.get(source_ending(filename), kind) != kind:
        raise refused(filename, "other-kind")
    return kind


def is_header(block: bytes) -> bool:
    """Tell whether a block of a tar archive has the checksum of a header."""
    try:
        told = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    rest = block[:148] + block[156:]
    unsigned = 8 * ord(" ") + sum(rest)
    # Some old tools took the bytes for signed numbers.
    return told == unsigned or told == unsigned - 256 * sum(byte >> 7 for byte in rest)
