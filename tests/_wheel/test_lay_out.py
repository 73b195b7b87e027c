from __future__ import annotations

import pytest

from puffin_api._model.cached import EntryPoint
from puffin_api._model.direct_url import DirectUrl, DirInfo
from puffin_api._wheel.lay_out import Places, lay_out
from puffin_api._wheel.record import digest_bytes, parse_record
from puffin_api.errors import UnsafeArchive
from tests._installer.environment_kit import Folder, Place

FOLDERS = {
    "purelib": "/env/lib/site-packages",
    "platlib": "/env/lib/site-packages",
    "scripts": "/env/bin",
    "data": "/env",
    "headers": "/env/include",
}


def rows_of(layout):
    """The rows of the RECORD that is written."""
    return parse_record(layout.dist_info[-1][1].decode())


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_each_file_has_one_place():
    places = Places(FOLDERS)

    assert places.locate("platlib", "a.py") == ("purelib", "a.py")
    assert places.locate("data", "share/x") == ("data", "share/x")
    assert places.locate("data", "bin/x") == ("scripts", "x")
    assert places.locate("data", "lib/site-packages/x.py") == ("purelib", "x.py")
    assert places.locate("data", "lib/other") == ("data", "lib/other")
    assert places.locate("data", "binary") == ("data", "binary")


def test_paths_are_relative_to_where_record_is():
    places = Places(FOLDERS)

    assert places.relative("scripts", "x", start="purelib") == "../../bin/x"
    assert places.relative("data", "share/x", start="purelib") == "../../share/x"
    assert places.relative("purelib", "x.py", start="purelib") == "x.py"


def test_a_wheel_for_one_platform_goes_to_platlib(place):
    places = Places({**FOLDERS, "platlib": "/env/lib64/site-packages"})

    assert lay_out(place.wheel("a", root_is_purelib=False), places, executable="p").place == "platlib"
    assert lay_out(place.wheel("a"), places, executable="p").place == "purelib"


def test_record_describes_what_will_be_written(place):
    wheel = place.wheel(
        "a",
        files={'a/od"d,name.txt': "x"},
        data={"scripts/tool": "#!python\n"},
        entry_points={"console_scripts": {"run": "a:f"}},
    )
    origin = DirectUrl(url="file:///src/a", info=DirInfo(editable=True))

    layout = lay_out(wheel, Places(FOLDERS), executable="/p", requested=True, direct_url=origin)

    rows = {path: (digest, size) for path, digest, size in parse_record(layout.dist_info[-1][1].decode())}
    written = dict(layout.dist_info[:-1])
    written |= {f"../../bin/{extra.path}": extra.content for extra in layout.extra}
    for path, content in written.items():
        assert rows[path] == (digest_bytes(content), str(len(content)))
    assert rows['a/od"d,name.txt'] == (digest_bytes(b"x"), "1")
    assert rows["a-1.0.dist-info/RECORD"] == ("", "")
    assert not layout.links_record
    assert [path.rpartition("/")[2] for path, _ in layout.dist_info] == [
        "REQUESTED",
        "direct_url.json",
        "RECORD",
    ]


def test_a_wheel_that_brings_nothing_of_this_place_has_its_record_linked(place):
    layout = lay_out(place.wheel("a"), Places(FOLDERS), executable="/p")

    assert layout.links_record
    assert layout.dist_info == []
    assert layout.tree[-1] == "a-1.0.dist-info/RECORD"
    assert layout.digests()["a-1.0.dist-info/RECORD"] == ""


def test_an_entry_point_counts_before_a_shipped_script_of_its_name(place):
    wheel = place.wheel(
        "a", data={"scripts/run": "#!python\n"}, entry_points={"console_scripts": {"run": "a:f"}}
    )

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    assert [extra.path for extra in layout.extra] == ["run"]
    assert b"from a import f" in layout.extra[0].content


@pytest.mark.parametrize("name", ["run", "run.exe", "run-script.py", "run-script.pyw"])
def test_a_shipped_wrapper_of_an_entry_point_is_left_out(place, name):
    shipped = {f"scripts/{name}": "#!python\n", "scripts/other.exe": "MZ"}
    wheel = place.wheel("a", data=shipped, entry_points={"console_scripts": {"run": "a:f"}})

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    assert [extra.path for extra in layout.extra] == ["run", "other.exe"]


@pytest.mark.parametrize("groups", [["console_scripts", "gui_scripts"], ["gui_scripts", "console_scripts"]])
def test_of_two_entry_points_with_one_name_the_one_for_a_gui_counts(place, groups):
    wheel = place.wheel("a", entry_points={group: {"run": f"a:{group}"} for group in groups})

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    assert [extra.path for extra in layout.extra] == ["run"]
    assert b"from a import gui_scripts" in layout.extra[0].content
    assert [row[0] for row in rows_of(layout)].count("../../bin/run") == 1


def test_an_entry_point_that_python_cannot_import_is_passed_over_with_a_notice(place):
    wheel = place.wheel(
        "a", data={"scripts/other": "shipped"}, entry_points={"console_scripts": {"run": "a:f"}}
    )
    wheel.manifest.entry_points += (EntryPoint("other", "my-module", "f", False),)

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    assert [extra.path for extra in layout.extra] == ["run", "other"]
    assert layout.extra[1].content == b"shipped"
    (notice,) = layout.notices
    assert notice.code == "script-skipped"
    assert notice.data == {"name": "a", "script": "other", "target": "my-module:f"}


@pytest.mark.parametrize("scheme", ["purelib", "platlib"])
@pytest.mark.parametrize("content", ["same", "other"])
def test_a_data_file_counts_before_the_same_path_of_the_tree(place, scheme, content):
    wheel = place.wheel(
        "a",
        files={"a/x.py": "same", "a/y.py": "y"},
        data={f"{scheme}/a/x.py": content, f"{scheme}/a/z.py": "z"},
    )

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    rows = rows_of(layout)
    assert sorted(path for path, _, _ in rows if path.startswith("a/")) == ["a/x.py", "a/y.py", "a/z.py"]
    assert ("a/x.py", digest_bytes(content.encode()), str(len(content))) in rows
    extra = [file.path for file in layout.extra]
    assert ("a/x.py" in layout.tree) is (content == "same")
    assert extra == (["a/z.py"] if content == "same" else ["a/x.py", "a/z.py"])


def test_a_data_file_through_another_scheme_counts_before_the_tree_too(place):
    wheel = place.wheel("a", files={"x.py": "tree"}, data={"data/lib/site-packages/x.py": "data"})

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    assert [row for row in rows_of(layout) if row[0] == "x.py"] == [("x.py", digest_bytes(b"data"), "4")]
    assert "x.py" not in layout.tree


@pytest.mark.parametrize("made", ["script", "entry point", "data"])
def test_in_a_plain_folder_a_script_counts_before_the_same_path_of_the_tree(tmp_path, made):
    folder = Folder(tmp_path)
    options = {
        "script": {"data": {"scripts/tool": "made"}},
        "entry point": {"entry_points": {"console_scripts": {"tool": "a:f"}}},
        "data": {"data": {"data/bin/tool": "made"}},
    }[made]
    wheel = folder.wheel("a", files={"a.py": "", "bin/tool": "tree", "bin/other": "tree"}, **options)

    folder.change(wheel)

    assert (folder.bin / "tool").read_text() != "tree"
    assert (folder.bin / "other").read_text() == "tree"
    rows = [row[0] for row in parse_record(folder.read("a-1.0.dist-info/RECORD"))]
    assert sorted(rows) == sorted(set(rows))
    digest = digest_bytes((folder.bin / "tool").read_bytes())
    assert folder.record("a-1.0.dist-info")["bin/tool"][0] == digest
    folder.remove("a")
    assert [path.name for path in folder.prefix.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    "path", ["purelib/{}/RECORD", "data/lib/site-packages/{}/INSTALLER", "platlib/{}/new"]
)
def test_data_files_may_not_get_into_the_metadata_folder(place, path):
    wheel = place.wheel("a", data={path.format("a-1.0.dist-info"): "x"})

    with pytest.raises(UnsafeArchive) as caught:
        lay_out(wheel, Places(FOLDERS), executable="/p")

    assert caught.value.rule == "data-in-dist-info"
    assert caught.value.entry == f"a-1.0.data/{path.format('a-1.0.dist-info')}"


def test_a_shipped_script_may_not_replace_the_interpreter(place):
    wheel = place.wheel("a")
    data = type("Data", (), {"scheme": "scripts", "path": "pypy3", "source": "x"})()
    wheel.manifest.data = (data,)

    with pytest.raises(UnsafeArchive):
        lay_out(wheel, Places(FOLDERS), executable="/p")


def test_an_unknown_scheme_is_refused(place):
    wheel = place.wheel("a")
    wheel.manifest.data = (type("Data", (), {"scheme": "attic", "path": "x", "source": "a.data/attic/x"})(),)

    with pytest.raises(UnsafeArchive) as caught:
        lay_out(wheel, Places(FOLDERS), executable="/p")

    assert caught.value.rule == "data-scheme"
