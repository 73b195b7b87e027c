"""A stop at any moment: the old state or the new one, nothing left over, and nobody is waited for."""

from __future__ import annotations

import itertools
import threading

import pytest

from puffin_api import Cache, CancelToken, Installer, Resolver, RetryPolicy, Timeouts
from puffin_api.errors import Cancelled, DeadlineExceeded, PuffinError
from puffin_api.model import (
    ChangeFinished,
    ChangeStarted,
    CommitStarted,
    FetchFinished,
    LockWaiting,
    OperationFinished,
    PackageDecided,
    RollbackFinished,
)
from puffin_api.testing import LoopbackIndex, RecordingReporter
from tests.integration.job_kit import (
    ActingReporter,
    cancelling,
    check_commit_events,
    check_error,
    check_pairs,
    find_error,
    graph_files,
    install,
    leftovers,
    tree,
    versions,
    wheel,
)

OLD = {"log": "0.5", "web": "0.9", "gone": "1.0"}
NEW = {"app": "2.0", "web": "1.5", "log": "1.1", "net": "3.0", "gone": "1.0"}
ENDS = 150
"""More events than any job of these tests has."""


class Boom(Exception):
    """What a reporter raises."""


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


def job(client, environment, **options):
    """Resolve and install, with pairs of events from both."""
    install(client, environment, "app", **options)


def check_after(environment, before, error, reporter):
    """After a stop: the old state, or the new one; never anything between, never anything left over."""
    there = versions(environment)
    assert there in (OLD, NEW)
    assert leftovers(environment) == []
    assert environment.check(deep=True) == () or there == OLD
    if there == OLD:
        assert tree(environment.root) == before
    if isinstance(error, PuffinError):
        assert (there == NEW) == (error.state == "committed")
        assert (
            error.state == ("rolled-back" if reporter.of(RollbackFinished) else "untouched") or there == NEW
        )
    assert reporter.threads <= {threading.get_ident()}


def points(make):
    """Do a job with a stop after its first event, after its second, and so on until it ends before."""
    for number in range(1, ENDS):
        reporter = make(number)
        if not reporter.acted:
            return
    raise AssertionError("the job has no end")


def test_a_cancel_after_any_event(environment, index, make_cold_client, make_venv):
    ends = []

    def try_at(number):
        before = tree(environment.root)
        token, reporter = cancelling(after=number)
        client = make_cold_client(index, concurrency=4)
        error = find_error(lambda: job(client, environment, reporter=reporter, cancel=token))
        check_after(environment, before, error, reporter)
        check_stream(reporter)
        if error is not None:
            check_error(error, Cancelled, "cancelled", reason="enough", retryable=True)
            assert reporter.of(OperationFinished)[-1].error == "cancelled"
            assert versions(environment) == OLD
        ends.append(error is not None and error.state)
        if versions(environment) == NEW:
            back(environment, index, make_cold_client)
        client.close()
        return reporter

    points(try_at)

    assert {"untouched", "rolled-back", False} >= set(ends) >= {"untouched", False}
    assert len(ends) > 30, "every event was a point to stop at"


def back(environment, index, make_client):
    """Put the environment back to its old state."""
    client = make_client(index)
    old = Resolver(client).resolve([f"{n}=={v}" for n, v in OLD.items()], target=environment)
    Installer(environment, client).sync(old)
    client.close()
    assert versions(environment) == OLD


@pytest.mark.parametrize(
    "kind", [CommitStarted, ChangeStarted, ChangeFinished, FetchFinished, PackageDecided]
)
def test_a_cancel_at_a_milestone_and_the_same_job_again(environment, index, make_cold_client, kind):
    before = tree(environment.root)
    token, reporter = cancelling(on=kind)
    client = make_cold_client(index)

    error = find_error(lambda: job(client, environment, reporter=reporter, cancel=token))

    check_error(error, Cancelled, "cancelled", reason="enough")
    if kind is not ChangeFinished:  # which is heard when the commit begins
        assert error.state == ("rolled-back" if kind is CommitStarted else "untouched")
    check_after(environment, before, error, reporter)
    job(client, environment)
    assert versions(environment) == NEW
    assert environment.check(deep=True) == ()


@pytest.mark.parametrize("often", [False, True], ids=["once", "from then on"])
def test_a_reporter_that_raises_at_any_event(environment, index, make_cold_client, often):
    ends = []

    def try_at(number):
        before = tree(environment.root)
        boom = Boom(number)

        def act():
            raise boom

        reporter = ActingReporter(act, after=number, often=often)
        client = make_cold_client(index, concurrency=4)
        caught = None
        try:
            job(client, environment, reporter=reporter)
        except Boom as error:
            caught = error
        assert caught is (boom if reporter.acted else None)
        check_after(environment, before, caught, reporter)
        check_pairs(reporter.events)
        ends.append(versions(environment) == NEW)
        if ends[-1]:
            back(environment, index, make_cold_client)
        client.close()
        return reporter

    points(try_at)

    assert {True, False} == set(ends)
    assert ends.index(True) > 30
    assert len(ends) > 32


class CountingToken(CancelToken):
    """Is thrown when it has been looked at so many times."""

    def __init__(self, most):
        super().__init__()
        self.left = most

    def check(self):
        self.left -= 1
        if self.left < 0:
            self.cancel("counted")
        super().check()


def test_a_cancel_at_any_step_of_a_commit(environment, index, make_cold_client):
    client = make_cold_client(index)
    installer = Installer(environment, client)
    prepared = installer.prepare(installer.plan(Resolver(client).resolve(["app"], target=environment)))
    before = tree(environment.root)
    states = []

    for number in range(ENDS):
        token, reporter = CountingToken(number), RecordingReporter()
        error = find_error(lambda: installer.install(prepared, cancel=token, reporter=reporter))  # noqa: B023  # called at once
        check_after(environment, before, error, reporter)
        check_stream(reporter)
        states.append(error and error.state)
        if error is None:
            break

    assert states[-1] is None
    assert versions(environment) == NEW
    assert states.count("untouched") >= 2
    assert states.count("rolled-back") >= 12, "each rename is a point to stop at"


def test_a_token_thrown_before_the_call_lets_nothing_begin(environment, index, make_cold_client):
    token = CancelToken()
    token.cancel("no")
    client = make_cold_client(index)
    before = tree(environment.root)

    for reporter in (RecordingReporter(), None):
        for call in (
            lambda reporter=reporter: job(client, environment, reporter=reporter, cancel=token),
            lambda reporter=reporter: client.project("app", reporter=reporter, cancel=token),
            lambda reporter=reporter: Installer(environment, client).install(
                ["app"], reporter=reporter, cancel=token
            ),
            lambda reporter=reporter: Installer(environment, client).uninstall(
                ["gone"], reporter=reporter, cancel=token
            ),
        ):
            check_error(find_error(call), Cancelled, "cancelled", reason="no", state="untouched")
        if reporter is not None:
            check_stream(reporter)
    assert index.requests == []
    assert tree(environment.root) == before


# -- blocked sockets


class HeldIndex(LoopbackIndex):
    """Answers nothing for some paths until it is let go; says when somebody waits for it."""

    def __init__(self, files, *, part, **options):
        super().__init__(files, **options)
        self.part = part
        self.go = threading.Event()
        self.when_asked = lambda: None

    def answer(self, asked):
        if self.part in asked.path and not self.go.is_set():
            self.when_asked()
            self.go.wait(60)
        return super().answer(asked)


@pytest.fixture
def held(serve):
    """A held index; a watchdog lets it go, so that a call that is not woken fails instead of hanging."""
    made = []

    def make(part):
        index = serve(graph_files(), kind=HeldIndex, part=part)
        watchdog = threading.Timer(20, index.go.set)
        watchdog.daemon = True
        watchdog.start()
        made.append((index, watchdog))
        return index

    yield make
    for index, watchdog in made:
        watchdog.cancel()
        index.go.set()


PATIENT = Timeouts(connect=60, idle=60)
PARTS = ["/simple/app/", "/simple/net/", "web-1.5-py3-none-any.whl.metadata", "net-3.0-py3-none-any.whl"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("is_heard", [True, False])
def test_a_cancel_wakes_a_blocked_socket(make_venv, held, make_client, part, is_heard):
    environment = make_venv()
    index = held(part)
    client = make_client(index, timeouts=PATIENT)
    token = CancelToken()
    index.when_asked = lambda: token.cancel("now")
    reporter = RecordingReporter() if is_heard else None

    error = find_error(lambda: job(client, environment, cancel=token, reporter=reporter))

    assert not index.go.is_set(), "it waited for the server"
    check_error(error, Cancelled, "cancelled", reason="now", state="untouched")
    if reporter is not None:
        check_stream(reporter)
    index.go.set()
    job(client, environment)
    assert versions(environment) == {"app": "2.0", "web": "1.5", "log": "1.1", "net": "3.0"}


def test_a_deadline_ends_a_blocked_call(make_venv, held, make_client):
    environment = make_venv()
    index = held("/simple/net/")
    client = make_client(index, timeouts=PATIENT, retries=RetryPolicy(attempts=5, backoff=60, longest=600))
    reporter = RecordingReporter()

    error = find_error(lambda: job(client, environment, cancel=CancelToken.deadline(0.3), reporter=reporter))

    assert not index.go.is_set()
    check_error(error, DeadlineExceeded, "deadline-exceeded", state="untouched")
    check_stream(reporter)
    assert reporter.of(OperationFinished)[-1].error == "deadline-exceeded"


def test_a_cancel_ends_the_pause_before_another_try(environment, index, make_cold_client):
    """The pause would last minutes."""
    client = make_cold_client(index, retries=RetryPolicy(attempts=3, backoff=300, longest=600))
    index.fail("/simple/app/", times=9, status=503)
    token = CancelToken.deadline(0.3)

    error = find_error(lambda: job(client, environment, cancel=token))

    check_error(error, DeadlineExceeded, "deadline-exceeded")


def test_closing_the_client_ends_a_blocked_call(make_venv, held, make_client):
    environment = make_venv()
    index = held("/simple/net/")
    client = make_client(index, timeouts=PATIENT)
    closers = []

    def close():
        closers.append(threading.Thread(target=client.close))
        closers[-1].start()

    index.when_asked = close
    error = find_error(lambda: job(client, environment))
    for closer in closers:
        closer.join()

    assert not index.go.is_set(), "closing waited for the server"
    check_error(error, Cancelled, "cancelled", reason="closed")


def test_waiting_for_another_change_of_the_environment_can_be_cancelled(environment, index, make_cold_client):
    before = tree(environment.root)
    token, reporter = cancelling(on=LockWaiting)
    held, done = threading.Event(), threading.Event()

    def hold():
        with environment.lock():
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    error = find_error(lambda: job(make_cold_client(index), environment, reporter=reporter, cancel=token))
    is_held = not done.is_set()
    done.set()
    holder.join()

    assert is_held
    check_error(error, Cancelled, "cancelled", reason="enough", state="untouched")
    (waiting,) = reporter.of(LockWaiting)
    assert str(environment.root) in waiting.path
    assert waiting.owner
    check_stream(reporter)
    assert tree(environment.root) == before


def test_a_cancel_of_one_call_does_not_end_another_that_shares_its_work(make_venv, held, make_client):
    """Both want the same page; the one that asked for it gives up."""
    first, second = make_venv("first"), make_venv("second")
    index = held("/simple/net/")
    client = make_client(index, timeouts=PATIENT)
    token = CancelToken()
    errors = {}

    def other():
        errors["second"] = find_error(lambda: job(client, second))

    def asked():
        if not others:
            others.append(threading.Thread(target=other))
            others[0].start()
            token.cancel("enough")
        else:
            index.go.set()

    others = []
    index.when_asked = asked
    errors["first"] = find_error(lambda: job(client, first, cancel=token))
    others[0].join()

    assert type(errors["first"]) is Cancelled
    assert errors["second"] is None
    assert versions(first) == {}
    assert versions(second)["net"] == "3.0"
