"""RECORD: the list of a distribution's files with digest and size, read leniently and written strictly."""

from __future__ import annotations

import base64
import hashlib

_NEEDS_QUOTES = frozenset(',"\r\n')


def parse_record(text: str) -> list[tuple[str, str, str]]:
    """Return path, digest and size of each row, as they stand; digest and size may be empty.

    Lines are CSV with ``,`` and ``"``; rows with too few columns count as if the rest were empty,
    blank lines do not count.

    Raises:
        ValueError: It is no CSV.

    >>> parse_record("pkg/__init__.py,sha256=AAAA,12")
    [('pkg/__init__.py', 'sha256=AAAA', '12')]
    """
    if '"' in text:
        return _parse_quoted(text)
    return [_row(line.rsplit(",", 2)) for line in _lines(text) if line]


def record_paths(text: str) -> list[str]:
    """Return only the path of each row, in a third of the time.

    Raises:
        ValueError: It is no CSV.

    >>> record_paths("pkg/__init__.py,sha256=AAAA,12")
    ['pkg/__init__.py']
    """
    if '"' in text:
        return [row[0] for row in _parse_quoted(text)]
    return [line.rsplit(",", 2)[0] for line in _lines(text) if line]


def record_row(path: str, digest: str, size: int | str) -> str:
    r"""Return one row, ready to be written: quoted where needed, with its newline.

    >>> record_row("pkg/a,b.py", "sha256=AAAA", 3)
    '"pkg/a,b.py",sha256=AAAA,3\n'
    """
    if not _NEEDS_QUOTES.isdisjoint(path):
        path = '"' + path.replace('"', '""') + '"'
    return f"{path},{digest},{size}\n"


def digest_bytes(data: bytes | memoryview) -> str:
    """Return the digest of content, as RECORD has it."""
    return encode_digest(hashlib.sha256(data).digest())


def encode_digest(digest: bytes, algorithm: str = "sha256") -> str:
    """Write a raw digest as RECORD has it: urlsafe base64 without padding."""
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _lines(text: str) -> list[str]:
    # Not `splitlines`: it splits at characters that are allowed in names.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parse_quoted(text: str) -> list[tuple[str, str, str]]:
    import csv
    import io

    try:
        # newline="" keeps the line ends inside quotes as they are.
        return [_row(cells) for cells in csv.reader(io.StringIO(text, newline="")) if cells]
    except csv.Error as error:
        raise ValueError(f"RECORD cannot be read: {error}") from error


def _row(cells: list[str]) -> tuple[str, str, str]:
    if len(cells) == 3:
        return cells[0], cells[1], cells[2]
    if len(cells) > 3:  # a comma in the path that somebody did not quote
        return ",".join(cells[:-2]), cells[-2], cells[-1]
    path, digest, size, *_ = (*cells, "", "")
    return path, digest, size
