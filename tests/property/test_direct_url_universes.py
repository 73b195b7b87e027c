"""Projects that come from a URL, compared with the same projects where an index knows that one file alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from hypothesis import event, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from tests.property.brute_force import World, parse
from tests.property.universes import Case, Release, cases, source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._testing.fake_releases import FakeReleaseSource

    Found = dict[str, tuple[str, tuple[str, ...]]]

_TAGS = {"wheel": "py3-none-any", "foreign": "cp39-cp39-win_amd64", "broken": "py3-none-any"}


def url_of(name: str, release: Release) -> str:
    """Return where a fake source has the wheel of a release."""
    return f"https://index.invalid/{name}-{release.version}-{_TAGS[release.kind]}.whl"


def by_url(text: str, urls: Mapping[str, str]) -> str:
    """Return a requirement for any version with the URL of its project, where that has one."""
    requirement = parse(text)
    if requirement.name not in urls or requirement.specifier:
        return text
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras} @ {urls[requirement.name]}{marker}"


@attrs.frozen(kw_only=True)
class Twins:
    """One question in two worlds."""

    plain: Case
    """An index has nothing but the one file of each chosen project."""
    direct: Case
    """The caller names its URL, and the index has other versions that must not count."""
    chosen: Mapping[str, Release]

    def source(self) -> FakeReleaseSource:
        """Serve the world with URLs: their files are on no page."""
        source = source_of(self.direct)
        for name, release in self.chosen.items():
            broken = errors.MetadataInvalid("cannot be read", reason="it is cut off")
            source.serve(
                name,
                release.version,
                requires=release.requires,
                extras=("x", "y", "all"),
                requires_python=release.requires_python,
                tags=(_TAGS[release.kind],),
                invalid=broken if release.kind == "broken" else None,
                listed=False,
            )
        return source


def can_be_named(release: Release) -> bool:
    """Leave out what nobody can name, and pre-releases: who names the URL of one means it."""
    return release.kind in _TAGS and not Version(release.version).is_prerelease


@st.composite
def twins(draw: st.DrawFn) -> Twins:
    """A case, and some of its projects that come from a URL in one world."""
    case = draw(cases())
    chosen = {}
    for name, found in case.universe.items():
        able = [release for release in found if can_be_named(release)]
        if able and draw(st.booleans()):
            # A file says nothing of having been yanked.
            chosen[name] = attrs.evolve(draw(st.sampled_from(able)), is_yanked=False)
    urls = {name: url_of(name, release) for name, release in chosen.items()}
    # What is overridden or excluded would not be asked for by that URL.
    amended = {*case.excludes, *(parse(text).name for text in case.overrides)}
    asked = [name for name in chosen if name not in amended and draw(st.booleans())]
    return Twins(
        plain=_plain(case, chosen, asked),
        direct=_direct(case, chosen, asked, urls),
        chosen={name: _linked(release, urls) for name, release in chosen.items()},
    )


def _plain(case: Case, chosen: Mapping[str, Release], asked: list[str]) -> Case:
    universe = {n: (chosen[n],) if n in chosen else found for n, found in case.universe.items()}
    return attrs.evolve(case, universe=universe, requirements=(*case.requirements, *asked))


def _direct(case: Case, chosen: Mapping[str, Release], asked: list[str], urls: Mapping[str, str]) -> Case:
    universe = {
        name: tuple(
            _linked(release, urls)
            for release in found
            if name not in chosen or release.version != chosen[name].version
        )
        for name, found in case.universe.items()
    }
    roots = (*case.requirements, *(f"{name} @ {urls[name]}" for name in asked))
    others = tuple(f"{name} @ {urls[name]}" for name in chosen if name not in asked)
    return attrs.evolve(case, universe=universe, requirements=roots, constraints=(*case.constraints, *others))


def _linked(release: Release, urls: Mapping[str, str]) -> Release:
    return attrs.evolve(release, requires=tuple(by_url(text, urls) for text in release.requires))


def resolve(case: Case, source: FakeReleaseSource) -> Found | None:
    try:
        found = Resolver(source).resolve(case.requirements, **case.options())  # type: ignore[arg-type]  # options are passed on
    except (errors.ResolutionFailed, errors.PackageNotFound):
        return None
    return {name: (package.version, package.extras) for name, package in found.packages.items()}


@settings(max_examples=300)
@given(twins())
def test_a_url_is_as_good_as_an_index_with_that_file_alone(twins: Twins) -> None:
    source = twins.source()

    found = resolve(twins.direct, source)

    event("solvable" if found is not None else "unsolvable")
    assert found == resolve(twins.plain, source_of(twins.plain))
    assert not set(source.asked) & twins.chosen.keys()  # no index was asked for these
    world = World(twins.plain)
    if found is None:
        assert next(world.answers(), None) is None
    else:
        assert world.faults({name: version for name, (version, _) in found.items()}) == []


@settings(max_examples=100)
@given(twins())
def test_questions_with_and_without_urls_do_not_change_each_other(twins: Twins) -> None:
    without = attrs.evolve(
        twins.direct,
        requirements=tuple(t for t in twins.direct.requirements if not parse(t).url),
        constraints=tuple(t for t in twins.direct.constraints if not parse(t).url),
    )
    source = twins.source()
    expected = [resolve(case, twins.source()) for case in (twins.direct, without)]

    told = [resolve(case, source) for case in (twins.direct, without, twins.direct, without)]

    assert told == expected * 2
