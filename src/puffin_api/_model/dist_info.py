"""The formats around a ``.dist-info`` folder: its name, entry_points.txt, and modules told from files."""

from __future__ import annotations

import functools
import re

import attrs

from puffin_api._model.names import is_name, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INSTALLER = "puffin-api"
"""What the INSTALLER file says of distributions that this library installed."""
INSTALLER_BYTES = f"{INSTALLER}\n".encode()
"""Content of the INSTALLER file."""
STAMP = "puffin-source.json"
"""The file of a ``.dist-info`` folder that tells what state of a local tree was installed."""

_EGG_PYTHON = re.compile(r"-py\d[\d.]*(?:-.*)?$")
_SECTION = re.compile(r"\[(.+)\]").fullmatch
_MODULE_SUFFIXES = (".py", ".so", ".pyd")
_COMPILED = ".pyc"
"""A module too, where its source was left out; not in ``__pycache__``."""
_CACHE = "__pycache__"


@attrs.frozen
class InstalledEntryPoint:
    """One line of entry_points.txt: ``name = value`` in the section ``group``."""

    group: str
    name: str
    value: str
    """``module:attribute``, perhaps with extras, as written."""


@functools.lru_cache(maxsize=4096)  # environments are looked at again and again
def split_dist_info(folder: str) -> tuple[str, str] | None:
    """Split ``Foo_Bar-1.0.dist-info`` into the normal name and the version; None where it is odd."""
    stem = folder.removesuffix(".dist-info")
    name, _, version = stem.partition("-")
    if "-" in version and not is_version(version):  # written by a tool that did not escape the name
        name, _, version = stem.rpartition("-")
    return (normalize(name), version) if version and is_name(name) else None


def is_version(text: str) -> bool:
    """Tell whether the text is a version (PEP 440)."""
    from packaging.version import Version

    try:
        Version(text)
    except ValueError:  # also for numbers that Python refuses to read
        return False
    return True


def split_egg_info(entry: str) -> tuple[str, str] | None:
    """Split ``Foo-1.0-py3.8.egg-info`` (or ``.egg``) likewise; the version may be missing (empty)."""
    stem = _EGG_PYTHON.sub("", entry.removesuffix(".egg-info").removesuffix(".egg"))
    name, _, version = stem.partition("-")
    return (normalize(name), version) if is_name(name) else None


def parse_entry_points(text: str) -> tuple[InstalledEntryPoint, ...]:
    """Read entry_points.txt; lines that make no sense are left out. Names keep their case."""
    return tuple(point for _, point in _entry_lines(text) if point is not None)


def odd_entry_point(text: str) -> str | None:
    """Return the first line of entry_points.txt that makes no sense; None where all do."""
    return next((line for line, point in _entry_lines(text) if point is None), None)


def _entry_lines(text: str) -> Iterator[tuple[str, InstalledEntryPoint | None]]:
    """Give each line that should be an entry point, with what it says."""
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        section = _SECTION(line)
        if section:
            group = section[1].strip()
        elif line and line[0] not in "#;":
            name, equals, value = (part.strip() for part in line.partition("="))
            good = group and equals and name and value
            yield line, InstalledEntryPoint(group, name, value) if good else None


def parse_requires(text: str) -> tuple[list[str], list[str]]:
    """Read the requires.txt of setuptools: requirements, as ``Requires-Dist`` has them, and extras.

    A section is called ``[extra]``, ``[:marker]`` or ``[extra:marker]``.
    """
    requires: list[str] = []
    extras: list[str] = []
    marker = ""
    for raw in text.splitlines():
        line = raw.strip()
        section = _SECTION(line)
        if section:
            extra, _, condition = (part.strip() for part in section[1].partition(":"))
            gate = f'extra == "{extra}"' if extra else ""
            extras += [extra] if extra else []
            marker = f"({condition}) and {gate}" if condition and gate else condition or gate
        elif line and not line.startswith("#"):
            # A URL needs the space, or the marker would be part of it.
            requires.append(f"{line} ; {marker}" if marker else line)
    return requires, extras


def top_level_modules(files: Iterable[str]) -> tuple[str, ...]:
    """Tell which top-level modules and packages can be imported out of these files.

    Args:
        files: Paths relative to a folder on ``sys.path``, with ``/``.
    """
    found: set[str] = set()
    for path in files:
        top, slash, rest = path.partition("/")
        if slash:
            if top.isidentifier() and top != _CACHE and is_module_file(rest):
                found.add(top)
        elif is_module_file(path):
            module = top.partition(".")[0]
            if module.isidentifier():
                found.add(module)
    return tuple(sorted(found))


def is_module_file(path: str) -> bool:
    """Tell whether Python loads a module from a file of this path: source, native code, or compiled only."""
    if path.endswith(_MODULE_SUFFIXES):
        return True
    return path.endswith(_COMPILED) and f"/{_CACHE}/" not in f"/{path}"
