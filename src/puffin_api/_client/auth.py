"""Credentials: which user name and password belong to a URL, and where they come from."""

from __future__ import annotations

import base64
import shlex

from puffin_api._concurrency import OnceMap
from puffin_api._urls import origin, split_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from puffin_api._model.options import Index
    from puffin_api.protocols import CredentialProvider

    Login = tuple[str, str]

_FIELDS = {"login": "login", "user": "login", "account": "account", "password": "password"}


def basic(login: Login) -> str:
    """Return the value of an ``Authorization`` field (RFC 7617)."""
    return "Basic " + base64.b64encode(":".join(login).encode()).decode("ascii")


class Credentials:
    """Finds the login for a URL: one that was given for it, else what a provider says of its origin.

    What was given is sent at once; a provider is asked only when a server wants a login, and once
    for each origin. Many threads may ask at the same time. Nothing of it is ever shown.
    """

    __slots__ = ("_answers", "_given", "_provider")

    def __init__(self, provider: CredentialProvider | None = None) -> None:
        self._provider = provider
        self._given: dict[str, list[tuple[str, Login]]] = {}
        self._answers: OnceMap[str, Login | None] = OnceMap()

    @classmethod
    def of(cls, indexes: Iterable[Index | str], provider: CredentialProvider | None = None) -> Credentials:
        """Return those that come with indexes and find-links, in fields or inside their URLs."""
        found = cls(provider)
        for index in indexes:
            url, login = split_credentials(index if isinstance(index, str) else index.url)
            given = login if isinstance(index, str) else index.credentials or login
            if given is not None:
                found.add(url, given)
        return found

    def add(self, url: str, login: Login) -> None:
        """Use this login for everything below a URL, and for its origin unless another fits better."""
        known = self._given.get(origin(url), [])
        # A new list, as others may be reading the old one; the last login for a URL is the one that counts.
        self._given[origin(url)] = [*(pair for pair in known if pair[0] != url), (url, login)]

    def given(self, url: str) -> Login | None:
        """Return the login that was given for a URL: that of the longest prefix, else of its origin."""
        known = self._given.get(origin(url)) if self._given else None
        if not known:
            return None
        fitting = [(prefix, login) for prefix, login in known if url.startswith(prefix)]
        return max(fitting, key=lambda pair: len(pair[0]))[1] if fitting else known[0][1]

    def asked(self, url: str) -> Login | None:
        """Return what the provider says of the URL's origin; asks it the first time."""
        provider = self._provider
        if provider is None:
            return None
        place = origin(url)
        return self._answers.run(place, lambda: provider.credentials(place))

    def remembered(self, url: str) -> Login | None:
        """Return what the provider has said of the URL's origin before, without asking it."""
        task = self._answers.get(origin(url)) if len(self._answers) else None
        return task.result() if task is not None and task.done else None


class NetrcCredentials:
    """A `CredentialProvider` over the text of a netrc file.

    Unlike the standard library's reader it takes text, needs no home folder and forgives what it does
    not understand.
    """

    def __init__(self, text: str) -> None:
        self._logins, self._default = _parse_netrc(text)

    def credentials(self, origin: str) -> Login | None:
        """Return the login of the origin's host, else that of ``default``."""
        host = origin.partition("://")[2]
        return self._logins.get(host) or self._logins.get(_without_port(host), self._default)

    def __repr__(self) -> str:
        return f"NetrcCredentials(<{len(self._logins)} hosts>)"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _parse_netrc(text: str) -> tuple[dict[str, Login], Login | None]:
    """Logins by host, and that for all other hosts; of several for one host the first counts."""
    entries: list[tuple[str | None, dict[str, str]]] = []
    words = iter(_tokens(text))
    for word in words:
        if word in ("machine", "default"):
            entries.append((next(words, "") if word == "machine" else None, {}))
        elif word in _FIELDS and entries:
            entries[-1][1].setdefault(_FIELDS[word], next(words, ""))
    logins: dict[str | None, Login] = {}
    for host, fields in entries:
        if fields:
            logins.setdefault(host, (fields.get("login", ""), fields.get("password", "")))
    default = logins.pop(None, None)
    return {host: login for host, login in logins.items() if host}, default


def _tokens(text: str) -> list[str]:
    """Cut the text up; macros run to the next empty line, comments to the end of theirs."""
    found: list[str] = []
    in_macro = False
    for line in text.splitlines():
        if in_macro or not line.strip():
            in_macro = in_macro and bool(line.strip())
        elif line.lstrip().startswith("macdef"):
            in_macro = True
        elif not line.lstrip().startswith("#"):
            found += _words(line)
    return found


def _words(line: str) -> list[str]:
    if '"' not in line:
        return line.split()
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    try:
        return list(lexer)
    except ValueError:  # a quote that is never closed is part of a password
        return line.split()
