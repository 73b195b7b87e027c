"""Where interpreters may be: a lazy, ordered stream of candidates for a request."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import attrs

from puffin_api._interpreter.host import registered_pythons
from puffin_api.errors import InterpreterNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from puffin_api._interpreter.info import InterpreterInfo

_EXE = ".exe" if os.name == "nt" else ""
_BIN = "Scripts" if os.name == "nt" else "bin"
_IMPLEMENTATIONS = {"python": None, "cpython": "cpython", "cp": "cpython", "pypy": "pypy", "pp": "pypy"}
_IMPLEMENTATIONS |= {"graalpy": "graalpy"}

_VERSION = re.compile(
    r"(?P<implementation>[a-z]+)?[@-]?(?P<release>\d+(?:\.\d+){0,2})?(?P<pre>(?:a|b|rc)\d+)?"
    r"(?P<flags>t?d?|\+freethreaded)",
    re.ASCII,
)
_RANGE = re.compile(r"(?P<implementation>[a-z]+)?@?(?P<specifier>[<>=!~].*)", re.ASCII)
_EXECUTABLE = re.compile(
    r"(?P<kind>python|pypy|graalpy)(?:(?P<major>\d)(?:\.(?P<minor>\d+))?)?(?P<flags>t?d?)", re.ASCII
)
# Older ones cannot be used; only who names one gets it, and with it the reason.
_OLDEST_MINOR = 8
# More patch releases than any minor version has had.
_PATCHES = range(64)


@attrs.frozen(kw_only=True)
class VersionRequest:
    """Any interpreter of this kind; an empty request takes the first there is."""

    implementation: str | None = None
    release: tuple[int, ...] = ()
    """The leading numbers that must be equal."""
    specifier: str = ""
    """A version specifier, for ranges and pre-releases."""
    free_threaded: bool | None = None
    debug: bool | None = None


@attrs.frozen
class NameRequest:
    """An executable on PATH, or a virtual environment in the working directory."""

    name: str


@attrs.frozen
class PathRequest:
    """An executable, or the prefix it serves."""

    path: Path


Request = VersionRequest | NameRequest | PathRequest


@attrs.frozen
class Candidate:
    """A file that may be an interpreter; nobody has started it yet."""

    path: Path
    """As it was found or given; never dereferenced."""
    source: str
    """``request``, ``running``, ``VIRTUAL_ENV``, ``CONDA_PREFIX``, ``.venv``, ``PATH`` or ``registry``."""

    @property
    def real_path(self) -> Path:
        """The file behind the links."""
        return Path(os.path.realpath(self.path))


def parse_request(text: str | os.PathLike[str]) -> Request:
    """Read a request: ``3.12``, ``>=3.11,<3.13``, ``cpython3.12``, ``pypy``, ``3.13t``, a name or a path.

    Raises:
        InterpreterNotFound: The text is a version specifier that does not parse.
    """
    if not isinstance(text, str):
        return PathRequest(Path(text))
    text = text.strip()
    if "/" in text or os.sep in text or text in {".", ".."}:
        return PathRequest(Path(text))
    lowered = text.lower()
    if (match := _RANGE.fullmatch(lowered)) and _is_implementation(match["implementation"]):
        return _range_request(text, match)
    if (match := _VERSION.fullmatch(lowered)) and _is_implementation(match["implementation"]):
        return _version_request(match)
    return NameRequest(text)


def _is_implementation(name: str | None) -> bool:
    return name is None or name in _IMPLEMENTATIONS


def _range_request(text: str, match: re.Match[str]) -> VersionRequest:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        specifier = str(SpecifierSet(match["specifier"]))
    except InvalidSpecifier as error:
        raise InterpreterNotFound(
            f"{text!r} is no version range of Python: {error}",
            hint="Write a range as '>=3.11,<3.13'.",
            request=text,
            tried=(),
        ) from error
    return VersionRequest(implementation=_IMPLEMENTATIONS.get(match["implementation"]), specifier=specifier)


def _version_request(match: re.Match[str]) -> VersionRequest:
    release = tuple(map(int, (match["release"] or "").split("."))) if match["release"] else ()
    if len(release) == 1 and release[0] >= 20:  # "312", as in tags
        major, minor = match["release"][0], match["release"][1:]
        release = (int(major), int(minor))
    flags = match["flags"]
    return VersionRequest(
        implementation=_IMPLEMENTATIONS.get(match["implementation"]),
        release=release,
        specifier=f"=={'.'.join(map(str, release))}{match['pre']}" if match["pre"] else "",
        free_threaded=True if flags.startswith(("t", "+")) else None,
        debug=True if flags.endswith("d") and not flags.startswith("+") else None,
    )


def accepts(request: Request, info: InterpreterInfo) -> bool:
    """True when a probed interpreter is what was asked for."""
    if not isinstance(request, VersionRequest):
        return True
    if request.implementation not in {None, info.implementation}:
        return False
    if request.free_threaded not in {None, info.free_threaded} or request.debug not in {None, info.is_debug}:
        return False
    if info.version_info[: len(request.release)] != request.release:
        return False
    return _in_range(request.specifier, [info.version.removesuffix("+")])


def _in_range(specifier: str, versions: Iterable[str]) -> bool:
    if not specifier:
        return True
    from packaging.specifiers import SpecifierSet

    allowed = SpecifierSet(specifier)
    return any(allowed.contains(version, prereleases=True) for version in versions)


def discover(
    request: str | os.PathLike[str] | Request = "",
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Candidate]:
    """Give the files that may be what was asked for, the likeliest first; starts none of them.

    A path or folder is given as it is. Otherwise, in this order: the active environment
    (``VIRTUAL_ENV``, ``CONDA_PREFIX``), ``.venv`` in ``cwd`` and the folders above, PATH, the registry
    of Windows, the running interpreter.

    Args:
        request: See ``parse_request``; empty for any interpreter.
        environ: The environment to look in. None looks at nothing but the running interpreter.
        cwd: Where to look for ``.venv``, and what relative paths are relative to; None for no place.
    """
    if not isinstance(request, VersionRequest | NameRequest | PathRequest):
        request = parse_request(request)
    if isinstance(request, PathRequest):
        yield _at_path(request.path, cwd)
        return
    yield from _distinct(_everywhere(request, environ, cwd))


def _at_path(path: Path, cwd: Path | None) -> Candidate:
    path = (cwd / path if cwd is not None else path).absolute()
    if path.is_dir():
        path = python_in(path) or path / _BIN / f"python{_EXE}"
    return Candidate(path, "request")


def python_in(prefix: Path) -> Path | None:
    """The interpreter of a virtual environment or installation, as the path it is started by."""
    folders = (prefix / "bin", prefix / "Scripts", prefix)
    for folder in folders:
        for name in ("python", "python3", "pypy3", "graalpy"):
            path = folder / f"{name}.exe" if folder.name == "Scripts" or _EXE else folder / name
            if path.is_file():
                return path
    return None


def _everywhere(
    request: VersionRequest | NameRequest, environ: Mapping[str, str] | None, cwd: Path | None
) -> Iterator[Candidate]:
    if isinstance(request, NameRequest):
        yield from _named(request.name, environ, cwd)
        return
    if environ is not None:
        yield from _active(environ)
        yield from _nearby(cwd)
        yield from _on_path(environ, request)
        yield from (Candidate(Path(path), "registry") for path in registered_pythons())
    if sys.executable:
        yield Candidate(Path(sys.executable), "running")


def _active(environ: Mapping[str, str]) -> Iterator[Candidate]:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if prefix := environ.get(variable):
            yield _prefix_candidate(Path(prefix), variable)


def _nearby(cwd: Path | None) -> Iterator[Candidate]:
    for folder in (cwd, *cwd.parents) if cwd is not None else ():
        if (folder / ".venv" / "pyvenv.cfg").is_file():
            yield _prefix_candidate(folder / ".venv", ".venv")


def _on_path(environ: Mapping[str, str], request: VersionRequest) -> Iterator[Candidate]:
    for directory in _search_path(environ):
        for name in _executables(directory, request):
            yield Candidate(directory / name, "PATH")


def _prefix_candidate(prefix: Path, source: str) -> Candidate:
    """The python of a prefix; where it has none, the path at which a probe will say so."""
    return Candidate(python_in(prefix) or prefix / _BIN / f"python{_EXE}", source)


def _named(name: str, environ: Mapping[str, str] | None, cwd: Path | None) -> Iterator[Candidate]:
    if cwd is not None and (cwd / name).is_dir():
        yield _prefix_candidate(cwd / name, "request")
    for directory in _search_path(environ) if environ is not None else ():
        for spelling in dict.fromkeys((name, name + _EXE)):
            path = directory / spelling
            if path.is_file() and os.access(path, os.X_OK):
                yield Candidate(path, "PATH")


def _search_path(environ: Mapping[str, str]) -> Iterator[Path]:
    """The folders of PATH, without those that depend on a working directory."""
    text = environ.get("PATH") or environ.get("Path") or ""
    for entry in dict.fromkeys(text.split(os.pathsep)):
        # The Microsoft Store puts stand-ins there that open the store when started.
        if os.path.isabs(entry) and not entry.rstrip("\\/").lower().endswith("windowsapps"):
            yield Path(entry)


def _executables(directory: Path, request: VersionRequest) -> list[str]:
    """The names in a folder that may answer the request, the likeliest first."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []  # PATH often names folders that are gone
    found: list[tuple[tuple[int, ...], str]] = []
    for name in names:
        match = _EXECUTABLE.fullmatch(name.removesuffix(_EXE).lower())
        if match is not None and _may_be(match, request) and _is_executable(directory / name):
            found.append((_preference(match, request), name))
    return [name for _, name in sorted(found)]


def _is_executable(path: Path) -> bool:
    return path.name.lower().endswith(_EXE) and path.is_file() and os.access(path, os.X_OK)


def _may_be(match: re.Match[str], request: VersionRequest) -> bool:
    """What the name alone rules out need not be started."""
    kind = "cpython" if match["kind"] == "python" else match["kind"]
    if kind != (request.implementation or "cpython") or match["major"] not in {None, "3"}:
        return False
    if match["minor"] and int(match["minor"]) < _OLDEST_MINOR and len(request.release) < 2:
        return False
    named = tuple(int(number) for number in (match["major"], match["minor"]) if number is not None)
    if named[: len(request.release)] != request.release[: len(named)]:
        return False
    if match["minor"] is None or not request.specifier or request.release:
        return True
    return _in_range(request.specifier, (f"3.{match['minor']}.{patch}" for patch in _PATCHES))


def _preference(match: re.Match[str], request: VersionRequest) -> tuple[int, ...]:
    """Sort key: the most exact name first; with nothing asked for, the plain names, then the newest."""
    is_special = bool(match["flags"]) != bool(request.free_threaded or request.debug)
    exactness = (match["major"] is not None) + (match["minor"] is not None)
    if not request.release and not request.specifier:
        exactness = {1: 2, 0: 1, 2: 0}[exactness]
    return (int(is_special), -exactness, -int(match["minor"] or 0))


def _distinct(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Leave out further names of one file in one folder: ``python``, ``python3``, ``python3.12``.

    Links in another folder stay: the python of an environment is a link to that of its base.
    """
    seen: set[tuple[str, str]] = set()
    for candidate in candidates:
        key = (os.path.realpath(candidate.path.parent), os.path.realpath(candidate.path))
        if key not in seen:
            seen.add(key)
            yield candidate
