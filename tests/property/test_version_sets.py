"""Laws of version keys, specifier intervals and masks, judged by ``packaging``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from puffin_api._model.file import FileRow
from puffin_api._model.releases import releases_of
from puffin_api._model.requirement import requirement_row
from puffin_api._model.version_key import admits, sort_version, specifier_bounds, version_key
from puffin_api._resolver.snapshot import Snapshot
from puffin_api._resolver.version_set import bits, everything, lowest, mask_of, runs
from tests.property.pep440 import OPERATORS, corners, is_valid, near, specifiers, versions

_AROUND = ("0", "0.9", "1", "1.0.1", "1.1", "2", "1!1")
_BOUNDS = ("1", "1.0", "1.0.0", "1!1.0")
_LOCALS = ("", "+a", "+1", "+1.a")


@st.composite
def neighbourhoods(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A specifier set, and versions around those that it names."""
    middle = draw(versions())
    named = draw(st.lists(st.just(middle) | near(middle), min_size=1, max_size=3))
    around = [draw(near(draw(st.sampled_from([middle, *named])))) for _ in range(8)]
    return ",".join(draw(specifiers(text)) for text in named), [*named, *around]


# --- keys -------------------------------------------------------------------------------------


@settings(max_examples=400)
@given(versions().flatmap(lambda text: st.tuples(st.just(text), near(text) | versions())))
def test_keys_sort_as_their_versions(pair: tuple[str, str]) -> None:
    a, b = map(Version, pair)

    assert (version_key(a) < version_key(b)) == (a < b)
    assert (version_key(a) == version_key(b)) == (a == b)


def test_keys_of_all_corners_sort_as_their_versions() -> None:
    known = [Version(text) for text in corners(_AROUND, _LOCALS)]

    by_key = sorted(known, key=version_key)

    assert [str(v) for v in by_key] == [str(v) for v in sorted(known)]
    assert len({version_key(v) for v in known}) == len(set(known))


def test_numbers_of_any_length_keep_their_order() -> None:
    long = [10**n for n in (0, 5, 24, 25, 26, 60, 300)]

    keys = [version_key(Version(str(n))) for n in long]

    assert keys == sorted(keys)


@given(versions())
def test_the_short_way_to_a_key_comes_to_the_same(text: str) -> None:
    version = Version(text)

    assert sort_version(text) == (version_key(version), str(version), version.is_prerelease)


def test_what_is_no_version_has_no_key() -> None:
    assert sort_version("1.0-final-2") is None
    assert sort_version("latest") is None


# --- specifiers -------------------------------------------------------------------------------


@settings(max_examples=250)
@given(neighbourhoods())
def test_intervals_admit_what_packaging_admits(case: tuple[str, list[str]]) -> None:
    text, around = case
    bounds = specifier_bounds(text)
    judge = SpecifierSet(text)

    for version in around:
        key = version_key(Version(version))
        found = admits(text, version) if bounds is None else any(a <= key < b for a, b in bounds)

        assert found == judge.contains(version, prereleases=True), version


@settings(max_examples=50)
@given(neighbourhoods())
def test_intervals_are_sorted_and_do_not_touch(case: tuple[str, list[str]]) -> None:
    bounds = specifier_bounds(case[0]) or ()

    ends = [key for interval in bounds for key in interval]

    assert ends == sorted(set(ends))


@pytest.mark.parametrize("operator", OPERATORS)
def test_intervals_are_right_at_every_corner(operator: str) -> None:
    known = [(v, version_key(v)) for v in map(Version, corners(_AROUND, _LOCALS))]
    judged = 0
    for text in (f"{operator}{bound}" for bound in corners(_BOUNDS)):
        bounds = specifier_bounds(text) if is_valid(text) else None
        if bounds is None:
            continue
        judge = SpecifierSet(text)
        wrong = [
            str(version)
            for version, key in known
            if any(a <= key < b for a, b in bounds) != judge.contains(version, prereleases=True)
        ]
        judged += 1

        assert not wrong, text
    assert judged >= len(_BOUNDS)  # at least the final releases are intervals


@pytest.mark.parametrize("operator", ["==", "!="])
def test_locals_and_wildcards_are_right_at_every_corner(operator: str) -> None:
    known = [(v, version_key(v)) for v in map(Version, corners(_AROUND, _LOCALS))]
    exact = [f"{operator}{bound}" for bound in corners(("1.0",), _LOCALS)]
    for text in [*exact, *(f"{operator}{bound}.*" for bound in _BOUNDS)]:
        bounds, judge = specifier_bounds(text), SpecifierSet(text)

        assert bounds is not None
        admitted = [v for v, key in known if any(a <= key < b for a, b in bounds)]
        assert admitted == [v for v, _ in known if judge.contains(v, prereleases=True)], text


# --- masks ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(neighbourhoods())
def test_a_mask_holds_just_the_admitted_versions(case: tuple[str, list[str]]) -> None:
    text, around = case
    ordered = sorted({Version(v) for v in around})
    bounds = specifier_bounds(text)
    if bounds is None:
        return  # the snapshot asks packaging then: the next test

    mask = mask_of([version_key(v) for v in ordered], bounds)

    judge = SpecifierSet(text)
    assert [ordered[bit - 1] for bit in bits(mask)] == [
        v for v in ordered if judge.contains(v, prereleases=True)
    ]
    assert not mask & ~everything(len(ordered))


@settings(max_examples=200)
@given(neighbourhoods())
def test_a_snapshot_admits_what_packaging_admits(case: tuple[str, list[str]]) -> None:
    text, around = case
    files = [FileRow(project="a", version=v, filename=f"a-{v}.tar.gz", url="") for v in around]
    snapshot = Snapshot(releases_of("a", files))

    mask = snapshot.mask(requirement_row(f"a{text}"))

    judge = SpecifierSet(text)
    admitted = {v for v in snapshot.releases.versions if judge.contains(v, prereleases=True)}
    assert {snapshot.version(bit) for bit in bits(mask)} == admitted
    assert not mask & 1


@given(st.integers(1, 2**12 - 1))
def test_bits_name_the_mask(mask: int) -> None:
    found = list(bits(mask))

    assert sum(1 << bit for bit in found) == mask
    assert found == sorted(set(found))
    assert lowest(mask) == 1 << found[0]


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**12 - 1))
def test_runs_cover_exactly_the_mask(mask: int, known: int) -> None:
    mask &= known & ~1

    covered = 0
    for first, last in runs(mask, known):
        covered |= ((2 << last) - (1 << first)) & known & ~1

    assert covered == mask
