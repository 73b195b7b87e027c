"""Builds for interpreters that are not the one of this process."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from pathlib import Path

import pytest

from puffin_api._interpreter.probe import probe
from puffin_api.testing import FakeBuildContext, FakeIndex

TELL = """
import sys, helper

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("version", sys.version_info[:2])
    return write_wheel(wheel_directory, version=sys.version.split()[0], prefix=sys.prefix)
"""


def pythons():
    prefixes = {Path(sys.base_prefix), *Path(sys.base_prefix).parent.glob("*")}
    for prefix in sorted(prefixes):
        python = prefix / "bin" / "python3"
        match = re.search(r"3\.(\d+)", prefix.name)
        if os.access(python, os.X_OK) and (match is None or int(match[1]) >= 8):
            yield pytest.param(python, id=prefix.name)


@pytest.mark.parametrize("python", [*pythons()])
def test_the_backend_runs_in_an_environment_of_the_interpreter(workshop, python):
    workshop.info = probe(python, timeout=60)
    index = FakeIndex()
    index.add("helper", "1.0")
    workshop.context = FakeBuildContext(index, target=workshop.info.target())

    wheel = workshop.wheel(workshop.tree(TELL, requires=["helper"]))

    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("version").decode() == workshop.info.version
        assert archive.read("prefix").decode().startswith(str(workshop.scratch))
