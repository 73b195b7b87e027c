"""Removing what tools of all times have left: eggs, lists, links, editables and shared packages."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from puffin_api.errors import FileConflict, InstallFailed
from tests._installer.environment_kit import Place

METADATA = "Metadata-Version: 2.1\nName: old\nVersion: 1.0\n"
EGG = "old-1.0-py3.12.egg"
PKGUTIL = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def put(base, files):
    for path, text in files.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(text)


def names(place):
    return sorted(path.name for path in place.site.iterdir())


# -- what was there before wheels


def test_an_egg_info_folder_goes_by_its_list(place):
    folder = "old-1.0-py3.12.egg-info"
    listed = [
        "../old/__init__.py",
        "../old/data.txt",
        "PKG-INFO",
        "installed-files.txt",
        "../../../../bin/old",
    ]
    put(place.site, {"old/__init__.py": "", "old/data.txt": "", f"{folder}/PKG-INFO": METADATA})
    put(place.site, {f"{folder}/installed-files.txt": "\n".join(listed), "stay.py": ""})
    put(place.bin, {"old": "#!/bin/sh\n", "other": ""})

    place.remove("old")

    assert names(place) == ["stay.py"]
    assert [path.name for path in place.bin.iterdir()] == ["other"]


@pytest.mark.parametrize(
    "files",
    [
        {"old-1.0.egg-info": METADATA},  # distutils wrote one file and no list
        {"old-1.0-py3.12.egg-info/PKG-INFO": METADATA},
        {"old-1.0-py3.12.egg-info/PKG-INFO": METADATA, "old-1.0-py3.12.egg-info/top_level.txt": "old\n"},
        {"old-1.0.dist-info/METADATA": METADATA},
        {"old-1.0.dist-info/METADATA": METADATA, "old-1.0.dist-info/RECORD": ""},
    ],
)
def test_what_does_not_say_which_files_it_owns_stays_with_an_error(place, files):
    put(place.site, {**files, "old/__init__.py": ""})
    before = place.tree()

    with pytest.raises(InstallFailed) as caught:
        place.remove("old")

    assert caught.value.state == "untouched"
    assert Path(caught.value.path).name == next(iter(files)).partition("/")[0]
    assert caught.value.hint
    assert place.tree() == before


@pytest.mark.parametrize("packed", [False, True])
def test_an_egg_goes_with_its_line_in_the_shared_list(place, packed):
    inside = {"old/__init__.py": "", "EGG-INFO/PKG-INFO": METADATA, "EGG-INFO/top_level.txt": "old\n"}
    if packed:
        with zipfile.ZipFile(place.site / EGG, "w") as archive:
            for path, text in inside.items():
                archive.writestr(path, text)
    else:
        put(place.site / EGG, inside)
    put(place.site, {"easy-install.pth": f"./{EGG}\n./other-1.0-py3.12.egg\n"})

    place.remove("old")

    assert names(place) == ["easy-install.pth"]
    assert place.read("easy-install.pth") == "./other-1.0-py3.12.egg\n"


def test_the_shared_list_goes_with_the_last_egg(place):
    put(place.site / EGG, {"old/__init__.py": "", "EGG-INFO/PKG-INFO": METADATA})
    put(place.site, {"easy-install.pth": f"./{EGG}\n"})

    place.remove("old")

    assert names(place) == []


def test_a_link_to_a_project_goes_and_the_project_stays(place, tmp_path):
    source = tmp_path / "source"
    put(source, {"old.egg-info/PKG-INFO": METADATA, "old/__init__.py": ""})
    put(place.site, {"old.egg-link": f"{source}\n.", "easy-install.pth": f"{source}\n/elsewhere\n"})

    place.remove("old")

    assert names(place) == ["easy-install.pth"]
    assert place.read("easy-install.pth") == "/elsewhere\n"
    assert (source / "old/__init__.py").exists()


def test_two_links_take_both_their_lines_with_them(place, tmp_path):
    for name in ("one", "two"):
        source = tmp_path / name
        put(source, {f"{name}.egg-info/PKG-INFO": METADATA.replace("old", name)})
        put(place.site, {f"{name}.egg-link": f"{source}\n."})
    put(place.site, {"easy-install.pth": f"{tmp_path}/one\n/elsewhere\n{tmp_path}/two\n"})

    place.remove("one", "two")

    assert names(place) == ["easy-install.pth"]
    assert place.read("easy-install.pth") == "/elsewhere\n"


@pytest.mark.parametrize("kind", ["egg-info", "egg-link"])
def test_a_wheel_takes_the_place_of_what_was_there_before_wheels(place, tmp_path, kind):
    if kind == "egg-info":
        put(place.site, {"old/gone.py": "", "old-0.9-py3.12.egg-info/PKG-INFO": METADATA})
        put(place.site, {"old-0.9-py3.12.egg-info/installed-files.txt": "../old/gone.py\nPKG-INFO\n"})
    else:
        put(tmp_path / "source", {"old.egg-info/PKG-INFO": METADATA})
        put(
            place.site,
            {"old.egg-link": f"{tmp_path / 'source'}\n.", "easy-install.pth": f"{tmp_path / 'source'}\n"},
        )

    place.change(place.wheel("old", "2.0", files={"old/new.py": ""}))

    assert names(place) == ["old", "old-2.0.dist-info"]
    assert os.listdir(place.site / "old") == ["new.py"]


# -- editables of today


def test_an_editable_goes_by_record_with_its_finder(place, tmp_path):
    project = tmp_path / "project"
    put(project, {"old/__init__.py": ""})
    finder = "__editable___old_1_0_finder"
    wheel = place.wheel(
        "old",
        files={f"{finder}.py": "MAPPING = {}\n", "__editable__.old-1.0.pth": f"import {finder}\n"},
        dist_info_files={"direct_url.json": "{}"},
    )
    place.change(wheel)
    cache = place.site / "__pycache__"
    cache.mkdir()
    (cache / f"{finder}.cpython-312.pyc").write_bytes(b"")

    place.remove("old")

    assert names(place) == []
    assert (project / "old/__init__.py").exists()


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed here")
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX paths")
def test_a_path_file_of_another_tool_goes_by_record(tmp_path, make_venv):
    """A real editable, written by pip from a backend that answers with a wheel of one path file."""
    environment = make_venv()
    project = tmp_path / "project"
    backend = (
        "import shutil\n"
        "def build_editable(folder, settings=None, metadata=None):\n"
        "    return shutil.copy(__file__ + '.whl', folder + '/old-1.0-py3-none-any.whl').split('/')[-1]\n"
    )
    project.mkdir()
    wheel = Place(tmp_path / "make")
    made = wheel.wheel("old", files={"_old.pth": f"{project}\n"})
    with zipfile.ZipFile(project / "backend.py.whl", "w") as archive:
        top = made.archive / "files"
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(top))
    table = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    put(project, {"backend.py": backend, "pyproject.toml": table})
    pip = [sys.executable, "-m", "pip", "--python", environment.interpreter.path, "install", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--no-index", "-e", project],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (dist,) = environment.installed()
    assert dist.editable

    Place(tmp_path, prefix=Path(environment.root)).remove("old")

    assert list(environment.installed()) == []
    assert not list(Path(environment.scheme.purelib).glob("*old*"))
    assert (project / "backend.py").exists()


# -- packages that several share


def shared(place, *, init=None, pth=False):
    """Wheels of two distributions that both are below one package."""
    made = []
    for name in ("one", "two"):
        files = {f"space/{name}.py": f"name = {name!r}\n", f"space/deep/{name}.py": ""}
        if init is not None:
            files["space/__init__.py"] = init
        if pth:
            files[f"{name}-1.0-py3.12-nspkg.pth"] = "import sys, types, os\n"
        made.append(place.wheel(name, files=files))
    return made


@pytest.mark.parametrize("kind", [{}, {"init": PKGUTIL}, {"pth": True}, {"init": PKGUTIL, "pth": True}])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("first", ["one", "two"])
def test_a_shared_package_stays_as_long_as_one_has_a_part_in_it(place, kind, together, first):
    one, two = shared(place, **kind)
    if together:
        place.change(one, two)
    else:
        place.change(one)
        place.change(two)
    last = {"one": "two", "two": "one"}[first]
    cache = place.site / "space/__pycache__"
    cache.mkdir()
    for module in ("one", "two", "__init__"):
        (cache / f"{module}.cpython-312.pyc").write_bytes(b"")

    place.remove(first)

    assert sorted(path.name for path in (place.site / "space/deep").iterdir()) == [f"{last}.py"]
    expected = {"__pycache__", "deep", f"{last}.py"} | ({"__init__.py"} if "init" in kind else set())
    assert {path.name for path in (place.site / "space").iterdir()} == expected
    assert f"{last}.cpython-312.pyc" in os.listdir(cache)
    assert f"{first}.cpython-312.pyc" not in os.listdir(cache)
    assert len(list(place.site.glob("*.pth"))) == ("pth" in kind)
    shutil.rmtree(cache)
    place.remove(last)
    assert names(place) == []


def test_an_upgrade_leaves_the_part_of_the_other(place):
    one, two = shared(place, init=PKGUTIL)
    place.change(one, two)

    place.change(place.wheel("one", "2.0", files={"space/__init__.py": PKGUTIL, "space/new.py": ""}))

    assert sorted(path.name for path in (place.site / "space").iterdir()) == [
        "__init__.py",
        "deep",
        "new.py",
        "two.py",
    ]


def test_an_upgrade_may_change_a_shared_file_only_together(place):
    one, two = shared(place, init=PKGUTIL)
    place.change(one, two)
    new = {"space/__init__.py": "# PEP 420 says that there is none\n"}
    ones, twos = (place.wheel(name, "2.0", files={**new, f"space/{name}.py": ""}) for name in ("one", "two"))

    with pytest.raises(FileConflict):
        place.change(ones)
    assert place.read("space/__init__.py") == PKGUTIL
    place.change(ones, twos)

    assert place.read("space/__init__.py") == new["space/__init__.py"]


# -- where pure and compiled packages have folders of their own


class TwoFolders(Place):
    """An environment of a system with ``lib`` and ``lib64``."""

    def __init__(self, tmp_path):
        super().__init__(tmp_path)
        self.site64 = self.prefix / "lib64/python3.12/site-packages"
        self.site64.mkdir(parents=True)

    @property
    def scheme(self):
        return {**super().scheme, "platlib": self.site64}

    def installed(self):
        from puffin_api._installer.site_packages import list_distributions

        return list_distributions([self.site, self.site64])


@pytest.mark.parametrize("pure", [True, False])
def test_each_kind_of_wheel_goes_to_its_folder_and_data_to_the_other(tmp_path, pure):
    place = TwoFolders(tmp_path)
    wheel = place.wheel(
        "a",
        files={"a/__init__.py": ""},
        data={"purelib/pure.py": "", "platlib/plat.py": "", "platlib/a/native.py": ""},
        root_is_purelib=pure,
        entry_points={"console_scripts": {"run": "a:f"}},
    )
    before = place.tree()

    place.change(wheel)

    here, there = (place.site, place.site64) if pure else (place.site64, place.site)
    other = "lib64" if pure else "lib"
    found = {path.name for path in here.iterdir()}, {path.name for path in there.iterdir()}
    if pure:
        assert found == ({"a", "a-1.0.dist-info", "pure.py"}, {"plat.py", "a"})
    else:
        assert found == ({"a", "a-1.0.dist-info", "plat.py"}, {"pure.py"})
    rows = (here / "a-1.0.dist-info/RECORD").read_text().splitlines()
    elsewhere = "plat.py" if pure else "pure.py"
    assert any(row.startswith(f"../../../{other}/python3.12/site-packages/{elsewhere},") for row in rows)
    assert any(row.startswith("../../../bin/run,") for row in rows)
    assert place.installed().problems == ()
    place.remove("a")
    assert place.tree() == before


def test_a_package_that_becomes_compiled_moves_to_the_other_folder(tmp_path):
    place = TwoFolders(tmp_path)
    place.change(place.wheel("a", "1.0"))
    place.change(place.wheel("a", "2.0", root_is_purelib=False))

    assert names(place) == []
    assert sorted(path.name for path in place.site64.iterdir()) == ["a", "a-2.0.dist-info"]
    place.change(place.wheel("a", "3.0"))
    assert names(place) == ["a", "a-3.0.dist-info"]
    assert list(place.site64.iterdir()) == []


# -- path files


def test_a_path_file_at_the_top_comes_and_goes_with_its_package(place):
    place.change(place.wheel("a", files={"a.pth": "import os\n", "sub/b.pth": "/x\n"}))
    assert place.read("a.pth") == "import os\n"

    place.change(place.wheel("a", "2.0", files={"sub/b.pth": "/y\n"}))
    assert names(place) == ["a-2.0.dist-info", "sub"]

    place.remove("a")
    assert names(place) == []
