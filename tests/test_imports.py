"""What `import puffin_api` loads, and that its lazy names behave like ordinary ones."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import puffin_api

SRC = Path(__file__).resolve().parent.parent / "src"
THIRD_PARTY = {
    "attr",
    "attrs",
    "cattr",
    "cattrs",
    "filelock",
    "isal",
    "packaging",
    "platformdirs",
    "pyproject_hooks",
    "rich",
    "urllib3",
}


def loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter without site-packages' start-up files; say what it loaded."""
    program = (
        "import sys, json\n"
        f"sys.path.insert(0, {str(SRC)!r})\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_no_third_party_module():
    loaded = loaded_by("import puffin_api")

    assert "puffin_api" in loaded
    assert not {name.partition(".")[0] for name in loaded} & THIRD_PARTY


def test_importing_the_package_loads_nothing_but_itself():
    assert loaded_by("import puffin_api") == {"puffin_api"}


def test_importing_the_errors_loads_no_third_party_module():
    loaded = {name.partition(".")[0] for name in loaded_by("import puffin_api.errors")}

    assert not loaded & THIRD_PARTY
    assert loaded <= {"__future__", "puffin_api"}


def test_the_guard_sees_a_third_party_import():
    assert {name.partition(".")[0] for name in loaded_by("import packaging")} & THIRD_PARTY


@pytest.mark.parametrize("name", puffin_api.__all__)
def test_each_public_name_is_the_object_at_its_home(name):
    home = import_module(puffin_api._HOMES[name])

    assert getattr(puffin_api, name) is getattr(home, name)


def test_the_three_lists_of_public_names_are_equal():
    tree = ast.parse(Path(puffin_api.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    seen_by_type_checkers = {
        alias.name: node.module for node in imports for alias in node.names if node.module != "puffin_api"
    }

    assert puffin_api.__all__ == sorted(puffin_api.__all__)
    assert seen_by_type_checkers == puffin_api._HOMES
    assert sorted(puffin_api._HOMES) == puffin_api.__all__


def test_dir_lists_names_that_were_not_used_yet():
    assert set(puffin_api.__all__) <= set(dir(puffin_api))
    assert "errors" in dir(puffin_api)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Resolvr'"):
        puffin_api.Resolvr  # noqa: B018 - looking it up is the test


def test_public_modules_need_no_import_of_their_own():
    assert loaded_by("import puffin_api; puffin_api.errors.PuffinError") >= {"puffin_api.errors"}
