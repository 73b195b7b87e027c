"""The laboratory, and how much of it is used: a sample, or with ``FAULTS=all`` everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVERYTHING = os.environ.get("FAULTS") == "all"
_MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: twice as fast, and another volume than the usual one."""


class Laboratory:
    """A process that forks children which fail or die; see ``lab_server``."""

    def __init__(self, folder: Path, elsewhere: Path) -> None:
        self.has_two_volumes = folder.stat().st_dev != elsewhere.stat().st_dev
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.lab_server", str(folder), str(elsewhere)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )

    def run(self, campaign, scenario, **options):
        """Run a campaign over a scenario and return its report."""
        request = {"campaign": campaign, "scenario": scenario, **options}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the laboratory has ended; it has written why")
        return json.loads(answer)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory):
    if sys.platform == "win32" or not hasattr(os, "fork"):
        pytest.skip("needs fork and SIGKILL")
    usual = tmp_path_factory.mktemp("faults")
    if os.access(_MEMORY, os.W_OK):
        import tempfile

        with tempfile.TemporaryDirectory(dir=_MEMORY) as memory:
            laboratory = Laboratory(Path(memory), usual)
            yield laboratory
            laboratory.close()
    else:
        laboratory = Laboratory(usual, usual)
        yield laboratory
        laboratory.close()


@pytest.fixture
def campaign(laboratory, record_property):
    """Runs a campaign, notes how much it covered, and fails where anything was wrong."""

    def run(name, scenario, *, sample=1, full=1, **options):
        if scenario.endswith("two-volumes") and not laboratory.has_two_volumes:
            pytest.skip("needs two volumes")
        every = full if EVERYTHING else sample
        report = laboratory.run(name, scenario, every=every, **options)
        record_property("faults", (name, report["cases"], report["kinds"]))
        assert not report["failures"], "\n".join([f"{report['failed']} failures:", *report["failures"]])
        assert report["cases"], "nothing was covered"
        assert not report["missed"], f"never covered: {report['missed']}"
        return report

    return run


def pytest_terminal_summary(terminalreporter):
    """Say how many operations were covered, by what was done with them."""
    totals: dict[str, dict[str, int]] = {}
    for report in terminalreporter.stats.get("passed", ()):
        for key, value in getattr(report, "user_properties", ()):
            if key == "faults":
                name, _, kinds = value
                total = totals.setdefault(name, {})
                for kind, count in kinds.items():
                    total[kind] = total.get(kind, 0) + count
    if totals:
        terminalreporter.section(
            "faults injected" + ("" if EVERYTHING else " (a sample; all with FAULTS=all)")
        )
    for name, kinds in totals.items():
        parts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        terminalreporter.write_line(f"{name}: {sum(kinds.values())} ({parts})")
