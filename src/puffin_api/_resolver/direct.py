"""Direct URLs: projects that have one source only, the file that somebody has named.

Who names a URL vouches for it, and for the URLs that its own metadata names: those are looked up before
anything is solved, as a project must not be taken from an index when its URL turns up later. Of what is
named in a constraint or override it is not known whether it is needed: its metadata is followed once the
solver has come upon it, and it solves again then. From then on such a project is like any other one, with
a version or two; two URLs for it are two versions, which no solution can have at once.
"""

from __future__ import annotations

from types import MappingProxyType

import attrs

from puffin_api._model.direct_url import source_url
from puffin_api._model.releases import Releases
from puffin_api._model.version_key import sort_version
from puffin_api._resolver.dependencies import active_rows
from puffin_api._urls import redact_in
from puffin_api.errors import (
    BuildForbidden,
    MetadataInvalid,
    PackageError,
    PuffinError,
    RequirementInvalid,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource

    FileOf = Callable[[RequirementRow], FileRow]

_NOTHING: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class DirectProjects:
    """What is known of the projects that come from a URL."""

    releases: Mapping[str, Releases]
    """By name."""
    refused: Mapping[str, str] = _NOTHING
    """Why URLs that metadata names cannot be used, by what they stand for."""


def direct_releases(
    problem: Problem,
    source: ReleaseSource,
    file_of: FileOf,
    reached: Iterable[tuple[str, str]] = (),
    *,
    check: Callable[[], None],
) -> DirectProjects:
    """Return the releases of all projects that come from a URL, by name.

    Args:
        problem: What is required.
        source: Gives the metadata of the files.
        file_of: Gives the file that a requirement with a URL names.
        reached: Projects that are needed although no root and no URL leads to them, each with an extra.
        check: Raises when the caller has cancelled.

    Raises:
        PuffinError: A URL that the caller has given cannot be used.
        NetworkError: A file could not be read.
        BuildFailed: What one is could be told by a build only, and that failed.
    """
    given = problem.given
    if not any(row.url for row in given):
        return DirectProjects({})
    search = _LookAhead(problem, source, file_of)
    search.add_given(given)
    for name, extra in reached:
        search.want(name, (extra,))
    while problem.dependencies and search.grow():
        check()
    releases = {name: _releases(name, files) for name, files in search.files.items()}
    return DirectProjects(releases, search.refused)


class _LookAhead:
    """Follows the URLs that the caller has given, and those in the metadata of their files."""

    def __init__(self, problem: Problem, source: ReleaseSource, file_of: FileOf) -> None:
        self._problem = problem
        self._source = source
        self._file_of = file_of
        self.files: dict[str, dict[str, FileRow]] = {}
        """By project, then by what its URL means."""
        self.refused: dict[str, str] = {}
        self._metadata: dict[tuple[str, str, str], DistMetadata] = {}
        self._read: set[tuple[str, str, str]] = set()
        self._wanted: dict[str, set[str]] = {}
        """Extras by project, for what is needed as far as is known."""
        self._seen: set[RequirementRow] = set()

    def add_given(self, rows: Sequence[RequirementRow]) -> None:
        """Take in what the caller has given."""
        for row in rows:
            if row.url:
                self._add(row)
        for row in self._problem.roots:
            self.want(row.name, row.extras)

    def want(self, name: str, extras: Iterable[str]) -> None:
        """Take note that a project is needed."""
        self._wanted.setdefault(name, set()).update(extras)

    def grow(self) -> bool:
        """Read what is new and take in what it names; False once nothing is new."""
        files = [file for name in self._wanted for file in self.files.get(name, {}).values()]
        unread = [file for file in files if file.source not in self._read]
        self._read.update(file.source for file in unread)
        self._source.touch(unread)
        for file in unread:
            (found,) = self._source.metadata([file])
            # What is wrong with a file is told where its version is rejected.
            if not isinstance(found, Exception):
                self._metadata[file.source] = found
        fresh = {row: name for name, row in self._required() if row not in self._seen}
        self._seen.update(fresh)
        for row, dependent in fresh.items():
            self.want(row.name, row.extras)
            if row.url:
                self._add_found(row, dependent)
        return bool(fresh)

    def _required(self) -> Iterator[tuple[str, RequirementRow]]:
        """Give each requirement that holds, after the project that has it."""
        target = self._problem.policy.target
        for metadata in list(self._metadata.values()):
            for extra in ("", *sorted(self._wanted.get(metadata.name, set()) - {""})):
                for row in self._problem.amendments.apply(active_rows(metadata, target, extra)):
                    yield metadata.name, row

    def _add_found(self, row: RequirementRow, dependent: str) -> None:
        """Take in a URL that metadata names; one that cannot be used bars the version that names it.

        What says nothing of the URL itself, such as a server that does not answer, is raised: it must
        not lead to another answer.
        """
        try:
            self._add(row)
        except (RequirementInvalid, PackageError, BuildForbidden) as error:
            reason = error.reason if isinstance(error, MetadataInvalid) else ""
            self.refused[source_url(row.url)] = reason or str(error)
        except PuffinError as error:
            error.add_note(f"{redact_in(row.text, row.url)} is what {dependent} depends on")
            raise

    def _add(self, row: RequirementRow) -> None:
        files = self.files.get(row.name, {})
        address = source_url(row.url)
        known = files.get(address)
        file = self._file_of(row)
        if known is None:
            self.files[row.name] = {**files, address: file}
        else:
            known.hashes = _all_hashes(known, file, row)
            known.allowed = tuple(dict.fromkeys((*known.allowed, *file.allowed)))


def _all_hashes(known: FileRow, file: FileRow, row: RequirementRow) -> tuple[str, ...]:
    """Return the digests of both; it is the same file, so they must not contradict each other."""
    digests = dict(text.split(":", 1) for text in known.hashes)
    for text in file.hashes:
        algorithm, digest = text.split(":", 1)
        if digests.setdefault(algorithm, digest) != digest:
            shown = redact_in(row.text, row.url)
            raise RequirementInvalid(
                f"{shown!r} gives another {algorithm} digest for the same URL than a requirement before",
                hint="A file has one digest: find out which is right.",
                text=shown,
            )
    return tuple(f"{algorithm}:{digest}" for algorithm, digest in digests.items())


def _releases(name: str, files: Mapping[str, FileRow]) -> Releases:
    entries = []
    for address, file in files.items():
        order = sort_version(file.version)
        assert order is not None, "looked at when the file was made"
        entries.append((order[0], address, file))
    entries.sort(key=lambda entry: entry[:2])
    rows = [(file,) for _, _, file in entries]
    return Releases(
        name=name,
        versions=[file.version for _, _, file in entries],
        keys=[key for key, _, _ in entries],
        prereleases=0,  # whoever names a file means it
        files=rows.__getitem__,
        direct={address: 2 << place for place, (_, address, _) in enumerate(entries)},
    )
