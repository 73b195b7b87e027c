"""The same real projects by us, uv and pip: the same files, and each goes on where another stopped."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from puffin_api import Cache, Environment, Installer, Interpreter, Resolution, Resolver
from puffin_api.model import MissingDependency
from tests.network.conftest import find_python, open_client
from tests.network.interop_kit import Difference, Rows, Tool, Tree, pins_file, three_tools
from tests.network.other_tools import import_all, pins, run

pytestmark = pytest.mark.network

# What makes each of them worth it stands in docs/explanation/interop.md.
LIGHT = """
    azure-common azure-core azure-mgmt-core backports.functools-lru-cache backports.tarfile black coverage
    debugpy docutils google-auth google-cloud-core googleapis-common-protos greenlet jaraco.classes
    jaraco.context jaraco.functools jupyterlab_pygments jupyterlab_widgets Markdown nodeenv Paste Pillow
    protobuf pybind11-global Pygments PyYAML ruamel.yaml setuptools six sphinxcontrib-applehelp
    sphinxcontrib-htmlhelp sphinxcontrib-jsmath typing_extensions widgetsnbextension zope.deprecation
    zope.event zope.interface
"""
HEAVY = "boto cryptography grpcio lxml numpy qtconsole ruff"
LEFT_OUT = ("ipykernel", "notebook")
"""Without these, qtconsole and an old widgetsnbextension bring less with them. All are to notice."""
INSIDE_NAMESPACES = """
    azure.common azure.core azure.mgmt.core backports.functools_lru_cache backports.tarfile google.api
    google.auth google.cloud.exceptions google.protobuf jaraco.classes jaraco.context jaraco.functools
    ruamel.yaml sphinxcontrib.applehelp sphinxcontrib.htmlhelp sphinxcontrib.jsmath zope.deprecation
    zope.event zope.interface
"""
NOT_ALONE = {
    "blackd": "aiohttp",
    "qtpy": "Qt bindings",
    "sphinxcontrib.applehelp": "sphinx",
    "sphinxcontrib.htmlhelp": "sphinx",
    "sphinxcontrib.jsmath": "sphinx",
}
"""The modules that want what is not installed here, and what that is."""
SCRIPTS = ("coverage", "docutils", "markdown_py", "nodeenv")
NEWER = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Sets:
    """What is installed with one Python."""

    newer: list[str]
    older: list[str]
    before: datetime
    """The day of the older versions."""
    missing: tuple[str, ...] = ()
    """The packages that the newer ones need and that were left out."""


SETS = {
    "3.11": Sets(
        newer=[*LIGHT.split(), *HEAVY.split()],
        # debugpy 1.4.2 has a build tag. Of tarfile there was nothing yet.
        older=[*LIGHT.replace("backports.tarfile", "").split(), *HEAVY.split(), "debugpy==1.4.2"],
        before=datetime(2023, 4, 1, tzinfo=UTC),
        missing=("ipykernel",),
    ),
    "3.9": Sets(
        newer=LIGHT.split(),
        older=LIGHT.replace("backports.tarfile", "").split(),
        # Nearly all that shares a namespace did so by .pth files.
        before=datetime(2021, 6, 1, tzinfo=UTC),
    ),
}
COMPILED = ["six", "zope.interface", "yaml", "google.protobuf"]
"""Imported before everything is removed, so that there are compiled modules to be removed as well."""
OWN_WORDS = {"INSTALLER", "RECORD"}
"""Files whose content is each installer's own."""


@dataclass
class Fresh:
    """An environment with the newer versions, as one tool has made it."""

    tool: Tool
    environment: Environment
    tree: Tree


@dataclass
class Stage:
    """One Python, two sets of versions, three tools."""

    python: Interpreter
    sets: Sets
    folder: Path
    cache: Cache
    tools: dict[str, Tool]
    newer: Resolution
    older: Resolution
    fresh: dict[str, Fresh] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        return {name: package.version for name, package in self.newer.packages.items()}

    def environment(self, name: str) -> Environment:
        # The last part is the same for all, as it is in the scripts that activate.
        return self.python.create_venv(self.folder / name / "env")

    def install_afresh(self, tool: Tool) -> Fresh:
        environment = self.environment(f"fresh-{tool.name}")
        tool.install(environment, self.newer)
        return Fresh(tool, environment, Tree.of(environment))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One folder for the caches of all tools and all Pythons of this module."""
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.fixture(scope="module", params=SETS)
def stage(request, store, tmp_path_factory):
    python = find_python(request.param)
    sets = SETS[request.param]
    cache = Cache(store / "ours")
    with open_client(cache) as client:
        newer = resolve_twice(Resolver(client), sets.newer, python, NEWER)
        older = resolve_twice(Resolver(client), sets.older, python, sets.before)
    tools = three_tools(store)
    stage = Stage(python, sets, tmp_path_factory.mktemp("stage"), cache, tools, newer, older)
    with ThreadPoolExecutor(2) as threads:  # downloads and the writing of files overlap
        stage.fresh.update(zip(tools, threads.map(stage.install_afresh, tools.values()), strict=True))
    yield stage
    shutil.rmtree(stage.folder)


def resolve_twice(resolver: Resolver, names: list[str], python: Interpreter, before: datetime) -> Resolution:
    """Resolve names to versions as of a day, then exactly these, so that all of them are asked for."""
    options = {"target": python, "only_binary": [":all:"], "excludes": LEFT_OUT}
    found = resolver.resolve(names, exclude_newer=before, **options)
    return resolver.resolve([f"{p.name}=={p.version}" for p in found.packages.values()], **options)


@pytest.mark.parametrize("other", ["uv", "pip"])
def test_files_are_the_same(stage, other):
    ours, theirs = stage.fresh["ours"].tree, stage.fresh[other].tree

    assert unexplained(ours, theirs) == {}


@pytest.mark.parametrize("other", ["uv", "pip"])
def test_records_say_the_same(stage, other):
    ours, theirs = stage.fresh["ours"].tree, stage.fresh[other].tree

    assert len(ours.records) == len(stage.newer.packages)
    assert said(ours) == said(theirs)


def said(tree: Tree) -> dict[str, Rows]:
    """Return all rows, without digest and size where the content is the installer's own."""
    return {
        folder: {
            path: () if path.startswith("bin/") or path.endswith("/INSTALLER") else row
            for path, row in rows.items()
        }
        for folder, rows in tree.records.items()
    }


def test_everything_can_be_imported(stage, tmp_path):
    environment = stage.fresh["ours"].environment
    modules = {module for dist in environment.installed() for module in dist.modules()}

    failed = import_all(environment.interpreter.path, [*modules, *INSIDE_NAMESPACES.split()], tmp_path)

    reasons = {module: text.splitlines()[-1] for module, text in failed.items()}
    assert reasons.keys() == {module for module in NOT_ALONE if module.partition(".")[0] in modules}
    assert [module for module, reason in reasons.items() if NOT_ALONE[module] not in reason] == []


def test_scripts_run_whoever_made_them(stage, tmp_path):
    told = {}
    for name, fresh in stage.fresh.items():
        scripts = fresh.environment.root / "bin"
        told[name] = [run(scripts / script, "--version", HOME=str(tmp_path)) for script in SCRIPTS]

    assert told["ours"] == told["uv"] == told["pip"]


def test_other_tools_accept_what_we_installed(stage):
    environment, uv, pip = stage.fresh["ours"].environment, stage.tools["uv"], stage.tools["pip"]
    missing, exact = stage.sets.missing, pins_file(stage.folder, stage.newer)

    checked = uv.run(environment, "check", fails=bool(missing))
    assert re.findall("requires `([^`>]*).*`, but it's not installed", checked) == list(missing)
    assert pins(uv.run(environment, "freeze")) == stage.versions
    assert "Would make no changes" in uv.run(environment, "sync", "--dry-run", exact)
    again = pip.run(environment, "install", "--dry-run", "--no-deps", "--no-index", "-r", exact)
    assert "Requirement already satisfied" in again
    assert "Would install" not in again
    checked = pip.run(environment, "check", fails=bool(missing))
    assert re.findall(r"requires ([^,]*), which is not installed", checked) == list(missing)
    listed = json.loads(pip.run(environment, "list", "--format", "json").splitlines()[0])
    assert {canonicalize_name(dist["name"]): dist["version"] for dist in listed} == stage.versions


@pytest.mark.parametrize("other", ["uv", "pip"])
def test_we_accept_what_others_installed(stage, other):
    environment = stage.fresh[other].environment
    installed = environment.installed()

    assert {dist.name: dist.version for dist in installed} == stage.versions
    assert {(dist.installer, dist.requested) for dist in installed} == {(other, True)}
    problems = environment.check(deep=True)
    assert {type(problem) for problem in problems} <= {MissingDependency}
    assert [Requirement(problem.requirement).name for problem in problems] == list(stage.sets.missing)
    with open_client(stage.cache) as client:
        installer = Installer(environment, client)
        assert installer.plan(stage.newer).is_empty
        assert installer.plan(stage.newer, mode="sync").is_empty


@pytest.mark.parametrize(
    ("first", "second"), [("ours", "uv"), ("uv", "ours"), ("ours", "pip"), ("pip", "ours")]
)
def test_each_goes_on_where_another_stopped(stage, first, second, tmp_path):
    environment = stage.environment(f"{first}-{second}")
    bare = Tree.of(environment)

    stage.tools[first].install(environment, stage.older)
    older = Tree.of(environment)
    stage.tools[second].replace(environment, stage.newer)
    newer = Tree.of(environment)
    stage.tools[first].replace(environment, stage.older)
    import_all(environment.interpreter.path, COMPILED, tmp_path)
    again = Tree.of(environment)
    stage.tools[second].uninstall(environment, [dist.name for dist in environment.installed()])

    left = {path for path in Tree.of(environment).entries if path not in bare.entries}
    if first == "ours":  # whose files are hard links into the cache, where links work
        assert stage.cache.verify(repair=False).damaged == {}

    assert unexplained(stage.fresh["ours"].tree, newer) == {}
    # pip removes a file together with its first owner, though another one has it as well.
    lost = newer.shared if first == "pip" else set()
    assert unexplained(older, again).keys() <= lost
    if second == "ours":
        assert left <= hollow(again) | headers(environment)
    else:  # they leave folders, and uv the compiled form of a module beside others
        files = {path for path in left if again.entries[path].kind != "folder"}
        assert {
            path for path in files if second != "uv" or "/site-packages/__pycache__/" not in path
        } == set()


def hollow(tree: Tree) -> set[str]:
    """Return the folders that nothing owns, as others leave them, and what they are in."""
    found = {path for path in tree.entries if tree.is_hollow(path)}
    return found | {parent.as_posix() for path in found for parent in Path(path).parents}


def headers(environment: Environment) -> set[str]:
    """Return the folder for headers, which is not there at first, and stays."""
    path = Path(environment.scheme.include).relative_to(environment.root)
    return {path.as_posix(), path.parent.as_posix()}


def test_nothing_is_left_where_no_other_tool_was(stage):
    ours, environment = stage.tools["ours"], stage.environment("ours-alone")
    bare = Tree.of(environment).entries

    ours.install(environment, stage.older)
    older = Tree.of(environment).entries
    ours.replace(environment, stage.newer)
    newer = Tree.of(environment).entries
    ours.replace(environment, stage.older)
    again = Tree.of(environment).entries
    ours.uninstall(environment, [dist.name for dist in environment.installed()])
    left = Tree.of(environment).entries

    changed = {path for path, _ in newer.items() ^ stage.fresh["ours"].tree.entries.items()}
    # Digests of scripts that name the interpreter of their environment stand in them.
    assert {path for path in changed if not path.endswith("/RECORD")} == set()
    assert again == older
    assert left.keys() - bare.keys() == headers(environment)


def unexplained(ours: Tree, theirs: Tree) -> dict[str, Difference]:
    """Return how two trees differ, but for what docs/explanation/interop.md says."""
    found = ours.differences(theirs, besides=OWN_WORDS)
    return {path: pair for path, pair in found.items() if pair[0] is not None or not theirs.is_hollow(path)}
