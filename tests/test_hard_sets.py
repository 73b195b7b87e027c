"""The logic of the search benchmark: reading uv's log, comparing answers, judging rows."""

from __future__ import annotations

import pytest

from benchmarks.hard_sets import HERE, Row, cells, read_sets, table
from benchmarks.our_runs import counted
from benchmarks.uv_runs import UvRun, pins_in
from benchmarks.verdicts import Difference, verdict
from puffin_api import Resolver, Target
from puffin_api._testing.fake_releases import FakeReleaseSource

LOG = """\
DEBUG Adding direct dependency: menu*
DEBUG Selecting: menu==1.1 [compatible] (menu-1.1-py3-none-any.whl)
DEBUG Selecting: icons==2.0 [compatible] (icons-2.0-py3-none-any.whl)
DEBUG Selecting: menu==1.0 [compatible] (menu-1.0-py3-none-any.whl)
DEBUG Selecting: icons==2.0 [compatible] (icons-2.0-py3-none-any.whl)
"""


def make_row(**more):
    facts = {
        "name": "a-set", "packages": 3, "verdict": "equal", "faults": [], "visited": 4, "conflicts": 1,
        "uv_selections": 4, "uv_candidates": 2, "requests": {"pages": 2, "metadata": 5}, "uv_requests": {},
        "newer": {}, "older": {}, "uv_times": [0.1, 0.4, 0.2], "disk_times": [0.05, 0.1, 0.2],
        "memory_times": [0.01, 0.01, 0.01],
    }  # fmt: skip
    return Row(**{**facts, **more})


def test_candidates_that_uv_comes_back_to_count_once():
    run = UvRun({}, 1.0, LOG)

    assert (run.selections, run.candidates) == (4, 3)


def test_pins_have_normal_names_and_no_extras():
    assert pins_in("Zope.Interface==5.0\nuvicorn[standard]==0.30\n") == {
        "zope-interface": "5.0",
        "uvicorn": "0.30",
    }


def test_versions_are_compared_as_versions():
    found = Difference.of(
        {"a": "1.10", "b": "1.0", "c": "2", "d": "1"}, {"a": "1.9", "b": "1", "c": "3", "e": "1"}
    )

    assert found.newer == {"a": ("1.10", "1.9")}
    assert found.older == {"c": ("2", "3")}
    assert (found.more, found.fewer) == (("d",), ("e",))
    assert found.best_of_both == ["a>=1.10", "c>=3"]


@pytest.mark.parametrize(
    ("ours", "theirs", "is_exclusive", "expected"),
    [
        (None, None, None, "none, as uv"),
        (None, {"a": "1"}, None, "WRONG: only uv has one"),
        ({"a": "1"}, None, None, "WRONG: only we have one"),
        ({"a": "1"}, {"a": "1.0"}, None, "equal"),
        ({"a": "2"}, {"a": "1"}, None, "newer (1 newer)"),
        ({"a": "1", "b": "1"}, {"a": "2"}, None, "OLDER (1 older, 1 more)"),
        ({"a": "2", "b": "1"}, {"a": "1", "b": "2"}, True, "trade-off (1 newer, 1 older)"),
        ({"a": "2", "b": "1"}, {"a": "1", "b": "2"}, False, "mixed (1 newer, 1 older)"),
        ({"a": "2"}, {"a": "2", "b": "2"}, None, "other packages (1 fewer)"),
    ],
)
def test_verdicts(ours, theirs, is_exclusive, expected):
    assert verdict(ours, theirs, is_exclusive=is_exclusive) == expected


def test_ratios_are_those_of_pairs():
    assert make_row().disk_ratio == pytest.approx(0.5)
    assert make_row().memory_ratio == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"visited": 5}, "visits 2.5 times as many as uv"),
        ({"disk_times": [0.2, 0.8, 0.4]}, "takes 2.00 of uv's time"),
        ({"asked_again": 3}, "makes 3 requests from warm caches"),
        ({"faults": ["a is missing"]}, "1 faults, as: a is missing"),
    ],
)
def test_what_is_worse_than_it_should_be_is_told(more, complaint):
    assert make_row().complaints == []
    assert make_row(**more).complaints == [complaint]


def test_table_has_a_cell_for_each_column():
    lines = table([make_row(packages=None)]).splitlines()

    assert len({line.count("|") for line in lines}) == 1
    assert cells(make_row(packages=None))[:4] == ["a-set", "-", "4", "2 (4)"]


def test_sets_are_read_with_their_pins(tmp_path):
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "some.txt").write_text("b==1\nc==2\n")
    (tmp_path / "hard_sets.toml").write_text(
        'exclude_newer = "2026-01-01T00:00:00Z"\n'
        '[sets.one]\nrequirements = ["a"]\nsolvable = false\n'
        '[sets.two]\nrequirements = ["a"]\npins = "some.txt"\n'
    )

    (one, two), exclude_newer = read_sets(tmp_path)

    assert (one.name, one.requirements, one.solvable) == ("one", ("a",), False)
    assert (two.requirements, two.solvable) == (("a", "b==1", "c==2"), True)
    assert exclude_newer == "2026-01-01T00:00:00Z"


def test_the_sets_of_the_benchmark_can_be_read():
    sets, _ = read_sets(HERE)

    assert len(sets) >= 12
    assert all(each.requirements for each in sets)
    assert len([each for each in sets if not each.solvable]) >= 3


def test_effort_is_that_of_the_first_search():
    source = FakeReleaseSource()
    source.serve("a", "1.0")
    source.serve("b", "2.0")
    target = Target.for_platform("3.12")

    with counted() as effort:
        Resolver(source).resolve(["a", "b"], target=target)
        Resolver(source).resolve(["a"], target=target)

    assert effort.visited == 2
    assert effort.conflicts == 0
