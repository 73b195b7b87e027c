"""Real projects of every kind of backend, built from their sdists: the same files as uv builds."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from puffin_api import Cache, Environment, Resolution, Resolver
from puffin_api._testing.doubles import FailingRunner
from puffin_api.errors import BuildForbidden, ResolutionFailed
from puffin_api.model import BuildPolicy
from tests.network.conftest import find_python, listing, open_client
from tests.network.interop_kit import Tree
from tests.network.other_tools import import_all
from tests.network.sources_kit import (
    Phases,
    install_from_sources,
    recorded,
    unexplained,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network

PYTHON = "3.13"
WITH_METADATA = ["get-requires", "prepare-metadata"]
WITH_WHEEL = ["get-requires", "build-wheel"]
WITH_BOTH = [*WITH_METADATA, "build-wheel"]


@dataclass(frozen=True)
class Project:
    """A project with an sdist on the index, and what is known of it."""

    requirement: str
    module: str
    static: bool = True
    """Whether the sdist promises its metadata."""
    compiled: bool = False

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


# Pinned, so that a new release cannot turn a test of us into one of the project.
PROJECTS = {
    "setuptools": Project("iniconfig==2.3.1", "iniconfig"),
    "setup.py": Project("docopt==0.6.2", "docopt", static=False),
    "setup.py-folder": Project("inflection==0.5.1", "inflection", static=False),
    "flit": Project("idna==3.20", "idna"),
    "hatchling": Project("attrs==26.1.0", "attr"),
    "poetry": Project("tomlkit==0.15.2", "tomlkit"),
    "pdm": Project("findpython==0.9.0", "findpython"),
    "meson": Project("memory-allocator==0.2.1", "memory_allocator", compiled=True),
    "scikit-build": Project("pybind11==3.1.0", "pybind11"),
    "cython": Project("cymem==2.0.16", "cymem.cymem", static=False, compiled=True),
    "c": Project("markupsafe==3.0.4", "markupsafe._speedups", compiled=True),
}


@dataclass
class Built:
    """One project, installed from its sdist by us and by uv."""

    project: Project
    cache: Cache
    environment: Environment
    other: Environment
    resolution: Resolution
    phases: dict[str, list[str]]

    def another_environment(self, folder) -> Environment:
        return self.environment.interpreter.create_venv(folder / "env")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.fixture(scope="module", params=PROJECTS)
def built(request, store):
    project = PROJECTS[request.param]
    python = find_python(PYTHON)
    # The last part is the same for both, as it is in the scripts that activate.
    ours, other = (python.create_venv(store / tool / project.name / "env") for tool in ("ours", "uv"))
    cache, phases = Cache(store / "cache"), Phases()
    asked = [project.requirement], [project.name]
    with ThreadPoolExecutor(1) as threads:
        uv = threads.submit(uv_install_from_sources, other, *asked, cache=store / "uv-cache")
        resolution, _ = install_from_sources(ours, *asked, cache=cache, reporter=phases.reporter)
        uv.result()
    return Built(project, cache, ours, other, resolution, phases.of)


def test_files_are_those_that_uv_builds(built):
    ours, theirs = Tree.of(built.environment), Tree.of(built.other)

    assert unexplained(ours, theirs) == {}
    assert recorded(ours) == recorded(theirs)
    assert any(path.endswith(".so") for path in ours.entries) == built.project.compiled
    assert {dist.name: dist.version for dist in built.environment.installed()} == {
        dist.name: dist.version for dist in built.other.installed()
    }


def test_what_was_built_can_be_imported(built, tmp_path):
    failed = import_all(built.environment.interpreter.path, [built.project.module], tmp_path)

    assert failed == {}
    assert built.environment.check(deep=True) == ()


def test_the_resolution_says_what_is_to_be_built(built):
    package = built.resolution.packages[built.project.name]
    rest = [other for name, other in built.resolution.packages.items() if name != built.project.name]

    assert package.needs_build
    assert package.metadata_from == ("sdist" if built.project.static else "build")
    assert [other.name for other in rest if other.needs_build or other.metadata_from != "wheel"] == []


def test_no_backend_runs_more_often_than_it_must(built):
    assert built.phases == {built.project.name: WITH_WHEEL if built.project.static else WITH_BOTH}


def test_an_install_elsewhere_takes_the_wheel_from_the_cache(built, tmp_path):
    environment, phases, runner = built.another_environment(tmp_path), Phases(), FailingRunner()

    _, report = install_from_sources(
        environment,
        [built.project.requirement],
        [built.project.name],
        cache=built.cache,
        runner=runner,
        reporter=phases.reporter,
    )

    assert (phases.of, runner.asked) == ({}, [])
    assert report.bytes_downloaded == 0
    first, second = Tree.of(built.environment), Tree.of(environment)
    # A RECORD has the digests of scripts, and these name their interpreter.
    assert second.differences(first, besides={"RECORD"}) == {}
    assert recorded(second) == recorded(first)


def test_static_metadata_needs_no_process(built, tmp_path):
    runner, project = FailingRunner(), built.project

    with open_client(Cache(tmp_path / "cache")) as client:
        resolver = Resolver(client, runner=runner)
        asked = {"target": built.environment, "no_binary": [project.name]}
        if project.static:
            found = resolver.resolve([project.requirement], build_policy=BuildPolicy.NEVER, **asked)
            assert versions(found) == versions(built.resolution)
        else:
            with pytest.raises(ResolutionFailed, match="metadata is not static"):
                resolver.resolve([project.requirement], build_policy=BuildPolicy.NEVER, **asked)

    assert runner.asked == []


def test_metadata_only_builds_no_wheel(built, tmp_path):
    phases, project = Phases(), built.project
    environment = built.another_environment(tmp_path)
    before = listing(environment.root)

    with pytest.raises(BuildForbidden) as caught:
        install_from_sources(
            environment,
            [project.requirement],
            [project.name],
            cache=Cache(tmp_path / "cache"),
            reporter=phases.reporter,
            build_policy=BuildPolicy.METADATA_ONLY,
        )

    assert caught.value.package == project.name
    assert phases.of == ({} if project.static else {project.name: WITH_METADATA})
    assert listing(environment.root) == before


def versions(resolution: Resolution) -> dict[str, str]:
    return {name: package.version for name, package in resolution.packages.items()}
