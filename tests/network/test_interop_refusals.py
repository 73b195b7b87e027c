"""What we refuse: contradictions in and between wheels that others install, and plans that they outdated."""

from __future__ import annotations

import shutil

import pytest
from packaging.utils import canonicalize_name

from puffin_api import Cache, Installer, Interpreter, Resolver
from puffin_api.errors import FileConflict, PlanOutdated, UnsafeArchive
from tests.network.conftest import open_client
from tests.network.interop_kit import Tree, three_tools

pytestmark = pytest.mark.network


@pytest.fixture
def place(tmp_path):
    """Three tools, an environment, and how to resolve one requirement for it."""
    environment = Interpreter.current().create_venv(tmp_path / "env")

    def resolve(requirement):
        with open_client(Cache(tmp_path / "ours")) as client:
            options = {"target": environment, "dependencies": False, "only_binary": [":all:"]}
            return Resolver(client).resolve([requirement], **options)

    yield three_tools(tmp_path), environment, resolve
    shutil.rmtree(tmp_path)  # pytest keeps the folders of three runs


@pytest.mark.parametrize("other", ["uv", "pip"])
def test_two_projects_that_want_different_files_in_one_place(tmp_path, place, other):
    """Both have a backports/__init__.py; the other tools let the later one win."""
    tools, environment, resolve = place
    tools["ours"].install(environment, resolve("backports.tarfile==1.2.0"))
    before, second = Tree.of(environment).entries, resolve("backports.weakref==1.0.post1")

    with pytest.raises(FileConflict) as caught:
        tools["ours"].install(environment, second)

    owners = {canonicalize_name(owner) for owner in caught.value.data["owners"]}
    assert owners == {"backports-tarfile", "backports-weakref"}
    assert Tree.of(environment).entries == before
    tools[other].install(environment, second)
    problems = [(p.code, p.name, p.path) for p in environment.check(deep=True)]
    assert problems == [("modified-file", "backports-tarfile", "backports/__init__.py")]
    assert Cache(tmp_path / "ours").verify(repair=False).damaged == {}


@pytest.mark.parametrize("other", ["uv", "pip"])
def test_a_wheel_whose_record_is_not_about_its_files(place, other):
    """Some of its files were signed after RECORD had been written, and grew by that."""
    tools, environment, resolve = place
    before, only = Tree.of(environment).entries, resolve("debugpy==1.6.6")
    if only.packages["debugpy"].file.filename != "debugpy-1.6.6-py2.py3-none-any.whl":
        pytest.skip("there is a better wheel for this Python")

    with pytest.raises(UnsafeArchive) as caught:
        tools["ours"].install(environment, only)

    assert caught.value.data["rule"] == "record-size-mismatch"
    assert Tree.of(environment).entries == before
    tools[other].install(environment, only)
    problems = {(p.code, p.path.rpartition(".")[2]) for p in environment.check(deep=True)}
    assert problems == {("modified-file", kind) for kind in ("dll", "exe", "pyd")}
    tools["ours"].uninstall(environment, ["debugpy"])
    assert Tree.of(environment).entries == before


@pytest.mark.parametrize("other", ["uv", "pip"])
def test_what_was_planned_or_done_before_another_tool_came_by(tmp_path, place, other):
    tools, environment, resolve = place
    with open_client(Cache(tmp_path / "ours")) as client:
        installer = Installer(environment, client)
        report = installer.install(resolve("six==1.16.0"))
        plan = installer.plan(resolve("idna==3.7"))
        tools[other].install(environment, resolve("six==1.17.0"))

        with pytest.raises(PlanOutdated):
            installer.install(plan)
        with pytest.raises(PlanOutdated):
            installer.undo(report)
        installer.install(plan, if_outdated="replan")

    versions = {dist.name: (dist.version, dist.installer) for dist in environment.installed()}
    assert versions == {"six": ("1.17.0", other), "idna": ("3.7", "puffin-api")}
    assert environment.check(deep=True) == ()
