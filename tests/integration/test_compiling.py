"""Compiling what was installed, through the public API."""

from __future__ import annotations

from pathlib import Path

import pytest

from puffin_api import CancelToken, Environment, Installer, Interpreter, Resolver
from puffin_api.errors import Cancelled
from puffin_api.testing import FailingRunner
from tests.integration.job_kit import leftovers, versions, wheel

FILES = {
    **wheel("app", "1.0", files={"app/__init__.py": "x = 1\n", "app/sub/a.py": "", "top.py": ""}),
    **wheel("bad", "1.0", files={"bad/__init__.py": "", "bad/template.py": "not {{ python }} at all\n"}),
}


@pytest.fixture
def client(serve, make_client):
    return make_client(serve(FILES))


def compiled(environment):
    return sorted(path.name.partition(".")[0] for path in Path(environment.scheme.purelib).rglob("*.pyc"))


def test_what_was_installed_is_compiled_when_asked_for(make_venv, client):
    environment = make_venv()
    Installer(environment, client, runner=FailingRunner()).install(["app"])
    assert compiled(environment) == []
    Installer(environment, client).uninstall(["app"])

    report = Installer(environment, client).install(["app"], compile=True)

    assert compiled(environment) == ["__init__", "a", "top"]
    assert report.notices == ()
    assert "compile" in report.timings
    assert environment.check(deep=True) == ()
    Installer(environment, client).uninstall(["app"])
    assert list(Path(environment.scheme.purelib).iterdir()) == []


def test_syncing_compiles_as_well(make_venv, client):
    environment = make_venv()
    resolution = Resolver(client).resolve(["app"], target=environment)
    Installer(environment, client).sync(resolution, compile=True)
    assert compiled(environment) == ["__init__", "a", "top"]


def test_what_cannot_be_compiled_is_told(make_venv, client):
    environment = make_venv()
    report = Installer(environment, client).install(["bad"], compile=True)
    (notice,) = report.notices
    assert notice.code == "compile-failed"
    assert "template.py" in str(notice.data)
    assert compiled(environment) == ["__init__"]


def test_a_folder_has_nothing_to_compile_with(tmp_path, client):
    environment = Environment.directory(tmp_path / "folder", target=Interpreter.current())
    report = Installer(environment, client).install(["app"], compile=True)
    assert [notice.code for notice in report.notices] == ["compile-skipped"]


def test_a_cancel_while_compiling_leaves_what_is_installed(make_venv, client):
    environment = make_venv()
    token = CancelToken()

    class Cancelling:
        def run(self, argv, **options):
            token.cancel("enough")
            options["cancel"].check()
            raise AssertionError("the token was cancelled")

    with pytest.raises(Cancelled) as caught:
        Installer(environment, client, runner=Cancelling()).install(["app"], compile=True, cancel=token)

    assert caught.value.state == "committed"
    assert versions(environment) == {"app": "1.0"}
    assert leftovers(environment) == []
