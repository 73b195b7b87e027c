"""The activation scripts of a virtual environment, for each shell in its own quoting.

They keep to the variables that other tools know: ``VIRTUAL_ENV``, ``VIRTUAL_ENV_PROMPT`` and the
``_OLD_VIRTUAL_*`` in which an activated shell remembers what ``deactivate`` restores; so activating one
environment on top of another tool's works as well.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from puffin_api._interpreter.info import InterpreterInfo

_PLACEHOLDER = re.compile("@([A-Z]+)@")
# Prompts of shells expand these; a folder's name must not become a command.
_LIVE_IN_PROMPTS = re.compile(r"[\\`$%!\x00-\x1f\x7f]")


def activation_scripts(prefix: Path, info: InterpreterInfo, *, prompt: str | None) -> dict[str, str]:
    """Return the text of each script by its file name.

    Args:
        prefix: Where the environment will be.
        info: The interpreter it is made from.
        prompt: What activation shows; None for the name of the folder.
    """
    name = " ".join(prompt.split()) if prompt is not None else prefix.name
    values = {
        "PREFIX": str(prefix),
        "PROMPT": name,
        "SHOWN": f"({_LIVE_IN_PROMPTS.sub('_', name)}) ",
        "SCRIPTS": info.venv_scheme.scripts,
    }
    return {
        "activate": _fill(_SH, values, _quote_sh),
        "activate.csh": _fill(_CSH, values, _quote_csh),
        "activate.fish": _fill(_FISH, values, _quote_fish),
        "activate.nu": _fill(_NU, values, _quote_nu),
        "activate.ps1": _fill(_POWERSHELL, values, _quote_powershell),
        "activate.bat": _batch(_batch_prompt(prompt), info.venv_scheme.scripts),
        "deactivate.bat": _crlf(_DEACTIVATE_BATCH),
        "activate_this.py": _activate_this(info, prompt=prompt),
    }


def _fill(template: str, values: Mapping[str, str], quote: Callable[[str], str]) -> str:
    """Put quoted values in place in one pass: a value that looks like a placeholder is none."""
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]]), template)


def _quote_sh(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _quote_csh(text: str) -> str:
    # History is expanded inside single quotes too.
    return "'" + text.replace("'", "'\\''").replace("!", "\\!") + "'"


def _quote_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote_nu(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quote_powershell(text: str) -> str:
    # PowerShell takes typographic quotes for plain ones.
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", text) + "'"


_SH = """\
# Source this file in sh, bash, zsh or ksh:  . path/to/activate

deactivate () {
    if [ -n "${_OLD_VIRTUAL_PATH+set}" ]; then
        PATH=$_OLD_VIRTUAL_PATH
        export PATH
        unset _OLD_VIRTUAL_PATH
    fi
    if [ -n "${_OLD_VIRTUAL_PYTHONHOME+set}" ]; then
        PYTHONHOME=$_OLD_VIRTUAL_PYTHONHOME
        export PYTHONHOME
        unset _OLD_VIRTUAL_PYTHONHOME
    fi
    if [ -n "${_OLD_VIRTUAL_PS1+set}" ]; then
        PS1=$_OLD_VIRTUAL_PS1
        unset _OLD_VIRTUAL_PS1
    fi
    # The shell remembers where it found programs.
    hash -r 2>/dev/null || true
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    if [ "${1-}" != keep ]; then
        unset -f deactivate
    fi
}

# Leave whatever environment is active.
deactivate keep

VIRTUAL_ENV=@PREFIX@
case ${OSTYPE-} in
    cygwin* | msys*) VIRTUAL_ENV=$(cygpath -u "$VIRTUAL_ENV") ;;
esac
export VIRTUAL_ENV
VIRTUAL_ENV_PROMPT=@PROMPT@
export VIRTUAL_ENV_PROMPT

_OLD_VIRTUAL_PATH=${PATH-}
PATH=$VIRTUAL_ENV/@SCRIPTS@${PATH:+:$PATH}
export PATH

if [ -n "${PYTHONHOME+set}" ]; then
    _OLD_VIRTUAL_PYTHONHOME=$PYTHONHOME
    unset PYTHONHOME
fi

if [ -z "${VIRTUAL_ENV_DISABLE_PROMPT-}" ]; then
    _OLD_VIRTUAL_PS1=${PS1-}
    PS1=@SHOWN@${PS1-}
fi

hash -r 2>/dev/null || true
"""

_CSH = """\
# Source this file in csh or tcsh:  source path/to/activate.csh

# Leave whatever environment is active.
if ( $?_OLD_VIRTUAL_PATH ) then
    deactivate
endif

alias deactivate 'setenv PATH "$_OLD_VIRTUAL_PATH:q"; unset _OLD_VIRTUAL_PATH; test $?_OLD_VIRTUAL_PYTHONHOME = 1 && setenv PYTHONHOME "$_OLD_VIRTUAL_PYTHONHOME:q"; unset _OLD_VIRTUAL_PYTHONHOME; test $?_OLD_VIRTUAL_PROMPT = 1 && set prompt = "$_OLD_VIRTUAL_PROMPT:q"; unset _OLD_VIRTUAL_PROMPT; unsetenv VIRTUAL_ENV; unsetenv VIRTUAL_ENV_PROMPT; unalias deactivate; rehash'

setenv VIRTUAL_ENV @PREFIX@
setenv VIRTUAL_ENV_PROMPT @PROMPT@

set _OLD_VIRTUAL_PATH = "$PATH:q"
setenv PATH "${VIRTUAL_ENV:q}/"@SCRIPTS@":${PATH:q}"

if ( $?PYTHONHOME ) then
    set _OLD_VIRTUAL_PYTHONHOME = "$PYTHONHOME:q"
    unsetenv PYTHONHOME
endif

if ( $?prompt && ! $?VIRTUAL_ENV_DISABLE_PROMPT ) then
    set _OLD_VIRTUAL_PROMPT = "$prompt:q"
    set prompt = @SHOWN@"$prompt:q"
endif

rehash
"""  # noqa: E501 (an alias of csh is one line)

_FISH = """\
# Source this file in fish:  source path/to/activate.fish

function deactivate --description 'Leave the virtual environment'
    if set -q _OLD_VIRTUAL_PATH
        set -gx PATH $_OLD_VIRTUAL_PATH
        set -e _OLD_VIRTUAL_PATH
    end
    if set -q _OLD_VIRTUAL_PYTHONHOME
        set -gx PYTHONHOME $_OLD_VIRTUAL_PYTHONHOME
        set -e _OLD_VIRTUAL_PYTHONHOME
    end
    if functions -q _old_virtual_prompt
        functions -e fish_prompt
        functions -c _old_virtual_prompt fish_prompt
        functions -e _old_virtual_prompt
    end
    set -e VIRTUAL_ENV
    set -e VIRTUAL_ENV_PROMPT
    if test "$argv[1]" != keep
        functions -e deactivate _virtual_status
    end
end

# Leave whatever environment is active.
deactivate keep

set -gx VIRTUAL_ENV @PREFIX@
set -gx VIRTUAL_ENV_PROMPT @PROMPT@

set -g _OLD_VIRTUAL_PATH $PATH
set -gx PATH "$VIRTUAL_ENV"/@SCRIPTS@ $PATH

if set -q PYTHONHOME
    set -g _OLD_VIRTUAL_PYTHONHOME $PYTHONHOME
    set -e PYTHONHOME
end

function _virtual_status
    return $argv[1]
end

if test -z "$VIRTUAL_ENV_DISABLE_PROMPT"; and functions -q fish_prompt
    functions -c fish_prompt _old_virtual_prompt
    functions -e fish_prompt
    function fish_prompt
        # Prompts show the status of the last command: hand it on.
        set -l last $status
        printf '(%s) ' "$VIRTUAL_ENV_PROMPT"
        _virtual_status $last
        _old_virtual_prompt
    end
end
"""

_NU = """\
# Use this file in nushell as an overlay:  overlay use path/to/activate.nu
# Hide the overlay to leave the environment; that restores all variables.

export-env {
    let prefix = @PREFIX@
    let variable = (if ("Path" in $env) { "Path" } else { "PATH" })
    let found = ($env | get $variable)
    let folders = (
        if (($found | describe) == "string") { $found | split row (char esep) } else { $found }
    )
    load-env {
        VIRTUAL_ENV: $prefix
        VIRTUAL_ENV_PROMPT: @PROMPT@
        $variable: ($folders | prepend ([$prefix @SCRIPTS@] | path join))
    }
}

export alias deactivate = overlay hide activate
"""

_POWERSHELL = """\
# Run this file with a dot in PowerShell:  . path/to/activate.ps1

function global:deactivate ([switch] $Keep) {
    if (Test-Path variable:global:_OLD_VIRTUAL_PATH) {
        $env:PATH = $global:_OLD_VIRTUAL_PATH
        Remove-Variable -Name _OLD_VIRTUAL_PATH -Scope Global
    }
    if (Test-Path variable:global:_OLD_VIRTUAL_PYTHONHOME) {
        $env:PYTHONHOME = $global:_OLD_VIRTUAL_PYTHONHOME
        Remove-Variable -Name _OLD_VIRTUAL_PYTHONHOME -Scope Global
    }
    if (Test-Path function:_old_virtual_prompt) {
        Set-Item -Path function:global:prompt -Value (Get-Content function:_old_virtual_prompt)
        Remove-Item function:_old_virtual_prompt
    }
    foreach ($name in 'VIRTUAL_ENV', 'VIRTUAL_ENV_PROMPT') {
        if (Test-Path "env:$name") { Remove-Item "env:$name" }
    }
    if (-not $Keep) { Remove-Item function:deactivate }
}

# Leave whatever environment is active.
deactivate -Keep

$env:VIRTUAL_ENV = Split-Path -Parent $PSScriptRoot
$env:VIRTUAL_ENV_PROMPT = @PROMPT@

$global:_OLD_VIRTUAL_PATH = $env:PATH
$env:PATH = $PSScriptRoot + [System.IO.Path]::PathSeparator + $env:PATH

if (Test-Path env:PYTHONHOME) {
    $global:_OLD_VIRTUAL_PYTHONHOME = $env:PYTHONHOME
    Remove-Item env:PYTHONHOME
}

if (-not $env:VIRTUAL_ENV_DISABLE_PROMPT) {
    Set-Item -Path function:global:_old_virtual_prompt -Value (Get-Content function:prompt)
    function global:prompt {
        Write-Host -NoNewline "($env:VIRTUAL_ENV_PROMPT) "
        _old_virtual_prompt
    }
}
"""

# The path comes from where the file is: what stands in a batch file is read in some code page.
_BATCH = """\
@rem Call this file in cmd:  call path\\to\\activate.bat
@for %%i in ("%~dp0..") do @set "VIRTUAL_ENV=%%~fi"
@PROMPT@
@if not defined _OLD_VIRTUAL_PATH set "_OLD_VIRTUAL_PATH=%PATH%"
@set "PATH=%VIRTUAL_ENV%\\@SCRIPTS@;%_OLD_VIRTUAL_PATH%"
@if defined PYTHONHOME set "_OLD_VIRTUAL_PYTHONHOME=%PYTHONHOME%"
@set PYTHONHOME=
@if defined VIRTUAL_ENV_DISABLE_PROMPT goto :done
@if not defined PROMPT set "PROMPT=$P$G"
@if not defined _OLD_VIRTUAL_PROMPT set "_OLD_VIRTUAL_PROMPT=%PROMPT%"
@set "PROMPT=(%VIRTUAL_ENV_PROMPT:$=$$%) %_OLD_VIRTUAL_PROMPT%"
:done
"""

_BATCH_PROMPT_OF_FOLDER = '@for %%i in ("%VIRTUAL_ENV%") do @set "VIRTUAL_ENV_PROMPT=%%~nxi"'

_BATCH_PROMPT_IN_UTF8 = """\
@for /f "tokens=2 delims=:." %%i in ('chcp') do @set "_OLD_CODEPAGE=%%i"
@chcp 65001 >nul
@PROMPT@
@chcp %_OLD_CODEPAGE% >nul
@set _OLD_CODEPAGE="""

_DEACTIVATE_BATCH = """\
@rem Call this file in cmd to leave the virtual environment.
@if defined _OLD_VIRTUAL_PATH set "PATH=%_OLD_VIRTUAL_PATH%"
@if defined _OLD_VIRTUAL_PYTHONHOME set "PYTHONHOME=%_OLD_VIRTUAL_PYTHONHOME%"
@if defined _OLD_VIRTUAL_PROMPT set "PROMPT=%_OLD_VIRTUAL_PROMPT%"
@set _OLD_VIRTUAL_PATH=
@set _OLD_VIRTUAL_PYTHONHOME=
@set _OLD_VIRTUAL_PROMPT=
@set VIRTUAL_ENV=
@set VIRTUAL_ENV_PROMPT=
"""


def _batch(prompt: str, scripts: str) -> str:
    return _crlf(_fill(_BATCH, {"PROMPT": prompt, "SCRIPTS": scripts}, str))


def _batch_prompt(prompt: str | None) -> str:
    """The line that sets the prompt. Within quotes only ``%`` and the quote itself are special."""
    if prompt is None:
        return _BATCH_PROMPT_OF_FOLDER
    text = " ".join(prompt.split()).replace("%", "%%").replace('"', "'")
    line = f'@set "VIRTUAL_ENV_PROMPT={text}"'
    return line if text.isascii() else _fill(_BATCH_PROMPT_IN_UTF8, {"PROMPT": line}, str)


def _crlf(text: str) -> str:
    """Labels are found only in files with the line ends of Windows."""
    return text.replace("\n", "\r\n")


_ACTIVATE_THIS = '''\
"""Makes the packages of this virtual environment importable in a Python that already runs.

    import runpy
    runpy.run_path("path/to/activate_this.py")
"""

import os
import site
import sys

scripts = os.path.dirname(os.path.abspath(__file__))
prefix = os.path.dirname(scripts)
path = os.environ.get("PATH")

os.environ["PATH"] = scripts if not path else scripts + os.pathsep + path
os.environ["VIRTUAL_ENV"] = prefix
os.environ["VIRTUAL_ENV_PROMPT"] = @PROMPT@

known = len(sys.path)
for folder in @FOLDERS@:
    site.addsitedir(os.path.join(prefix, folder))
# What the environment has comes before what the running Python has.
sys.path[:] = sys.path[known:] + sys.path[:known]

sys.prefix = sys.exec_prefix = prefix
'''


def _activate_this(info: InterpreterInfo, *, prompt: str | None) -> str:
    scheme = info.venv_scheme
    folders = tuple(dict.fromkeys((scheme.purelib, scheme.platlib)))
    name = "os.path.basename(prefix)" if prompt is None else ascii(" ".join(prompt.split()))
    return _fill(_ACTIVATE_THIS, {"PROMPT": name, "FOLDERS": repr(folders)}, str)
