"""Ways through a dependency graph, from what the caller requires to a package."""

from __future__ import annotations

from collections import deque

from puffin_api._model.resolution import DependencyPath, Edge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.resolution import ResolvedPackage


def paths_to(
    name: str, roots: Sequence[RequirementRow], packages: Mapping[str, ResolvedPackage]
) -> tuple[DependencyPath, ...]:
    """Return the shortest way through each package that requires ``name``, shorter ones first."""
    ways = _shortest_ways(roots, packages)
    paths = [DependencyPath((Edge(row.text),)) for row in roots if row.name == name]
    for parent in packages[name].required_by:
        if parent in ways:
            edges = [edge for edge in packages[parent].requires if edge.name == name]
            paths += [DependencyPath((*ways[parent], edge)) for edge in edges[:1]]
    return tuple(sorted(paths, key=lambda path: len(path.edges)))


def _shortest_ways(
    roots: Sequence[RequirementRow], packages: Mapping[str, ResolvedPackage]
) -> dict[str, tuple[Edge, ...]]:
    """Return a shortest way to each package that is reached, breadth first."""
    ways: dict[str, tuple[Edge, ...]] = {}
    queue: deque[tuple[str, tuple[Edge, ...]]] = deque((r.name, (Edge(r.text),)) for r in roots)
    while queue:
        name, way = queue.popleft()
        if name in ways or name not in packages:
            continue
        ways[name] = way
        queue.extend((edge.name, (*way, edge)) for edge in packages[name].requires)
    return ways
