"""Small projects with a build backend of their own, which needs the standard library only."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

# Each build leaves a line in the file that BUILDS names, where it is set, so that tests can count them.
BACKEND = """
import os, pathlib, tomllib, zipfile

PROJECT = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["tool"]["small"]
NAME, VERSION, REQUIRES = PROJECT["name"], PROJECT["version"], PROJECT["dependencies"]
DIST_INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n" + "".join(
    f"Requires-Dist: {item}\\n" for item in REQUIRES
)

def note(hook):
    if "BUILDS" in os.environ:
        with open(os.environ["BUILDS"], "a") as log:
            log.write(f"{hook} {NAME}\\n")

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    note("metadata")
    os.mkdir(os.path.join(folder, DIST_INFO))
    pathlib.Path(folder, DIST_INFO, "METADATA").write_text(METADATA)
    return DIST_INFO

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel

def build_wheel(folder, config_settings=None, metadata_directory=None, files=None):
    note("wheel")
    print("building", NAME, "with", config_settings)
    if "FAILS" in os.environ:
        raise SystemExit("fatal error: zlib.h: No such file or directory")
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    if files is None:
        files = {f"{NAME}/{path.name}": path.read_text() for path in pathlib.Path(NAME).glob("*.py")}
        files[f"{NAME}/settings.txt"] = repr(sorted((config_settings or {}).items()))
    files[f"{DIST_INFO}/METADATA"] = METADATA
    files[f"{DIST_INFO}/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = f"{DIST_INFO}/RECORD"
    files[record] = "".join(f"{path},,\\n" for path in [*files, record])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name

def build_editable(folder, config_settings=None, metadata_directory=None):
    note("editable")
    return build_wheel(folder, files={f"__editable__{NAME}.pth": os.getcwd() + "\\n"})
"""


def project_files(
    name: str, version: str = "1.0", requires: tuple[str, ...] = (), *, static: bool = True, more: str = ""
) -> dict[str, str]:
    """Return the files of a project by path.

    Args:
        name: The project, and its only package.
        version: The version.
        requires: What it depends on.
        static: Whether its metadata can be read without a build.
        more: Further text for ``pyproject.toml``.
    """
    fields = f"name = {json.dumps(name)}\nversion = {json.dumps(version)}\n"
    fields += f"dependencies = {json.dumps(list(requires))}\n"
    declared = fields if static else f'name = "{name}"\ndynamic = ["version", "dependencies"]\n'
    return {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f"[project]\n{declared}[tool.small]\n{fields}{more}",
        "backend.py": BACKEND,
        f"{name}/__init__.py": f"version = {version!r}\n",
    }


def write_project(folder: Path, name: str, *args: object, **options: object) -> Path:
    """Write a project (see ``project_files``) into a folder, and return it."""
    for path, text in project_files(name, *args, **options).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return folder


def commit_all(folder: Path, *, tag: str = "") -> str:
    """Put all that is in a folder into a commit of a repository there, perhaps with a tag; its name."""
    who = {
        f"GIT_{role}_{what}": "a@b.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = {**os.environ, **who, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    if not (folder / ".git").exists():
        git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message=state", "--allow-empty")
    if tag:
        git("tag", tag)
    return git("rev-parse", "HEAD")
