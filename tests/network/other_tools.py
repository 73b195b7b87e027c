"""The other tools that judge our work: uv, pip, and the Python of the environment itself."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from puffin_api import Index
from tests.network.soundness import Place

SECONDS = 300
"""Patience with one run of a tool."""

# What of the user's settings is about how to reach an index. Which index there is we say ourselves.
_KEPT = {"PIP_CERT", "PIP_PROXY", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_CLIENT_CERT"}
_KEPT |= {"UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES"}

_DESCRIBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from packaging import markers, tags
print(json.dumps([markers.default_environment(), [str(tag) for tag in tags.sys_tags()]]))
"""

_IMPORT = """
import importlib, json, sys, traceback
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        failed[name] = traceback.format_exc()
sys.__stdout__.write("\\n" + json.dumps(failed))
"""

_BUNDLED_PIP = """
import ensurepip, glob, os
print(*sorted(glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))))
"""


def run(*command: str | Path, fails: bool = False, **variables: str) -> str:
    """Run a tool without the user's choice of indexes; returns all that it prints."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith(("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV"))
    }
    environ = {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    done = subprocess.run(
        [str(part) for part in command],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode != 0) is fails, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


# --- uv ---------------------------------------------------------------------------------------


def uv(*arguments: str | Path, cache: Path, fails: bool = False) -> str:
    """Run the uv beside us with a cache of its own."""
    return run(sys.executable, "-m", "uv", *arguments, "--no-config", "--cache-dir", cache, fails=fails)


def uv_compile(requirements: list[str], python: Path, folder: Path, *options: str | Path) -> dict[str, str]:
    """Return the versions that uv resolves to, from an empty cache."""
    answer = folder / "answer.txt"
    uv(*_compiling(requirements, python, folder, answer), *options, cache=folder / "uv-cache")
    return pins(answer.read_text(encoding="utf-8"))


def uv_finds_none(requirements: list[str], constraints: list[str], python: Path, folder: Path) -> bool:
    """Tell whether uv says that requirements cannot be met by wheels within some constraints."""
    file = _lines(folder / "constraints.txt", constraints)
    arguments = (*_compiling(requirements, python, folder, folder / "none.txt"), "--no-build", "-c", file)
    try:
        return "No solution found" in uv(*arguments, cache=folder / "uv-cache", fails=True)
    except AssertionError:
        return False  # it ended well


def _compiling(requirements: list[str], python: Path, folder: Path, answer: Path) -> list[str | Path]:
    asked = _lines(folder / "asked.in", requirements)
    fixed = ["--default-index", Index.pypi().url, "--no-annotate", "--no-header", "--no-strip-extras"]
    return ["pip", "compile", asked, "-o", answer, "-p", python, *fixed]


def _lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def pins(text: str) -> dict[str, str]:
    """Return name and version of each line of an exported list."""
    lines = (line.partition("#")[0].split("--hash")[0].strip(" \\") for line in text.splitlines())
    pairs = (line.partition("==")[::2] for line in lines if "==" in line)
    return {canonicalize_name(name.partition("[")[0]): version.strip() for name, version in pairs}


# --- pip --------------------------------------------------------------------------------------


def pip(python: Path, *arguments: str | Path, version: str, fails: bool = False) -> str | None:
    """Run pip upon an environment that has none; None where there is no pip that can.

    The pip beside us is used where it still supports the environment's Python, otherwise the one
    that this Python brings with it.
    """
    ours = importlib.metadata.metadata("pip")["Requires-Python"] or ""
    if version in SpecifierSet(ours):
        return run(sys.executable, "-m", "pip", "--python", python, *arguments, fails=fails)
    bundled = run(python, "-I", "-c", _BUNDLED_PIP).split()
    return run(python, Path(bundled[-1], "pip"), *arguments, fails=fails) if bundled else None


# --- the Python of the environment ------------------------------------------------------------


def describe(python: Path, folder: Path) -> Place:
    """Let `packaging` say within a Python what its markers and tags are.

    Args:
        folder: Empty; takes the newest `packaging` for this Python, and a cache.
    """
    target, index = folder / "packaging", ("--default-index", Index.pypi().url)
    uv("pip", "install", "packaging", "--target", target, "-p", python, *index, cache=folder / "cache")
    markers, tags = json.loads(run(python, "-I", "-B", "-c", _DESCRIBE, target))
    return Place(markers=markers, tags=tuple(tags))


def import_all(python: Path, modules: list[str], home: Path) -> dict[str, str]:
    """Import modules in one process; returns the tracebacks of those that fail."""
    printed = run(python, "-I", "-W", "ignore", "-c", _IMPORT, *modules, HOME=str(home))
    return dict(json.loads(printed.splitlines()[-1]))
