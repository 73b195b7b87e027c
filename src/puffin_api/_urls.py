"""URLs as text: join, canonical form, fragments, credentials, file names, paths."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes, urljoin

from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT_PORTS = {"http": "80", "https": "443", "ssh": "22", "git": "9418", "ftp": "21", "svn": "3690"}
# RFC 3986, appendix B: fits every text, so nothing here fails on a malformed URL.
_PARTS = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
).fullmatch
# What git takes for ssh: user@host:path, without `//`.
_SCP = re.compile(r"([A-Za-z]+\+)?([^@/:?#\s]+)@([^@/:?#\s]+):(?!//)(.*)", re.DOTALL).fullmatch
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "%/:@!$&'()*+,;=~-._"
_SECRET_QUERY = re.compile(
    r"(?i)((?:^|&)[^=&]*(?:token|password|passwd|secret|signature|credential|api[-_]?key|\bsig)[^=&]*=)[^&]*"
)
_MASK = "****"


class _Url:
    """A URL in parts; a missing part is None, an empty one is empty."""

    __slots__ = ("authority", "fragment", "path", "query", "scheme", "userinfo")

    def __init__(self, url: str) -> None:
        scp = _SCP(url)
        if scp:
            vcs, user, host, path = scp.groups()
            url = f"{vcs or ''}ssh://{user}@{host}/{path.lstrip('/')}"
        match = _PARTS(url)
        assert match is not None, "the pattern fits every text"
        scheme, authority, self.path, self.query, self.fragment = match.groups()
        self.scheme: str | None = scheme.lower() if scheme else None
        self.authority: str | None = authority
        """Host and port."""
        self.userinfo: str | None = None
        while self.authority is not None and self._cut_userinfo(self.authority):
            pass  # what is left may have more of it, in a URL that somebody made up

    def _cut_userinfo(self, authority: str) -> bool:
        """Take what is no host out of the authority; False where nothing is."""
        userinfo, at, host = authority.rpartition("@")
        if at:
            self.userinfo, self.authority = userinfo, host
        elif not self._has_no_port(authority):
            return False
        elif self._is_ssh:
            # ssh://git@host:owner/project, which git refuses but people write.
            self.authority, _, owner = authority.rpartition(":")
            self.path = f"/{owner}{self.path}"
        elif "@" in self.path:
            # A password with a bare slash: without this it would be taken for host and path, and shown.
            self.userinfo = authority
            self.authority, slash, path = self.path.partition("@")[2].partition("/")
            self.path = slash + path
        else:
            return False
        return True

    @property
    def _is_ssh(self) -> bool:
        return self.scheme is not None and self.scheme.rpartition("+")[2] == "ssh"

    @staticmethod
    def _has_no_port(host: str) -> bool:
        """Tell whether what follows the colon of a host is no port number."""
        _, colon, port = host.rpartition(":")
        return bool(colon and port) and "]" not in port and not (port.isascii() and port.isdigit())

    def canonical_authority(self) -> str:
        """Return host and port, in lower case and without the port that goes without saying."""
        host = (self.authority or "").lower()
        name, colon, port = host.rpartition(":")
        if colon and "]" not in port:
            default = _DEFAULT_PORTS.get((self.scheme or "").rpartition("+")[2])
            port = port.lstrip("0") if port.isdigit() else port
            return name if port in ("", default) else f"{name}:{port}"
        return host

    def text(self) -> str:
        """Put the parts together, without credentials."""
        scheme = "" if self.scheme is None else f"{self.scheme}:"
        authority = "" if self.authority is None else f"//{self.authority}"
        return f"{scheme}{authority}{self.path}{self._tail()}"

    def _tail(self) -> str:
        query = "" if self.query is None else f"?{self.query}"
        return query if self.fragment is None else f"{query}#{self.fragment}"


def join(base: str, href: str) -> str:
    """Return the URL that a link on a page leads to; ``base`` is absolute.

    The same as ``urllib.parse.urljoin``, but quick for the links that index pages have by the ten
    thousand: absolute ones and names relative to the page.
    """
    if href.startswith(("https://", "http://")):
        return href
    return joiner(base)(href)


def joiner(base: str) -> Callable[[str], str]:
    """Return `join` for many links of one page: what can be known of its URL is looked at once."""
    folders = _folders(base)
    root = folders[0] if folders else ""

    def join_to_base(href: str) -> str:
        if href.startswith(("https://", "http://")):
            return href
        level = -1
        path = href
        while path.startswith("../"):
            level -= 1
            path = path[3:]
        # Dot segments, empty ones, parameters, other schemes and hosts have rules of their own.
        is_simple = "/." not in path and "//" not in path and ";" not in path
        if is_simple and folders and level >= -len(folders):
            head = path[:1]
            if (head.isalnum() or head == "_") and ":" not in path:
                return folders[level] + path
            if head == "/" and level == -1:
                return root + path[1:]
        return urljoin(base, href)

    return join_to_base


def _folders(base: str) -> tuple[str, ...]:
    """Return the URLs of the folders that a page lies in, the root first; none if it is not so simple."""
    if not base.startswith(("https://", "http://")) or any(mark in base for mark in ("?", "#", "/.")):
        return ()
    if base.find("//", 8) >= 0:
        return ()
    ends = [index for index in range(8, len(base)) if base[index] == "/"]
    return tuple(base[: end + 1] for end in ends)


def canonical(url: str) -> str:
    """Return the form in which two URLs are equal exactly if they mean the same resource.

    Scheme and host in lower case, no default port, escapes normalised, one trailing slash and a
    ``.git`` suffix (also before ``@revision``) dropped, owner and project of github.com in lower case,
    ``git@host:path`` as ``ssh://host/path``. Credentials, user names included, are never part of it.
    Query and fragment stay as they are, and so does what is no URL.

    >>> canonical("HTTPS://user:token@GitHub.com:443/Org/Project.git@Main/")
    'https://github.com/org/project@Main'
    """
    parts = _Url(url)
    _canonicalize(parts)
    return parts.text()


def resource(url: str) -> str:
    """Return what the URL of a file stands for, without the fragment: the same for all its spellings.

    >>> resource("HTTPS://user:token@Host:443/a%2Db-1.0-py3-none-any.whl#sha256=ab")
    'https://host/a-b-1.0-py3-none-any.whl'
    """
    parts = _Url(url)
    _canonicalize(parts)
    parts.fragment = None
    # Characters that separate parts of other URLs are plain ones in file names: tools write 1.0+cu118 and
    # 1.0%2Bcu118 for one file. Only what would make it another path stays escaped.
    parts.path = re.sub("%(21|2[46-9A-C]|3[ABD]|40)", lambda match: chr(int(match[1], 16)), parts.path)
    if parts.scheme == "file":
        parts.path = posixpath.normpath(parts.path)
    return parts.text()


def repository(url: str) -> str:
    """Return the canonical URL of the repository alone: no revision, query or fragment.

    >>> repository("git+https://host/project.git@v1#subdirectory=python")
    'git+https://host/project'
    """
    parts = _Url(url)
    _canonicalize(parts)
    if parts.scheme is not None and ("+" in parts.scheme or parts.scheme in ("ssh", "git")):
        # A revision may hold slashes, so everything after the last `@` belongs to it.
        path, at, _ = parts.path.rpartition("@")
        parts.path = _trim(path) if at else parts.path
    parts.query = parts.fragment = None
    return parts.text()


def split_fragment(url: str) -> tuple[str, dict[str, str]]:
    """Cut off the fragment and return its ``key=value`` pairs, decoded; the first of equal keys counts."""
    address, mark, fragment = url.partition("#")
    if not mark:
        return url, {}
    pairs: dict[str, str] = {}
    for item in fragment.split("&"):
        key, _, value = item.partition("=")
        if key:
            pairs.setdefault(key, unquote(value) if "%" in value else value)
    return address, pairs


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Cut off user name and password and return them decoded, None where the URL has none.

    >>> split_credentials("https://user:p%40ss@host/simple/")
    ('https://host/simple/', ('user', 'p@ss'))
    """
    if "@" not in url:
        return url, None
    parts = _Url(url)
    if parts.userinfo is None:
        return url, None
    user, _, password = parts.userinfo.partition(":")
    return parts.text(), (unquote(user), unquote(password))


def redact(url: str) -> str:
    """Return the URL fit to be shown: credentials, also those in the query, are masked.

    The bare user name of ssh is no secret and stays.

    >>> redact("https://user:token@host/simple/?sig=abc")
    'https://****@host/simple/?sig=****'
    """
    if "@" not in url and "?" not in url:
        return url
    if _SCP(url):
        return url
    parts = _Url(url)
    if parts.query:
        parts.query = _SECRET_QUERY.sub(rf"\g<1>{_MASK}", parts.query)
    if parts.userinfo is not None:
        is_login = parts.scheme is not None and parts.scheme.endswith("ssh") and ":" not in parts.userinfo
        parts.authority = f"{parts.userinfo if is_login else _MASK}@{parts.authority}"
    return parts.text()


def redact_in(text: str, url: str) -> str:
    """Return a text with a URL in it fit to be shown."""
    return text.replace(url, redact(url)) if url else text


def origin(url: str) -> str:
    """Return scheme, host and port: what credentials and connections belong to.

    >>> origin("https://user@Host:443/simple/")
    'https://host'
    """
    parts = _Url(url)
    return f"{parts.scheme or ''}://{parts.canonical_authority()}"


def filename(url: str) -> str:
    """Return the last segment of the path, decoded exactly once; empty where the path ends in a slash.

    It may hold anything, also a slash: whoever makes a path of it has to look.
    """
    address = url
    for mark in "#?":
        if mark in address:
            address = address.partition(mark)[0]
    head, _, name = address.rpartition("/")
    if head.endswith(":/"):  # https://host
        return ""
    return unquote(name) if "%" in name else name


def path_to_url(path: Path) -> str:
    """Return the ``file:`` URL of an absolute path."""
    return path.as_uri()


def url_to_path(url: str) -> Path:
    """Return the path of a ``file:`` URL; query and fragment are not part of it.

    Raises:
        RequirementInvalid: It is no ``file:`` URL, or one of another host.
    """
    parts = _Url(url)
    host = "" if (parts.authority or "").lower() == "localhost" else parts.authority or ""
    is_local = parts.path.startswith("/") and (not host or os.name == "nt")
    if parts.scheme != "file" or not is_local:
        raise RequirementInvalid(
            f"{redact(url)} is not the URL of a local file",
            hint="Write it as file:///path/to/file.",
            text=redact(url),
        )
    if os.name == "nt":
        return Path(_windows_path(host, parts.path))
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))


def _windows_path(host: str, path: str) -> str:
    r"""Return ``C:\x`` for ``/C:/x`` and ``/C|/x``, and ``\\host\share`` for another host."""
    text = unquote(path)
    if host:
        text = f"//{host}{text}"
    elif re.match(r"/[A-Za-z][:|]", text):
        text = f"{text[1]}:{text[3:]}"
    return text.replace("/", "\\")


def _canonicalize(parts: _Url) -> None:
    if parts.scheme is None:
        return  # no URL: nobody knows what its characters mean
    if parts.authority is not None:
        parts.authority = parts.canonical_authority()
        if parts.scheme == "file" and parts.authority == "localhost":
            parts.authority = ""
    path = _normalize_escapes(parts.path)
    if parts.authority == "github.com":
        path = _lower_project(path)
    if path.endswith("/") and not path.endswith("//"):
        path = path[:-1]
    before, at, revision = path.rpartition("@")
    parts.path = f"{_trim(before)}@{revision}" if at else _trim(path)


def _normalize_escapes(path: str) -> str:
    """Decode what needs no escape, write the rest one way, and escape what must be (RFC 3986, 6.2.2)."""

    def normal(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    if "%" in path:
        path = _ESCAPE.sub(normal, _STRAY_PERCENT.sub("%25", path))
    # surrogatepass: a URL may come from a file name that is no text.
    return quote_from_bytes(path.encode("utf-8", "surrogatepass"), safe=_PATH_SAFE)


def _lower_project(path: str) -> str:
    """Lower-case owner and project, where case does not count; it does in revisions and file names."""
    segments = path.split("/")
    for index, segment in enumerate(segments[1:3], start=1):
        name, at, revision = segment.partition("@")
        segments[index] = _ESCAPE.sub(lambda match: match[0].upper(), name.lower()) + at + revision
        if at:
            break
    return "/".join(segments)


def _trim(path: str) -> str:
    """Drop the ``.git`` suffix, but not the name of a folder that is just called so."""
    while path.endswith(".git") and not path.endswith("/.git") and path != ".git":
        path = path[:-4]
    return path
