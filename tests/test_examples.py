"""Every program of `examples/` runs, against an index on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from puffin_api.testing import LoopbackIndex, make_wheel
from tests.small_sources import write_project

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROJECTS = {
    "flask": ("3.1.0", ["werkzeug>=3.1", "jinja2>=3.1.2", "click>=8.1.3"]),
    "werkzeug": ("3.1.3", ["markupsafe>=2.1.1"]),
    "jinja2": ("3.1.6", ["markupsafe>=2.0"]),
    "markupsafe": ("3.0.2", []),
    "click": ("8.2.1", ['colorama; platform_system == "Windows"']),
    "colorama": ("0.4.6", []),
    "jupyterlab": ("4.4.0", ["jinja2>=3.0.3"]),
}


def wheels() -> dict[str, bytes]:
    return {
        f"{name}-{version}-py3-none-any.whl": make_wheel(name, version, requires=requires)
        for name, (version, requires) in PROJECTS.items()
    }


@pytest.fixture(scope="module")
def index():
    with LoopbackIndex(wheels()) as server:
        yield server


@pytest.fixture
def environ(index, tmp_path):
    """What an example sees: pip is configured for the index, and caches are in the folder of the test."""
    return index_environ(index.url, tmp_path)


def index_environ(url: str, home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIP_") and "proxy" not in name.lower()
    }
    places = dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME"), str(home))
    return {**kept, **places, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": url}


def run(name: str, *arguments: str, environ: dict[str, str], status: int = 0, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        env={**environ, "PYTHONPATH": str(EXAMPLES.parent / "src"), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=300,
        cwd=cwd,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_every_program_of_the_folder_is_run_here():
    tests = Path(__file__).read_text(encoding="utf-8")
    programs = {path.name for path in EXAMPLES.glob("*.py")} - {"progress.py"}  # a part of the demo

    assert [name for name in sorted(programs) if f'run("{name}"' not in tests] == []


def test_the_demo_installs_imports_and_removes(environ):
    lines = [line.strip() for line in run("demo.py", environ=environ).splitlines()]

    assert "Resolved flask, jupyterlab: 6 packages" in lines
    assert "6 changes: 0 wheels from the cache, 6 to be downloaded" in " ".join(lines)
    assert any(line.startswith("imported flask") for line in lines)
    assert "click, flask, werkzeug" in lines
    assert any(line.endswith("plan again: nothing to do") for line in lines)


def test_the_demo_prints_each_package_of_the_tree_once(environ):
    lines = run("demo.py", "flask", environ=environ).splitlines()
    begin = lines.index("Resolved flask: 5 packages") + 1
    tree = lines[begin : lines.index("", begin)]

    assert tree == [
        "  flask 3.1.0",
        "    click 8.2.1",
        "    jinja2 3.1.6",
        "      markupsafe 3.0.2",
        "    werkzeug 3.1.3",
    ]


def test_the_demo_says_what_went_wrong(environ):
    assert "Resolved" not in run("demo.py", "no-such-project", environ=environ, status=1)


def test_a_plan_alone_is_json_and_creates_nothing(environ, tmp_path):
    prefix = tmp_path / "nowhere"

    plan = json.loads(run("plan_only.py", str(prefix), "flask", environ=environ))

    assert [change["name"] for change in plan["changes"]] == [
        "click",
        "flask",
        "jinja2",
        "markupsafe",
        "werkzeug",
    ]
    assert not prefix.exists()


def test_a_plan_that_cannot_be_made_is_an_error_as_json(environ, tmp_path):
    text = run("plan_only.py", str(tmp_path / "nowhere"), "flask>9", environ=environ, status=1)

    assert json.loads(text)["code"] == "resolution-failed"


def test_an_install_with_a_button_that_nobody_presses(environ):
    lines = run("cancel_button.py", "flask", environ=environ).splitlines()

    assert "  chose werkzeug 3.1.3" in lines
    assert lines[-1] == "done: 5 packages"


def test_an_install_that_is_cancelled_leaves_the_environment_alone(index, tmp_path):
    """The server never answers: only the button ends the wait."""
    with LoopbackIndex(wheels()) as silent:
        silent.fail("/simple/", times=1000, stall=True)
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "cancel_button.py"), "flask"],
            env={**index_environ(silent.url, tmp_path), "PYTHONPATH": str(EXAMPLES.parent / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "install ...\n"
        text, _ = process.communicate("\n", timeout=60)

    assert text.splitlines()[-1].startswith("cancelled:")
    assert text.splitlines()[-1].endswith("the environment is untouched")


def test_a_lock_for_other_platforms_says_what_differs(environ):
    lines = run("foreign_target.py", "flask", environ=environ).splitlines()

    assert lines[lines.index("# CPython 3.13.0 on Windows AMD64: 6 packages") + 1] == "+ colorama==0.4.6"
    assert sum(line.startswith("    --hash=sha256:") for line in lines) == 5


def test_an_index_of_ones_own_needs_no_network(environ):
    lines = run("own_index.py", environ=environ).splitlines()

    assert lines == [
        "shop -> accounts",
        "shop -> billing>=1 -> accounts",
        "['accounts.py', 'billing.py', 'shop.py']",
    ]


def test_local_projects_are_put_into_development_mode(environ, tmp_path):
    app = write_project(tmp_path / "app", "app", requires=("library", "click>=8"))
    library = write_project(tmp_path / "library", "library")

    def develop(*, status: int = 0, **variables: str) -> list[str]:
        arguments = [str(tmp_path / "env"), str(app), str(library)]
        return run("develop.py", *arguments, environ={**environ, **variables}, status=status).splitlines()

    failed = develop(FAILS="1", status=1)
    assert failed[-1].startswith("The whole log: ")
    assert any("Install the library that provides 'zlib.h'" in line for line in failed)
    lines = develop()
    assert "app: build-editable" in lines
    assert "  | building library with None" in lines
    assert lines[-3:] == ["install app 1.0", "install click 8.2.1", "install library 1.0"]
    assert develop() == ["nothing has changed"]
