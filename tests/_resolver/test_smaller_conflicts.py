"""A conflict that is told without some requirements is one of the whole question."""

from __future__ import annotations

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


def test_a_yanked_release_that_the_caller_pins_is_not_told_to_be_out_of_the_question() -> None:
    source = FakeReleaseSource()
    source.serve("a", "2.0", requires=["b<2"], yanked="a mistake")
    source.serve("b", "1")
    source.serve("b", "2", requires=["a>=2"])

    with pytest.raises(errors.ResolutionFailed) as failed:
        Resolver(source).resolve(["a==2.0", "b>=2"], target=TARGET)

    assert not failed.value.excluded
    assert "yanked" not in failed.value.explain("full")


def test_a_prerelease_that_the_caller_names_is_not_told_to_be_out_of_the_question() -> None:
    source = FakeReleaseSource()
    source.serve("a", "2.0a1", requires=["b<2"])
    source.serve("b", "1")
    source.serve("b", "2", requires=["a>=2.0a1"])

    with pytest.raises(errors.ResolutionFailed) as failed:
        Resolver(source).resolve(["a>=2.0a1", "b>=2"], target=TARGET, prereleases=PrereleaseMode.EXPLICIT)

    assert not failed.value.excluded
