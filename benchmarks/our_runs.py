"""Our resolutions, counted and judged."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import attrs
from packaging.markers import default_environment
from packaging.tags import sys_tags

import puffin_api._api.solving as facade
from puffin_api import Resolver
from puffin_api._resolver.solve import Solver
from puffin_api.errors import ResolutionFailed
from puffin_api.model import CancelToken
from tests.network.soundness import Chosen, Place, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from puffin_api import Client, Resolution, Target
    from puffin_api.model import DistFile

PATIENCE = 300.0
"""Seconds after which a resolution is given up."""


@attrs.frozen
class OurRun:
    """One resolution of ours."""

    resolution: Resolution | None
    seconds: float

    @property
    def pins(self) -> dict[str, str] | None:
        """The versions; None where there is no solution."""
        if self.resolution is None:
            return None
        return {name: package.version for name, package in self.resolution.packages.items()}


@attrs.frozen(kw_only=True)
class Ours:
    """This library with wheels alone, for the Python that runs this."""

    target: Target
    exclude_newer: datetime

    def resolve(self, client: Client, requirements: Sequence[str]) -> OurRun:
        """Resolve; raises DeadlineExceeded when it takes too long."""
        cancel, found = CancelToken.deadline(PATIENCE), None
        begun = time.perf_counter()
        with contextlib.suppress(ResolutionFailed):
            found = Resolver(client).resolve(
                requirements,
                target=self.target,
                only_binary=[":all:"],
                exclude_newer=self.exclude_newer,
                cancel=cancel,
            )
        return OurRun(found, time.perf_counter() - begun)

    def faults(self, client: Client, requirements: Sequence[str], resolution: Resolution) -> list[str]:
        """Return what an independent judge finds wrong with a resolution."""
        chosen = []
        for package in resolution.packages.values():
            core = client.metadata(package.file)
            chosen.append(
                Chosen(
                    name=package.name,
                    version=package.version,
                    file=package.file,
                    others=[file for file in package.alternatives if self._counts(file)],
                    extras=frozenset(package.extras),
                    requires_dist=core.requires_dist,
                    requires_python=core.requires_python,
                    provides_extra=frozenset(core.provides_extra),
                )
            )
        place = Place(
            markers={key: str(value) for key, value in default_environment().items()},
            tags=tuple(str(tag) for tag in sys_tags()),
        )
        return faults(
            requirements,
            chosen,
            place,
            lambda name: [file for file in client.project(name).files if self._counts(file)],
        )

    def _counts(self, file: DistFile) -> bool:
        return file.upload_time is not None and file.upload_time < self.exclude_newer


@attrs.define
class Effort:
    """What a search took."""

    visited: int = 0
    """Candidates whose metadata was looked at, those of bulk exclusions included."""
    conflicts: int = 0


@contextlib.contextmanager
def counted() -> Iterator[Effort]:
    """Count the candidates and conflicts of the first search within; not for what is timed.

    What explains a failure searches again, more than once: that is not counted.
    """
    solvers: list[Solver] = []

    class Counted(Solver):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]  # passed on as they are
            solvers.append(self)

    # The search is private: there is no parameter for it.
    effort, names = Effort(), vars(facade)
    names["Solver"] = Counted
    try:
        yield effort
    finally:
        names["Solver"] = Solver
        if solvers:
            effort.visited, effort.conflicts = solvers[0].visited, solvers[0].conflicts
