"""Resolutions as values."""

from __future__ import annotations

import json
import pickle

import pytest

from puffin_api._api.resolver import Resolver
from puffin_api._model.resolution import Resolution
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


@pytest.fixture
def source():
    made = FakeReleaseSource()
    made.serve(
        "app", "1", requires=["lib>=1", "tool ; extra == 'x'", "win ; sys_platform == 'win32'"], extras=["x"]
    )
    made.serve("lib", "1.5", requires=["base"])
    made.serve("lib", "2.0b1")
    made.serve("tool", "3", requires=["base>=1"])
    made.serve("base", "1", tags=["py3-none-any", "cp312-cp312-win_amd64"])
    return made


@pytest.fixture
def resolution(source):
    return Resolver(source).resolve(["app[x]"], target=TARGET)


def test_it_survives_a_round_trip_as_data_and_as_pickle(resolution):
    data = json.loads(json.dumps(resolution.to_dict()))

    for again in (Resolution.from_dict(data), pickle.loads(pickle.dumps(resolution))):
        assert again == resolution
        assert again.digest == resolution.digest
        assert again.to_dict() == resolution.to_dict()
        assert again.packages["app"].requires == resolution.packages["app"].requires


def test_edges_keep_what_was_written(resolution):
    edges = resolution.packages["app"].requires

    assert [(e.name, e.specifier, e.marker, e.extra) for e in edges] == [
        ("lib", ">=1", "", ""),
        ("tool", "", "extra == 'x'", "x"),
    ]
    assert resolution.packages["base"].required_by == ("lib", "tool")


def test_why_gives_a_way_through_each_that_requires_it(resolution):
    assert [str(path) for path in resolution.why("base")] == [
        "app[x] -> lib>=1 -> base",
        "app[x] -> tool -> base>=1",
    ]
    with pytest.raises(KeyError):
        resolution.why("nothing")


def test_why_version_names_what_was_passed_over(source):
    resolution = Resolver(source).resolve(["app", "lib<2"], target=TARGET)

    choice = resolution.why_version("lib")

    assert choice.chosen == "1.5"
    assert choice.rejected == {}


def test_the_other_files_of_a_release_are_there(resolution):
    base = resolution.packages["base"]

    assert base.file.filename == "base-1-py3-none-any.whl"
    assert [file.filename for file in base.alternatives] == ["base-1-cp312-cp312-win_amd64.whl"]


def test_a_difference_names_what_comes_goes_and_changes(source, resolution):
    source.serve("lib", "1.6")
    other = Resolver(source).resolve(["app"], target=TARGET)

    difference = resolution.diff(other)

    assert difference.removed == {"tool": "3", "base": "1"}
    assert difference.changed == {"lib": ("1.5", "1.6")}
    assert not resolution.diff(resolution)


def test_the_export_is_one_pin_a_line(resolution):
    assert resolution.to_requirements_txt() == "app==1\nbase==1\nlib==1.5\ntool==3\n"
    assert "# via lib, tool" in resolution.to_requirements_txt(annotate=True)


def test_data_of_another_schema_are_refused(resolution):
    with pytest.raises(ValueError, match="schema"):
        Resolution.from_dict({**resolution.to_dict(), "schema": 99})
