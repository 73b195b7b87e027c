"""Files that a requirement names by URL: what can be known of them before they are read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from puffin_api._model.direct_url import ArchiveInfo, DirectUrl
from puffin_api._model.file import STRONG_DIGESTS, FileRow
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.options import HashPolicy
from puffin_api._model.requirement import requirement_row
from puffin_api._model.version_key import sort_version
from puffin_api._urls import (
    filename,
    path_to_url,
    redact,
    redact_in,
    split_credentials,
    split_fragment,
    url_to_path,
)
from puffin_api.errors import BuildForbidden, HashMismatch, RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._model.filename import WheelName
    from puffin_api._model.requirement import RequirementRow

_ALGORITHMS = frozenset(("md5", "sha1", "sha224", "sha256", "sha384", "sha512"))
_SCHEMES = ("https", "http", "file")


class DirectFiles:
    """Makes the file of a requirement with a URL.

    Of a local file the digest is taken, so that it counts as another one once it is built anew.

    Args:
        add_login: Told of the user name and password in a URL, and of the URL without them.
        hashes: What the digests in URLs mean.
    """

    def __init__(
        self,
        add_login: Callable[[str, tuple[str, str]], None] | None = None,
        *,
        hashes: HashPolicy = HashPolicy.WHEN_GIVEN,
    ) -> None:
        self._add_login = add_login
        self._hashes = hashes

    def without_login(self, row: RequirementRow) -> RequirementRow:
        """Return the requirement without user name and password, which are kept for when it is fetched."""
        plain, login = _without_login(row)
        if login is not None and self._add_login is not None:
            self._add_login(split_fragment(plain.url)[0], login)
        return plain

    def file(self, row: RequirementRow) -> FileRow:
        """Return the file that a requirement names.

        Raises:
            RequirementInvalid: It is not there, or no wheel of the project.
            BuildForbidden: It would have to be built.
            HashMismatch: A local file has another digest than the requirement says.
        """
        # A login that is still there was read in metadata: it is nobody's who could vouch for it.
        row, _ = _without_login(row)
        url, fragment = split_fragment(row.url)
        name = filename(url)
        if not name.endswith(".whl") or "+" in _scheme(url):
            raise _needs_build(row)
        if _scheme(url) not in _SCHEMES:
            raise _invalid(_shown(row), f"nothing can be fetched by {_scheme(url) or 'no scheme at all'}")
        path = url_to_path(url) if _scheme(url) == "file" else None
        wheel, version = _named(name, _shown(row))
        if wheel.name != row.name:
            raise _invalid(_shown(row), f"the file is a wheel of {wheel.name}, not of {row.name}")
        hashes: dict[str, str] = {}
        if self._hashes is not HashPolicy.IGNORE:
            hashes = {key: value.lower() for key, value in fragment.items() if key in _ALGORITHMS}
        allowed = tuple(f"{key}:{value}" for key, value in hashes.items() if key in STRONG_DIGESTS)
        size = None
        if path is not None:
            path = _existing(path, _shown(row))
            if not path.is_file():
                raise _needs_build(row)
            url = path_to_url(path)
            size, actual = _size_and_sha256(path, _shown(row))
            if hashes.setdefault("sha256", actual) != actual:
                raise _mismatch(row, hashes["sha256"], actual)
        return FileRow(
            project=row.name,
            version=version,
            filename=name,
            url=url,
            hashes=tuple(f"{key}:{value}" for key, value in hashes.items()),
            size=size,
            allowed=allowed,
            origin=DirectUrl(url=url, info=ArchiveInfo(hashes=hashes)),
        )


def _without_login(row: RequirementRow) -> tuple[RequirementRow, tuple[str, str] | None]:
    if "@" not in row.url:
        return row, None
    if _scheme(row.url) not in _SCHEMES:  # nobody fetches it, and it may still be shown
        return requirement_row(_shown(row)), None
    url, login = split_credentials(row.url)
    return (row if login is None else requirement_row(row.text.replace(row.url, url))), login


def requirement_of_path(path: Path) -> RequirementRow:
    """Return the requirement for a local wheel, named by its path.

    Raises:
        RequirementInvalid: It is not there, or its name is not that of a wheel.
        BuildForbidden: It is a folder or a source distribution, which would have to be built.
    """
    text = os.fspath(path)
    path = _existing(path, text)
    if not path.is_file() or not path.name.endswith(".whl"):
        raise BuildForbidden(
            f"{text} is no wheel: it would have to be built",
            hint="Build a wheel of it first, and give its path.",
            package=path.name,
        )
    wheel, _ = _named(path.name, text)
    return requirement_row(f"{wheel.name} @ {path_to_url(path)}")


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower() if ":" in url else ""


def _shown(row: RequirementRow) -> str:
    """Return the text of a requirement without what is secret in its URL."""
    return redact_in(row.text, row.url)


def _existing(path: Path, text: str) -> Path:
    # Dots are resolved, but no links: a name may be all that a link is there for.
    path = Path(os.path.abspath(path))
    try:
        path.stat()
    except FileNotFoundError as error:
        raise _unreadable(text, f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _unreadable(text, f"{path} cannot be read: {reason}") from error
    return path


def _named(filename: str, text: str) -> tuple[WheelName, str]:
    """Return the parts of a wheel's name, and its version in normal form."""
    try:
        wheel = parse_wheel_name(filename)
    except ValueError as error:
        raise _invalid(text, str(error)) from error
    order = sort_version(wheel.version)
    if order is None:
        raise _invalid(text, f"{wheel.version!r} is not a valid version")
    return wheel, order[1]


def _size_and_sha256(path: Path, text: str) -> tuple[int, str]:
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(text, f"{path} cannot be read: {error.strerror}") from error


def _unreadable(text: str, reason: str) -> RequirementInvalid:
    return RequirementInvalid(
        f"{text!r} cannot be used: {reason}",
        hint="Check the path; a relative one counts from the current folder.",
        text=text,
    )


def _invalid(text: str, reason: str) -> RequirementInvalid:
    return RequirementInvalid(
        f"{text!r} cannot be used: {reason}",
        hint="Name the URL or the path of a wheel of this project.",
        text=text,
    )


def _needs_build(row: RequirementRow) -> BuildForbidden:
    hint = "Name the URL of a wheel, or require a version of the project from an index."
    if ".whl;" in row.url:
        hint = "Put a space before the semicolon: without it, the marker is part of the URL."
    return BuildForbidden(
        f"{_shown(row)} is no wheel: it would have to be built", hint=hint, package=row.name
    )


def _mismatch(row: RequirementRow, expected: str, actual: str) -> HashMismatch:
    return HashMismatch(
        f"{filename(row.url)} has the sha256 digest {actual}, and {_shown(row)!r} says {expected}",
        hint="The file is not the one that was meant; do not use it, or correct the digest.",
        name=row.name,
        source=redact(row.url),
        expected=[f"sha256:{expected}"],
        actual=f"sha256:{actual}",
    )
