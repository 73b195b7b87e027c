"""Projects in Rust and C that need nothing but what their backends bring: the files of uv.

Most are made for these tests: real ones for maturin need crates, which come from another registry than
the index, unless they bring them along.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from puffin_api import Cache
from puffin_api._testing.doubles import FailingRunner
from tests.network.conftest import find_python
from tests.network.interop_kit import Tree
from tests.network.other_tools import run
from tests.network.sources_kit import (
    Phases,
    install_from_sources,
    recorded,
    unexplained,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network

PROJECT = """
[project]
name = "small-tool"
version = "0.3.0"
description = "A small tool."
requires-python = ">=3.8"
"""
CARGO = """
[package]
name = "small-tool"
version = "0.3.0"
edition = "2021"
"""
# Cargo touches its folder of results at each build: without a word of what matters, the tree would
# always look changed.
KEYS = '[tool.puffin-api]\ncache-keys = ["Cargo.toml", "src/**"]\n'
MATURIN = '[build-system]\nrequires = ["maturin>=1,<2"]\nbuild-backend = "maturin"\n' + PROJECT
C_MODULE = """
#define Py_LIMITED_API 0x03080000
#include <Python.h>

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "small_tool", "Small.", -1, NULL};

PyMODINIT_FUNC PyInit_small_tool(void) {
    PyObject *made = PyModule_Create(&module);
    if (made) PyModule_AddIntConstant(made, "answer", 42);
    return made;
}
"""
PROJECTS = {
    "maturin-program": {
        "Cargo.toml": CARGO,
        "pyproject.toml": MATURIN + KEYS + '[tool.maturin]\nbindings = "bin"\n',
        "src/main.rs": 'fn main() { println!("42"); }\n',
    },
    "maturin-cffi": {
        "Cargo.toml": CARGO + '[lib]\nname = "small_tool"\ncrate-type = ["cdylib"]\n',
        "pyproject.toml": MATURIN
        + 'dependencies = ["cffi"]\n'
        + KEYS
        + '[tool.maturin]\nbindings = "cffi"\n',
        "src/lib.rs": '#[no_mangle]\npub extern "C" fn answer() -> i32 { 42 }\n',
    },
    "scikit-build": {
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.15...3.30)\n"
        "project(small_tool LANGUAGES C)\n"
        "find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)\n"
        "python_add_library(small_tool MODULE small_tool.c WITH_SOABI)\n"
        "install(TARGETS small_tool DESTINATION .)\n",
        "pyproject.toml": '[build-system]\nrequires = ["scikit-build-core"]\n'
        'build-backend = "scikit_build_core.build"\n' + PROJECT,
        "small_tool.c": C_MODULE,
    },
    "meson": {
        "meson.build": "project('small-tool', 'c', version: '0.3.0')\n"
        "py = import('python').find_installation(pure: false)\n"
        "py.extension_module('small_tool', 'small_tool.c', install: true)\n",
        "pyproject.toml": '[build-system]\nrequires = ["meson-python"]\n'
        'build-backend = "mesonpy"\n' + PROJECT,
        "small_tool.c": C_MODULE,
    },
}
ASK = {
    "maturin-program": None,
    "maturin-cffi": "import small_tool; print(small_tool.lib.answer())",
}
"""How each tells its answer: a statement, or the program itself; the others by ``ASK_MODULE``."""
ASK_MODULE = "import small_tool; print(small_tool.answer)"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


def write_tree(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def cargo() -> tuple[int, ...]:
    """Return the version of the Cargo here, or skip the test."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    return tuple(map(int, run("cargo", "--version").split()[1].split("-")[0].split(".")))


@pytest.mark.parametrize("kind", PROJECTS)
def test_what_is_compiled_works_and_is_what_uv_installs(kind, store, tmp_path):
    if kind.startswith("maturin"):
        cargo()
    python, cache, phases = find_python("3.13"), Cache(store / "cache"), Phases()
    ours, other, third = (python.create_venv(tmp_path / tool / "env") for tool in ("ours", "uv", "third"))
    # Each builds in a tree of its own: what one leaves there must not help the other.
    mine, theirs = (write_tree(tmp_path / name / "tree", PROJECTS[kind]) for name in ("mine", "theirs"))
    asked = [f"small-tool @ {mine.as_uri()}"]

    resolution, _ = install_from_sources(ours, asked, (), cache=cache, reporter=phases.reporter)
    uv_install_from_sources(other, [f"small-tool @ {theirs.as_uri()}"], (), cache=store / "uv-cache")

    assert phases.of == {"small-tool": ["get-requires", "build-wheel"]}
    assert resolution.packages["small-tool"].needs_build
    for environment in (ours, other):
        scripts, ask = environment.root / "bin", ASK.get(kind, ASK_MODULE)
        asking = [scripts / "small-tool"] if ask is None else [scripts / "python", "-I", "-B", "-c", ask]
        assert run(*asking) == "42\n"
    assert unexplained(Tree.of(ours), Tree.of(other)) == {}
    assert recorded(Tree.of(ours)) == recorded(Tree.of(other))
    # The tree has not changed, so nothing is built.
    runner = FailingRunner()
    install_from_sources(third, asked, (), cache=cache, runner=runner)
    assert runner.asked == []
    assert recorded(Tree.of(third)) == recorded(Tree.of(ours))


BRINGS_CRATES, NEEDS_RUST = "orjson==3.13.0", (1, 95)
"""A project for maturin with all its crates in the sdist."""
ASK_CRATES = "import orjson; print(orjson.dumps({'answer': 42}).decode())"


def test_a_real_project_that_brings_its_crates_is_what_uv_installs(store, tmp_path):
    if cargo() < NEEDS_RUST:
        pytest.skip("the Rust here is too old")
    python, cache, phases = find_python("3.13"), Cache(store / "cache"), Phases()
    ours, other, third = (python.create_venv(tmp_path / tool / "env") for tool in ("ours", "uv", "third"))
    asked = [BRINGS_CRATES], ["orjson"]

    resolution, _ = install_from_sources(ours, *asked, cache=cache, reporter=phases.reporter)
    uv_install_from_sources(other, *asked, cache=store / "uv-cache")

    package = resolution.packages["orjson"]
    assert (package.needs_build, package.metadata_from) == (True, "sdist")
    assert phases.of == {"orjson": ["get-requires", "build-wheel"]}
    assert run(ours.interpreter.path, "-I", "-B", "-c", ASK_CRATES) == '{"answer":42}\n'
    assert any(path.endswith(".so") for path in Tree.of(ours).entries)
    assert unexplained(Tree.of(ours), Tree.of(other)) == {}
    assert recorded(Tree.of(ours)) == recorded(Tree.of(other))
    assert ours.check(deep=True) == ()
    runner = FailingRunner()
    install_from_sources(third, *asked, cache=cache, runner=runner)
    assert runner.asked == []
    assert recorded(Tree.of(third)) == recorded(Tree.of(ours))
