"""Laws of version keys, specifier intervals and masks, judged by ``packaging``."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from puffin_api._model.version_key import admits, specifier_bounds, version_key
from puffin_api._resolver.version_set import bits, everything, mask_of, runs

NUMBERS = st.integers(0, 12) | st.sampled_from([100, 2024, 20240101])


@st.composite
def versions(draw: st.DrawFn, *, local: bool = True) -> str:
    text = f"{draw(st.integers(1, 2))}!" if draw(st.integers(0, 9)) == 0 else ""
    text += ".".join(str(n) for n in draw(st.lists(NUMBERS, min_size=1, max_size=3)))
    if draw(st.booleans()):
        text += draw(st.sampled_from(["", "a0", "a1", "b2", "rc1"]))
    if draw(st.integers(0, 3)) == 0:
        text += f".post{draw(st.integers(0, 3))}"
    if draw(st.integers(0, 3)) == 0:
        text += f".dev{draw(st.integers(0, 3))}"
    if local and draw(st.integers(0, 3)) == 0:
        text += "+" + draw(st.sampled_from(["abc", "1", "1.2", "abc.1", "abcd", "abc.d", "10", "2"]))
    return text


@st.composite
def specifiers(draw: st.DrawFn) -> str:
    operator = draw(st.sampled_from(["==", "!=", "<", ">", "<=", ">=", "~=", "===", "==*", "!=*"]))
    if operator.endswith("*"):
        version = Version(draw(versions(local=False)))
        epoch = f"{version.epoch}!" if version.epoch else ""
        return f"{operator[:2]}{epoch}{'.'.join(map(str, version.release))}.*"
    return operator + draw(versions(local=operator in ("==", "!=")))


@given(versions(), versions())
def test_keys_sort_as_their_versions(left: str, right: str) -> None:
    a, b = Version(left), Version(right)

    assert (version_key(a) < version_key(b)) == (a < b)
    assert (version_key(a) == version_key(b)) == (a == b)


@given(st.lists(specifiers(), min_size=1, max_size=3), versions())
def test_intervals_admit_what_packaging_admits(parts: list[str], version: str) -> None:
    text = ",".join(parts)
    try:
        expected = SpecifierSet(text).contains(version, prereleases=True)
    except InvalidSpecifier:
        assume(False)
    bounds = specifier_bounds(text)
    key = version_key(Version(version))

    found = admits(text, version) if bounds is None else any(a <= key < b for a, b in bounds)

    assert found == expected


@given(st.lists(versions(), min_size=1, max_size=12), specifiers())
def test_a_mask_holds_just_the_admitted_versions(known: list[str], text: str) -> None:
    ordered = sorted({Version(v) for v in known})
    try:
        bounds = specifier_bounds(text)
    except InvalidSpecifier:
        assume(False)
    assume(bounds is not None)
    assert bounds is not None

    mask = mask_of([version_key(v) for v in ordered], bounds)

    admitted = [v for v in ordered if SpecifierSet(text).contains(v, prereleases=True)]
    assert [ordered[bit - 1] for bit in bits(mask)] == admitted
    assert not mask & ~everything(len(ordered))
    assert not mask & 1


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**12 - 1))
def test_runs_cover_exactly_the_mask(mask: int, known: int) -> None:
    mask &= known & ~1

    covered = 0
    for first, last in runs(mask, known):
        covered |= ((2 << last) - (1 << first)) & known & ~1

    assert covered == mask


def test_numbers_of_any_length_keep_their_order() -> None:
    long = [10**n for n in (0, 5, 24, 25, 26, 60, 300)]

    keys = [version_key(Version(str(n))) for n in long]

    assert keys == sorted(keys)
