"""Fifty resolves and installs from eight threads, and a look at everything in a process that is not ours."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings

from puffin_api import Cache, Client, Interpreter, RetryPolicy
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import graph_files, install, versions, wheel

THREADS = 8
JOBS = 50
ROUNDS = [
    (["app"], {"app": "2.0", "web": "1.5", "log": "1.1", "net": "3.0"}),
    (["app<2"], {"app": "1.0", "web": "0.9", "log": "1.1", "net": "3.0"}),
    (["app", "log<1.1"], {"app": "2.0", "web": "1.5", "log": "1.0", "net": "3.0"}),
    (["web<1", "log==1.1"], {"app": "2.0", "web": "0.9", "log": "1.1", "net": "3.0"}),
]
"""What is asked for, one after the other, and what is there then."""


def load_files():
    return graph_files(ballast=5000) | {
        **wheel("app", "1.0", requires=["web<1", "net"]),
        **wheel("web", "0.9", requires=["log"]),
        **wheel("log", "1.0"),
    }


def run_load(place, *, shared):
    """Do the jobs; returns what went wrong, and what there is in the end in each environment.

    Args:
        shared: One client for all threads; otherwise one for each, over one cache.
    """
    interpreter = Interpreter.current()
    environments = [interpreter.create_venv(f"{place}/venv-{number}") for number in range(THREADS)]
    wrong: list[str] = []
    with LoopbackIndex(load_files()) as index:
        index.fail("/simple/app/", status=503)
        cache, again = Cache(f"{place}/cache"), RetryPolicy(attempts=3, backoff=0.01)
        made = [
            Client(indexes=[index.url], cache=cache, retries=again) for _ in range(1 if shared else THREADS)
        ]
        clients = made * THREADS if shared else made
        begin = threading.Barrier(THREADS)
        threads = [
            threading.Thread(target=_work, args=[number, client, environment, begin, wrong])
            for number, (client, environment) in enumerate(zip(clients, environments, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in made:
            client.close()
        fetched = [request.path for request in index.requests if request.path.endswith(".whl")]
    if len(fetched) != len(set(fetched)):
        wrong.append(f"fetched more than once: {sorted(fetched)}")
    for environment in environments:
        wrong += [str(problem) for problem in environment.check(deep=True)]
    return wrong, [versions(environment) for environment in environments]


def _work(number, client, environment, begin, wrong):
    begin.wait(60)
    for turn, job in enumerate(range(number, JOBS, THREADS)):
        requirements, expected = ROUNDS[turn % len(ROUNDS)]
        try:
            install(client, environment, *requirements)
            there = versions(environment)
            if there != expected:
                wrong.append(f"job {job}: {requirements} gave {there}")
        except Exception as error:  # noqa: BLE001  # told at the end, with all others
            wrong.append(f"job {job}: {error!r}")


class ProcessState:
    """Everything of a process that an embedded library has to leave alone."""

    def __init__(self):
        self.plain = {
            "os.environ": dict(os.environ),
            "cwd": os.getcwd(),
            "umask": _umask(),
            "locale": locale.setlocale(locale.LC_ALL),
            "recursion limit": sys.getrecursionlimit(),
            "switch interval": sys.getswitchinterval(),
            "bytecode": (sys.dont_write_bytecode, sys.pycache_prefix),
            "sys.path": list(sys.path),
            "sys.argv": list(sys.argv),
            "socket time-out": socket.getdefaulttimeout(),
            "stack size": threading.stack_size(),
            "gc": (gc.isenabled(), gc.get_threshold()),
            "random": random.getstate(),
            "logging": (logging.root.level, logging.root.disabled, logging.root.manager.disable),
            "wakeup": _wakeup(),
        }
        self.kept = {
            "streams": [sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__],
            "hooks": [sys.excepthook, sys.displayhook, threading.excepthook, sys.unraisablehook],
            "tracing": [sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()],
            "handlers": [*logging.root.handlers, logging.lastResort],
            "filters": [*logging.root.filters],
            "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
            "warnings": [*warnings.filters, warnings.showwarning],
            "finders": [*sys.meta_path, *sys.path_hooks],
            "containers": [os.environ, sys.path, sys.meta_path, sys.path_hooks, warnings.filters],
        }
        self.modules = dict(sys.modules)
        # What others have defined, so that it would be seen if it were replaced.
        self.parts = {
            (name, key): value
            for name, module in self.modules.items()
            if not is_ours(name) and name != "urllib3.util.wait"  # which replaces its own at first use
            for key, value in list(getattr(module, "__dict__", {}).items())
            if callable(value)
        }
        self.threads = set(threading.enumerate())

    def changes(self, later):
        """What is not as it was, by name."""
        found = [name for name, value in self.plain.items() if later.plain[name] != value]
        for name, values in self.kept.items():
            after = later.kept[name]
            if len(after) != len(values) or any(a is not b for a, b in zip(values, after, strict=True)):
                found.append(name)
        found += [f"module {name}" for name, m in self.modules.items() if later.modules.get(name) is not m]
        found += [
            f"{name}.{key}"
            for (name, key), value in self.parts.items()
            if later.parts.get((name, key)) is not value
        ]
        found += [f"thread {t.name}" for t in later.threads - self.threads if not t.daemon]
        found += [f"thread {t.name}" for t in later.threads - self.threads if t.name.startswith("puffin")]
        return found

    def additions(self, later):
        """Top-level names of the modules that came."""
        return {name.partition(".")[0] for name in later.modules.keys() - self.modules.keys()}


def is_ours(name):
    return name.partition(".")[0] in {"puffin_api", "tests"}


def _umask():
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def _wakeup():
    if threading.current_thread() is not threading.main_thread():
        return None
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor
