"""Files that a requirement names by URL: what can be known of them before they are read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from puffin_api._model.direct_url import ArchiveInfo, DirectUrl, DirInfo, subdirectory_of
from puffin_api._model.file import STRONG_DIGESTS, FileRow
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.git_url import is_git, parse_git_url
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
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from puffin_api._model.filename import WheelName
    from puffin_api._model.git_url import GitUrl, Login, Revision
    from puffin_api._model.requirement import RequirementRow

    GitKey = tuple[str, str, Revision]
    """A project, the repository that it comes from, and what was asked for there."""

    class Sources(Protocol):
        """What can be found out about sources, perhaps by a build."""

        def commit(self, url: GitUrl, login: Login | None) -> str:
            """Return the commit that a revision stands for; the login is for this repository."""
            ...

        def complete(self, file: FileRow) -> FileRow:
            """Return a file with name, version and digests, which its metadata tells."""
            ...


_ALGORITHMS = frozenset(("md5", "sha1", "sha224", "sha256", "sha384", "sha512"))
_SCHEMES = ("https", "http", "file")


class DirectFiles:
    """Makes the file of a requirement with a URL.

    Of a local file the digest is taken, so that it counts as another one once it is built anew.

    Args:
        add_login: Told of the user name and password in a URL, and of the URL without them.
        hashes: What the digests in URLs mean.
        sources: Tells of archives, repositories and local trees what they are; None to refuse them.
        commits: Kept for what is asked for, as long as there are such commits.
    """

    def __init__(
        self,
        add_login: Callable[[str, tuple[str, str]], None] | None = None,
        *,
        hashes: HashPolicy = HashPolicy.WHEN_GIVEN,
        sources: Sources | None = None,
        commits: Mapping[GitKey, str] | None = None,
    ) -> None:
        self._add_login = add_login
        self._hashes = hashes
        self._sources = sources
        self._given: Mapping[str, frozenset[str]] = {}
        self._found: dict[str, FileRow] = {}
        """Files of sources, by the URL of the requirement."""
        self._git_logins: dict[str, Login] = {}
        self._commits = commits or {}
        self._kept: set[str] = set()
        """URLs for which a commit was kept."""

    def demand(self, digests: Mapping[str, frozenset[str]]) -> None:
        """Hold archives to the digests that the caller gives for projects, before anything of them is run."""
        self._given = digests

    def forget_commits(self) -> bool:
        """Look branches and tags up from now on; False where that makes no difference."""
        self._commits = {}
        for url in self._kept:
            self._found.pop(url, None)
        kept, self._kept = self._kept, set()
        return bool(kept)

    def without_login(self, row: RequirementRow) -> RequirementRow:
        """Return the requirement without user name and password, which are kept for when it is fetched."""
        if is_git(row.url):
            git, git_login = parse_git_url(row.url)
            if git_login is not None:
                self._git_logins[git.repository] = git_login
            return requirement_row(row.text.replace(row.url, str(git)))
        plain, login = _without_login(row)
        if login is not None and self._add_login is not None:
            self._add_login(split_fragment(plain.url)[0], login)
        return plain

    def row_of_path(
        self, path: Path, *, extras: Sequence[str] = (), editable: bool = False
    ) -> RequirementRow:
        """Return the requirement for what lies at a path: a wheel, an archive of sources, or a project.

        Raises:
            RequirementInvalid: There is nothing that could be installed.
            BuildForbidden: It would have to be built, and nothing may be.
            BuildFailed: Only a build could tell what it is, and it failed.
        """
        text = os.fspath(path)
        path = _existing(Path(path), text)
        if path.is_file() and path.name.endswith(".whl") and not editable:
            wheel, _ = _named(path.name, text)
            return requirement_row(f"{wheel.name}{_extras(extras)} @ {path_to_url(path)}")
        url = path_to_url(path)
        if path.is_file() and not editable:
            file = self._archive(FileRow(project="", version="", filename=path.name, url=url), path, text)
        elif path.is_dir():
            file = self._tree("", path, editable=editable)
        else:
            raise _invalid(text, "it is no folder of a project")
        known = self._found.get(url)
        if known is None or known.origin is None or not known.origin.editable:
            self._found[url] = file  # of both, development mode is the one that somebody asked for
        return requirement_row(f"{file.project}{_extras(extras)} @ {url}")

    def file(self, row: RequirementRow) -> FileRow:
        """Return the file that a requirement names.

        Raises:
            RequirementInvalid: It is not there, or is nothing of the project.
            BuildForbidden: It would have to be built, and nothing may be.
            BuildFailed: Only a build could tell what it is, and it failed.
            HashMismatch: An archive has another digest than the caller says.
        """
        if row.url not in self._found:
            file = self._file(row)
            if file.is_wheel:
                return file
            self._found[row.url] = file
        file = self._found[row.url]
        if file.project != row.name:
            raise _invalid(_shown(row), f"it is {file.project}, not {row.name}")
        return file

    def _file(self, row: RequirementRow) -> FileRow:
        # A login that is still there was read in metadata: it is nobody's who could vouch for it.
        if is_git(row.url):
            return self._git(row)
        row, _ = _without_login(row)
        url, fragment = split_fragment(row.url)
        if "+" in _scheme(url):
            raise _invalid(_shown(row), "of version control, only git can be used")
        if _scheme(url) not in _SCHEMES:
            raise _invalid(_shown(row), f"nothing can be fetched by {_scheme(url) or 'no scheme at all'}")
        name = filename(url)
        hashes: dict[str, str] = {}
        if self._hashes is not HashPolicy.IGNORE:
            hashes = {key: value.lower() for key, value in fragment.items() if key in _ALGORITHMS}
        path = _existing(url_to_path(url), _shown(row)) if _scheme(url) == "file" else None
        if path is not None and path.is_dir():
            return self._tree(row.name, path, editable=False, subdirectory=subdirectory_of(row.url))
        file = FileRow(
            project=row.name,
            version="",
            filename=name,
            url=url if path is None else path_to_url(path),
            hashes=tuple(f"{key}:{value}" for key, value in hashes.items()),
            allowed=tuple(f"{key}:{value}" for key, value in hashes.items() if key in STRONG_DIGESTS),
        )
        if not name.endswith(".whl"):
            if self._sources is None:
                raise _needs_build(row)
            return self._archive(file, path, _shown(row), subdirectory=subdirectory_of(row.url))
        wheel, file.version = _named(name, _shown(row))
        if wheel.name != row.name:
            raise _invalid(_shown(row), f"the file is a wheel of {wheel.name}, not of {row.name}")
        if path is not None:
            self._look_at(file, path, row.url, _shown(row))
        file.origin = DirectUrl(url=file.url, info=ArchiveInfo(hashes=_digests(file)))
        return file

    def _look_at(self, file: FileRow, path: Path, url: str, text: str) -> None:
        """Take size and digest of a local file."""
        file.size, actual = _size_and_sha256(path, text)
        digests = _digests(file)
        if digests.setdefault("sha256", actual) != actual:
            raise _mismatch(file.project, url, text, digests["sha256"], actual)
        file.hashes = tuple(f"{key}:{value}" for key, value in digests.items())

    def _archive(self, file: FileRow, path: Path | None, text: str, *, subdirectory: str = "") -> FileRow:
        if self._sources is None:
            raise _needs_sources(text)
        file.allowed = self._allowed(file)
        if path is not None:
            self._look_at(file, path, file.url, text)
            _check_allowed(file, path, text)
        if self._hashes is HashPolicy.REQUIRE and not file.allowed:
            raise _unhashed(
                text, "there is none", "Give it in Manifest.hashes, or as #sha256=... of its URL."
            )
        info = ArchiveInfo(hashes=_digests(file))
        file.origin = DirectUrl(url=file.url, info=info, subdirectory=subdirectory)
        return self._sources.complete(file)

    def _allowed(self, file: FileRow) -> tuple[str, ...]:
        """Return the digests of which an archive must have one; of a name that is not known, any will do."""
        own = frozenset(file.allowed)
        if file.project or self._hashes is not HashPolicy.REQUIRE:
            given = self._given.get(file.project)
        else:
            given = frozenset().union(*self._given.values())
        if given is None:
            return file.allowed
        if not given and file.project:
            raise _invalid(file.url, f"there is no digest that all requirements for {file.project} allow")
        return tuple(sorted(own & given or given))

    def _refuse_unhashed(self, name: str, text: str, kind: str) -> None:
        """Refuse what has no digest, where it must have one, before its code is run."""
        if self._hashes is HashPolicy.REQUIRE or name in self._given:
            hint = "Name an archive with its digest, or ask for no digests of it."
            raise _unhashed(text, f"{kind} has none", hint)

    def _tree(self, name: str, path: Path, *, editable: bool, subdirectory: str = "") -> FileRow:
        if self._sources is None:
            raise _needs_sources(str(path))
        self._refuse_unhashed(name, str(path), "a folder")
        url = path_to_url(path / subdirectory)
        origin = DirectUrl(url=url, info=DirInfo(editable=editable))
        file = FileRow(project=name, version="", filename="", url=url, origin=origin)
        return self._sources.complete(file)

    def _git(self, row: RequirementRow) -> FileRow:
        if self._sources is None:
            raise _needs_build(row)
        self._refuse_unhashed(row.name, _shown(row), "a repository")
        url, _ = parse_git_url(row.url)
        kept = self._commits.get((row.name, url.repository, url.revision))
        if kept is not None:
            try:
                file = self._at_commit(row.name, url, kept)
            except RequirementInvalid:
                pass  # there is no such commit any more, or it is none of a project
            else:
                self._kept.add(row.url)
                return file
        commit = self._sources.commit(url, self._git_logins.get(url.repository))
        return self._at_commit(row.name, url, commit)

    def _at_commit(self, name: str, url: GitUrl, commit: str) -> FileRow:
        assert self._sources is not None, "looked at before"
        file = FileRow(
            project=name, version="", filename="", url=str(url.at(commit)), origin=url.direct_url(commit)
        )
        return self._sources.complete(file)


def _check_allowed(file: FileRow, path: Path, text: str) -> None:
    """Refuse a local archive that has none of the digests that the caller allows."""
    if not file.allowed:
        return
    actual = {f"{kind}:{_digest(path, kind, text)}" for kind in {a.partition(":")[0] for a in file.allowed}}
    if actual.isdisjoint(file.allowed):
        raise HashMismatch(
            f"{file.filename} has none of the digests that you allow",
            hint="The file is not the one that was meant; do not use it, or correct the digests.",
            name=file.project,
            source=file.url,
            expected=list(file.allowed),
            actual=min(actual),
        )


def _digests(file: FileRow) -> dict[str, str]:
    return dict(text.split(":", 1) for text in file.hashes)


def _extras(extras: Sequence[str]) -> str:
    return f"[{','.join(extras)}]" if extras else ""


def _without_login(row: RequirementRow) -> tuple[RequirementRow, tuple[str, str] | None]:
    if "@" not in row.url:
        return row, None
    if _scheme(row.url) not in _SCHEMES:  # nobody fetches it, and it may still be shown
        return requirement_row(_shown(row)), None
    url, login = split_credentials(row.url)
    return (row if login is None else requirement_row(row.text.replace(row.url, url))), login


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


def _digest(path: Path, algorithm: str, text: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise _unreadable(text, f"{path} cannot be read: {error.strerror}") from error


def _unhashed(text: str, reason: str, hint: str) -> RequirementInvalid:
    return RequirementInvalid(
        f"{text!r} cannot be used: it must have a digest from you, and {reason}", hint=hint, text=text
    )


def _unreadable(text: str, reason: str) -> RequirementInvalid:
    return RequirementInvalid(
        f"{text!r} cannot be used: {reason}",
        hint="Check the path; a relative one counts from the current folder.",
        text=text,
    )


def _invalid(text: str, reason: str) -> RequirementInvalid:
    return RequirementInvalid(
        f"{text!r} cannot be used: {reason}",
        hint="Name a wheel, a source archive, a folder or a git repository of this project.",
        text=text,
    )


def _needs_build(row: RequirementRow) -> BuildForbidden:
    hint = "Name the URL of a wheel, or require a version of the project from an index."
    if ".whl;" in row.url:
        hint = "Put a space before the semicolon: without it, the marker is part of the URL."
    return BuildForbidden(
        f"{_shown(row)} is no wheel: it would have to be built", hint=hint, package=row.name
    )


def _needs_sources(text: str) -> BuildForbidden:
    return BuildForbidden(
        f"{text} is no wheel: it would have to be built",
        hint="Build a wheel of it first, and give its path.",
        package=os.path.basename(text),
    )


def _mismatch(name: str, url: str, text: str, expected: str, actual: str) -> HashMismatch:
    return HashMismatch(
        f"{filename(url)} has the sha256 digest {actual}, and {text!r} says {expected}",
        hint="The file is not the one that was meant; do not use it, or correct the digest.",
        name=name,
        source=redact(url),
        expected=[f"sha256:{expected}"],
        actual=f"sha256:{actual}",
    )
