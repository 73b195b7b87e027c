"""Many processes and threads over one cache: each wheel is fetched once, and whoever dies holds up nobody."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from pathlib import Path

from puffin_api import Cache, Client, Environment, Installer, Interpreter, Resolver
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.leases import DAY, Leases
from puffin_api._cache.prune import prune
from puffin_api._concurrency import Pump
from puffin_api.model import DistFile, LockWaiting
from puffin_api.testing import make_wheel
from tests.integration.cache_kit import (
    install_and_wait_for_death,
    install_from_one_cache,
    install_patiently,
    preparer_of,
    scratch_of,
    unpack_half_and_wait_for_death,
)
from tests.integration.job_kit import GRAPH, ActingReporter, graph_files, leftovers, versions

PROCESSES = 32
THREADS = 32
CLIENTS = 4
# New processes that need not import everything anew, where the system has such.
_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
SPAWN = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
if _FORKS:
    SPAWN.set_forkserver_preload(["tests.integration.cache_kit"])
EXPECTED = {name: version for name, (version, _) in GRAPH.items()}


def fetched(index):
    return Counter(request.path for request in index.requests if request.path.endswith(".whl"))


def each_once():
    return {f"/files/{n}-{v}-py3-none-any.whl": 1 for n, (v, _) in GRAPH.items()}


def check_environment(environment):
    assert versions(environment) == EXPECTED
    assert environment.check(deep=True) == ()
    assert leftovers(environment) == []


def check_nothing_is_left(cache):
    assert scratch_of(cache.path) == []
    assert list(cache.path.glob(".leases/*")) == []
    assert cache.verify().damaged == {}
    assert len(list((cache.path / "archive-v0").iterdir())) == len(GRAPH), "each was unpacked once"


def test_32_processes_fetch_each_wheel_once_and_say_for_whom_they_wait(serve, tmp_path):
    index = serve(graph_files(ballast=50_000), latency=0.3)
    names = [f"own-{number}" for number in range(PROCESSES)]
    for name in ("common", *names):
        Interpreter.current().create_venv(tmp_path / name)
    answers, begin = SPAWN.Queue(), SPAWN.Barrier(PROCESSES)
    processes = [
        SPAWN.Process(
            target=install_from_one_cache, args=(str(tmp_path), name, "common", index.url, begin, answers)
        )
        for name in names
    ]

    for process in processes:
        process.start()
    told = [answers.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(60)

    assert {name: error for name, error, _ in told} == dict.fromkeys(names, "")
    assert fetched(index) == each_once()
    for name in ("common", *names):
        check_environment(Environment.at(tmp_path / name))
    check_nothing_is_left(Cache(tmp_path / "cache"))
    waits = [wait for _, _, waits in told for wait in waits]
    wheels = [owner for path, owner in waits if "wheels-v0" in path]
    pids = {f"process {process.pid} on {os.uname().nodename} (fetching " for process in processes}
    assert wheels, "all began at once and every answer took its time"
    assert all(any(owner.startswith(pid) for pid in pids) for owner in wheels)


def test_32_threads_with_several_clients_fetch_each_wheel_once(serve, tmp_path):
    index = serve(graph_files(ballast=50_000), latency=0.05)
    environments = [Interpreter.current().create_venv(tmp_path / f"own-{n}") for n in range(THREADS)]
    clients = [Client(indexes=[index.url], cache=Cache(tmp_path / "cache")) for _ in range(CLIENTS)]
    resolution = Resolver(clients[0]).resolve(["app"], target=environments[0])
    begin, failures = threading.Barrier(THREADS), []

    def run(number):
        try:
            begin.wait(60)
            install_patiently(environments[number], clients[number % CLIENTS], resolution)
        except BaseException as error:  # noqa: BLE001  # told below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for client in clients:
        client.close()

    assert failures == []
    assert fetched(index) == each_once()
    for environment in environments:
        check_environment(environment)
    check_nothing_is_left(Cache(tmp_path / "cache"))


def prune_later(cache):
    """Prune as in ten days."""
    layout = CacheLayout(cache.path)
    return prune(layout, Leases(layout), now=time.time() + 10 * DAY)


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_who_waits_for_a_download_goes_on_when_its_process_is_killed(serve, tmp_path):
    index = serve(graph_files())
    for name in ("killed", "waiting"):
        Interpreter.current().create_venv(tmp_path / name)
    cache = Cache(tmp_path / "cache")
    with Client(indexes=[index.url], cache=cache) as client:  # what will stall is the wheel, no metadata
        Resolver(client).resolve(["app"], target=Environment.at(tmp_path / "killed"))
    index.fail("/files/app-2.0-py3-none-any.whl", stall=True)
    other = SPAWN.Process(target=install_and_wait_for_death, args=(str(tmp_path), "killed", index.url))
    other.start()
    wait_until(lambda: any(path.endswith("app-2.0-py3-none-any.whl") for path in fetched(index)))

    reporter = ActingReporter(other.kill, on=LockWaiting)
    with Client(indexes=[index.url], cache=cache) as client:
        Installer(Environment.at(tmp_path / "waiting"), client).install(["app"], reporter=reporter)
    other.join(60)

    waits = [event for event in reporter.events if isinstance(event, LockWaiting)]
    assert [f"process {other.pid} on " in event.owner for event in waits] == [True]
    check_environment(Environment.at(tmp_path / "waiting"))
    assert versions(Environment.at(tmp_path / "killed")) == {}
    (scratch,) = scratch_of(cache.path)
    assert cache.prune().removed == (), "what is young may be in use"
    assert prune_later(cache).paths == (cache.path / ".tmp" / scratch,)
    check_nothing_is_left(cache)


def test_who_waits_for_an_unpacking_goes_on_when_its_process_is_killed(tmp_path):
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    wheel.write_bytes(make_wheel("demo", "1.0"))
    file = DistFile(name="demo", version="1.0", filename=wheel.name, url="https://h/demo", index="https://h/")
    half_done = tmp_path / "half-done"
    other = SPAWN.Process(
        target=unpack_half_and_wait_for_death, args=(tmp_path / "cache", wheel, file, half_done)
    )
    other.start()
    wait_until(half_done.exists)
    waits = []

    def on_event(event):
        if isinstance(event, LockWaiting):
            waits.append(event.owner)
            other.kill()

    made = preparer_of(tmp_path / "cache", wheel).prepare_wheels([file], pump=Pump(on_event))["demo"]
    other.join(60)

    assert (made.archive / "files" / "demo" / "__init__.py").is_file()
    assert [f"process {other.pid} on " in owner for owner in waits] == [True]
    cache = Cache(tmp_path / "cache")
    (scratch,) = scratch_of(cache.path)
    assert prune_later(cache).paths == (Path(cache.path) / ".tmp" / scratch,)
