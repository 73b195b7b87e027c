"""One real project for each way of building that is none of the usual ones: the same files as uv builds."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest
from packaging.utils import canonicalize_name

from puffin_api import Cache
from puffin_api.errors import BuildFailed
from tests.network.conftest import find_python
from tests.network.interop_kit import Tree
from tests.network.other_tools import import_all, uv
from tests.network.sources_kit import (
    install_from_sources,
    recorded,
    unexplained,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network


@dataclass(frozen=True)
class Project:
    """A project with an sdist on the index."""

    requirement: str
    python: str
    module: str
    shows: str
    """Pattern of a file that would be missing if it were built in another way."""
    static: bool = False
    """Whether the sdist promises its metadata."""

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


# Pinned, so that a new release cannot turn a test of us into one of the project.
PROJECTS = {
    "setup_requires": Project("mccabe==0.6.1", "3.11", "mccabe", "*/mccabe.py"),
    "pbr": Project("stevedore==5.4.1", "3.11", "stevedore", "*/stevedore-5.4.1.dist-info/licenses/AUTHORS"),
    "versioneer": Project("partd==1.4.2", "3.13", "partd", "*/partd/_version.py", static=True),
    "setuptools-scm": Project(
        "lazy-object-proxy==1.10.0", "3.9", "lazy_object_proxy.cext", "*/lazy_object_proxy/cext.*.so"
    ),
    "namespace": Project("repoze.lru==0.7", "3.11", "repoze.lru", "*/repoze.lru-0.7-*-nspkg.pth"),
    "scripts": Project("docutils==0.16", "3.9", "docutils.core", "bin/rst2html.py"),
    "use-itself": Project(
        "setuptools==75.8.0", "3.11", "setuptools", "*/distutils-precedence.pth", static=True
    ),
    "own-backend": Project("PyYAML==6.0.2", "3.13", "yaml", "*/_yaml/__init__.py"),
    "cffi": Project("argon2-cffi-bindings==21.2.0", "3.11", "_argon2_cffi_bindings", "*/_ffi.abi3.so"),
    "numpy": Project("Bottleneck==1.4.2", "3.11", "bottleneck", "*/bottleneck/move.*.so"),
    "old-scikit-build": Project("jarowinkler==1.2.3", "3.11", "jarowinkler", "*/_initialize_cpp.*.so"),
    "poetry-script": Project("pendulum==2.1.2", "3.9", "pendulum", "*/pendulum/_extensions/_helpers.*.so"),
    "pdm-pep517": Project("pdm-pep517==1.1.4", "3.11", "pdm.pep517", "*/pdm/pep517/api.py", static=True),
    "flit_scm": Project(
        "exceptiongroup==1.3.0", "3.13", "exceptiongroup", "*/exceptiongroup/_version.py", static=True
    ),
    "hatch-plugins": Project("structlog==25.1.0", "3.13", "structlog", "*/structlog/py.typed", static=True),
    "whey": Project("whey==0.1.1", "3.11", "whey", "*/whey/py.typed"),
    "trampolim": Project("trampolim==0.1.0", "3.11", "trampolim", "*/trampolim/__init__.py", static=True),
    "enscons": Project("enscons==0.30.0", "3.11", "enscons", "*/enscons/api.py", static=True),
}


OF_THE_TREE = ".dist-info/pbr.json"
"""What pbr copies out of the sdist, but for a wheel that is built with the metadata that it gave before.

We build so where metadata was asked for just before, as pip does; uv does not.
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.mark.parametrize("kind", PROJECTS)
def test_files_are_those_that_uv_builds(kind, store, tmp_path):
    project = PROJECTS[kind]
    python = find_python(project.python)
    # The last part is the same for both, as it is in the scripts that activate.
    ours, other = (python.create_venv(tmp_path / tool / "env") for tool in ("ours", "uv"))
    asked = [project.requirement], [project.name]

    with ThreadPoolExecutor(1) as threads:
        theirs = threads.submit(uv_install_from_sources, other, *asked, cache=store / "uv-cache")
        resolution, _ = install_from_sources(ours, *asked, cache=Cache(store / "cache"))
        theirs.result()

    package = resolution.packages[canonicalize_name(project.name)]
    assert package.metadata_from == ("sdist" if project.static else "build")
    mine, yours = Tree.of(ours), Tree.of(other)
    assert [path for path in mine.entries if fnmatch(path, project.shows)] != []
    assert {path for path in unexplained(mine, yours) if not path.endswith(OF_THE_TREE)} == set()
    listed, expected = recorded(mine), recorded(yours)
    assert listed.keys() == expected.keys()
    unlike = {path for folder, paths in listed.items() for path in paths ^ expected[folder]}
    assert {path for path in unlike if not path.endswith(OF_THE_TREE)} == set()
    assert {dist.name: dist.version for dist in ours.installed()} == {
        dist.name: dist.version for dist in other.installed()
    }
    assert ours.check(deep=True) == ()
    assert import_all(ours.interpreter.path, [project.module], tmp_path) == {}


FAILING = {
    "PyYAML==5.4.1": "cython<3",
    "demjson==2.2.4": "setuptools<58",
}
"""What new tools cannot build any more, and what the advice has to name."""


@pytest.mark.parametrize("requirement", FAILING)
def test_what_cannot_be_built_any_more_comes_with_advice(requirement, store, tmp_path):
    python, name = find_python("3.11"), requirement.partition("==")[0]
    ours, other = (python.create_venv(tmp_path / tool / "env") for tool in ("ours", "uv"))

    with pytest.raises(BuildFailed) as caught:
        install_from_sources(ours, [requirement], [name], cache=Cache(store / "cache"))

    error = caught.value
    assert (error.package, error.phase, error.state) == (name.lower(), "get-requires", "untouched")
    assert FAILING[requirement] in error.hint
    barred = ("--no-binary", name, "-p", other.interpreter.path)
    told = uv("pip", "install", requirement, *barred, cache=store / "uv-cache", fails=True)
    assert error.log_tail[-1].strip() in told


def test_the_advice_for_what_cannot_be_built_helps(store, tmp_path):
    environment = find_python("3.11").create_venv(tmp_path / "env")

    install_from_sources(
        environment,
        ["PyYAML==5.4.1"],
        ["PyYAML"],
        cache=Cache(store / "cache"),
        build_constraints=[FAILING["PyYAML==5.4.1"]],
    )

    assert import_all(environment.interpreter.path, ["yaml"], tmp_path) == {}
