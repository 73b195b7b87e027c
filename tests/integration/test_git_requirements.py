"""Requirements that name git repositories: the commit they get, what is written down, what is asked."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from puffin_api import CancelToken, Installer, PuffinError
from puffin_api.errors import Cancelled, ResolutionFailed
from puffin_api.model import FetchFinished, FetchStarted, VcsInfo
from puffin_api.testing import RecordingReporter
from tests._preparer.git_kit import GitServer, Repository, git_env, needs_git, needs_server
from tests.integration.job_kit import check_pairs, versions, wheel
from tests.integration.source_kit import project, resolve

pytestmark = needs_git


@pytest.fixture
def repository(tmp_path, journal):
    """Three commits: 1.0, with a tag; 2.0, on a branch too; 3.0, on main."""
    repository = Repository(tmp_path / "served" / "demo")
    repository.write(project(journal, version="1.0"))
    repository.git("tag", "--annotate", "--message", "first", "v1")
    repository.write(project(journal, version="2.0"))
    repository.git("branch", "side")
    repository.write(project(journal, version="3.0"))
    return repository


@pytest.fixture
def env(tmp_path):
    (tmp_path / "home").mkdir()
    return git_env(tmp_path / "home")


@pytest.fixture
def calls(tmp_path, env):
    """What git was asked, word by word."""
    log = tmp_path / "calls"
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "git"
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {shutil.which("git")} "$@"\n')
    script.chmod(0o755)
    env["PATH"] = f"{folder}:{env['PATH']}"
    log.touch()

    def take():
        found = log.read_text().splitlines()
        log.write_text("")
        return found

    return take


def direct_url(environment, name="demo"):
    (found,) = [dist for dist in environment.installed() if dist.name == name]
    return json.loads(found.read_text("direct_url.json"))


REVISIONS = [
    ("", "HEAD", None),
    ("@main", "HEAD", "main"),
    ("@side", "HEAD~1", "side"),
    ("@v1", "HEAD~2", "v1"),
]


@pytest.mark.parametrize(("suffix", "commit", "requested"), REVISIONS)
def test_a_revision_becomes_a_commit(make_client, make_venv, repository, env, suffix, commit, requested):
    client, environment = make_client(env=env), make_venv()
    exact = repository.head(commit)

    resolution = resolve(client, environment, f"demo @ {repository.url}{suffix}")
    Installer(environment, client).install(resolution)

    file = resolution.packages["demo"].file
    assert file.url == f"{repository.url}@{exact}"
    assert file.origin.info == VcsInfo(vcs="git", commit_id=exact, requested_revision=requested or "")
    told = {"vcs": "git", "commit_id": exact}
    told |= {"requested_revision": requested} if requested else {}
    assert direct_url(environment) == {"url": repository.url.removeprefix("git+"), "vcs_info": told}
    assert versions(environment)["demo"] == {"HEAD": "3.0", "HEAD~1": "2.0", "HEAD~2": "1.0"}[commit]


@pytest.mark.parametrize("length", [40, 9])
def test_a_commit_is_named_in_full_or_in_short(make_client, make_venv, repository, env, length):
    client, environment = make_client(env=env), make_venv()
    exact = repository.head("HEAD~1")

    resolution = resolve(client, environment, f"demo @ {repository.url}@{exact[:length]}")
    Installer(environment, client).install(resolution)

    assert resolution.packages["demo"].version == "2.0"
    assert direct_url(environment)["vcs_info"] == {
        "vcs": "git",
        "commit_id": exact,
        "requested_revision": exact[:length],
    }


def test_a_full_commit_is_asked_for_once(make_client, make_venv, repository, env, calls, journal):
    requirement = f"demo @ {repository.url}@{repository.head()}"
    environment = make_venv()
    client = make_client(env=env)
    Installer(environment, client).install(resolve(client, environment, requirement))
    assert calls()
    journal.take()

    shutil.rmtree(repository.folder)
    for again in (client, make_client(env=env)):
        fresh = make_venv(f"venv-{id(again)}")
        Installer(fresh, again).install(resolve(again, fresh, requirement))
        assert versions(fresh) == {"demo": "3.0"}

    assert calls() == []
    assert journal.take() == []


def test_a_branch_that_has_moved(make_client, make_venv, repository, env, journal):
    requirement = f"demo @ {repository.url}@main"
    client, environment = make_client(env=env), make_venv()
    Installer(environment, client).install(resolve(client, environment, requirement))
    moved = repository.write(project(journal, version="4.0"))

    client = make_client(env=env)
    Installer(environment, client).install(resolve(client, environment, requirement))

    assert versions(environment) == {"demo": "4.0"}
    assert direct_url(environment)["vcs_info"]["commit_id"] == moved


def test_a_moved_branch_of_the_same_version_is_installed_anew(
    make_client, make_venv, repository, env, journal
):
    requirement = f"demo @ {repository.url}@main"
    client, environment = make_client(env=env), make_venv()
    Installer(environment, client).install(resolve(client, environment, requirement))
    moved = repository.write(project(journal, version="3.0", text="value = 2\n"))

    client = make_client(env=env)
    Installer(environment, client).install(resolve(client, environment, requirement))

    assert direct_url(environment)["vcs_info"]["commit_id"] == moved


def test_a_project_below_the_top(make_client, make_venv, tmp_path, env, journal):
    repository = Repository(tmp_path / "mono")
    files = {f"libs/one/{path}": text for path, text in project(journal, "one").items()}
    files |= {f"libs/two/{path}": text for path, text in project(journal, "two", "2.0").items()}
    commit = repository.write(files)
    client, environment = make_client(env=env), make_venv()
    wanted = [f"{name} @ {repository.url}#subdirectory=libs/{name}" for name in ("one", "two")]

    resolution = resolve(client, environment, *wanted)
    Installer(environment, client).install(resolution)

    assert versions(environment) == {"one": "1.0", "two": "2.0"}
    assert resolution.packages["two"].file.url == f"{repository.url}@{commit}#subdirectory=libs/two"
    assert direct_url(environment, "one") == {
        "url": repository.url.removeprefix("git+"),
        "subdirectory": "libs/one",
        "vcs_info": {"vcs": "git", "commit_id": commit},
    }


def test_what_a_project_has_in_submodules(make_client, make_venv, tmp_path, env, journal):
    inner = Repository(tmp_path / "inner")
    inner.write({"made.py": "value = 'from the submodule'\n"})
    outer = Repository(tmp_path / "outer")
    code = "\nimport shutil; os.path.exists('sub/made.py') and shutil.copy('sub/made.py', 'demo.py')\n"
    outer.write(project(journal, code=code))
    outer.git("submodule", "add", "--quiet", inner.folder.as_uri() + "/.git", "sub")
    outer.write({})
    (tmp_path / "home" / ".gitconfig").write_text('[protocol "file"]\n\tallow = always\n')
    client, environment = make_client(env=env), make_venv()

    Installer(environment, client).install(resolve(client, environment, f"demo @ {outer.url}"))

    (dist,) = environment.installed()
    assert (dist.location.parent / "demo.py").read_text() == "value = 'from the submodule'\n"


def test_a_requirement_of_a_requirement(make_client, make_venv, repository, tmp_path, env, journal, serve):
    app = Repository(tmp_path / "app")
    app.write(project(journal, "app", requires=[f"demo @ {repository.url}@v1", "log"]))
    client, environment = make_client(serve(wheel("log", "1.0")), env=env), make_venv()

    resolution = resolve(client, environment, f"app @ {app.url}")
    Installer(environment, client).install(resolution)

    assert versions(environment) == {"app": "1.0", "demo": "1.0", "log": "1.0"}
    assert direct_url(environment)["vcs_info"]["requested_revision"] == "v1"


def test_a_constraint_says_where_a_project_comes_from(make_client, make_venv, repository, env, serve):
    index = serve(wheel("demo", "9.0") | wheel("app", "1.0", requires=["demo"]))
    client, environment = make_client(index, env=env), make_venv()

    resolution = resolve(client, environment, "app", constraints=[f"demo @ {repository.url}@side"])

    assert resolution.packages["demo"].version == "2.0"
    assert resolution.packages["demo"].file.origin.info.commit_id == repository.head("side")


def test_extras_of_a_repository(make_client, make_venv, tmp_path, env, journal, serve):
    repository = Repository(tmp_path / "demo")
    repository.write(project(journal, extras={"more": ["log"]}))
    client, environment = make_client(serve(wheel("log", "1.0")), env=env), make_venv()

    assert set(resolve(client, environment, f"demo @ {repository.url}").packages) == {"demo"}
    found = resolve(client, environment, f"demo[more] @ {repository.url}")
    assert set(found.packages) == {"demo", "log"}
    assert journal.hooks == ["metadata demo"]


def test_two_revisions_of_one_project_are_a_conflict(make_client, make_venv, repository, env, serve):
    index = serve(wheel("app", "1.0", requires=["log", f"demo @ {repository.url}@v1"]) | wheel("log", "1"))
    client, environment = make_client(index, env=env), make_venv()
    one, two = f"demo @ {repository.url}@v1", f"demo @ {repository.url}@side"

    with pytest.raises(ResolutionFailed) as caught:
        resolve(client, environment, one, two)

    assert repository.url.removeprefix("git+") in caught.value.explain()


def test_a_revision_that_is_not_there(make_client, make_venv, repository, env):
    with pytest.raises(PuffinError, match="no-such") as caught:
        resolve(make_client(env=env), make_venv(), f"demo @ {repository.url}@no-such")

    assert caught.value.hint


@needs_server
def test_credentials_are_used_and_never_shown(make_client, make_venv, repository, env, tmp_path):
    with GitServer(tmp_path / "served", login=("user", "s3cret")) as server:
        client, environment = make_client(env=env), make_venv()
        wanted = f"demo @ {server.url('demo/.git', 'user:s3cret')}@v1"
        resolution = resolve(client, environment, wanted)
        report = Installer(environment, client).install(resolution)

        with pytest.raises(PuffinError) as caught:
            resolve(make_client(env=env), environment, f"demo @ {server.url('demo/.git', 'user:wr0ng')}@side")

    assert versions(environment) == {"demo": "1.0"}
    shown = [repr(resolution), json.dumps(resolution.to_dict()), json.dumps(report.to_dict())]
    shown += [json.dumps(direct_url(environment)), resolution.to_requirements_txt(annotate=True)]
    shown += [str(resolution.why("demo"))]
    assert not any("s3cret" in text for text in shown)
    assert "wr0ng" not in f"{caught.value} {caught.value!r} {json.dumps(caught.value.to_dict())}"
    for folder in ("cache", "venv"):
        for path in (tmp_path / folder).rglob("*"):
            assert "s3cret" not in str(path)
            assert not (path.is_file() and not path.is_symlink() and b"s3cret" in path.read_bytes())


@needs_server
def test_a_resolution_that_waits_for_a_server_is_cancelled(make_client, make_venv, repository, env, tmp_path):
    token, reporter, released = CancelToken(), RecordingReporter(), threading.Event()
    with GitServer(tmp_path / "served", login=("user", "s3cret")) as server:

        def hang(path):
            if path.endswith("git-upload-pack") and len(server.requests) > 4:
                token.cancel("enough")  # by now git fetches, and waits for us
                released.wait(60)
            return 0

        server.status = hang
        client, environment = make_client(env=env), make_venv()
        wanted = f"demo @ {server.url('demo/.git', 'user:s3cret')}@v1"
        with pytest.raises(Cancelled):
            resolve(client, environment, wanted, cancel=token, reporter=reporter)
        assert not released.is_set()
        released.set()

    check_pairs(reporter.events)
    started = [event for event in reporter.events if isinstance(event, FetchStarted)]
    finished = [event.error for event in reporter.events if isinstance(event, FetchFinished)]
    assert {event.name for event in started} == {server.url("demo/.git").removeprefix("git+")}
    assert finished == ["", "cancelled"]
    assert list((tmp_path / "cache" / ".tmp").iterdir()) == []


@needs_server
def test_by_http_a_full_commit_is_fetched_once(make_client, make_venv, repository, env, tmp_path):
    with GitServer(tmp_path / "served") as server:
        requirement = f"demo @ {server.url('demo/.git')}@{repository.head('HEAD~1')}"
        environment = make_venv()
        client = make_client(env=env)
        Installer(environment, client).install(resolve(client, environment, requirement))
        assert server.fetches
        asked = len(server.requests)

        for again in (client, make_client(env=env), make_client(env=env, offline=True)):
            assert resolve(again, environment, requirement).packages["demo"].version == "2.0"

        assert len(server.requests) == asked
    assert versions(environment) == {"demo": "2.0"}
