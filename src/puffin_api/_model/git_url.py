"""Git repositories as requirements name them: where, which revision, which folder of it.

A revision begins after the last ``@`` of the path, or after the first ``.git@``, so that tags like
``package@1.0`` can be named. It is never looked for in the user name. An ``@`` that belongs to the path
itself is written ``%40``, as are the characters of a revision that mean something in a URL.
"""

from __future__ import annotations

import enum
import re
from urllib.parse import quote, unquote

import attrs

from puffin_api._model.direct_url import DirectUrl, VcsInfo, plain_folder
from puffin_api._urls import redact, repository, split_credentials, split_fragment
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    Login = tuple[str, str]

_SCHEMES = ("https", "http", "ssh", "file")
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)((?:\?[^#]*)?)", re.DOTALL).fullmatch
# What git itself takes for ssh, with a path that counts from the home folder of the user there.
_SCP = re.compile(r"([^@/:?#\s]+@[^@/:?#\s]+):(?!//)([^?#]+)", re.DOTALL).fullmatch
_LOGIN = re.compile(r"//([^/?#]*)@").search
_VARIABLES = re.compile(r"\$\{[A-Za-z0-9_-]+\}(?::\$\{[A-Za-z0-9_-]+\})?").fullmatch
# A host that begins with a hyphen would be an option of ssh.
_HOST = re.compile(r"(?:[A-Za-z0-9_~](?:[A-Za-z0-9._~%-]*)|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?").fullmatch
_USER = re.compile(r"[A-Za-z0-9_.~%+$][A-Za-z0-9_.~%+$-]*").fullmatch
_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?").fullmatch
_SHORT_COMMIT = re.compile(r"[0-9a-fA-F]{7,63}").fullmatch
# git check-ref-format(1), and what would be an option or an expression over revisions.
_BAD_REVISION = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|^-|^/|^@$|[/.]$"
).search
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search


class RevisionKind(enum.Enum):
    """What a revision may be. It says nothing of whether there is one."""

    DEFAULT = "default branch"
    BRANCH_OR_TAG = "branch or tag"
    """Where there are both, the branch counts."""
    REF = "ref"
    """The full name of a ref, such as ``refs/pull/7/head``."""
    SHORT_COMMIT = "short commit"
    """At least 7 digits; a branch or tag of that name counts before the commit."""
    COMMIT = "commit"
    """All digits: the only kind that never moves."""


@attrs.frozen
class Revision:
    """A revision as it was asked for."""

    kind: RevisionKind
    name: str = ""
    """Decoded; empty for the default branch that nobody has named."""

    @classmethod
    def parse(cls, text: str) -> Revision:
        """Tell by its looks of what kind a revision is.

        Raises:
            ValueError: No commit, branch or tag can be called so.
        """
        if text in ("", "HEAD"):
            return cls(RevisionKind.DEFAULT, text)
        if _COMMIT(text):
            return cls(RevisionKind.COMMIT, text.lower())
        if _BAD_REVISION(text):
            raise ValueError(f"{text!r} is no name of a commit, branch or tag")
        if text.startswith("refs/"):
            return cls(RevisionKind.REF, text)
        return cls(RevisionKind.SHORT_COMMIT if _SHORT_COMMIT(text) else RevisionKind.BRANCH_OR_TAG, text)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}".rstrip()


@attrs.frozen(kw_only=True)
class GitUrl:
    """One revision of a git repository, or of a folder in it. No login is kept in it.

    Equal where repository, revision and folder are, however they are written.
    """

    repository: str
    """The canonical form, the same for all spellings: what keys are made of."""
    revision: Revision
    subdirectory: str = ""
    """Relative, with slashes; empty for the whole repository."""
    address: str = attrs.field(eq=False, repr=False)
    """What git is given: without credentials, but for the user name of ssh and what a query holds."""
    url: str = attrs.field(eq=False)
    """What may be shown and stored: without credentials, but for ``git@`` and ``${VARIABLES}``."""
    name: str = attrs.field(default="", eq=False)
    """The project that ``egg=`` names."""

    @property
    def login_variables(self) -> str:
        """The ``${VARIABLES}`` that stand for the login, as they were written."""
        match = _LOGIN(self.url)
        return match[1] if match is not None and "${" in match[1] else ""

    @property
    def is_local(self) -> bool:
        """True where it takes no network."""
        return self.address.startswith("file:")

    def at(self, commit: str) -> GitUrl:
        """Return the same folder at an exact commit."""
        return attrs.evolve(self, revision=Revision(RevisionKind.COMMIT, commit))

    def direct_url(self, commit: str) -> DirectUrl:
        """Return what direct_url.json says of a checkout."""
        info = VcsInfo(vcs="git", commit_id=commit, requested_revision=self.revision.name)
        return DirectUrl(url=self.url, info=info, subdirectory=self.subdirectory)

    def __str__(self) -> str:
        revision = quote(self.revision.name, safe="/@+=,!$&'()")
        folder = f"#subdirectory={quote(self.subdirectory)}" if self.subdirectory else ""
        plain, mark, query = self.url.partition("?")
        return f"git+{plain}{'@' if revision else ''}{revision}{mark}{query}{folder}"


def is_git(url: str) -> bool:
    """Tell whether a URL names a git repository."""
    return url[:4].lower() == "git+"


def parse_git_url(text: str) -> tuple[GitUrl, Login | None]:
    """Take a ``git+...`` URL apart; returns the login in it, if there is one, apart from the rest.

    >>> url, login = parse_git_url("git+https://me:secret@host/project.git@v1.0#subdirectory=python")
    >>> str(url)
    'git+https://host/project.git@v1.0#subdirectory=python'

    Raises:
        RequirementInvalid: It is no such URL, or git must not be given it.
    """
    if not is_git(text):
        raise _invalid(text, "it does not begin with git+")
    address, fragment = split_fragment(text[4:])
    folder = _folder(fragment.get("subdirectory", ""), text)
    place, revision = _split_revision(address)
    try:
        parsed = Revision.parse(unquote(revision))
    except ValueError as error:
        raise _invalid(text, str(error), hint="Name a branch, a tag, a full ref or a commit.") from None
    url, login = _located(place, text)
    name = fragment.get("egg", "").partition("[")[0]
    return attrs.evolve(url, revision=parsed, subdirectory=folder, name=name), login


def submodule_url(parent: GitUrl, address: str, commit: str) -> tuple[GitUrl, Login | None]:
    """Return where the submodule of a repository is; relative addresses count from the repository's own.

    Raises:
        RequirementInvalid: Git must not be given that address.
    """
    place = _relative(parent.address, address) if address.startswith(("./", "../")) else address
    if place.startswith("/"):
        place = f"file://{quote(place)}"
    url, login = _located(place, f"git+{place}")
    if url.is_local and not parent.is_local:
        raise _invalid(f"git+{place}", f"it is a submodule of {parent.url}, which is not on this machine")
    return attrs.evolve(url, revision=Revision(RevisionKind.COMMIT, commit)), login


def _split_revision(address: str) -> tuple[str, str]:
    """Cut the revision off; what follows it is put back."""
    scp = _SCP(address)
    start, path, query = ("", "", "")
    if scp is not None:
        start, path = f"{scp[1]}:", scp[2]
    else:
        # The login may hold anything, also slashes: it is cut off by those who know how.
        plain, _ = split_credentials(address)
        match = _PARTS(plain)
        if match is None:
            return address, ""
        path, query = match[3], match[4]
        start = address[: len(address) - len(path) - len(query)]
    before, at, revision = path.partition(".git@")
    before += ".git" if at else ""
    if not at:
        before, at, revision = path.rpartition("@")
    return (start + before + query, revision) if at else (address, "")


def _located(place: str, text: str) -> tuple[GitUrl, Login | None]:
    """Return the repository at an address that holds no revision, at its default branch."""
    scp = _SCP(place)
    if scp is not None:
        user, _, host = scp[1].partition("@")
        _check(host, user, scp[2], text)
        return _make(place, f"ssh://{scp[1]}/{scp[2].lstrip('/')}"), None
    plain, login = split_credentials(place)
    match = _PARTS(plain)
    if match is None or match[1].lower() not in _SCHEMES:
        hint = f"Use one of {', '.join(f'git+{scheme}://' for scheme in _SCHEMES)}."
        raise _invalid(text, "git is not called for such a URL", hint=hint)
    scheme, host, path, query = match[1].lower(), *match.groups()[1:]
    path = path.replace("@", "%40")  # else it would begin a revision, once it is read again
    if scheme == "file":
        if host.lower() not in ("", "localhost") or not path.strip("/"):
            raise _invalid(text, "it is not the URL of a local folder", hint="Write git+file:///path/to/it.")
        return _make(f"file://{path}", f"file://{path}", query), None
    user = login[0] if login is not None and scheme == "ssh" else ""
    _check(host, user, path, text)
    address = f"{scheme}://{quote(user, safe='~+$')}{'@' if user else ''}{host}{path}"
    if scheme == "ssh":  # no password is of use to it: it must not ask for one
        return _make(address, address, query), None
    public = _public_login(place)
    url = f"{scheme}://{public}{'@' if public else ''}{host}{path}"
    return _make(address, url, query), None if "$" in public else login


def _make(address: str, url: str, query: str = "") -> GitUrl:
    shown = redact(f"https://host/{query}").removeprefix("https://host/")
    # A query is none of the business of `repository`, but may tell repositories apart.
    part = shown.replace("?", "%3F").replace("@", "%40")
    return GitUrl(
        repository=repository(f"git+{url}{part}"),
        revision=Revision(RevisionKind.DEFAULT),
        address=address + query,
        url=url + shown,
    )


def _public_login(place: str) -> str:
    """Return the login of an address where it is no secret (PEP 610)."""
    match = _LOGIN(place)
    is_public = match is not None and (match[1] == "git" or _VARIABLES(match[1]))
    return match[1] if match is not None and is_public else ""


def _check(host: str, user: str, path: str, text: str) -> None:
    if not _HOST(host):
        raise _invalid(text, "its host is not valid")
    if user and not _USER(user):
        raise _invalid(text, "its user name is not valid")
    if not path.strip("/") or _CONTROL(unquote(path)):
        raise _invalid(text, "its path is not valid")


def _folder(subdirectory: str, text: str) -> str:
    """Return the folder in its plain form; it must not lead out of the repository."""
    plain = plain_folder(subdirectory)
    is_outside = ".." in subdirectory.replace("\\", "/").split("/") or subdirectory.startswith(("/", "\\"))
    if is_outside or _CONTROL(subdirectory) or ":" in plain.partition("/")[0]:
        raise _invalid(
            text, "the subdirectory is not inside the repository", hint="Name it relative to the repository."
        )
    return plain


def _relative(base: str, address: str) -> str:
    """Return what a relative address means, counted from that of the repository."""
    start = re.match(r"[A-Za-z]+://[^/]*|[^/:]+:", base)
    assert start is not None, "addresses of repositories have a scheme or a host"
    folders = base[start.end() :].partition("?")[0].rstrip("/").split("/")
    least = 1 if "//" in start[0] else 0
    rest = address
    while rest.startswith(("./", "../")):
        step, _, rest = rest.partition("/")
        rest = rest.lstrip("/")
        if step == "..":
            if len(folders) <= least:
                raise _invalid(address, f"it leads out of the server of {redact(base)}")
            folders.pop()
    return start[0] + "/".join([*folders, rest])


def _invalid(text: str, reason: str, hint: str = "") -> RequirementInvalid:
    shown = f"git+{redact(text[4:])}" if is_git(text) else redact(text)
    return RequirementInvalid(f"{shown} cannot be used: {reason}", hint=hint, text=shown)
