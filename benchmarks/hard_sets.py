"""How well the search does on hard sets of requirements, beside uv over the same recorded index.

    python -m benchmarks.hard_sets [--rounds N] [--sets NAME ...] [--json FILE]

Each set is resolved by uv as a process, from its warm cache and offline, and by this library in
process, from its cache on disk and again from memory. Both use wheels alone, and files uploaded before
a fixed day. What has to be recorded first is fetched by the runs with empty caches, which count requests.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import tomllib
from datetime import datetime
from pathlib import Path

import attrs

from benchmarks.__main__ import upstream
from benchmarks.our_runs import Ours, counted
from benchmarks.recorded_index import RecordedIndex, requests_served
from benchmarks.uv_runs import Uv
from benchmarks.verdicts import Difference, verdict
from puffin_api import Cache, Client, Index, Interpreter

HERE = Path(__file__).parent


@attrs.frozen
class HardSet:
    """A set of requirements."""

    name: str
    requirements: tuple[str, ...]
    solvable: bool = True


@attrs.define(kw_only=True)
class Row:
    """What was measured of one set."""

    name: str
    packages: int | None
    """None where there is no solution, as there should not be."""
    verdict: str
    faults: list[str]
    visited: int
    conflicts: int
    uv_selections: int
    uv_candidates: int
    requests: dict[str, int]
    """How many pages and files of metadata we asked for with an empty cache."""
    uv_requests: dict[str, int]
    newer: dict[str, tuple[str, str]]
    older: dict[str, tuple[str, str]]
    uv_times: list[float] = attrs.field(factory=list)
    disk_times: list[float] = attrs.field(factory=list)
    memory_times: list[float] = attrs.field(factory=list)
    asked_again: int = 0
    """How many requests we made although the caches were warm: for what the index could not give."""

    @property
    def disk_ratio(self) -> float:
        return _ratio(self.disk_times, self.uv_times)

    @property
    def memory_ratio(self) -> float:
        return _ratio(self.memory_times, self.uv_times)

    @property
    def complaints(self) -> list[str]:
        """What is worse than it should be."""
        told = []
        if self.visited > 2 * self.uv_candidates:
            told.append(f"visits {self.visited / max(1, self.uv_candidates):.1f} times as many as uv")
        if self.disk_ratio > 1:
            told.append(f"takes {self.disk_ratio:.2f} of uv's time")
        if self.asked_again:
            told.append(f"makes {self.asked_again} requests from warm caches")
        if self.faults:
            told.append(f"{len(self.faults)} faults, as: {self.faults[0]}")
        return told


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of the pairs: what disturbs the machine disturbs both of a pair."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


class Bench:
    """All that is done with one set after the other."""

    def __init__(self, index: str, folder: Path, exclude_newer: str, rounds: int) -> None:
        self._index, self._folder, self._rounds = index, folder, rounds
        self._uv = Uv(index=index, folder=folder, exclude_newer=exclude_newer)
        target = Interpreter.probe(sys.executable).target
        self._ours = Ours(target=target, exclude_newer=datetime.fromisoformat(exclude_newer))

    def measure(self, case: HardSet) -> Row:
        """Fill both caches from empty, compare the answers, then take the times in turn."""
        asked, place = case.requirements, Path(tempfile.mkdtemp(dir=self._folder))
        uv_cache, cache = place / "uv", Cache(place / "ours")
        self._uv.resolve(asked, place / "recording")  # fetches what is missing: not to be counted
        before = requests_served(self._index)
        theirs = self._uv.resolve(asked, uv_cache, "-v")
        between = requests_served(self._index)
        with counted() as effort, self._client(cache) as client:
            ours = self._ours.resolve(client, asked)
        after = requests_served(self._index)
        with self._client(cache) as client:
            found = ours.resolution
            faults = [] if found is None else self._ours.faults(client, asked, found)
        if (ours.pins is not None) is not case.solvable:
            faults.append("a solution was found" if ours.pins else "no solution was found")
        both = Difference.of(ours.pins or {}, theirs.pins or {})
        row = Row(
            name=case.name,
            packages=None if ours.pins is None else len(ours.pins),
            verdict=verdict(ours.pins, theirs.pins, is_exclusive=self._is_exclusive(case, both, uv_cache)),
            faults=faults,
            visited=effort.visited,
            conflicts=effort.conflicts,
            uv_selections=theirs.selections,
            uv_candidates=theirs.candidates,
            requests=dict(after - between),
            uv_requests=dict(between - before),
            newer=both.newer,
            older=both.older,
        )
        self._take_times(row, asked, uv_cache, cache)
        return row

    def _is_exclusive(self, case: HardSet, both: Difference, uv_cache: Path) -> bool:
        """Let uv judge whether nobody can have the newer one of each two versions that differ."""
        if not (both.newer and both.older):
            return False
        return self._uv.resolve(case.requirements, uv_cache, constraints=both.best_of_both).pins is None

    def _take_times(self, row: Row, asked: tuple[str, ...], uv_cache: Path, cache: Cache) -> None:
        before = requests_served(self._index)
        with self._client(cache) as lasting:
            self._ours.resolve(lasting, asked)

            def theirs() -> None:
                row.uv_times.append(self._uv.resolve(asked, uv_cache, "--offline", "-q").seconds)

            def from_disk() -> None:
                with self._client(cache) as client:
                    row.disk_times.append(self._ours.resolve(client, asked).seconds)

            def from_memory() -> None:
                row.memory_times.append(self._ours.resolve(lasting, asked).seconds)

            jobs = [theirs, from_disk, from_memory]
            for _ in range(self._rounds):
                for job in jobs:
                    gc.collect()
                    job()
                jobs.reverse()
        row.asked_again = (requests_served(self._index) - before).total()

    def _client(self, cache: Cache) -> Client:
        return Client(indexes=[Index(self._index)], cache=cache)


def read_sets(folder: Path) -> tuple[list[HardSet], str]:
    """Return the sets of a folder's hard_sets.toml, and the time before which files count."""
    data = tomllib.loads((folder / "hard_sets.toml").read_text(encoding="utf-8"))
    sets = []
    for name, fields in data["sets"].items():
        asked = list(fields.get("requirements", ()))
        if "pins" in fields:
            asked += (folder / "pins" / fields["pins"]).read_text(encoding="utf-8").split("\n")
        sets.append(HardSet(name, tuple(filter(None, asked)), fields.get("solvable", True)))
    return sets, data["exclude_newer"]


COLUMNS = (
    "set", "packages", "visited", "uv's", "conflicts", "metadata", "uv's ",
    "uv ms", "disk ms", "ratio", "memory ms", "ratio ", "answer",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """Return a line of the table."""
    times = (statistics.median(times) * 1000 for times in (row.uv_times, row.disk_times, row.memory_times))
    theirs, disk, memory = times
    return [
        row.name,
        "-" if row.packages is None else str(row.packages),
        str(row.visited),
        f"{row.uv_candidates} ({row.uv_selections})",
        str(row.conflicts),
        str(row.requests.get("metadata", 0)),
        str(row.uv_requests.get("metadata", 0)),
        f"{theirs:.0f}",
        f"{disk:.1f}",
        f"{row.disk_ratio:.2f}",
        f"{memory:.1f}",
        f"{row.memory_ratio:.3f}",
        row.verdict,
    ]


def table(rows: list[Row]) -> str:
    """Return all rows as a Markdown table."""
    lines = [[column.strip() for column in COLUMNS], ["---"] * len(COLUMNS), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    sets, exclude_newer = read_sets(HERE)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hard_sets")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in sets])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, default=HERE / "recorded", help="where caches are made")
    options = parser.parse_args()
    rows: list[Row] = []
    with (
        RecordedIndex(HERE / "recorded", upstream()) as index,
        tempfile.TemporaryDirectory(prefix="puffin-bench-", dir=options.folder) as folder,
    ):
        bench = Bench(index, Path(folder), exclude_newer, options.rounds)
        for case in sets:
            if options.sets is None or case.name in options.sets:
                rows.append(bench.measure(case))
                print(" ".join(cells(rows[-1])), *rows[-1].complaints, sep="\n    ", file=sys.stderr)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([attrs.asdict(row) for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
