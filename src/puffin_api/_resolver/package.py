"""Package: one thing the solver decides about, with all it knows of it during one resolution."""

from __future__ import annotations

from types import MappingProxyType

from puffin_api._resolver.incompatibility import Dependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.rejection import Rejection
    from puffin_api._resolver.candidates import Candidates
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.snapshot import Snapshot

    Assignment = tuple[int, int, int, Incompatibility | None, int]
    """Number in the trail (-1 for what holds before all else), mask after it, mask of itself, cause
    (None for a decision), level."""

FIELDS, MASK, LEVEL = 5, 1, 4
"""Of an assignment: how many fields it has, and which ones are the mask after it and the level."""

# Which package is decided first; smaller is sooner.
ROOT = 0
SINGLETON = 2
"""Some requirement names one exact version."""
CONFLICT_EARLY = 3
"""Its versions were often rejected: choose it before those that reject it."""
UNSPECIFIED = 4
CONFLICT_LATE = 5
"""Its choice often made others fail: it comes after all else, even what nobody complains of, as that may
yet bring in what it makes fail."""


EXTRA_BITS = 24
"""So many bits of a place tell the extras of one project apart."""
_NO_EXTRAS: Mapping[str, Package] = MappingProxyType({})
# A dictionary for each package would have the garbage collector look at all of them more often.
_NO_REASONS: Mapping[int, Rejection] = MappingProxyType({})
_NO_METADATA: Mapping[int, DistMetadata] = MappingProxyType({})


class Package:
    """A project, or one extra of a project; the latter is either absent or present.

    ``current`` is the set of states that all assignments so far leave.
    """

    __slots__ = (
        "base",
        "candidates",
        "current",
        "decision",
        "edges",
        "extra",
        "extras",
        "full",
        "history",
        "incompatibilities",
        "is_told",
        "metadata",
        "name",
        "place",
        "reasons",
        "snapshot",
        "unknown",
        "unusable",
        "urgency",
    )

    def __init__(self, name: str, extra: str, full: int, place: int) -> None:
        self.name = name
        self.extra = extra
        """Empty for the project itself."""
        self.full = full
        self.current = full
        self.decision = 0
        """Bit number of the decided state, 0 while undecided."""
        self.history: list[Any] = []
        """The fields of all assignments one after the other, in the order of `Assignment`: a tuple for each
        would have the garbage collector run in the middle of most resolutions."""
        self.incompatibilities: list[Incompatibility] = []
        self.is_told = False
        """Whether the dependencies of some version were told: those of the next are often the same."""
        self.edges: dict[tuple[Package, int, Package | None], Dependency] | None = None
        """The dependencies that were told, once somebody looks for one."""
        self.place = place
        """Order of discovery; the extras of a project come right after it."""
        self.urgency = UNSPECIFIED
        self.base: Package = self
        self.extras: Mapping[str, Package] = _NO_EXTRAS
        self.snapshot: Snapshot
        self.candidates: Candidates
        self.metadata: Mapping[int, DistMetadata] = _NO_METADATA
        """What this resolution has asked for, by bit number. Not what others have: results must
        not depend on what happens to be in memory."""
        self.reasons: Mapping[int, Rejection] = _NO_REASONS
        """Why versions cannot be used, by bit number."""
        self.unusable = 0
        """Mask of the versions that were tried in vain."""
        self.unknown: Rejection | None = None
        """Why nothing is known of the project; None where it is."""

    def restrict(self, allowed: int, cause: Incompatibility) -> None:
        """Leave only these states, for good: what holds before anything is decided."""
        self.current &= allowed
        self.history += (-1, self.current, allowed, cause, 0)

    def reject(self, bit: int, reason: Rejection) -> None:
        """Note why a version cannot be used."""
        if not isinstance(self.reasons, dict):
            self.reasons = {}
        self.reasons[bit] = reason

    def take(self, bit: int, metadata: DistMetadata) -> None:
        """Note the metadata of a version."""
        if not isinstance(self.metadata, dict):
            self.metadata = dict(self.metadata)
        self.metadata[bit] = metadata

    def recall(self, bit: int, accepted: Mapping[int, DistMetadata]) -> None:
        """Note the metadata of a version, from a mapping for all resolutions that holds nothing else."""
        if self.metadata:
            self.take(bit, accepted[bit])
        else:
            self.metadata = accepted

    @property
    def possible(self) -> int:
        """The states that what holds before any decision leaves."""
        mask = self.full
        for left, level in zip(self.history[MASK::FIELDS], self.history[LEVEL::FIELDS], strict=True):
            if level:
                break
            mask = left
        return mask

    def find_edge(self, target: Package, states: int, via: Package | None) -> Dependency | None:
        """Return the dependency that was told for another version and is the same."""
        edges = self.edges
        if edges is None:
            edges = self.edges = {}
            for each in self.incompatibilities:
                if isinstance(each, Dependency) and each.package is self and not isinstance(each.rows, tuple):
                    edges.setdefault((each.dependency, each.states, each.via), each)
        return edges.get((target, states, via))

    def __repr__(self) -> str:
        return f"{self.name}[{self.extra}]" if self.extra else self.name
