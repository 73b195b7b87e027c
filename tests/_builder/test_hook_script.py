"""The hook script in every interpreter that is here, started as builds start it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyproject_hooks
import pytest

from puffin_api._builder import hook_script
from puffin_api._interpreter.host import SubprocessRunner

SCRIPT = Path(hook_script.__file__)
IN_PROCESS = Path(pyproject_hooks.__file__).parent / "_in_process" / "_in_process.py"
BACKEND = """
import sys
def get_requires_for_build_wheel(config_settings=None):
    print("caf\\u00e9 \\ud800")
    sys.stderr.write("err\\n")
    return ["café", sys.stdin.read()] + [entry for entry in sys.path if entry.endswith("_builder")]
"""


def pythons():
    prefixes = {Path(sys.base_prefix), *Path(sys.base_prefix).parent.glob("*")}
    for prefix in sorted(prefixes):
        python = prefix / "bin" / "python3"
        match = re.search(r"3\.(\d+)", prefix.name)
        if os.access(python, os.X_OK) and (match is None or int(match[1]) >= 7):
            yield pytest.param(python, id=prefix.name)


@pytest.fixture
def control(tmp_path):
    (tmp_path / "made.py").write_text(BACKEND, encoding="utf-8")
    control = tmp_path / "control"
    control.mkdir()
    (control / "input.json").write_text('{"kwargs": {"config_settings": null}}')
    return control


def start(python, control, env, script=IN_PROCESS, runner=None):
    folder = control.parent
    log, status = folder / "log", control / "status"
    variables = {
        "_PYPROJECT_HOOKS_BUILD_BACKEND": "made",
        "_PYPROJECT_HOOKS_BACKEND_PATH_JSON": json.dumps([str(folder)]),
        **env,
    }
    argv = [str(python), str(SCRIPT), str(log), str(status), str(script)]
    argv += ["get_requires_for_build_wheel", str(control)]
    completed = (runner or SubprocessRunner()).run(argv, cwd=folder, env=variables, timeout=60)
    return completed, log, status


@pytest.mark.parametrize(
    "env", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}], ids=["", "C"]
)
@pytest.mark.parametrize("python", [*pythons()])
def test_the_hook_runs_with_its_output_in_the_log(python, control, env):
    completed, log, status = start(python, control, env)

    assert completed.stdout + completed.stderr == b""
    assert log.read_bytes() == "café \\ud800\nerr\n".encode()
    assert status.read_text() == "0"
    assert json.loads((control / "output.json").read_text())["return_val"] == ["café", ""]


class PlainRunner:
    """Starts no group of its own, and has something to read."""

    def run(self, argv, *, cwd, env, timeout):
        return subprocess.run(
            argv, cwd=cwd, env=env, timeout=timeout, input=b"read me", capture_output=True, check=False
        )


def test_a_group_of_somebody_else_is_left_alone(control):
    completed, _, status = start(sys.executable, control, {}, runner=PlainRunner())

    # Had the group been killed, this process would be gone too.
    assert completed.returncode == 0
    assert status.read_text() == "0"


def test_there_is_nothing_to_read_whatever_the_runner_gives(control):
    start(sys.executable, control, {}, runner=PlainRunner())

    assert json.loads((control / "output.json").read_text())["return_val"] == ["café", ""]


def test_the_script_is_run_as_if_it_had_been_started_itself(control):
    script = control / "told.py"
    script.write_text(
        "import json, sys\n"
        "names = [__name__, __file__, sys.argv, sys.path[0] == sys.argv[0]]\n"
        "open(sys.argv[-1] + '/output.json', 'w').write(json.dumps(names))\n"
        "sys.exit(5)\n"
    )

    _, _, status = start(sys.executable, control, {}, script=script)

    assert status.read_text() == "5"
    assert json.loads((control / "output.json").read_text()) == [
        "__main__",
        str(script),
        [str(script), "get_requires_for_build_wheel", str(control)],
        False,
    ]
