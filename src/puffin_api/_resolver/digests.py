"""Digests that the caller gives: which files they leave, and what is still to be checked."""

from __future__ import annotations

import attrs

from puffin_api._model.direct_url import ArchiveInfo
from puffin_api._model.file import DistFile
from puffin_api._model.rejection import Rejection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._model.file import FileRow

_CONTRADICTION = Rejection("hash-mismatch", "has no digest that all your requirements allow")
_MISSING = Rejection("hash-missing", "has no digest from you, and every file must have one")

_NEVER = Rejection("hash-missing", "has no digest, as it is no archive, and you give some for it")


class Digests:
    """The digests that files must have.

    Args:
        given: For some projects, the digests of which a file must have one; none where no file will do.
        required: Whether files of all other projects are barred, but for those whose URL has a digest.
    """

    __slots__ = ("_required", "given", "key")

    def __init__(self, given: Mapping[str, frozenset[str]] | None = None, *, required: bool = False) -> None:
        self.given: Mapping[str, frozenset[str]] = dict(given or {})
        self._required = required
        self.key = f"{sorted((n, sorted(d)) for n, d in self.given.items())} {required}" if self else ""
        """Equal where the same files are left."""

    def __bool__(self) -> bool:
        return self._required or bool(self.given)

    def objection(self, file: FileRow) -> Rejection | None:
        """Return what speaks against a file. A digest that its index does not give is checked later."""
        allowed = self.given.get(file.project)
        if allowed is None:
            # A URL may bring its own digest.
            return _MISSING if self._required and not file.allowed else None
        if not allowed:
            return _CONTRADICTION
        if file.origin is not None and not isinstance(file.origin.info, ArchiveInfo):
            return _NEVER  # of a tree, none could be checked later
        mine = _comparable(file, allowed)
        if not mine or not allowed.isdisjoint(mine):
            return None
        return Rejection("hash-mismatch", f"has another digest than those you allow ({mine[0]})", mine[0])

    def bound(self, file: FileRow) -> FileRow:
        """Return the file with what is to be checked once it is here."""
        allowed = self.given.get(file.project)
        if not allowed or not allowed.isdisjoint(text.lower() for text in file.hashes):
            return file
        return attrs.evolve(DistFile.of(file), allowed=tuple(sorted(allowed))).row()


def _comparable(file: FileRow, allowed: frozenset[str]) -> list[str]:
    algorithms = {text.partition(":")[0] for text in allowed}
    return [text.lower() for text in file.hashes if text.partition(":")[0] in algorithms]
