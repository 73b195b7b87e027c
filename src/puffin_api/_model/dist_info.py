"""The formats around a ``.dist-info`` folder: its name, entry_points.txt, and modules told from files."""

from __future__ import annotations

import re

import attrs

from puffin_api._model.names import is_name, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

INSTALLER = "puffin-api"
"""What the INSTALLER file says of distributions that this library installed."""
INSTALLER_BYTES = f"{INSTALLER}\n".encode()
"""Content of the INSTALLER file."""

_EGG_PYTHON = re.compile(r"-py\d[\d.]*(?:-.*)?$")
_SECTION = re.compile(r"\[(.+)\]").fullmatch
_MODULE_SUFFIXES = (".py", ".so", ".pyd")


@attrs.frozen
class InstalledEntryPoint:
    """One line of entry_points.txt: ``name = value`` in the section ``group``."""

    group: str
    name: str
    value: str
    """``module:attribute``, perhaps with extras, as written."""


def split_dist_info(folder: str) -> tuple[str, str] | None:
    """Split ``Foo_Bar-1.0.dist-info`` into the normal name and the version; None where it is odd."""
    stem = folder.removesuffix(".dist-info")
    name, _, version = stem.partition("-")
    if "-" in version:  # written by a tool that did not escape the name
        name, _, version = stem.rpartition("-")
    return (normalize(name), version) if version and is_name(name) else None


def split_egg_info(entry: str) -> tuple[str, str] | None:
    """Split ``Foo-1.0-py3.8.egg-info`` (or ``.egg``) likewise; the version may be missing (empty)."""
    stem = _EGG_PYTHON.sub("", entry.removesuffix(".egg-info").removesuffix(".egg"))
    name, _, version = stem.partition("-")
    return (normalize(name), version) if is_name(name) else None


def parse_entry_points(text: str) -> tuple[InstalledEntryPoint, ...]:
    """Read entry_points.txt; lines that make no sense are left out. Names keep their case."""
    group, found = "", []
    for raw in text.splitlines():
        line = raw.strip()
        section = _SECTION(line)
        if section:
            group = section[1].strip()
        elif line and line[0] not in "#;" and group:
            name, equals, value = line.partition("=")
            if equals and name.strip() and value.strip():
                found.append(InstalledEntryPoint(group, name.strip(), value.strip()))
    return tuple(found)


def top_level_modules(files: Iterable[str]) -> tuple[str, ...]:
    """Tell which top-level modules and packages can be imported out of these files.

    Args:
        files: Paths relative to a folder on ``sys.path``, with ``/``.
    """
    found: set[str] = set()
    for path in files:
        top, slash, rest = path.partition("/")
        if slash:
            if top.isidentifier() and rest.endswith(_MODULE_SUFFIXES):
                found.add(top)
        elif path.endswith(_MODULE_SUFFIXES):
            module = top.partition(".")[0]
            if module.isidentifier():
                found.add(module)
    return tuple(sorted(found))
