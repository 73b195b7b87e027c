"""Real projects of every kind of backend in development mode: the same files as uv puts there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from puffin_api import Cache, Editable, Environment
from puffin_api._testing.doubles import FailingRunner
from tests.network.conftest import find_python
from tests.network.interop_kit import Tree
from tests.network.other_tools import run
from tests.network.sources_kit import (
    Phases,
    install_from_sources,
    recorded,
    unexplained,
    unpack_sdist,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network

PYTHON = "3.13"


@dataclass(frozen=True)
class Project:
    """A project with an sdist on the index."""

    name: str
    version: str
    source: str
    """A module of it."""

    @property
    def module(self) -> str:
        path = Path(self.source.removeprefix("src/"))
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


PROJECTS = {
    "setuptools": Project("iniconfig", "2.3.1", "src/iniconfig/__init__.py"),  # a .pth file
    "setup.py": Project("docopt", "0.6.2", "docopt.py"),  # an import hook
    "flit": Project("idna", "3.20", "idna/__init__.py"),
    "hatchling": Project("attrs", "26.1.0", "src/attr/__init__.py"),
    "poetry": Project("tomlkit", "0.15.2", "tomlkit/__init__.py"),
    "pdm": Project("findpython", "0.9.0", "src/findpython/__init__.py"),
    "scikit-build": Project("pybind11", "3.1.0", "pybind11/__init__.py"),  # an import hook of its own
}


@dataclass
class Developed:
    """One project, installed in development mode by us and by uv, each from a tree of its own."""

    project: Project
    cache: Cache
    tree: Path
    environment: Environment
    other_tree: Path
    other: Environment
    phases: Phases


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.fixture(scope="module", params=PROJECTS)
def developed(request, store):
    project = PROJECTS[request.param]
    python, cache, phases = find_python(PYTHON), Cache(store / "cache"), Phases()
    ours, other = (python.create_venv(store / tool / project.name / "env") for tool in ("ours", "uv"))
    mine, theirs = (unpack_sdist(project.name, project.version, store / who) for who in ("mine", "else"))
    install_from_sources(ours, [Editable(path=mine)], (), cache=cache, reporter=phases.reporter)
    uv_install_from_sources(other, ["-e", theirs], (), cache=store / "uv-cache")
    return Developed(project, cache, mine, ours, theirs, other, phases)


def test_files_are_those_that_uv_installs(developed):
    ours, theirs = Tree.of(developed.environment), Tree.of(developed.other)

    assert recorded(ours) == recorded(theirs)
    different = unexplained(ours, theirs)
    assert len(different) in (1, 2)  # what leads to the tree, and so has its path
    for path in different:
        mine, other = ((tree.prefix / path).read_text(encoding="utf-8") for tree in (ours, theirs))
        assert str(developed.tree) in mine
        assert mine.replace(str(developed.tree), str(developed.other_tree)) == other


def test_it_is_listed_as_editable_with_its_tree(developed):
    [installed] = [dist for dist in developed.environment.installed() if dist.name == developed.project.name]

    assert (installed.version, installed.editable) == (developed.project.version, True)
    assert installed.direct_url is not None
    assert installed.direct_url.url == developed.tree.as_uri()
    assert developed.environment.check(deep=True) == ()


def test_no_whole_wheel_is_built(developed):
    phases = [phase for phases in developed.phases.of.values() for phase in phases]

    assert phases.count("build-editable") == 1
    assert "build-wheel" not in phases


def test_an_install_elsewhere_needs_no_backend(developed, tmp_path):
    """The trees have what builds left in them, and are nevertheless as they were."""
    environment, runner = find_python(PYTHON).create_venv(tmp_path / "env"), FailingRunner()

    install_from_sources(
        environment, [Editable(path=developed.tree)], (), cache=developed.cache, runner=runner
    )

    assert runner.asked == []
    assert recorded(Tree.of(environment)) == recorded(Tree.of(developed.environment))


def test_a_change_of_the_source_is_seen_at_once(developed):
    python, project = developed.environment.interpreter.path, developed.project
    ask = f"import {project.module} as it; print(getattr(it, 'changed_today', 'as it was'))"
    source = developed.tree / project.source

    before = run(python, "-I", "-B", "-W", "ignore", "-c", ask)
    with source.open("a", encoding="utf-8") as file:
        file.write("\nchanged_today = 'changed'\n")
    after = run(python, "-I", "-B", "-W", "ignore", "-c", ask)

    assert (before, after) == ("as it was\n", "changed\n")
