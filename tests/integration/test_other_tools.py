"""Other tools judge what we install, and we take over what they installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from puffin_api import Installer, Resolver
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import (
    install,
    tree,
    versions,
    wheel,
)
from tests.integration.rich_wheels import RICH, run

UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")

needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed here")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed here")


@pytest.fixture
def environment(make_venv):
    return make_venv()


def pip(environment, *arguments):
    """This environment's pip, at work on another one."""
    return run(sys.executable, "-m", "pip", "--python", environment.interpreter.path, *arguments)


def uv(environment, *arguments):
    where = ["--python", environment.interpreter.path, "--offline", "--no-config", "--no-cache"]
    return run(UV, "pip", *arguments, *where, "--color=never")


def pip_list(environment):
    found = json.loads(pip(environment, "list", "--format=json").splitlines()[0])
    return {item["name"]: item["version"] for item in found}


@needs_pip
def test_pip_judges_and_removes_what_we_installed(environment, serve, make_client):
    before = set(tree(environment.root))
    install(make_client(serve(RICH)), environment, "tool[fast]")

    assert pip(environment, "check").strip() == "No broken requirements found."
    assert pip_list(environment) == {"tool": "1.0", "ns-one": "1.0", "ns-two": "1.0", "log": "1.1"}
    shown = pip(environment, "show", "--files", "tool")
    assert "Installer: puffin-api" in pip(environment, "show", "--verbose", "tool")
    assert "tool/data.txt" in shown
    pip(environment, "uninstall", "--yes", "tool", "ns-one", "ns-two", "log")

    left = {path for path, what in tree(environment.root).items() if what[0] != "folder"} - before
    assert {path for path in left if "__pycache__" not in path} == set()
    assert versions(environment) == {}


@needs_uv
def test_uv_judges_and_removes_what_we_installed(environment, serve, make_client, tmp_path):
    before = set(tree(environment.root))
    index = serve(RICH)
    client = make_client(index)
    resolution = Resolver(client).resolve(["tool[fast]"], target=environment)
    Installer(environment, client).install(resolution)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, data in RICH.items():
        (wheels / name).write_bytes(data)

    assert "All installed packages are compatible" in uv(environment, "check")
    listed = [line for line in uv(environment, "list", "--format=freeze").split() if "==" in line]
    assert listed == [
        "log==1.1", "ns-one==1.0", "ns-two==1.0", "tool==1.0"
    ]  # fmt: skip
    exported = tmp_path / "requirements.txt"
    exported.write_text(resolution.to_requirements_txt())
    dry = uv(environment, "sync", "--dry-run", "--no-index", "--find-links", wheels, exported)
    assert "Would make no changes" in dry
    uv(environment, "uninstall", "tool", "ns-one", "ns-two", "log")

    left = {path for path, what in tree(environment.root).items() if what[0] != "folder"} - before
    assert {path for path in left if "__pycache__" not in path and not path.endswith(".lock")} == set()
    assert versions(environment) == {}


@pytest.mark.parametrize("tool", [pytest.param("pip", marks=needs_pip), pytest.param("uv", marks=needs_uv)])
def test_we_change_and_remove_what_another_tool_installed(environment, serve, make_client, tmp_path, tool):
    before = set(tree(environment.root))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, data in RICH.items():
        (wheels / name).write_bytes(data)
    theirs = ["install", "--no-index", "--find-links", wheels, "tool", "log==1.0"]
    if tool == "pip":
        pip(environment, *theirs)  # and compiles
    else:
        uv(environment, *theirs)
    assert versions(environment) == {"tool": "1.0", "ns-one": "1.0", "ns-two": "1.0", "log": "1.0"}
    assert {dist.installer for dist in environment.installed()} == {tool}
    assert environment.check(deep=True) == ()
    newer = serve(RICH | wheel("tool", "2.0", requires=["ns-one"], files={"tool/__init__.py": ""}))
    client = make_client(newer)
    installer = Installer(environment, client)

    same = installer.plan(Resolver(client).resolve(["tool<2", "log<1.1"], target=environment))
    assert same.is_empty
    report = install(client, environment, "tool", "log")

    assert {(c.action, c.name) for c in report.changes} == {("upgrade", "tool"), ("upgrade", "log")}
    assert versions(environment) == {"tool": "2.0", "ns-one": "1.0", "ns-two": "1.0", "log": "1.1"}
    site = Path(environment.scheme.purelib)
    assert not list(site.rglob("log_old*"))
    assert not (Path(environment.root) / "share/tool/manual.txt").exists()
    assert not (Path(environment.scheme.scripts) / "tool").exists()
    assert environment.check(deep=True) == ()
    installer.uninstall(["tool", "ns-one", "ns-two", "log"])
    left = {path for path, what in tree(environment.root).items() if what[0] != "folder"} - before
    assert {path for path in left if not path.endswith(".lock")} == set()
    assert versions(environment) == {}


def test_the_index_of_these_tests_is_a_real_one(environment, serve):
    """What we take from it, pip takes as well."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed here")
    index = serve(RICH, kind=LoopbackIndex)

    pip(environment, "install", "--index-url", index.url, "--no-cache-dir", "--no-compile", "tool[fast]")

    assert versions(environment) == {"tool": "1.0", "ns-one": "1.0", "ns-two": "1.0", "log": "1.1"}
