"""Scripts of all kinds, from the wheel to a run, in environments whose path makes that hard."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from puffin_api import Interpreter
from puffin_api.errors import MetadataInvalid, UnsafeArchive
from tests.integration.job_kit import failure, install, wheel
from tests.integration.rich_wheels import run

MODULE = """\
import sys
def main():
    print("main", *sys.argv[1:])
def other():
    print("other", sys.argv[0].rpartition("/")[2])
class A:
    class B:
        @staticmethod
        def run():
            print("nested")
            return 3
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs scripts of POSIX")


def tool(entry_points="", **options):
    files = {"tool/__init__.py": MODULE, "tool/sub/__init__.py": "", "tool/sub/deep.py": MODULE}
    return wheel("tool", "1.0", files=files, dist_info_files={"entry_points.txt": entry_points}, **options)


def scripts(environment):
    return Path(environment.scheme.scripts)


@pytest.mark.parametrize(
    ("line", "name", "output"),
    [
        ("run = tool:main", "run", "main x\n"),
        ("run=tool:main", "run", "main x\n"),
        ("  run  =  tool : main  ", "run", "main x\n"),
        ("run = tool:main [extra]", "run", "main x\n"),
        ("run = tool:main [one, two]", "run", "main x\n"),
        ("run = tool:main[one]", "run", "main x\n"),
        ("run = tool.sub.deep:main", "run", "main x\n"),
        ("with.dots-and_more = tool:other", "with.dots-and_more", "other with.dots-and_more\n"),
        ("with space = tool:other", "with space", "other with space\n"),
        ("größe = tool:other", "größe", "other größe\n"),
        ("Case = tool:other", "Case", "other Case\n"),
        ("run.py = tool:other", "run.py", "other run.py\n"),
        ("# a comment\n\n; another\nrun = tool:main", "run", "main x\n"),
        ("run = tool:other\nrun = tool:main", "run", "main x\n"),
    ],
)
@pytest.mark.parametrize("group", ["console_scripts", "gui_scripts"])
def test_an_entry_point_becomes_a_script_of_its_very_name(
    make_venv, make_client, serve, line, name, output, group
):
    environment = make_venv()
    install(make_client(serve(tool(f"[{group}]\n{line}\n"))), environment, "tool")

    assert run(scripts(environment) / name, "x") == output


def test_names_that_differ_in_case_are_two_scripts(make_venv, make_client, serve, tmp_path):
    (tmp_path / "A").touch()
    if (tmp_path / "a").exists():
        pytest.skip("this file system takes them for one")
    environment = make_venv()
    client = make_client(serve(tool("[console_scripts]\nTool = tool:main\ntool = tool:other\n")))
    install(client, environment, "tool")

    assert run(scripts(environment) / "Tool") == "main\n"
    assert run(scripts(environment) / "tool") == "other tool\n"


def test_the_result_of_a_nested_function_is_the_exit_code(make_venv, make_client, serve):
    environment = make_venv()
    install(make_client(serve(tool("[console_scripts]\nrun = tool:A.B.run\n"))), environment, "tool")

    assert run(scripts(environment) / "run", check=False) == "nested\n"
    with pytest.raises(AssertionError, match="nested"):
        run(scripts(environment) / "run")


def test_groups_that_hold_no_scripts_make_none(make_venv, make_client, serve):
    environment = make_venv()
    before = set(scripts(environment).iterdir())
    install(
        make_client(serve(tool("[tool.plugins]\npython = not:a [bad entry\n\n[scripts]\nx = y:z\n"))),
        environment,
        "tool",
    )

    assert set(scripts(environment).iterdir()) == before


@pytest.mark.parametrize(
    "line",
    [
        "run = tool",
        "run =",
        "run",
        "run = tool:",
        "run = :main",
        "run = os;import tool:main",
        "run = tool . x:main",
    ],
)
def test_what_has_no_function_is_refused_with_the_wheel(make_venv, make_client, serve, line):
    client = make_client(serve(tool(f"[console_scripts]\n{line}\n")))

    error = failure(make_venv(), client, "tool")

    assert type(error) is MetadataInvalid
    assert line.strip() in error.reason


@pytest.mark.parametrize(
    "name", ["../run", "a/b", "/run", "..", "python", "Python3", "python3.12", "pypy", "a\\b", ""]
)
def test_a_name_that_is_no_file_of_its_own_is_refused_with_the_wheel(make_venv, make_client, serve, name):
    client = make_client(serve(tool(f"[console_scripts]\n{name} = tool:main\n")))

    error = failure(make_venv(), client, "tool")

    assert type(error) is UnsafeArchive
    assert error.rule == "script-name"


@pytest.mark.parametrize("path", ["scripts/python", "scripts/sub/x", "scripts/pypy3", "scripts/graalpy"])
def test_a_shipped_script_is_held_to_the_same_rule(make_venv, make_client, serve, path):
    client = make_client(serve(tool(data={path: "#!python\n"})))

    error = failure(make_venv(), client, "tool")

    assert type(error) is UnsafeArchive
    assert error.rule == "script-name"


@pytest.mark.parametrize(
    "folder",
    ["plain", "with space", "umläut", "long-" * 30, 'it\'s "quoted" $HOME `x`', "100%n", "back\\slash"],
)
def test_scripts_start_wherever_their_environment_lies(make_client, serve, tmp_path, folder):
    environment = Interpreter.current().create_venv(tmp_path / folder)
    latin = "#!python\n# -*- coding: latin-1 -*-\nimport tool; tool.main(); print(len('\xe9'))\n"
    shipped = {
        "scripts/shipped": "#!python\nimport tool; tool.main()\n",
        "scripts/crlf": "#!python\r\nimport tool\r\ntool.main()\r\n",
        "scripts/options": "#!python -E -s\nimport sys, tool; tool.main(); print(sys.flags.no_user_site)\n",
        "scripts/latin": latin.encode("latin-1"),
        "scripts/other.sh": "#!/bin/sh\necho shell $1\n",
    }
    files = tool("[console_scripts]\nrun = tool:main\n[gui_scripts]\nshow = tool:main\n", data=shipped)
    install(make_client(serve(files)), environment, "tool")

    found = {
        name: run(scripts(environment) / name, "a b")
        for name in ("run", "show", "shipped", "crlf", "options", "latin", "other.sh")
    }
    assert found == {
        "run": "main a b\n",
        "show": "main a b\n",
        "shipped": "main a b\n",
        "crlf": "main a b\n",
        "options": "main a b\n1\n",
        "latin": "main a b\n1\n",
        "other.sh": "shell a b\n",
    }
    assert environment.check(deep=True) == ()
