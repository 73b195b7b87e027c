"""Interpreters to try things with: our own base, and those installed beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from puffin_api._interpreter.probe import current_info
from puffin_api._interpreter.probe import probe as _probe


def _installed() -> list[Path]:
    """One python of each prefix beside ours (as version managers lay them out), and ours."""
    prefixes = {Path(sys.base_prefix), *Path(sys.base_prefix).parent.glob("*")}
    pythons = [prefix / "bin" / "python3" for prefix in prefixes]
    return sorted({path for path in pythons if os.access(path, os.X_OK)}, key=str)


def _is_supported(path: Path) -> bool:
    match = re.search(r"3\.(\d+)[^/]*/bin/python3$", str(path))
    return match is None or int(match[1]) >= 8


def pytest_generate_tests(metafunc):
    if "any_python" in metafunc.fixturenames:
        pythons = [path for path in _installed() if _is_supported(path)]
        metafunc.parametrize("any_python", pythons, ids=[path.parent.parent.name for path in pythons])
    if "old_python" in metafunc.fixturenames:
        pythons = [path for path in _installed() if not _is_supported(path)]
        python2 = [path for path in Path(sys.base_prefix).parent.glob("2.*/bin/python") if os.access(path, 1)]
        old = [*python2, *pythons]
        metafunc.parametrize("old_python", old, ids=[path.parent.parent.name for path in old])


@pytest.fixture(scope="session")
def current():
    return current_info()


@pytest.fixture(scope="session")
def info_of():
    """Probe each interpreter once in a test run."""
    known = {}

    def info_of(path):
        if path not in known:
            known[path] = _probe(path, timeout=60)
        return known[path]

    return info_of


@pytest.fixture
def ask():
    """Run a program in an interpreter that inherits nothing, and return what it prints."""

    def ask(python, program, *arguments, env=None):
        command = [python, "-c", program, *arguments]
        result = subprocess.run(command, env=env or {}, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout.rstrip("\n")

    return ask
