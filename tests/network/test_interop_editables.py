"""Projects in development mode, as pip and uv install them: listed, replaced and removed by us."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from puffin_api import Cache, Client, Environment, Index, Installer, Interpreter
from puffin_api._testing.wheels import write_wheel
from tests.network.conftest import find_python, open_client
from tests.network.interop_kit import Tree
from tests.network.other_tools import import_all, pip, run, uv

pytestmark = pytest.mark.network

BACKENDS = {
    "setuptools": ("setuptools.build_meta", "[tool.setuptools.packages.find]\nwhere = [{where}]\n"),
    "hatchling": ("hatchling.build", "[tool.hatch.build.targets.wheel]\npackages = [{package}]\n"),
    "flit_core": ("flit_core.buildapi", "[tool.flit.module]\nname = 'demo_tool'\n"),
}
SETUP_PY = """
from setuptools import setup

scripts = ["demo-tool = demo_tool.main:main"]
setup(name="demo.tool", version="1.0", packages=["demo_tool"], entry_points={"console_scripts": scripts})
"""
CASES = [
    ("pip", "setuptools", "src"),
    ("pip", "setuptools", "flat"),
    ("pip", "hatchling", "flat"),
    ("uv", "setuptools", "flat"),
    ("uv", "hatchling", "src"),
    ("uv", "flit_core", "src"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)


def write_project(folder: Path, backend: str, layout: str) -> Path:
    """Write a project with one package and one script."""
    where = folder / "src" if layout == "src" else folder
    package = where / "demo_tool"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A tool."""\n\n__version__ = "1.0"\n', encoding="utf-8")
    (package / "main.py").write_text("def main():\n    print('editable')\n", encoding="utf-8")
    module, table = BACKENDS[backend]
    relative = "src" if layout == "src" else "."
    (folder / "pyproject.toml").write_text(
        f"[build-system]\nrequires = ['{backend}']\nbuild-backend = '{module}'\n"
        "[project]\nname = 'demo.tool'\nversion = '1.0'\ndescription = 'A tool.'\n"
        "[project.scripts]\ndemo-tool = 'demo_tool.main:main'\n"
        + table.format(where=f"'{relative}'", package=f"'{relative}/demo_tool'"),
        encoding="utf-8",
    )
    return folder


@dataclass
class Editable:
    """A project in development mode. Each test leaves everything as it was."""

    environment: Environment
    client: Client
    project: Path
    bare: Tree
    """The environment without it."""

    @property
    def installer(self) -> Installer:
        return Installer(self.environment, self.client)

    def content(self) -> dict[str, bytes]:
        files = (path for path in self.project.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {str(path.relative_to(self.project)): path.read_bytes() for path in files}


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def editable(request, store, tmp_path_factory):
    tool, backend, layout = request.param
    folder = tmp_path_factory.mktemp("editable")
    project = write_project(folder / "demo", backend, layout)
    environment = Interpreter.current().create_venv(folder / "env")
    bare, index = Tree.of(environment), Index.pypi().url
    python = environment.interpreter.path
    if tool == "uv":
        uv("pip", "install", "-p", python, "--default-index", index, "-e", project, cache=store / "uv")
    else:
        options = ("--no-compile", "--index-url", index, "--cache-dir", store / "pip")
        run(sys.executable, "-m", "pip", "--python", python, "install", *options, "-e", project)
    with open_client(Cache(store / "ours")) as client:
        yield Editable(environment, client, project, bare)


def test_it_is_listed_as_what_it_is(editable):
    environment = editable.environment

    (dist,) = environment.installed()
    assert (dist.name, dist.version, dist.editable, dist.requested) == ("demo-tool", "1.0", True, True)
    assert dist.direct_url.url == editable.project.as_uri()
    assert [point.name for point in dist.entry_points] == ["demo-tool"]
    assert environment.check(deep=True) == ()
    assert environment.satisfies(["demo.tool>=1"])
    assert run(environment.root / "bin/demo-tool", PYTHONDONTWRITEBYTECODE="1") == "editable\n"


def test_its_modules_are_those_of_the_project(editable):
    (dist,) = editable.environment.installed()

    assert dist.modules() == ("demo_tool",)


def test_a_release_takes_its_place(editable, tmp_path):
    environment, before, project = editable.environment, Tree.of(editable.environment), editable.content()
    wheel = write_wheel(
        tmp_path,
        "demo-tool",
        "2.0",
        files={"demo_tool/__init__.py": "", "demo_tool/main.py": "def main():\n    print('release')\n"},
        entry_points={"console_scripts": {"demo-tool": "demo_tool.main:main"}},
    )

    report = editable.installer.install([wheel])
    (dist,) = environment.installed()
    listed = (dist.version, dist.editable, dist.modules())
    printed = run(environment.root / "bin/demo-tool", PYTHONDONTWRITEBYTECODE="1")
    left = [path for path in Tree.of(environment).entries if path.endswith(".pth") or "editable" in path]
    undone = editable.installer.undo(report)

    assert [(c.action, c.old, c.new) for c in report.changes] == [("upgrade", "1.0", "2.0")]
    assert listed == ("2.0", False, ("demo_tool",))
    assert (printed, left) == ("release\n", [])
    assert [(c.action, c.old, c.new) for c in undone.changes] == [("downgrade", "2.0", "1.0")]
    assert Tree.of(environment).entries == before.entries
    assert editable.content() == project


def test_it_goes_and_the_project_stays(editable, tmp_path):
    environment, before, project = editable.environment, Tree.of(editable.environment), editable.content()

    report = editable.installer.uninstall(["demo-tool"])
    gone = Tree.of(environment)
    failed = import_all(environment.interpreter.path, ["demo_tool"], tmp_path)
    editable.installer.undo(report)

    assert [change.action for change in report.changes] == ["remove"]
    assert gone.entries == editable.bare.entries
    assert failed.keys() == {"demo_tool"}
    assert Tree.of(environment).entries == before.entries
    assert editable.content() == project


def test_what_setup_py_develop_left(store, tmp_path):
    """The way of old: an .egg-link and a line in easy-install.pth, written by an old pip and setuptools."""
    project = write_project(tmp_path / "demo", "setuptools", "flat")
    (project / "pyproject.toml").unlink()
    (project / "setup.py").write_text(SETUP_PY, encoding="utf-8")
    environment = find_python("3.9").create_venv(tmp_path / "env")
    bare, python = Tree.of(environment), environment.interpreter.path
    with open_client(Cache(store / "ours")) as client:
        installer = Installer(environment, client)
        installer.install(["setuptools<64", "wheel<0.38"])
        options = ("--no-build-isolation", "--no-use-pep517", "--no-index")
        pip(python, "install", *options, "-e", project, version=str(environment.interpreter.version))
        installer.uninstall(["setuptools", "wheel"])
        before, content = Tree.of(environment), {path: path.read_bytes() for path in project.rglob("*.py")}

        (dist,) = environment.installed()
        listed = (dist.name, dist.version, dist.kind, dist.editable, dist.modules())
        printed = run(environment.root / "bin/demo-tool", PYTHONDONTWRITEBYTECODE="1")
        report = installer.uninstall(["demo-tool"])
        gone = Tree.of(environment)
        installer.undo(report)

    assert listed == ("demo-tool", "1.0", "egg-link", True, ("demo_tool",))
    assert printed == "editable\n"
    assert environment.check(deep=True) == ()
    # Nothing lists the script; uv leaves it too, pip works its name out.
    assert {path for path in gone.entries if path not in bare.entries} == {"bin/demo-tool"}
    assert Tree.of(environment).entries == before.entries
    assert content == {path: path.read_bytes() for path in project.rglob("*.py")}
