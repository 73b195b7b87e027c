"""Real projects from the real index, resolved and installed once for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from puffin_api import (
    Cache,
    Client,
    Environment,
    Index,
    Installer,
    Interpreter,
    Resolution,
    Resolver,
)
from puffin_api._api.environment import LOCK_NAME
from puffin_api.errors import InterpreterNotFound
from puffin_api.model import DistFile, InstallReport
from tests.network.other_tools import describe
from tests.network.soundness import Place

PYTHONS = ("3.9", "3.13")
SETS = {
    "flask": ["flask"],
    "jupyterlab": ["jupyterlab"],
    "science": ["pandas", "scikit-learn", "matplotlib"],
    "fastapi": ["fastapi[standard]"],
    "airflow": ["apache-airflow[celery]", "boto3"],
}
RESOLVED_ONLY = {"airflow"}

# Made once: pytest tells parameters apart by identity. Those that are only resolved stand last.
_JOBS = [pytest.param((name, python), id=f"{name}-{python}") for name in SETS for python in PYTHONS]
_INSTALLED = [job for job in _JOBS if job.values[0][0] not in RESOLVED_ONLY]
_TABLE = pytest.StashKey[list[dict[str, str]]]()


@dataclass
class Resolved:
    """A set of requirements, resolved for an environment that is still empty."""

    requirements: list[str]
    client: Client
    environment: Environment
    resolution: Resolution
    place: Place
    fresh: set[str]
    """What is in the environment before anything is installed."""
    row: dict[str, str]
    """For the table at the end of the run, by column."""

    @property
    def python(self) -> Path:
        return self.environment.interpreter.path

    def offered(self, name: str) -> tuple[DistFile, ...]:
        return self.client.project(name).files

    @property
    def versions(self) -> dict[str, str]:
        return {name: package.version for name, package in self.resolution.packages.items()}


@dataclass
class Installed(Resolved):
    """... and installed."""

    report: InstallReport


def pytest_generate_tests(metafunc):
    if "resolved" in metafunc.fixturenames:
        jobs = _INSTALLED if "installed" in metafunc.fixturenames else _JOBS
        metafunc.parametrize("resolved", jobs, indirect=True, scope="session")


def open_client(cache: Cache | None = None, **options) -> Client:
    """Reach the index as the user's settings say, but no other index than the real one."""
    return Client.from_environ(
        os.environ, **{"indexes": [Index.pypi()], "find_links": (), "cache": cache, **options}
    )


def find_python(version: str) -> Interpreter:
    """Find an interpreter, or skip the test.

    It is looked for on PATH, then in the executables and prefixes that PUFFIN_TEST_PYTHONS lists, then
    where a version manager of the user may have put it.
    """
    given = [Path(item) for item in os.environ.get("PUFFIN_TEST_PYTHONS", "").split(os.pathsep) if item]
    folders = [
        folder for path in given for folder in ((path, path / "bin") if path.is_dir() else (path.parent,))
    ]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    try:
        return Interpreter.find(version, environ={"PATH": places})
    except InterpreterNotFound as error:
        tried = f" (tried: {'; '.join(error.tried)})" if error.tried else ""
        pytest.skip(f"no Python {version} here{tried}; name one in PUFFIN_TEST_PYTHONS")


@pytest.fixture(scope="session")
def cache():
    """A cache that is empty at first, shared by all tests that do not need one of their own."""
    with Cache.temporary() as cache:
        yield cache


@pytest.fixture(scope="session")
def resolved(request, cache, tmp_path_factory):
    name, version = request.param
    prefix = tmp_path_factory.mktemp(name) / "env"
    environment = find_python(version).create_venv(prefix)
    with open_client(cache) as client:
        start = time.perf_counter()
        resolution = Resolver(client).resolve(SETS[name], target=environment, only_binary=[":all:"])
        seconds = time.perf_counter() - start
        job = Resolved(
            requirements=SETS[name],
            client=client,
            environment=environment,
            resolution=resolution,
            place=describe(environment.interpreter.path, tmp_path_factory.mktemp("place")),
            fresh=listing(prefix),
            row={
                "set": f"{name} {environment.interpreter.version}",
                "packages": str(len(resolution.packages)),
                "resolve": f"{seconds:.2f} s",
            },
        )
        request.config.stash.setdefault(_TABLE, []).append(job.row)
        yield job
    shutil.rmtree(prefix)  # pytest keeps the folders of three runs; these are large


@pytest.fixture(scope="session")
def installed(resolved):
    start = time.perf_counter()
    report = Installer(resolved.environment, resolved.client).install(resolved.resolution)
    resolved.row["install"] = f"{time.perf_counter() - start:.2f} s"
    resolved.row["fetched"] = f"{report.bytes_downloaded / 1e6:.1f} MB"
    return Installed(**vars(resolved), report=report)


def listing(folder: Path) -> set[str]:
    """Return every file and folder below, but for the lock of the environment, which stays."""
    paths = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return {path for path in paths if path != LOCK_NAME}


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(_TABLE, [])
    if not rows:
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))]
    terminalreporter.section("real projects")
    for line in table:
        terminalreporter.write_line("  ".join(map(str.ljust, line, widths)).rstrip())
