"""What an environment answers: whether it holds something, why, who changes it, what was recovered."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading

import pytest

from puffin_api import CancelToken, Environment, Installer, Interpreter, Resolver
from puffin_api.errors import Cancelled, LockTimeout, RequirementInvalid, RollbackFailed
from puffin_api.model import LockWaiting
from puffin_api.testing import RecordingReporter, make_wheel
from tests.integration.broken_trees import put
from tests.integration.job_kit import SOURCE, install, tree

HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from puffin_api import Environment
environment = Environment.at(sys.argv[2])
with environment.lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def resolved(index, make_client, environment):
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=environment)
    return client, resolution


def test_a_resolution_is_satisfied_when_its_plan_is_empty(resolved, environment):
    client, resolution = resolved
    assert not environment.satisfies(resolution)

    report = Installer(environment, client).install(resolution)
    assert environment.satisfies(resolution)
    assert environment.satisfies(["app>=2", "web"])

    Installer(environment, client).uninstall(["net"], allow_broken=True)
    assert not environment.satisfies(resolution)
    assert not environment.satisfies(["app"])
    assert environment.satisfies(["log"])
    assert report.changed


def test_an_origin_counts_as_much_as_a_version(make_client, serve, make_venv, tmp_path):
    content = make_wheel("one", "1.0", files={"one.py": "index"})
    other = put(
        tmp_path, "place/one-1.0-py3-none-any.whl", make_wheel("one", "1.0", files={"one.py": "place"})
    )
    again = put(tmp_path, "again/one-1.0-py3-none-any.whl", other.read_bytes())
    client = make_client(serve({"one-1.0-py3-none-any.whl": content}))
    environment = make_venv()
    resolver = Resolver(client)
    by_version = resolver.resolve(["one"], target=environment)
    by_place = resolver.resolve([f"one @ {other.as_uri()}"], target=environment)
    by_other_place = resolver.resolve([f"one @ {again.as_uri()}"], target=environment)
    wanted = [by_version, by_place, by_other_place]

    def answers():
        plans = [Installer(environment, client).plan(resolution).is_empty for resolution in wanted]
        told = [environment.satisfies(resolution) for resolution in wanted]
        assert told == plans
        return told

    Installer(environment, client).install(by_version)
    assert answers() == [True, False, False]
    assert not environment.satisfies([f"one @ {other.as_uri()}"])

    Installer(environment, client).install(by_place)
    assert answers() == [True, True, False]
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    assert environment.satisfies([f"one @ {other.as_uri()}#sha256={digest}"])
    assert not environment.satisfies([f"one @ {other.as_uri()}#sha256={'0' * 64}"])
    assert not environment.satisfies([f"one @ {again.as_uri()}"])


def test_why_names_the_ways_from_what_was_asked_for(index, make_client, environment):
    install(make_client(index), environment, "app")

    assert [str(way) for way in environment.why("NET")] == ["app==2.0 -> web>=1 -> net"]
    assert [str(way) for way in environment.why("app")] == ["app==2.0"]
    assert environment.why("missing") == ()
    with pytest.raises(RequirementInvalid):
        environment.why("no name")


# -- the lock


@pytest.fixture
def holder(environment):
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(SOURCE), str(environment.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_lock_tells_who_holds_it(environment, holder):
    reporter = RecordingReporter()
    with pytest.raises(LockTimeout) as caught, environment.lock(timeout=0.05, reporter=reporter):
        pytest.fail("two hold it")

    assert f"process {holder.pid} " in caught.value.owner
    assert "change" in caught.value.owner
    assert str(environment.root) in caught.value.owner
    assert caught.value.state == "untouched"
    assert caught.value.to_dict()["data"]["owner"] == caught.value.owner
    assert [(type(event), event.owner) for event in reporter.events] == [(LockWaiting, caught.value.owner)]


def test_a_wait_for_the_lock_ends_with_it_or_by_a_cancel(environment, holder):
    token = CancelToken()
    threading.Timer(0.1, token.cancel, ["enough"]).start()
    with pytest.raises(Cancelled), environment.lock(timeout=None, cancel=token):
        pytest.fail("two hold it")

    threading.Timer(0.1, holder.stdin.close).start()
    with environment.lock(timeout=30):
        pass


def test_recovering_waits_for_whoever_changes_the_environment(environment, holder):
    site = environment.scheme.purelib
    put(environment.root, f"{os.path.relpath(site, environment.root)}/.puffin-x/staged.py")

    with pytest.raises(LockTimeout):
        environment.recover(timeout=0.05)

    holder.stdin.close()
    assert [item.outcome for item in environment.recover(timeout=30).transactions] == ["discarded"]


# -- recovery


def test_a_recovery_reports_what_became_of_each_transaction(environment):
    site = environment.root / os.path.relpath(environment.scheme.purelib, environment.root)
    before = tree(environment.root, times=False)
    put(site, ".puffin-a/.puffin-committed", "{}")
    put(site, ".puffin-a/.puffin-old-1", "x")
    put(site, ".puffin-b/staged/x.py")
    (site / ".puffin-c").mkdir()
    (site / "log").rename(site / ".puffin-c/.puffin-old-1")
    journal = {"format": 1, "transaction": "c", "steps": [["rename", "log", ".puffin-c/.puffin-old-1"]]}
    put(site, ".puffin-c/.puffin-journal.json", json.dumps(journal))
    assert [os.path.basename(problem.path) for problem in environment.check()] == [".puffin-b", ".puffin-c"]

    report = environment.recover()

    assert [(item.transaction, item.outcome) for item in report.transactions] == [
        ("a", "finished"),
        ("b", "discarded"),
        ("c", "rolled-back"),
    ]
    assert report.to_dict()["transactions"][0] == {"transaction": "a", "outcome": "finished"}
    assert tree(environment.root, times=False) == before
    assert environment.check(deep=True) == ()
    assert environment.recover() is None


def test_a_journal_that_nobody_can_read_is_left_and_told(environment):
    site = environment.root / os.path.relpath(environment.scheme.purelib, environment.root)
    put(site, ".puffin-a/.puffin-journal.json", "{")

    with pytest.raises(RollbackFailed) as caught:
        environment.recover()

    assert caught.value.state == "needs-recovery"
    assert [problem.code for problem in environment.check()] == ["interrupted-transaction"]


def test_a_folder_is_asked_as_any_environment(tmp_path, index, make_client):
    environment = Environment.directory(tmp_path / "plain", target=Interpreter.current())
    install(make_client(index), environment, "web")

    assert environment.satisfies(["web"])
    assert [str(way) for way in environment.why("net")] == ["web==1.5 -> net"]
    with environment.lock():
        assert environment.check(deep=True) == ()
    assert environment.recover() is None
