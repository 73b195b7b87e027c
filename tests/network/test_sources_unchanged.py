"""Local projects of real backends that write among the sources: a second installation changes nothing."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from puffin_api import Cache, Editable
from tests.network.conftest import find_python
from tests.network.sources_kit import Phases, install_from_sources
from tests.small_sources import commit_all

pytestmark = pytest.mark.network

EXTENSION = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""


def pyproject(backend, *requires, more="", version='version = "1.5"'):
    system = f'[build-system]\nrequires = {list(requires)!r}\nbuild-backend = "{backend}"\n'
    return f'{system}[project]\nname = "kept"\n{version}\n{more}'


PROJECTS = {
    "setuptools": {
        "pyproject.toml": pyproject("setuptools.build_meta", "setuptools"),
        "src/kept/__init__.py": "",
    },
    "setuptools-scm": {
        "pyproject.toml": pyproject(
            "setuptools.build_meta",
            "setuptools",
            "setuptools-scm",
            version='dynamic = ["version"]',
            more='[tool.setuptools_scm]\nversion_file = "src/kept/_version.py"\n',
        ),
        "src/kept/__init__.py": "",
    },
    "hatch-vcs": {
        "pyproject.toml": pyproject(
            "hatchling.build",
            "hatchling",
            "hatch-vcs",
            version='dynamic = ["version"]',
            more='[tool.hatch.version]\nsource = "vcs"\n'
            '[tool.hatch.build.hooks.vcs]\nversion-file = "src/kept/_version.py"\n',
        ),
        "src/kept/__init__.py": "",
    },
    "scikit-build-core": {
        "pyproject.toml": pyproject(
            "scikit_build_core.build",
            "scikit-build-core",
            more='[tool.scikit-build]\nbuild-dir = "out/{wheel_tag}"\n',
        ),
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.15)\nproject(kept LANGUAGES C)\n"
        "find_package(Python COMPONENTS Interpreter Development.Module REQUIRED)\n"
        "python_add_library(fast MODULE fast.c WITH_SOABI)\ninstall(TARGETS fast DESTINATION kept)\n",
        "fast.c": EXTENSION,
        "src/kept/__init__.py": "",
    },
    "meson-python": {
        "pyproject.toml": pyproject("mesonpy", "meson-python"),
        "meson.build": "project('kept', 'c', version: '1.5')\n"
        "py = import('python').find_installation(pure: false)\n"
        "py.install_sources('kept/__init__.py', subdir: 'kept')\n"
        "py.extension_module('fast', 'fast.c', subdir: 'kept', install: true)\n",
        "fast.c": EXTENSION,
        "kept/__init__.py": "",
    },
    "Cython": {
        "pyproject.toml": pyproject("setuptools.build_meta", "setuptools", "cython"),
        "setup.py": "from setuptools import setup\nfrom Cython.Build import cythonize\n"
        "setup(ext_modules=cythonize('src/kept/fast.pyx'), package_dir={'': 'src'}, packages=['kept'])\n",
        "src/kept/__init__.py": "",
        "src/kept/fast.pyx": "def twice(int x): return 2 * x\n",
    },
}
LEFT = {
    "setuptools": "src/kept.egg-info/PKG-INFO",
    "setuptools-scm": "src/kept/_version.py",
    "hatch-vcs": "src/kept/_version.py",
    "scikit-build-core": "out/*/CMakeCache.txt",
    "Cython": "src/kept/fast.c",
}
"""What a backend is seen to leave, as otherwise nothing would be shown."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    yield Cache(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", [lambda tree: tree, Editable], ids=["copy", "editable"])
@pytest.mark.parametrize("name", PROJECTS)
def test_a_second_installation_changes_nothing(name, kind, cache, tmp_path):
    tree = tmp_path / "tree"
    for path, text in PROJECTS[name].items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    commit_all(tree, tag="v1.5")
    environment = find_python("3.11").create_venv(tmp_path / "environment")

    def install():
        phases = Phases()
        _, report = install_from_sources(environment, [kind(tree)], (), cache=cache, reporter=phases.reporter)
        return report.changed, bool(phases.of)

    assert install() == (True, True)
    if name in LEFT and not (kind is Editable and name == "scikit-build-core"):
        assert list(tree.glob(LEFT[name]))
    assert install() == (False, False)
    assert install() == (False, False)

    settings = tree / "pyproject.toml"
    settings.write_text(settings.read_text() + "# changed\n")
    assert install() == (True, True)
    assert install() == (False, False)
    if kind is not Editable:
        module = next(tree.glob("**/kept/__init__.py"))
        module.write_text("changed = True\n")
        later = time.time() + 5
        os.utime(module, (later, later))
        assert install() == (True, True)
        assert install() == (False, False)
