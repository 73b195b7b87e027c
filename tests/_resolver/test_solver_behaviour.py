"""What the solver chooses, said in small indexes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.events import Backtracked, Event
from puffin_api._model.options import Pin, PrereleaseMode, ResolutionMode, Upgrade
from puffin_api._model.target import Target
from puffin_api._resolver.snapshot import Snapshot
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")


class Heard:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)


def pins(source: FakeReleaseSource, *requirements: str, **options: object) -> dict[str, str]:
    resolution = Resolver(source).resolve(requirements, target=TARGET, **options)  # type: ignore[arg-type]  # options are passed on
    return {name: package.version for name, package in resolution.packages.items()}


@pytest.fixture
def source() -> FakeReleaseSource:
    return FakeReleaseSource()


def test_the_highest_version_is_chosen(source: FakeReleaseSource) -> None:
    for version in ("1.0", "1.10", "1.9"):
        source.serve("a", version)

    assert pins(source, "a") == {"a": "1.10"}


def test_a_conflict_backtracks_to_an_older_version(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b<2"])
    source.serve("a", "2", requires=["b>=2"])
    source.serve("b", "1")
    source.serve("b", "2")

    assert pins(source, "a", "b<2") == {"a": "1", "b": "1"}


def test_shared_dependency_with_overlapping_ranges(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0.0", requires=["shared>=2.0.0,<4.0.0"])
    source.serve("b", "1.0.0", requires=["shared>=3.0.0,<5.0.0"])
    for version in ("2.0.0", "3.0.0", "3.6.9", "4.0.0", "5.0.0"):
        source.serve("shared", version)

    assert pins(source, "a", "b")["shared"] == "3.6.9"


def test_many_versions_with_the_same_conflict_are_excluded_at_once(source: FakeReleaseSource) -> None:
    for number in range(1, 400):
        source.serve("boto", f"1.{number}", requires=[f"core=={number}"])
        source.serve("core", f"{number}", requires=["net<2" if number < 390 else "net<1"])
    for number in range(1, 4):
        source.serve("net", str(number))

    heard = Heard()
    answer = pins(source, "net>=1", "boto", reporter=heard)

    assert answer == {"boto": "1.389", "core": "389", "net": "1"}
    assert sum(isinstance(event, Backtracked) for event in heard.events) < 10


def test_a_prerelease_is_used_only_where_nothing_stable_will_do(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0a1")
    source.serve("b", "1.0", requires=["a>1"])

    assert pins(source, "a") == {"a": "1.0"}
    assert pins(source, "b")["a"] == "2.0a1"
    assert pins(source, "a", prereleases=PrereleaseMode.ALLOW) == {"a": "2.0a1"}
    with pytest.raises(errors.ResolutionFailed, match="pre-release"):
        pins(source, "b", prereleases=PrereleaseMode.DISALLOW)


def test_explicit_mode_admits_prereleases_that_the_caller_names(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0a1")

    assert pins(source, "a>=1.0", prereleases=PrereleaseMode.EXPLICIT) == {"a": "1.0"}
    assert pins(source, "a>=1.0a1", prereleases=PrereleaseMode.EXPLICIT) == {"a": "2.0a1"}


def test_yanked_release_is_skipped_unless_pinned_or_locked(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0", yanked="broken")

    assert pins(source, "a") == {"a": "1.0"}
    assert pins(source, "a==2.0") == {"a": "2.0"}
    assert pins(source, "a", locked=[Pin("a", "2.0")]) == {"a": "2.0"}
    with pytest.raises(errors.ResolutionFailed, match="yanked"):
        pins(source, "a>=2.0")


def test_a_pin_prefers_what_is_not_yanked(source: FakeReleaseSource) -> None:
    source.serve("a", "2.0")
    source.serve("a", "2.0+local", yanked="")

    assert pins(source, "a==2.0") == {"a": "2.0"}


def test_a_transitive_pin_does_not_admit_a_yanked_release(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b==2.0"])
    source.serve("b", "2.0", yanked="")

    with pytest.raises(errors.ResolutionFailed, match="yanked"):
        pins(source, "a")


def test_extras_bring_their_requirements_and_the_same_version(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b; extra == 'x'"], extras=["x"])
    source.serve("a", "2", requires=["c"], extras=[])
    source.serve("b", "1", requires=["a<2"])
    source.serve("c", "1")

    assert pins(source, "a<2") == {"a": "1"}
    assert pins(source, "a[x]<2") == {"a": "1", "b": "1"}


def test_extras_that_ask_for_other_extras_of_their_own_package(source: FakeReleaseSource) -> None:
    requires = [
        "a[b,c]; extra == 'all'",
        "dep-b; extra == 'b'",
        "dep-c; extra == 'c'",
    ]
    source.serve("a", "1", requires=requires, extras=["all", "b", "c"])
    source.serve("dep-b", "1")
    source.serve("dep-c", "1")

    assert pins(source, "a[all]") == {"a": "1", "dep-b": "1", "dep-c": "1"}


def test_an_unknown_extra_is_a_notice(source: FakeReleaseSource) -> None:
    source.serve("a", "1")

    resolution = Resolver(source).resolve(["a[nope]"], target=TARGET)

    assert [notice.code for notice in resolution.notices] == ["unknown-extra"]
    assert resolution.notices[0].data["extra"] == "nope"


def test_markers_are_decided_for_the_target_not_for_this_process(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["win; sys_platform == 'win32'", "old; python_version < '3.10'"])
    source.serve("win", "1")
    source.serve("old", "1")

    windows = Target.for_platform("3.9", "win_amd64")
    resolution = Resolver(source).resolve(["a"], target=windows)

    assert pins(source, "a") == {"a": "1"}
    assert set(resolution.packages) == {"a", "win", "old"}


def test_a_marker_that_makes_no_sense_is_false(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b; python_version ~= 'nonsense'"])

    assert pins(source, "a") == {"a": "1"}


def test_requires_python_is_judged_for_the_target(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires_python=">=3.8")
    source.serve("a", "2", requires_python=">=3.13")
    source.serve("a", "3", requires_python=">=3.8,<3.12")

    assert pins(source, "a") == {"a": "1"}


def test_a_release_without_a_usable_wheel_is_skipped_with_the_reason(source: FakeReleaseSource) -> None:
    source.serve("a", "1")
    source.serve("a", "2", tags=["cp312-cp312-win_amd64"], sdist=True)

    assert pins(source, "a") == {"a": "1"}
    with pytest.raises(errors.ResolutionFailed) as failed:
        pins(source, "a==2")
    (excluded,) = failed.value.excluded["a"]
    assert isinstance(excluded, dict)
    assert (excluded["version"], excluded["code"]) == ("2", "incompatible-tags")
    assert list(excluded["files"]) == ["a-2-cp312-cp312-win_amd64.whl", "a-2.tar.gz"]


def test_the_best_tag_wins_and_the_build_number_breaks_ties(source: FakeReleaseSource) -> None:
    source.serve(
        "a", "1", tags=["py3-none-any", "cp312-cp312-manylinux_2_17_x86_64", "cp312-abi3-linux_x86_64"]
    )

    resolution = Resolver(source).resolve(["a"], target=TARGET)

    assert resolution.packages["a"].file.filename == "a-1-cp312-cp312-manylinux_2_17_x86_64.whl"
    assert len(resolution.packages["a"].alternatives) == 2


def test_invalid_metadata_bars_only_its_own_version(source: FakeReleaseSource) -> None:
    broken = errors.MetadataInvalid("the metadata of a 2 is invalid", name="a")
    source.serve("a", "1")
    source.serve("a", "2", invalid=broken)

    resolution = Resolver(source).resolve(["a"], target=TARGET)

    assert resolution.packages["a"].version == "1"
    rejected = resolution.why_version("a").rejected
    assert {version: reason.code for version, reason in rejected.items()} == {"2": "metadata-invalid"}


def test_a_missing_dependency_bars_the_version_that_needs_it(source: FakeReleaseSource) -> None:
    source.serve("a", "1")
    source.serve("a", "2", requires=["missing"])

    assert pins(source, "a") == {"a": "1"}


def test_a_missing_project_that_the_caller_asks_for_is_its_own_error(source: FakeReleaseSource) -> None:
    with pytest.raises(errors.PackageNotFound) as failed:
        pins(source, "nowhere>1")
    assert failed.value.name == "nowhere"


def test_a_version_that_does_not_exist_fails_with_the_requirement(source: FakeReleaseSource) -> None:
    source.serve("a", "1")

    with pytest.raises(errors.ResolutionFailed) as failed:
        pins(source, "a>=2")

    assert str(failed.value) == (
        "Because you require a>=2, but the only version is 1, your requirements cannot be met."
    )
    assert failed.value.conflicts == ("a>=2",)


def test_a_conflict_names_all_that_take_part(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b<3"])
    source.serve("b", "2")
    source.serve("b", "4")

    with pytest.raises(errors.ResolutionFailed) as failed:
        pins(source, "a", "b>=4")

    assert str(failed.value) == (
        "Because you require a, you require b>=4 and all versions of a depend on b<3,"
        " your requirements cannot be met."
    )
    assert set(failed.value.conflicts) == {"a", "b>=4"}


def test_constraints_narrow_but_never_add(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b"])
    source.serve("b", "1")
    source.serve("b", "2")
    source.serve("c", "1")

    assert pins(source, "a", constraints=["b<2", "c<5"]) == {"a": "1", "b": "1"}


def test_overrides_replace_what_everybody_requires(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b<2"])
    source.serve("b", "1")
    source.serve("b", "2")

    assert pins(source, "a", overrides=["b>=2"]) == {"a": "1", "b": "2"}


def test_excludes_drop_a_dependency(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b"])
    source.serve("b", "1")

    assert pins(source, "a", excludes=["b"]) == {"a": "1"}


def test_lowest_takes_the_lowest_and_lowest_direct_only_for_direct(source: FakeReleaseSource) -> None:
    for version in ("1", "2"):
        source.serve("a", version, requires=["b"])
        source.serve("b", version)

    assert pins(source, "a", mode=ResolutionMode.LOWEST) == {"a": "1", "b": "1"}
    assert pins(source, "a", mode=ResolutionMode.LOWEST_DIRECT) == {"a": "1", "b": "2"}


def test_without_dependencies_only_what_is_asked_for(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b"])
    source.serve("b", "1")

    assert pins(source, "a", dependencies=False) == {"a": "1"}
    assert source.asked == ["a"]


def test_locked_versions_stay_unless_they_are_to_be_upgraded(source: FakeReleaseSource) -> None:
    for version in ("1", "2"):
        source.serve("a", version, requires=["b"])
        source.serve("b", version)
    locked = [Pin("a", "1"), Pin("b", "1")]

    assert pins(source, "a", locked=locked) == {"a": "1", "b": "1"}
    assert pins(source, "a", locked=locked, upgrade=Upgrade.only(["b"])) == {"a": "1", "b": "2"}
    assert pins(source, "a>1", locked=locked) == {"a": "2", "b": "1"}
    assert pins(source, "a", locked=locked, upgrade=Upgrade.all()) == {"a": "2", "b": "2"}


def test_a_protected_package_is_kept_or_its_change_refused(source: FakeReleaseSource) -> None:
    for version in ("1", "2"):
        source.serve("torch", version)
    source.serve("plugin", "1", requires=["torch>=1"])
    source.serve("needy", "1", requires=["torch>=2"])
    installed = [Pin("torch", "1")]

    assert pins(source, "plugin", installed=installed, protect=["torch"])["torch"] == "1"
    with pytest.raises(errors.ProtectedPackage) as failed:
        pins(source, "needy", installed=installed, protect=["torch"])
    assert failed.value.name == "torch"
    assert failed.value.requested_by == ["needy -> torch>=2"]


def test_cycles_are_no_trouble(source: FakeReleaseSource) -> None:
    source.serve("a", "1", requires=["b", "a>=1"])
    source.serve("b", "1", requires=["a"])

    assert pins(source, "a") == {"a": "1", "b": "1"}


def test_a_package_that_requires_another_version_of_itself_cannot_be_used(
    source: FakeReleaseSource,
) -> None:
    source.serve("a", "1")
    source.serve("a", "2", requires=["a<2"])

    assert pins(source, "a") == {"a": "1"}


def test_a_deep_graph_needs_no_deep_stack(source: FakeReleaseSource) -> None:
    depth = 3000
    for number in range(depth):
        source.serve(f"p{number}", "1", requires=[f"p{number + 1}"])
    source.serve(f"p{depth}", "1", requires=["p0>1"])

    with pytest.raises(errors.ResolutionFailed) as failed:
        pins(source, "p0")
    assert failed.value.explain("full")
    assert failed.value.to_dict()


def test_a_malformed_requirement_says_where(source: FakeReleaseSource) -> None:
    with pytest.raises(errors.RequirementInvalid) as failed:
        pins(source, "a>>1")
    assert failed.value.text == "a>>1"
    assert failed.value.column == 1


def test_one_text_instead_of_a_list_is_refused(source: FakeReleaseSource) -> None:
    with pytest.raises(TypeError, match="list"):
        Resolver(source).resolve("abc", target=TARGET)


def test_exclude_newer_leaves_out_what_came_later(source: FakeReleaseSource) -> None:
    from datetime import UTC, datetime

    source.serve("a", "1", upload_time=datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    source.serve("a", "2", upload_time=datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    source.serve("a", "3")
    cutoff = datetime(2022, 1, 1, tzinfo=UTC)

    assert pins(source, "a", exclude_newer=cutoff) == {"a": "1"}
    assert pins(source, "a", exclude_newer={"b": cutoff}) == {"a": "3"}


def test_policies_that_are_never_used_again_do_not_pile_up(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", upload_time=0.0)
    resolver = Resolver(source)
    for days in range(1, 100):
        when = datetime.now(UTC) - timedelta(days=days)
        assert resolver.resolve(["a"], target=TARGET, exclude_newer=when).packages["a"].version == "1.0"

    snapshot = Snapshot.of(source.releases("a"))
    assert len(snapshot._views) <= 8
    assert len(snapshot.plain) <= 8
