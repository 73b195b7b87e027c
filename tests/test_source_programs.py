"""The programs of the pages on sources run, and do what the pages say."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from puffin_api import (
    BuildPolicy,
    Cache,
    CancelToken,
    Client,
    Editable,
    Installer,
    Interpreter,
    Resolution,
    Resolver,
    Target,
    errors,
)
from puffin_api.testing import FakeIndex, LoopbackIndex, make_sdist, make_wheel
from tests.small_sources import commit_all, project_files, write_project

EXAMPLES = Path(__file__).resolve().parent.parent / "docs/examples"
TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")


@pytest.fixture
def example(monkeypatch):
    """Import an example by name."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return import_module


def small_sdist(name: str, *, static: bool) -> bytes:
    """A source distribution whose PKG-INFO promises nothing."""
    files = project_files(name, static=static)
    pyproject = files.pop("pyproject.toml")
    old = {"Metadata-Version": "2.1"}
    return make_sdist(name, "1.0", files=files, pyproject=pyproject, metadata_headers=old)


@pytest.fixture
def sources(tmp_path):
    """An index with two projects that have to be built, one of them to tell its metadata as well."""
    archives = {f"{name}-1.0.tar.gz": small_sdist(name, static=name == "quiet") for name in ("quiet", "loud")}
    archives["plain-1.0-py3-none-any.whl"] = make_wheel("plain", "1.0")
    with LoopbackIndex(archives) as server:
        yield server


@pytest.fixture
def venv(tmp_path):
    return Interpreter.current().create_venv(tmp_path / "env")


def test_what_needs_builds_is_found_without_any(example, sources):
    page = example("build_from_source")
    with Client(indexes=[sources.url]) as client:
        assert page.what_needs_builds(client, TARGET, ["quiet", "plain"]) == ["quiet"]
        with pytest.raises(errors.ResolutionFailed, match="without a build: its metadata is not static"):
            page.what_needs_builds(client, TARGET, ["loud"])
        with pytest.raises(errors.BuildForbidden):
            page.what_needs_builds(client, TARGET, [f"loud @ {sources.file_url('loud-1.0.tar.gz')}"])
        listed = example("scanner_and_bot").scan(client, TARGET, ["quiet", "plain"])
        assert {item["name"]: item["built"] for item in listed} == {"quiet": True, "plain": False}


def test_each_policy_runs_what_its_page_says(sources, venv, tmp_path):
    log = tmp_path / "builds"
    log.touch()

    def run(policy: BuildPolicy, name: str, *, install: bool) -> list[str]:
        """Return the hooks that ran."""
        before = len(log.read_text(encoding="utf-8"))
        with Client(indexes=[sources.url], env={"BUILDS": str(log)}) as client:
            found = Resolver(client).resolve([name], target=venv, build_policy=policy)
            if install:
                with contextlib.suppress(errors.BuildForbidden):
                    Installer(venv, client).install(found)
        return log.read_text(encoding="utf-8")[before:].splitlines()

    assert run(BuildPolicy.NEVER, "quiet", install=True) == []
    assert run(BuildPolicy.METADATA_ONLY, "quiet", install=True) == []
    assert run(BuildPolicy.METADATA_ONLY, "loud", install=True) == ["metadata loud"]
    assert not list(venv.installed())
    assert run(BuildPolicy.ALLOW, "quiet", install=False) == []
    assert run(BuildPolicy.ALLOW, "loud", install=True) == ["metadata loud", "wheel loud"]


def test_builds_are_asked_for_once(example, sources, venv, tmp_path):
    page = example("build_from_source")
    asked: list[tuple[str, ...]] = []
    with Client(indexes=[sources.url]) as client:

        def install(*, answer: bool) -> bool:
            names = ["quiet", "plain"]
            return page.install_after_asking(client, venv, names, lambda n: asked.append(n) or answer)

        assert not install(answer=False)
        assert not list(venv.installed())
        assert install(answer=True)
        Installer(venv, client).uninstall(["quiet"])
        assert install(answer=False)  # its wheel is in the cache

    assert asked == [("quiet",), ("quiet",)]


def test_settings_reach_the_backend(example, sources, venv):
    page = example("build_from_source")
    with Client(indexes=[sources.url]) as client:
        page.install_configured(client, venv, ["loud"], {"color": "red"}, ["setuptools<81"])

    installed = Path(venv.scheme.purelib, "loud", "settings.txt").read_text(encoding="utf-8")
    assert installed == "[('color', 'red')]"


def test_settings_are_for_single_packages(example, sources, venv):
    page = example("build_from_source")
    with Client(indexes=[sources.url]) as client:
        assert page.install_with_care(client, venv, ["loud", "quiet"], "secret").changed
        logs = list(client.cache.path.glob(".logs/*"))

    settings = {
        name: Path(venv.scheme.purelib, name, "settings.txt").read_text(encoding="utf-8")
        for name in ("loud", "quiet")
    }
    arguments = "('setup-args', ['-Dlto=true', '-Dtests=false'])"
    assert settings == {"loud": f"[('color', 'red'), {arguments}]", "quiet": f"[{arguments}]"}
    assert logs


def test_what_was_said_of_builds_tells_what_is_built_again(sources, tmp_path):
    """As the page on builds has it: settings and constraints do, variables of the client do not."""
    log = tmp_path / "builds"
    log.touch()

    def wheels_built(environ: dict[str, str], **terms: object) -> int:
        before = log.read_text(encoding="utf-8").count("wheel loud")
        environment = Interpreter.current().create_venv(tmp_path / "env", exists="replace")
        with Client(
            indexes=[sources.url], cache=Cache(tmp_path / "cache"), env={**environ, "BUILDS": str(log)}
        ) as client:
            found = Resolver(client).resolve(["loud"], target=environment, **terms)
            Installer(environment, client).install(found)
        return log.read_text(encoding="utf-8").count("wheel loud") - before

    assert wheels_built({}) == 1
    assert wheels_built({"OTHER": "value"}) == 0
    assert wheels_built({}, config_settings={"color": "red"}) == 1
    assert wheels_built({}, build_constraints=["setuptools<81"]) == 1
    assert wheels_built({}) == 0
    Cache(tmp_path / "cache").remove(["loud"])
    assert wheels_built({}) == 1


def test_a_build_is_shown_and_its_failure_told(example, sources, venv, tmp_path):
    page = example("build_from_source")
    environ = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": sources.url}
    shown: list[str] = []

    def install(button: CancelToken, names: list[str], **variables: str) -> str:
        # FAILS reaches the backend only where it is named.
        with page.client_for_builds({**environ, "FAILS": "1"}, list(variables)) as client:
            return page.install_or_say_why(client, venv, names, shown.append, button)

    stopped = CancelToken()
    stopped.cancel("enough")
    assert install(stopped, ["quiet"]) == "stopped; the environment is untouched"
    failed = install(CancelToken(), ["quiet"], FAILS="1")
    assert failed.startswith("quiet failed in build-wheel, and said last: fatal error: zlib.h")
    assert "Install the library that provides 'zlib.h'" in failed
    assert shown[-1] == "quiet: build-failed"
    del shown[:]
    assert install(CancelToken(), ["quiet"]) == "installed"
    assert shown[-3:] == ["quiet: build-wheel", "quiet | building quiet with None", "quiet: done"]


@needs_git
def test_a_project_is_installed_from_a_repository(example, venv, tmp_path):
    page = example("git_and_local_projects")
    repository = tmp_path / "repository"
    write_project(repository / "python", "demo")
    first = commit_all(repository, tag="v1")
    url = repository.as_uri()
    write_project(repository / "python", "demo", "2.0")
    second = commit_all(repository)
    with Client(env=os.environ) as client:
        old = page.install_from_git(client, venv, "demo", url, "v1", "python")
        new = page.install_from_git(client, venv, "demo", url, second[:8], "python")
        page.freeze(new, tmp_path / "requirements.txt")

    assert page.commits(old) == {"demo": first}
    assert page.commits(new) == {"demo": second}
    assert {dist.name: dist.version for dist in venv.installed()} == {"demo": "2.0"}
    assert (tmp_path / "requirements.txt").read_text(encoding="utf-8").splitlines() == [
        f"demo @ git+{url}@{second}#subdirectory=python",
        "    # via the caller",
    ]


@needs_git
def test_a_branch_is_looked_up_once_in_the_life_of_a_client(example, venv, tmp_path):
    page = example("git_and_local_projects")
    repository = write_project(tmp_path / "repository", "demo")
    first = commit_all(repository)

    def install(client: Client) -> dict[str, str]:
        return page.commits(page.install_from_git(client, venv, "demo", repository.as_uri(), "main"))

    with Client(env=os.environ) as client:
        assert install(client) == {"demo": first}
        second = commit_all(repository)
        assert install(client) == {"demo": first}
    with Client(env=os.environ) as client:
        assert install(client) == {"demo": second}


@needs_git
def test_a_stored_resolution_installs_the_same_commit(example, venv, tmp_path):
    repository = write_project(tmp_path / "repository", "demo")
    first = commit_all(repository)
    with Client(env=os.environ) as client:
        found = Resolver(client).resolve([f"demo @ git+{repository.as_uri()}@main"], target=venv)
    commit_all(write_project(repository, "demo", "2.0"))

    with Client(env=os.environ) as client:
        stored = Resolution.from_dict(json.loads(json.dumps(found.to_dict())))
        Installer(venv, client).install(stored)

    assert example("git_and_local_projects").commits(stored) == {"demo": first}
    (dist,) = venv.installed()
    assert dist.version == "1.0"
    assert dist.direct_url.info.commit_id == first
    assert dist.direct_url.info.requested_revision == "main"


def test_projects_of_a_workspace_are_installed_together(example, venv, tmp_path):
    page = example("git_and_local_projects")
    app = write_project(tmp_path / "app", "app", requires=("library>=1",))
    library = write_project(tmp_path / "library", "library")
    with Client(indexes=[FakeIndex()]) as client:
        page.install_workspace(client, venv, [app, library], develop=False)
        assert page.in_development(venv) == {}
        page.install_workspace(client, venv, [app, library], develop=True)
        write_project(library, "library", "0.5")
        with pytest.raises(errors.ResolutionFailed, match="library"):
            page.install_workspace(client, venv, [app, library], develop=True)

    assert page.in_development(venv) == {"app": app.as_uri(), "library": library.as_uri()}


@pytest.mark.parametrize(
    ("changed", "editable", "again"),
    [
        ("pyproject.toml", False, True),
        ("demo/__init__.py", False, True),
        ("pyproject.toml", True, True),
        ("demo/__init__.py", True, False),
        (".hidden/file", False, False),
        ("build/file", False, False),
    ],
)
def test_a_project_is_built_again_when_what_counts_has_changed(venv, tmp_path, changed, editable, again):
    folder = write_project(tmp_path / "demo", "demo")
    wanted = Editable(path=folder) if editable else folder
    (folder / changed).parent.mkdir(exist_ok=True)
    with Client(indexes=[FakeIndex()]) as client:
        installer = Installer(venv, client)
        assert installer.install([wanted]).changed
        assert not installer.install([wanted]).changed
        with open(folder / changed, "a", encoding="utf-8") as file:
            file.write("# changed\n")

        assert installer.install([wanted]).changed == again


@needs_git
@pytest.mark.parametrize("text", ["refs/heads/main", "main", "v1", "HEAD"])
def test_every_kind_of_revision_of_the_page_is_understood(text, tmp_path):
    repository = write_project(tmp_path / "repository", "demo")
    commit_all(repository, tag="v1")
    with Client(env=os.environ) as client:
        found = Resolver(client).resolve([f"demo @ git+{repository.as_uri()}@{text}"], target=TARGET)

    assert found.packages["demo"].source == "git"
