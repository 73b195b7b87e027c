"""Whole changes on real file systems: each is mounted for the test, in a namespace that ends with it."""

from __future__ import annotations

import shutil

import pytest

from tests.integration.job_kit import run_program

CHANGES = """
import json, os, subprocess
from pathlib import Path
from puffin_api import Cache, Client, Environment, Installer, Interpreter, Resolver
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import leftovers, tree, versions, wheel

top, remount = Path(sys.argv[1]), sys.argv[2:]
old = {"pkg/__init__.py": "1", "pkg/deep/er/gone.py": "", "space/one.py": "", "one.pth": "# 1"}
new = {"pkg/__init__.py": "2", "pkg/deep/new.py": "", "space/one.py": "2"}
scripts = {"console_scripts": {"run": "pkg:main"}}
files = {
    **wheel("pkg", "1", files=old, entry_points=scripts, data={"data/share/pkg/x": "1"}),
    **wheel("pkg", "2", files=new, entry_points=scripts, data={"data/share/pkg/y": "2"}),
    **wheel("mate", "1", files={"space/two.py": ""}),
}
told = {"notices": []}
with LoopbackIndex(files) as index:
    def client():
        return Client(indexes=[index.url], cache=Cache(top / "cache"))

    environment = Interpreter.current().create_venv(top / "env")
    with client() as first:
        report = Installer(environment, first).install(["pkg<2", "mate"])
        told["notices"] += [notice.code for notice in report.notices]
        told["modes"] = first.cache.links_to(environment.scheme.purelib).modes
        told["links"] = os.stat(f"{environment.scheme.purelib}/pkg/__init__.py").st_nlink
    if remount:
        subprocess.run(remount, check=True)
    environment = Environment.at(top / "env")
    (Path(environment.scheme.purelib) / "pkg/deep").chmod(0o750)
    before = tree(environment.root)
    with client() as second:
        installer = Installer(environment, second)
        report = installer.install(Resolver(second).resolve(["pkg>=2", "mate"], target=environment))
        told["upgraded"] = versions(environment)
        told["problems"] = [problem.to_dict() for problem in environment.check(deep=True)]
        told["undone"] = [notice.code for notice in installer.undo(report).notices]
        told["same"] = tree(environment.root) == before
        installer.uninstall(["pkg", "mate"])
        told["left"] = [*os.listdir(environment.scheme.purelib), *leftovers(environment)]
print(json.dumps(told))
"""


@pytest.fixture
def top(tmp_path):
    place = tmp_path / "top"
    place.mkdir()
    return place


def change(top, mount, *remount):
    """Mount something, and change an environment in it; skips where that is not possible here."""
    wrap = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        tried = run_program("print(1)", wrap=wrap, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if tried.returncode:
        pytest.skip(f"this user may not mount it: {tried.stderr.strip()}")
    told = run_program(CHANGES, top, *remount, wrap=wrap)
    assert told["upgraded"] == {"pkg": "2", "mate": "1"}
    assert told["problems"] == []
    assert told["undone"] == []
    assert told["left"] == []
    return told


def test_in_memory(top):
    told = change(top, f'mount -t tmpfs none "{top}"')
    assert told["same"], "undone to the last byte and mode"
    assert told["notices"] == []
    assert told["links"] == 2


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_where_files_can_be_cloned(top, kind, tmp_path):
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"there is no mkfs.{kind}")
    disk = tmp_path / "disk"
    mount = f'truncate -s 400M "{disk}" && mkfs.{kind} -q -f "{disk}" >&2 && mount -o loop "{disk}" "{top}"'
    told = change(top, mount)
    assert told["notices"] == []
    assert told["same"]
    assert told["modes"][0] == "clone"
    assert told["links"] == 1, "no second name: it may be edited and the cache stays as it is"


def test_an_environment_that_came_with_an_image(top, tmp_path):
    """Folders of the image cannot be renamed on an overlay, only files."""
    for name in ("image", "upper", "work"):
        (tmp_path / name).mkdir()
    layers = f"lowerdir={tmp_path}/image,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    # On a file system of its own: the temporary folder may itself lie on an overlay.
    base = f'mount -t tmpfs none "{tmp_path}/base" && mkdir "{tmp_path}"/base/image "{tmp_path}"/base/upper'
    (tmp_path / "base").mkdir()
    layers = layers.replace(str(tmp_path), f"{tmp_path}/base")
    build = f'{base} "{tmp_path}/base/work" && mount --bind "{tmp_path}/base/image" "{top}"'
    start = f'umount "{top}" && mount -t overlay overlay -o "{layers}" "{top}"'
    trial = f'{build} && {start} && umount "{top}" && mount --bind "{tmp_path}/base/image" "{top}"'

    told = change(top, trial, "sh", "-c", start)

    assert told["same"]
    assert told["notices"] == []


def test_a_cache_on_another_volume(top, tmp_path):
    (top / "cache").mkdir()
    told = change(top, f'mount -t tmpfs none "{top}/cache"')
    assert told["notices"] == ["link-fallback"]
    assert sorted(told["modes"]) == ["copy", "symlink"]
    assert not told["same"], "what was replaced is not kept on the other volume, but installed anew"
