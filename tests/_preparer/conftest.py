"""What most tests of git start from."""

from __future__ import annotations

import pytest

from tests._preparer.git_kit import PROJECT, Lab, Repository


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab")


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repos" / "demo")
    made.write({"pyproject.toml": PROJECT.format("1.0")})
    return made
