from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from puffin_api._interpreter.activation import activation_scripts
from puffin_api._interpreter.venv import create_venv

NAMES = ["env", "with space", "é日本", 'it\'s "two" $HOME `id` $(id) %d !x \\n * ;', "-dash", "@PROMPT@"]


def _shells(*names):
    found = [name for name in names if shutil.which(name)]
    return found or [pytest.param(names[0], marks=pytest.mark.skip(reason="the shell is not installed"))]


def _run(shell, lines, **variables):
    """Run lines in a shell; what they print, line by line."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/", "LC_ALL": "C.UTF-8", **variables}
    program = "\n".join(lines)
    # csh takes one line as an argument, so it reads its input; -f leaves its start-up files alone.
    is_csh = shell.endswith("csh")
    result = subprocess.run(
        [shutil.which(shell), "-f"] if is_csh else [shutil.which(shell), "-c", program],
        input=program if is_csh else "",
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", _shells("sh", "dash", "bash", "zsh", "ksh"))
def test_sh_activates_and_deactivates(tmp_path, current, shell, name):
    prefix = create_venv(tmp_path / name, current)
    shutil.copy(prefix / "bin" / "activate", tmp_path / "script")  # sourcing needs no quoting here

    lines = _run(
        shell,
        [
            "set -eu; PS1='> '",
            f". {tmp_path}/script",
            'printf "%s\\n" "$VIRTUAL_ENV" "$VIRTUAL_ENV_PROMPT" "${PYTHONHOME-unset}"',
            "command -v python",
            "python -c 'import sys; print(sys.prefix)'",
            "deactivate",
            'printf "%s\\n" "${VIRTUAL_ENV-unset}" "${VIRTUAL_ENV_PROMPT-unset}"',
            'printf "%s\\n" "$PYTHONHOME" "$PATH" "${PS1-}"',
            "set | grep ^_OLD_VIRTUAL || true",  # nothing is left
            "(deactivate) 2>/dev/null || echo gone",
        ],
        PYTHONHOME="/home/of/python",
    )

    assert lines[:5] == [str(prefix), name, "unset", str(prefix / "bin" / "python"), str(prefix)]
    assert lines[5:] == ["unset", "unset", "/home/of/python", os.environ["PATH"], "> ", "gone"]


@pytest.mark.parametrize("shell", _shells("sh", "bash", "zsh"))
def test_sh_activates_one_environment_on_top_of_another(tmp_path, current, shell):
    one, two = create_venv(tmp_path / "one", current), create_venv(tmp_path / "two", current)

    lines = _run(
        shell,
        [f". {one}/bin/activate", f". {two}/bin/activate", 'echo "$PATH"', "deactivate", 'echo "$PATH"'],
    )

    assert lines == [f"{two}/bin:{os.environ['PATH']}", os.environ["PATH"]]


@pytest.mark.parametrize("shell", _shells("bash"))
def test_a_name_never_becomes_a_command_in_a_prompt(tmp_path, current, shell):
    prefix = create_venv(tmp_path / "$(touch pwned) `x`", current)
    shutil.copy(prefix / "bin" / "activate", tmp_path / "script")

    lines = _run(shell, ["PS1='> '", f". {tmp_path}/script", 'echo "${PS1@P}"'])

    assert lines == ["(_(touch pwned) _x_) > "]


@pytest.mark.parametrize("shell", _shells("sh", "bash"))
def test_the_prompt_is_changed_unless_forbidden(tmp_path, current, shell):
    prefix = create_venv(tmp_path / "env", current, prompt="my prompt")
    lines = [f"PS1='> '; . {prefix}/bin/activate", 'echo "$PS1"', "deactivate", 'echo "$PS1"']

    assert _run(shell, lines) == ["(my prompt) > ", "> "]
    assert _run(shell, lines, VIRTUAL_ENV_DISABLE_PROMPT="1") == ["> ", "> "]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", _shells("csh", "tcsh"))
def test_csh_activates_and_deactivates(tmp_path, current, shell, name):
    prefix = create_venv(tmp_path / name, current)
    shutil.copy(prefix / "bin" / "activate.csh", tmp_path / "script")

    lines = _run(
        shell,
        [
            'set prompt = "> "',
            f"source {tmp_path}/script",
            'printf "%s\\n" "$VIRTUAL_ENV:q" "$VIRTUAL_ENV_PROMPT:q" "$?PYTHONHOME"',
            "python -c 'import sys; print(sys.prefix)'",
            f"source {tmp_path}/script",
            "deactivate",
            'printf "%s\\n" "$?VIRTUAL_ENV" "$?VIRTUAL_ENV_PROMPT" "$PYTHONHOME" "$PATH" "$prompt"',
        ],
        PYTHONHOME="/home/of/python",
    )

    assert lines[:4] == [str(prefix), name, "0", str(prefix)]
    assert lines[4:] == ["0", "0", "/home/of/python", os.environ["PATH"], "> "]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", _shells("fish"))
def test_fish_activates_and_deactivates(tmp_path, current, shell, name):
    prefix = create_venv(tmp_path / name, current)
    shutil.copy(prefix / "bin" / "activate.fish", tmp_path / "script")

    lines = _run(
        shell,
        [
            "function fish_prompt; printf '%s> ' $status; end",
            f"source {tmp_path}/script",
            'printf "%s\\n" "$VIRTUAL_ENV" "$VIRTUAL_ENV_PROMPT"',
            "set -q PYTHONHOME; or echo unset",
            "python -c 'import sys; print(sys.prefix)'",
            "false; fish_prompt; echo",
            f"source {tmp_path}/script",
            "deactivate",
            "set -q VIRTUAL_ENV; or echo unset",
            'printf "%s\\n" "$PYTHONHOME" (string join : $PATH)',
            "false; fish_prompt; echo",
            "functions -q deactivate; or echo gone",
        ],
        PYTHONHOME="/home/of/python",
        HOME=str(tmp_path),
    )

    assert lines[:5] == [str(prefix), name, "unset", str(prefix), f"({name}) 1> "]
    assert lines[5:] == ["unset", "/home/of/python", os.environ["PATH"], "1> ", "gone"]


def test_activate_this_makes_packages_importable(tmp_path, current, ask):
    prefix = create_venv(tmp_path / "it's é", current)
    library = prefix / current.venv_scheme.purelib
    (library / "only_there.py").write_text("")
    program = """
import os, runpy, sys
runpy.run_path(sys.argv[1])
import only_there
print(ascii([only_there.__file__, sys.prefix, os.environ["VIRTUAL_ENV"], os.environ["VIRTUAL_ENV_PROMPT"]]))
print(ascii(sys.path[0]))
"""

    output = ask(sys.executable, program, str(prefix / "bin" / "activate_this.py"))

    told = [str(library / "only_there.py"), str(prefix), str(prefix), prefix.name]
    assert output.splitlines() == [ascii(told), ascii(str(library))]


def test_a_script_is_there_for_each_shell(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)

    assert {path.name for path in (prefix / "bin").iterdir() if not path.is_symlink()} == {
        "activate",
        "activate.csh",
        "activate.fish",
        "activate.nu",
        "activate.ps1",
        "activate.bat",
        "deactivate.bat",
        "activate_this.py",
    }


def _script(current, file, prefix="/tmp/env", prompt=None):
    return activation_scripts(Path(prefix), current, prompt=prompt)[file]


def test_powershell_quotes_typographic_quotes_as_well(current):
    text = _script(current, "activate.ps1", prompt="it's \u2018so\u2019")

    assert "$env:VIRTUAL_ENV_PROMPT = 'it''s \u2018\u2018so\u2019\u2019'" in text


def test_old_powershell_is_told_that_the_script_is_unicode(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current, prompt="é")

    assert (prefix / "bin" / "activate.ps1").read_bytes().startswith(b"\xef\xbb\xbf#")


def test_nushell_escapes_quotes_and_backslashes(current):
    text = _script(current, "activate.nu", prefix='/tmp/a "b" \\c')

    assert 'let prefix = "/tmp/a \\"b\\" \\\\c"' in text


def test_batch_takes_the_path_from_where_it_is(current):
    text = _script(current, "activate.bat", prefix="/tmp/é %PATH%")

    assert text.isascii()
    assert "%~dp0" in text
    assert text.count("\n") == text.count("\r\n")


def test_batch_takes_a_given_prompt_literally(current):
    assert "@set \"VIRTUAL_ENV_PROMPT=100%% 'sure' & more\"" in _script(
        current, "activate.bat", prompt='100% "sure" & more'
    )
    assert "chcp 65001" in _script(current, "activate.bat", prompt="é")


def test_the_folder_of_scripts_is_that_of_the_interpreter(current):
    info = attrs.evolve(current, venv_scheme=attrs.evolve(current.venv_scheme, scripts="Scripts"))

    assert "PATH=$VIRTUAL_ENV/'Scripts'" in _script(info, "activate")
    assert "%VIRTUAL_ENV%\\Scripts;" in _script(info, "activate.bat")
