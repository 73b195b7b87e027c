"""The installed distributions as a graph: who requires whom, with extras, for one target."""

from __future__ import annotations

from collections import deque

from puffin_api._model.direct_url import ArchiveInfo, VcsInfo, plain_folder, subdirectory_of
from puffin_api._model.requirement import lenient_row, lenient_specifier
from puffin_api._model.resolution import DependencyPath, Edge
from puffin_api._urls import repository, resource, split_fragment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from puffin_api._model.direct_url import DirectUrl
    from puffin_api._model.installed import InstalledDistribution, InstalledSet
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.target import Target


class InstalledGraph:
    """Answers questions about the requirements of what is installed. Metadata are read when needed."""

    def __init__(self, installed: InstalledSet, target: Target | None) -> None:
        """Take what is installed; without a target, every marker counts as true."""
        self._installed = installed
        self._markers = None if target is None else dict(target.markers)
        self._holds: dict[tuple[str, str], bool] = {}
        self._extras: dict[str, frozenset[str]] | None = None

    def requirements(self, name: str) -> Iterator[RequirementRow]:
        """Give the requirements of a distribution that hold, those of its wanted extras included."""
        dist = self._installed.get(name)
        if dist is not None:
            yield from self.requirements_with(dist, self._wanted_extras().get(name, frozenset()))

    def requirements_with(
        self, dist: InstalledDistribution, extras: Iterable[str]
    ) -> Iterator[RequirementRow]:
        """Give the requirements of a distribution that hold with these extras."""
        wanted = frozenset(extras)
        for text in dist.requires:
            row = lenient_row(text)  # parsed before, when the metadata were read
            if row.gate and row.gate not in wanted:
                continue
            if not row.marker or self._marker_holds(row.marker, wanted):
                yield row

    def admits(self, row: RequirementRow, version: str | None) -> bool:
        """Tell whether a version meets a requirement; a URL says nothing about versions."""
        if version is None:
            return False
        if not row.specifier:
            return True
        specifier = lenient_specifier(row.specifier)
        if specifier is None:
            return True
        from packaging.version import Version

        try:
            return specifier.contains(Version(version), prereleases=True)
        except ValueError:  # also for numbers that Python refuses to read
            return row.specifier == f"==={version}"

    def meets(self, rows: Iterable[RequirementRow]) -> bool:
        """Tell whether requirements are met, with all that they require in turn."""
        seen: set[tuple[str, str]] = set()
        pending = deque(rows)
        while pending:
            row = pending.popleft()
            if row.marker and not self._marker_holds(row.marker, frozenset()):
                continue
            dist = self._installed.get(row.name)
            # Without its metadata nobody knows what it requires, or whether more than a shell is there.
            if dist is None or dist.metadata is None or not self._is_met_by(row, dist):
                return False
            for extra in ("", *row.extras):
                if (row.name, extra) not in seen:
                    seen.add((row.name, extra))
                    pending.extend(self.requirements_with(dist, (extra,) if extra else ()))
        return True

    def paths_to(self, name: str) -> tuple[DependencyPath, ...]:
        """Return the shortest way through each distribution that requires this one, shorter ones first.

        The ways begin where nothing requires the distribution, or a user asked for it.
        """
        edges = self._edges()
        tops = self._tops(edges)
        ways: dict[str, tuple[Edge, ...]] = {}
        pending: deque[tuple[str, tuple[Edge, ...]]] = deque(
            (top, (Edge(_pin(self._installed.get(top)) or top),)) for top in tops
        )
        while pending:
            at, way = pending.popleft()
            if at not in ways:
                ways[at] = way
                pending.extend((row.name, (*way, Edge(row.text))) for row in edges.get(at, ()))
        paths = [DependencyPath(ways[name])] if name in tops else []
        for parent, rows in edges.items():
            if parent in ways and parent != name:
                steps = [Edge(row.text) for row in rows if row.name == name]
                paths += [DependencyPath((*ways[parent], step)) for step in steps[:1]]
        return tuple(sorted(paths, key=lambda path: len(path.edges)))

    def orphans_without(self, names: Iterable[str]) -> list[str]:
        """Return what nobody asked for and nothing will require once these are gone."""
        going = frozenset(names)
        edges = self._edges()
        below = _reachable(going, edges, frozenset()) - going
        free = {name for name in below if (dist := self._installed.get(name)) and not dist.requested}
        needed = _reachable(edges.keys() - going - free, edges, going)
        return sorted(free - needed)

    def _edges(self) -> dict[str, list[RequirementRow]]:
        return {
            dist.name: [row for row in self.requirements(dist.name) if row.name in self._installed]
            for dist in self._installed
        }

    def _tops(self, edges: dict[str, list[RequirementRow]]) -> list[str]:
        required = {row.name for name, rows in edges.items() for row in rows if row.name != name}
        tops = [dist.name for dist in self._installed if dist.name not in required or dist.requested]
        return list(dict.fromkeys(tops)) or sorted(edges)  # one big circle has no top

    def _is_met_by(self, row: RequirementRow, dist: InstalledDistribution) -> bool:
        if row.url:
            return dist.direct_url is not None and _comes_from(row.url, dist.direct_url)
        return self.admits(row, dist.version)

    def _wanted_extras(self) -> dict[str, frozenset[str]]:
        """Return the extras of each project that anything installed asks for."""
        if self._extras is None:
            self._extras = {}
            pending: Sequence[str] = list(dict.fromkeys(dist.name for dist in self._installed))
            while pending:
                again: dict[str, None] = {}
                for name in pending:
                    dist = self._installed.get(name)
                    rows = () if dist is None else self.requirements_with(dist, self._extras.get(name, ()))
                    for row in rows:
                        known = self._extras.get(row.name, frozenset())
                        if not known.issuperset(row.extras):
                            self._extras[row.name] = known.union(row.extras)
                            again[row.name] = None
                pending = list(again)
        return self._extras

    def _marker_holds(self, marker: str, extras: frozenset[str]) -> bool:
        """Tell whether a marker holds for the target; one that names extras, for any of these."""
        return any(self._evaluate(marker, extra) for extra in (extras or {""}))

    def _evaluate(self, marker: str, extra: str) -> bool:
        if self._markers is None:
            return True
        known = self._holds.get((marker, extra))
        if known is None:
            from packaging.markers import Marker, UndefinedComparison

            try:
                known = Marker(marker).evaluate({**self._markers, "extra": extra})
            except UndefinedComparison:
                known = False
            self._holds[marker, extra] = known
        return known


def _reachable(
    names: Iterable[str], edges: Mapping[str, Sequence[RequirementRow]], without: Container[str]
) -> set[str]:
    """Return these names and all that they require, directly or not, with some left out."""
    seen: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in seen and name not in without:
            seen.add(name)
            pending += [row.name for row in edges.get(name, ())]
    return seen


def _comes_from(url: str, origin: DirectUrl) -> bool:
    """Tell whether a distribution with this origin is what the URL of a requirement asks for."""
    _, wanted = split_fragment(url)
    if subdirectory_of(url) != plain_folder(origin.subdirectory):
        return False
    info = origin.info
    if isinstance(info, VcsInfo):
        plain = f"{info.vcs}+{origin.url.removeprefix(f'{info.vcs}+')}"
        _, at, revision = resource(url).removeprefix(repository(url)).partition("@")
        known = {"", info.commit_id, info.requested_revision}
        return repository(url) == repository(plain) and (not at or revision in known)
    if isinstance(info, ArchiveInfo) and any(
        digest.lower() != info.hashes.get(name, digest.lower()) for name, digest in wanted.items()
    ):
        return False
    return resource(url) == resource(origin.url)


def _pin(dist: InstalledDistribution | None) -> str:
    return "" if dist is None else f"{dist.name}=={dist.version}"
