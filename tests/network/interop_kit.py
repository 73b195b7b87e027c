"""Three installers behind one interface, and what an environment looks like to a judge of none of them."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from puffin_api import Cache, Environment, Index, Installer, Resolution
from tests.network.conftest import open_client
from tests.network.other_tools import pip, uv

LOCKS = {".lock", ".puffin-api.lock"}
"""What the tools leave at the top of an environment that they have changed."""


class Tool(Protocol):
    """Something that changes environments: ours, uv, pip."""

    name: str

    def install(self, environment: Environment, resolution: Resolution) -> None:
        """Bring an environment to these versions and leave whatever else it has."""

    def replace(self, environment: Environment, resolution: Resolution) -> None:
        """Bring an environment to these versions and remove whatever else it has."""

    def uninstall(self, environment: Environment, names: Iterable[str]) -> None:
        """Remove packages, whoever needs them."""


class Ours:
    """The library under test."""

    name = "ours"

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def install(self, environment, resolution):
        with self._installer(environment) as installer:
            installer.install(resolution)

    def replace(self, environment, resolution):
        with self._installer(environment) as installer:
            installer.sync(resolution)

    def uninstall(self, environment, names):
        with self._installer(environment) as installer:
            installer.uninstall(names, allow_broken=True)

    @contextmanager
    def _installer(self, environment: Environment) -> Iterator[Installer]:
        # A client of its own for each change: when it is closed, the last old files are gone.
        with open_client(self._cache) as client:
            yield Installer(environment, client)


class Uv:
    """The uv beside us, with a cache of its own."""

    name = "uv"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, environment: Environment, *arguments: str | Path, fails: bool = False) -> str:
        python = environment.interpreter.path
        return uv("pip", *arguments, "-p", python, cache=self._folder / "uv", fails=fails)

    def install(self, environment, resolution):
        self.run(
            environment, "install", "--no-deps", *self._options, "-r", pins_file(self._folder, resolution)
        )

    def replace(self, environment, resolution):
        self.run(environment, "sync", *self._options, pins_file(self._folder, resolution))

    def uninstall(self, environment, names):
        self.run(environment, "uninstall", *names)

    _options = ("--no-build", "--default-index", Index.pypi().url)


class Pip:
    """The pip beside us, or the one of an old Python, with a cache of its own."""

    name = "pip"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, environment: Environment, *arguments: str | Path, fails: bool = False) -> str:
        interpreter = environment.interpreter
        told = pip(interpreter.path, *arguments, version=str(interpreter.version), fails=fails)
        assert told is not None, "a Python without any pip is no good for these tests"
        return told

    def install(self, environment, resolution):
        options = ("--no-deps", "--no-compile", "--only-binary", ":all:", "--index-url", Index.pypi().url)
        pins = pins_file(self._folder, resolution)
        self.run(environment, "install", *options, "--cache-dir", self._folder / "pip", "-r", pins)

    def replace(self, environment, resolution):
        self.install(environment, resolution)
        rest = [dist.name for dist in environment.installed() if dist.name not in resolution.packages]
        if rest:
            self.uninstall(environment, rest)

    def uninstall(self, environment, names):
        self.run(environment, "uninstall", "-y", *names)


def three_tools(store: Path) -> dict[str, Tool]:
    """Return all tools by name, their caches in one folder."""
    return {tool.name: tool for tool in (Ours(Cache(store / "ours")), Uv(store), Pip(store))}


def pins_file(folder: Path, resolution: Resolution) -> Path:
    """Write a resolution as a list that all tools read."""
    text = resolution.to_requirements_txt()
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    path.write_text(text, encoding="utf-8")
    return path


# --- what lies in an environment --------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One file, folder or link."""

    kind: str
    mode: int
    content: str
    """The digest of a file, the target of a link."""


_RECORD = re.compile(r"[^/]+/[^/]+/site-packages/[^/]+\.dist-info/RECORD").fullmatch
"""Not those that a project carries inside itself, as setuptools does."""
Difference = tuple[Entry | None, Entry | None]
Rows = dict[str, tuple[str, ...]]
"""Digest and size by path relative to the prefix."""


@dataclass(frozen=True)
class Tree:
    """Everything in an environment but locks, by path relative to the prefix."""

    prefix: Path
    entries: Mapping[str, Entry]
    launchers: Collection[str]
    """The scripts that an installer makes itself."""
    records: Mapping[str, Rows]
    """By dist-info folder."""

    @classmethod
    def of(cls, environment: Environment) -> Tree:
        """Look at an environment as it is now."""
        prefix = environment.root
        launchers = {f"bin/{name}" for name in _launchers(environment)}
        entries = {path: _entry(prefix, path, path in launchers) for path in sorted(_paths(prefix))}
        records = [prefix / path for path in entries if _RECORD(path)]
        return cls(prefix, entries, launchers, {path.parent.name: _rows(path, prefix) for path in records})

    @property
    def shared(self) -> set[str]:
        """The files that more than one distribution owns."""
        owners = Counter(path for rows in self.records.values() for path in rows)
        return {path for path, count in owners.items() if count > 1}

    def is_hollow(self, path: str) -> bool:
        """Tell whether there is a folder without any file in or below it."""
        entry = self.entries.get(path)
        return entry is not None and entry.kind == "folder" and path not in self._filled

    @cached_property
    def _filled(self) -> set[str]:
        files = (Path(path) for path, entry in self.entries.items() if entry.kind != "folder")
        return {parent.as_posix() for file in files for parent in file.parents}

    def differences(self, other: Tree, *, besides: Collection[str] = ()) -> dict[str, Difference]:
        """Return what differs by path, but for compiled modules and paths whose last part is named."""
        return {
            path: (self.entries.get(path), other.entries.get(path))
            for path in sorted(self.entries.keys() | other.entries.keys())
            if self.entries.get(path) != other.entries.get(path)
            and path.rpartition("/")[2] not in besides
            and "__pycache__" not in path
        }


def _launchers(environment: Environment) -> set[str]:
    points = [point for dist in environment.installed() for point in dist.entry_points]
    return {point.name for point in points if point.group in ("console_scripts", "gui_scripts")}


def _paths(prefix: Path) -> Iterable[str]:
    for folder, names, files in os.walk(prefix):
        for name in (*names, *files):
            path = os.path.relpath(os.path.join(folder, name), prefix)
            if path not in LOCKS:
                yield path


def _entry(prefix: Path, name: str, is_launcher: bool) -> Entry:
    path = prefix / name
    if path.is_symlink():
        return Entry("link", 0, os.readlink(path))
    mode = path.stat().st_mode & 0o777
    if path.is_dir():
        return Entry("folder", mode, "")
    data = path.read_bytes()
    if path.parent.name == "bin":  # scripts name their interpreter
        data = data.replace(os.fsencode(prefix), b"{prefix}")
    if is_launcher:
        data = data.partition(b"\n")[0]
    return Entry("file", mode, hashlib.sha256(data).hexdigest())


def _rows(record: Path, prefix: Path) -> Rows:
    site = record.parent.parent
    with record.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    paths = [os.path.relpath(os.path.normpath(site / row[0]), prefix) for row in rows]
    assert len(set(paths)) == len(paths), f"{record} names a file twice"
    return {path: tuple(row[1:]) for path, row in zip(paths, rows, strict=True)}
