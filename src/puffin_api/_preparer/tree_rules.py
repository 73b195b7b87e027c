"""The entries of a source archive, and whether they may come together in one tree."""

from __future__ import annotations

import unicodedata
from typing import Literal

import attrs

from puffin_api._preparer.source_rules import LONGEST_NAME, clean_path, has_drive, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["file", "folder", "link", "hard-link"]

_MOST_HOPS = 40
"""Links that one path may lead through; as many as Linux follows."""


@attrs.define(eq=False)
class SourceEntry:
    """One entry of a source archive, the same for all kinds of archives."""

    name: str
    """As written."""
    kind: Kind
    content: Iterator[bytes | memoryview] = attrs.field(factory=lambda: iter(()))
    """Of a file; to be read before the next entry is asked for. Each piece is good until the next."""
    executable: bool = False
    mtime: float = 0.0
    """Seconds since 1970."""
    target: str = ""
    """What a link leads to, as written."""


class TreeRules:
    """The names that an archive has used so far, and what may not come beside them.

    Nothing is written here. A caller that writes only what is allowed here, makes each file anew, and makes
    the links last, writes nothing outside the tree.

    Args:
        archive: File name of the archive, for messages.
        max_entries: Entries and the folders they need.
        case_sensitive: Whether names that differ in case only are different files.
    """

    def __init__(self, archive: str, *, max_entries: int, case_sensitive: bool = True) -> None:
        self._archive = archive
        self._max_entries = max_entries
        self._case_sensitive = case_sensitive
        self._kinds: dict[str, Kind] = {}
        self._names: dict[str, str] = {}
        self._targets: dict[str, str] = {}

    def place(self, entry: SourceEntry) -> tuple[str, list[str]]:
        """Return the path of an entry, and the folders that have to be made before it.

        The path is empty for the root of the archive.

        Raises:
            UnsafeArchive: The entry breaks a rule.
        """
        path = clean_path(entry.name, self._archive)
        if not path and entry.kind != "folder":
            raise refused(self._archive, "entry-type", entry.name)
        folders = self._claim_folders(path if entry.kind == "folder" else path.rpartition("/")[0], entry.name)
        if entry.kind == "hard-link":
            self.hard_link_target(entry)
        if entry.kind != "folder":
            self._claim(path, "file" if entry.kind == "hard-link" else entry.kind, entry.name)
        if entry.kind == "link":
            self._check_target(entry)
            if self._targets.setdefault(self._key(path), entry.target) != entry.target:
                raise refused(self._archive, "duplicate-entry", entry.name)
        return path, folders

    def is_known(self, entry: SourceEntry) -> bool:
        """Tell whether there was an entry of this name."""
        return self._key(clean_path(entry.name, self._archive)) in self._kinds

    def hard_link_target(self, entry: SourceEntry) -> str:
        """Return the path of the file that a hard link is to, which has to be there already."""
        path = clean_path(entry.target, self._archive)
        if self._kinds.get(self._key(path)) != "file":
            raise refused(self._archive, "link-target", entry.name)
        return self._names[self._key(path)]

    def checked_links(self) -> Iterator[tuple[str, str]]:
        """Give path and target of each symbolic link, once all entries have been placed.

        Raises:
            UnsafeArchive: A link leads outside, perhaps through others, or in a circle.
        """
        for key, target in self._targets.items():
            self._follow(self._names[key], target)
            yield self._names[key], target

    def _follow(self, path: str, target: str) -> None:
        """Walk the target as a file system would, with the links of the archive only."""
        here = path.split("/")[:-1]
        todo = target.split("/")[::-1]
        hops = 0
        while todo:
            part = todo.pop()
            if part == ".." and not here:
                raise refused(self._archive, "link-outside", path)
            if part == "..":
                here.pop()
            elif part not in ("", "."):
                here.append(part)
                inner = self._targets.get(self._key("/".join(here)))
                if inner is not None:
                    here.pop()
                    todo += inner.split("/")[::-1]
                    hops += 1
            if hops > _MOST_HOPS:
                raise refused(self._archive, "link-loop", path)

    def _check_target(self, entry: SourceEntry) -> None:
        target = entry.target
        if not target or len(target) > LONGEST_NAME:
            raise refused(self._archive, "name-too-long" if target else "link-outside", entry.name)
        if target.startswith("/") or "\\" in target or "\0" in target or has_drive(target):
            raise refused(self._archive, "link-outside", entry.name)

    def _claim_folders(self, path: str, entry: str) -> list[str]:
        """Claim a folder and those it is in; the ones that are new, parents first."""
        new: list[str] = []
        while path and not self._is_known_folder(path, entry):
            new.append(path)
            path = path.rpartition("/")[0]
        for folder in reversed(new):
            self._claim(folder, "folder", entry)
        return new[::-1]

    def _is_known_folder(self, path: str, entry: str) -> bool:
        key = self._key(path)
        kind = self._kinds.get(key)
        if kind is None:
            return False
        if kind != "folder":
            raise refused(self._archive, "through-link" if kind == "link" else "file-and-directory", entry)
        if self._names[key] != path:
            raise refused(self._archive, "case-conflict", entry)
        return True

    def _claim(self, path: str, kind: Kind, entry: str) -> None:
        key = self._key(path)
        known = self._kinds.setdefault(key, kind)
        if self._names.setdefault(key, path) != path:
            raise refused(self._archive, "case-conflict", entry)
        if known != kind:
            rule = "file-and-directory" if "folder" in (known, kind) else "duplicate-entry"
            raise refused(self._archive, rule, entry)
        if len(self._kinds) > self._max_entries:
            raise refused(self._archive, "too-many-entries", entry)

    def _key(self, path: str) -> str:
        return path if self._case_sensitive else unicodedata.normalize("NFC", path.casefold())
