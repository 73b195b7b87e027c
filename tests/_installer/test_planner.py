from __future__ import annotations

import pickle
from contextlib import nullcontext

import pytest

from puffin_api._installer.planner import make_plan, plan_uninstall
from puffin_api._installer.transaction import commit
from puffin_api._model.direct_url import ArchiveInfo, DirectUrl
from puffin_api._model.file import FileRow
from puffin_api._model.options import Allow
from puffin_api._model.plan import Change
from puffin_api._model.requirement import requirement_row
from puffin_api._model.resolution import Resolution, ResolvedPackage
from puffin_api.errors import ProtectedPackage
from tests._installer.environment_kit import TARGET, Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def resolved(*pins, roots=(), requires=None, sdists=(), size=100):
    """A resolution of ``name==version`` pins; ``requires`` gives the requirements of each."""
    packages = []
    for pin in pins:
        name, _, version = pin.partition("==")
        suffix = ".tar.gz" if name in sdists else "-py3-none-any.whl"
        row = FileRow(
            project=name,
            version=version,
            filename=f"{name}-{version}{suffix}",
            url=f"https://index.invalid/{name}-{version}{suffix}",
            size=size,
            index="https://index.invalid/simple/",
        )
        groups = [("", [requirement_row(text) for text in (requires or {}).get(name, ())])]
        packages.append(ResolvedPackage(name, version, (), row, (row,), groups))
    return Resolution(packages, roots=[requirement_row(text) for text in roots or pins], target=TARGET)


def actions(plan):
    return [(change.action, change.name, change.old, change.new) for change in plan.changes]


def test_each_difference_becomes_a_change(place):
    place.change(*(place.wheel(name, "2.0") for name in ("same", "up", "down", "other")))

    plan = make_plan(
        resolved("same==2.0", "up==3.0", "down==1.0", "new==1.0"),
        place.installed(),
        cached={"new": place.wheel("new")},
    )

    assert actions(plan) == [
        ("downgrade", "down", "2.0", "1.0"),
        ("install", "new", None, "1.0"),
        ("upgrade", "up", "2.0", "3.0"),
    ]
    assert [change.cached for change in plan.changes] == [False, True, False]
    assert plan.download_bytes == 200
    assert plan.kept == 1
    assert plan.environment_fingerprint == place.installed().fingerprint


def test_nothing_to_do_is_an_empty_plan(place):
    place.change(place.wheel("a", "1.0"))

    plan = make_plan(resolved("a==1.0.0"), place.installed(), mode="sync")

    assert plan.is_empty
    assert plan.changes == plan.breaks == plan.blockers == ()


def test_sync_removes_what_the_resolution_does_not_name_but_for_seeds(place):
    place.change(*(place.wheel(name) for name in ("a", "b", "pip", "kept")))

    plan = make_plan(resolved("a==1.0"), place.installed(), mode="sync", protect=["kept"])
    bare = make_plan(resolved("a==1.0"), place.installed(), mode="sync", seeds=())

    assert actions(plan) == [("remove", "b", "1.0", None)]
    assert [change.name for change in bare.changes] == ["b", "kept", "pip"]


def test_reinstall_names_or_all(place):
    place.change(place.wheel("a"), place.wheel("b"))
    resolution = resolved("a==1.0", "b==1.0")

    assert actions(make_plan(resolution, place.installed(), reinstall=["A"])) == [
        ("reinstall", "a", "1.0", "1.0")
    ]
    assert len(make_plan(resolution, place.installed(), reinstall=True).changes) == 2


def test_reasons_are_the_ways_from_the_requirements(place):
    resolution = resolved("a==1.0", "b==1.0", roots=["a>=1"], requires={"a": ["b<2"]})

    plan = make_plan(resolution, place.installed())

    assert [[str(path) for path in change.reasons] for change in plan.changes] == [["a>=1"], ["a>=1 -> b<2"]]
    assert plan.requested == {"a"}


def test_another_origin_is_a_reinstall(place):
    origin = DirectUrl(url="https://x.invalid/a-1.0.whl", info=ArchiveInfo())
    other = DirectUrl(url="https://y.invalid/a-1.0.whl", info=ArchiveInfo())
    resolution = resolved("a==1.0")
    place.change(place.wheel("a"))

    plan = make_plan(resolution, place.installed(), direct_urls={"a": origin})
    assert [(change.action, change.cause) for change in plan.changes] == [("reinstall", "origin")]
    commit(plan.changes, {"a": place.wheel("a")}, place.scheme, executable="p", lock=nullcontext())

    assert make_plan(resolution, place.installed(), direct_urls={"a": origin}).is_empty
    assert not make_plan(resolution, place.installed(), direct_urls={"a": other}).is_empty
    assert make_plan(resolution, place.installed()).is_empty, "a version was asked for, and it is there"


def test_a_duplicate_is_healed(place):
    place.change(place.wheel("a", "1.0"))
    (place.site / "a-0.9.dist-info").mkdir()

    plan = make_plan(resolved("a==1.0"), place.installed())

    assert [change.cause for change in plan.changes] == ["duplicate"]
    assert len(plan.leaving) == 2


def test_a_protected_package_is_not_changed(place):
    place.change(place.wheel("torch", "2.0"))
    resolution = resolved("a==1.0", "torch==2.1", requires={"a": ["torch>=2.1"]}, roots=["a"])

    with pytest.raises(ProtectedPackage) as caught:
        make_plan(resolution, place.installed(), protect=["Torch"])

    assert (caught.value.name, caught.value.requested_by) == ("torch", ("a",))


def test_what_is_not_allowed_blocks(place):
    place.change(place.wheel("a", "2.0"), place.wheel("b"))

    plan = make_plan(
        resolved("a==1.0"), place.installed(), mode="sync", allow=Allow(downgrade=False, remove=False)
    )

    assert [(item.code, item.name) for item in plan.blockers] == [
        ("downgrade-not-allowed", "a"),
        ("remove-not-allowed", "b"),
    ]


def test_broken_requirements_of_what_stays_are_told(place):
    place.change(
        place.wheel("a", "1.0"),
        place.wheel("stays", requires=["a<2", "z; python_version < '3'"]),
        place.wheel("extra", extras={"x": ["a==1.0"]}),
    )

    plan = make_plan(resolved("a==2.0"), place.installed())

    assert [str(item) for item in plan.breaks] == ["stays 1.0 requires a<2, which becomes 2.0"]


def test_builds_are_named(place):
    plan = make_plan(resolved("a==1.0", "b==1.0", sdists=["b"]), place.installed())

    assert plan.builds == ("b",)


def test_a_plan_is_data(place):
    plan = make_plan(resolved("a==1.0"), place.installed())

    assert pickle.loads(pickle.dumps(plan)) == plan
    assert hash(plan.changes[0]) == hash(pickle.loads(pickle.dumps(plan)).changes[0])
    data = plan.to_dict()
    assert data["schema"] == 1
    assert data["changes"][0]["file"]["filename"] == "a-1.0-py3-none-any.whl"


def test_uninstalling_refuses_to_break_what_stays(place):
    place.change(place.wheel("a"), place.wheel("b", requires=["a"]))

    with pytest.raises(ProtectedPackage) as caught:
        plan_uninstall(["a"], place.installed(), target=TARGET)
    plan = plan_uninstall(["a"], place.installed(), target=TARGET, allow_broken=True)

    assert (caught.value.name, caught.value.requested_by) == ("a", ("b",))
    assert actions(plan) == [("remove", "a", "1.0", None)]
    assert [str(item) for item in plan.breaks] == ["b 1.0 requires a, which is removed"]
    assert plan_uninstall(["a", "b"], place.installed(), target=TARGET).breaks == ()


def test_uninstalling_what_is_not_there_is_a_notice(place):
    plan = plan_uninstall(["No.Such"], place.installed(), target=TARGET)

    assert plan.is_empty
    assert [notice.code for notice in plan.notices] == ["not-installed"]


def test_orphans_go_with_what_needed_them(place):
    place.change(
        place.wheel("app", requires=["lib", "shared", "wanted"]),
        place.wheel("lib", requires=["deep"]),
        place.wheel("deep", requires=["lib"]),
        place.wheel("shared"),
        place.wheel("wanted"),
        place.wheel("other", requires=["shared"]),
        requested=["app", "other", "wanted"],
    )

    plan = plan_uninstall(["app"], place.installed(), target=TARGET, orphans=True)

    assert [(change.name, change.cause) for change in plan.changes] == [
        ("app", "asked"),
        ("deep", "orphan"),
        ("lib", "orphan"),
    ]


def test_a_change_can_be_made_by_hand():
    change = Change(action="remove", name="a", old="1")

    assert change.reasons == ()
    assert change.file is None


def test_a_distribution_without_metadata_is_installed_again(place):
    place.change(place.wheel("a", "1"))
    (place.site / "a-1.dist-info/METADATA").unlink()

    plan = make_plan(resolved("a==1"), place.installed())

    assert [(change.action, change.cause) for change in plan.changes] == [("reinstall", "broken")]
