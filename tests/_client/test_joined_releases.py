"""Releases of several places as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from puffin_api._client.joined_releases import JoinedReleases
from puffin_api._model.file import FileRow
from puffin_api._model.releases import releases_of

VERSIONS = ["0.9", "1.0", "1.1rc1", "1.1", "2.0.dev1", "2.0"]
SUBSETS = st.lists(st.sampled_from(VERSIONS), min_size=1, unique=True)


def releases(place, *versions):
    rows = [
        FileRow(
            project="a", version=v, filename=f"a-{v}.tar.gz", url=f"https://{place}/a-{v}.tar.gz", index=place
        )
        for v in versions
    ]
    return releases_of("a", rows, index=place, skipped={f"bad-{place}": "why"})


def places(joined, version):
    return [row.index for row in joined.files(joined.versions.index(version))]


@given(st.lists(SUBSETS, min_size=1, max_size=3), st.none() | SUBSETS)
def test_best_match_has_every_file_of_every_place_in_their_order(given_versions, beside):
    parts = [releases(str(n), *found) for n, found in enumerate(given_versions)]
    flat = None if beside is None else releases("flat", *beside)
    joined = JoinedReleases("a", parts, beside=flat, is_first_enough=False)
    everything = [("flat", beside or ()), *((str(n), found) for n, found in enumerate(given_versions))]

    assert joined.versions == [v for v in VERSIONS if any(v in found for _, found in everything)]
    assert not joined.tiers
    for version in joined.versions:
        assert places(joined, version) == [place for place, found in everything if version in found]


@given(st.lists(SUBSETS, min_size=1, max_size=3), st.none() | SUBSETS)
def test_first_match_gives_each_version_to_the_first_index_that_has_it(given_versions, beside):
    parts = [releases(str(n), *found) for n, found in enumerate(given_versions)]
    flat = None if beside is None else releases("flat", *beside)
    joined = JoinedReleases("a", parts, beside=flat, is_first_enough=True)

    owners = {}
    for bit, version in enumerate(joined.versions, start=1):
        first = next((n for n, found in enumerate(given_versions) if version in found), None)
        in_flat = version in (beside or ())
        owners[bit] = 0 if in_flat else first
        assert places(joined, version) == ["flat"] * in_flat + [str(first)] * (first is not None)
    assert joined.tiers == tuple(
        sum(1 << bit for bit, owner in owners.items() if owner == n) for n in range(len(parts))
    )


def test_prereleases_and_skipped_files_are_those_of_all():
    joined = JoinedReleases(
        "a", [releases("x", "1.0"), releases("y", "1.1rc1")], beside=None, is_first_enough=False
    )

    assert joined.prereleases == 0b100
    assert dict(joined.skipped) == {"bad-x": "why", "bad-y": "why"}


def test_what_was_joined_is_known_again_by_its_parts():
    one, two, flat = (releases(place, "1.0") for place in ("x", "y", "flat"))
    joined = JoinedReleases("a", [one, two], beside=None, is_first_enough=False)

    assert joined.is_of([one, two], None)
    assert not joined.is_of([one], None)
    assert not joined.is_of([one, two], flat)
    assert not joined.is_of([two, one], None)
