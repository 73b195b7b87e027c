"""Several builds at a time, and what becomes of the others when one fails."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise

import pytest

from puffin_api import CancelToken, Installer, Resolver
from puffin_api.errors import BuildFailed, Cancelled
from puffin_api.model import BuildFinished, BuildStarted
from puffin_api.testing import RecordingReporter, make_sdist
from tests.integration.job_kit import check_pairs, find_error, leftovers, versions

BACKEND = """
import os, sys, time, zipfile
from pathlib import Path

NAME, MEET = {name!r}, Path({meet!r})


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (MEET / NAME).write_text(str(os.getpid()))
    {body}
    info = f"{{NAME}}-1.0.dist-info"
    files = {{
        f"{{NAME}}.py": "",
        f"{{info}}/METADATA": f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: 1.0\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    files[f"{{info}}/RECORD"] = "".join(f"{{path}},,\\n" for path in [*files, f"{{info}}/RECORD"])
    name = f"{{NAME}}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""
MEETING = """
    begun = time.time()
    while len(list(MEET.iterdir())) < 2:
        time.sleep(0.01)
        if time.time() - begun > 60:
            sys.exit("nobody came")
"""
pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked up in /proc")
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def meet(tmp_path):
    folder = tmp_path / "meet"
    folder.mkdir()
    return folder


def sdist(name, meet, body):
    files = {"backend.py": BACKEND.format(name=name, meet=str(meet), body=body)}
    project = f'[project]\nname = "{name}"\nversion = "1.0"\n'
    return {f"{name}-1.0.tar.gz": make_sdist(name, "1.0", files=files, pyproject=PYPROJECT + project)}


def pids(meet):
    return [int(path.read_text()) for path in meet.iterdir() if path.read_text()]


def is_running(pid):
    """Tell whether a process runs; one that was killed may wait for somebody to ask for its end."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def all_gone(meet):
    for _ in range(500):
        if not any(map(is_running, pids(meet))):
            return True
        time.sleep(0.01)
    return False


def test_two_builds_run_at_once(serve, make_client, make_venv, meet):
    client, environment = (
        make_client(serve(sdist("one", meet, MEETING) | sdist("two", meet, MEETING))),
        make_venv(),
    )
    resolution = Resolver(client).resolve(["one", "two"], target=environment)
    reporter = RecordingReporter()

    Installer(environment, client, workers=2).install(resolution, reporter=reporter)

    assert versions(environment) == {"one": "1.0", "two": "1.0"}
    check_pairs(reporter.events)
    assert len(reporter.threads) == 1
    kinds = [type(event) for event in reporter.events if isinstance(event, (BuildStarted, BuildFinished))]
    assert (BuildStarted, BuildStarted) in set(pairwise(kinds))


def test_one_at_a_time_where_that_is_asked_for(serve, make_client, make_venv, meet):
    client, environment = (
        make_client(serve(sdist("one", meet, "pass") | sdist("two", meet, "pass"))),
        make_venv(),
    )
    reporter = RecordingReporter()
    Installer(environment, client, workers=1).install(["one", "two"], reporter=reporter)
    kinds = [type(event) for event in reporter.events if isinstance(event, (BuildStarted, BuildFinished))]
    assert (BuildStarted, BuildStarted) not in set(pairwise(kinds))


def test_a_failure_ends_the_others(serve, make_client, make_venv, meet):
    fails = MEETING + "    sys.exit('no')\n"
    files = sdist("fails", meet, fails) | sdist("waits", meet, MEETING + "    time.sleep(600)\n")
    client, environment = make_client(serve(files)), make_venv()
    resolution = Resolver(client).resolve(["fails", "waits"], target=environment)

    begun = time.monotonic()
    error = find_error(lambda: Installer(environment, client, workers=2).install(resolution))

    assert isinstance(error, BuildFailed)
    assert error.package == "fails"
    assert error.state == "untouched"
    assert time.monotonic() - begun < 120, "long before the other would have ended"
    assert all_gone(meet)
    assert versions(environment) == {}
    assert leftovers(environment) == []


def test_a_cancel_ends_them_all(serve, make_client, make_venv, meet):
    forever = MEETING + "    time.sleep(600)\n"
    client = make_client(serve(sdist("one", meet, forever) | sdist("two", meet, forever)))
    environment, token = make_venv(), CancelToken()
    resolution = Resolver(client).resolve(["one", "two"], target=environment)

    def watch():
        while len(pids(meet)) < 2:
            time.sleep(0.01)
        token.cancel("enough")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    error = find_error(lambda: Installer(environment, client, workers=2).install(resolution, cancel=token))

    assert isinstance(error, Cancelled)
    assert error.reason == "enough"
    assert all_gone(meet)
    assert versions(environment) == {}
