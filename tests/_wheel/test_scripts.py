from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from puffin_api._model.cached import EntryPoint
from puffin_api._wheel.scripts import check_script, launcher, rewrite_shebang, shebang
from puffin_api.errors import InstallFailed, MetadataInvalid, UnsafeArchive


def test_a_launcher_calls_a_dotted_attribute_and_exits_with_its_result(tmp_path):
    (tmp_path / "mod.py").write_text("class A:\n    @staticmethod\n    def run():\n        return 7\n")
    script = tmp_path / "tool"
    script.write_bytes(launcher(EntryPoint("tool", "mod", "A.run", False), sys.executable))

    done = subprocess.run([sys.executable, script], env={"PYTHONPATH": str(tmp_path)}, check=False)

    assert done.returncode == 7


@pytest.mark.parametrize("name", ["tool", "tool.exe", "tool-script.py", "tool-script.pyw"])
def test_a_launcher_hides_its_ending_from_the_program(tmp_path, name):
    (tmp_path / "mod.py").write_text("import sys\ndef run():\n    print(sys.argv[0])\n")
    script = tmp_path / name
    script.write_bytes(launcher(EntryPoint("tool", "mod", "run", False), sys.executable))

    done = subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == str(tmp_path / "tool")


@pytest.mark.parametrize(
    "part", [("os;import evil", "f"), ("os", "f()"), ("", "f"), ("os", ""), ("1os", "f")]
)
def test_generated_code_holds_nothing_but_names(part):
    with pytest.raises(MetadataInvalid):
        launcher(EntryPoint("x", *part, False), "/usr/bin/python")


def test_a_plain_path_is_named_in_the_first_line():
    assert shebang("/usr/bin/python3") == b"#!/usr/bin/python3\n"
    assert shebang("/usr/bin/python3", "-E") == b"#!/usr/bin/python3 -E\n"
    assert shebang("/usr/bin/env python3") == b"#!/usr/bin/env python3\n"


def test_the_longest_first_line_has_127_bytes():
    longest = "/" + "p" * 123

    assert shebang(longest) == f"#!{longest}\n".encode() == shebang(longest)[:127].ljust(126)
    assert shebang(longest + "pp").startswith(b"#!/bin/sh\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("folder", ["with space", "x" * 150, 'quote"d $dollar', "it's", "umläut space"])
def test_odd_paths_start_through_the_shell(tmp_path, folder):
    home = tmp_path / folder
    home.mkdir()
    (home / "python").symlink_to(sys.executable)
    script = tmp_path / "tool"
    script.write_bytes(shebang(str(home / "python")) + b"import sys\nprint(sys.argv[1:])\n")
    script.chmod(0o755)

    done = subprocess.run([script, "a b", "c"], check=True, capture_output=True, text=True)

    assert done.stdout == "['a b', 'c']\n"
    ast.parse(script.read_bytes())


def test_a_path_that_nothing_can_quote_is_refused():
    with pytest.raises(InstallFailed):
        shebang("/a 'b' \"c\"/python")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#!python\nx\n", b"#!/p\nx\n"),
        (b"#!pythonw\r\nx\n", b"#!/p\nx\n"),
        (b"#!python -u\nx", b"#!/p -u\nx"),
        (b"#!python", b"#!/p\n"),
        (b"#!/bin/sh\n", None),
        (b"#!pyth", None),
        (b"", None),
    ],
)
def test_only_the_generic_first_line_is_replaced(content, expected):
    assert rewrite_shebang(content, "/p") == expected


@pytest.mark.parametrize(
    "name",
    [
        "python",
        "Python3",
        "python3.12",
        "pythonw.exe",
        "pypy3",
        "graalpy",
        "../x",
        "a/b",
        "",
        "..",
        "a\\b",
        "a\0",
    ],
)
def test_dangerous_script_names_are_refused(name):
    with pytest.raises(UnsafeArchive) as caught:
        check_script(name, "a.whl")

    assert caught.value.rule == "script-name"


@pytest.mark.parametrize("name", ["flask", "python-config", "pythonista", "Run.it", "f2py3.12", "py"])
def test_ordinary_script_names_pass(name):
    check_script(name, "a.whl")


def test_executables_with_other_bytes_than_utf8_are_kept():
    path = os.fsdecode(b"/\xff/python")

    assert shebang(path) == b"#!/\xff/python\n"
