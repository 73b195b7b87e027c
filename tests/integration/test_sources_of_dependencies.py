"""Sources that the metadata of a source names: a failure with one of them is told as what it is."""

from __future__ import annotations

import pytest

from puffin_api import BuildPolicy
from puffin_api.errors import BuildFailed, ConnectFailed, ResolutionFailed
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import find_error, wheel
from tests.integration.source_kit import project, resolve, write_tree

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def client(make_client, serve, tmp_path):
    (tmp_path / "home").mkdir()
    return make_client(serve(wheel("base", "1.0")), env=git_env(tmp_path / "home"))


@pytest.fixture
def fails(client, make_venv, journal, tmp_path):
    """Resolve a local project that depends on something; returns the error."""
    environment = make_venv()

    def attempt(requirement, **options):
        app = write_tree(tmp_path / "app", project(journal, "app", requires=[requirement], static=True))
        return find_error(lambda: resolve(client, environment, app, **options))

    return attempt


@needs_git
@pytest.mark.parametrize(
    "url", [f"git+{NOWHERE}/demo.git", f"{NOWHERE}/demo-1.0.tar.gz", f"{NOWHERE}/demo-1.0-py3-none-any.whl"]
)
def test_a_server_that_does_not_answer_is_no_conflict(fails, url):
    error = fails(f"demo @ {url}")

    assert isinstance(error, ConnectFailed)
    assert error.retryable


def test_a_failed_build_is_told_with_its_log(fails, journal, tmp_path):
    code = "\ndef prepare_metadata_for_build_wheel(*_): print('no luck'); raise SystemExit(3)\n"
    demo = write_tree(tmp_path / "demo", project(journal, code=code))

    error = fails(f"demo @ {demo.as_uri()}")

    assert isinstance(error, BuildFailed)
    assert (error.package, error.exit_code, error.log_tail) == ("demo", 3, ("no luck",))
    assert error.__notes__ == [f"demo @ {demo.as_uri()} is what app depends on"]


@needs_git
def test_a_url_that_cannot_be_used_is_told_with_the_reason(fails, journal, tmp_path):
    repository = Repository(tmp_path / "demo")
    repository.write(project(journal, "quux", static=True))
    url = repository.url
    reasons = {
        f"{url}@nope": "the repository has no branch or tag of that name",
        f"{url}#subdirectory=nope": "the repository has no folder nope",
        url: "its metadata is that of quux, not of demo",
        (tmp_path / "nothing").as_uri(): "there is no file",
    }

    for place, reason in reasons.items():
        error = fails(f"demo @ {place}")

        assert isinstance(error, ResolutionFailed), place
        ((found,),) = error.excluded.values()
        assert found["code"] == "direct-url", place
        assert reason in error.explain(), place


def test_a_build_that_is_not_allowed_is_the_reason(fails, journal, tmp_path):
    demo = write_tree(tmp_path / "demo", project(journal))

    error = fails(f"demo @ {demo.as_uri()}", build_policy=BuildPolicy.NEVER)

    assert isinstance(error, ResolutionFailed)
    assert "cannot be used without a build" in error.explain()


def test_what_an_extra_names_is_held_to_the_same(client, make_venv, journal, tmp_path):
    files = project(journal, "app", extras={"more": ["demo @ file:///nothing/here"]}, static=True)
    app = write_tree(tmp_path / "app", files)
    environment = make_venv()

    assert set(resolve(client, environment, app).packages) == {"app"}
    error = find_error(lambda: resolve(client, environment, f"app[more] @ {app.as_uri()}"))

    assert isinstance(error, ResolutionFailed)
    assert "there is no file" in error.explain()


def test_where_nothing_needs_it_another_version_is_taken(
    client, make_client, make_venv, serve, journal, tmp_path
):
    broken = write_tree(
        tmp_path / "mid", project(journal, "mid", requires=["demo @ file:///nothing"], static=True)
    )
    index = serve(wheel("app", "2.0", requires=["mid"]) | wheel("app", "1.0"))

    found = resolve(make_client(index), make_venv(), "app", constraints=[f"mid @ {broken.as_uri()}"])

    assert {name: package.version for name, package in found.packages.items()} == {"app": "1.0"}
