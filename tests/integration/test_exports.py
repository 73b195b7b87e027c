"""What a resolution over sources of all kinds is written as, and what other tools make of it."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from puffin_api import Cache, Client, Installer, Interpreter, Resolver
from puffin_api.model import Editable, Resolution
from puffin_api.testing import LoopbackIndex, make_sdist, make_wheel
from tests.small_sources import commit_all, project_files, write_project

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed here")
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed here")


def archive(name, folder="", *, kind="tar.gz"):
    """A source archive with a project in a folder of it."""
    prefix = f"{folder}/" if folder else ""
    files = {prefix + path: text for path, text in project_files(name).items()}
    pyproject = "" if folder else files.pop("pyproject.toml")
    return make_sdist(name, "1.0", files=files, pyproject=pyproject, kind=kind)


@pytest.fixture
def index():
    served = {
        "fig-1.0.tar.gz": archive("fig"),
        "grape-1.0.zip": archive("grape", "inner", kind="zip"),
        "kiwi-1.0-py3-none-any.whl": make_wheel("kiwi", "1.0"),
    }
    with LoopbackIndex(served) as server:
        yield server


@pytest.fixture
def client(index, tmp_path):
    with Client(indexes=[index.url], cache=Cache(tmp_path / "cache"), env=os.environ) as client:
        yield client


@pytest.fixture
def places(tmp_path):
    """A project of each kind, in a folder whose name has a space. (With a # in it, pip and uv get lost.)"""
    root = tmp_path / "my projects"
    found = {
        "apple": write_project(root / "apple", "apple", requires=("banana",)),
        "banana": write_project(root / "banana", "banana"),
        "cherry": root / "cherry",
        "elder": tmp_path / "elder-1.0.tar.gz",
    }
    write_project(found["cherry"] / "python", "cherry")
    found["elder"].write_bytes(archive("elder"))
    return found


@pytest.fixture
def commit(places):
    return commit_all(places["cherry"], tag="v1")


@pytest.fixture
def resolution(client, index, places, commit):
    return Resolver(client).resolve(
        [
            Editable(path=places["apple"]),
            places["banana"],
            f"cherry @ git+{places['cherry'].as_uri()}@v1#subdirectory=python",
            places["elder"],
            f"fig @ {index.file_url('fig-1.0.tar.gz')}",
            f"grape @ {index.file_url('grape-1.0.zip')}#subdirectory=inner",
            "kiwi",
        ],
        target=Interpreter.current(),
    )


def test_each_source_is_written_so_that_it_is_found_again(resolution, index, places, commit):
    assert resolution.to_requirements_txt().splitlines() == [
        f"-e {places['apple'].as_uri()}",
        f"banana @ {places['banana'].as_uri()}",
        f"cherry @ git+{places['cherry'].as_uri()}@{commit}#subdirectory=python",
        f"elder @ {places['elder'].as_uri()}",
        f"fig @ {index.file_url('fig-1.0.tar.gz')}",
        f"grape @ {index.file_url('grape-1.0.zip')}#subdirectory=inner",
        "kiwi==1.0",
    ]


def test_hashes_are_given_for_archives_and_for_nothing_else(resolution):
    lines = resolution.to_requirements_txt(hashes=True).splitlines()
    hashed = [lines[number - 1].split()[0] for number, line in enumerate(lines) if "--hash=" in line]

    assert hashed == ["elder", "fig", "grape", "kiwi==1.0"]


def test_the_kind_of_each_source_is_told(resolution):
    packages = resolution.packages.values()

    assert {package.name: package.source for package in packages} == {
        "apple": "path",
        "banana": "path",
        "cherry": "git",
        "elder": "path",
        "fig": "url",
        "grape": "url",
        "kiwi": "index",
    }
    assert [package.name for package in packages if package.editable] == ["apple"]
    assert [package.name for package in packages if not package.location] == ["kiwi"]
    assert [package.name for package in packages if not package.needs_build] == ["kiwi"]


def test_a_round_trip_keeps_where_sources_come_from(resolution):
    data = json.loads(json.dumps(resolution.to_dict()))

    for again in (Resolution.from_dict(data), pickle.loads(pickle.dumps(resolution))):
        assert again == resolution
        assert not resolution.diff(again)
        assert again.to_dict() == resolution.to_dict()
        assert again.to_requirements_txt(hashes=True) == resolution.to_requirements_txt(hashes=True)
        for name, package in resolution.packages.items():
            assert again.packages[name].file.origin == package.file.origin, name
            assert again.packages[name] == package, name


def test_a_resolution_that_went_through_another_process_sees_a_changed_project(client, places, make_venv):
    environment = make_venv()
    installer = Installer(environment, client)
    installer.install([places["banana"]])
    (places["banana"] / "banana" / "__init__.py").write_text("changed = True\n", encoding="utf-8")

    resolution = Resolver(client).resolve([places["banana"]], target=environment)
    stored = Resolution.from_dict(json.loads(json.dumps(resolution.to_dict())))

    for again in (resolution, stored, pickle.loads(pickle.dumps(resolution))):
        assert [change.name for change in installer.plan(again).changes] == ["banana"]
    installer.install(stored)
    assert installer.plan(stored).is_empty


def test_what_was_exported_resolves_to_the_same(client, resolution, places):
    lines = resolution.to_requirements_txt().splitlines()
    again = Resolver(client).resolve(
        [Editable(path=places["apple"]), *lines[1:]], target=Interpreter.current()
    )

    assert again.to_requirements_txt().splitlines() == lines
    assert not again.diff(resolution)


def test_a_difference_tells_commits_folders_and_editables_apart(client, places, commit):
    def resolve(*requirements):
        return Resolver(client).resolve(requirements, target=Interpreter.current())

    url = f"git+{places['cherry'].as_uri()}"
    first = resolve(Editable(path=places["banana"]), f"cherry @ {url}@v1#subdirectory=python")
    newer = commit_all(write_project(places["cherry"] / "python", "cherry", "1.1").parent)
    second = resolve(places["banana"], f"cherry @ {url}@main#subdirectory=python")

    banana = f"1.0 @ {places['banana'].as_uri()}"
    assert first.diff(second).changed == {
        "banana": (f"{banana} (editable)", banana),
        "cherry": (
            f"1.0 @ {url}@{commit}#subdirectory=python",
            f"1.1 @ {url}@{newer}#subdirectory=python",
        ),
    }


def test_a_project_in_development_mode_is_another_answer(client, places):
    plain, editable = (
        Resolver(client).resolve([item], target=Interpreter.current())
        for item in (places["banana"], Editable(path=places["banana"]))
    )

    assert plain.roots == editable.roots
    assert plain != editable
    assert plain.packages["banana"] != editable.packages["banana"]


def test_two_folders_of_one_archive_are_two_sources(client, tmp_path):
    files = {f"{folder}/{path}": text for folder in "ab" for path, text in project_files("demo").items()}
    both = tmp_path / "demo.zip"
    both.write_bytes(make_sdist("demo", "1.0", files=files, pyproject="", kind="zip"))

    a, b = (
        Resolver(client).resolve(
            [f"demo @ {both.as_uri()}#subdirectory={folder}"], target=Interpreter.current()
        )
        for folder in "ab"
    )

    assert a.packages["demo"] != b.packages["demo"]
    assert a.diff(b).changed["demo"][1].endswith("/demo.zip#subdirectory=b")


def run(*command):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    environ = {**kept, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def exported(resolution, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text(resolution.to_requirements_txt(annotate=True), encoding="utf-8")
    return path


@needs_pip
def test_pip_takes_the_exported_file(exported, resolution, index, tmp_path, commit):
    report = tmp_path / "report.json"
    where = ["--target", tmp_path / "none", "--report", report, "--index-url", index.url, "--no-cache-dir"]

    run(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "-r", exported, *where)

    found = {item["metadata"]["name"]: item for item in json.loads(report.read_text())["install"]}
    assert set(found) == set(resolution.packages)
    assert found["apple"]["download_info"]["dir_info"] == {"editable": True}
    assert found["cherry"]["download_info"]["vcs_info"]["commit_id"] == commit
    assert found["grape"]["download_info"]["subdirectory"] == "inner"


@needs_uv
def test_uv_takes_the_exported_file(exported, resolution, index, make_venv, commit):
    where = ["--python", make_venv().interpreter.path, "--default-index", index.url]

    said = run(UV, "pip", "install", "--dry-run", "-r", exported, *where, "--no-config", "--no-cache")

    would = dict(re.findall(r"^ \+ (\w+)(.*)$", said, re.MULTILINE))
    assert set(would) == set(resolution.packages)
    assert commit in would["cherry"]
    assert would["kiwi"] == "==1.0"
