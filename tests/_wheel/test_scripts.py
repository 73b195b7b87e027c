from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from puffin_api._model.cached import EntryPoint
from puffin_api._wheel.scripts import (
    ScriptMaker,
    can_be_called,
    check_script,
    rewrite_shebang,
    script_text,
    shebang,
    wrapped_entry_point,
)
from puffin_api.errors import UnsafeArchive

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")


def make_script(entry, executable=sys.executable):
    """The file of an entry point on POSIX."""
    name, content, starts = ScriptMaker(executable).entry_point(entry, "a")
    assert (name, starts) == (entry.name, True)
    return content


def test_a_launcher_calls_a_dotted_attribute_and_exits_with_its_result(tmp_path):
    (tmp_path / "mod.py").write_text("class A:\n    @staticmethod\n    def run():\n        return 7\n")
    script = tmp_path / "tool"
    script.write_bytes(make_script(EntryPoint("tool", "mod", "A.run", False)))

    done = subprocess.run([sys.executable, script], env={"PYTHONPATH": str(tmp_path)}, check=False)

    assert done.returncode == 7


@pytest.mark.parametrize("name", ["tool", "tool.exe", "tool-script.py", "tool-script.pyw"])
def test_a_launcher_hides_its_ending_from_the_program(tmp_path, name):
    (tmp_path / "mod.py").write_text("import sys\ndef run():\n    print(sys.argv[0])\n")
    script = tmp_path / name
    script.write_bytes(make_script(EntryPoint("tool", "mod", "run", False)))

    done = subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == str(tmp_path / "tool")


@pytest.mark.parametrize(
    "part",
    [
        ("os;import evil", "f"),
        ("os", "f()"),
        ("", "f"),
        ("os", ""),
        ("1os", "f"),
        ("my-module", "f"),
        ("os", "class"),
        ("os.import", "f"),
        ("os", "f\n"),
        ("os.", "f"),
    ],
)
def test_generated_code_holds_nothing_but_names(part):
    entry = EntryPoint("x", *part, False)

    assert not can_be_called(entry)
    with pytest.raises(AssertionError):
        script_text(entry)


@pytest.mark.parametrize("part", [("os", "f"), ("a.b_c.d1", "A.run"), ("münchen", "größe"), ("_", "match")])
def test_ordinary_names_can_be_called(part):
    entry = EntryPoint("x", *part, False)

    assert can_be_called(entry)
    compile(script_text(entry), "x", "exec")


@posix
@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20).map(
        "/a b{}/p".format
    )
)
@example("/a b'''/p")
@example("/a b\\'''\n\"$(exit 7)`exit 8`%s/p")
@example(os.fsdecode(b"/a\xff\xfe b/p"))
def test_any_path_reaches_the_shell_as_it_is_and_python_not_at_all(path):
    lines = shebang(path)

    first, command, rest = lines.partition(b"\n")[0], *lines.partition(b"\n")[2].split(b' "$0" "$@"\n', 1)
    assert first == b"#!/bin/sh"
    assert rest == b"' '''\n"
    told = b"printf %s. " + command.removeprefix(b"'''exec' ")
    done = subprocess.run(["/bin/sh", "-c", told], capture_output=True, check=True)
    assert done.stdout == os.fsencode(path) + b"."
    (statement,) = ast.parse(lines).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Constant)


def test_a_plain_path_is_named_in_the_first_line():
    assert shebang("/usr/bin/python3") == b"#!/usr/bin/python3\n"
    assert shebang("/usr/bin/python3", "-E") == b"#!/usr/bin/python3 -E\n"
    assert shebang("/usr/bin/env python3") == b"#!/usr/bin/env python3\n"


def test_the_longest_first_line_has_127_bytes():
    longest = "/" + "p" * 123

    assert shebang(longest) == f"#!{longest}\n".encode() == shebang(longest)[:127].ljust(126)
    assert shebang(longest + "pp").startswith(b"#!/bin/sh\n")


@posix
@pytest.mark.parametrize(
    "folder",
    [
        "with space",
        "x" * 150,
        'quote"d $dollar',
        "it's",
        "umläut space",
        "umläut",
        "a 'b' \"c\" $d `e` \\f %s \\n",
        "line\nend",
        "tab\there",
        "'''",
        " ''' ",
        os.fsdecode(b"bytes-\xff"),
    ],
)
@pytest.mark.parametrize("coding", [b"", b"# -*- coding: utf-8 -*-\n"])
def test_odd_paths_start_all_the_same(tmp_path, folder, coding):
    home = tmp_path / folder
    home.mkdir()
    (home / "python").symlink_to(sys.executable)
    script = tmp_path / "tool"
    script.write_bytes(
        rewrite_shebang(b"#!python\n" + coding + b"import sys\nprint(sys.argv[1:])\n", str(home / "python"))
    )
    script.chmod(0o755)

    done = subprocess.run([script, "a b", "c"], check=True, capture_output=True, text=True)

    assert done.stdout == "['a b', 'c']\n"
    ast.parse(script.read_bytes())


@posix
@pytest.mark.parametrize(
    ("first", "flags"),
    [
        ("#!python", [0, 0, 0]),
        ("#!python -E", [1, 0, 0]),
        ("#!python -E -s", [1, 1, 0]),
        ("#!python  -E\t-s -B ", [1, 1, 1]),
        ("#!python3 -E -s", [1, 1, 0]),
        ("#!pythonw -s", [0, 1, 0]),
    ],
)
def test_arguments_of_the_first_line_reach_the_interpreter(tmp_path, first, flags):
    content = f"{first}\nfrom sys import flags as f\n"
    content += "print([f.ignore_environment, f.no_user_site, f.dont_write_bytecode])\n"
    script = tmp_path / "tool"
    script.write_bytes(rewrite_shebang(content.encode(), sys.executable))
    script.chmod(0o755)

    done = subprocess.run([script], check=True, capture_output=True, text=True, env={})

    assert done.stdout == f"{flags}\n"


@posix
def test_a_script_that_is_found_by_name_keeps_its_arguments(tmp_path):
    content = b"#!python -s\nimport sys\nprint(sys.flags.no_user_site)\n"
    script = tmp_path / "tool"
    script.write_bytes(rewrite_shebang(content, "/usr/bin/env python3"))
    script.chmod(0o755)

    done = subprocess.run([script], check=True, capture_output=True, text=True, env={"PATH": os.defpath})

    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    "arguments", ["-c 'x'", "; touch x", "$(touch x)", '"', "`x`", "'''", "-X\\", "a|b", "ü"]
)
def test_arguments_that_the_shell_might_run_are_left_out(arguments):
    content = f"#!python {arguments}\nx\n".encode("latin-1")

    assert rewrite_shebang(content, "/p") == b"#!/p\nx\n"


@posix
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_encoding_of_a_script_counts_behind_lines_for_the_shell(tmp_path, ending):
    home = tmp_path / "with space"
    home.mkdir()
    (home / "python").symlink_to(sys.executable)
    lines = ["#!python", "# -*- coding: latin-1 -*-", "print(ascii('\xe9'))", ""]
    script = tmp_path / "tool"
    script.write_bytes(rewrite_shebang(ending.join(lines).encode("latin-1"), str(home / "python")))
    script.chmod(0o755)

    done = subprocess.run([script], check=True, capture_output=True, text=True)

    assert done.stdout == "'\\xe9'\n"


def test_an_encoding_without_line_end_gets_one():
    found = rewrite_shebang(b"#!python\n# coding: latin-1", "/a b")

    assert found.startswith(b"#!/bin/sh\n# coding: latin-1\n'''exec' ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#!python\nx\n", b"#!/p\nx\n"),
        (b"#!pythonw\r\nx\n", b"#!/p\nx\n"),
        (b"#!python -u\nx", b"#!/p -u\nx"),
        (b"#!python\r\nx\r\n", b"#!/p\nx\r\n"),
        (b"#!python3\nx\n", b"#!/p\nx\n"),
        (b"#!python3.12 -u\nx\n", b"#!/p -u\nx\n"),
        (b"#!python\n#\xff\n", b"#!/p\n#\xff\n"),
        (b"#! python\n", None),
        (b"#!/usr/bin/env python\n", None),
        (b"\x7fELF", None),
        (b"\n#!python\n", None),
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
        "pypy3.11t",
        "python3.14t",
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


@pytest.mark.parametrize("name", ["python3.13t", "pypy3.11", "graalpy"])
def test_any_interpreter_is_named_as_it_is_called(name):
    assert shebang(f"/env/bin/{name}") == f"#!/env/bin/{name}\n".encode()


@pytest.mark.parametrize(
    ("script", "entry_point"),
    [
        ("tool", "tool"),
        ("tool.exe", "tool"),
        ("Tool.EXE", "Tool"),
        ("tool-script.py", "tool"),
        ("tool-script.pyw", "tool"),
        ("tool-script.pya", "tool"),
        ("tool-script.pyx", "tool-script.pyx"),
        ("tool-script", "tool-script"),
        (".exe", ".exe"),
    ],
)
def test_wrappers_that_old_tools_packed_are_told_by_their_name(script, entry_point):
    assert wrapped_entry_point(script) == entry_point
