"""A resolution that is given as locked keeps the commits that it has found for branches and tags."""

from __future__ import annotations

import json
import shutil

import pytest

from puffin_api import Resolver, Upgrade
from puffin_api.model import Pin, Resolution
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import wheel
from tests.integration.source_kit import project

pytestmark = needs_git


@pytest.fixture
def repository(tmp_path, journal):
    repository = Repository(tmp_path / "demo")
    repository.write(project(journal, version="1.0"))
    repository.git("branch", "release@1")
    return repository


@pytest.fixture
def resolve(make_client, make_venv, serve, tmp_path):
    """Resolve with a new client, which looks branches up anew."""
    (tmp_path / "home").mkdir()
    environment, index = make_venv(), serve(wheel("log", "1.0"))

    def run(*requirements, offline=False, **options):
        client = make_client(index, env=git_env(tmp_path / "home"), offline=offline)
        return Resolver(client).resolve(requirements, target=environment, **options)

    return run


def commit_of(resolution, name="demo"):
    return resolution.packages[name].file.origin.info.commit_id


def move(repository, journal, version="2.0"):
    moved = repository.write(project(journal, version=version))
    repository.git("branch", "--force", "release@1")
    return moved


@pytest.mark.parametrize("revision", ["", "@main", "@release%401"])
def test_a_branch_that_has_moved_keeps_its_commit(resolve, repository, journal, revision):
    wanted = f"demo @ {repository.url}{revision}"
    before = resolve(wanted)
    moved = move(repository, journal)
    stored = Resolution.from_dict(json.loads(json.dumps(before.to_dict())))

    for locked in (before, stored):
        after = resolve(wanted, locked=locked)
        assert after == before
        assert after.packages["demo"].file.origin == before.packages["demo"].file.origin
    assert commit_of(resolve(wanted)) == moved


def test_an_upgrade_looks_it_up(resolve, repository, journal):
    wanted = f"demo @ {repository.url}@main"
    before = resolve(wanted)
    moved = move(repository, journal)

    found = {
        commit_of(resolve(wanted, locked=before, upgrade=upgrade))
        for upgrade in (Upgrade.all(), Upgrade.only(["Demo"]))
    }

    assert found == {moved}
    assert commit_of(resolve(wanted, locked=before, upgrade=Upgrade.only(["log"]))) == commit_of(before)


def test_another_question_has_another_answer(resolve, repository, journal):
    before = resolve(f"demo @ {repository.url}@main")
    moved = move(repository, journal)

    assert commit_of(resolve(f"demo @ {repository.url}", locked=before)) == moved
    assert commit_of(resolve(f"demo @ {repository.url}@main", locked=[Pin("demo", "1.0")])) == moved


def test_it_gives_way_where_nothing_fits_otherwise(resolve, repository, journal):
    wanted = f"demo @ {repository.url}@main"
    before = resolve(wanted)
    moved = move(repository, journal)

    after = resolve(wanted, "demo>=2", locked=before)

    assert commit_of(after) == moved
    assert after.packages["demo"].version == "2.0"


def test_it_gives_way_where_the_commit_is_gone(resolve, repository, journal, tmp_path):
    wanted = f"demo @ {repository.url}@main"
    before = resolve(wanted)
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(repository.folder)
    moved = Repository(repository.folder).write(project(journal, version="3.0"))

    assert commit_of(resolve(wanted, locked=before)) == moved


def test_of_several_at_once_and_of_dependencies_too(resolve, repository, journal, tmp_path):
    app = Repository(tmp_path / "app")
    app.write(project(journal, "app", requires=[f"demo @ {repository.url}@main"]))
    other = Repository(tmp_path / "other")
    other.write(project(journal, "other"))
    wanted = [f"app @ {app.url}@main", f"other @ {other.url}"]
    before = resolve(*wanted)
    move(repository, journal)
    other.write({"more.txt": "more"})
    for place in (app, repository, other):
        shutil.rmtree(place.folder)  # what is locked is in the cache: nobody has to be asked

    after = resolve(*wanted, locked=before, offline=True)

    assert after == before
