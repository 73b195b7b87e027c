from __future__ import annotations

import pytest

from puffin_api import Target, protocols
from puffin_api.errors import PackageNotFound, ResolutionFailed
from puffin_api.testing import FakeBuildContext, FakeIndex

TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


@pytest.fixture
def index():
    index = FakeIndex()
    index.add("backend", "1.0", files={"backend.py": "VERSION = 1\n"})
    index.add("backend", "9.0")
    index.add("backend", "10.0", requires=["dep>=1", "old; python_version < '3'"], files={"backend.py": ""})
    index.add("dep", "1.5", requires=["backend"])
    index.add("dep", "2.0")
    index.add("early", "1.0rc1")
    return index


@pytest.fixture
def context(index):
    context: protocols.BuildContext = FakeBuildContext(index, target=TARGET)
    return context


def versions(resolution):
    return {name: package.version for name, package in resolution.packages.items()}


def test_the_newest_release_that_fits_is_taken_with_what_it_requires(context):
    assert versions(context.resolve(["Backend"])) == {"backend": "10.0", "dep": "2.0"}
    assert versions(context.resolve(["backend<2", "dep<2"])) == {"backend": "1.0", "dep": "1.5"}
    assert context.asked == [("Backend",), ("backend<2", "dep<2")]


def test_what_does_not_hold_for_the_target_is_left_out(context):
    assert versions(context.resolve(["unknown; python_version < '3'"])) == {}


@pytest.mark.parametrize("requirements", [["backend>10"], ["dep<2", "dep>=2"], ["early>=2"]])
def test_what_cannot_be_met_is_a_failed_resolution(context, requirements):
    with pytest.raises(ResolutionFailed):
        context.resolve(requirements)


def test_a_project_that_was_not_added_is_unknown(context):
    with pytest.raises(PackageNotFound) as caught:
        context.resolve(["unknown"])

    assert caught.value.name == "unknown"


def test_the_modules_are_installed(context, tmp_path):
    place = tmp_path / "lib" / "python3.12" / "site-packages"
    place.mkdir(parents=True)

    context.install(context.resolve(["backend<2"]), tmp_path)

    assert (place / "backend.py").read_text() == "VERSION = 1\n"
    assert (place / "backend-1.0.dist-info" / "METADATA").is_file()
    assert context.prefixes == [tmp_path]
