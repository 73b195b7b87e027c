"""Resolver: from requirements to a resolution."""

from __future__ import annotations

from puffin_api._api.client import Client
from puffin_api._api.operation import operation
from puffin_api._api.request import Request
from puffin_api._api.wiring import parts_of_client
from puffin_api._client.direct_files import DirectFiles
from puffin_api._model.options import HashPolicy, PrereleaseMode, ResolutionMode, Upgrade
from puffin_api._resolver.advice import Advisor
from puffin_api._resolver.direct import direct_releases
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.result import resolution_of
from puffin_api._resolver.solve import Solver
from puffin_api.errors import ProtectedPackage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from puffin_api._api.environment import Environment
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._api.request import InstalledLike, Moment, Req
    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.options import Pin
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.requirement_manifest import Manifest
    from puffin_api._model.resolution import Resolution
    from puffin_api._model.target import Target
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource, Reporter


class Resolver:
    """Finds a set of packages that meets requirements.

    A resolver keeps no state of its own: what it learns of projects stays with the client, so that
    a second resolution over the same projects does no I/O. Threads may share it.

    Args:
        client: Where releases and metadata come from.
    """

    def __init__(self, client: Client | ReleaseSource) -> None:
        self._client = client

    def resolve(  # one parameter for each thing that can be asked
        self,
        requirements: Iterable[Req] | Manifest,
        *,
        target: Target | Interpreter | Environment,
        installed: Iterable[InstalledLike] = (),
        locked: Resolution | Iterable[Pin] = (),
        protect: Iterable[str] = (),
        constraints: Iterable[Req] = (),
        overrides: Iterable[Req] = (),
        excludes: Iterable[str] = (),
        upgrade: Upgrade | None = None,
        mode: ResolutionMode = ResolutionMode.HIGHEST,
        prereleases: PrereleaseMode = PrereleaseMode.IF_NECESSARY,
        exclude_newer: Moment | Mapping[str, Moment | None] | None = None,
        hashes: HashPolicy = HashPolicy.WHEN_GIVEN,
        dependencies: bool = True,
        only_binary: Collection[str] = (),
        no_binary: Collection[str] = (),
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> Resolution:
        """Resolve requirements for one target.

        Args:
            requirements: What the caller wants: PEP 508, also with the URL of a wheel, or the path of a
                local wheel. A project with a URL comes from there alone, whoever requires it.
            target: What to resolve for.
            installed: Distributions that are there already; their versions are kept where possible.
            locked: An earlier answer; its versions are kept where possible, even if yanked since.
            protect: Installed packages that must stay as they are.
            constraints: Narrow the versions of packages that are needed anyway; one with a URL says
                where the package comes from.
            overrides: Replace every requirement of the same name, whoever has it.
            excludes: Projects that are never to be part of the answer.
            upgrade: Packages whose installed or locked versions do not count.
            mode: Whether the highest or the lowest admissible versions are preferred.
            prereleases: When a pre-release may be chosen.
            exclude_newer: Leave out files uploaded at this time or later; an age is counted back
                from now. By project, with the empty name for all others; None for no limit.
            hashes: Whether files must have the digests that a manifest gives for its requirements and
                constraints, and URLs in their fragments (``WHEN_GIVEN``); whether every file must have
                one from there (``REQUIRE``); or whether they do not count (``IGNORE``). Digests that an
                index gives are checked in any case.
            dependencies: False for the required packages alone.
            only_binary: Projects (or ``:all:``) of which only wheels may be used.
            no_binary: Projects (or ``:all:``) of which no wheels may be used.
            reporter: Hears what is done, on this thread.
            cancel: Stops it.

        Returns:
            The packages with their files and requirements.

        Raises:
            RequirementInvalid: A requirement does not parse, or its URL is not that of a wheel of it.
            BuildForbidden: What a requirement names by URL or path would have to be built.
            PackageNotFound: No index knows a project that is required here.
            ResolutionFailed: There is no such set; the error is a value that says why.
            ProtectedPackage: There is one only if a protected package changes.
            NetworkError: An index could not be asked.
            Cancelled: The token was thrown.
        """
        files = self._direct_files(hashes)
        request = Request.of(
            requirements,
            files,
            target=target,
            installed=installed,
            locked=locked,
            protect=protect,
            constraints=constraints,
            overrides=overrides,
            excludes=excludes,
            upgrade=upgrade,
            mode=mode,
            prereleases=prereleases,
            exclude_newer=exclude_newer,
            hashes=hashes,
            dependencies=dependencies,
            only_binary=only_binary,
            no_binary=no_binary,
        )
        with operation("resolve", reporter, cancel) as pump:
            return self._solve(request, files, pump)

    def _solve(self, request: Request, files: DirectFiles, pump: Pump) -> Resolution:
        source, finish = self._source(pump)
        try:
            problem, solver, found = _solved(request.problem(), source, files, pump)
            if not isinstance(found, Unsolvable):
                return resolution_of(found, problem, source, request.inputs())
            if request.protected:
                free = request.problem(protected=False).changed(direct=problem.direct)
                self._blame_protection(free, request.protected, source, pump)
            raise Advisor(problem, source, pump, solver.effort).error(found.incompatibility)
        finally:
            finish()

    def _blame_protection(
        self,
        problem: Problem,
        protected: Sequence[RequirementRow],
        source: ReleaseSource,
        pump: Pump,
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
                    f"{row.name} is protected at {row.specifier[2:]}, but would have to become"
                    f" {package.version}",
                    hint="Require something that goes with the protected version.",
                    name=row.name,
                    requested_by=chain,
                )

    def _source(self, pump: Pump) -> tuple[ReleaseSource, Callable[[], None]]:
        """Return the source for one call, and what ends it."""
        if isinstance(self._client, Client):
            return parts_of_client(self._client).release_source(pump)
        return self._client, _nothing

    def _direct_files(self, hashes: HashPolicy) -> DirectFiles:
        """Return what makes files of requirements with URLs."""
        if isinstance(self._client, Client):
            return DirectFiles(parts_of_client(self._client).add_login, hashes=hashes)
        return DirectFiles(hashes=hashes)


def _solved(
    plain: Problem, source: ReleaseSource, files: DirectFiles, pump: Pump
) -> tuple[Problem, Solver, Sequence[Package] | Unsolvable]:
    """Solve; once more where the solver came upon a file from a URL whose own URLs were not followed."""
    reached: frozenset[tuple[str, str]] = frozenset()
    while True:
        direct = direct_releases(plain, source, files.file, reached, check=pump.check)
        problem = plain.changed(direct=direct) if direct else plain
        solver = Solver(problem, source, pump)
        found: Sequence[Package] | Unsolvable
        try:
            found = solver.solve()
        except Unsolvable as unsolvable:
            found = unsolvable
        if solver.unfollowed <= reached:
            return problem, solver, found
        reached |= solver.unfollowed


def _nothing() -> None:
    """A source of the caller's own ends when the caller says so."""
