from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._wheel.uninstall import OwnedFiles


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "env/site"
    folder.mkdir(parents=True)
    return folder


def fill(site, *paths):
    for path in paths:
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text("")


def entries(site, paths, **options):
    owned = OwnedFiles([str(site), str(site.parent)])
    owned.add(str(site), paths)
    for folder in options.get("folders", ()):
        owned.add_folder(str(site / folder))
    removal = owned.plan()
    return [os.path.relpath(path, site) for path in removal.entries], removal


def test_a_folder_that_is_owned_altogether_goes_as_one(site):
    fill(site, "a/x.py", "a/sub/y.py", "b.py")

    found, removal = entries(site, ["a/x.py", "a/sub/y.py", "b.py"])

    assert sorted(found) == ["a", "b.py"]
    assert removal.files == 3


def test_a_stray_file_keeps_its_folder_and_those_above(site):
    fill(site, "a/x.py", "a/sub/y.py", "a/sub/mine.txt", "a/whole/z.py")

    found, _ = entries(site, ["a/x.py", "a/sub/y.py", "a/whole/z.py"])

    assert sorted(found) == ["a/sub/y.py", "a/whole", "a/x.py"]


def test_compiled_modules_belong_to_their_source(site):
    fill(site, "a/x.py", "a/__pycache__/x.cpython-312.pyc", "b/x.py", "b/__pycache__/other.cpython-312.pyc")

    found, _ = entries(site, ["a/x.py", "b/x.py"])

    assert sorted(found) == ["a", "b/x.py"]


@pytest.mark.parametrize(
    "name",
    [
        "x.cpython-312.pyc",
        "x.cpython-312.opt-2.pyc",
        "x.pypy310.pyc",
        "x.cpython-312-pytest-8.3.pyc",
        "x.cpython-312.pyc.140123",
        "with.dots.cpython-312.pyc",
        "{{ name }}.cpython-312.pyc",
    ],
)
def test_whatever_compiled_a_module_its_file_goes_too(site, name):
    fill(site, "a/x.py", "a/with.dots.py", "a/{{ name }}.py", f"a/__pycache__/{name}")

    assert entries(site, ["a/x.py", "a/with.dots.py", "a/{{ name }}.py"])[0] == ["a"]


@pytest.mark.parametrize("name", ["y.cpython-312.pyc", "x.txt", "x", ".x.py", "xx.cpython-312.pyc"])
def test_what_no_owned_module_was_compiled_to_stays(site, name):
    fill(site, "a/x.py", f"a/__pycache__/{name}")

    assert entries(site, ["a/x.py"])[0] == ["a/x.py"]


def test_folders_that_record_lists_go_only_with_all_that_is_in_them(site):
    fill(site, "a/x.py", "b/y.py", "b/stray.txt")

    found, removal = entries(site, ["a/x.py", "a/", "a", "b/y.py", "b/", "b"])

    assert sorted(found) == ["a", "b/y.py"]
    assert removal.refused == []


def test_rows_that_no_file_can_have_are_passed_over(site):
    fill(site, "a/x.py")

    found, removal = entries(site, ["a/x.py", "a/x.py", "a/\0.py", "\0/y", "C:\\x", "a\\x.py", 'a/"q,".py'])

    assert found == ["a"]
    assert removal.files == 1
    assert removal.refused == []


def test_absolute_paths_count_where_they_lead_inside(site, tmp_path):
    fill(site, "a/x.py", "../bin/tool", "../../outside.txt")
    inside, outside = str(site.parent / "bin/tool"), str(tmp_path / "outside.txt")

    found, removal = entries(site, ["a/x.py", inside, outside])

    assert sorted(found) == ["../bin", "a"]
    assert removal.refused == [outside]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("inside", [True, False])
def test_what_lies_behind_a_link_stays_and_the_link_too(site, tmp_path, inside):
    home = site / "real" if inside else tmp_path / "real"
    home.mkdir()
    (home / "x.py").write_text("")
    (site / "a").symlink_to(home)

    found, removal = entries(site, ["a/x.py"])

    assert found == []
    assert removal.refused == [str(site / "a")]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_an_owned_link_goes_and_not_what_it_leads_to(site, tmp_path):
    (tmp_path / "real.py").write_text("")
    (site / "x.py").symlink_to(tmp_path / "real.py")
    (site / "gone.py").symlink_to(tmp_path / "nowhere")

    assert sorted(entries(site, ["x.py", "gone.py"])[0]) == ["gone.py", "x.py"]


def test_compiled_modules_that_record_lists_are_owned(site):
    fill(site, "a/x.py", "a/__pycache__/x.cpython-312.pyc", "a/__pycache__/y.cpython-312.pyc")

    found, _ = entries(site, ["a/x.py", "a/__pycache__/x.cpython-312.pyc"])

    assert sorted(found) == ["a/__pycache__/x.cpython-312.pyc", "a/x.py"]


def test_a_metadata_folder_goes_whatever_is_in_it(site):
    fill(site, "a-1.dist-info/RECORD", "a-1.dist-info/unlisted")

    assert entries(site, ["a-1.dist-info/RECORD"], folders=["a-1.dist-info"])[0] == ["a-1.dist-info"]


def test_missing_files_are_no_error(site):
    assert entries(site, ["a/x.py", "b.py"])[0] == []


def test_places_themselves_are_never_removed(site):
    fill(site, "x.py", "../bin/tool")

    found, _ = entries(site, ["x.py", "../bin/tool"])

    assert sorted(found) == ["../bin", "x.py"]
    assert site.exists()


@pytest.mark.parametrize(
    "path", ["../../outside.txt", "/etc/passwd", "a/../../../outside.txt", "..", "a/..", "", "../../env2/x"]
)
def test_paths_that_lead_out_are_refused(site, path):
    fill(site, "../../outside.txt", "a/x.py")

    found, removal = entries(site, ["a/x.py", path])

    assert found == ["a"]
    assert removal.refused == [path]


@given(st.lists(st.text("ab./_", max_size=12), max_size=8))
def test_nothing_outside_is_ever_named(tmp_path_factory, paths):
    site = tmp_path_factory.mktemp("e") / "env/site"
    fill(site, "a/b", "b", "_/a", "../../a/keep", "../bin/b")

    found, _ = entries(site, paths)

    for path in found:
        assert os.path.abspath(site / path).startswith(str(site.parent) + os.sep)
