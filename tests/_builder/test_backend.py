from __future__ import annotations

import os

import pytest

from puffin_api._builder.backend import LEGACY_BACKEND, LEGACY_REQUIRES, Backend
from puffin_api.errors import BuildFailed


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    return tree


def declare(tree, text):
    (tree / "pyproject.toml").write_text(text, encoding="utf-8")
    return tree


def refusal(tree):
    with pytest.raises(BuildFailed) as caught:
        Backend.read(tree, package="app")
    assert caught.value.phase == "read"
    assert caught.value.package == "app"
    assert "app" in str(caught.value)
    return caught.value


def test_a_declared_backend_is_read(tree):
    (tree / "backend").mkdir()
    declare(
        tree,
        """
        [build-system]
        requires = ["hatchling>=1", "tomli; python_version < '3.11'"]
        build-backend = "package.module:object.attribute"
        backend-path = ["backend", "."]
        """,
    )

    assert Backend.read(tree) == Backend(
        requires=("hatchling>=1", "tomli; python_version < '3.11'"),
        build_backend="package.module:object.attribute",
        backend_path=("backend", "."),
    )


@pytest.mark.parametrize(
    "files", [["setup.py"], ["setup.py", "pyproject.toml"], ["setup.cfg", "pyproject.toml"]]
)
def test_a_tree_that_declares_nothing_is_built_by_setuptools(tree, files):
    for name in files:
        (tree / name).write_text("", encoding="utf-8")

    assert Backend.read(tree) == Backend(requires=LEGACY_REQUIRES, build_backend=LEGACY_BACKEND)


def test_a_project_table_alone_is_built_by_setuptools(tree):
    declare(tree, '[project]\nname = "app"\n')

    assert Backend.read(tree).build_backend == "setuptools.build_meta:__legacy__"
    assert Backend.read(tree).requires == ("setuptools>=40.8.0",)


def test_without_build_backend_the_given_requirements_are_kept(tree):
    declare(tree, '[build-system]\nrequires = ["setuptools<60", "wheel"]\n')

    assert Backend.read(tree) == Backend(requires=("setuptools<60", "wheel"), build_backend=LEGACY_BACKEND)


def test_an_empty_list_of_requirements_stays_empty(tree):
    declare(tree, '[build-system]\nrequires = []\nbuild-backend = "made"\n')

    assert Backend.read(tree).requires == ()


def test_unknown_keys_are_no_error(tree):
    declare(tree, '[build-system]\nrequires = []\nbuild-backend = "made"\nfuture = 1\n')

    assert Backend.read(tree).build_backend == "made"


def test_windows_line_ends_are_read(tree):
    (tree / "pyproject.toml").write_bytes(b'[build-system]\r\nrequires = ["a"]\r\nbuild-backend = "made"\r\n')

    assert Backend.read(tree).requires == ("a",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[build-system\n", "not valid TOML"),
        ("[build-system]\n", "no 'requires'"),
        ('[build-system]\nbuild-backend = "made"\n', "no 'requires'"),
        ("build-system = 3\n", "no table"),
        ("build-system = []\n", "no table"),
        ('[build-system]\nrequires = "setuptools"\n', "not a list of strings"),
        ("[build-system]\nrequires = [1]\n", "not a list of strings"),
        (
            '[build-system]\nrequires = ["not a requirement"]\n',
            "'not a requirement' is not a valid requirement",
        ),
        ("[build-system]\nrequires = []\nbuild-backend = 1\n", "'build-backend' in pyproject.toml is 1"),
        ('[build-system]\nrequires = []\nbuild-backend = ""\n', "not 'module' or 'module:object'"),
        ('[build-system]\nrequires = []\nbuild-backend = "a;b"\n', "not 'module' or 'module:object'"),
        ('[build-system]\nrequires = []\nbuild-backend = "a:"\n', "not 'module' or 'module:object'"),
        ('[build-system]\nrequires = []\nbackend-path = ["."]\n', "no 'build-backend'"),
        ('[build-system]\nrequires = []\nbuild-backend = "a"\nbackend-path = "."\n', "not a list of strings"),
        ("[tool.black]\n", "neither [build-system] nor [project]"),
    ],
)
def test_a_wrong_declaration_is_refused(tree, text, reason):
    assert reason in str(refusal(declare(tree, text)))


def test_a_byte_order_mark_is_refused_with_advice(tree):
    (tree / "pyproject.toml").write_bytes(b"\xef\xbb\xbf[build-system]\nrequires = []\n")

    with pytest.raises(BuildFailed, match="byte order mark") as caught:
        Backend.read(tree)

    assert caught.value.hint


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "{b = " * 100_000])
def test_what_is_nested_too_deeply_is_refused(tree, text):
    (tree / "pyproject.toml").write_text(text, encoding="utf-8")

    with pytest.raises(BuildFailed, match="is not valid TOML") as caught:
        Backend.read(tree)

    assert caught.value.phase == "read"


def test_text_that_is_not_utf8_is_refused(tree):
    (tree / "pyproject.toml").write_bytes(b"# \xff\n[build-system]\nrequires = []\n")

    assert "not valid TOML" in str(refusal(tree))


def test_a_folder_in_place_of_the_file_is_refused(tree):
    (tree / "pyproject.toml").mkdir()

    assert "cannot be read" in str(refusal(tree))


@pytest.mark.parametrize(
    "folder", ["..", "../tree-2", "backend/../..", "/", "/tmp", "\\\\host\\share", "link"]
)
def test_backend_path_may_not_leave_the_tree(tree, folder):
    (tree.parent / "tree-2").mkdir()
    os.symlink(tree.parent / "tree-2", tree / "link")
    declare(
        tree, f"[build-system]\nrequires = []\nbuild-backend = 'made'\nbackend-path = ['.', '{folder}']\n"
    )

    assert "leads out of the project" in str(refusal(tree))


def test_a_link_inside_the_tree_may_be_in_backend_path(tree):
    (tree / "backend").mkdir()
    os.symlink("backend", tree / "link")
    declare(tree, "[build-system]\nrequires = []\nbuild-backend = 'made'\nbackend-path = ['link']\n")

    assert Backend.read(tree).backend_path == ("link",)


def test_backend_path_must_be_a_folder(tree):
    declare(tree, "[build-system]\nrequires = []\nbuild-backend = 'made'\nbackend-path = ['missing']\n")

    assert "'missing'" in str(refusal(tree))


def test_a_tree_without_a_project_is_refused_with_advice(tree):
    assert "neither a pyproject.toml nor a setup.py" in str(refusal(tree))
    assert refusal(tree).hint == "It is no Python project."

    (tree / "python").mkdir()
    (tree / "python" / "setup.py").write_text("", encoding="utf-8")

    assert refusal(tree).hint == "Did you mean the subdirectory 'python'?"


def test_a_tree_that_is_not_there_is_refused(tree):
    assert "neither" in str(refusal(tree / "missing"))


def test_without_a_name_the_error_names_the_tree(tree):
    with pytest.raises(BuildFailed) as caught:
        Backend.read(tree)

    assert caught.value.package == str(tree)
