"""Scripts for Windows, made here: what is in the .exe can be looked at on any system."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile

import pytest

from puffin_api._model.cached import EntryPoint
from puffin_api._model.target import Target
from puffin_api._wheel.launchers import read_launcher, windows_platform, windows_program
from puffin_api._wheel.lay_out import Places, lay_out
from puffin_api._wheel.record import digest_bytes, parse_record
from puffin_api._wheel.scripts import ScriptMaker
from puffin_api.errors import UnsafeArchive
from tests._installer.environment_kit import Place

PYTHON = r"C:\env\Scripts\python.exe"
FOLDERS = {
    "purelib": "/env/Lib/site-packages",
    "platlib": "/env/Lib/site-packages",
    "scripts": "/env/Scripts",
    "data": "/env",
    "headers": "/env/Include",
}
MACHINES = {"win32": 0x014C, "win_amd64": 0x8664, "win_arm64": 0xAA64}
"""The machine field of a program's header, as the format of Windows programs defines it."""
CONSOLE, GUI = 3, 2


@pytest.fixture
def without_package(monkeypatch):
    """The package of the launchers is not installed."""
    read_launcher.cache_clear()
    monkeypatch.setitem(sys.modules, "distlib", None)
    yield
    read_launcher.cache_clear()


def program(content):
    """Machine, subsystem, first line and script of an ``.exe``."""
    assert content[:2] == b"MZ"
    (at,) = struct.unpack_from("<I", content, 0x3C)
    assert content[at : at + 4] == b"PE\0\0"
    (machine,) = struct.unpack_from("<H", content, at + 4)
    (subsystem,) = struct.unpack_from("<H", content, at + 24 + 68)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["__main__.py"]
        assert archive.testzip() is None
        script = archive.read("__main__.py").decode()
        assert archive.infolist()[0].create_system == 0  # not that of the system that made it
        start = archive.infolist()[0].header_offset
    head = content[:start]
    return machine, subsystem, head[head.rindex(b"#!") :].decode(), script


def made(name="tool", *, gui=False, windows="win_amd64", executable=PYTHON):
    return ScriptMaker(executable, windows).entry_point(EntryPoint(name, "mod", "A.run", gui), "a")


@pytest.mark.parametrize("platform", MACHINES)
@pytest.mark.parametrize("gui", [False, True])
def test_the_launcher_is_the_one_of_the_platform_and_kind(platform, gui):
    name, content, starts = made(gui=gui, windows=platform)

    machine, subsystem, first_line, script = program(content)
    assert (name, starts) == ("tool.exe", True)
    assert machine == MACHINES[platform]
    assert subsystem == (GUI if gui else CONSOLE)
    assert first_line == f"#!C:\\env\\Scripts\\{'pythonw' if gui else 'python'}.exe\n"
    assert "from mod import A\n" in script
    assert "sys.exit(A.run())" in script


def test_python_runs_what_is_behind_the_launcher(tmp_path):
    (tmp_path / "mod.py").write_text(
        "import sys\nclass A:\n    @staticmethod\n    def run():\n        print(sys.argv)\n        return 7\n"
    )
    _, content, _ = made()
    (tmp_path / "tool.exe").write_bytes(content)

    done = subprocess.run(
        [sys.executable, tmp_path / "tool.exe", "x"],
        env={"PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 7
    assert done.stdout == f"{[str(tmp_path / 'tool'), 'x']}\n"


def test_the_same_script_has_the_same_bytes():
    assert made() == made()
    assert windows_program(b"MZ", b"#!p\n", b"x") == windows_program(b"MZ", b"#!p\n", b"x")


@pytest.mark.parametrize(
    ("executable", "line"),
    [
        (r"C:\my env\python.exe", '#!"C:\\my env\\python.exe"\n'),
        (r"C:\Übung\python.exe", "#!C:\\Übung\\python.exe\n"),
        (rf"C:\{'x' * 200}\python.exe", f"#!C:\\{'x' * 200}\\python.exe\n"),
        (r"C:\env\python3.13t.exe", "#!C:\\env\\python3.13t.exe\n"),
        (r"C:\env\pypy3.exe", "#!C:\\env\\pypy3.exe\n"),
        ("python", "#!python\n"),
    ],
)
def test_a_launcher_takes_any_path(executable, line):
    assert program(made(executable=executable)[1])[2] == line


@pytest.mark.parametrize(
    ("executable", "line"),
    [
        (r"C:\python\python.exe", "#!C:\\python\\pythonw.exe\n"),
        (r"C:\env\Python3.13t.EXE", "#!C:\\env\\pythonw3.13t.EXE\n"),
        (r"C:\env\pypy3.exe", "#!C:\\env\\pypy3.exe\n"),
        (r"C:\env\ipython.exe", "#!C:\\env\\ipython.exe\n"),
        ("python", "#!pythonw\n"),
    ],
)
def test_programs_without_a_console_get_the_interpreter_without_one(executable, line):
    assert program(made(gui=True, executable=executable)[1])[2] == line


@pytest.mark.parametrize(
    ("name", "file"),
    [("tool.py", "tool.exe"), ("tool.PYW", "tool.exe"), ("a.b", "a.b.exe"), ("x y", "x y.exe")],
)
def test_the_program_is_called_as_the_entry_point(name, file):
    assert made(name)[0] == file


@pytest.mark.parametrize(
    "name", ["python.py", "python", "Python3.exe", "a|b", "what?", "con", "nul.py", "pypy.pyw"]
)
def test_names_are_judged_by_the_rules_of_windows(name):
    with pytest.raises(UnsafeArchive) as caught:
        made(name)

    assert caught.value.rule == "script-name"


@pytest.mark.skipif(os.name == "nt", reason="there, it is refused before")
@pytest.mark.parametrize("name", ["a|b", "what?"])
def test_elsewhere_such_names_are_plain(name):
    assert made(name, windows="")[0] == name


@pytest.mark.parametrize("windows", ["win", "win_ia64"])
def test_a_machine_without_a_launcher_gets_scripts_for_python(windows):
    assert made(windows=windows)[::2] == ("tool-script.py", False)
    assert made(windows=windows, gui=True)[::2] == ("tool-script.pyw", False)


@pytest.mark.parametrize("gui", [False, True])
def test_without_the_package_a_script_for_python_is_made(without_package, gui):
    name, content, starts = made(gui=gui)

    assert (name, starts) == (f"tool-script.py{'w' if gui else ''}", False)
    assert content.startswith(f"#!C:\\env\\Scripts\\python{'w' if gui else ''}.exe\n# -*- coding".encode())


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("win_amd64", "win_amd64"),
        ("win32", "win32"),
        ("win_arm64", "win_arm64"),
        ("manylinux_2_28_x86_64", ""),
        ("macosx_14_0_arm64", ""),
    ],
)
def test_the_kind_of_scripts_follows_from_the_target(platform, expected):
    assert windows_platform(Target.for_platform("3.12", platform)) == expected


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("AMD64", "win_amd64"), ("ARM64", "win_arm64"), ("x86", "win32"), ("alpha", "win")],
)
def test_builds_with_tags_of_their_own_are_told_by_the_machine(machine, expected):
    known = Target.for_platform("3.12", "win_amd64")
    target = Target(
        markers={**known.markers, "platform_machine": machine},
        tag_strings=["cp312-cp312-mingw_x86_64_ucrt", "py3-none-any"],
    )

    assert windows_platform(target) == expected


def test_a_32_bit_python_is_not_told_by_its_64_bit_machine():
    known = Target.for_platform("3.12", "win32")
    target = Target(markers={**known.markers, "platform_machine": "AMD64"}, tag_strings=known.tag_strings)

    assert windows_platform(target) == "win32"


# -- in a layout


def files(layout):
    return {extra.path: extra for extra in layout.extra}


def layout_of(tmp_path, **options):
    wheel = Place(tmp_path).wheel("a", files={"mod.py": ""}, **options)
    return lay_out(wheel, Places(FOLDERS), executable=PYTHON, windows="win_amd64")


def test_record_lists_the_programs(tmp_path):
    scripts = {"console_scripts": {"run": "mod:f"}, "gui_scripts": {"show": "mod:f"}}

    layout = layout_of(tmp_path, entry_points=scripts)

    assert sorted(files(layout)) == ["run.exe", "show.exe"]
    assert layout.notices == []
    rows = {path: (digest, size) for path, digest, size in parse_record(layout.dist_info[-1][1].decode())}
    for name, extra in files(layout).items():
        assert rows[f"../../Scripts/{name}"] == (digest_bytes(extra.content), str(len(extra.content)))


def test_a_notice_tells_of_each_script_that_does_not_start_by_itself(tmp_path, without_package):
    scripts = {"console_scripts": {"run": "mod:f"}, "gui_scripts": {"run": "mod:f"}}

    layout = layout_of(tmp_path, entry_points=scripts)

    assert sorted(files(layout)) == ["run-script.py", "run-script.pyw"]
    assert [(notice.code, notice.data["script"]) for notice in layout.notices] == [
        ("no-launcher", "run-script.py"),
        ("no-launcher", "run-script.pyw"),
    ]


def test_shipped_scripts_get_their_first_line_only(tmp_path):
    shipped = {
        "scripts/plain": "#!python -u\r\nx\r\n",
        "scripts/window.pyw": "#!pythonw\nx\n",
        "scripts/run.bat": "@echo off\r\n",
    }

    layout = layout_of(tmp_path, data=shipped)

    assert {name: extra.content for name, extra in files(layout).items()} == {
        "plain": b"#!C:\\env\\Scripts\\python.exe -u\nx\r\n",
        "window.pyw": b"#!C:\\env\\Scripts\\pythonw.exe\nx\n",
        "run.bat": b"@echo off\r\n",
    }


def test_a_packed_wrapper_gives_way_to_the_program_that_is_made(tmp_path):
    shipped = dict.fromkeys(
        ("scripts/run.exe", "scripts/run-script.py", "scripts/run", "scripts/other.exe"), "old"
    )

    layout = layout_of(tmp_path, data=shipped, entry_points={"console_scripts": {"run": "mod:f"}})

    assert sorted(files(layout)) == ["other.exe", "run.exe"]
    assert files(layout)["run.exe"].content[:2] == b"MZ"
