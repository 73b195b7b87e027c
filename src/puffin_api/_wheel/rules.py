"""The safety rules for wheels: bounds of size, and the names that entries may have."""

from __future__ import annotations

import os
import re
import stat
import unicodedata

import attrs

from puffin_api._zip import ZIP_RULES, unsafe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from puffin_api._zip import ZipEntry
    from puffin_api.errors import UnsafeArchive

RULES = {
    **ZIP_RULES,
    "too-many-entries": "it has more entries than allowed",
    "too-large": "unpacked it would be larger than allowed",
    "ratio": "unpacked it would be larger by a factor that no honest wheel reaches",
    "empty-name": "the name of an entry, or a part of it, is empty",
    "absolute-path": "the name of an entry is an absolute path",
    "parent-path": "the name of an entry has a part '..'",
    "dot-path": "the name of an entry has a part '.'",
    "backslash": "the name of an entry has a backslash, which separates folders on Windows only",
    "drive-letter": "a part of the name of an entry begins with a drive letter",
    "control-character": "the name of an entry has a control character",
    "windows-character": "the name of an entry has a character that Windows gives a meaning",
    "reserved-name": "a part of the name of an entry is the name of a device on Windows",
    "trailing-dot-or-space": "a part of the name of an entry ends in a dot or space, which Windows drops",
    "name-too-long": "the name of an entry is longer than file systems allow",
    "special-file": "an entry is a link, device or other special file",
    "entry-type": "an entry is a file by its name and a directory by its attributes, or the other way round",
    "directory-with-data": "an entry for a directory has content",
    "duplicate-entry": "two entries have the same name",
    "case-conflict": "two entries have names that are the same on some file systems",
    "file-and-directory": "an entry is a file, and a directory of other entries at the same time",
    "not-in-record": "an entry is not listed in RECORD",
    "missing-entry": "RECORD lists a file that is not there",
    "record-size-mismatch": "an entry has another size than RECORD says",
    "record-conflict": "RECORD lists an entry twice, with different content",
    "script-name": "the name of a script would leave its folder or replace the interpreter",
}
"""Every rule by its stable name, the ``rule`` of `UnsafeArchive`, with what is wrong where it is broken."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_DRIVE = re.compile(r"[A-Za-z]:").match
_MEANINGFUL = re.compile(r'[<>:"|?*]').search
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])[ ]*(?:[.:].*)?", re.IGNORECASE
).fullmatch
_PLAIN = re.compile(r"[A-Za-z0-9_+=,@-][A-Za-z0-9_.+=,@-]*").fullmatch
"""Parts without any character that a rule is about, but for the dot."""
_INTERPRETER = re.compile(r"pythonw?[0-9.]*t?(?:\.exe)?", re.IGNORECASE).fullmatch
_LONGEST_PART = 255
_LONGEST_NAME = 1024


@attrs.frozen(kw_only=True)
class Limits:
    """How much an archive may hold; what is beyond is refused before anything is written."""

    max_bytes: int = 16 << 30
    """Bytes of all files together, unpacked."""
    max_entries: int = 500_000
    """Entries and the directories they need."""
    max_ratio: int = 200
    """Unpacked bytes for each byte of the archive."""
    ratio_floor: int = 100 << 20
    """Below this many bytes, unpacked, the ratio does not matter: small text packs very well."""
    max_metadata_bytes: int = 64 << 20
    """Bytes of each file that describes the wheel, RECORD the largest: they are read into memory."""


def check_limits(entries: Sequence[ZipEntry], archive: str, size: int, limits: Limits) -> None:
    """Refuse an archive of ``size`` bytes whose entries declare more than the limits allow."""
    if len(entries) > limits.max_entries:
        raise refused(archive, "too-many-entries")
    total = 0
    for entry in entries:
        total += entry.size
        if total > limits.max_bytes:
            raise refused(archive, "too-large", entry.name)
    if total > limits.ratio_floor and total > limits.max_ratio * size:
        raise refused(archive, "ratio", max(entries, key=lambda entry: entry.size).name)


def check_entries(entries: Iterable[ZipEntry], archive: str, limits: Limits) -> list[str]:
    """Check names and types of all entries; the directories of the files, parents before children.

    Directories that are only announced and hold no file are left out: RECORD could not name them.
    """
    files: dict[str, str] = {}
    folders: dict[str, None] = {}
    announced: set[str] = set()
    for entry in entries:
        _check_type(entry, archive)
        name = entry.name.removesuffix("/")
        _check_name(name, archive, folders)
        if entry.is_directory:
            if name in announced:
                raise refused(archive, "duplicate-entry", entry.name)
            announced.add(name)
            continue
        key = _folded(name)
        if key in files:
            raise refused(archive, "duplicate-entry" if files[key] == name else "case-conflict", name)
        files[key] = name
        _add_folders(name, folders)
        if len(files) + len(folders) > limits.max_entries:
            raise refused(archive, "too-many-entries", name)
    for folder in (*folders, *announced):
        if _folded(folder) in files:
            raise refused(archive, "file-and-directory", files[_folded(folder)])
    return sorted(folders)


def check_path(name: str, archive: str) -> None:
    """Refuse a name that is not a plain relative path, the same on every system."""
    _check_name(name, archive, {})


def check_script_name(name: str, archive: str) -> None:
    """Refuse the name of a script that is no plain file name, or that of the interpreter."""
    if "/" in name or broken_rule(name) or _INTERPRETER(name):
        raise refused(archive, "script-name", name)


def broken_rule(part: str, *, windows: bool = os.name == "nt") -> str:
    """Name the rule that one part of a path breaks, or nothing."""
    if _PLAIN(part) and part[-1] != "." and not _DEVICE(part):
        return ""
    if part in ("", ".", ".."):
        return {"": "empty-name", ".": "dot-path", "..": "parent-path"}[part]
    if _CONTROL(part):
        return "control-character"
    if "\\" in part:
        return "backslash"
    if _DRIVE(part):
        return "drive-letter"
    if part[-1] in ". ":
        return "trailing-dot-or-space"
    if _DEVICE(part):
        return "reserved-name"
    # Elsewhere such names are plain, and some wheels that are for one system only have them.
    return "windows-character" if windows and _MEANINGFUL(part) else ""


def refused(archive: str, rule: str, entry: str = "") -> UnsafeArchive:
    """Make the error of a broken rule."""
    return unsafe(archive, rule, entry, reason=RULES[rule])


def _check_name(name: str, archive: str, known_folders: Container[str]) -> None:
    if name.startswith("/"):
        raise refused(archive, "absolute-path", name)
    if len(name) > _LONGEST_NAME:
        raise refused(archive, "name-too-long", name)
    folder, _, last = name.rpartition("/")
    for part in (last,) if folder in known_folders else name.split("/"):
        rule = broken_rule(part)
        if not rule and len(part.encode()) > _LONGEST_PART:
            rule = "name-too-long"
        if rule:
            raise refused(archive, rule, name)


def _check_type(entry: ZipEntry, archive: str) -> None:
    kind = stat.S_IFMT(entry.mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused(archive, "special-file", entry.name)
    if not entry.is_directory:
        if kind == stat.S_IFDIR or entry.attributes & stat.FILE_ATTRIBUTE_DIRECTORY:
            raise refused(archive, "entry-type", entry.name)
    elif entry.size:
        raise refused(archive, "directory-with-data", entry.name)


def _folded(name: str) -> str:
    """Return what names have in common that some file system takes for the same."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _add_folders(name: str, folders: dict[str, None]) -> None:
    at = name.rfind("/")
    while at > 0 and (folder := name[:at]) not in folders:
        folders[folder] = None
        at = name.rfind("/", 0, at)
