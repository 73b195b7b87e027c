"""Snapshot: the versions of one project, frozen for as long as anything is solved over them."""

from __future__ import annotations

from puffin_api._model.direct_url import source_url
from puffin_api._model.releases import Releases
from puffin_api._model.version_key import admits
from puffin_api._resolver.version_set import everything, mask_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puffin_api._model.events import Notice
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.resolution import ResolvedPackage
    from puffin_api._resolver.candidates import Candidates, Choice, Policy

    Answer = tuple[ResolvedPackage, tuple[Notice, ...]]


_MOST_VIEWS = 8
"""Of one project: with an age for the newest files, each call has a policy of its own."""


class Findings:
    """What resolutions have found out about a project that holds for all others under the same policy."""

    __slots__ = ("accepted", "answers")

    def __init__(self) -> None:
        self.accepted: dict[int, Mapping[int, DistMetadata]] = {}
        """Metadata that nothing speaks against, by bit number; each alone in a mapping, to be shared."""
        self.answers: dict[tuple[int, tuple[str, ...]], Answer] = {}
        """What a decision comes to, by bit number and extras."""


class View:
    """What one policy makes of a project: files chosen and requirements that hold. Shared, too."""

    __slots__ = ("_choices", "_policy", "findings", "releases", "rows")

    def __init__(self, releases: Releases, policy: Policy) -> None:
        self.releases = releases
        self.rows: dict[tuple[DistMetadata, str], Sequence[RequirementRow]] = {}
        """Requirements that hold for the target, by metadata and extra."""
        self.findings = Findings()
        self._policy = policy
        self._choices: dict[int, Choice] = {}

    def choose(self, bit: int, *, yanked: bool) -> Choice:
        """Return the file for a version, or why each of its files cannot be used."""
        if yanked:
            return self._policy.choose(self.releases.files(bit - 1), yanked=True)
        choice = self._choices.get(bit)
        if choice is None:
            choice = self._policy.choose(self.releases.files(bit - 1), yanked=False)
            self._choices[bit] = choice
        return choice


class Snapshot:
    """The masks of one project's specifiers, each worked out once.

    It belongs to a ``Releases`` and is shared by all resolutions over it, from any thread: what
    two threads work out at once is the same.
    """

    __slots__ = ("_views", "full", "masks", "metadata", "plain", "releases")

    def __init__(self, releases: Releases) -> None:
        self.releases = releases
        self.full = everything(len(releases))
        """Every version, and "absent"."""
        self.metadata: dict[str, DistMetadata] = {}
        """By file name, whatever any resolution has asked for."""
        self.masks: dict[str, int] = {"": self.full & ~1}
        """What specifiers admit; use ``mask`` to have one worked out."""
        self.plain: dict[tuple[str, bool | None, bool], Candidates] = {}
        """Candidates where nothing special is asked of the project, by policy and order."""
        self._views: dict[str, View] = {}

    @classmethod
    def of(cls, releases: Releases) -> Snapshot:
        """Return the one snapshot of these releases."""
        found = releases.derived.get(Snapshot)
        if found is None:
            found = releases.derived.setdefault(Snapshot, cls(releases))
        assert isinstance(found, Snapshot)
        return found

    def view(self, policy: Policy) -> View:
        """Return what a policy makes of the project."""
        found = self._views.get(policy.key)
        if found is None:
            if len(self._views) >= _MOST_VIEWS:  # whoever uses one of them keeps it
                self._views, self.plain = {}, {}
            found = self._views.setdefault(policy.key, View(self.releases, policy))
        return found

    def mask(self, row: RequirementRow) -> int:
        """Return the versions that a requirement admits, pre-releases included."""
        key = f"@ {row.url}" if row.url else row.specifier
        mask = self.masks.get(key)
        if mask is None:
            mask = self.masks[key] = self._evaluate(row)
        return mask

    def version(self, bit: int) -> str:
        """Return the version that a bit number stands for."""
        return self.releases.versions[bit - 1]

    def _evaluate(self, row: RequirementRow) -> int:
        if row.url:
            return self.releases.direct.get(source_url(row.url), 0)
        if row.bounds is not None:
            return mask_of(self.releases.keys, row.bounds)
        mask = 0
        for position, version in enumerate(self.releases.versions):
            if admits(row.specifier, version):
                mask |= 2 << position
        return mask


def unknown(name: str) -> Releases:
    """Return the releases of a project that has none."""
    return Releases(name=name, versions=(), keys=(), prereleases=0, files=lambda _: ())
