"""Why a package has no better version, where no single requirement is in the way."""

from __future__ import annotations

import pytest

from puffin_api import Client
from puffin_api._api.resolver import Resolver
from puffin_api._model.options import Pin, ResolutionMode
from puffin_api._model.rejection import Rejection
from puffin_api._model.target import Target
from puffin_api._resolver import choices
from puffin_api._testing.fake_index import FakeIndex
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


@pytest.fixture
def source() -> FakeReleaseSource:
    return FakeReleaseSource()


def rejected(
    source: FakeReleaseSource, name: str, *requirements: str, **options: object
) -> dict[str, Rejection]:
    resolution = Resolver(source).resolve(requirements, target=TARGET, **options)  # type: ignore[arg-type]  # passed on
    return dict(resolution.why_version(name).rejected)


def told(found: dict[str, Rejection]) -> dict[str, tuple[str, str]]:
    return {version: (reason.code, reason.value) for version, reason in found.items()}


def test_a_conflict_further_on_is_told_as_facts(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0", requires=["middle"])
    source.serve("middle", "1.0", requires=["c>=2"])
    source.serve("c", "1.0")
    source.serve("c", "2.0")

    found = rejected(source, "a", "a", "c<2")

    assert list(found) == ["2.0"]
    assert found["2.0"].code == "conflict"
    assert found["2.0"].text == (
        "is not possible: a==2.0 depends on middle, all versions of middle depend on c>=2, you require c<2"
    )


def test_all_versions_that_it_holds_for_are_tried_at_once(
    source: FakeReleaseSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.serve("a", "1.0")
    for major in range(2, 40):
        source.serve("a", f"{major}.0", requires=[f"middle{major}"])
        source.serve(f"middle{major}", "1.0", requires=["c>=2"])
    source.serve("c", "1.0")
    source.serve("c", "2.0")
    trials = []
    attempt = choices.Choices._attempt
    monkeypatch.setattr(choices.Choices, "_attempt", lambda *args: trials.append(1) or attempt(*args))

    found = rejected(source, "a", "a", "c<2")

    assert len(found) == 38
    assert {reason.code for reason in found.values()} == {"conflict"}
    assert "you require c<2" in found["39.0"].value
    assert len(trials) == 1


def test_a_better_version_that_costs_another_is_a_trade_off(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0", requires=["middle"])
    source.serve("middle", "1.0", requires=["b<2"])
    source.serve("b", "1.0")
    source.serve("b", "2.0")

    found = rejected(source, "a", "b", "a")

    assert told(found) == {"2.0": ("trade-off", "b 1.0 instead of 2.0, middle 1.0")}
    assert found["2.0"].text == "is possible only with b 1.0 instead of 2.0, middle 1.0"


def test_each_version_has_its_own_reason(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    for version, middle in (("2.0", "cheap"), ("3.0", "cheap"), ("4.0", "dear"), ("5.0", "dear")):
        source.serve("a", version, requires=[middle])
    source.serve("cheap", "1.0", requires=["b<2"])
    source.serve("dear", "1.0", requires=["b<1"])
    source.serve("b", "1.0")
    source.serve("b", "2.0")

    found = rejected(source, "a", "b", "a")

    assert {version: reason.code for version, reason in found.items()} == {
        "5.0": "conflict",
        "4.0": "conflict",
        "3.0": "trade-off",
        "2.0": "trade-off",
    }
    assert list(found) == ["5.0", "4.0", "3.0", "2.0"]  # best first


def test_where_the_lowest_is_best_the_lower_ones_are_tried(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["middle"])
    source.serve("a", "2.0")
    source.serve("middle", "1.0", requires=["c>=2"])
    source.serve("c", "1.0")
    source.serve("c", "2.0")

    found = rejected(source, "a", "a", "c<2", mode=ResolutionMode.LOWEST)
    assert told(found)["1.0"][0] == "conflict"


def test_a_preferred_version_that_cannot_be_kept(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["middle"])
    source.serve("a", "2.0")
    source.serve("middle", "1.0", requires=["c<2"])
    source.serve("c", "1.0")
    source.serve("c", "2.0")

    found = rejected(source, "a", "a", "c>=2", locked=[Pin("a", "1.0")])

    assert told(found)["1.0"][0] == "conflict"
    assert "you require c>=2" in found["1.0"].value


def test_what_takes_too_long_is_said_in_general(
    source: FakeReleaseSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0", requires=["middle"])
    source.serve("middle", "1.0", requires=["c>=2"])
    source.serve("c", "1.0")
    source.serve("c", "2.0")
    monkeypatch.setattr(choices, "_MOST_TRIALS", 0)

    assert rejected(source, "a", "a", "c<2")["2.0"].text == (
        "has dependencies that do not go together with the rest"
    )


def test_it_can_be_asked_after_the_client_was_closed() -> None:
    index = FakeIndex()
    index.add("a", "1.0")
    index.add("a", "2.0", requires=["middle"])
    index.add("middle", "1.0", requires=["c>=2"])
    index.add("c", "1.0")
    index.add("c", "2.0")
    with Client(indexes=[index]) as client:
        resolution = Resolver(client).resolve(["a", "c<2"], target=TARGET)

    assert resolution.why_version("a").rejected["2.0"].code == "conflict"


def test_extras_of_a_constraint_bring_a_notice(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b; extra == 'x'"], extras=["x"])
    source.serve("b", "1.0")

    resolution = Resolver(source).resolve(["a"], target=TARGET, constraints=["a[x]<2", "b[y]<3"])

    assert list(resolution.packages) == ["a"]
    (notice,) = resolution.notices
    assert notice.code == "constraint-extras"
    assert notice.data == {"name": "a", "constraint": "a[x]<2", "extras": ["x"]}
