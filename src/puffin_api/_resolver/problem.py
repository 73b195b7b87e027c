"""Problem: everything one resolution is asked, in the solver's terms."""

from __future__ import annotations

from types import MappingProxyType

from puffin_api._model.direct_url import source_url
from puffin_api._model.options import PrereleaseMode, ResolutionMode
from puffin_api._resolver.candidates import Candidates, visibility
from puffin_api._resolver.dependencies import active_rows
from puffin_api._resolver.version_set import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.releases import Releases
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._model.target import Target
    from puffin_api._resolver.candidates import Policy
    from puffin_api._resolver.dependencies import Amendments
    from puffin_api._resolver.snapshot import Snapshot, View


_NOTHING_DIRECT: Mapping[str, Releases] = MappingProxyType({})
_NOTHING_REFUSED: Mapping[str, str] = MappingProxyType({})


class Problem:
    """What is required, of what, and what is preferred."""

    def __init__(  # one parameter for each thing that can be asked
        self,
        roots: Sequence[RequirementRow],
        policy: Policy,
        amendments: Amendments,
        *,
        mode: ResolutionMode = ResolutionMode.HIGHEST,
        prereleases: PrereleaseMode = PrereleaseMode.IF_NECESSARY,
        preferences: Mapping[str, Collection[str]] | None = None,
        permitted: Mapping[str, Collection[str]] | None = None,
        dependencies: bool = True,
        named: Sequence[RequirementRow] = (),
        direct: Mapping[str, Releases] = _NOTHING_DIRECT,
        refused: Mapping[str, str] = _NOTHING_REFUSED,
    ) -> None:
        self.roots = roots if amendments.empty else tuple(amendments.apply(roots))
        """What the caller requires, markers already decided, overrides and excludes applied."""
        self.policy = policy
        self.amendments = amendments
        self.dependencies = dependencies
        self.direct = direct
        """Releases of the projects that come from a URL; no index is asked for these."""
        self._refused = refused
        self._prereleases = prereleases
        self._mode = mode
        self._preferences = preferences or {}
        self._permitted = permitted or {}
        """Versions that are admitted although yanked, as they were locked."""
        self._asked = tuple(dict.fromkeys((*named, *self.roots)))
        """What reveals pre-releases and yanked releases: what this problem was made smaller from, too.
        A fact of the smaller problem is then a fact of the whole."""
        self._direct = frozenset(row.name for row in self._asked)
        self._named = _named_prereleases(self._asked)
        self._pins = _pins((*self._asked, *amendments.all_constraints()))
        self._shown = visibility(prereleases, explicit=False)
        self._shown_if_named = visibility(prereleases, explicit=True)
        self._lowest = mode is ResolutionMode.LOWEST
        self._kind = policy.key, self._shown, self._lowest
        special = {*self._preferences, *self._permitted, *self._pins, *self._named}
        self._special = special if mode is not ResolutionMode.LOWEST_DIRECT else special | self._direct
        """Projects whose candidates are not those of every resolution under the same policy."""

    def changed(
        self,
        *,
        roots: Sequence[RequirementRow] | None = None,
        policy: Policy | None = None,
        amendments: Amendments | None = None,
        prereleases: PrereleaseMode | None = None,
        direct: Mapping[str, Releases] | None = None,
        refused: Mapping[str, str] | None = None,
    ) -> Problem:
        """Return the same problem with something else in the place of what is given here."""
        return Problem(
            self.roots if roots is None else roots,
            policy or self.policy,
            amendments or self.amendments,
            mode=self._mode,
            prereleases=prereleases or self._prereleases,
            preferences=self._preferences,
            permitted=self._permitted,
            dependencies=self.dependencies,
            named=self._asked,
            direct=self.direct if direct is None else direct,
            refused=self._refused if refused is None else refused,
        )

    def for_target(self, target: Target) -> Problem:
        """Return the same problem for another target."""
        return self.changed(
            policy=self.policy.changed(target=target), amendments=self.amendments.for_target(target)
        )

    @property
    def given(self) -> tuple[RequirementRow, ...]:
        """Every requirement of the caller, constraints and overrides too; none for what is excluded."""
        rows = (*self.amendments.all_constraints(), *self.amendments.all_overrides())
        return (*self.roots, *(row for row in rows if not self.amendments.excludes(row.name)))

    def foreign_url(self, rows: Sequence[RequirementRow]) -> RequirementRow | None:
        """Return the first requirement with a URL for which nobody has vouched, None where there is none."""
        for row in rows:
            if row.url:
                releases = self.direct.get(row.name)
                if releases is None or source_url(row.url) not in releases.direct:
                    return row
        return None

    def refusal(self, row: RequirementRow) -> str:
        """Return why the URL of a requirement cannot be used; empty where nobody has tried."""
        return self._refused.get(source_url(row.url), "")

    def candidates(self, snapshot: Snapshot) -> Candidates:
        """Return the candidates of a project."""
        name = snapshot.releases.name
        if name not in self._special:
            plain = snapshot.plain.get(self._kind)
            if plain is None:
                view = snapshot.view(self.policy)
                plain = Candidates(view, shown=self._shown, lowest_first=self._lowest)
                snapshot.plain[self._kind] = plain
            return plain
        return Candidates(
            snapshot.view(self.policy),
            shown=self._shown_if_named if name in self._named else self._shown,
            lowest_first=self._lowest
            or (self._mode is ResolutionMode.LOWEST_DIRECT and name in self._direct),
            preferred=_versions(snapshot, self._preferences.get(name, ())),
            yanked=self._yanked(snapshot),
        )

    def rows(self, view: View, metadata: DistMetadata, extra: str = "") -> Sequence[RequirementRow]:
        """Return the dependencies that hold, with the caller's overrides and excludes applied."""
        key = (metadata, extra)
        rows = view.rows.get(key)
        if rows is None:
            rows = view.rows[key] = active_rows(metadata, self.policy.target, extra)
        return rows if self.amendments.empty else tuple(self.amendments.apply(rows))

    def allowed(self, snapshot: Snapshot) -> int:
        """Return the versions that the caller's constraints leave."""
        mask = snapshot.full
        for constraint in self.amendments.constraints(snapshot.releases.name):
            mask &= snapshot.mask(constraint)
        return mask

    def _yanked(self, snapshot: Snapshot) -> int:
        """Versions that the caller pins exactly, or had locked: they may be yanked."""
        name = snapshot.releases.name
        mask = _versions(snapshot, self._permitted.get(name, ()))
        for row in self._pins.get(name, ()):
            mask |= snapshot.mask(row)
        return mask


def _pins(rows: Sequence[RequirementRow]) -> dict[str, list[RequirementRow]]:
    pins: dict[str, list[RequirementRow]] = {}
    for row in rows:
        if _is_pin(row):
            pins.setdefault(row.name, []).append(row)
    return pins


def _is_pin(row: RequirementRow) -> bool:
    """True for exactly ``==V`` or ``===V``."""
    text = row.specifier
    return text.startswith("==") and "," not in text and not text.endswith("*")


def _named_prereleases(rows: Sequence[RequirementRow]) -> frozenset[str]:
    """Names of the projects for which some requirement spells a pre-release out."""
    from packaging.specifiers import SpecifierSet

    return frozenset(row.name for row in rows if row.specifier and SpecifierSet(row.specifier).prereleases)


def _versions(snapshot: Snapshot, versions: Collection[str]) -> int:
    """Mask of versions given as text; those that are not known are left out."""
    if not versions:
        return 0
    from packaging.version import Version

    from puffin_api._model.version_key import version_key

    mask = 0
    keys = snapshot.releases.keys
    for version in versions:
        try:
            key = version_key(Version(version))
        except ValueError:  # no version, or one whose numbers are too long
            continue
        if key in keys:
            mask |= 2 << list(keys).index(key)
    return mask & ~ABSENT
