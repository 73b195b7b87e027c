"""A resolution that was stored or pickled is built on the terms that it was made on, or not at all."""

from __future__ import annotations

import json
import pickle

import pytest

from puffin_api import BuildPolicy, Installer, Resolver
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api.errors import BuildFailed, BuildForbidden
from puffin_api.model import BuildSettings, Resolution
from tests.integration.job_kit import find_error, versions, wheel
from tests.integration.source_kit import project, resolve, sdist
from tests.integration.test_build_options import NEEDS
from tests.integration.test_given_builder import Builder


class NotedRunner(SubprocessRunner):
    """Counts, and cannot be pickled."""

    def __init__(self):
        self.count = 0
        self.inner = lambda: None

    def run(self, *args, **options):
        self.count += 1
        return super().run(*args, **options)


def as_data(resolution):
    return Resolution.from_dict(json.loads(json.dumps(resolution.to_dict())))


def pickled(resolution):
    return pickle.loads(pickle.dumps(resolution))


WAYS = pytest.mark.parametrize("way", [as_data, pickled])


@pytest.fixture
def index(serve, journal):
    files = sdist(project(journal, build_requires=["helper"], code=NEEDS))
    files |= sdist(project(journal, "other"), "other")
    return serve(files | wheel("helper", "1.0") | wheel("helper", "2.0"))


@pytest.fixture
def environment(make_venv):
    return make_venv()


SETTINGS = BuildSettings(config_settings={"key": ["a", "b"]}, env={"demo": {"MADE_FLAG": "secret"}})


@WAYS
def test_it_is_built_with_its_settings_and_constraints(index, make_client, environment, journal, way):
    resolution = resolve(
        make_client(index),
        environment,
        "demo",
        build_settings=BuildSettings(config_settings={"key": ["a", "b"]}),
        build_constraints=["helper<2"],
    )
    found = way(resolution)
    journal.take()

    Installer(environment, make_client(index)).install(found)

    assert [row["config"] for row in journal.rows if row["hook"] == "wheel"] == [{"key": ["a", "b"]}]
    assert {row["helper"] for row in journal.rows if row["hook"] == "helper"} == {"1.0"}


@WAYS
@pytest.mark.parametrize("policy", [BuildPolicy.NEVER, BuildPolicy.METADATA_ONLY])
def test_its_policy_holds(serve, make_client, environment, journal, way, policy):
    client = make_client(serve(sdist(project(journal, static=True))))
    found = way(resolve(client, environment, "demo", build_policy=policy))

    error = find_error(lambda: Installer(environment, client).install(found))

    assert isinstance(error, BuildForbidden)
    assert journal.hooks == []


def test_a_pickle_holds_the_values_of_variables(index, make_client, environment, journal):
    found = pickled(resolve(make_client(index), environment, "demo", build_settings=SETTINGS))
    journal.take()

    Installer(environment, make_client(index)).install(found)

    assert {row["flag"] for row in journal.rows if row["hook"] == "wheel"} == {"secret"}


def test_data_do_not_and_the_installer_has_to_give_them(index, make_client, environment, journal):
    client = make_client(index)
    resolution = resolve(client, environment, "demo", "other", build_settings=SETTINGS)
    assert "secret" not in json.dumps(resolution.to_dict())
    found = as_data(resolution)
    journal.take()

    error = find_error(lambda: Installer(environment, client).install(found))
    assert isinstance(error, BuildForbidden)
    assert (error.package, error.state) == ("demo", "untouched")
    assert "wheel demo" not in journal.hooks
    journal.take()

    given = BuildSettings(env={"demo": {"MADE_FLAG": "again"}}, config_settings={"key": "not this"})
    Installer(environment, client, build_settings=given).install(found)

    rows = [row for row in journal.rows if row["hook"] == "wheel" and row["name"] == "demo"]
    assert [(row["flag"], row["config"]) for row in rows] == [("again", {"key": ["a", "b"]})]
    assert versions(environment) == {"demo": "1.0", "other": "1.0"}


def test_what_was_built_before_with_the_same_values_is_found(index, make_client, environment, journal):
    client = make_client(index)
    resolution = resolve(client, environment, "demo", build_settings=SETTINGS)
    Installer(environment, client).prepare(Installer(environment, client).plan(resolution))
    journal.take()

    Installer(environment, client, build_settings=SETTINGS).install(as_data(resolution))

    assert journal.hooks == []
    assert versions(environment) == {"demo": "1.0"}


@WAYS
def test_what_a_builder_told_is_not_built_in_the_standard_way(serve, make_client, environment, journal, way):
    files = sdist(project(journal, "app"), "app") | wheel("log", "1.0")
    client, builder = make_client(serve(files)), Builder()
    Installer(environment, client).prepare(
        Installer(environment, client).plan(resolve(client, environment, "app"))
    )  # the standard way has built it: that does not count
    assert journal.take() == ["metadata app", "wheel app"]
    found = way(Resolver(client, builder=builder).resolve(["app"], target=environment))

    error = find_error(lambda: Installer(environment, client).install(found))

    assert isinstance(error, BuildForbidden)
    assert error.package == "app"
    assert "builder=" in error.hint
    assert (journal.hooks, versions(environment)) == ([], {})
    Installer(environment, client, builder=builder).install(found)
    assert versions(environment) == {"app": "1.0", "log": "1.0"}
    assert builder.asked[-1] == ("build", "app-1.0.tar.gz")


@pytest.mark.parametrize("prepared", [False, True])
def test_a_plan_that_was_pickled_is_not_built_in_the_standard_way(
    serve, make_client, environment, journal, prepared
):
    client = make_client(serve(sdist(project(journal, "app"), "app") | wheel("log", "1.0")))
    installer = Installer(environment, client, builder=Builder())
    plan = installer.plan(Resolver(client, builder=Builder()).resolve(["app"], target=environment))
    found = pickled(installer.prepare(plan) if prepared else plan)

    if prepared:  # its wheels are there, whoever built them
        Installer(environment, client).install(found)
        assert versions(environment) == {"app": "1.0", "log": "1.0"}
    else:
        error = find_error(lambda: Installer(environment, client).install(found))
        assert isinstance(error, BuildForbidden)
        assert versions(environment) == {}
    assert journal.hooks == []


@WAYS
def test_what_a_runner_started_is_not_started_without_one(index, make_client, environment, journal, way):
    client, runner = make_client(index), NotedRunner()
    found = way(Resolver(client, runner=runner).resolve(["demo"], target=environment))
    journal.take()

    error = find_error(lambda: Installer(environment, client).install(found))

    assert isinstance(error, BuildForbidden)
    assert (error.package, journal.hooks) == ("demo", [])
    assert "runner=" in error.hint
    before = runner.count
    Installer(environment, client, runner=runner).install(found)
    assert runner.count > before
    assert versions(environment) == {"demo": "1.0"}


@WAYS
def test_what_is_in_the_cache_needs_no_runner(index, make_client, environment, journal, way):
    client, runner = make_client(index), NotedRunner()
    resolution = Resolver(client, runner=runner).resolve(["demo"], target=environment)
    Installer(environment, client).prepare(Installer(environment, client).plan(resolution))
    journal.take()

    Installer(environment, client).install(way(resolution))

    assert journal.hooks == []
    assert versions(environment) == {"demo": "1.0"}


def test_in_its_own_process_a_resolution_brings_its_runner(index, make_client, environment):
    client, runner = make_client(index), NotedRunner()
    resolution = Resolver(client, runner=runner).resolve(["demo"], target=environment)
    before = runner.count

    Installer(environment, client).install(resolution)

    assert runner.count > before


def test_the_runner_of_an_installer_is_used_whatever_resolved(index, make_client, environment):
    client, resolved, installs = make_client(index), NotedRunner(), NotedRunner()
    resolution = Resolver(client, runner=resolved).resolve(["demo"], target=environment)
    before = resolved.count

    Installer(environment, client, runner=installs).install(resolution)

    assert (resolved.count, installs.count > 0) == (before, True)


def test_a_failure_of_the_backend_is_still_one(serve, make_client, environment, journal):
    code = "def build_wheel(*arguments, **options):\n    raise SystemExit('no')\n"
    client = make_client(serve(sdist(project(journal, code=code))))
    found = as_data(resolve(client, environment, "demo"))

    assert isinstance(find_error(lambda: Installer(environment, client).install(found)), BuildFailed)
