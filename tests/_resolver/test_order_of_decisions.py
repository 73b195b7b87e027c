"""An early choice that much contradicts gives way, instead of being defended through all versions."""

from __future__ import annotations

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.file import FileRow

TARGET = Target.for_platform("3.12")
MANY = 300


@pytest.fixture
def source() -> FakeReleaseSource:
    """Each client has a core of its own, and no core goes with the newest date."""
    source = FakeReleaseSource()
    for number in range(MANY):
        source.serve("client", f"1.{number}", requires=[f"core>=1.{number},<1.{number + 2}"])
        source.serve("core", f"1.{number}", requires=["date<4"])
    for major in range(1, 5):
        source.serve("date", f"{major}.0")
    return source


def resolve(source: FakeReleaseSource, *requirements: str) -> dict[str, str]:
    resolution = Resolver(source).resolve(requirements, target=TARGET)
    return {name: package.version for name, package in resolution.packages.items()}


def looked_at(source: FakeReleaseSource) -> int:
    return len({name for name in source.asked if name.endswith(".whl")})


@pytest.mark.parametrize("requirements", [["date", "client"], ["client", "date"]])
def test_a_choice_that_all_versions_of_another_contradict_gives_way(
    source: FakeReleaseSource, requirements: list[str]
) -> None:
    newest = f"1.{MANY - 1}"

    assert resolve(source, *requirements) == {"client": newest, "core": newest, "date": "3.0"}
    assert looked_at(source) < 40


def test_so_does_one_that_what_comes_later_contradicts(source: FakeReleaseSource) -> None:
    source.serve("tool", "1.0", requires=["date", "helper"])
    source.serve("helper", "1.0", requires=["client"])

    assert resolve(source, "tool")["date"] == "3.0"
    assert looked_at(source) < 40


def test_one_that_is_required_stays_and_all_others_are_looked_at(source: FakeReleaseSource) -> None:
    source.serve("client", "0.9")

    assert resolve(source, "date>=4", "client") == {"client": "0.9", "date": "4.0"}
    assert looked_at(source) > MANY


def test_a_few_that_contradict_are_not_enough(source: FakeReleaseSource) -> None:
    for number in range(4):
        source.serve("other", f"2.{number}", requires=["date<4"])
    source.serve("other", "1.0", requires=["date"])

    assert resolve(source, "date", "other") == {"date": "4.0", "other": "1.0"}


def test_where_metadata_is_of_no_use_that_of_more_versions_is_read_at_once() -> None:
    touched: list[list[str]] = []

    class Touched(FakeReleaseSource):
        def touch(self, files: Sequence[FileRow]) -> None:
            touched.append([file.version for file in files])

    source = Touched()
    for number in range(1, 20):
        bad = errors.MetadataInvalid("no", reason="no") if number > 1 else None
        source.serve("a", f"{number}.0", invalid=bad)

    assert resolve(source, "a") == {"a": "1.0"}
    assert touched[:2] == [["19.0"], ["18.0", "17.0"]]
    assert [len(versions) for versions in touched[:4]] == [1, 2, 4, 8]
