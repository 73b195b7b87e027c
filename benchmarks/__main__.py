"""uv and this library in turn, in one run, over the same recorded index.

    python -m benchmarks [--rounds N] [--cases flask jupyterlab] [--json FILE] [--folder PLACE]

uv is timed as the whole process that an embedding program would start; this library as calls in a
process that lives on. Every resolve is compared with uv's pins. Absolute times mean little on a
shared machine: the ratio is what counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks.full_environment import DISTRIBUTIONS, fill
from benchmarks.recorded_index import RecordedIndex
from puffin_api import Cache, Client, Index, Installer, Interpreter, Resolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api import Environment, Resolution

HERE = Path(__file__).parent
CASES = {"flask": ["flask"], "jupyterlab": ["jupyterlab"]}
TARGETS = {
    ("resolve, cold", "flask"): 1.0,
    ("resolve, cold", "jupyterlab"): 1.0,
    ("resolve, cold, 30 ms away", "jupyterlab"): 1.0,
    ("resolve, disk cache", "flask"): 0.30,
    ("resolve, disk cache", "jupyterlab"): 0.30,
    ("resolve, in memory", "flask"): 0.05,
    ("resolve, in memory", "jupyterlab"): 0.05,
    ("install, warm", "flask"): 0.10,
    ("install, warm", "jupyterlab"): 0.60,
    ("no-op plan", "flask"): 0.05,
    ("no-op plan", "jupyterlab"): 0.05,
    ("uninstall", "flask"): 0.15,
    ("uninstall", "jupyterlab"): 0.15,
    ("list what is installed", "300"): 0.20,
}


@attrs.define
class Row:
    job: str
    case: str
    theirs: list[float] = attrs.field(factory=list)
    ours: list[float] = attrs.field(factory=list)
    floor: list[float] = attrs.field(factory=list)
    """The same system calls in a bare loop, where that is known."""

    @property
    def ratio(self) -> float:
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def floor_ratio(self) -> float | None:
        """What the system calls alone would take of uv's time."""
        return _median_ratio(self.floor, self.theirs)

    @property
    def over_floor(self) -> float | None:
        """Our time by that of the system calls alone; below 1 where two threads share them."""
        return _median_ratio(self.ours, self.floor)

    def verdict(self, target: float | None) -> str:
        """Say whether the target is met; a target that the system calls alone exceed cannot be missed."""
        if target is None:
            return ""
        if self.ratio <= target:
            return "ok"
        floor = self.floor_ratio
        return "floor" if floor is not None and floor > target else "MISSED"


def _median_ratio(times: list[float], others: list[float]) -> float | None:
    if not times or not others:
        return None
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


class Bench:
    """The jobs for one index, case by case."""

    def __init__(self, index: str, folder: Path, rounds: int) -> None:
        self.index, self.folder, self.rounds = index, folder, rounds
        self.python = sys.executable
        self.rows: dict[tuple[str, str], Row] = {}
        self._count = 0
        self.target = Interpreter.probe(self.python).target

    def fresh(self, name: str) -> Path:
        self._count += 1
        return self.folder / f"{name}-{self._count}"

    def uv(self, *arguments: str | Path, cache: Path, index: str | None = None) -> float:
        command = [shutil.which("uv") or str(Path(sys.executable).with_name("uv")), *map(str, arguments)]
        env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "UV_NO_CONFIG": "1",
            "UV_CACHE_DIR": str(cache),
            "UV_DEFAULT_INDEX": index or self.index,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "hardlink",
        }
        begun = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        self.output = done.stdout
        return seconds

    def pair(
        self,
        job: str,
        case: str,
        theirs: Callable[[], float],
        ours: Callable[[], float],
        floor: Callable[[], float] | None = None,
    ) -> None:
        """Run both once, the other one first each time, and the floor in between."""
        row = self.rows.setdefault((job, case), Row(job, case))
        calls = [(row.theirs, theirs), (row.ours, ours)]
        if floor is not None:
            calls.insert(1, (row.floor, floor))
        for times, call in calls if len(row.ours) % 2 else reversed(calls):
            gc.collect()
            times.append(call())

    def client(self, cache: Cache, index: str | None = None) -> Client:
        return Client(indexes=[Index(index or self.index)], cache=cache)

    def resolve_rows(self, case: str, *, job: str = "resolve, cold", index: str | None = None) -> None:
        requirements = CASES[case]
        request = self.fresh("requirements.in")
        request.write_text("\n".join(requirements))
        compile_ = ("pip", "compile", "--no-header", "--no-annotate", "-q", request, "-p", self.python)

        def ours_cold() -> float:
            with self.client(Cache(self.fresh("cache")), index) as client:
                seconds, found = timed(lambda: Resolver(client).resolve(requirements, target=self.target))
            check_pins(found, self.output)
            return seconds

        self.uv(*compile_, cache=self.fresh("uv-cache"), index=index)  # records what is missing
        for _ in range(self.rounds if index is None else max(3, self.rounds // 3)):
            self.pair(job, case, lambda: self.uv(*compile_, cache=self.fresh("uv"), index=index), ours_cold)
        if index is not None:
            return
        warm, uv_warm = Cache(self.fresh("cache")), self.fresh("uv-cache")
        with self.client(warm) as client:
            Resolver(client).resolve(requirements, target=self.target)
        self.uv(*compile_, cache=uv_warm)

        def ours_disk() -> float:
            with self.client(warm) as client:
                seconds, found = timed(lambda: Resolver(client).resolve(requirements, target=self.target))
            check_pins(found, self.output)
            return seconds

        for _ in range(self.rounds):
            self.pair("resolve, disk cache", case, lambda: self.uv(*compile_, cache=uv_warm), ours_disk)
        with self.client(warm) as client:
            resolver = Resolver(client)
            resolver.resolve(requirements, target=self.target)

            def ours_memory() -> float:
                seconds, found = timed(lambda: resolver.resolve(requirements, target=self.target))
                check_pins(found, self.output)
                return seconds

            for _ in range(self.rounds):
                self.pair("resolve, in memory", case, lambda: self.uv(*compile_, cache=uv_warm), ours_memory)

    def install_rows(self, case: str) -> None:
        interpreter = Interpreter.probe(self.python)
        cache, uv_cache = Cache(self.fresh("cache")), self.fresh("uv-cache")
        with self.client(cache) as client:
            resolution = Resolver(client).resolve(CASES[case], target=interpreter)
            pins = self.fresh("requirements.txt")
            pins.write_text(resolution.to_requirements_txt())
            sync = ("pip", "sync", "-q", pins)
            first = interpreter.create_venv(self.fresh("venv"))
            Installer(first, client).install(resolution)
            self.uv(*sync, "-p", python_of(interpreter.create_venv(self.fresh("venv"))), cache=uv_cache)
            bare = BareLoop(first.scheme.purelib)
            rounds = [self._places(interpreter, uv_cache) for _ in range(self.rounds)]
            # Nothing is deleted between what is timed: ext4 is slow to make files where many were
            # removed within the last seconds.
            for theirs, environment in rounds:
                installer = Installer(environment, client)
                self.pair(
                    "install, warm",
                    case,
                    lambda python=theirs: self.uv(*sync, "--offline", "-p", python, cache=uv_cache),
                    lambda to=installer: timed(lambda: to.install(resolution))[0],
                    lambda: bare.install(self.fresh("floor")),
                )
            for theirs, environment in rounds:
                installer = Installer(environment, client)
                self.pair(
                    "no-op plan",
                    case,
                    lambda python=theirs: self.uv(*sync, "--offline", "-p", python, cache=uv_cache),
                    lambda to=installer: timed(lambda: check_empty(to.plan(resolution)))[0],
                )
            remove = ("pip", "uninstall", "-q", "-r", pins)
            names = list(resolution.packages)
            for theirs, environment in rounds:
                installer = Installer(environment, client)
                self.pair(
                    "uninstall",
                    case,
                    lambda python=theirs: self.uv(*remove, "-p", python, cache=uv_cache),
                    lambda to=installer, env=environment: uninstall(to, env, names),
                    bare.uninstall,
                )

    def listing_rows(self) -> None:
        """Look at an environment of many distributions: their names and versions, and what is wrong."""
        environment = Interpreter.probe(self.python).create_venv(self.fresh("venv"))
        fill(environment)
        case, python, cache = str(DISTRIBUTIONS), python_of(environment), self.fresh("uv-cache")

        def ours() -> float:
            seconds, names = timed(lambda: [(dist.name, dist.version) for dist in environment.installed()])
            assert len(names) == DISTRIBUTIONS
            return seconds

        listing = ("pip", "list", "--format", "json", "-p", python)
        self.uv(*listing, cache=cache)
        assert len(json.loads(self.output)) == DISTRIBUTIONS
        for _ in range(self.rounds):
            self.pair("list what is installed", case, lambda: self.uv(*listing, cache=cache), ours)
            self.pair(
                "fingerprint",
                case,
                lambda: self.uv(*listing, cache=cache),
                lambda: timed(environment.fingerprint)[0],
            )
            self.pair(
                "check what is installed",
                case,
                lambda: self.uv("pip", "check", "-p", python, cache=cache),
                lambda: timed(environment.check)[0],
            )

    def _places(self, interpreter: Interpreter, uv_cache: Path) -> tuple[Path, Environment]:
        """Make an environment for each of the two."""
        theirs = python_of(interpreter.create_venv(self.fresh("venv")))
        # Otherwise uv would be charged for asking each new interpreter what it is.
        self.uv("pip", "list", "-q", "-p", theirs, cache=uv_cache)
        return theirs, interpreter.create_venv(self.fresh("venv"))


class BareLoop:
    """What an installation cannot do without: its folders made, its files linked, one after the other."""

    def __init__(self, installed: Path) -> None:
        """Take an environment's packages as what is to be laid out."""
        self._folders: list[str] = []
        self._files: list[tuple[str, str]] = []
        for folder, _, names in os.walk(installed):
            path = os.path.relpath(folder, installed)
            self._folders.append("" if path == "." else f"/{path}")
            self._files += [(f"{folder}/{name}", f"{self._folders[-1]}/{name}") for name in names]
        self._made: list[Path] = []

    def install(self, place: Path) -> float:
        begun = time.perf_counter()
        for folder in self._folders:
            os.mkdir(f"{place}{folder}")
        for source, path in self._files:
            os.link(source, f"{place}{path}")
        seconds = time.perf_counter() - begun
        self._made.append(place)
        return seconds

    def uninstall(self) -> float:
        """Look once into each folder, since strays must stay, and rename each top-level entry away."""
        place = self._made.pop(0)
        begun = time.perf_counter()
        for folder in self._folders:
            os.listdir(f"{place}{folder}")
        names = os.listdir(place)
        os.mkdir(f"{place}-old")
        for name in names:
            os.rename(f"{place}/{name}", f"{place}-old/{name}")
        return time.perf_counter() - begun


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def uninstall(installer: Installer, environment: Environment, names: list[str]) -> float:
    """Time the call alone, but let nobody else be timed while the trash is being emptied after it."""
    seconds, _ = timed(lambda: installer.uninstall(names))
    while any(name.startswith(".puffin-") for name in os.listdir(environment.scheme.purelib)):
        time.sleep(0.01)
    return seconds


def python_of(environment: Environment) -> Path:
    return environment.interpreter.path


def check_pins(found: Resolution, expected: str) -> None:
    """A wrong answer is no speed: the pins must be uv's."""
    if not expected:
        return
    pins = dict(line.split("==") for line in expected.split() if "==" in line)
    ours = {name: package.version for name, package in found.packages.items()}
    if pins != ours:
        print(f"  pins differ: {sorted(set(pins.items()) ^ set(ours.items()))}", file=sys.stderr)


def check_empty(plan: Any) -> None:
    assert plan.is_empty, plan.changes


def import_row(rounds: int) -> tuple[float, float]:
    """Milliseconds that importing takes over starting Python."""
    bare, ours = [], []
    for _ in range(rounds * 2):
        for times, code in ((bare, "pass"), (ours, "import puffin_api")):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(bare), statistics.median(b - a for a, b in zip(bare, ours, strict=True))


def upstream() -> str:
    """The index to record from: what the user's pip is configured to use, else PyPI."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or Index.pypi().url


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--jobs", nargs="+", default=["import", "resolve", "far", "install", "list"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, default=HERE, help="where environments and caches are made")
    options = parser.parse_args()
    recorded, source = HERE / "recorded", upstream()
    near, away = RecordedIndex(recorded, source), RecordedIndex(recorded, source, delay=0.03)
    with (
        tempfile.TemporaryDirectory(prefix="puffin-bench-", dir=options.folder) as folder,
        near as index,
        away as far,
    ):
        bench = Bench(index, Path(folder), options.rounds)
        for case in options.cases:
            if "resolve" in options.jobs:
                bench.resolve_rows(case)
            if "far" in options.jobs and case != "flask":
                bench.resolve_rows(case, job="resolve, cold, 30 ms away", index=far)
            if "install" in options.jobs:
                bench.install_rows(case)
        if "list" in options.jobs:
            bench.listing_rows()
    if "import" in options.jobs:
        bare, extra = import_row(options.rounds)
        print(f"import: {extra:.1f} ms over {bare:.1f} ms of bare Python (target 10 ms)")
    show(list(bench.rows.values()))
    if options.json:
        options.json.write_text(json.dumps([attrs.asdict(row) for row in bench.rows.values()], indent=1))


def show(rows: list[Row]) -> None:
    titles = ("uv ms", "ours ms", "ours/uv", "target", "floor/uv", "ours/floor")
    print(f"{'job':<26} {'case':<11}" + "".join(f"{title:>11}" for title in titles))
    for row in rows:
        theirs, ours = (statistics.median(times) * 1000 for times in (row.theirs, row.ours))
        target = TARGETS.get((row.job, row.case))
        cells = [f"{theirs:.2f}", f"{ours:.2f}", f"{row.ratio:.3f}"]
        cells += [
            "" if number is None else f"{number:.3f}" for number in (target, row.floor_ratio, row.over_floor)
        ]
        print(f"{row.job:<26} {row.case:<11}" + "".join(f"{cell:>11}" for cell in cells), row.verdict(target))


if __name__ == "__main__":
    main()
