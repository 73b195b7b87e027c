from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

import pytest

import puffin_api
from puffin_api import CancelToken
from puffin_api._concurrency import SILENT, Pump, WorkerPool
from puffin_api._installer.bytecode import Compiler, python_sources
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api._wheel.lay_out import Places, lay_out
from puffin_api.errors import Cancelled
from puffin_api.testing import FailingRunner
from tests._installer.environment_kit import Folder, Place

HEADER = 16
"""Bytes of a compiled file before the code: magic number, flags, time and size of the source."""


class CountingRunner:
    """A ``Runner`` that starts children, and keeps how."""

    def __init__(self):
        self.commands = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def run(self, argv, *, cwd=None, env=None, timeout=None, cancel=None):
        with self._lock:
            self.commands.append(list(argv))
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return SubprocessRunner().run(argv, cwd=cwd, env=env, timeout=timeout, cancel=cancel)
        finally:
            with self._lock:
                self._now -= 1


def other_pythons():
    """Supported interpreters beside ours, as version managers lay them out."""
    found = Path(sys.base_prefix).parent.glob("3.*/bin/python3")
    minors = {path: re.match(r"3\.(\d+)", path.parent.parent.name) for path in sorted(found)}
    ours = Path(sys.base_prefix) / "bin/python3"
    return [path for path, match in minors.items() if match and int(match[1]) >= 8 and path != ours]


@pytest.fixture
def pool():
    pool = WorkerPool(4)
    yield pool
    pool.close()


@pytest.fixture
def compiled(pool):
    """Compile files with this interpreter unless told otherwise; the notices."""

    def run(paths, **options):
        options = {
            "interpreter": sys.executable,
            "runner": SubprocessRunner(),
            "workers": 2,
            "pool": pool,
            "pump": SILENT,
            **options,
        }
        return Compiler(options.pop("interpreter"), **options)([os.fspath(path) for path in paths])

    return run


def write(folder, count=1, text="x = {0}\n"):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"m{number}.py" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text(text.format(number))
    return paths


def cache_of(path):
    return Path(importlib.util.cache_from_source(os.fspath(path)))


def test_the_interpreter_takes_what_was_compiled(tmp_path, compiled):
    (source,) = write(tmp_path / "pkg", text="value = 'compiled'\n")

    assert compiled([source]) == []

    status = source.stat()
    header = cache_of(source).read_bytes()[:HEADER]
    assert header[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(header[4:8], "little") == 0  # by time and size, not by digest
    assert int.from_bytes(header[8:12], "little") == int(status.st_mtime)
    # Another source of the same time and size: only the compiled file can tell the old value.
    source.write_text("value = 'replaced'\n")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    program = "import m0; print(m0.value)"
    done = subprocess.run([sys.executable, "-c", program], cwd=source.parent, capture_output=True, check=True)
    assert done.stdout.split() == [b"compiled"]


def test_a_source_that_changes_is_compiled_again_by_python(tmp_path, compiled):
    (source,) = write(tmp_path)
    compiled([source])
    source.write_text("print('new')\n")
    os.utime(source, (1, 1))

    done = subprocess.run([sys.executable, "-c", "import m0"], cwd=tmp_path, capture_output=True, check=True)

    assert done.stdout.split() == [b"new"]


@pytest.mark.parametrize("python", other_pythons(), ids=lambda path: path.parent.parent.name)
def test_the_interpreter_of_the_environment_compiles_and_not_ours(tmp_path, compiled, python):
    (source, broken) = write(tmp_path, 2)
    broken.write_text("(")

    (notice,) = compiled([source, broken], interpreter=python)

    assert [item["path"] for item in notice.data["failures"]] == [str(broken)]
    program = "import importlib.util as u, sys; print(u.cache_from_source(sys.argv[1]))"
    theirs = subprocess.run([python, "-c", program, source], capture_output=True, text=True, check=True)
    assert [str(path) for path in (tmp_path / "__pycache__").iterdir()] == [theirs.stdout.strip()]
    assert Path(theirs.stdout.strip()) != cache_of(source)


def test_broken_sources_are_one_notice_and_the_others_are_compiled(tmp_path, compiled):
    sources = write(tmp_path, 5)
    sources[1].write_text("def {{ name }}():\n")
    sources[3].write_bytes(b"x = '\xff'\n")

    (notice,) = compiled(sources)

    assert notice.code == "compile-failed"
    assert notice.data["count"] == 5
    assert [item["path"] for item in notice.data["failures"]] == [str(sources[1]), str(sources[3])]
    assert all(item["reason"] and "\n" not in item["reason"] for item in notice.data["failures"])
    assert "line 1" in notice.data["failures"][0]["reason"]
    assert [cache_of(path).exists() for path in sources] == [True, False, True, False, True]


@pytest.mark.parametrize("name", ["sp ace", "ümläut", "new\nline", "quo'te\"s", os.fsdecode(b"by\xfftes")])
@pytest.mark.skipif(sys.platform == "win32", reason="such names are no names there")
def test_any_path_is_compiled(tmp_path, compiled, name):
    sources = write(tmp_path / name, 2)

    assert compiled(sources) == []
    assert all(cache_of(path).exists() for path in sources)


def test_many_files_go_by_list_to_a_few_children_that_run_at_a_time(tmp_path, compiled):
    sources = write(tmp_path / ("long" * 20), 2000)
    runner = CountingRunner()

    assert compiled(sources, runner=runner, workers=2) == []

    assert all(cache_of(path).exists() for path in sources)
    assert len(runner.commands) == 2
    assert sum(map(len, runner.commands[0])) < 500
    assert runner.most == 2


def test_few_files_are_not_worth_a_second_child(tmp_path, compiled):
    runner = CountingRunner()

    compiled(write(tmp_path, 20), runner=runner, workers=8)

    assert len(runner.commands) == 1


def test_no_file_at_all_starts_no_child(compiled):
    assert compiled([], runner=FailingRunner()) == []


def test_a_place_without_an_interpreter_is_left_as_it_is(tmp_path, compiled):
    (notice,) = compiled(write(tmp_path, 3), interpreter=None, runner=FailingRunner())

    assert (notice.code, notice.data["count"]) == ("compile-skipped", 3)
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize("what", ["missing", "not a program"])
def test_an_interpreter_that_does_not_start_is_a_notice(tmp_path, compiled, what):
    python = tmp_path / "python"
    if what != "missing":
        python.write_text("")

    (notice,) = compiled(write(tmp_path), interpreter=python)

    assert notice.code == "compile-skipped"
    assert str(python) in notice.data["reason"]


def test_a_child_that_ends_before_it_begins_is_a_notice(tmp_path, compiled):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    sources = write(tmp_path, 2)

    (notice,) = compiled(sources, interpreter=python)

    assert notice.code == "compile-failed"
    assert {item["reason"] for item in notice.data["failures"]} == {"the interpreter ended with 3"}
    assert len(notice.data["failures"]) == 2


class DyingRunner(SubprocessRunner):
    """Runs children in which compiling a file called ``deadly.py`` ends the interpreter."""

    def run(self, argv, **options):
        script = next(part for part in argv if part.endswith("compile.py"))
        text = Path(script).read_text(encoding="utf-8")
        if "deadly" not in text:
            check = '    if path.endswith("deadly.py"):\n        os._exit(9)\n    try:\n'
            Path(script).write_text(text.replace("    try:\n", check, 1), encoding="utf-8")
        return super().run(argv, **options)


def test_a_file_that_ends_the_interpreter_takes_no_other_with_it(tmp_path, compiled):
    sources = write(tmp_path, 6)
    for index in (2, 5):
        sources[index] = sources[index].rename(tmp_path / f"{index}deadly.py")
    sources[3].write_text("(")

    (notice,) = compiled(sources, runner=DyingRunner())

    reasons = {Path(item["path"]).name: item["reason"] for item in notice.data["failures"]}
    assert reasons.keys() == {"2deadly.py", "5deadly.py", "m3.py"}
    assert reasons["2deadly.py"] == reasons["5deadly.py"] == "the interpreter ended with 9"
    assert [cache_of(sources[index]).exists() for index in (0, 1, 4)] == [True] * 3


def test_code_of_the_environment_does_not_run(tmp_path, compiled):
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = [*tmp_path.glob("venv/lib/python3*/site-packages"), *tmp_path.glob("venv/Lib/site-packages")]
    marker = tmp_path / "ran"
    text = f"open({str(marker)!r}, 'w')\n"
    sources = write(site, 1, text=text)
    for name in ("sitecustomize.py", "py_compile.py"):
        (site / name).write_text(text)
    (site / "a.pth").write_text(f"import sys; {text}")
    (python,) = [*tmp_path.glob("venv/bin/python"), *tmp_path.glob("venv/Scripts/python.exe")]

    assert compiled([*sources, site / "py_compile.py"], interpreter=python) == []

    assert not marker.exists()
    assert cache_of(sources[0]).exists()


def test_files_that_are_gone_meanwhile_are_nobodys_concern(tmp_path, compiled):
    assert compiled([tmp_path / "gone.py", *write(tmp_path)]) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user who may not write all"
)
def test_a_folder_that_cannot_be_written_is_a_notice(tmp_path, compiled):
    sources = write(tmp_path / "fixed")
    sources[0].parent.chmod(0o555)

    (notice,) = compiled(sources)

    assert notice.code == "compile-failed"


def test_a_file_in_the_way_is_a_notice(tmp_path, compiled):
    sources = write(tmp_path)
    (tmp_path / "__pycache__").write_text("")

    (notice,) = compiled(sources)

    assert notice.code == "compile-failed"


def test_a_compiled_file_that_is_shared_is_replaced_and_not_written(tmp_path, compiled):
    (source,) = write(tmp_path / "env")
    shared = tmp_path / "shared.pyc"
    shared.write_bytes(b"shipped")
    cache_of(source).parent.mkdir()
    cache_of(source).hardlink_to(shared)

    assert compiled([source]) == []

    assert shared.read_bytes() == b"shipped"
    assert cache_of(source).read_bytes()[:4] == importlib.util.MAGIC_NUMBER


def test_cancelling_ends_the_children_and_leaves_no_list(tmp_path, compiled):
    sources = write(tmp_path / "many", 5000, text="".join(f"a{n} = {n} + {{0}}\n" for n in range(100)))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    token = CancelToken()

    def cancel_soon():
        while not any(cache_of(path).exists() for path in sources[:100]):
            time.sleep(0.01)
        token.cancel("enough")

    thread = threading.Thread(target=cancel_soon)
    thread.start()
    with pytest.raises(Cancelled):
        compiled(sources, pump=Pump(cancel=token), scratch=scratch)
    thread.join()

    done = sum(cache_of(path).exists() for path in sources)
    assert 0 < done < len(sources)
    assert list(scratch.iterdir()) == []
    time.sleep(0.2)
    assert sum(cache_of(path).exists() for path in sources) == done, "a child goes on"


def test_a_token_that_is_thrown_already_starts_nothing(tmp_path, compiled):
    token = CancelToken()
    token.cancel()

    with pytest.raises(Cancelled):
        compiled(write(tmp_path), pump=Pump(cancel=token), runner=FailingRunner())


def test_nothing_of_the_library_is_read_after_the_compiler_was_made(tmp_path, pool):
    """A change may replace the library itself, and what is on the disk then is another version."""
    library = tmp_path / "library"
    shutil.copytree(Path(puffin_api.__file__).parent, library / "puffin_api")
    (source,) = write(tmp_path)
    program = f"""\
import shutil, sys
sys.path.insert(0, {str(library)!r})
from puffin_api._concurrency import SILENT, WorkerPool
from puffin_api._installer.bytecode import Compiler
from puffin_api._interpreter.host import SubprocessRunner
import puffin_api
assert puffin_api.__file__.startswith({str(library)!r})
compiler = Compiler(sys.executable, runner=SubprocessRunner(), workers=1, pool=WorkerPool(1), pump=SILENT)
shutil.rmtree({str(library)!r})
assert compiler([{str(source)!r}]) == []
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert cache_of(source).exists()


# -- which files


@pytest.mark.parametrize("kind", [Place, Folder])
def test_modules_are_what_python_can_import(tmp_path, kind):
    place = kind(tmp_path)
    wheel = place.wheel(
        "a",
        files={"a/__init__.py": "", "a/data.txt": "", "a/native.so": "", "top.py": "", "over.py": "tree"},
        data={
            "purelib/pure.py": "",
            "platlib/plat.py": "",
            "purelib/over.py": "data",
            "scripts/tool.py": "",
            "headers/x.py": "",
        },
        entry_points={"console_scripts": {"run.py": "a:f"}},
    )
    places = Places({name: str(folder) for name, folder in place.scheme.items()})
    layout = lay_out(wheel, places, executable="/p")

    found = python_sources([layout], places)

    names = ["a/__init__.py", "over.py", "plat.py", "pure.py", "top.py"]
    assert sorted(found) == [f"{place.site}/{name}" for name in names]
    assert len(found) == len(set(found))


def test_what_is_told_compiles_after_a_change(tmp_path, compiled):
    place = Place(tmp_path)
    wheel = place.wheel("a", files={"a/__init__.py": "", "a/sub/m.py": ""}, data={"purelib/more.py": ""})
    places = Places({name: str(folder) for name, folder in place.scheme.items()})
    layout = lay_out(wheel, places, executable="/p")
    place.change(wheel)

    assert compiled(python_sources([layout], places)) == []

    assert len(list(place.site.rglob("*.pyc"))) == 3
    place.remove("a")
    assert list(place.site.iterdir()) == []
