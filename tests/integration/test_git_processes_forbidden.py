"""Where no process may be started, neither may git; and where it may, the caller's runner starts it."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from puffin_api import BuildPolicy, Cache, Installer, Resolver
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api.errors import BuildForbidden, CacheUnavailable, ResolutionFailed
from puffin_api.model import FetchStarted
from puffin_api.testing import FailingRunner, RecordingReporter
from tests._preparer.git_kit import CountingRunner, GitServer, Repository, git_env, needs_git, needs_server
from tests.integration.job_kit import tree, versions, wheel
from tests.integration.source_kit import Journal, project

pytestmark = needs_git
METADATA_ONLY, NEVER = BuildPolicy.METADATA_ONLY, BuildPolicy.NEVER


@pytest.fixture
def env(tmp_path):
    (tmp_path / "home").mkdir()
    return git_env(tmp_path / "home")


@pytest.fixture
def repository(tmp_path):
    """A repository of a project whose metadata needs no build."""
    made = Repository(tmp_path / "served" / "demo")
    made.write(project(Journal(tmp_path / "journal"), version="1.0", static=True))
    made.git("tag", "v1")
    return made


def resolve(client, target, *requirements, runner=None, **options):
    return Resolver(client, runner=runner).resolve(requirements, target=target, **options)


def resolve_without(client, target, *requirements, **options):
    """Resolve where every process would be a failure."""
    return resolve(client, target, *requirements, runner=FailingRunner(), build_policy=NEVER, **options)


@pytest.mark.parametrize("revision", ["", "@main", "@v1", "@refs/heads/main", "@{short}", "@{commit}"])
def test_what_is_not_in_the_cache_is_forbidden(make_client, make_venv, repository, env, revision):
    commit = repository.head()
    wanted = f"demo @ {repository.url}{revision.format(short=commit[:9], commit=commit)}"
    reporter = RecordingReporter()

    with pytest.raises(BuildForbidden, match="git would have to be started") as caught:
        resolve_without(make_client(env=env), make_venv(), wanted, reporter=reporter)

    assert "METADATA_ONLY" in caught.value.hint
    assert ("name the commit in full" in caught.value.hint) == ("{commit}" not in revision)
    assert repository.url in caught.value.package
    assert reporter.of(FetchStarted) == []


def test_a_full_commit_that_is_laid_out_needs_no_process(make_client, make_venv, repository, env):
    environment = make_venv()
    found = resolve(make_client(env=env), environment, f"demo @ {repository.url}", build_policy=METADATA_ONLY)
    exact = f"demo @ {found.packages['demo'].file.url}"
    shutil.rmtree(repository.folder)

    again = resolve_without(make_client(env=env), environment, exact)

    assert again.packages["demo"].version == "1.0"
    assert again.packages["demo"].file.url == found.packages["demo"].file.url
    with pytest.raises(BuildForbidden):  # a branch may have moved
        resolve_without(make_client(env=env), environment, f"demo @ {repository.url}@main")


def test_what_this_client_has_found_out_is_known(make_client, make_venv, repository, env):
    client, environment = make_client(env=env), make_venv()
    wanted = f"demo @ {repository.url}@v1"
    resolve(client, environment, wanted)

    assert resolve_without(client, environment, wanted).packages["demo"].version == "1.0"


def test_metadata_that_was_built_is_enough(make_client, make_venv, tmp_path, env):
    made = Repository(tmp_path / "built")
    made.write(project(Journal(tmp_path / "journal"), version="1.0"))
    environment = make_venv()
    exact = f"demo @ {made.url}@{made.head()}"
    resolve(make_client(env=env), environment, exact, build_policy=METADATA_ONLY)
    shutil.rmtree(tmp_path / "cache" / "git-v0")

    assert resolve_without(make_client(env=env), environment, exact).packages["demo"].version == "1.0"


def test_a_damaged_checkout_is_not_laid_out_anew(make_client, make_venv, repository, env, tmp_path):
    environment = make_venv()
    exact = f"demo @ {repository.url}@{repository.head()}"
    resolve(make_client(env=env), environment, exact)
    for file in (tmp_path / "cache" / "git-v0" / "checkouts").rglob("demo.py"):
        file.write_text("edited\n")

    with pytest.raises(BuildForbidden, match="git would have to be started"):
        resolve_without(make_client(env=env), environment, exact)


@needs_server
def test_no_process_and_no_server_is_asked(make_client, make_venv, repository, env, tmp_path):
    with GitServer(tmp_path / "served") as server:
        wanted = f"demo @ {server.url('demo/.git', 'user:s3cret')}@main"
        with pytest.raises(BuildForbidden) as caught:
            resolve_without(make_client(env=env), make_venv(), wanted)

        assert server.requests == []
    assert "s3cret" not in f"{caught.value} {json.dumps(caught.value.to_dict())}"


def test_a_repository_in_metadata_bars_the_version_that_names_it(
    make_client, make_venv, repository, env, serve, tmp_path
):
    files = wheel("app", "2.0", requires=[f"demo @ {repository.url}@main"])
    path = tmp_path / "app-2.0-py3-none-any.whl"
    path.write_bytes(files[path.name])

    with pytest.raises(ResolutionFailed):
        resolve_without(make_client(env=env), make_venv(), f"app @ {path.as_uri()}")


def test_an_installer_starts_nothing_either(make_client, make_venv, repository, env):
    environment, client = make_venv(), make_client(env=env)
    installer = Installer(environment, client, build_policy=NEVER, runner=FailingRunner())
    exact = f"demo @ {repository.url}@{repository.head()}"

    for what in ([f"demo @ {repository.url}@main"], [exact]):
        with pytest.raises(BuildForbidden, match="git would have to be started"):
            installer.install(what)
    resolution = resolve(client, environment, exact)
    with pytest.raises(BuildForbidden, match="nothing may be built"):
        installer.install(resolution)
    assert versions(environment) == {}

    Installer(environment, client).install(resolution)
    fresh = make_venv("fresh")
    Installer(fresh, client, build_policy=NEVER, runner=FailingRunner()).install([exact])
    assert versions(fresh) == {"demo": "1.0"}


def test_a_builder_of_the_callers_is_given_no_repository_either(make_client, make_venv, repository, env):
    class Builder:
        def metadata(self, file, *, cancel=None):
            raise AssertionError("it is given nothing")

        def build(self, file, target, *, cancel=None):
            raise AssertionError("it is given nothing")

    resolver = Resolver(make_client(env=env), builder=Builder(), runner=FailingRunner())

    with pytest.raises(BuildForbidden, match="git would have to be started"):
        resolver.resolve([f"demo @ {repository.url}"], target=make_venv(), build_policy=NEVER)


def test_git_is_started_by_the_runner_of_the_call(make_client, make_venv, repository, env, tmp_path):
    client, environment = make_client(env=env), make_venv()
    first, second = CountingRunner(), CountingRunner()

    resolve(client, environment, f"demo @ {repository.url}", runner=first)
    resolution = resolve(client, environment, f"demo @ {repository.url}")
    shutil.rmtree(tmp_path / "cache" / "git-v0" / "checkouts")
    Installer(environment, client, runner=second).install(resolution)

    assert first.commands("ls-remote")
    assert first.commands("fetch")
    assert second.commands("read-tree")
    assert versions(environment) == {"demo": "1.0"}


def test_a_runner_that_starts_nothing_stops_git(make_client, make_venv, repository, env):
    with pytest.raises(AssertionError, match="no process may be started"):
        resolve(make_client(env=env), make_venv(), f"demo @ {repository.url}", runner=FailingRunner())


def test_what_one_runner_refuses_another_one_does(make_client, make_venv, repository, env):
    """Two calls of one client at once: the one whose runner refuses does not spoil the other."""
    client, environment = make_client(env=env), make_venv()
    met, outcome = threading.Event(), []

    class Refusing:
        def run(self, argv, **options):
            worker.start()
            met.wait(30)
            raise PermissionError(1, "not here")

    class Telling(SubprocessRunner):
        def run(self, argv, **options):
            met.set()
            return super().run(argv, **options)

    wanted = f"demo @ {repository.url}"
    worker = threading.Thread(
        target=lambda: outcome.append(resolve(client, environment, wanted, runner=Telling()))
    )
    with pytest.raises(Exception, match="not here"):
        resolve(client, environment, wanted, runner=Refusing())
    worker.join(60)

    assert outcome[0].packages["demo"].version == "1.0"


def test_what_lies_in_a_layer_needs_neither_process_nor_network(
    make_client, make_venv, repository, env, tmp_path
):
    site, environment = Cache(tmp_path / "site"), make_venv()
    found = resolve(make_client(env=env, cache=site), environment, f"demo @ {repository.url}")
    exact = f"demo @ {found.packages['demo'].file.url}"
    shutil.rmtree(repository.folder)
    before = tree(site.path)
    mine = Cache(tmp_path / "mine", layers=[site.path])

    resolve_without(make_client(env=env, cache=mine, offline=True), environment, exact)
    client = make_client(env=env, cache=mine, offline=True)
    Installer(environment, client).install(resolve(client, environment, exact))

    assert versions(environment) == {"demo": "1.0"}
    assert tree(site.path) == before


def test_a_read_only_cache_gets_nothing_from_a_repository(make_client, make_venv, repository, env, tmp_path):
    folder, environment = Cache(tmp_path / "cache").path, make_venv()
    before = tree(folder)
    client = make_client(env=env, cache=Cache(folder, read_only=True))

    with pytest.raises(CacheUnavailable, match="read-only"):
        resolve(client, environment, f"demo @ {repository.url}")

    assert tree(folder) == before
