from __future__ import annotations

import json
import os

import pytest

from tests._installer.environment_kit import Place

EMPTY = ""


@pytest.fixture
def develop(tmp_path):
    """Install a project as backends do that name a folder in a path file."""

    def develop(tree_files, *lines, name="demo.tool", files=None, tree="demo", told=None, **options):
        place = Place(tmp_path)
        root = tmp_path / tree
        for path in tree_files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(EMPTY)
        text = "".join(f"{line}\n" for line in lines).replace("{tree}", str(root))
        place.change(place.wheel(name, files={"_demo.pth": text, **(files or {})}, **options))
        [dist] = place.installed()
        origin = {"url": root.as_uri() if told is None else told, "dir_info": {"editable": True}}
        (dist.location / "direct_url.json").write_text(json.dumps(origin))
        [dist] = place.installed()
        assert dist.editable
        return dist.modules()

    return develop


def test_a_folder_inside_the_tree_holds_the_modules_of_the_project(develop):
    files = ["src/one/__init__.py", "src/two.py", "src/_native.abi3.so", "src/three.txt", "tests/__init__.py"]

    assert develop(files, "{tree}/src") == ("_native", "one", "two")


def test_a_namespace_counts_and_folders_without_modules_do_not(develop):
    files = ["src/space/deep/part/__init__.py", "src/data/a.json", "src/demo.egg-info/x.py"]

    assert develop([*files, "src/__pycache__/old.cpython-312.pyc"], "{tree}/src") == ("space",)


@pytest.mark.parametrize("name", ["Demo_Tool", "demo-tool", "DEMO.TOOL"])
def test_at_the_top_of_the_tree_the_name_of_the_project_counts(develop, name):
    files = ["Demo_Tool/__init__.py", "tests/__init__.py", "other/__init__.py", "setup.py", "main.py"]

    assert develop(files, "{tree}", name=name) == ("Demo_Tool",)


def test_a_project_in_a_namespace_is_known_by_its_first_part(develop):
    files = ["space/interface/__init__.py", "other/__init__.py"]

    assert develop(files, "{tree}", name="space.interface") == ("space",)


def test_at_the_top_of_the_tree_entry_points_count(develop):
    files = ["command/__init__.py", "plugins.py", "other/__init__.py", "tests/__init__.py"]
    points = {"console_scripts": {"x": "command.main:main"}, "host.plugins": {"y": "plugins [extra]"}}

    assert develop(files, "{tree}", entry_points=points) == ("command", "plugins")


def test_at_the_top_of_the_tree_packages_count_where_no_name_tells(develop):
    files = [
        "dated/__init__.py",
        "Docs/__init__.py",
        "test/__init__.py",
        "tests/__init__.py",
        "loose/part.py",
        "update.py",
    ]

    assert develop(files, "{tree}", name="python-dated") == ("dated",)


def test_at_the_top_of_the_tree_single_modules_count_where_there_is_no_package(develop):
    files = ["dated.py", "setup.py", "conftest.py", "docs/conf.py"]

    assert develop(files, "{tree}", name="python-dated") == ("dated",)


def test_a_loader_is_no_module_of_the_project(develop):
    files = ["demo_tool/__init__.py", "tests/__init__.py"]
    brought = {"_demo_loader.py": EMPTY, "demo_native.abi3.so": EMPTY}

    assert develop(files, "import _demo_loader; x = 1", files=brought) == ("demo_native", "demo_tool")
    assert develop(files, "import\t_demo_loader.a as b, os", files=brought) == ("demo_native", "demo_tool")


def test_behind_a_loader_there_may_be_a_src_folder(develop):
    files = ["src/demo_tool/__init__.py", "src/other.py", "demo_tools/x.py"]

    assert develop(files, "import _demo_loader", files={"_demo_loader.py": EMPTY}) == ("demo_tool",)


def test_folders_outside_the_tree_are_not_looked_into(develop, tmp_path):
    (tmp_path / "demo-other").mkdir()
    (tmp_path / "demo-other/alien.py").touch()

    assert develop(["demo_tool.py"], f"{tmp_path}/demo-other", str(tmp_path)) == ("demo_tool",)


def test_links_and_relative_folders_are_followed(develop, tmp_path):
    (tmp_path / "real/src").mkdir(parents=True)
    (tmp_path / "real/src/one.py").touch()
    (tmp_path / "demo").symlink_to(tmp_path / "real")
    (tmp_path / "real/src/loop").symlink_to(".")

    relative = os.path.relpath(tmp_path / "real/src", Place(tmp_path).site)

    assert develop([], "# a comment", "", relative) == ("loop", "one")


@pytest.mark.parametrize(
    "line", ["\0", "/nowhere", "import ", "import ,", "{tree}/file.py", "\u20ac\x85", "x" * 5000]
)
def test_nothing_odd_in_a_path_file_raises(develop, line):
    assert develop(["file.py"], line) == ()


@pytest.mark.parametrize(
    "url", ["https://example.org/x", "file://host/x", "nothing", "file:///nowhere", "file:///a%00b"]
)
def test_without_a_tree_there_are_only_its_files(develop, url):
    assert develop([], "{tree}", told=url, files={"brought.py": EMPTY}) == ("brought",)


def test_a_path_file_that_is_gone_leads_nowhere(develop, tmp_path):
    place = Place(tmp_path)
    assert develop(["src/a.py"], "{tree}/src") == ("a",)

    (place.site / "_demo.pth").unlink()

    [dist] = place.installed()
    assert dist.modules() == ()


def test_top_level_txt_counts_more_than_what_lies_there(develop):
    options = {"dist_info_files": {"top_level.txt": "told\n"}}

    assert develop(["src/found.py"], "{tree}/src", **options) == ("told",)
