from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from puffin_api._interpreter.probe import probe
from puffin_api._interpreter.venv import base_executable, create_venv
from puffin_api.errors import EnvironmentProblem, NotWritable

ABOUT = """
import json, ssl, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "prefix": sys.prefix, "base": sys.base_prefix, "version": list(sys.version_info[:2]),
    "path": sys.path, "paths": paths, "executable": sys.executable,
}))
"""


def _about(ask, prefix):
    return json.loads(ask(prefix / "bin" / "python", ABOUT))


def _config(prefix):
    lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" = ", 1) for line in lines)


@pytest.mark.parametrize("name", ["env", "with space", "é日本 ü", 'it\'s "quoted" $HOME `x` %d'])
def test_a_created_environment_works(tmp_path, any_python, info_of, ask, name):
    info = info_of(any_python)

    prefix = create_venv(tmp_path / name, info)
    about = _about(ask, prefix)

    assert prefix == tmp_path / name
    assert about["prefix"] == str(prefix)
    assert about["base"] == str(info.base_prefix)
    assert tuple(about["version"]) == info.version_info[:2]
    assert about["executable"] == str(prefix / "bin" / "python")
    assert about["path"][-1] == str(prefix / info.venv_scheme.purelib)


def test_the_promised_scheme_is_that_of_the_environment(tmp_path, any_python, info_of, ask):
    info = info_of(any_python)
    prefix = create_venv(tmp_path / "env", info)

    paths = _about(ask, prefix)["paths"]
    probed = probe(prefix / "bin" / "python", timeout=60)

    assert info.venv_scheme.under(prefix) == probed.scheme
    assert {key: paths[key] for key in ("purelib", "platlib", "scripts", "data")} == {
        key: place for key, place in probed.scheme.to_dict().items() if key != "include"
    }
    assert Path(paths["purelib"]).is_dir()
    assert probed.is_virtual


def test_each_name_of_python_starts_it(tmp_path, any_python, info_of, ask):
    info = info_of(any_python)
    prefix = create_venv(tmp_path / "env", info)
    major, minor = info.version_info[:2]

    for name in ("python", f"python{major}", f"python{major}.{minor}"):
        assert ask(prefix / "bin" / name, "import sys; print(sys.prefix)") == str(prefix)


def test_an_environment_made_from_an_environment_belongs_to_the_base(tmp_path, any_python, info_of, ask):
    outer = create_venv(tmp_path / "outer", info_of(any_python))
    inside = probe(outer / "bin" / "python", timeout=60)

    inner = create_venv(tmp_path / "inner", inside)

    assert _about(ask, inner)["base"] == str(info_of(any_python).base_prefix)
    assert _config(inner) == _config(outer)
    assert str(outer) not in os.readlink(inner / "bin" / "python")


def test_an_environment_of_the_standard_library_leads_to_the_base_as_well(tmp_path, any_python, info_of, ask):
    ask(any_python, "import venv, sys; venv.create(sys.argv[1], symlinks=True)", str(tmp_path / "std"))

    inner = create_venv(tmp_path / "inner", probe(tmp_path / "std" / "bin" / "python", timeout=60))

    assert _about(ask, inner)["base"] == str(info_of(any_python).base_prefix)
    assert str(tmp_path) not in _config(inner)["home"]


def test_a_symlinked_python_makes_an_environment_that_finds_its_library(tmp_path, any_python, info_of, ask):
    links = tmp_path / "links"
    links.mkdir()
    (links / "my-python").symlink_to(any_python)

    prefix = create_venv(tmp_path / "env", probe(links / "my-python", timeout=60))

    assert _about(ask, prefix)["base"] == str(info_of(any_python).base_prefix)
    assert str(links) not in os.readlink(prefix / "bin" / "python")


def test_the_base_is_named_with_its_version(tmp_path, current):
    """``python3`` of a distribution may be another version tomorrow."""
    assert base_executable(current).name == f"python{sys.version_info[0]}.{sys.version_info[1]}"


def test_the_configuration_says_where_all_comes_from(tmp_path, current):
    prefix = create_venv(
        tmp_path / "env", current, prompt="my  \nprompt", system_site_packages=True, library_version="1.2"
    )

    base = base_executable(current)
    assert _config(prefix) == {
        "home": str(base.parent),
        "implementation": "CPython",
        "version_info": ".".join(map(str, sys.version_info)),
        "include-system-site-packages": "true",
        "base-prefix": sys.base_prefix,
        "base-exec-prefix": sys.base_exec_prefix,
        "base-executable": str(base),
        "puffin-api": "1.2",
        "prompt": "my prompt",
    }


def test_packages_of_the_base_are_seen_only_when_asked_for(tmp_path, any_python, info_of, ask):
    info = info_of(any_python)
    program = "import sys; print('\\n'.join(sys.path))"

    closed = create_venv(tmp_path / "closed", info)
    open_ = create_venv(tmp_path / "open", info, system_site_packages=True)

    assert info.scheme.purelib not in ask(closed / "bin" / "python", program).splitlines()
    assert info.scheme.purelib in ask(open_ / "bin" / "python", program).splitlines()


def test_the_layout_is_that_of_the_standard_library(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)

    assert (prefix / ".gitignore").read_text() == "*\n"
    assert (prefix / "include").is_dir()
    assert os.readlink(prefix / "lib64") == "lib" or sys.platform == "darwin"
    assert list((prefix / current.venv_scheme.purelib).iterdir()) == []
    assert stat.S_IMODE(prefix.stat().st_mode) == 0o777 & ~_umask()


def _umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_nothing_is_left_beside_the_environment(tmp_path, current):
    create_venv(tmp_path / "a" / "b" / "env", current)
    create_venv(tmp_path / "a" / "b" / "env", current, exists="replace")

    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["env"]


def test_an_empty_folder_is_filled(tmp_path, current, ask):
    (tmp_path / "env").mkdir()

    prefix = create_venv(tmp_path / "env", current)

    assert _about(ask, prefix)["prefix"] == str(prefix)


def test_an_existing_environment_is_not_touched_unless_asked(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "mine").write_text("x")

    with pytest.raises(EnvironmentProblem, match="exists at") as caught:
        create_venv(prefix, current)

    assert (prefix / "mine").exists()
    assert caught.value.path == str(prefix)
    assert 'exists="reuse"' in caught.value.hint


def test_replacing_makes_the_environment_anew(tmp_path, current, ask):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "mine").write_text("x")

    create_venv(prefix, current, exists="replace")

    assert not (prefix / "mine").exists()
    assert _about(ask, prefix)["prefix"] == str(prefix)


@pytest.mark.parametrize("exists", ["error", "reuse", "replace"])
def test_a_folder_that_is_no_environment_is_never_touched(tmp_path, current, exists):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("x")

    with pytest.raises(EnvironmentProblem, match="not a virtual environment") as caught:
        create_venv(tmp_path / "work", current, exists=exists)

    assert caught.value.hint
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["thesis.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


@pytest.mark.parametrize("exists", ["error", "reuse", "replace"])
def test_a_file_in_the_way_is_told(tmp_path, current, exists):
    (tmp_path / "env").write_text("x")

    with pytest.raises(EnvironmentProblem, match="is no folder"):
        create_venv(tmp_path / "env", current, exists=exists)

    assert (tmp_path / "env").read_text() == "x"


def test_a_link_to_an_environment_stays_a_link(tmp_path, current, ask):
    create_venv(tmp_path / "real", current)
    (tmp_path / "link").symlink_to("real")

    prefix = create_venv(tmp_path / "link", current, exists="replace")

    assert prefix == tmp_path / "link"
    assert prefix.is_symlink()
    assert _about(ask, prefix)["prefix"] == str(prefix)


def test_a_working_environment_is_reused(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "mine").write_text("x")

    assert create_venv(prefix, current, exists="reuse", timeout=60) == prefix
    assert (prefix / "mine").exists()


def test_reuse_makes_what_is_not_there(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current, exists="reuse")

    assert (prefix / "pyvenv.cfg").exists()


def test_an_environment_of_another_version_is_not_reused(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    major, minor, *rest = current.version_info
    other = attrs.evolve(current, version_info=(major, minor + 1, *rest))

    with pytest.raises(EnvironmentProblem, match="has CPython") as caught:
        create_venv(prefix, other, exists="reuse", timeout=60)

    assert 'exists="replace"' in caught.value.hint


def test_an_environment_whose_python_is_gone_is_not_reused(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "python").symlink_to(tmp_path / "gone")

    with pytest.raises(EnvironmentProblem, match="has no python"):
        create_venv(prefix, current, exists="reuse")


def test_an_environment_whose_python_does_not_work_is_not_reused(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (prefix / "bin" / "python").chmod(0o755)

    with pytest.raises(EnvironmentProblem, match="does not work"):
        create_venv(prefix, current, exists="reuse", timeout=60)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are of POSIX")
def test_a_folder_that_cannot_be_written_is_told(tmp_path, current):
    if os.geteuid() == 0:
        where = Path("/proc/puffin-api-test")  # nobody creates folders there
        problems = (NotWritable, EnvironmentProblem)
    else:
        (tmp_path / "closed").mkdir(mode=0o555)
        where, problems = tmp_path / "closed" / "env", NotWritable

    with pytest.raises(problems) as caught:
        create_venv(where, current)

    assert caught.value.path == str(where)
    assert caught.value.state == "untouched"


def test_a_path_that_would_break_the_search_path_is_refused(tmp_path, current):
    with pytest.raises(EnvironmentProblem, match="break PATH"):
        create_venv(tmp_path / f"a{os.pathsep}b", current)
    with pytest.raises(EnvironmentProblem, match="line break"):
        create_venv(tmp_path / "a\nb", current)

    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_cannot_be_finished_leaves_the_old_one(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "mine").write_text("x")
    scheme = attrs.evolve(current.venv_scheme, purelib="x" * 300)  # longer than a name may be

    with pytest.raises(EnvironmentProblem, match="could not be made"):
        create_venv(prefix, attrs.evolve(current, venv_scheme=scheme), exists="replace")

    assert (prefix / "mine").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_an_environment_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    (prefix / "mine").write_text("x")
    program = """
import errno, sys
from puffin_api._interpreter.probe import current_info
from puffin_api._interpreter.venv import create_venv
from puffin_api.errors import EnvironmentProblem

def refuse(event, arguments):
    if event == "os.rename" and str(arguments[0]).endswith(".new"):
        raise OSError(errno.ENOSPC, "full")

info = current_info()
sys.addaudithook(refuse)
try:
    create_venv(sys.argv[1], info, exists="replace")
except EnvironmentProblem as error:
    print(error)
"""

    told = subprocess.run([sys.executable, "-c", program, prefix], capture_output=True, text=True, check=True)

    assert "full" in told.stdout
    assert (prefix / "mine").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_an_environment_of_pypy_has_its_names(tmp_path, current):
    markers = {**current.markers, "implementation_name": "pypy", "platform_python_implementation": "PyPy"}
    info = attrs.evolve(current, markers=markers, version_info=(3, 10, 13, "final", 0))

    prefix = create_venv(tmp_path / "env", info)

    names = {path.name for path in (prefix / "bin").iterdir() if path.is_symlink()}
    assert names == {"python", "python3", "python3.10", "pypy", "pypy3", "pypy3.10"}
    assert _config(prefix)["implementation"] == "PyPy"


def test_a_free_threaded_environment_has_its_name(tmp_path, current):
    info = attrs.evolve(current, tag_facts=attrs.evolve(current.tag_facts, free_threaded=True))

    prefix = create_venv(tmp_path / "env", info)

    assert (prefix / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}t").exists()


@pytest.fixture
def windows(tmp_path, current):
    """An interpreter as it is installed on Windows, without anything that runs."""
    base = tmp_path / "base"
    nt = base / "Lib" / "venv" / "scripts" / "nt"
    nt.mkdir(parents=True)
    libraries = ("python3.dll", "python312.dll", "vcruntime140.dll", "other.dll")
    for name in ("python.exe", "pythonw.exe", *libraries):
        (base / name).write_text(name)
    scheme = attrs.evolve(
        current.venv_scheme,
        purelib="Lib/site-packages",
        platlib="Lib/site-packages",
        scripts="Scripts",
        include="include/site/python3.12",
    )
    return attrs.evolve(
        current,
        markers={**current.markers, "os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"},
        executable=str(base / "python.exe"),
        base_executable=str(base / "python.exe"),
        base_prefix=base,
        stdlib=base / "Lib",
        venv_scheme=scheme,
    )


@pytest.mark.parametrize(
    ("files", "copied"),
    [
        (("venvlauncher.exe", "venvwlauncher.exe"), ("venvlauncher.exe", "venvwlauncher.exe")),
        (("python.exe", "pythonw.exe"), ("python.exe", "pythonw.exe")),
    ],
)
def test_on_windows_the_launchers_of_the_standard_library_are_copied(tmp_path, windows, files, copied):
    nt = windows.stdlib / "venv" / "scripts" / "nt"
    for name in files:
        (nt / name).write_text(f"launcher {name}")

    prefix = create_venv(tmp_path / "env", windows)

    scripts = prefix / "Scripts"
    assert (scripts / "python.exe").read_text() == f"launcher {copied[0]}"
    assert (scripts / "pythonw.exe").read_text() == f"launcher {copied[1]}"
    assert not (scripts / "python3.dll").exists()
    assert _config(prefix)["home"] == str(tmp_path / "base")
    assert (prefix / "Lib" / "site-packages").is_dir()
    assert (prefix / "Include").is_dir()
    assert not (prefix / "lib64").exists()


def test_a_free_threaded_windows_python_takes_its_own_launcher(tmp_path, windows):
    nt = windows.stdlib / "venv" / "scripts" / "nt"
    for name in ("venvlauncher.exe", "venvlaunchert.exe", "venvwlaunchert.exe"):
        (nt / name).write_text(name)
    info = attrs.evolve(windows, tag_facts=attrs.evolve(windows.tag_facts, free_threaded=True))

    prefix = create_venv(tmp_path / "env", info)

    assert (prefix / "Scripts" / "python.exe").read_text() == "venvlaunchert.exe"


def test_a_windows_python_without_launchers_is_copied_with_its_libraries(tmp_path, windows):
    prefix = create_venv(tmp_path / "env", windows)

    files = {path.name for path in (prefix / "Scripts").iterdir() if path.suffix in {".exe", ".dll"}}
    assert files == {"python.exe", "pythonw.exe", "python3.dll", "python312.dll", "vcruntime140.dll"}
