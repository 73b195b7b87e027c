"""Projects whose version is that of a git tag, from repositories made of their sdists."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from puffin_api import Cache
from puffin_api._model.direct_url import VcsInfo
from puffin_api._testing.doubles import FailingRunner
from puffin_api.errors import BuildForbidden
from puffin_api.model import BuildPolicy
from tests.network.conftest import find_python
from tests.network.interop_kit import Tree
from tests.network.other_tools import run
from tests.network.sources_kit import (
    Phases,
    install_from_sources,
    recorded,
    unexplained,
    unpack_sdist,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network


@dataclass(frozen=True)
class Project:
    """What has its version from git."""

    name: str
    version: str
    tag: str
    next: str
    """Pattern of the version of the commit after the tag."""


PROJECTS = {
    "hatch-vcs": Project("humanize", "4.17.0", "4.17.0", r"4\.17\.1\.dev1"),
    "setuptools-scm": Project("iniconfig", "2.3.1", "v2.3.1", r"2\.3\.2\.dev1(\+g[0-9a-f]+)?"),
}


@dataclass
class Repository:
    """A repository with one tag and one commit after it."""

    project: Project
    folder: Path
    commits: dict[str, str]
    """By revision."""

    def requirement(self, revision: str) -> str:
        return f"{self.project.name} @ git+{self.folder.as_uri()}@{revision}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.fixture(scope="module", params=PROJECTS)
def repository(request, store):
    project = PROJECTS[request.param]
    folder = unpack_sdist(project.name, project.version, store)
    (folder / "PKG-INFO").unlink()  # with it, the tree would tell its version itself

    def git(*arguments: str) -> str:
        names = ("-c", "user.name=Tests", "-c", "user.email=tests@example.org")
        # Nothing of the user's: no signing, no hooks, no templates.
        return run("git", "-C", folder, *names, *arguments, GIT_CONFIG_GLOBAL=os.devnull).strip()

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "Release")
    git("tag", project.tag)
    git("commit", "-q", "--allow-empty", "-m", "Go on")
    commits = {name: git("rev-parse", name) for name in (project.tag, "main")}
    return Repository(project, folder, commits)


@pytest.mark.parametrize("revision", ["tag", "main"])
def test_the_version_is_what_git_says(repository, store, tmp_path, revision):
    project = repository.project
    name = project.tag if revision == "tag" else "main"
    python = find_python("3.13")
    ours, other = (python.create_venv(tmp_path / tool / "env") for tool in ("ours", "uv"))
    phases = Phases()

    resolution, _ = install_from_sources(
        ours, [repository.requirement(name)], (), cache=Cache(store / "cache"), reporter=phases.reporter
    )
    uv_install_from_sources(other, [repository.requirement(name)], (), cache=store / "uv-cache")

    package = resolution.packages[project.name]
    assert re.fullmatch(re.escape(project.version) if revision == "tag" else project.next, package.version)
    assert (package.needs_build, package.metadata_from) == (True, "build")
    assert phases.of[project.name].count("build-wheel") == 1
    mine, theirs = Tree.of(ours), Tree.of(other)
    assert unexplained(mine, theirs) == {}
    assert recorded(mine) == recorded(theirs)
    [installed], [expected] = ours.installed(), other.installed()
    assert installed.version == package.version
    assert installed.direct_url == expected.direct_url
    assert isinstance(installed.direct_url.info, VcsInfo)
    assert installed.direct_url.info.commit_id == repository.commits[name]


def test_a_commit_that_was_built_needs_neither_git_nor_backend_again(repository, store, tmp_path):
    commit, python = repository.commits[repository.project.tag], find_python("3.13")
    cache, asked = Cache(store / "cache"), [repository.requirement(commit)]
    first, second = (python.create_venv(tmp_path / name / "env") for name in ("first", "second"))
    install_from_sources(first, asked, (), cache=cache)
    away = repository.folder.rename(tmp_path / "away")
    phases, runner = Phases(), FailingRunner()

    install_from_sources(second, asked, (), cache=cache, runner=runner, reporter=phases.reporter)

    away.rename(repository.folder)
    assert (phases.of, runner.asked) == ({}, [])
    assert Tree.of(second).differences(Tree.of(first), besides={"RECORD"}) == {}


@pytest.mark.parametrize("source", ["repository", "folder"])
def test_a_dynamic_version_needs_a_process(repository, tmp_path, source):
    runner, name = FailingRunner(), repository.project.name
    asked = {
        "repository": repository.requirement(repository.commits["main"]),
        "folder": f"{name} @ {repository.folder.as_uri()}",
    }

    with pytest.raises(BuildForbidden) as caught:
        install_from_sources(
            find_python("3.13").create_venv(tmp_path / "env"),
            [asked[source]],
            (),
            cache=Cache(tmp_path / "cache"),
            runner=runner,
            build_policy=BuildPolicy.NEVER,
        )

    why = {"repository": "git would have to be started", "folder": "version is dynamic"}
    assert why[source] in str(caught.value)
    assert runner.asked == []
