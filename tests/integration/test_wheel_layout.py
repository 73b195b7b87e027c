"""One wheel with everything a wheel can bring: what lies where afterwards, here and with pip and uv."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from puffin_api import Environment, Installer, Interpreter, Resolver, Target
from tests.integration.job_kit import install, tree, versions, wheel
from tests.integration.rich_wheels import run

UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
PIP = importlib.util.find_spec("pip")
TOOLS = [
    pytest.param("pip", marks=pytest.mark.skipif(PIP is None, reason="pip is not installed here")),
    pytest.param("uv", marks=pytest.mark.skipif(UV is None, reason="uv is not installed here")),
]
NAME = "Rich_Pkg-1.0"
EVERYTHING = wheel(
    "Rich.Pkg",
    "1.0",
    files={
        "rich_pkg/__init__.py": "import sys\ndef main():\n    print('hello', *sys.argv[1:])\n",
        "rich_pkg/run.sh": "#!/bin/sh\n",
        'rich_pkg/a,b "q".txt': "x",
        "rich_pkg/ümläut.txt": "x",
        "namespace/part.py": "",
        "rich.pth": "# nothing\n",
        "top.py": "",
    },
    executables=["rich_pkg/run.sh", f"{NAME}.data/data/share/run.sh", f"{NAME}.data/scripts/shipped"],
    data={
        "scripts/shipped": "#!python\nimport rich_pkg; rich_pkg.main()\n",
        "data/share/manual.txt": "read me\n",
        "data/share/run.sh": "#!/bin/sh\n",
        "data/etc/conf.ini": "",
        "headers/rich.h": "int rich;\n",
        "headers/sub/two.h": "",
        "purelib/pure_extra.py": "",
        "platlib/plat_extra.py": "",
    },
    entry_points={
        "console_scripts": {"rich-cli": "rich_pkg:main"},
        "gui_scripts": {"rich-gui": "rich_pkg:main"},
    },
    dist_info_files={"licenses/LICENSE": "free\n", "top_level.txt": "rich_pkg\n"},
)
MADE = {"rich-cli", "rich-gui", "INSTALLER"}
"""Files whose content each tool has its own of."""
LOCKS = {".lock", ".puffin_api.lock"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="compares POSIX paths and modes")


@pytest.fixture
def index(serve):
    return serve(EVERYTHING)


def install_with(tool, index, python, *arguments):
    where = ["--index-url", index.url]
    if tool == "pip":
        quiet = ["--no-compile", "--no-cache-dir"]
        run(
            sys.executable, "-m", "pip", "--python", python, "install", *where, *quiet, *arguments, "Rich.Pkg"
        )
    else:
        # Not --no-cache: there, uv moves files instead of linking them.
        cache = Path(python).parent / "uv-cache"
        run(UV, "pip", "install", "--python", python, *where, "--cache-dir", cache, *arguments, "Rich.Pkg")
        shutil.rmtree(cache, ignore_errors=True)


def new_files(top, before=()):
    """Kind, mode and content of what was added below a folder, as every tool should have it."""
    found = {}
    for path, what in tree(top, times=False).items():
        if path not in before and Path(path).name not in LOCKS:
            name = path.replace(
                "Rich.Pkg", "rich-pkg"
            )  # pip calls the folder of headers as the project is asked for
            is_made = Path(path).name in MADE or Path(path).name in {"RECORD", "shipped"}
            found[name] = what[:2] if is_made else what
    return found


def record(site, *, base=""):
    with (site / f"{NAME}.dist-info/RECORD").open(encoding="utf-8", newline="") as file:
        rows = {path.replace("Rich.Pkg", "rich-pkg"): tuple(rest) for path, *rest in csv.reader(file)}
    return {path: () if Path(path).name in {*MADE, "shipped"} else rest for path, rest in rows.items()}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_virtual_environment_gets_the_same_files(make_venv, make_client, index, tool):
    ours, theirs = make_venv("ours"), make_venv("theirs")
    before = tree(ours.root)
    install(make_client(index), ours, "Rich.Pkg")
    install_with(tool, index, theirs.interpreter.path)

    assert new_files(ours.root, before) == new_files(theirs.root, before)
    assert record(Path(ours.scheme.purelib)) == record(Path(theirs.scheme.purelib))
    assert ours.check(deep=True) == theirs.check(deep=True) == ()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_plain_folder_gets_the_same_files(make_venv, make_client, index, tmp_path, tool):
    base = make_venv()
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    environment = Environment.directory(ours, target=base)
    install(make_client(index), environment, "Rich.Pkg")
    install_with(tool, index, base.interpreter.path, "--target", theirs)

    expected = new_files(theirs)
    if tool == "pip":  # puts headers where the interpreter's would be, and tells all paths as from there
        there = f"include/site/python{sys.version_info[0]}.{sys.version_info[1]}"
        expected = {path.replace(there, "include"): what for path, what in expected.items()}
        expected.pop("include/site", None)
    else:
        assert record(ours) == record(theirs)
    assert new_files(ours) == expected
    assert environment.check(deep=True) == ()
    assert (ours / "bin/rich-cli").read_text().startswith("#!/usr/bin/env python3\n")
    done = run(ours / "bin/rich-cli", "you", env={"PYTHONPATH": str(ours)})
    assert done == "hello you\n"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_prefix_gets_the_same_files(make_venv, make_client, index, tmp_path, tool):
    """A prefix: the scheme of an interpreter, below another folder than its own."""
    base = make_venv()
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    scheme = type(base.scheme)(
        **{name: path.replace(str(base.root), str(ours)) for name, path in base.scheme.to_dict().items()}
    )
    environment = Environment(base.interpreter, scheme=scheme, root=ours)
    ours.mkdir()
    install(make_client(index), environment, "Rich.Pkg")
    install_with(tool, index, base.interpreter.path, "--prefix", theirs)

    found = new_files(ours)
    found.pop("lib64", None)
    assert found == {path: what for path, what in new_files(theirs).items() if path != "lib64"}
    site = Path(scheme.purelib)
    assert record(site) == record(theirs / site.relative_to(ours))


def test_scripts_run_and_everything_leaves_again(make_venv, make_client, index):
    environment = make_venv()
    before = new_files(environment.root)
    client = make_client(index)
    install(client, environment, "Rich.Pkg")

    scripts = Path(environment.scheme.scripts)
    for script in ("rich-cli", "rich-gui", "shipped"):
        assert run(scripts / script, "x") == "hello x\n"
    headers, version = "include/site", f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert (Path(environment.root) / headers / version / "rich-pkg/rich.h").is_file()
    Installer(environment, client).uninstall(["rich-pkg"])
    after = new_files(environment.root)
    assert {path: what for path, what in after.items() if path in before} == before
    # The folders of the schemes stay, empty.
    assert after.keys() - before.keys() == {headers, f"{headers}/{version}"}


def test_every_executable_keeps_its_bit_and_nothing_else_gets_one(make_venv, make_client, index):
    environment = make_venv()
    before = tree(environment.root)
    install(make_client(index), environment, "Rich.Pkg")

    modes = {
        path: int(what[1], 8)
        for path, what in new_files(environment.root, before).items()
        if what[0] == "file"
    }
    executables = {Path(path).name for path, mode in modes.items() if mode & stat.S_IXUSR}
    assert executables == {"run.sh", "shipped", "rich-cli", "rich-gui"}


# -- who asked for it, and where it came from


def dist_info(environment, name):
    return Path(environment.scheme.purelib) / f"{name}-1.0.dist-info"


def test_only_what_was_asked_for_is_marked_so(make_venv, make_client, serve):
    environment = make_venv()
    files = {**wheel("app", "1.0", requires=["log"]), **wheel("log", "1.0")}
    client = make_client(serve(files))
    install(client, environment, "app")

    assert (dist_info(environment, "app") / "REQUESTED").read_bytes() == b""
    assert not (dist_info(environment, "log") / "REQUESTED").exists()
    assert (dist_info(environment, "log") / "INSTALLER").read_text() == "puffin-api\n"
    assert "log-1.0.dist-info/REQUESTED" not in (dist_info(environment, "log") / "RECORD").read_text()
    rows = (dist_info(environment, "app") / "RECORD").read_text().splitlines()
    assert "app-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0" in rows


def test_what_came_from_an_index_has_no_origin_and_an_archive_has_one_with_its_hashes(
    make_venv, make_client, serve, tmp_path
):
    environment = make_venv()
    ((name, data),) = wheel("solo", "1.0").items()
    (tmp_path / name).write_bytes(data)
    client = make_client(serve(wheel("log", "1.0")))
    install(client, environment, f"solo @ {(tmp_path / name).as_uri()}", "log")

    assert not (dist_info(environment, "log") / "direct_url.json").exists()
    told = json.loads((dist_info(environment, "solo") / "direct_url.json").read_text())
    digest = hashlib.sha256(data).hexdigest()
    assert told == {
        "url": (tmp_path / name).as_uri(),
        "archive_info": {"hash": f"sha256={digest}", "hashes": {"sha256": digest}},
    }
    shipped = wheel(
        "log", "2.0", dist_info_files={"INSTALLER": "x", "REQUESTED": "", "direct_url.json": "{}"}
    )
    client = make_client(serve(shipped))
    resolution = Resolver(client).resolve(["log>1"], target=environment)
    Installer(environment, client).install(resolution, requested=[])
    folder = Path(environment.scheme.purelib) / "log-2.0.dist-info"
    assert sorted(path.name for path in folder.iterdir()) == ["INSTALLER", "METADATA", "RECORD", "WHEEL"]
    assert (folder / "INSTALLER").read_text() == "puffin-api\n"
    assert environment.check(deep=True) == ()


# -- for another system


@pytest.mark.parametrize("platform", ["win_amd64", "win32", "win_arm64"])
def test_a_folder_for_windows_gets_programs(make_client, index, tmp_path, platform):
    folder = tmp_path / "for-windows"
    target = Target.for_platform("3.12", platform)
    environment = Environment.directory(folder, target=target)
    report = install(make_client(index), environment, "Rich.Pkg")

    assert {path.name for path in (folder / "bin").iterdir()} == {"rich-cli.exe", "rich-gui.exe", "shipped"}
    with zipfile.ZipFile(folder / "bin/rich-cli.exe") as program:
        assert b"from rich_pkg import main" in program.read("__main__.py")
    assert b"#!python\nPK" in (folder / "bin/rich-cli.exe").read_bytes()
    assert b"#!pythonw\nPK" in (folder / "bin/rich-gui.exe").read_bytes()
    assert [notice.code for notice in report.notices] == []
    assert "bin/rich-cli.exe" in record(folder)
    assert environment.check(deep=True) == ()
    done = subprocess.run(
        [sys.executable, folder / "bin/rich-cli.exe", "x"],
        env={"PYTHONPATH": os.fspath(folder)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "hello x\n"
    assert versions(environment) == {"rich-pkg": "1.0"}


def test_the_running_interpreter_is_no_matter_for_a_folder_of_another_one(make_client, index, tmp_path):
    other = Target.for_platform("3.9", "macosx_11_0_arm64")
    environment = Environment.directory(tmp_path / "folder", target=other)
    install(make_client(index), environment, "Rich.Pkg")

    assert Interpreter.current().target != other
    assert (tmp_path / "folder/bin/shipped").read_text().startswith("#!/usr/bin/env python3\n")
