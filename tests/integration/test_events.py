"""Events: started and finished in pairs, in order, on the thread that called."""

from __future__ import annotations

import itertools
import threading

import pytest

from puffin_api import Cache, Installer, Resolver
from puffin_api.model import (
    Backtracked,
    ChangeFinished,
    ChangeStarted,
    CommitFinished,
    CommitStarted,
    FetchFinished,
    FetchProgress,
    FetchStarted,
    OperationFinished,
    OperationStarted,
    PackageDecided,
)
from puffin_api.testing import RecordingReporter
from tests.integration.job_kit import (
    check_commit_events,
    check_pairs,
    find_error,
    graph_files,
    install,
    versions,
    wheel,
)

OLD = {"log": "0.5", "web": "0.9", "gone": "1.0"}
NEW = {"app": "2.0", "web": "1.5", "log": "1.1", "net": "3.0", "gone": "1.0"}


@pytest.fixture
def index(serve):
    old = wheel("log", "0.5") | wheel("web", "0.9") | wheel("gone", "1.0")
    return serve(graph_files(ballast=2000) | old)


@pytest.fixture
def environment(make_venv, make_client, index):
    environment = make_venv()
    install(make_client(index), environment, "log<1", "web<1", "gone")
    index.forget()
    return environment


@pytest.fixture
def make_cold_client(make_client, tmp_path):
    """A client whose cache is empty, so that there is something to fetch."""
    numbers = itertools.count()
    return lambda *indexes, **options: make_client(
        *indexes, cache=Cache(tmp_path / f"cold-{next(numbers)}"), **options
    )


def check_stream(reporter):
    assert reporter.threads <= {threading.get_ident()}
    check_commit_events(reporter.events)
    return check_pairs(reporter.events)


def test_a_whole_job_tells_everything_in_order(environment, index, make_cold_client):
    reporter = RecordingReporter()

    install(make_cold_client(index), environment, "app", reporter=reporter)

    assert check_stream(reporter) == {"resolve": 1, "install": 1}
    assert {event.name for event in reporter.of(PackageDecided)} == {"app", "web", "log", "net"}
    kinds = [event.kind for event in reporter.of(FetchStarted)]
    assert {kind: kinds.count(kind) for kind in kinds} == {"page": 4, "metadata": 4, "file": 4}
    assert all(event.error == "" for event in reporter.of(FetchFinished) + reporter.of(OperationFinished))
    assert [(e.name, e.action) for e in reporter.of(ChangeFinished)] == [
        ("app", "install"),
        ("log", "upgrade"),
        ("net", "install"),
        ("web", "upgrade"),
    ]
    (commit,) = reporter.of(CommitStarted)
    assert commit.changes == 4
    order = [type(event) for event in reporter.events]
    assert order.index(ChangeFinished) < order.index(CommitStarted) < order.index(CommitFinished)
    assert order[-1] is OperationFinished
    assert max(place for place, kind in enumerate(order) if kind is FetchFinished) < order.index(
        ChangeStarted
    )


def test_install_of_requirements_nests_its_resolve(environment, index, make_cold_client):
    reporter = RecordingReporter()

    Installer(environment, make_cold_client(index)).install(["app"], reporter=reporter)

    names = [e.operation for e in reporter.events if isinstance(e, OperationStarted)]
    assert names == ["install", "resolve"]
    assert check_stream(reporter) == {"install": 1, "resolve": 1}


def test_every_operation_has_its_pair_on_success(environment, index, make_cold_client):
    reporter = RecordingReporter()
    client = make_cold_client(index)
    installer = Installer(environment, client)
    resolution = Resolver(client).resolve(["app"], target=environment, reporter=reporter)
    client.project("app", reporter=reporter)
    file = resolution.packages["app"].file
    client.metadata(file, reporter=reporter)
    client.fetch(file, reporter=reporter)
    installer.prepare(installer.plan(resolution), reporter=reporter)
    installer.install(resolution, reporter=reporter)
    installer.sync(resolution, reporter=reporter)
    installer.uninstall(["app"], reporter=reporter)
    installer.uninstall(["app"], reporter=reporter)

    assert check_stream(reporter) == {"resolve": 1, "fetch": 3, "prepare": 1, "install": 2, "uninstall": 2}
    assert {event.error for event in reporter.of(OperationFinished)} == {""}


@pytest.mark.parametrize(
    ("part", "fault", "code"),
    [
        ("/simple/net/", {"status": 500}, "server-error"),
        ("web-1.5-py3-none-any.whl.metadata", {"reset": True}, "connect-failed"),
        ("web-1.5-py3-none-any.whl", {"truncate": 100}, "connect-failed"),
        ("net-3.0-py3-none-any.whl", {"status": 403}, "forbidden"),
    ],
)
def test_pairs_hold_on_errors_and_name_them(environment, index, make_cold_client, part, fault, code):
    client = make_cold_client(index)
    reporter = RecordingReporter()
    if part.endswith(".whl"):
        Resolver(client).resolve(["app"], target=environment)
    index.fail(part, times=99, **fault)

    error = find_error(lambda: install(client, environment, "app", reporter=reporter))

    assert error.code == code
    check_stream(reporter)
    assert reporter.of(OperationFinished)[-1].error == code
    assert code in {event.error for event in reporter.of(FetchFinished)}
    assert versions(environment) == OLD


def test_a_conflict_is_told_as_backtracking(environment, index, make_cold_client):
    index.add(*wheel("app", "3.0", requires=["left", "right"]).popitem())
    index.add(*wheel("left", "1.0", requires=["log<1"]).popitem())
    index.add(*wheel("right", "1.0", requires=["log>=1"]).popitem())
    reporter = RecordingReporter()

    install(make_cold_client(index), environment, "app", reporter=reporter)

    assert [event.conflicts for event in reporter.of(Backtracked)][:1] == [1]
    check_stream(reporter)
    assert versions(environment)["app"] == "2.0"


def test_progress_is_rare_and_grows(environment, index, make_cold_client):
    for name, data in wheel("big", "1.0", files={"big.bin": bytes(8_000_000)}, compression=0).items():
        index.add(name, data)
    reporter = RecordingReporter()

    install(make_cold_client(index), environment, "big", reporter=reporter)

    progress = reporter.of(FetchProgress)
    by_task = {task: [e.received for e in progress if e.task == task] for task in {e.task for e in progress}}
    seconds = sum(event.seconds for event in reporter.of(OperationFinished))
    assert progress, "a file of eight megabytes is told about at least once"
    for received in by_task.values():
        assert received == sorted(set(received))
        assert len(received) <= 1 + seconds * 10
    assert all(event.total is None or event.received <= event.total for event in progress)
    assert reporter.of(FetchFinished)[-1].received > 8_000_000


def test_without_a_reporter_the_same_is_done(environment, index, make_cold_client):
    install(make_cold_client(index), environment, "app")

    assert versions(environment) == NEW
