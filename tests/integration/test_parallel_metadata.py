"""Sources that are required by path or URL are found out about several at a time."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from puffin_api import CancelToken, Editable, Installer, Resolver
from puffin_api.errors import BuildFailed, Cancelled, RequirementInvalid
from puffin_api.model import BuildFinished, BuildStarted
from puffin_api.testing import RecordingReporter, make_sdist
from tests.integration.job_kit import check_pairs, find_error, leftovers, versions
from tests.integration.source_kit import Journal, cache_leftovers, project, write_tree
from tests.integration.test_parallel_builds import BACKEND, MEETING, PYPROJECT, all_gone, pids

EDITABLE = "\n\ndef build_editable(*arguments, **options):\n    return build_wheel(*arguments, **options)\n"


@pytest.fixture
def meet(tmp_path):
    folder = tmp_path / "meet"
    folder.mkdir()
    return folder


@pytest.fixture
def make_tree(tmp_path, meet):
    """Write a project whose metadata a build alone can tell."""

    def make(name, body="pass"):
        backend = BACKEND.format(name=name, meet=str(meet), body=body) + EDITABLE
        return write_tree(tmp_path / "trees" / name, {"pyproject.toml": PYPROJECT, "backend.py": backend})

    return make


def starts_and_ends(reporter):
    return [type(event) for event in reporter.events if isinstance(event, (BuildStarted, BuildFinished))]


def archive(name, meet, body, folder):
    backend = BACKEND.format(name=name, meet=str(meet), body=body)
    headers = {"Metadata-Version": "2.1"}
    data = make_sdist(
        name, "1.0", files={"backend.py": backend}, pyproject=PYPROJECT, metadata_headers=headers
    )
    path = folder / f"{name}-1.0.tar.gz"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["trees", "editables", "one of each", "archives", "urls"])
def test_two_run_at_once(make_client, make_venv, make_tree, meet, tmp_path, kind):
    """Each waits until the other has begun."""
    one, two = (make_tree(name, MEETING) for name in ("one", "two"))
    archives = [archive(name, meet, MEETING, tmp_path) for name in ("one", "two")]
    wanted = {
        "trees": [one, two],
        "editables": [Editable(one), Editable(two)],
        "one of each": [one, Editable(two)],
        "archives": archives,
        "urls": [f"{path.name[:3]} @ {path.as_uri()}" for path in archives],
    }[kind]
    client, environment, reporter = make_client(), make_venv(), RecordingReporter()

    resolution = Resolver(client, workers=2).resolve(wanted, target=environment, reporter=reporter)

    assert list(resolution.packages) == ["one", "two"]
    assert (BuildStarted, BuildStarted) in set(pairwise(starts_and_ends(reporter)))
    begun = [(event.name, event.phase) for event in reporter.events if isinstance(event, BuildStarted)]
    assert len(set(begun)) == len(begun), "nothing is asked twice"
    check_pairs(reporter.events)
    assert len(reporter.threads) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_the_answer_is_the_same_however_many_there_are(make_client, make_venv, make_tree, workers):
    client, environment, reporter = make_client(), make_venv(), RecordingReporter()
    trees = [make_tree(name) for name in ("one", "two", "three")]
    resolver = Resolver(client, workers=workers)

    resolution = resolver.resolve(iter(trees), target=environment, reporter=reporter)

    assert list(resolution.packages) == ["one", "three", "two"]
    assert [package.location for package in resolution.packages.values()] == [
        trees[number].as_uri() for number in (0, 2, 1)
    ]
    if workers == 1:
        assert (BuildStarted, BuildStarted) not in set(pairwise(starts_and_ends(reporter)))
    Installer(environment, client).install(resolution)
    assert versions(environment) == {"one": "1.0", "two": "1.0", "three": "1.0"}
    assert not Installer(environment, client).install(resolver.resolve(trees, target=environment)).changed


def test_a_failure_ends_the_others(make_client, make_venv, make_tree, meet):
    client, environment = make_client(), make_venv()
    fails = make_tree("fails", MEETING + "    sys.exit('no')\n")
    waits = make_tree("waits", MEETING + "    time.sleep(600)\n")
    begun = time.monotonic()

    error = find_error(lambda: Resolver(client, workers=2).resolve([waits, fails], target=environment))

    assert isinstance(error, BuildFailed)
    assert "fails" in error.package
    assert time.monotonic() - begun < 120, "long before the other would have ended"
    assert all_gone(meet)
    assert leftovers(environment) == []
    assert cache_leftovers(client.cache) == []


def test_a_cancel_ends_them_all(make_client, make_venv, make_tree, meet):
    client, environment, token = make_client(), make_venv(), CancelToken()
    trees = [make_tree(name, MEETING + "    time.sleep(600)\n") for name in ("one", "two")]

    def watch():
        while len(pids(meet)) < 2:
            time.sleep(0.01)
        token.cancel("enough")

    threading.Thread(target=watch, daemon=True).start()
    error = find_error(lambda: Resolver(client, workers=2).resolve(trees, target=environment, cancel=token))

    assert isinstance(error, Cancelled)
    assert error.reason == "enough"
    assert all_gone(meet)


def test_what_is_not_needed_is_not_looked_at(make_client, make_venv, tmp_path):
    """By a marker, an exclude or an override; as one at a time."""
    journal = Journal(tmp_path / "journal")
    urls = []
    for name in ("one", "two", "other"):
        tree = write_tree(tmp_path / name, project(journal, name))
        urls.append(f"{name} @ {tree.as_uri()}")
    resolver, environment = Resolver(make_client(), workers=2), make_venv()
    wanted = [*urls[:2], f"{urls[2]} ; sys_platform == 'nowhere'"]

    resolver.resolve(wanted, target=environment)
    assert sorted(journal.take()) == ["metadata one", "metadata two"]

    resolver.resolve(urls, target=environment, excludes=["other"])
    assert journal.take() == []


def test_a_path_that_is_nothing_is_told_as_ever(make_client, make_venv, make_tree, tmp_path):
    error = find_error(
        lambda: Resolver(make_client(), workers=2).resolve(
            [make_tree("one"), tmp_path / "none"], target=make_venv()
        )
    )

    assert isinstance(error, RequirementInvalid)
