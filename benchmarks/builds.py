"""Sources resolved, built and installed: uv and this library in turn, over the recorded index.

    python -m benchmarks.builds [--rounds N] [--projects NAME==VERSION ...] [--profile]

Each project is installed from its source distribution into an empty environment, and needs no other.
In the rows called *cold* both caches are empty; in those called *warm* they have what builds need, and
nothing of the project. ``--profile`` says which child processes were started, and how long each took.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from uv import find_uv_bin

from benchmarks.__main__ import upstream
from benchmarks.recorded_index import RecordedIndex
from puffin_api import Cache, Client, Environment, Index, Installer, Interpreter, Resolver
from puffin_api.model import BuildFinished, BuildStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECTS = (
    "cymem==2.0.8",
    "markupsafe==3.0.2",
    "pyyaml==6.0.2",
    "six==1.17.0",
    "idna==3.10",
    "soupsieve==2.6",
)
"""Cython; C; Cython and C where a library is there; pure Python with setuptools, flit and hatchling."""
RECORDED = Path(__file__).with_name("recorded")


@attrs.define
class Row:
    """The seconds of each round."""

    project: str
    state: str
    uv: list[float] = attrs.field(factory=list)
    ours: list[float] = attrs.field(factory=list)

    def __str__(self) -> str:
        ratio = statistics.median(ours / uv for uv, ours in zip(self.uv, self.ours, strict=True))
        uv, ours = statistics.median(self.uv), statistics.median(self.ours)
        return f"| {self.project} | {self.state} | {uv:.2f} | {ours:.2f} | {ratio:.2f} |"


class Steps:
    """Hears how long each call of a backend takes."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[float, str]] = {}
        self.steps: list[str] = []

    def on_event(self, event: object) -> None:
        """Take one event."""
        if isinstance(event, BuildStarted):
            self._begun[event.task] = time.perf_counter(), f"{event.phase} {event.name}"
        elif isinstance(event, BuildFinished):
            begun, title = self._begun.pop(event.task)
            self.steps.append(f"{title} {time.perf_counter() - begun:.2f}")


class Bench:
    """Both tools, each with a cache that has what builds need."""

    def __init__(self, index: str, folder: Path) -> None:
        self._index = index
        self._folder = folder
        self._count = 0

    def place(self, name: str) -> Path:
        """Return the path of a folder that is not there yet."""
        self._count += 1
        return self._folder / f"{name}-{self._count}"

    def environment(self) -> Environment:
        """Make an empty environment; not for what is timed."""
        return Interpreter.current().create_venv(self.place("venv"))

    def uv(self, project: str, cache: Path) -> float:
        """Install with uv; the seconds."""
        name = project.partition("==")[0]
        environ = {**self._environ(), "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(cache)}
        environ |= {"UV_DEFAULT_INDEX": self._index, "UV_PYTHON_DOWNLOADS": "never"}
        command = [find_uv_bin(), "pip", "install", "--no-binary", name, project]
        command += ["--python", str(self.environment().interpreter.path)]
        begun = time.perf_counter()
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise RuntimeError(f"{project}: {done.stderr[-3000:]}")
        return seconds

    def forget_in_uv(self, project: str, cache: Path) -> None:
        """Remove what uv knows of a project."""
        command = [find_uv_bin(), "cache", "clean", project.partition("==")[0]]
        subprocess.run(command, env={"UV_CACHE_DIR": str(cache)}, capture_output=True, check=True)

    def ours(self, project: str, cache: Path, steps: Steps) -> float:
        """Install with this library, a client and all; the seconds."""
        name = project.partition("==")[0]
        environment = self.environment()
        begun = time.perf_counter()
        with Client(indexes=[Index(self._index)], cache=Cache(cache), env=self._environ()) as client:
            found = Resolver(client).resolve([project], target=environment, no_binary=[name], reporter=steps)
            Installer(environment, client).install(found, reporter=steps)
        return time.perf_counter() - begun

    def forget_in_ours(self, project: str, cache: Path) -> None:
        """Remove what this library knows of a project."""
        Cache(cache).remove([project.partition("==")[0]])

    def _environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder)}


def measure(bench: Bench, project: str, rounds: int, *, profile: bool) -> Iterator[Row]:
    """Give the rows of a project."""
    warm_uv, warm_ours = bench.place("uv"), bench.place("ours")
    bench.uv(project, warm_uv)
    bench.ours(project, warm_ours, Steps())
    for state in ("cold", "warm"):
        row, steps = Row(project, state), Steps()
        for _ in range(rounds):
            uv, ours = (warm_uv, warm_ours) if state == "warm" else (bench.place("uv"), bench.place("ours"))
            bench.forget_in_uv(project, uv)
            bench.forget_in_ours(project, ours)
            steps = Steps()
            row.uv.append(bench.uv(project, uv))
            row.ours.append(bench.ours(project, ours, steps))
        yield row
        if profile:
            print("   ", "; ".join(steps.steps), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--projects", nargs="+", default=list(PROJECTS))
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print("| project | caches | uv s | ours s | ratio |\n| --- | --- | ---: | ---: | ---: |", flush=True)
    with RecordedIndex(RECORDED, upstream()) as index, tempfile.TemporaryDirectory() as folder:
        bench = Bench(index, Path(folder))
        for project in options.projects:
            for row in measure(bench, project, options.rounds, profile=options.profile):
                print(row, flush=True)


if __name__ == "__main__":
    main()
