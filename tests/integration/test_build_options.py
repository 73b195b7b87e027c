"""What a caller says about builds reaches the backend, and tells what was built apart; other interpreters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from puffin_api import Installer, Interpreter
from puffin_api.errors import BuildFailed
from puffin_api.model import BuildSettings
from tests.integration.job_kit import versions, wheel
from tests.integration.source_kit import project, resolve, sdist


def built(client, environment, *wanted, **options):
    resolution = resolve(client, environment, *wanted, **options)
    Installer(environment, client).install(resolution)
    return resolution


@pytest.fixture
def job(serve, make_client, make_venv, journal):
    """Build `demo`, or what is named, for a new client and environment; gives what was noted."""
    index = serve(sdist(project(journal)) | sdist(project(journal, "other"), "other"))
    count = iter(range(100))

    def run(*wanted, client=None, **options):
        environment = make_venv(f"venv-{next(count)}")
        built(client or make_client(index), environment, *(wanted or ("demo",)), **options)
        rows = journal.rows
        journal.take()
        return rows

    return run


def test_config_settings_for_all(job):
    rows = job("demo", "other", config_settings={"key": "value", "many": ["a", "b"]})

    assert [row["config"] for row in rows] == [{"key": "value", "many": ["a", "b"]}] * 4


def test_config_settings_by_package(job):
    settings = BuildSettings(
        config_settings={"key": "all", "more": "1"}, package_config_settings={"Demo": {"key": "one"}}
    )
    rows = job("demo", "other", build_settings=settings)

    found = {(row["name"], json.dumps(row["config"])) for row in rows}
    assert found == {("demo", '{"key": "one", "more": "1"}'), ("other", '{"key": "all", "more": "1"}')}


OPTIONS = {
    "config": {"config_settings": {"key": "value"}},
    "package config": {"build_settings": BuildSettings(package_config_settings={"demo": {"key": "value"}})},
    "env": {"build_settings": BuildSettings(env={"demo": {"MADE_FLAG": "on"}})},
    "isolation": {"build_settings": BuildSettings(isolation=False)},
    "isolation of one": {"build_settings": BuildSettings(isolation=["demo"])},
    "constraints": {"build_constraints": ["setuptools<1"]},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_what_was_built_otherwise_is_not_taken(job, name):
    assert len(job()) == 2
    assert len(job(**OPTIONS[name])) == 2
    assert job(**OPTIONS[name]) == []
    assert job() == []


def test_what_is_said_of_another_package_changes_nothing(job):
    job()

    assert job(build_settings=BuildSettings(env={"other": {"A": "b"}}, isolation=["other"])) == []


def test_variables_by_package(job):
    rows = job("demo", "other", build_settings=BuildSettings(env={"demo": {"MADE_FLAG": "on"}}))

    assert {(row["name"], row["flag"]) for row in rows} == {("demo", "on"), ("other", None)}


def test_variables_of_the_client(serve, make_client, make_venv, journal):
    client = make_client(serve(sdist(project(journal))), env={**os.environ, "MADE_FLAG": "of all"})

    built(client, make_venv(), "demo")

    assert {row["flag"] for row in journal.rows} == {"of all"}


def test_variables_of_this_process_reach_no_backend(job, monkeypatch):
    monkeypatch.setenv("MADE_FLAG", "leaked")

    assert {row["flag"] for row in job()} == {None}


NEEDS = "import importlib.metadata as found\nnote('helper', None, helper=found.version('helper'))\n"


def test_build_constraints(serve, make_client, make_venv, journal):
    files = sdist(project(journal, build_requires=["helper"], code=NEEDS))
    files |= wheel("helper", "1.0") | wheel("helper", "2.0")
    client = make_client(serve(files))

    built(client, make_venv("one"), "demo")
    assert {row["helper"] for row in journal.rows if row["hook"] == "helper"} == {"2.0"}
    journal.take()
    built(client, make_venv("two"), "demo", build_constraints=["helper<2"])
    assert {row["helper"] for row in journal.rows if row["hook"] == "helper"} == {"1.0"}


def test_build_constraints_that_nothing_meets(serve, make_client, make_venv, journal):
    files = sdist(project(journal, build_requires=["helper>=2"])) | wheel("helper", "2.0")

    with pytest.raises(BuildFailed, match="helper") as caught:
        resolve(make_client(serve(files)), make_venv(), "demo", build_constraints=["helper<2"])

    assert caught.value.phase == "requires"
    assert journal.hooks == []


def test_extra_build_requirements(serve, make_client, make_venv, journal):
    files = sdist(project(journal, code=NEEDS)) | wheel("helper", "1.0")
    client, environment = make_client(serve(files)), make_venv()
    with pytest.raises(BuildFailed):
        resolve(client, environment, "demo")

    settings = BuildSettings(extra_requires={"demo": ["helper"]})
    built(client, environment, "demo", build_settings=settings)

    assert versions(environment) == {"demo": "1.0"}


def test_a_requirement_that_the_backend_asks_for(serve, make_client, make_venv, journal):
    code = "def get_requires_for_build_wheel(config_settings=None):\n    return ['helper>=1']\n"
    code += "def build_wheel(*arguments, plain=build_wheel, **options):\n    import helper\n"
    code += "    return plain(*arguments, **options)\n"
    files = sdist(project(journal, code=code)) | wheel("helper", "1.0")
    client, environment = make_client(serve(files)), make_venv()

    built(client, environment, "demo")

    assert versions(environment) == {"demo": "1.0"}


@pytest.mark.parametrize(("isolation", "expected"), [(True, (1, 1)), (False, (0, 0)), (["demo"], (0, 1))])
def test_isolation(serve, make_client, make_venv, journal, isolation, expected):
    """Without it, the interpreter of the environment builds, with what is installed there."""
    code = "try:\n    import helper\nexcept ImportError:\n    helper = None\n"
    code += "note('seen', None, helper=helper is not None)\n"
    files = sdist(project(journal, code=code)) | sdist(project(journal, "other", code=code), "other")
    client, environment = make_client(serve(files | wheel("helper", "1.0"))), make_venv()
    built(client, environment, "helper")

    built(client, environment, "demo", "other", build_settings=BuildSettings(isolation=isolation))

    seen = {row["name"]: row["helper"] for row in journal.rows if row["hook"] == "seen"}
    assert (seen["demo"], seen["other"]) == tuple(not flag for flag in expected)


def test_nothing_is_installed_for_a_build_without_isolation(serve, make_client, make_venv, journal):
    client = make_client(serve(sdist(project(journal, build_requires=["not-there"]))))
    environment = make_venv()

    built(client, environment, "demo", build_settings=BuildSettings(isolation=False))

    assert versions(environment) == {"demo": "1.0"}


# -- other interpreters


@pytest.fixture(scope="session")
def other():
    for version in ("3.9", "3.12", "3.13", "3.10", "3.8"):
        for found in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
            interpreter = Interpreter.probe(found)
            if (
                interpreter.target.markers["python_version"]
                != Interpreter.current().target.markers["python_version"]
            ):
                return interpreter
    pytest.skip("there is no other interpreter")


def test_a_wheel_for_every_interpreter_is_built_once(serve, make_client, make_venv, journal, tmp_path, other):
    client = make_client(serve(sdist(project(journal))))
    built(client, make_venv(), "demo")
    journal.take()
    environment = other.create_venv(tmp_path / "other")

    built(client, environment, "demo")

    assert versions(environment) == {"demo": "1.0"}
    assert journal.hooks == ["metadata demo"]  # which may be another for another interpreter
    assert journal.rows[0]["python"] == [
        int(part) for part in environment.target.markers["python_version"].split(".")
    ]


def test_a_wheel_for_one_interpreter_is_built_for_each(
    serve, make_client, make_venv, journal, tmp_path, other
):
    code = "import sysconfig\nPLATFORM = sysconfig.get_platform().replace('-', '_').replace('.', '_')\n"
    code += "TAG = 'cp%d%d-none-' % sys.version_info[:2] + PLATFORM\n"
    client = make_client(serve(sdist(project(journal, code=code))))
    environments = [make_venv(), other.create_venv(tmp_path / "other")]

    for environment in environments:
        built(client, environment, "demo")
        assert versions(environment) == {"demo": "1.0"}
    pythons = [row["python"] for row in journal.rows if row["hook"] == "wheel"]
    assert len({tuple(python) for python in pythons}) == 2
    journal.take()

    for environment in environments:
        Installer(environment, client).uninstall(["demo"])
        built(client, environment, "demo")
    assert journal.hooks == []


def test_build_requirements_are_resolved_for_the_interpreter_that_builds(
    serve, make_client, make_venv, journal, tmp_path, other
):
    version = other.target.markers["python_version"]
    files = sdist(project(journal, build_requires=["helper"], code=NEEDS))
    files |= wheel("helper", "1.0", requires_python=f"=={version}.*") | wheel(
        "helper", "2.0", requires_python=f"!={version}.*"
    )
    client = make_client(serve(files))
    if version in {"3.8", "3.7"}:
        pytest.skip("importlib.metadata is older")

    built(client, make_venv(), "demo")
    resolve(client, other.create_venv(tmp_path / "other"), "demo")

    seen = {tuple(row["python"]): row["helper"] for row in journal.rows if row["hook"] == "helper"}
    assert sorted(seen.values()) == ["1.0", "2.0"]
