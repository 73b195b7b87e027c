"""Why an archive is refused: the rules of the zip format, and the error for a broken one."""

from __future__ import annotations

import re

from puffin_api.errors import UnsafeArchive

ZIP_RULES = {
    "not-a-zip": "it does not end in the end record of a zip archive",
    "truncated": "bytes are missing",
    "data-after-end": "there is data after the end of the archive",
    "second-archive": "it can be read as two different archives",
    "multi-disk": "it is one part of an archive of several parts",
    "zip64-mismatch": "its zip64 records contradict or do not complete the others",
    "damaged-directory": "its directory is not what the end record says",
    "encrypted": "an entry is encrypted",
    "unsupported-method": "an entry is compressed by another method than deflate",
    "name-not-utf8": "the name of an entry is not valid UTF-8",
    "name-mismatch": "an entry has two different names",
    "header-mismatch": "the header before an entry's data contradicts the directory",
    "overlapping-entries": "entries share bytes",
    "stray-data": "there are bytes that belong to no entry",
    "size-mismatch": "the data of an entry has another size than declared",
    "crc-mismatch": "the data of an entry does not have the declared checksum",
    "damaged-data": "the data of an entry cannot be decompressed",
}
"""The rules of the zip format by their stable names, each with what is wrong where it is broken."""


def unsafe(archive: str, rule: str, entry: str = "", *, reason: str = "") -> UnsafeArchive:
    """Make the error of a broken rule; the project is taken from the archive's file name."""
    what = reason or ZIP_RULES[rule]
    where = f" (entry {entry!r})" if entry else ""
    project = re.sub(r"[-_.]+", "-", archive.partition("-")[0]).lower()
    return UnsafeArchive(
        f"{archive or 'The archive'} is refused: {what}{where}",
        name=project,
        archive=archive,
        entry=entry,
        rule=rule,
    )
