"""Projects of which the index has no wheel, alone and below others: the versions and files of uv."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from puffin_api import Cache, Environment, Installer, Resolution, Resolver
from puffin_api._testing.doubles import FailingRunner
from puffin_api.errors import BuildFailed, ResolutionFailed
from puffin_api.model import BuildPolicy
from tests.network.conftest import find_python, open_client
from tests.network.interop_kit import Tree
from tests.network.other_tools import import_all, uv_compile, uv_finds_none
from tests.network.sources_kit import (
    Phases,
    install_from_sources,
    recorded,
    unexplained,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network

PYTHON = "3.11"
ALONE = {
    "crcmod": "crcmod",  # a C extension of 2010
    "func-timeout": "func_timeout",
    "flask-basicauth": "flask_basicauth",  # needs Flask; Flask-BasicAuth-0.2.0.tar.gz
    "jieba": "jieba",  # 19 MB
    "logutils": "logutils",
    "odfpy": "odf",
    "ratelimit": "ratelimit",
    "sgmllib3k": "sgmllib",
    "stringcase": "stringcase",
    "timeout-decorator": "timeout_decorator",
    "wget": "wget",  # a zip archive without a folder of its own name
}
"""Modules by project whose newest release is an sdist, most of them with setup.py alone."""
OLD = {
    "flask==0.6": {"flask", "jinja2", "markupsafe", "werkzeug"},
    "alembic==0.6.0": {"alembic", "mako", "markupsafe", "sqlalchemy", "typing-extensions"},
    "fabric==1.10.0": {"fabric", "paramiko"},
}
"""Old releases that are sdists without any promise, and some of what their backends tell to be needed."""
LARGE = {
    "airflow": (["apache-airflow[celery]", "hdfs"], {"docopt": "docopt", "hdfs": "hdfs"}),
    "beam": (["apache-beam[gcp]"], {"google-apitools": "apitools"}),
}
"""Sets of more than a hundred packages, and modules by those of them that have no wheel."""
BELOW = {
    "num2words": ("docopt", "num2words"),
    "omegaconf==2.3.0": ("antlr4-python3-runtime", "omegaconf"),  # and that only of a version
}
"""By a project with wheels: what it needs that has none, and its module."""
ASKED = [*ALONE, *BELOW]
WITHOUT_WHEELS = {*ALONE, *(name for name, _ in BELOW.values())}


@dataclass
class Both:
    """All of them in one environment of ours and one of uv's."""

    cache: Cache
    environment: Environment
    other: Environment
    resolution: Resolution
    phases: dict[str, list[str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.fixture(scope="module")
def both(store):
    python = find_python(PYTHON)
    ours, other = (python.create_venv(store / tool / "env") for tool in ("ours", "uv"))
    cache, phases = Cache(store / "cache"), Phases()
    with ThreadPoolExecutor(1) as threads:
        uv = threads.submit(uv_install_from_sources, other, ASKED, (), cache=store / "uv-cache")
        resolution, _ = install_from_sources(ours, ASKED, (), cache=cache, reporter=phases.reporter)
        uv.result()
    return Both(cache, ours, other, resolution, phases.of)


def test_versions_are_those_that_uv_resolves_to(both, store):
    theirs = uv_compile(ASKED, both.environment.interpreter.path, store)  # with what uv has built there

    assert versions(both.resolution) == theirs


def test_just_what_has_no_wheel_is_built(both):
    packages = both.resolution.packages.values()

    assert {package.name for package in packages if package.needs_build} == WITHOUT_WHEELS
    assert both.phases.keys() == WITHOUT_WHEELS
    assert {package.metadata_from for package in packages if not package.needs_build} == {"wheel"}


def test_files_are_those_that_uv_builds(both):
    ours, theirs = Tree.of(both.environment), Tree.of(both.other)

    assert unexplained(ours, theirs) == {}
    assert recorded(ours) == recorded(theirs)


def test_everything_can_be_imported(both, tmp_path):
    modules = [*ALONE.values(), *(module for _, module in BELOW.values())]

    failed = import_all(both.environment.interpreter.path, modules, tmp_path)

    assert failed == {}
    assert both.environment.check(deep=True) == ()


def test_an_install_elsewhere_builds_nothing(both, tmp_path):
    environment = both.environment.interpreter.create_venv(tmp_path / "env")
    phases, runner = Phases(), FailingRunner()

    install_from_sources(environment, ASKED, (), cache=both.cache, runner=runner, reporter=phases.reporter)

    assert (phases.of, runner.asked) == ({}, [])
    first, second = Tree.of(both.environment), Tree.of(environment)
    # A RECORD has the digests of scripts, and these name their interpreter.
    assert second.differences(first, besides={"RECORD"}) == {}
    assert recorded(second) == recorded(first)


@pytest.mark.parametrize("requirement", OLD)
def test_what_an_old_release_needs_is_what_uv_says(requirement, store, tmp_path):
    python = find_python(PYTHON)

    with open_client(Cache(store / "cache")) as client:
        resolution = Resolver(client).resolve([requirement], target=python)

    assert resolution.packages[requirement.partition("==")[0]].metadata_from == "build"
    assert versions(resolution).keys() >= OLD[requirement]
    assert versions(resolution) == uv_compile([requirement], python.path, tmp_path)


@pytest.mark.parametrize("name", LARGE)
def test_few_without_wheels_in_a_large_set_are_found_and_built(name, store, tmp_path):
    asked, modules = LARGE[name]
    environment = find_python(PYTHON).create_venv(tmp_path / "env")

    with open_client(Cache(store / "cache")) as client:
        resolver = Resolver(client)
        resolution = resolver.resolve(asked, target=environment)
        few = [package for package in resolution.packages.values() if package.needs_build]
        exact = [f"{package.name}=={package.version}" for package in few]
        alone = resolver.resolve(exact, target=environment, dependencies=False)
        Installer(environment, client).install(alone)

    assert len(resolution.packages) > 100
    assert {package.name for package in few} == modules.keys()
    assert {package.metadata_from for package in few} == {"build"}
    assert versions(resolution) == uv_compile(asked, environment.interpreter.path, tmp_path)
    installed = {module for dist in environment.installed() for module in dist.modules()}
    assert installed >= {*modules.values()}


def test_without_builds_an_older_release_is_the_answer_as_it_is_for_uv(tmp_path):
    python, runner = find_python(PYTHON), FailingRunner()

    with open_client(Cache(tmp_path / "cache")) as client:
        resolver = Resolver(client, runner=runner)
        found = versions(resolver.resolve(["num2words"], target=python, build_policy=BuildPolicy.NEVER))

    assert runner.asked == []
    assert "docopt" not in found  # newer ones need it
    assert found == uv_compile(["num2words"], python.path, tmp_path, "--no-build")


def test_without_builds_there_may_be_no_answer_as_there_is_none_for_uv(tmp_path):
    python, runner = find_python(PYTHON), FailingRunner()

    with (
        open_client(Cache(tmp_path / "cache")) as client,
        pytest.raises(ResolutionFailed, match="metadata is not static"),
    ):
        Resolver(client, runner=runner).resolve(["docopt"], target=python, build_policy=BuildPolicy.NEVER)

    assert runner.asked == []
    assert uv_finds_none(["docopt"], [], python.path, tmp_path)


def test_a_release_that_refuses_to_be_built_says_so(tmp_path):
    """What is called sklearn on the index is a warning not to take it, but for its first release."""
    python = find_python(PYTHON)

    with open_client(Cache(tmp_path / "cache")) as client:
        resolver = Resolver(client)
        with pytest.raises(BuildFailed) as caught:
            resolver.resolve(["sklearn"], target=python)
        found = resolver.resolve(["sklearn"], target=python, skip_failed_builds=True)

    assert (caught.value.package, caught.value.phase) == ("sklearn", "get-requires")
    assert any("use 'scikit-learn'" in line for line in caught.value.log_tail)
    assert versions(found)["sklearn"] == "0.0"


def versions(resolution: Resolution) -> dict[str, str]:
    return {name: package.version for name, package in resolution.packages.items()}
