"""What is being built for what: finds the build that would need itself."""

from __future__ import annotations

import attrs

from puffin_api._builder.failure import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.frozen
class BuildStack:
    """The builds that are under way because of each other, the outermost first.

    An entry names a source, such as ``cython 3.0.11`` or ``app @ https://host/app.zip``: the same text for
    the same source, and no credentials in it.
    """

    sources: tuple[str, ...] = ()

    def enter(self, source: str, *, package: str) -> BuildStack:
        """Return the stack for the build requirements of this source.

        Raises:
            BuildFailed: The source is on the stack already: building it would never end.
        """
        if source in self.sources:
            raise self._cycle(source, package)
        return BuildStack((*self.sources, source))

    def __contains__(self, source: object) -> bool:
        return source in self.sources

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def _cycle(self, source: str, package: str) -> Exception:
        round_trip = [*self.sources[self.sources.index(source) :], source]
        return failed(
            package,
            "requires",
            f"it needs itself: {' needs '.join(round_trip)}",
            hint="Allow a wheel for one of these, or constrain build requirements to a version that has one.",
        )


NO_BUILD = BuildStack()
"""Nothing is under way."""
