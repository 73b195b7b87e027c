"""A cancel is heard at any moment: little is done between two looks at the token. Counted, not timed."""

from __future__ import annotations

import contextlib
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.cancel import CancelToken
from puffin_api._model.requirement import requirement_row
from puffin_api._model.target import Target
from puffin_api._resolver import propagation
from puffin_api._resolver.incompatibility import Incompatibility, Required, term
from puffin_api._resolver.package import Package
from puffin_api._testing.fake_releases import FakeReleaseSource

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = Target.for_platform("3.12")
MANY = 2000
LONGEST = 25_000
"""Calls of functions between two looks: a few milliseconds of work."""


class Stretches(CancelToken):
    """Notes the most calls of functions that lie between two looks at it; use it as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self._now = self.longest = 0

    def check(self) -> None:
        self.longest, self._now = max(self.longest, self._now), 0

    def _note(self, _frame: object, event: str, _argument: object) -> None:
        self._now += event in ("call", "c_call")

    def __enter__(self) -> Self:
        self._now = -(10**9)  # before the first look arguments are read
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self.check()


def longest_stretch(source: FakeReleaseSource, asked: list[str], *, dependencies: bool = True) -> int:
    """Resolve twice: the second time everything is known, and nothing is waited for."""
    token = Stretches()
    for context in (contextlib.nullcontext(), token):
        with contextlib.suppress(errors.ResolutionFailed), context:
            Resolver(source).resolve(asked, target=TARGET, cancel=token, dependencies=dependencies)
    return token.longest


def alike(source: FakeReleaseSource) -> list[str]:
    """Many versions that go in one step."""
    for number in range(MANY):
        source.serve("a", f"1.{number}", requires=["b>=2"])
    source.serve("b", "1")
    source.serve("b", "2")
    return ["a", "b<2"]


def differing(source: FakeReleaseSource) -> list[str]:
    """Many versions that go in one step, each with a requirement of its own, which the proof tells."""
    for number in range(MANY):
        source.serve("a", f"1.{number}", requires=[f"b>=2,!=3.{number}"])
    source.serve("b", "1")
    source.serve("b", "2")
    return ["a", "b<2"]


def unusable(source: FakeReleaseSource) -> list[str]:
    """Many versions without a file for the target, for reasons that differ."""
    for number in range(MANY):
        source.serve("a", f"1.{number}", requires_python=f">=3.{number + 20}")
    return ["a"]


def roots(source: FakeReleaseSource) -> list[str]:
    """Many requirements."""
    for number in range(MANY):
        source.serve(f"p{number}", "1")
    return [f"p{number}" for number in range(MANY)]


def fan(source: FakeReleaseSource) -> list[str]:
    """One project with many dependencies."""
    names = roots(source)
    source.serve("a", "1", requires=names)
    return ["a"]


def chain(source: FakeReleaseSource) -> list[str]:
    """A deep proof."""
    for number in range(MANY):
        source.serve(f"link{number}", "1", requires=[f"link{number + 1}"])
    return ["link0"]


def urls(source: FakeReleaseSource) -> list[str]:
    """Files of which each names the URL of the next."""
    asked = [f"link{n} @ https://index.invalid/link{n}-1-py3-none-any.whl" for n in range(MANY // 5 + 1)]
    for number, following in enumerate(asked[1:]):
        source.serve(f"link{number}", "1", requires=[following], listed=False)
    source.serve(f"link{MANY // 5}", "1", listed=False)
    return asked[:1]


@pytest.mark.parametrize("serve", [alike, differing, unusable, roots, fan, chain, urls])
def test_little_is_done_between_two_looks(serve: Callable[[FakeReleaseSource], list[str]]) -> None:
    source = FakeReleaseSource()
    asked = serve(source)

    assert 0 < longest_stretch(source, asked) < LONGEST


def test_little_is_done_between_two_looks_without_dependencies() -> None:
    source = FakeReleaseSource()
    asked = unusable(source)

    assert 0 < longest_stretch(source, asked, dependencies=False) < LONGEST


def test_propagation_looks_now_and_then() -> None:
    """One that goes on and on: every package has many incompatibilities, of which the last one is unit."""
    looks: list[int] = []
    propagator = propagation.Propagator(
        lambda _: None, lambda _package, _learnt: None, lambda: looks.append(propagator.looks)
    )
    packages = [Package(f"p{number}", "", 0b111, number << 24) for number in range(500)]
    cause = Required(requirement_row("p"), packages[0])
    for one, other in pairwise(packages):
        for _ in range(20):
            propagator.add(Incompatibility((term(one, 0b001), term(other, 0b110)), cause))
        propagator.add(Incompatibility((term(one, 0b110), term(other, 0b001)), cause))
    propagator.add(Incompatibility((term(packages[0], 0b001),), cause))

    propagator.propagate([packages[0]])

    assert packages[-1].current == 0b110
    assert propagator.looks > 20_000
    gaps = [after - before for before, after in pairwise([0, *looks, propagator.looks])]
    assert max(gaps) < 3_000
