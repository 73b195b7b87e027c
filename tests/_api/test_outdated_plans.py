"""A plan that the environment has left behind: an error, or made anew from its resolution."""

from __future__ import annotations

import pytest

from puffin_api import Client, Environment, Installer, Resolver, Target
from puffin_api.errors import PlanOutdated
from puffin_api.testing import FakeIndex

TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


@pytest.fixture
def client():
    index = FakeIndex()
    index.add("app", "1.0")
    index.add("other", "1.0")
    with Client(indexes=[index]) as client:
        yield client


@pytest.fixture
def environment(tmp_path):
    return Environment.directory(tmp_path / "packages", target=TARGET)


def plan_and_change(client, environment):
    """Make a plan, then install something else."""
    installer = Installer(environment, client)
    plan = installer.plan(Resolver(client).resolve(["app"], target=TARGET))
    installer.install(["other"])
    return installer, plan


def test_a_plan_knows_the_resolution_that_it_was_made_from(client, environment):
    resolution = Resolver(client).resolve(["app"], target=TARGET)

    assert Installer(environment, client).plan(resolution).resolution is resolution


def test_an_outdated_plan_is_an_error(client, environment):
    installer, plan = plan_and_change(client, environment)

    with pytest.raises(PlanOutdated) as caught:
        installer.install(plan)

    assert caught.value.state == "untouched"
    assert "app" not in environment.installed()


def test_an_outdated_plan_is_made_anew_where_the_caller_allows_it(client, environment):
    installer, plan = plan_and_change(client, environment)

    report = installer.install(plan, if_outdated="replan")

    assert [change.name for change in report.changes] == ["app"]
    assert [dist.name for dist in environment.installed()] == ["app", "other"]


def test_a_plain_folder_can_be_changed_again_and_again(client, environment):
    """The lock file lies among the packages: it must not be taken for an interrupted change."""
    installer = Installer(environment, client)

    installer.install(["app"])
    installer.uninstall(["app"])

    assert environment.recover() is None
    assert [problem.code for problem in environment.check()] == []
