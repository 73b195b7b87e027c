from __future__ import annotations

import os
import pickle

import pytest

from puffin_api._installer.site_packages import fingerprint, list_distributions
from tests._installer.environment_kit import Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_everything_about_a_distribution_is_read_when_asked_for(place):
    wheel = place.wheel(
        "Foo.Bar",
        "1.0.post1",
        files={
            "foo/__init__.py": "",
            "foo/x.py": "",
            "_native.cpython-312-x86_64-linux-gnu.so": "",
            "t.txt": "",
        },
        requires=["click>=8"],
        extras={"All": ["rich"]},
        entry_points={"console_scripts": {"Run": "foo:main"}, "my.plugins": {"p": "foo.x"}},
    )
    place.change(wheel, requested=["foo-bar"])

    dist = place.installed().get("foo-bar")

    assert (dist.name, dist.version, dist.kind) == ("foo-bar", "1.0.post1", "dist-info")
    assert dist.location == place.site / "Foo_Bar-1.0.post1.dist-info"
    assert dist.requires == ("click>=8", "rich ; extra == 'All'")
    assert dist.extras == ("all",)
    assert {(e.group, e.name, e.value) for e in dist.entry_points} == {
        ("console_scripts", "Run", "foo:main"),
        ("my.plugins", "p", "foo.x"),
    }
    assert "foo/x.py" in dist.files
    assert dist.modules() == ("_native", "foo")
    assert (dist.installer, dist.requested, dist.editable, dist.direct_url) == (
        "puffin-api",
        True,
        False,
        None,
    )
    assert dist.read_text("WHEEL").startswith("Wheel-Version")
    assert dist.read_text("missing") is None
    assert pickle.loads(pickle.dumps(dist)) == dist
    assert dist.to_dict()["schema"] == 1


def test_one_broken_distribution_does_not_hide_the_others(place):
    place.change(place.wheel("good"))
    (place.site / "~ood-1.0.dist-info").mkdir()
    (place.site / "noversion.dist-info").mkdir()
    (place.site / "empty-1.0.dist-info").mkdir()
    (place.site / "latin-1.0.dist-info").mkdir()
    (place.site / "latin-1.0.dist-info/METADATA").write_bytes(b"Name: latin\nVersion: 1.0\nAuthor: \xe9\n")
    (place.site / "latin-1.0.dist-info/RECORD").write_bytes(b'"')

    installed = place.installed()

    assert [dist.name for dist in installed] == ["empty", "good", "latin"]
    assert [(p.code, p.name) for p in installed.problems] == [
        ("broken-metadata", "noversion.dist-info"),
        ("broken-metadata", "~ood-1.0.dist-info"),
    ]
    assert installed.get("empty").metadata is None
    assert installed.get("empty").files == ()
    assert installed.get("latin").metadata.version == "1.0"


def test_odd_folder_names_are_understood(place):
    for name in ("Foo_Bar-1.0+local.1.dist-info", "zope.interface-5.dist-info", "a-b-2.0.dist-info"):
        (place.site / name).mkdir()

    found = [(dist.name, dist.version) for dist in place.installed()]

    assert found == [("a-b", "2.0"), ("foo-bar", "1.0+local.1"), ("zope-interface", "5")]


def test_a_project_that_is_there_twice_is_a_problem(place):
    (place.site / "a-1.0.dist-info").mkdir()
    (place.site / "a-2.0.dist-info").mkdir()

    installed = place.installed()

    assert len(installed.all("a")) == 2
    assert [problem.code for problem in installed.problems] == ["duplicate-distribution"]
    assert installed.problems[0].versions == ("1.0", "2.0")


def test_earlier_folders_come_first(tmp_path):
    for folder, version in (("pure", "2.0"), ("plat", "1.0")):
        (tmp_path / folder / f"a-{version}.dist-info").mkdir(parents=True)

    assert list_distributions([tmp_path / "pure", tmp_path / "plat"]).get("a").version == "2.0"
    assert list_distributions([tmp_path / "plat", tmp_path / "pure"]).get("a").version == "1.0"


def test_a_folder_that_is_reached_in_two_ways_is_read_once(place):
    place.change(place.wheel("a"))
    alias = place.prefix / "lib64"
    alias.symlink_to(place.prefix / "lib")
    other = alias / place.site.relative_to(place.prefix / "lib")

    installed = list_distributions([place.site, other])

    assert len(installed) == 1
    assert installed.problems == ()
    assert installed.fingerprint == fingerprint([place.site])


def test_legacy_distributions_are_listed(place, tmp_path):
    (place.site / "one-1.0-py3.8.egg-info").write_text("Name: one\nVersion: 1.0\nRequires-Dist: x\n")
    egg = place.site / "two-2.0-py3.8.egg/EGG-INFO"
    egg.mkdir(parents=True)
    (egg / "PKG-INFO").write_text("Name: two\nVersion: 2.0\n")
    info = place.site / "three.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: three\nVersion: 3.0\n")

    installed = place.installed()

    assert [(d.name, d.version, d.kind) for d in installed] == [
        ("one", "1.0", "egg-info"),
        ("three", "3.0", "egg-info"),
        ("two", "2.0", "egg"),
    ]
    assert installed.get("one").requires == ("x",)
    assert installed.get("two").metadata.version == "2.0"


def test_a_missing_folder_is_empty(tmp_path):
    assert len(list_distributions([tmp_path / "no"])) == 0


def test_the_fingerprint_changes_with_what_is_installed(place):
    seen = {fingerprint([place.site])}
    place.change(place.wheel("a", "1"))
    seen.add(fingerprint([place.site]))
    place.change(place.wheel("a", "1"))
    seen.add(fingerprint([place.site]))
    place.remove("a")

    assert len(seen) == 3
    assert fingerprint([place.site]) in seen
    assert place.installed().fingerprint == fingerprint([place.site])


def test_a_file_beside_the_distributions_is_no_change(place):
    place.change(place.wheel("a"))
    before = fingerprint([place.site])
    (place.site / "notes.txt").write_text("x")

    assert fingerprint([place.site]) == before
    assert "a" in place.installed()
    assert os.listdir(place.site)
