"""What is installed, as values; the reading of files is left to the source that each one is given."""

from __future__ import annotations

import re

from puffin_api._model.direct_url import DirectUrl, developed_tree
from puffin_api._model.dist_info import (
    InstalledEntryPoint,
    parse_entry_points,
    parse_requires,
    top_level_modules,
)
from puffin_api._model.metadata import CoreMetadata, parse_metadata
from puffin_api.errors import MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Protocol, TypeVar

    from puffin_api._model.problems import Problem

    T = TypeVar("T")

    class InstalledLike(Protocol):
        """What the resolver needs to know of an installed distribution."""

        @property
        def name(self) -> str: ...
        @property
        def version(self) -> str: ...

    class InstalledSource(Protocol):
        """Where an installed distribution is read from. Nothing it does raises for bad content."""

        kind: str
        """``dist-info``, ``egg-info``, ``egg-link`` or ``egg``."""

        def read_text(self, name: str) -> str | None:
            """Return the text of a metadata file, None where it is missing or unreadable."""
            ...

        def has(self, name: str) -> bool:
            """Tell whether there is anything of that name among the metadata, readable or not."""
            ...

        def record(self) -> Sequence[tuple[str, str, str]] | None:
            """Return path, digest and size of each file; None where there is no such list."""
            ...

        def module_files(self) -> Sequence[str]:
            """Return the absolute paths of all Python sources and extension modules."""
            ...

        def linked_folder(self) -> str:
            """Return the folder that an ``egg-link`` names; "" where it names none, and for other kinds."""
            ...

        def developed_modules(self, tree: str, own: Iterable[str]) -> Sequence[str]:
            """Return the top-level modules of what is developed in a tree, which may be called ``own``."""
            ...


class InstalledDistribution:
    """One installed distribution. What it says is read when it is first asked for, once."""

    __slots__ = ("_location", "_memo", "_source", "name", "version")

    def __init__(self, name: str, version: str, location: str, source: InstalledSource) -> None:
        self.name: str = name
        """Normalised."""
        self.version: str = version
        """As written; not always a valid version."""
        self._location = location
        self._source = source
        self._memo: dict[str, object] = {}

    @property
    def location(self) -> Path:
        """The folder (or file) with its metadata, usually ``<name>-<version>.dist-info``."""
        from pathlib import Path

        return Path(self._location)

    @property
    def kind(self) -> str:
        """``dist-info``; ``egg-info``, ``egg-link`` and ``egg`` for what very old tools left."""
        return self._source.kind

    @property
    def metadata(self) -> CoreMetadata | None:
        """The core metadata; None where they are missing or broken."""
        return self._once("metadata", self._read_metadata)

    @property
    def requires(self) -> tuple[str, ...]:
        """The requirements as written, with those of extras."""
        return () if self.metadata is None else self.metadata.requires_dist

    @property
    def requires_python(self) -> str:
        """The versions of Python that it supports; empty where it does not say."""
        return "" if self.metadata is None else self.metadata.requires_python

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras that it offers, normalised."""
        return () if self.metadata is None else self.metadata.provides_extra

    @property
    def entry_points(self) -> tuple[InstalledEntryPoint, ...]:
        """All its entry points."""
        return self._once(
            "entry_points", lambda: parse_entry_points(self.read_text("entry_points.txt") or "")
        )

    @property
    def record(self) -> Sequence[tuple[str, str, str]] | None:
        """Path, digest and size (as text) of each file; None where there is no such list."""
        return self._once("record", self._source.record)

    @property
    def files(self) -> tuple[str, ...]:
        """Its files, relative to the folder that ``location`` is in, with ``/``."""
        return tuple(row[0] for row in self.record or ())

    @property
    def direct_url(self) -> DirectUrl | None:
        """Where it came from when it was not from an index; None also where that is unreadable."""
        return self._once("direct_url", self._read_direct_url)

    @property
    def installer(self) -> str:
        """The tool that installed it; empty where it does not say."""
        return self._once("installer", self._read_installer)

    @property
    def requested(self) -> bool:
        """True where a user asked for it, False where it came as a dependency."""
        return self._once("requested", lambda: self.has_file("REQUESTED"))

    @property
    def editable(self) -> bool:
        """True in development mode."""
        return self.kind == "egg-link" or (self.direct_url is not None and self.direct_url.editable)

    @property
    def editable_project_location(self) -> Path | None:
        """The folder of the project in development mode; None where it does not say, and for all others."""
        from pathlib import Path

        tree = self._source.linked_folder() or developed_tree(self.direct_url)
        return Path(tree) if tree else None

    def modules(self) -> tuple[str, ...]:
        """Return the names of the top-level modules and packages that it offers.

        Those in development mode are not among its files. They are those that ``top_level.txt`` names, and
        where there is none, those that lie in the project now: in ``src`` and the like all of them, beside
        tests and other things those that are called as the project or its entry points are.
        """
        if self.editable or self.record is None:
            named = (self.read_text("top_level.txt") or "").split()
            found = tuple(sorted({name for name in named if name.isidentifier()}))
            if found:
                return found
        tree = self.editable_project_location
        if tree is not None:
            return tuple(self._source.developed_modules(str(tree), self._own_names()))
        return top_level_modules(self.files)

    def read_text(self, name: str) -> str | None:
        """Return a file of its metadata folder, None where it is missing or unreadable."""
        return self._source.read_text(name)

    def has_file(self, name: str) -> bool:
        """Tell whether its metadata folder has an entry of that name, also one that cannot be read."""
        return self._source.has(name)

    def module_files(self) -> Sequence[str]:
        """Return the absolute paths of its Python sources and extension modules."""
        return self._source.module_files()

    def to_dict(self) -> dict[str, object]:
        """Return the distribution as JSON-able data, with a ``schema`` number."""
        origin = self.direct_url
        return {
            "schema": 1,
            "name": self.name,
            "version": self.version,
            "location": self._location,
            "requires": list(self.requires),
            "extras": list(self.extras),
            "installer": self.installer,
            "requested": self.requested,
            "editable": self.editable,
            "direct_url": None if origin is None else origin.to_dict(),
        }

    def _own_names(self) -> set[str]:
        """Return what its modules may be called, going by its own name and its entry points."""
        name = self.name if self.metadata is None else self.metadata.name
        points = (re.split(r"[.:\s]", point.value, maxsplit=1)[0] for point in self.entry_points)
        return {re.sub("[-.]", "_", name), name.partition(".")[0], *points}

    def _once(self, key: str, read: Callable[[], T]) -> T:
        if key not in self._memo:
            self._memo[key] = read()
        return self._memo[key]  # type: ignore[return-value]  # put there by the same key's reader

    def _read_metadata(self) -> CoreMetadata | None:
        is_egg = self.kind.startswith("egg")
        text = self.read_text("PKG-INFO" if is_egg else "METADATA")
        if text is None:
            return None
        if is_egg and "Requires-Dist:" not in text:
            text = self._further_headers() + text.lstrip("\ufeff")
        if "\r" in text:  # a lone one ends a line as well
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        head, _, _ = text.partition("\n\n")  # what follows is the description, often long
        try:
            # As bytes: what is no UTF-8 is Latin-1 then.
            return parse_metadata(head.encode(errors="surrogateescape"), source=self._location)
        except MetadataInvalid:
            return None

    def _further_headers(self) -> str:
        """Return what old versions of setuptools tell in requires.txt only, as PKG-INFO would have it."""
        requires, extras = parse_requires(self.read_text("requires.txt") or "")
        lines = [f"Requires-Dist: {text}\n" for text in requires]
        return "".join((*lines, *(f"Provides-Extra: {extra}\n" for extra in extras)))

    def _read_installer(self) -> str:
        return (self.read_text("INSTALLER") or "").strip()

    def _read_direct_url(self) -> DirectUrl | None:
        text = self.read_text("direct_url.json")
        try:
            return None if text is None else DirectUrl.from_json(text)
        except (ValueError, RecursionError):  # the latter for lists in lists in lists
            return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InstalledDistribution):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str]:
        return self.name, self.version, self._location

    def __repr__(self) -> str:
        return f"<InstalledDistribution {self.name} {self.version}>"


class InstalledSet:
    """All that is installed in one environment, as it was when it was listed."""

    __slots__ = ("_by_name", "distributions", "fingerprint", "problems")

    def __init__(
        self,
        distributions: tuple[InstalledDistribution, ...],
        problems: tuple[Problem, ...] = (),
        fingerprint: str = "",
    ) -> None:
        self.distributions: tuple[InstalledDistribution, ...] = distributions
        """By name; the same name twice where a project is installed twice."""
        self.problems: tuple[Problem, ...] = problems
        """What was seen while listing; ``Environment.check`` looks for more."""
        self.fingerprint: str = fingerprint
        """Changes with every change of what is installed."""
        self._by_name: dict[str, InstalledDistribution] = {}
        for dist in distributions:
            self._by_name.setdefault(dist.name, dist)

    def get(self, name: str) -> InstalledDistribution | None:
        """Return the distribution of a project (name normalised); the first on the path of several."""
        return self._by_name.get(name)

    def all(self, name: str) -> tuple[InstalledDistribution, ...]:
        """Return every distribution of a project (name normalised)."""
        return tuple(dist for dist in self.distributions if dist.name == name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[InstalledDistribution]:
        return iter(self.distributions)

    def __len__(self) -> int:
        return len(self.distributions)

    def __repr__(self) -> str:
        return f"<InstalledSet of {len(self)}>"

    def to_dict(self) -> dict[str, object]:
        """Return the set as JSON-able data, with a ``schema`` number."""
        return {
            "schema": 1,
            "fingerprint": self.fingerprint,
            "distributions": [dist.to_dict() for dist in self.distributions],
            "problems": [problem.to_dict() for problem in self.problems],
        }
