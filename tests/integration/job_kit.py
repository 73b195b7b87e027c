"""What whole jobs are tried with: an index, environments, snapshots of folders, and a user without rights."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import puffin_api
from puffin_api import CancelToken, Installer, PuffinError, Resolver, RetryPolicy, Timeouts
from puffin_api.model import (
    BuildFinished,
    BuildStarted,
    ChangeFinished,
    ChangeStarted,
    CommitFinished,
    CommitStarted,
    FetchFinished,
    FetchProgress,
    FetchStarted,
    OperationFinished,
    OperationStarted,
    RollbackFinished,
    RollbackStarted,
)
from puffin_api.testing import LoopbackIndex, RecordingReporter, make_wheel

SOURCE = Path(puffin_api.__file__).parent.parent
TESTS = Path(__file__).parent.parent.parent
"""What has to be on `sys.path` of a child: the library as it is imported here, and the folder of `tests`."""

ONE_TRY = RetryPolicy(attempts=1)
SHORT = Timeouts(connect=0.3, idle=0.3)

GRAPH = {
    "app": ("2.0", ["web>=1", "log"]),
    "web": ("1.5", ["net", "log>=1"]),
    "log": ("1.1", []),
    "net": ("3.0", ["log"]),
}
"""A small graph: version and requirements by project."""

LOCK_FILE = ".puffin-api.lock"
"""Stays in an environment once it was locked; holds nothing but who did it last."""


def wheel(name, version, **options):
    """One entry of an index: file name and bytes."""
    tags, build = options.get("tags", "py3-none-any"), options.get("build", "")
    stem = f"{name.replace('-', '_')}-{version}{'-' + build if build else ''}"
    return {f"{stem}-{tags}.whl": make_wheel(name, version, **options)}


def graph_files(graph=GRAPH, *, ballast=0):
    """The wheels of a graph, each with a module, a script and some ballast that does not compress."""
    files = {}
    for name, (version, requires) in graph.items():
        noise = random.Random(name).randbytes(ballast)
        files |= wheel(
            name,
            version,
            requires=requires,
            files={f"{name}/__init__.py": f"version = {version!r}\n", f"{name}/noise.bin": noise},
            entry_points={"console_scripts": {f"run-{name}": f"{name}:version.strip"}},
        )
    return files


def versions(environment):
    """What is installed: version by name."""
    return {dist.name: dist.version for dist in environment.installed()}


def tree(top, *, times=True):
    """Everything below a folder by relative path: kind, mode, content or target, and time of files."""
    found = {}
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if name == LOCK_FILE:
                continue
            if os.path.islink(path):
                found[os.path.relpath(path, top)] = ("link", os.readlink(path))
            elif os.path.isdir(path):
                found[os.path.relpath(path, top)] = ("folder", oct(status.st_mode))
            else:
                digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                when = status.st_mtime_ns if times else 0
                found[os.path.relpath(path, top)] = ("file", oct(status.st_mode), digest, when)
    return found


def leftovers(environment):
    """What a transaction or a temporary file would leave in an environment."""
    return [path for path in tree(environment.root) if ".puffin" in path]


def check_error(error, kind, code, **fields):
    """Hold an error to the contract: exact class, stable code, fields, `to_dict()` that is JSON."""
    assert type(error) is kind
    assert error.code == code
    assert str(error)
    for name, value in fields.items():
        assert getattr(error, name) == value, name
    told = json.loads(json.dumps(error.to_dict()))
    assert told["schema"] == 1
    assert told["code"] == code
    assert told["message"] == str(error)
    assert told["hint"] == error.hint
    assert told["state"] == error.state
    assert set(fields) <= told["data"].keys() | {"state", "retryable", "hint", "user_fixable"}


def find_error(call):
    """Call, and return the error of the library that it raised, None where it did not."""
    try:
        call()
    except PuffinError as error:
        return error
    return None


@contextmanager
def unchanged(environment):
    before = tree(environment.root)
    yield
    assert tree(environment.root) == before


def failure(environment, client, *requirements, **options):
    """Ask for an install that fails: the error, after a look that nothing changed."""
    installer = Installer(environment, client, **options)
    with unchanged(environment):
        error = find_error(lambda: installer.install(requirements))
    assert error is not None, "it succeeded"
    assert error.state == "untouched"
    return error


def install(client, environment, *requirements, **options):
    """Resolve and install, as two calls."""
    resolution = Resolver(client).resolve(requirements, target=environment, **options)
    return Installer(environment, client).install(resolution, **options)


# -- an index whose answers come in a random order


class JitteryIndex(LoopbackIndex):
    """Answers each request after a delay of its own, the same ones for one seed."""

    def __init__(self, files=None, *, seed=0, longest=0.02, **options):
        super().__init__(files, **options)
        self._chance = random.Random(seed)
        self._longest = longest

    def reseed(self, seed):
        self._chance = random.Random(seed)

    def answer(self, asked):
        time.sleep(self._chance.random() * self._longest)
        return super().answer(asked)


# -- events

_PAIRS = {
    OperationStarted: (OperationFinished, lambda e: e.operation),
    FetchStarted: (FetchFinished, lambda e: e.task),
    BuildStarted: (BuildFinished, lambda e: e.task),
}


def check_pairs(events):
    """Hold a stream to its laws: operations nest, tasks begin and end once, within their operation."""
    opened = []
    ended = Counter()
    for event in events:
        if isinstance(event, OperationStarted):
            opened.append((event.operation, {}))
        elif isinstance(event, OperationFinished):
            name, tasks = opened.pop()
            assert name == event.operation
            assert not tasks, f"not ended within the operation: {tasks}"
            assert event.seconds >= 0
            ended[name] += 1
        else:
            assert opened, f"outside of any operation: {event}"
            _check_task(event, opened[-1][1])
    assert not opened
    return ended


def _check_task(event, tasks):
    kinds = {start: (end, key) for start, (end, key) in _PAIRS.items() if start is not OperationStarted}
    for start, (end, key) in kinds.items():
        if isinstance(event, start):
            assert (start, key(event)) not in tasks
            tasks[start, key(event)] = event
        elif isinstance(event, end):
            assert tasks.pop((start, key(event)), None) is not None, f"ended but not begun: {event}"
    if isinstance(event, FetchProgress):
        assert (FetchStarted, event.task) in tasks, "progress of a transfer that is not under way"


def check_commit_events(events):
    """Hold the events of a commit to their order; returns how it ended."""
    started = [e for e in events if isinstance(e, CommitStarted)]
    ended = [e for e in events if isinstance(e, CommitFinished | RollbackFinished)]
    assert [e.transaction for e in started] == [e.transaction for e in ended]
    back = [e.transaction for e in events if isinstance(e, RollbackStarted)]
    assert back == [e.transaction for e in ended if isinstance(e, RollbackFinished)]
    for begin, end in zip(started, ended, strict=True):
        assert events.index(begin) < events.index(end)
    changes = [e.name for e in events if isinstance(e, ChangeStarted)]
    done = [e.name for e in events if isinstance(e, ChangeFinished)]
    assert done == changes[: len(done)]
    return [type(e) for e in ended]


class ActingReporter(RecordingReporter):
    """Does something at the event of a number or kind; once, or at each one from then on."""

    def __init__(self, act, *, after=None, on=None, often=False):
        super().__init__()
        self._often = often
        self._act = act
        self._after = after
        self._on = on
        self.acted = False

    def on_event(self, event):
        super().on_event(event)
        is_due = len(self.events) == self._after or (self._on is not None and isinstance(event, self._on))
        if self.acted:
            is_due = self._often
        if is_due:
            self.acted = True
            self._act()


def cancelling(**when):
    """A token, and a reporter that throws it."""
    token = CancelToken()
    return token, ActingReporter(lambda: token.cancel("enough"), **when)


# -- a user without rights

_OVERRIDES = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER


def can_be_plain_user():
    """Tell whether the mode of folders counts for `as_plain_user`."""
    return os.name == "posix" and (os.geteuid() != 0 or sys.platform == "linux")


def as_plain_user(call):
    """Call in a thread for which the mode of folders counts, even where we are root.

    Capabilities belong to threads: this one gives up those that stand above modes, and so do those
    that it starts. What it raises is raised here.
    """
    outcome = []

    def run():
        try:
            if os.geteuid() == 0:
                _drop_overrides()
            outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001  # raised below
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _drop_overrides():
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    assert libc.capget(head, data) == 0
    for bit in _OVERRIDES:
        for number in range(3):
            data[number] &= ~(1 << bit)
    assert libc.capset(head, data) == 0, os.strerror(ctypes.get_errno())


# -- programs in a process of their own


def run_program(program, *arguments, check=True, raw=False, wrap=()):
    """Run Python source with the library at hand; returns what it prints, read as JSON.

    Args:
        check: Fail where it fails.
        raw: Return the finished process instead, with what it printed as ``value``.
        wrap: A command that runs the command that follows it.
    """
    head = f"import sys; sys.path[:0] = {[str(SOURCE), str(TESTS)]!r}\n"
    command = [*wrap, sys.executable, "-c", head + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
        done.value = json.loads(done.stdout)
    return done if raw or not check else done.value
