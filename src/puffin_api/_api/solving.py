"""Solving: one request over one source, to a resolution or an error that says why there is none."""

from __future__ import annotations

from puffin_api._client.crawler import CallSource
from puffin_api._resolver.advice import Advisor
from puffin_api._resolver.direct import direct_releases
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.result import resolution_of
from puffin_api._resolver.solve import Solver
from puffin_api.errors import ProtectedPackage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._api.request import Request
    from puffin_api._client.direct_files import DirectFiles
    from puffin_api._concurrency import Pump
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.resolution import Resolution
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource


def solve(request: Request, files: DirectFiles, source: ReleaseSource, pump: Pump) -> Resolution:
    """Return the resolution of a request.

    Raises:
        ResolutionFailed: There is none.
        ProtectedPackage: There is one only if a protected package changes.
        PuffinError: Something cannot be found out.
    """
    problem, solver, found = _solved(request.problem(), source, files, pump)
    if isinstance(found, Unsolvable) and files.forget_commits():
        # Commits that were locked are a preference, too.
        problem, solver, found = _solved(request.problem(), source, files, pump)
    if not isinstance(found, Unsolvable):
        return resolution_of(found, problem, source, request.inputs(), builds=request.builds)
    if request.protected:
        free = request.problem(protected=False).changed(direct=problem.direct)
        _blame_protection(free, request.protected, source, pump)
    if isinstance(source, CallSource):
        source.end_builds()  # trials leave out what the caller has asked for, but must not run it
    raise Advisor(problem, source, pump, solver.effort).error(found.incompatibility)


def _blame_protection(
    problem: Problem, protected: Sequence[RequirementRow], source: ReleaseSource, pump: Pump
) -> None:
    """Raise ProtectedPackage if the problem, which has no protection, has a solution."""
    try:
        free = resolution_of(Solver(problem, source, pump).solve(), problem, source, {})
    except Unsolvable:
        return
    for row in protected:
        package = free.packages.get(row.name)
        if package is not None and f"=={package.version}" != row.specifier:
            chain = [str(path) for path in free.why(row.name)]
            raise ProtectedPackage(
                f"{row.name} is protected at {row.specifier[2:]}, but would have to become {package.version}",
                hint="Require something that goes with the protected version.",
                name=row.name,
                requested_by=chain,
            )


def _solved(
    plain: Problem, source: ReleaseSource, files: DirectFiles, pump: Pump
) -> tuple[Problem, Solver, Sequence[Package] | Unsolvable]:
    """Solve; once more where the solver came upon a file from a URL whose own URLs were not followed."""
    reached: frozenset[tuple[str, str]] = frozenset()
    while True:
        direct = direct_releases(plain, source, files.file, reached, check=pump.check)
        problem = plain
        if direct.releases:
            problem = plain.changed(direct=direct.releases, refused=direct.refused)
        solver = Solver(problem, source, pump)
        found: Sequence[Package] | Unsolvable
        try:
            found = solver.solve()
        except Unsolvable as unsolvable:
            found = unsolvable
        if solver.unfollowed <= reached:
            return problem, solver, found
        reached |= solver.unfollowed
