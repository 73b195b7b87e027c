"""What a failed resolution says, read as a user would: the texts here are snapshots."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.releases import Releases
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


@pytest.fixture
def source() -> FakeReleaseSource:
    return FakeReleaseSource()


def failed(source: FakeReleaseSource, *requirements: str, **options: object) -> errors.ResolutionFailed:
    with pytest.raises(errors.ResolutionFailed) as caught:
        Resolver(source).resolve(requirements, target=TARGET, **options)  # type: ignore[arg-type]  # options are passed on
    return caught.value


def kinds(error: errors.ResolutionFailed) -> set[str]:
    return {fact.kind for fact in error.derivation.facts}  # type: ignore[attr-defined]  # a Derivation


def codes(error: errors.ResolutionFailed, name: str) -> dict[str, str]:
    return {entry["version"]: entry["code"] for entry in error.excluded[name]}


def serve_menu(source: FakeReleaseSource) -> None:
    for minor in range(5):
        source.serve("menu", f"1.{minor}.0", requires=["dropdown>=2"])
    source.serve("menu", "1.0.1rc1", requires=["dropdown>=2"])
    source.serve("dropdown", "1.8.0", requires=["icons==1.*"])
    for minor in range(4):
        source.serve("dropdown", f"2.{minor}.0", requires=["icons==2.*"])
    source.serve("icons", "1.0.0")
    source.serve("icons", "2.0.0")


def test_two_requirements_that_cannot_be_met_together(source: FakeReleaseSource) -> None:
    serve_menu(source)

    error = failed(source, "menu", "icons<2")

    assert error.explain("short").splitlines() == [
        "Your requirements cannot be met, because",
        "  - you require menu",
        "  - you require icons<2",
        "  - all versions of menu depend on dropdown>=2",
        "  - dropdown>=2.0.0 depends on icons==2.*",
    ]
    first, *rest = error.explain("full").splitlines()
    assert first == (
        "Because all versions of menu depend on dropdown>=2 and dropdown>=2.0.0 depends on icons==2.*,"
        " all versions of menu need icons==2.0.0."
    )
    assert rest == [
        "And because you require menu, icons==2.0.0 is required.",
        "And because you require icons<2, your requirements cannot be met.",
    ]


def test_only_what_conflicts_is_told(source: FakeReleaseSource) -> None:
    serve_menu(source)
    source.serve("bystander", "1", requires=["icons"])
    source.serve("other", "1", requires=["dropdown"])

    error = failed(source, "bystander", "other", "menu>=1.1", "icons<2")

    assert set(error.conflicts) == {"menu>=1.1", "icons<2"}


def test_each_of_the_smallest_conflict_is_needed(source: FakeReleaseSource) -> None:
    serve_menu(source)
    source.serve("chain", "1", requires=["menu", "icons<2"])

    conflicts = failed(source, "menu", "chain", "icons", "icons<2").conflicts

    assert conflicts
    for left_out in conflicts:
        assert Resolver(source).resolve([text for text in conflicts if text != left_out], target=TARGET)


def test_a_version_that_is_not_there(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "1.5")
    source.serve("b", "1.0", requires=["a>=2"])

    assert failed(source, "a>=2").explain() == (
        "Because you require a>=2, but the versions go from 1.0 to 1.5 and none of them fits,"
        " your requirements cannot be met."
    )
    error = failed(source, "b")
    assert kinds(error) == {"required", "no-versions"}
    assert error.explain() == (
        "Because you require b and all versions of b depend on a>=2, but the versions go from 1.0 to 1.5"
        " and none of them fits, your requirements cannot be met."
    )


def test_a_dependency_that_does_not_exist(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["ghost"])

    error = failed(source, "a")

    assert kinds(error) == {"required", "not-found"}
    assert error.explain() == (
        "Because you require a and all versions of a depend on ghost, which is not known to any index,"
        " your requirements cannot be met."
    )


def test_a_constraint_is_told_as_one_and_lifting_it_is_proposed(source: FakeReleaseSource) -> None:
    serve_menu(source)

    error = failed(source, "menu", constraints=["icons<2", "dropdown<3", "unrelated==7"])

    assert "your constraints say icons<2" in error.explain()
    assert "constraint" in kinds(error)
    assert error.hint == "there is a solution without the constraint icons<2"


def test_many_versions_with_one_reason_are_one_run(source: FakeReleaseSource) -> None:
    for minor in range(30):
        source.serve("a", f"1.{minor}", requires_python=">=3.13")
        source.serve("a", f"1.{minor}rc1", requires_python=">=3.13")

    error = failed(source, "a>=1.2")

    assert error.explain().splitlines() == [
        "Because you require a>=1.2 and a>=1.2 requires Python >=3.13, your requirements cannot be met.",
        "hint: there is a solution for Python 3.13",
    ]
    assert set(codes(error, "a").values()) == {"requires-python"}


def test_a_scattered_set_is_told_by_its_ends(source: FakeReleaseSource) -> None:
    for minor in range(12):
        python = ">=3.13" if minor % 2 else "<3.9"
        source.serve("a", f"1.{minor}", requires_python=python)

    text = failed(source, "a").explain()

    assert "6 versions of a from 1.0 to 1.10 require Python <3.9" in text


def test_pre_releases_are_proposed_where_they_would_do(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0b1")
    source.serve("b", "1.0b1", requires=["ghost"])

    error = failed(source, "a", prereleases=PrereleaseMode.DISALLOW)
    assert codes(error, "a") == {"1.0b1": "prerelease"}
    assert "PrereleaseMode.IF_NECESSARY" in error.hint
    assert failed(source, "b", prereleases=PrereleaseMode.DISALLOW).hint == ""


def test_a_later_date_is_proposed_where_it_would_do(source: FakeReleaseSource) -> None:
    late = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    source.serve("a", "1", upload_time=late.timestamp(), requires=["b"])
    source.serve("b", "1", upload_time=late.timestamp() - 86400)

    error = failed(source, "a", exclude_newer=datetime(2024, 4, 30, tzinfo=UTC))

    assert codes(error, "a") == {"1": "too-new"}
    assert error.hint == (
        "there is a solution with files uploaded until 2024-05-01 12:30 UTC; set exclude_newer later"
    )


def test_a_yanked_release_is_proposed_with_its_pin(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", yanked="broken build")

    error = failed(source, "a")

    told, hint = error.explain().splitlines()
    assert told == (
        "Because you require a and all versions of a were yanked (broken build),"
        " your requirements cannot be met."
    )
    assert hint == "hint: there is a solution with a yanked release; require a==1.0 to accept it"


def test_wheels_only_and_sources_only(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", tags=(), sdist=True)
    source.serve("b", "1.0")

    assert codes(failed(source, "a", only_binary=[":all:"]), "a") == {"1.0": "only-binary"}
    error = failed(source, "b", no_binary=["b"])
    assert codes(error, "b") == {"1.0": "no-binary"}
    assert error.hint == "there is a solution without only_binary and no_binary"


def test_reasons_differ_file_by_file(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", tags=("cp39-cp39-win_amd64", "cp312-cp312-macosx_11_0_arm64"), sdist=True)

    error = failed(source, "a")

    (entry,) = error.excluded["a"]
    assert list(entry["files"]) == [
        "a-1.0-cp39-cp39-win_amd64.whl",
        "a-1.0-cp312-cp312-macosx_11_0_arm64.whl",
        "a-1.0.tar.gz",
    ]
    assert "find_links" in error.hint


def test_a_direct_url_deep_in_the_graph_bars_its_version(source: FakeReleaseSource) -> None:
    source.serve("a", "2.0", requires=["b @ https://example.invalid/b-1-py3-none-any.whl"])

    assert codes(failed(source, "a"), "a") == {"2.0": "direct-url"}


def test_a_direct_url_behind_an_extra_bars_the_extra_and_not_the_version(source: FakeReleaseSource) -> None:
    asked = 'b @ https://example.invalid/b-9-py3-none-any.whl ; extra == "x"'
    source.serve("a", "2", requires=[asked], extras=["x"])
    source.serve("b", "1")

    error = failed(source, "a[x]")
    assert codes(error, "a") == {"2": "direct-url"}
    assert Resolver(source).resolve(["a"], target=TARGET).packages["a"].version == "2"
    source.serve("a", "1", extras=["x"])
    assert Resolver(source).resolve(["a[x]"], target=TARGET).packages["a"].version == "1"
    overridden = Resolver(source).resolve(["a[x]"], target=TARGET, overrides=["b==1"])
    assert {name: p.version for name, p in overridden.packages.items()} == {"a": "2", "b": "1"}


def test_indexes_that_were_not_asked_are_named(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b>=2"])
    source.serve("b", "1.0")
    source.releases("b").unasked = ("mirror",)

    assert failed(source, "a").hint.startswith("mirror not asked for b, as fake knows it")
    assert failed(source, "a==7").hint == ""


def test_an_archive_of_the_version_that_no_index_may_offer_is_named(source: FakeReleaseSource) -> None:
    source.serve("a-b", "1.0")
    reason = "neither a wheel nor a .tar.gz or .zip source distribution"
    source.releases("a-b").skipped = dict.fromkeys(["A-B-2.0.tar.bz2", "a_b-2.0.exe", "c-2.0.tar.xz"], reason)

    expected = "A-B-2.0.tar.bz2 is no .tar.gz or .zip file; to build it all the same, require its URL"
    assert failed(source, "a-b==2").hint == expected
    assert failed(source, "a-b==3").hint == ""
    assert failed(source, "a-b>=2").hint == "", "any of them might do"


class Offline(FakeReleaseSource):
    """Has one project less in its cache than there is."""

    def releases(self, name: str) -> Releases:
        if name == "far":
            raise errors.OfflineMiss("not here", missing=["far"])
        return super().releases(name)


def test_offline_a_dependency_that_is_not_cached_costs_its_dependents_only() -> None:
    source = Offline()
    source.serve("a", "1")
    source.serve("a", "2", requires=["far"])

    assert Resolver(source).resolve(["a"], target=TARGET).packages["a"].version == "1"
    with pytest.raises(errors.OfflineMiss) as caught:
        Resolver(source).resolve(["a==2"], target=TARGET)
    assert caught.value.missing == ["far"]
    assert isinstance(caught.value.__cause__, errors.ResolutionFailed)
    assert kinds(caught.value.__cause__) == {"required", "offline"}


def test_an_error_is_data_and_survives_pickling(source: FakeReleaseSource) -> None:
    serve_menu(source)
    error = failed(source, "menu", "icons<2")

    data = error.to_dict()["data"]
    assert isinstance(data, dict)
    assert json.loads(json.dumps(data)) == data
    again = pickle.loads(pickle.dumps(error))  # our own bytes
    assert again.to_dict() == error.to_dict()
    for place, node in enumerate(data["derivation"]["nodes"]):
        assert {"kind", "text", "terms"} <= node.keys()
        assert all(cause < place for cause in node.get("causes", ()))


def test_a_long_chain_is_told_without_recursion(source: FakeReleaseSource) -> None:
    depth = 3000
    for number in range(depth):
        source.serve(f"p{number}", "1", requires=[f"p{number + 1}"])
    source.serve(f"p{depth}", "1", requires=["ghost"])

    error = failed(source, "p0")

    assert len(error.explain("full").splitlines()) > depth / 2
    assert pickle.loads(pickle.dumps(error)).conflicts == ("p0",)  # our own bytes


def test_why_version_names_the_reason_against_each_better_candidate(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["c<2"])
    source.serve("a", "2.0", requires=["c>=2", "b"])
    source.serve("a", "3.0", requires_python=">=3.14")
    source.serve("b", "1.0")
    source.serve("c", "1.0")
    source.serve("c", "2.0")

    choice = Resolver(source).resolve(["a", "c<2"], target=TARGET).why_version("a")

    assert {version: reason.code for version, reason in choice.rejected.items()} == {
        "3.0": "requires-python",
        "2.0": "requirement-unmet",
    }
    assert choice.rejected["2.0"].value == "c>=2"
    assert json.dumps(choice.to_dict())


def test_without_the_lock_another_python_without_it_is_proposed(source: FakeReleaseSource) -> None:
    target = Target.for_platform("3.13t", "manylinux_2_28_x86_64")
    source.serve("a", "1", requires_python=">=3.14", tags=["cp314-cp314t-manylinux_2_17_x86_64"])

    with pytest.raises(errors.ResolutionFailed) as caught:
        Resolver(source).resolve(["a"], target=target)

    assert "there is a solution for Python 3.14" in caught.value.explain()
