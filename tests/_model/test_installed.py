from __future__ import annotations

import pytest

from puffin_api._model.dist_info import parse_entry_points, split_dist_info, split_egg_info, top_level_modules
from puffin_api._model.installed import InstalledDistribution, InstalledSet


class Source:
    """Metadata in memory; counts how often each file is read."""

    kind = "dist-info"

    def __init__(self, **texts):
        self.texts = texts
        self.reads = []

    def read_text(self, name):
        self.reads.append(name)
        return self.texts.get(name.replace(".", "_"))

    def has(self, name):
        self.reads.append(name)
        return name.replace(".", "_") in self.texts

    def record(self):
        return [("a.py", "", "")]

    def linked_folder(self):
        return ""

    def module_files(self):
        return ["/site/a.py"]


def test_nothing_is_read_before_it_is_asked_for_and_then_once():
    source = Source(METADATA="Name: a\nVersion: 1\nRequires-Dist: b\n")
    dist = InstalledDistribution("a", "1", "/site/a-1.dist-info", source)
    assert source.reads == []

    assert dist.requires == dist.requires == ("b",)
    assert dist.requested is False

    assert source.reads == ["METADATA", "REQUESTED"]


@pytest.mark.parametrize("text", ["{", "[]", '{"url": 1}'])
def test_an_unreadable_direct_url_is_none(text):
    dist = InstalledDistribution("a", "1", "/x", Source(direct_url_json=text))

    assert dist.direct_url is None
    assert not dist.editable


def test_invalid_metadata_are_none():
    dist = InstalledDistribution("a", "1", "/x", Source(METADATA="Name: a\n"))

    assert dist.metadata is None
    assert dist.requires == dist.extras == ()


def test_a_set_finds_by_name_and_keeps_duplicates():
    dists = tuple(
        InstalledDistribution(name, version, f"/{version}", Source())
        for name, version in [("a", "1"), ("a", "2"), ("b", "1")]
    )
    installed = InstalledSet(dists)

    assert installed.get("a") is dists[0]
    assert installed.all("a") == dists[:2]
    assert "b" in installed
    assert "c" not in installed
    assert len(installed) == 3
    assert dists[0] != dists[1]
    assert len(set(dists)) == 3


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("Foo_Bar-1.0.dist-info", ("foo-bar", "1.0")),
        ("foo.bar-1.0.post1.dist-info", ("foo-bar", "1.0.post1")),
        ("foo-bar-1.0.dist-info", ("foo-bar", "1.0")),
        ("foo.dist-info", None),
        ("foo-.dist-info", None),
        ("-1.0.dist-info", None),
        ("~oo-1.0.dist-info", None),
    ],
)
def test_names_of_metadata_folders(folder, expected):
    assert split_dist_info(folder) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("Foo_Bar-1.0-py3.8.egg-info", ("foo-bar", "1.0")),
        ("foo-1.0-py3.8-linux-x86_64.egg", ("foo", "1.0")),
        ("foo-1.0.egg-info", ("foo", "1.0")),
        ("foo.egg-info", ("foo", "")),
    ],
)
def test_names_that_setuptools_left(entry, expected):
    assert split_egg_info(entry) == expected


def test_entry_points_keep_their_case_and_broken_lines_are_left_out():
    text = "\n; c\n[console_scripts]\nRun = a.b:Main [x]\nbroken\n= y\n[g.h]\nn=m\n"

    assert [(e.group, e.name, e.value) for e in parse_entry_points(text)] == [
        ("console_scripts", "Run", "a.b:Main [x]"),
        ("g.h", "n", "m"),
    ]


def test_modules_are_told_from_files():
    files = [
        "a/__init__.py",
        "b.py",
        "c.cpython-312.so",
        "d-1.dist-info/METADATA",
        "e/data.txt",
        "f/g.pyd",
        "my-x.py",
    ]

    assert top_level_modules(files) == ("a", "b", "c", "f")
