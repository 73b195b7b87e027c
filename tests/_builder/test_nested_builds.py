"""Backends and what they need from an index in memory, and builds that build what they need."""

from __future__ import annotations

import zipfile

import pytest

from puffin_api.errors import BuildFailed
from puffin_api.testing import FakeBuildContext, FakeIndex
from tests._builder.conftest import BACKEND

NEEDS = """
from helper import NAME

def get_requires_for_build_wheel(config_settings=None):
    return ["added"]

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import added
    return write_wheel(wheel_directory, helper=NAME, added=added.__file__)
"""


@pytest.fixture
def index():
    index = FakeIndex()
    index.add("backend", "1.0", requires=["helper"], files={"real_backend.py": BACKEND + NEEDS})
    index.add("helper", "2.0", files={"helper.py": "NAME = 'from the index'\n"})
    index.add("added", "3.0")
    return index


def test_a_backend_from_an_index_builds_with_what_it_requires_and_asks_for(workshop, index):
    workshop.context = FakeBuildContext(index, target=workshop.info.target())
    tree = workshop.tree(requires=["backend"], **{"build-backend": "real_backend", "backend-path": None})

    wheel = workshop.wheel(tree)

    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("helper") == b"from the index"
        assert archive.read("added").decode().startswith(str(workshop.context.prefixes[0]))
    assert workshop.context.asked == [("backend",), ("backend", "added")]


def test_requirements_that_the_index_does_not_have(workshop, index):
    workshop.context = FakeBuildContext(index, target=workshop.info.target())

    with pytest.raises(BuildFailed, match="The index does not know missing") as caught:
        workshop.wheel(workshop.tree(requires=["missing"]))

    assert caught.value.phase == "requires"
