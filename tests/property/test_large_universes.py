"""Large universes: what is looked at stays within bounds that follow from the algorithm."""

from __future__ import annotations

import json
import pickle
import sys
from typing import TYPE_CHECKING

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.cancel import CancelToken
from puffin_api._model.events import PackageDecided
from puffin_api._model.requirement import requirement_row
from puffin_api._resolver.candidates import Policy
from puffin_api._resolver.dependencies import Amendments
from puffin_api._resolver.problem import Problem
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.solve import Solver
from puffin_api._testing.fake_releases import FakeReleaseSource
from tests.property.universes import TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.events import Event
    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import DistMetadata
    from puffin_api.errors import PuffinError

FIRST, WIDEST = 8, 256
"""So many candidates are asked for at once: at the first conflict of a project, and at most."""


class CountingSource(FakeReleaseSource):
    """Notes how many files it is asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def metadata(self, files: Sequence[FileRow]) -> Sequence[DistMetadata | PuffinError]:
        self.batches.append(len(files))
        return super().metadata(files)


@pytest.fixture
def source() -> FakeReleaseSource:
    return FakeReleaseSource()


def solver(source: FakeReleaseSource, *requirements: str) -> Solver:
    rows = [requirement_row(text) for text in requirements]
    return Solver(Problem(rows, Policy(TARGET), Amendments(TARGET)), source)


def test_of_five_thousand_versions_only_the_best_is_looked_at(source: FakeReleaseSource) -> None:
    for number in range(5000):
        source.serve("a", f"1.{number}")

    search = solver(source, "a<1.4000")

    (found,) = search.solve()
    assert found.snapshot.version(found.decision) == "1.3999"
    assert (search.visited, search.conflicts) == (1, 0)


def test_five_thousand_versions_that_ask_the_same_are_excluded_in_bulk() -> None:
    source = CountingSource()
    for number in range(5000):
        source.serve("a", f"1.{number}", requires=["b>=2"])
    source.serve("b", "1")
    source.serve("b", "2")

    search = solver(source, "a", "b<2")

    with pytest.raises(Unsolvable):
        search.solve()
    assert search.visited <= 5000 + 1  # no version is looked at twice, and b once
    assert search.conflicts <= 2  # not one for each version
    # One alone, then 8, 16, ... 128, then 256 at a time, and b.
    assert len(source.batches) <= 1 + 5 + 5000 // WIDEST + 2
    assert max(source.batches) <= WIDEST


def test_three_hundred_alternatives_fail_in_a_few_runs(source: FakeReleaseSource) -> None:
    count = 300
    for number in range(1, count + 1):
        source.serve("a", f"{number}", requires=[f"b=={number}"])
        source.serve("b", f"{number}", requires=[f"c=={number}" if number > 1 else "c"])
    source.serve("c", "1000")

    search = solver(source, "a")

    found = {p.name: p.snapshot.version(p.decision) for p in search.solve()}
    assert found == {"a": "1", "b": "1", "c": "1000"}
    # Each conflict excludes a run of alternatives, and runs double: 8, 16, ... 256.
    assert search.conflicts <= 7
    assert search.visited <= 2 * count + 1  # no version is looked at twice


def test_a_chain_of_three_thousand_is_followed_once(source: FakeReleaseSource) -> None:
    depth = 3000
    assert depth > sys.getrecursionlimit()
    for number in range(depth):
        source.serve(f"p{number}", "1", requires=[f"p{number + 1}"])
    source.serve(f"p{depth}", "1")

    search = solver(source, "p0")

    assert len(search.solve()) == depth + 1
    assert (search.visited, search.conflicts) == (depth + 1, 0)


def test_a_failure_at_the_end_of_a_long_chain_is_a_value(source: FakeReleaseSource) -> None:
    depth = 3000
    assert depth > sys.getrecursionlimit()
    for number in range(depth):
        source.serve(f"p{number}", "1", requires=[f"p{number + 1}"])
    source.serve(f"p{depth}", "1", requires=["p0>1"])

    with pytest.raises(errors.ResolutionFailed) as caught:
        Resolver(source).resolve(["p0"], target=TARGET)

    error = caught.value
    assert error.conflicts == ("p0",)
    assert len(error.explain("full").splitlines()) > depth / 2
    assert len(error.explain("short").splitlines()) < 20
    data = error.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert pickle.loads(pickle.dumps(error)).to_dict() == data  # our own bytes


def test_a_cycle_of_five_hundred_closes(source: FakeReleaseSource) -> None:
    length = 500
    for number in range(length):
        for version in (1, 2):
            following = f"p{(number + 1) % length}=={version}"
            source.serve(f"p{number}", str(version), requires=[following])

    search = solver(source, "p0")

    found = search.solve()
    assert {p.snapshot.version(p.decision) for p in found} == {"2"}
    assert (search.visited, search.conflicts) == (length, 0)


# --- cancelling -------------------------------------------------------------------------------


def serve_long_search(source: FakeReleaseSource, length: int = 200) -> None:
    """Each project admits one version less of the next, and nothing can be excluded in bulk."""
    for number in range(length):
        for version in range(1, 6):
            following = [f"p{number + 1}<={version}", f"q{number}=={version}"]
            source.serve(f"p{number}", str(version), requires=following)
            source.serve(f"q{number}", str(version))
    source.serve(f"p{length}", "9")


class ThrowingReporter:
    """Throws a token after so many decisions."""

    def __init__(self, token: CancelToken, patience: int) -> None:
        self._token = token
        self._patience = patience
        self.decided = 0

    def on_event(self, event: Event) -> None:
        self.decided += isinstance(event, PackageDecided)
        if self.decided >= self._patience:
            self._token.cancel("enough")


class ThrowingSource(CountingSource):
    """Throws a token after it has been asked for so many files."""

    def __init__(self, token: CancelToken, patience: int) -> None:
        super().__init__()
        self._token = token
        self._patience = patience

    def metadata(self, files: Sequence[FileRow]) -> Sequence[DistMetadata | PuffinError]:
        found = super().metadata(files)
        if sum(self.batches) >= self._patience:
            self._token.cancel("enough")
        return found


@pytest.mark.parametrize("patience", [1, 10, 150])
def test_a_reporter_that_cancels_is_heard_at_once(source: FakeReleaseSource, patience: int) -> None:
    serve_long_search(source)
    token = CancelToken()
    reporter = ThrowingReporter(token, patience)

    with pytest.raises(errors.Cancelled):
        Resolver(source).resolve(["p0"], target=TARGET, reporter=reporter, cancel=token)

    assert reporter.decided == patience  # nothing was decided after that


@pytest.mark.parametrize("patience", [1, 10, 150])
def test_a_source_that_cancels_is_asked_for_nothing_new(patience: int) -> None:
    token = CancelToken()
    source = ThrowingSource(token, patience)
    serve_long_search(source)

    with pytest.raises(errors.Cancelled):
        Resolver(source).resolve(["p0"], target=TARGET, cancel=token)

    asked = sum(source.batches)

    assert patience <= asked <= patience + FIRST  # what is asked for together comes together
