"""A builder of the caller's, in place of the standard way to build sources."""

from __future__ import annotations

import pytest

from puffin_api import BuildPolicy, Editable, Installer, Resolver
from puffin_api._testing.wheels import write_wheel
from puffin_api.errors import BuildFailed, BuildForbidden, ResolutionFailed
from puffin_api.model import CoreMetadata
from puffin_api.testing import make_sdist
from tests.integration.job_kit import find_error, versions, wheel


class Builder:
    """Knows everything beforehand, and starts nothing."""

    def __init__(self, gives="app"):
        self.asked = []
        self._gives = gives

    def metadata(self, file, *, cancel=None):
        self.asked.append(("metadata", file.filename))
        return CoreMetadata(name="app", version="1.0", requires_dist=("log",))

    def build(self, file, target, *, cancel=None):
        self.asked.append(("build", file.filename))
        return write_wheel(target, self._gives, "1.0", files={"app.py": ""}, requires=["log"])


@pytest.fixture
def client(serve, make_client):
    return make_client(serve({"app-1.0.tar.gz": make_sdist("app", "1.0")} | wheel("log", "1.0")))


def test_it_gives_metadata_and_wheels(make_venv, client):
    environment, builder = make_venv(), Builder()

    resolution = Resolver(client, builder=builder).resolve(["app"], target=environment)
    report = Installer(environment, client).install(resolution)

    assert versions(environment) == {"app": "1.0", "log": "1.0"}
    assert [change.name for change in report.changes] == ["app", "log"]
    assert builder.asked == [("metadata", "app-1.0.tar.gz"), ("build", "app-1.0.tar.gz")]
    assert environment.check(deep=True) == ()


def test_the_installer_takes_one_for_requirements_and_trees(make_venv, client, tmp_path):
    environment, builder = make_venv(), Builder()
    (tmp_path / "tree").mkdir()

    Installer(environment, client, builder=builder).install([Editable(path=tmp_path / "tree")])

    assert versions(environment) == {"app": "1.0", "log": "1.0"}
    assert environment.installed().get("app").editable


def test_what_may_not_be_built_is_not_asked_for(make_venv, client):
    environment, builder = make_venv(), Builder()
    never = {"build_policy": BuildPolicy.NEVER}

    error = find_error(
        lambda: Resolver(client, builder=builder).resolve(["app"], target=environment, **never)
    )

    assert isinstance(error, ResolutionFailed)
    assert builder.asked == []
    resolution = Resolver(client, builder=builder).resolve(["app"], target=environment)
    error = find_error(lambda: Installer(environment, client, **never).install(resolution))
    assert isinstance(error, BuildForbidden)
    assert [what for what, _ in builder.asked] == ["metadata"]


def test_a_wheel_of_something_else_is_refused(make_venv, client):
    environment, builder = make_venv(), Builder(gives="other")
    error = find_error(lambda: Installer(environment, client, builder=builder).install(["app"]))
    assert isinstance(error, BuildFailed)
    assert error.phase == "check"
    assert versions(environment) == {}
