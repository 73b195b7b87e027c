"""Small projects built by real build backends, which come from the real index."""

from __future__ import annotations

import os
import zipfile

import pytest

from puffin_api import Client, Environment, Installer, Interpreter, Resolution, Resolver
from puffin_api._builder.build import Builder
from puffin_api._concurrency import SILENT
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api._interpreter.probe import current_info
from puffin_api._model.build_settings import BuildSettings
from puffin_api.errors import BuildFailed
from tests.network.conftest import open_client

pytestmark = pytest.mark.network

PROJECT = """
[project]
name = "small-app"
version = "1.2"
description = "Small"
requires-python = ">=3.8"
dependencies = ["idna>=3"]
"""
SYSTEMS = {
    "setuptools": '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
    + PROJECT,
    "hatchling": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n' + PROJECT,
    "flit": '[build-system]\nrequires = ["flit_core>=3.2"]\nbuild-backend = "flit_core.buildapi"\n' + PROJECT,
    "no build-system": PROJECT,
}
SETUP = "from setuptools import setup\nsetup(name='small-app', version='1.2', py_modules=['small_app'])\n"


class IndexContext:
    """A ``BuildContext`` of the public parts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: list[list[str]] = []

    def resolve(self, requirements):
        self.asked.append([*requirements])
        interpreter = Interpreter.current()
        return Resolver(self._client).resolve(requirements, target=interpreter, only_binary=[":all:"])

    def install(self, resolution: Resolution, prefix) -> None:
        Installer(Environment.at(prefix), self._client).install(resolution)


@pytest.fixture(scope="module")
def context(cache):
    with open_client(cache) as client:
        yield IndexContext(client)


@pytest.fixture
def builder(context, tmp_path):
    context.asked.clear()
    for name in ("target", "scratch"):
        (tmp_path / name).mkdir()
    yield Builder(
        interpreter=current_info(),
        context=lambda stack: context,
        runner=SubprocessRunner(),
        logs=tmp_path / "logs",
        env={"PATH": os.environ["PATH"]},
        scratch=tmp_path / "scratch",
    )
    assert os.listdir(tmp_path / "scratch") == []


def tree_of(tmp_path, **files):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, text in {"small_app.py": '"""Small."""\n', **files}.items():
        (tree / name).write_text(text, encoding="utf-8")
    return tree


def metadata_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name).decode()


@pytest.mark.parametrize("system", SYSTEMS)
def test_metadata_a_wheel_and_an_editable_wheel_come_of_one_build(builder, tmp_path, system):
    tree = tree_of(tmp_path, **{"pyproject.toml": SYSTEMS[system]})
    target = tmp_path / "target"

    with builder.open(tree, package="small-app", settings=BuildSettings(), pump=SILENT) as build:
        prepared = build.metadata(target)
        wheel = build.wheel(target, metadata_directory=prepared)
        (tmp_path / "editable").mkdir()
        editable = build.wheel(tmp_path / "editable", editable=True)

    assert wheel.name == "small_app-1.2-py3-none-any.whl"
    assert prepared is not None
    for text in (
        (prepared / "METADATA").read_text(encoding="utf-8"),
        metadata_in(wheel),
        metadata_in(editable),
    ):
        assert "Name: small-app\n" in text
        assert "Requires-Dist: idna>=3\n" in text
    with zipfile.ZipFile(wheel) as archive:
        assert "small_app.py" in archive.namelist()
    with zipfile.ZipFile(editable) as archive:
        assert "small_app.py" not in archive.namelist()


def test_a_legacy_project_is_built(builder, tmp_path):
    tree = tree_of(tmp_path, **{"setup.py": SETUP})

    with builder.open(tree, package="small-app", settings=BuildSettings(), pump=SILENT) as build:
        wheel = build.wheel(tmp_path / "target")

    assert "Version: 1.2\n" in metadata_in(wheel)


def test_a_c_extension_without_its_header_fails_with_advice(builder, tmp_path):
    setup = (
        "from setuptools import Extension, setup\n"
        "setup(name='small-app', ext_modules=[Extension('small', ['small.c'])])\n"
    )
    tree = tree_of(tmp_path, **{"setup.py": setup, "small.c": "#include <no-such-library.h>\n"})

    with (
        pytest.raises(BuildFailed) as caught,
        builder.open(tree, package="small-app", settings=BuildSettings(), pump=SILENT) as build,
    ):
        build.wheel(tmp_path / "target")

    assert caught.value.phase == "build-wheel"
    assert "no-such-library.h" in caught.value.hint or "compiler" in caught.value.hint
