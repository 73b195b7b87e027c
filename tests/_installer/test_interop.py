"""Other tools judge what we install, and we take out what they installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from puffin_api._installer.health import check
from puffin_api._testing.wheels import write_wheel
from puffin_api.errors import FileConflict
from tests._installer.environment_kit import TARGET, Place, tree

UV = shutil.which("uv", path=str(Path(sys.executable).parent))
OPTIONS = {
    "files": {"pkg/__init__.py": "def main():\n    print('hello')\n", "ns/one.py": ""},
    "entry_points": {"console_scripts": {"hello": "pkg:main"}},
    "data": {"data/share/pkg/x.txt": "x", "scripts/tool": "#!python\nimport pkg; pkg.main()\n"},
    "requires": ["dep>=1"],
}

pytestmark = pytest.mark.skipif(UV is None or sys.platform == "win32", reason="needs uv and POSIX paths")


def make(tmp_path, name):
    """A real virtual environment without any package."""
    venv.create(tmp_path / name, with_pip=False)
    return Place(tmp_path, prefix=tmp_path / name)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def uv(place, command, *arguments):
    cache = place.tmp_path / "uv-cache"
    return run(
        UV, "pip", command, "--cache-dir", cache, "--python", place.executable, "--offline", *arguments
    )


def test_other_tools_accept_and_remove_what_we_install(tmp_path):
    place = make(tmp_path, "venv")
    before = tree(place.prefix)
    place.change(place.wheel("pkg", **OPTIONS), place.wheel("dep", "1.5"), requested=["pkg"])

    assert run(place.bin / "hello") == run(place.bin / "tool") == "hello\n"
    uv(place, "check")
    assert uv(place, "freeze").split() == ["dep==1.5", "pkg==1.0"]
    run(sys.executable, "-m", "pip", "--python", place.executable, "check")
    run(sys.executable, "-m", "pip", "--python", place.executable, "uninstall", "-y", "pkg")
    uv(place, "uninstall", "dep")

    left = {path: kind for path, kind in tree(place.prefix).items() if "__pycache__" not in path}
    assert {path for path in left.keys() - before.keys() if left[path] != ("folder",)} == {
        ".lock"
    } & left.keys()


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_we_install_the_same_files_and_can_take_over(tmp_path, tool):
    ours, theirs = make(tmp_path, "ours"), make(tmp_path, "theirs")
    bare = tree(ours.prefix).keys()
    index = tmp_path / "wheels"
    index.mkdir()
    wheels = [write_wheel(index, "pkg", "1.0", **OPTIONS), write_wheel(index, "dep", "1.5")]
    if tool == "uv":
        uv(theirs, "install", "--no-deps", *wheels)
    else:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            theirs.executable,
            "install",
            "--no-index",
            "--no-compile",
        ]
        run(*pip, "--no-deps", *wheels)

    ours.change(ours.wheel("pkg", **OPTIONS), ours.wheel("dep", "1.5"), requested=["pkg", "dep"])

    # Installed from a file, both tools also write where it came from, and uv its own cache key.
    extra = {"direct_url.json", "uv_cache.json", "uv_build.json"}
    names = {path for path in tree(theirs.prefix) if Path(path).name not in {*extra, ".lock"}}
    assert tree(ours.prefix).keys() - bare == names - bare
    record = set(theirs.record("pkg-1.0.dist-info"))
    assert set(ours.record("pkg-1.0.dist-info")) == {p for p in record if Path(p).name not in extra}
    assert check(theirs.installed(), TARGET, deep=True) == ()
    theirs.change(theirs.wheel("pkg", "2.0", **OPTIONS), remove=["dep"])
    assert [(dist.name, dist.version) for dist in theirs.installed()] == [("pkg", "2.0")]
    assert not list(theirs.site.glob("dep*"))
    theirs.remove("pkg")
    assert tree(theirs.prefix).keys() - {".lock"} - bare == set()


def test_we_take_out_what_pip_compiled(tmp_path):
    place = make(tmp_path, "venv")
    bare = tree(place.prefix)
    wheel = write_wheel(tmp_path, "pkg", "1.0", **{**OPTIONS, "requires": []})
    options = ("--python", place.executable, "install", "--no-index")
    run(sys.executable, "-m", "pip", *options, wheel)
    compiled = [path for path in place.record("pkg-1.0.dist-info") if path.endswith(".pyc")]
    assert len(compiled) == 2

    assert check(place.installed(), TARGET, deep=True) == ()
    place.remove("pkg")

    assert tree(place.prefix) == bare


def test_a_conflict_names_both_owners_as_projects_are_named(tmp_path):
    place = make(tmp_path, "venv")
    place.change(place.wheel("some.part", files={"some/__init__.py": "1\n", "some/part.py": ""}))

    with pytest.raises(FileConflict) as caught:
        place.change(place.wheel("some.rest", files={"some/__init__.py": "2\n", "some/rest.py": ""}))

    assert set(caught.value.data["owners"]) == {"some-part", "some-rest"}
