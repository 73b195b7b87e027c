"""Fifty resolves and installs from eight threads in one process, which is left as it was."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import pytest

from puffin_api import Cache, Client, Installer, Resolver
from puffin_api.errors import PlanOutdated
from tests.integration.job_kit import find_error, graph_files, leftovers, run_program, versions, wheel
from tests.integration.thread_load import JOBS, ROUNDS, THREADS, ProcessState, run_load

DEPENDENCIES = {"attr", "attrs", "cattr", "cattrs", "filelock", "packaging", "platformdirs", "urllib3"}
INDIRECT = {"typing_extensions"}  # of cattrs
ACCELERATORS = {
    "isal",
    "brotli",
    "brotlicffi",
    "_brotli",
    "zstandard",
    "h2",
    "socks",
    "idna",
}  # used where present


def last_round(number):
    jobs = len(range(number, JOBS, THREADS))
    return ROUNDS[(jobs - 1) % len(ROUNDS)][1]


@pytest.mark.parametrize("shared", [True, False], ids=["one client", "a client for each"])
def test_eight_threads_install_into_eight_environments(tmp_path, shared):
    before = ProcessState()

    wrong, there = run_load(tmp_path, shared=shared)

    assert wrong == []
    assert there == [last_round(number) for number in range(THREADS)]
    assert before.changes(ProcessState()) == []


PROGRAM = """
import json, locale, sys
import logging, signal, warnings, random, threading, http.client, ssl, subprocess, email.parser, zipfile
locale.setlocale(locale.LC_ALL, "C")
from tests.integration.thread_load import ProcessState, run_load

random.seed(1)
handler = logging.NullHandler()
logging.root.addHandler(handler)
warnings.simplefilter("error")
before = ProcessState()
wrong, there = run_load(sys.argv[1], shared=True)
after = ProcessState()
print(json.dumps([wrong, there, before.changes(after), sorted(before.additions(after))]))
"""


def test_a_fresh_process_keeps_all_of_its_state_and_gets_only_known_modules(tmp_path):
    done = run_program(PROGRAM, tmp_path, raw=True)

    wrong, there, changes, additions = done.value
    assert wrong == []
    assert there == [last_round(number) for number in range(THREADS)]
    assert changes == []
    allowed = {"puffin_api", *sys.stdlib_module_names, *DEPENDENCIES, *INDIRECT, *ACCELERATORS}
    # The standard library's own generated module of build settings.
    assert {name for name in additions if not name.startswith("_sysconfigdata")} <= allowed
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1, "nothing but the program prints"


def test_many_threads_change_one_environment_one_after_the_other(serve, make_client, make_venv):
    """Each adds a project of its own; plans that are overtaken are made anew."""
    files = graph_files()
    for number in range(6):
        files |= wheel(f"own{number}", "1.0", requires=["log"], files={f"own{number}.py": ""})
    environment = make_venv()
    client = make_client(serve(files))
    begin = threading.Barrier(6)
    errors = []

    def work(number):
        resolution = Resolver(client).resolve([f"own{number}"], target=environment)
        begin.wait(60)
        for _ in range(20):
            error = find_error(lambda: Installer(environment, client).install(resolution))
            if type(error) is not PlanOutdated:  # the one error that says: try again
                break
        errors.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == [None] * 6
    assert versions(environment) == {"log": "1.1", **{f"own{number}": "1.0" for number in range(6)}}
    assert environment.check(deep=True) == ()
    assert leftovers(environment) == []


def test_no_thread_is_left_after_closing(serve, make_client, make_venv):
    before = set(threading.enumerate())
    client = make_client(serve(graph_files()))
    Installer(make_venv(), client).install(["app"])
    started = {thread for thread in set(threading.enumerate()) - before if "puffin" in thread.name}
    assert started
    assert all(thread.daemon for thread in started)

    client.close()

    assert not any(thread.is_alive() for thread in started)


def test_a_client_that_nobody_closed_is_collected(serve, make_venv, tmp_path):
    """Its threads wait for more, and hold on to nothing meanwhile."""
    collected = threading.Event()

    def work():
        # Not of `make_client`, which keeps it to close it.
        client = Client(indexes=[serve(wheel("log", "1.0")).url], cache=Cache(tmp_path / "cache"))
        Installer(make_venv(), client).install(["log"])
        return weakref.ref(client, lambda _: collected.set())

    reference = work()
    for _ in range(300):  # the threads need a moment to come to rest
        gc.collect()
        if collected.wait(0.01):
            break

    assert reference() is None
