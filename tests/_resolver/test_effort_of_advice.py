"""What goes into advice stands in proportion to the search that failed: counted, never timed."""

from __future__ import annotations

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.cancel import CancelToken
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.target import Target
from puffin_api._resolver.advice import _LEAST, _TOGETHER
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


class CountingToken(CancelToken):
    """Counts how often it is looked at: a few times for each candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        super().check()


@pytest.fixture
def source() -> FakeReleaseSource:
    return FakeReleaseSource()


def serve_chain(source: FakeReleaseSource, name: str, length: int, *, end: str = "") -> None:
    """Projects that have to be looked at one after the other; the last one may require something."""
    for number in range(length):
        source.serve(f"{name}{number}", "1", requires=[f"{name}{number + 1}"])
    source.serve(f"{name}{length}", "1", requires=[end] if end else [])


def hint_of(source: FakeReleaseSource, *requirements: str) -> str:
    with pytest.raises(errors.ResolutionFailed) as failed:
        Resolver(source).resolve(requirements, target=TARGET, prereleases=PrereleaseMode.DISALLOW)
    return failed.value.hint


def visited(source: FakeReleaseSource) -> int:
    return sum(name.endswith(".whl") for name in source.asked)


def test_a_trial_of_a_hundred_candidates_is_always_made(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0b1", requires=["link0"])
    serve_chain(source, "link", 100)

    assert "IF_NECESSARY" in hint_of(source, "a")


def test_a_failure_that_is_found_soon_is_told_soon(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0b1", requires=["link0"])
    serve_chain(source, "link", 4 * _LEAST.visited)

    assert hint_of(source, "a") == ""
    assert visited(source) <= _LEAST.visited + 2


@pytest.mark.parametrize(("count", "is_tried"), [(20, True), (200, False)])
def test_a_trial_may_not_look_at_too_many_incompatibilities(
    source: FakeReleaseSource, count: int, *, is_tried: bool
) -> None:
    """Few candidates and no conflict at all, but each depends on all others."""
    names = [f"p{number}" for number in range(count)]
    source.serve("a", "1.0b1", requires=names)
    for name in names:
        source.serve(name, "1", requires=names)

    assert bool(hint_of(source, "a")) is is_tried


def test_after_a_long_search_a_trial_may_take_longer(source: FakeReleaseSource) -> None:
    serve_chain(source, "link", 2 * _LEAST.visited, end="a")
    source.serve("a", "1.0b1")

    assert "IF_NECESSARY" in hint_of(source, "link0")


def test_all_trials_together_are_held_to_a_few(source: FakeReleaseSource) -> None:
    """Any one of many requirements may go: each trial finds a solution, at the end of a chain."""
    roots = [f"root{number}" for number in range(3 * _TOGETHER)]
    for number, root in enumerate(roots):
        source.serve(root, "1", requires=[f"x!={number}"])
        source.serve("x", str(number), requires=["link0"])
    serve_chain(source, "link", 2 * _LEAST.visited)

    token = CountingToken()

    with pytest.raises(errors.ResolutionFailed) as failed:
        Resolver(source).resolve(roots, target=TARGET, cancel=token)

    assert set(failed.value.conflicts) == set(roots)
    assert _LEAST.visited < token.checks < 4 * _TOGETHER * _LEAST.visited
