"""RECORD against the archive: every file listed, every row fulfilled, sizes and digests as listed."""

from __future__ import annotations

import hashlib

from puffin_api._wheel.read import invalid
from puffin_api._wheel.record import encode_digest, parse_record
from puffin_api._wheel.rules import refused
from puffin_api.errors import HashMismatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from puffin_api._model.filename import WheelName
    from puffin_api._zip import ZipEntry

UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of the ``.dist-info`` folder that RECORD need not list: itself and its signatures."""
_SHA256 = "sha256="


def check_record(
    text: bytes, entries: Iterable[ZipEntry], *, dist_info: str, name: WheelName, filename: str
) -> dict[str, str]:
    """Compare RECORD with the entries; the digest that each file has to have, empty where none is given.

    Some wheels give no digest or size for some files; what they do give has to be right.

    Raises:
        MetadataInvalid: RECORD cannot be read, or has a digest of an unknown kind.
        UnsafeArchive: RECORD and the archive do not hold the same files, or not of the same size.
    """
    files = {entry.name: entry for entry in entries if not entry.is_directory}
    listed: dict[str, tuple[str, str]] = {}
    for path, digest, size in _rows(text, files, name, filename):
        first = listed.setdefault(path, (digest, size))
        if any(one and other and one != other for one, other in zip(first, (digest, size), strict=True)):
            raise refused(filename, "record-conflict", path)
        listed[path] = (first[0] or digest, first[1] or size)
        if path not in files:
            raise refused(filename, "missing-entry", path)
    unlisted = {f"{dist_info}/{part}" for part in UNLISTED}
    expected = {}
    for path, entry in files.items():
        if path in unlisted:
            expected[path] = ""
            continue
        if path not in listed:
            raise refused(filename, "not-in-record", path)
        digest, size = listed[path]
        if size and not (size.isdecimal() and int(size) == entry.size):
            raise refused(filename, "record-size-mismatch", path)
        expected[path] = _canonical(digest, path, name, filename)
    return expected


class Digest:
    """The digest of a file while it goes by: the one for our records, and RECORD's if that is another."""

    __slots__ = ("_expected", "_ours", "_theirs")

    def __init__(self, expected: str) -> None:
        algorithm = expected.partition("=")[0]
        self._expected = expected
        self._ours = hashlib.sha256()
        self._theirs = None
        if algorithm not in ("", "sha256"):
            # Weak ones only tell accidents; they stand in some old wheels.
            self._theirs = hashlib.new(algorithm, usedforsecurity=False)

    def update(self, piece: bytes | memoryview) -> None:
        self._ours.update(piece)
        if self._theirs is not None:
            self._theirs.update(piece)

    def finish(self, entry: ZipEntry, name: WheelName) -> str:
        """Return the digest as we record it.

        Raises:
            HashMismatch: RECORD has another one.
        """
        ours = actual = encode_digest(self._ours.digest())
        if self._theirs is not None:
            actual = encode_digest(self._theirs.digest(), self._theirs.name)
        if self._expected not in ("", actual):
            raise HashMismatch(
                f"{entry.name} in {entry.archive} is not the file that RECORD lists",
                name=name.name,
                source=f"{entry.archive}: {entry.name}",
                expected=(self._expected.replace("=", ":", 1),),
                actual=actual.replace("=", ":", 1),
            )
        return ours


def _rows(
    text: bytes, files: Mapping[str, ZipEntry], name: WheelName, filename: str
) -> Iterator[tuple[str, str, str]]:
    """Give the rows for files; paths as Windows or careless tools write them are mended."""
    try:
        rows = parse_record(text.decode("utf-8-sig"))
    except ValueError as error:
        raise invalid(name, filename, f"its RECORD cannot be read: {error}") from error
    for path, digest, size in rows:
        mended = path if path in files else path.replace("\\", "/").removeprefix("./").removeprefix("/")
        if not mended.endswith("/"):  # some tools list directories as well
            yield mended, digest, size


def _canonical(digest: str, path: str, name: WheelName, filename: str) -> str:
    """Return a digest as we write it."""
    if not digest or (digest.startswith(_SHA256) and digest[-1] != "="):
        return digest
    algorithm, _, value = digest.partition("=")
    algorithm = algorithm.lower()
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
        raise invalid(name, filename, f"its RECORD gives {path} a digest of an unknown kind, {digest!r}")
    return f"{algorithm}={value.rstrip('=')}"
