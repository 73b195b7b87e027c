"""What git says when it fails, as the errors of this library."""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager

from puffin_api._model.git_url import RevisionKind
from puffin_api._urls import origin
from puffin_api.errors import (
    AuthenticationRequired,
    BuildForbidden,
    CacheUnavailable,
    ConnectFailed,
    DiskFull,
    Forbidden,
    NetworkError,
    ProxyFailed,
    PuffinError,
    RateLimited,
    RequirementInvalid,
    ServerError,
    TimedOut,
    TlsVerificationFailed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from puffin_api._model.git_url import GitUrl
    from puffin_api._preparer.git_program import GitFailed

    Make = Callable[[str, str, str, re.Match[str]], PuffinError]

# Lines that say nothing of the cause.
_NOISE = re.compile(
    r"(?:warning|hint|remote|From|Cloning into)\b.*|fatal: Could not read from remote.*"
    r"|Please make sure.*|and the repository.*"
)
# What a server says that does not do what was asked, but might do it in a simpler way.
_REFUSED = re.compile(
    r"unadvertised object|not our ref|dumb http transport does not support|does not support shallow"
    r"|does not support --depth|allow-reachable-sha1|upload-pack: not our|no such remote ref"
    r"|find remote ref|did not send all necessary objects"
).search

# Names that would lead out of the tree or into its repository, here or on other file systems.
_BAD_PATH = re.compile(r"^error: invalid path '(.*)'$", re.IGNORECASE | re.MULTILINE).search


def is_refusal(failure: GitFailed) -> bool:
    """Tell whether to ask the server for more than is needed."""
    return _REFUSED(failure.output) is not None


def refused_path(failure: GitFailed) -> str:
    """Return the path in a commit that git refuses to write, empty where that is not what failed."""
    match = _BAD_PATH(failure.output)
    return match[1] if match is not None else ""


def remote_error(failure: GitFailed, url: GitUrl, cache: Path) -> PuffinError | None:
    """Return what it means that git could not read a remote repository; None where that is not known."""
    for pattern, make in _CAUSES:
        match = pattern.search(failure.output)
        if match is not None:
            return make(url.url, _reason(failure.output), str(cache), match)
    return None


def local_error(failure: GitFailed, url: GitUrl, cache: Path) -> PuffinError:
    """Return what it means that git could not work in the cache."""
    if "No space left" in failure.output:
        return _disk_full(url.url, "", str(cache), None)
    return CacheUnavailable(
        f"git could not work on {url.url} in the cache: {_reason(failure.output)}",
        hint="Look whether the cache can be written; removing the folder git-v0 from it makes it anew.",
        path=str(cache),
    )


@contextmanager
def translated(cache: Path) -> Generator[None, None, None]:
    """Translate what the file system says about the cache."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise DiskFull(f"No room is left on the volume of the cache {cache}", path=str(cache)) from error
        raise CacheUnavailable(f"The cache {cache} cannot be written: {error}", path=str(cache)) from error


def in_submodule(error: PuffinError, path: str, url: GitUrl) -> PuffinError:
    """Return the same error, saying that it is about a submodule."""
    fields = {name: getattr(error, name) for name in error.data}
    message = f"The submodule {path} of {url.url} cannot be had: {error}"
    if isinstance(error, RequirementInvalid):
        fields["text"] = str(url)
    return type(error)(message, hint=error.hint, **fields)


def unusable(url: GitUrl, reason: str, hint: str = "") -> RequirementInvalid:
    """Return the error for something that is not in the repository."""
    return RequirementInvalid(f"{url} cannot be used: {reason}", hint=hint, text=str(url))


def forbidden(url: GitUrl) -> BuildForbidden:
    """Return the error for a repository that only git could read, where no process may be started."""
    hint = "Resolve it once with BuildPolicy.METADATA_ONLY or ALLOW: then its commit is in the cache."
    if url.revision.kind is not RevisionKind.COMMIT:
        hint = (
            "Resolve it once with BuildPolicy.METADATA_ONLY or ALLOW, and name the commit in full, as found."
        )
    return BuildForbidden(
        f"{url} cannot be read: git would have to be started, and no process may be",
        hint=hint,
        package=url.name or str(url),
    )


def read_only(what: str, cache: Path) -> CacheUnavailable:
    """Return the error for what would have to be put into a cache that is only read."""
    return CacheUnavailable(
        f"{what[:1].upper()}{what[1:]} is not possible: the cache {cache} is read-only",
        hint="Open it so that it can be written, or give it as a layer of one that can.",
        path=str(cache),
    )


def _reason(output: str) -> str:
    """Return the line that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not _NOISE.fullmatch(line)]
    for line in lines:
        kind, colon, text = line.partition(": ")
        if colon and kind.lower() in ("fatal", "error"):
            return text
    return "; ".join(lines[:3]) or "it gave no reason"


def _authentication(shown: str, reason: str, cache: str, match: re.Match[str]) -> NetworkError:
    del cache, match
    is_ssh = shown.startswith("ssh:")
    hint = "Let an ssh agent hold the key, or name it in the configuration of ssh."
    if not is_ssh:
        hint = "Give credentials for this origin, or check those that were given, and the URL."
    return AuthenticationRequired(
        f"{shown} asks for a login, or does not exist: {reason}", hint=hint, url=shown, origin=origin(shown)
    )


def _status(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    status = int(match[1])
    if status == 401:
        return _authentication(shown, reason, cache, match)
    if status == 403:
        return Forbidden(f"{shown} refuses access (403)", url=shown)
    if status in (404, 410):
        return _missing(shown, reason, cache, match)
    if status == 407:
        return _proxy(shown, reason, cache, match)
    if status == 429:
        return RateLimited(f"{shown} asks us to come back later (429)", url=shown, retry_after=None)
    return ServerError(f"{shown} answered {status}", url=shown, status=status)


def _missing(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del cache, match
    return RequirementInvalid(
        f"There is no git repository at {shown}: {reason}",
        hint="Check the URL; some servers say so too of repositories that ask for a login.",
        text=f"git+{shown}",
    )


def _owned_by_others(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del reason, cache, match
    return RequirementInvalid(
        f"git does not read {shown}: it belongs to another user of this machine",
        hint="If you trust it, add it to safe.directory in your git configuration.",
        text=f"git+{shown}",
    )


def _not_allowed(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del cache, match
    return RequirementInvalid(f"{shown} leads to where git must not go: {reason}", text=f"git+{shown}")


def _proxy(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del cache, match
    return ProxyFailed(f"The proxy gave no way to {shown}: {reason}", url=shown)


def _untrusted(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del cache, match
    host = origin(shown).partition("://")[2]
    return TlsVerificationFailed(
        f"The identity of {host} cannot be verified: {reason}",
        hint="Let git (http.sslCAInfo) or ssh (known_hosts) know the server.",
        url=shown,
        host=host,
    )


def _timed_out(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del cache
    phase = "idle" if "slow" in match[0] else "connect"
    return TimedOut(f"{shown} did not answer in time: {reason}", url=shown, phase=phase)


def _disk_full(shown: str, reason: str, cache: str, match: re.Match[str] | None) -> PuffinError:
    del reason, match
    return DiskFull(f"There is no room for {shown} in the cache {cache}", path=cache)


def _connect(shown: str, reason: str, cache: str, match: re.Match[str]) -> PuffinError:
    del cache, match
    return ConnectFailed(f"git could not read {shown}: {reason}", url=shown)


# The first that fits counts.
_CAUSES: tuple[tuple[re.Pattern[str], Make], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), make)
    for pattern, make in (
        (r"No space left on device", _disk_full),
        (r"from proxy|resolve proxy|CONNECT tunnel failed|proxy CONNECT", _proxy),
        (r"returned error: (\d{3})", _status),
        (r"could not read (?:Username|Password)|Authentication failed|Permission denied \(", _authentication),
        (r"certificate|SSL peer|Host key verification failed|host key", _untrusted),
        (r"dubious ownership|is owned by someone else", _owned_by_others),
        (r"transport '[^']*' not allowed|protocol '[^']*' is not supported", _not_allowed),
        (r"repository '?[^\n]*'? not found|Repository not found|does not appear to be a git repo", _missing),
        (r"not valid: is this a git repository|does not exist", _missing),
        (r"timed out|Timeout was reached|Operation too slow|too slow", _timed_out),
        (r"Could not resolve host|Failed to connect|Connection refused|hung up|early EOF", _connect),
    )
)
