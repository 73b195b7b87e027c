"""What the caller says of projects also holds for what the caller requires; odd versions are no crash."""

from __future__ import annotations

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.requirement import lenient_row, requirement_row
from puffin_api._model.target import Target
from puffin_api._model.version_key import sort_version
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


def test_an_excluded_project_is_never_part_of_the_answer() -> None:
    source = FakeReleaseSource()
    source.serve("a", "1")
    source.serve("b", "1")

    assert "a" not in Resolver(source).resolve(["a", "b"], target=TARGET, excludes=["a"]).packages


def test_an_override_replaces_the_callers_requirement_too() -> None:
    source = FakeReleaseSource()
    source.serve("a", "1")
    source.serve("a", "2")

    answer = Resolver(source).resolve(["a<2"], target=TARGET, overrides=["a>=2"])

    assert answer.packages["a"].version == "2"


@pytest.mark.parametrize("text", ["a>1.0.dev1", "a<1.0.post1"])
def test_an_open_bound_is_no_exact_pin(text: str) -> None:
    assert not requirement_row(text).singleton


def test_numbers_that_python_refuses_to_read_are_no_versions() -> None:
    assert sort_version("1" * 5000) is None
    with pytest.raises(errors.RequirementInvalid):
        lenient_row("b>=" + "1" * 5000)
