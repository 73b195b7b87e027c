"""FakeBuildContext: meets build requirements from an index in memory."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections import deque
from pathlib import Path

from packaging.version import Version

from puffin_api._model.derivation import Derivation
from puffin_api._model.names import normalize
from puffin_api._model.requirement import parse_requirement, requirement_row
from puffin_api._model.resolution import Resolution, ResolvedPackage
from puffin_api.errors import PackageNotFound, ResolutionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.requirements import Requirement

    from puffin_api._model.file import DistFile
    from puffin_api._model.target import Target
    from puffin_api._testing.fake_index import FakeIndex


class FakeBuildContext:
    """A ``BuildContext`` that takes what it needs from a ``FakeIndex``, and notes what it was asked.

    It takes the newest release of each project that fits the requirement met first, and never goes back
    on that. Modules are installed; scripts are not.

    >>> index = FakeIndex()
    >>> index.add("backend", "1.0")
    >>> context = FakeBuildContext(index, target=Target.for_platform("3.12", "linux_x86_64"))
    """

    def __init__(self, index: FakeIndex, *, target: Target) -> None:
        self._index = index
        self._target = target
        self.asked: list[tuple[str, ...]] = []
        """Requirements of each call of ``resolve``."""
        self.prefixes: list[Path] = []
        """Environment of each call of ``install``."""

    def resolve(self, requirements: Iterable[str]) -> Resolution:
        """Choose releases for the requirements, and for what these require.

        Raises:
            PackageNotFound: The index does not know a project.
            ResolutionFailed: No release fits, or not the one that was taken.
        """
        wanted = tuple(requirements)
        self.asked.append(wanted)
        taken: dict[str, ResolvedPackage] = {}
        open_requirements = deque(wanted)
        while open_requirements:
            requirement = parse_requirement(open_requirements.popleft())
            if self._holds(requirement):
                open_requirements.extend(self._take(requirement, taken))
        roots = [requirement_row(text) for text in wanted]
        return Resolution(taken.values(), roots=roots, target=self._target)

    def install(self, resolution: Resolution, prefix: Path) -> None:
        """Put the modules of the packages into the site-packages of an environment."""
        self.prefixes.append(prefix)
        [place, *_] = [*prefix.glob("lib/python*/site-packages"), *prefix.glob("Lib/site-packages")]
        for package in resolution.packages.values():
            handle, wheel = tempfile.mkstemp(suffix=".whl")
            os.close(handle)
            try:
                self._index.fetch(package.file, Path(wheel))
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(place)
            finally:
                os.unlink(wheel)

    def _holds(self, requirement: Requirement) -> bool:
        environment = {**self._target.markers, "extra": ""}
        return requirement.marker is None or requirement.marker.evaluate(environment)

    def _take(self, requirement: Requirement, taken: dict[str, ResolvedPackage]) -> Iterable[str]:
        """Take a release unless one is taken already; returns what it requires."""
        name = normalize(requirement.name)
        if name in taken:
            if not requirement.specifier.contains(taken[name].version, prereleases=True):
                raise _failed(f"{taken[name].version} of {name} was taken, which is not {requirement}")
            return ()
        file = self._newest(name, requirement)
        row = file.row()
        taken[name] = ResolvedPackage(name, file.version, (), row, (row,), ())
        return self._index.metadata(file).requires_dist

    def _newest(self, name: str, requirement: Requirement) -> DistFile:
        project = self._index.project(name)
        if project is None:
            raise PackageNotFound(f"The index does not know {name}", name=name, indexes=())
        fitting = [file for file in project.files if requirement.specifier.contains(file.version)]
        if not fitting:
            raise _failed(f"No release of {name} fits {requirement}")
        return max(fitting, key=lambda file: Version(file.version))


def _failed(message: str) -> ResolutionFailed:
    return ResolutionFailed(message, derivation=Derivation(()), conflicts=(), excluded={})
