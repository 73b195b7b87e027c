"""Real projects of every kind of backend in development mode: the same files as uv puts there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from puffin_api import Cache, Editable, Environment
from puffin_api._testing.doubles import FailingRunner
from puffin_api.model import InstalledDistribution
from tests.network.conftest import find_python
from tests.network.interop_kit import Tree
from tests.network.other_tools import import_all, run
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
    others: tuple[str, ...] = ()
    """Its top-level modules but for the one of that."""

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(sorted({self.module.partition(".")[0], *self.others}))

    @property
    def module(self) -> str:
        path = Path(self.source.removeprefix("src/"))
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


PROJECTS = {
    "setuptools": Project("iniconfig", "2.3.1", "src/iniconfig/__init__.py"),  # a .pth file
    "setup.py": Project("docopt", "0.6.2", "docopt.py"),  # an import hook
    "flit": Project("idna", "3.20", "idna/__init__.py"),
    "hatchling": Project("attrs", "26.1.0", "src/attr/__init__.py", ("attrs",)),
    "poetry": Project("tomlkit", "0.15.2", "tomlkit/__init__.py"),
    "pdm": Project("findpython", "0.9.0", "src/findpython/__init__.py"),
    "flit_scm": Project("exceptiongroup", "1.3.0", "src/exceptiongroup/__init__.py"),
    "in-c": Project("lazy-object-proxy", "1.10.0", "src/lazy_object_proxy/simple.py"),
    "namespace": Project("zope.interface", "6.4", "src/zope/interface/__init__.py"),
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

    @property
    def installed(self) -> InstalledDistribution:
        found = self.environment.installed().get(canonicalize_name(self.project.name))
        assert found is not None
        return found


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
    installed = developed.installed

    assert (installed.version, installed.editable) == (developed.project.version, True)
    assert installed.direct_url is not None
    assert installed.direct_url.url == developed.tree.as_uri()
    assert developed.environment.check(deep=True) == ()


def test_its_modules_are_found_in_its_tree(developed):
    installed = developed.installed

    assert installed.modules() == developed.project.modules


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


MODES = {
    "strict": ("docopt", "0.6.2", {"editable_mode": "strict"}),
    "compat": ("docopt", "0.6.2", {"editable_mode": "compat"}),
    "strict-src": ("iniconfig", "2.3.1", {"editable_mode": "strict"}),
    "strict-c": ("markupsafe", "3.0.4", {"editable_mode": "strict"}),
    "inplace": ("pybind11", "3.1.0", {"editable.mode": "inplace"}),
    "meson": ("memory-allocator", "0.2.1", {"editable-verbose": "true"}),
}
"""Project and settings by what is to be tried."""


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_of_a_backend_gives_what_uv_gets(mode, store, tmp_path):
    name, version, settings = MODES[mode]
    python = find_python(PYTHON)
    ours, other = (python.create_venv(tmp_path / tool / "env") for tool in ("ours", "uv"))
    mine, theirs = (unpack_sdist(name, version, tmp_path / who) for who in ("mine", "else"))

    install_from_sources(
        ours, [Editable(path=mine)], (), cache=Cache(store / "cache"), config_settings=settings
    )
    given = [part for key, value in settings.items() for part in ("--config-setting", f"{key}={value}")]
    uv_install_from_sources(other, ["-e", theirs, *given], (), cache=store / "uv-cache")

    assert recorded(Tree.of(ours)) == recorded(Tree.of(other))
    different = unexplained(Tree.of(ours), Tree.of(other))
    for path in different:
        text, expected = ((env.root / path).read_text(encoding="utf-8") for env in (ours, other))
        assert text.replace(str(mine), str(theirs)) == expected
    assert different, "something leads to the tree"
    [installed] = [dist for dist in ours.installed() if dist.name == name]
    assert installed.modules() == (name.replace("-", "_"),)
    assert installed.editable
    if (
        mode != "meson"
    ):  # which builds at each import, with programs that were in the environment of the build
        assert import_all(ours.interpreter.path, list(installed.modules()), tmp_path) == {}
