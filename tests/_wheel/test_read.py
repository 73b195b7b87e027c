from __future__ import annotations

import pytest

from puffin_api._model.filename import parse_wheel_name
from puffin_api._testing.wheels import make_wheel, wheel_filename, write_wheel
from puffin_api._wheel.read import (
    data_location,
    find_data_folder,
    find_dist_info,
    parse_entry_points,
    parse_wheel_file,
    read_wheel_metadata,
    wheel_name,
)
from puffin_api.errors import MetadataInvalid, UnsafeArchive

FILENAME = "Foo_Bar-1.0.post1-py3-none-any.whl"
NAME = parse_wheel_name(FILENAME)


def dist_info(*folders):
    return find_dist_info([f"{folder}/METADATA" for folder in folders], NAME, FILENAME)


@pytest.mark.parametrize(
    "folder",
    ["Foo_Bar-1.0.post1", "foo.bar-1.0.post1", "foo_bar-1.0-1", "foo_bar-1.0_1", "foo_bar-1.post1"],
)
def test_the_dist_info_folder_is_found_however_it_is_escaped(folder):
    assert dist_info("foo_bar", f"{folder}.dist-info") == f"{folder}.dist-info"


@pytest.mark.parametrize(
    "folders",
    [
        (),
        ("foo_bar-1.0.post1.dist-info", "other-1.dist-info"),
        ("foo_bar-1.0.post1.dist-info", "foo_bar-1.0.post1.DIST-INFO"),
        ("foo_bar-1.0.post1.DIST-INFO",),
        ("foo-1.0.post1.dist-info",),
        ("foo_bar-1.0.dist-info",),
        ("foo_bar.dist-info",),
        ("foo_bar-x.dist-info",),
    ],
)
def test_there_has_to_be_one_dist_info_folder_of_the_right_name_and_version(folders):
    with pytest.raises(MetadataInvalid) as caught:
        dist_info(*folders)

    assert caught.value.name == "foo-bar"
    assert caught.value.source == FILENAME


def test_a_file_of_that_name_and_deeper_folders_do_not_count():
    paths = ["x.dist-info", "pkg/y-1.dist-info/METADATA", "foo_bar-1.0.post1.dist-info/METADATA"]

    assert find_dist_info(paths, NAME, FILENAME) == "foo_bar-1.0.post1.dist-info"


def test_the_data_folder_is_that_of_the_wheel():
    paths = ["foo_bar-1.0.post1.data/scripts/x", "other-1.data/y", "pkg.data/z"]

    assert find_data_folder(paths, NAME, FILENAME) == "foo_bar-1.0.post1.data"
    assert find_data_folder(["a/b"], NAME, FILENAME) == ""
    with pytest.raises(MetadataInvalid, match="several"):
        find_data_folder([*paths, "foo.bar-1.0.post1.data/y"], NAME, FILENAME)


@pytest.mark.parametrize("scheme", ["purelib", "platlib", "headers", "scripts", "data"])
def test_data_files_go_to_their_scheme(scheme):
    assert data_location(f"d.data/{scheme}/a/b", "d.data", NAME, FILENAME) == (scheme, "a/b")


@pytest.mark.parametrize("path", ["d.data/other/a", "d.data/file", "d.data/Scripts/x"])
def test_data_files_of_no_known_scheme_are_refused(path):
    with pytest.raises(MetadataInvalid):
        data_location(path, "d.data", NAME, FILENAME)


@pytest.mark.parametrize("script", ["python", "Python3.12", "pythonw.exe", "python3.13t"])
def test_no_script_replaces_the_interpreter(script):
    with pytest.raises(UnsafeArchive) as caught:
        data_location(f"d.data/scripts/{script}", "d.data", NAME, FILENAME)
    with pytest.raises(UnsafeArchive):
        parse_entry_points(f"[console_scripts]\n{script} = a:b".encode(), NAME, FILENAME)

    assert caught.value.rule == "script-name"


@pytest.mark.parametrize(
    ("text", "purelib"),
    [
        ("Wheel-Version: 1.0\nRoot-Is-Purelib: true\n", True),
        ("Wheel-Version: 1.9\r\nroot-is-purelib: False\r\n", False),
        ("Wheel-Version: 1.0\n", False),
    ],
)
def test_wheel_says_where_its_root_goes(text, purelib):
    assert parse_wheel_file(text.encode(), NAME, FILENAME) is purelib


@pytest.mark.parametrize(
    "text", ["", "Wheel-Version: 2.0\n", "Wheel-Version: 10.0\n", "Root-Is-Purelib: true\n"]
)
def test_wheels_of_an_unknown_format_are_refused(text):
    with pytest.raises(MetadataInvalid, match="wheel format"):
        parse_wheel_file(text.encode(), NAME, FILENAME)


def entry_points(text):
    found = parse_entry_points(text.encode(), NAME, FILENAME)
    return [(e.name, e.module, e.attribute, e.gui) for e in found]


def test_entry_points_keep_their_case_and_drop_extras():
    text = """\ufeff
    # scripts
    [console_scripts]
    Run-It = pkg.cli : Main.go [fast, slow]
    run-it=pkg.cli:main

    ; others
    [other.group]
    x = not even a module
    [gui_scripts]
    show = pkg:show
    """

    assert entry_points(text) == [
        ("Run-It", "pkg.cli", "Main.go", False),
        ("run-it", "pkg.cli", "main", False),
        ("show", "pkg", "show", True),
    ]


def test_the_last_of_two_scripts_with_one_name_counts():
    assert entry_points("[console_scripts]\na = b:c\na = d:e\n") == [("a", "d", "e", False)]


@pytest.mark.parametrize(
    "line",
    [
        "a = pkg",
        "a = :main",
        "a = pkg:",
        "a",
    ],
)
def test_scripts_without_module_and_function_are_invalid(line):
    with pytest.raises(MetadataInvalid, match="entry point"):
        entry_points(f"[console_scripts]\n{line}\n")


@pytest.mark.parametrize("script", ["../x", "a/b", "a\\b", "..", ".", "", "c:x", "nul", "a\tb", "a."])
def test_scripts_that_would_leave_their_folder_are_refused(script):
    with pytest.raises(UnsafeArchive) as caught:
        entry_points(f"[console_scripts]\n{script} = pkg:main\n")

    assert caught.value.rule == "script-name"


@pytest.mark.parametrize(
    "filename", ["demo.whl", "demo-1.0.tar.gz", "demo-x.y-py3-none-any.whl", "-1-py3-none-any.whl"]
)
def test_names_that_are_no_wheel_names_are_invalid(filename):
    with pytest.raises(MetadataInvalid):
        wheel_name(filename)


def test_metadata_is_read_without_unpacking(tmp_path):
    path = write_wheel(
        tmp_path, "Demo.Kit", "1.0", requires=["attrs>=23"], extras={"x": ["rich; os_name=='nt'"]}
    )

    metadata = read_wheel_metadata(path)

    assert metadata.name == "Demo.Kit"
    assert metadata.requires_dist == ("attrs>=23", "rich ; (os_name=='nt') and extra == 'x'")
    assert metadata.provides_extra == ("x",)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata_headers": {"Name": "other"}},
        {"metadata_headers": {"Version": "2.0"}},
        {"metadata_headers": {"Version": "not a version"}},
        {"metadata_headers": {"Name": None}},
        {"dist_info_files": {"METADATA": None}},
    ],
)
def test_metadata_has_to_fit_the_file_name(tmp_path, options):
    path = write_wheel(tmp_path, "demo", "1.0", **options)

    with pytest.raises(MetadataInvalid):
        read_wheel_metadata(path)


def test_equal_versions_may_be_written_differently(tmp_path):
    path = tmp_path / wheel_filename("demo", "1.0")
    path.write_bytes(make_wheel("demo", "1.0", metadata_headers={"Version": "1.0.0"}))

    assert read_wheel_metadata(path).version == "1.0.0"


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    for content in (b"", b"no zip"):
        path = tmp_path / "demo-1.0-py3-none-any.whl"
        path.write_bytes(content)
        with pytest.raises(UnsafeArchive) as caught:
            read_wheel_metadata(path)
        assert caught.value.rule == "not-a-zip"
