"""Sources of a resolution that was made with a builder or runner which this process does not have."""

from __future__ import annotations

from puffin_api._api.given_builder import GivenSources
from puffin_api.errors import BuildForbidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Never

    from puffin_api._api.build_options import BuildOptions
    from puffin_api._api.sources import Sources
    from puffin_api._api.wiring import ClientParts
    from puffin_api._concurrency import Pump
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import DistFile


class LackingBuilder:
    """Stands where a builder of the caller's was, and refuses.

    Args:
        lacking: What there was: ``builder`` or ``runner``.
    """

    def __init__(self, lacking: str) -> None:
        self._lacking = lacking

    def metadata(self, file: DistFile, *, cancel: CancelToken | None = None) -> Never:
        """Refuse; see `BuildForbidden`."""
        del cancel
        self._refuse(file)

    def build(self, file: DistFile, target: Path, *, cancel: CancelToken | None = None) -> Never:
        """Refuse; see `BuildForbidden`."""
        del target, cancel
        self._refuse(file)

    def _refuse(self, file: DistFile) -> Never:
        raise BuildForbidden(
            f"{file.name} was resolved with a {self._lacking} of the caller's, which is not here",
            hint=f"Give the like to the installer: Installer(..., {self._lacking}=...).",
            package=file.name,
        )


class UnbuildableSources(GivenSources):
    """Answers as `Sources` does, and builds nothing: the standard way is not the one that was asked for.

    What the standard way has built before is the answer only where no builder of the caller's was: a runner
    starts the same backends, a builder may give something else.
    """

    def __init__(self, parts: ClientParts, standard: Sources, options: BuildOptions, pump: Pump) -> None:
        lacking = min(options.lacking)  # of both the builder: it would have had nothing run
        super().__init__(parts, LackingBuilder(lacking), options.policy, pump)
        self._standard = None if "builder" in options.lacking else standard

    def lookup(self, file: DistFile) -> CachedWheel | None:
        """Return the unpacked wheel of sources if it was built before, in the way that was asked for."""
        return None if self._standard is None else self._standard.lookup(file)
