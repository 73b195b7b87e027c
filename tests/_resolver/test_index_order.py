"""The order of candidates where versions come from several indexes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._model.file import FileRow
from puffin_api._model.releases import Releases
from puffin_api._model.target import Target
from puffin_api._resolver.candidates import Candidates, Policy, is_file
from puffin_api._resolver.snapshot import Snapshot

POLICY = Policy(Target.for_platform("3.12"), sources="allowed")
OWNERS = st.lists(st.integers(0, 2), min_size=1, max_size=8)


def candidates_of(owners, prereleases=0, **options):
    """Candidates of versions 0, 1, 2, ..., each of the index with this number."""
    tiers = [sum(1 << bit for bit, owner in enumerate(owners, 1) if owner == n) for n in range(3)]
    versions = [str(number) for number in range(len(owners))]
    releases = Releases(
        name="a", versions=versions, keys=versions, prereleases=prereleases, files=lambda _: (), tiers=tiers
    )
    return Candidates(Snapshot.of(releases).view(POLICY), **options)


@given(OWNERS, st.booleans())
def test_an_earlier_index_is_used_up_before_a_later_one(owners, lowest_first):
    candidates = candidates_of(owners, lowest_first=lowest_first)
    expected = sorted(
        range(1, len(owners) + 1), key=lambda bit: (owners[bit - 1], bit if lowest_first else -bit)
    )

    assert candidates.ordered((2 << len(owners)) - 1, 99) == expected


@given(OWNERS, st.booleans(), st.integers(0))
def test_after_a_version_come_those_that_are_tried_after_it(owners, lowest_first, mask):
    candidates = candidates_of(owners, lowest_first=lowest_first)
    full = (2 << len(owners)) - 1
    order = candidates.ordered(full, 99)

    for position, bit in enumerate(order):
        later = sum(1 << other for other in order[position + 1 :])
        assert candidates.after(mask & full, bit) == mask & later


def test_a_stable_version_of_a_later_index_comes_before_a_prerelease_of_an_earlier_one():
    candidates = candidates_of([1, 0, 0], prereleases=0b1100)
    assert candidates.ordered(0b1111, 9) == [1, 3, 2]
    assert candidates_of([1, 0, 0], prereleases=0b1100, shown=True).ordered(0b1111, 9) == [3, 2, 1]


def test_a_version_that_is_to_be_kept_comes_first_whatever_its_index():
    assert candidates_of([0, 1, 0], preferred=0b0100).ordered(0b1111, 9) == [2, 3, 1]


@pytest.mark.parametrize("names", [("a-1.tar.gz", "a-1.zip"), ("a-1.zip", "a-1.tar.gz")])
def test_of_equally_good_files_the_first_is_taken(names):
    rows = [FileRow(project="a", version="1", filename=name, url=f"https://h/{name}") for name in names]
    choice = POLICY.choose(rows, yanked=False)

    assert is_file(choice)
    assert choice.filename == names[0]
