"""Folders of one archive or repository are sources of their own, and each is one, however it is spelled."""

from __future__ import annotations

import json

import pytest

from puffin_api import Installer
from puffin_api.errors import RequirementInvalid, ResolutionFailed
from puffin_api.testing import make_sdist
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import versions, wheel
from tests.integration.source_kit import Journal, project, resolve

KINDS = ["url", "path", pytest.param("git", marks=needs_git)]
SPELLINGS = ["libs/a/", "./libs/a", "libs//a", "libs/./a", "libs%2Fa", "lib%73/a", "libs/%61/"]


@pytest.fixture
def client(make_client, tmp_path):
    (tmp_path / "home").mkdir()
    return make_client(env=git_env(tmp_path / "home"))


@pytest.fixture(params=KINDS)
def url(request, serve, tmp_path):
    """Where two folders hold the same version of the same project, with different requirements."""
    journal = Journal(tmp_path / "journal")
    files = {}
    for folder, needed in (("a", "log"), ("b", "net")):
        parts = project(journal, version="1.0", requires=[needed], static=True, text=f"value = {folder!r}\n")
        files |= {f"libs/{folder}/{path}": text for path, text in parts.items()}
    if request.param == "git":
        repository = Repository(tmp_path / "repository")
        repository.write(files)
        return repository.url
    headers = {"Metadata-Version": "2.1"}
    data = make_sdist("mono", "1.0", files=files, pyproject="", metadata_headers=headers)
    index = serve({"mono-1.0.tar.gz": data})
    (tmp_path / "mono-1.0.tar.gz").write_bytes(data)
    return (
        index.file_url("mono-1.0.tar.gz")
        if request.param == "url"
        else (tmp_path / "mono-1.0.tar.gz").as_uri()
    )


@pytest.fixture
def with_index(make_client, serve, tmp_path):
    (tmp_path / "home").mkdir()
    index = serve(wheel("log", "1.0") | wheel("net", "1.0"))
    return make_client(index, env=git_env(tmp_path / "home"))


def test_two_folders_are_a_conflict_with_a_proof(with_index, make_venv, url):
    wanted = [f"demo @ {url}#subdirectory=libs/{folder}" for folder in "ab"]

    with pytest.raises(ResolutionFailed) as caught:
        resolve(with_index, make_venv(), *wanted)

    told = caught.value.explain("full")
    assert "#subdirectory=libs/a" in told
    assert "#subdirectory=libs/b" in told
    assert {text.partition("#")[2] for text in caught.value.conflicts} == {
        "subdirectory=libs/a",
        "subdirectory=libs/b",
    }


def test_a_folder_and_the_whole_are_a_conflict(client, make_venv, tmp_path, serve):
    parts = project(Journal(tmp_path / "journal"), static=True)
    files = parts | {f"inner/{path}": text for path, text in parts.items()}
    pyproject = files.pop("pyproject.toml")
    index = serve({"demo-1.0.tar.gz": make_sdist("demo", "1.0", files=files, pyproject=pyproject)})
    address = index.file_url("demo-1.0.tar.gz")

    with pytest.raises(ResolutionFailed):
        resolve(client, make_venv(), f"demo @ {address}", f"demo @ {address}#subdirectory=inner")


@pytest.mark.parametrize("folder", ["a", "b"])
def test_each_folder_has_metadata_and_files_of_its_own(with_index, make_venv, url, folder):
    """In one client and one cache, so that nothing kept of one counts for the other."""
    for name in (folder, "ab".replace(folder, "")):
        environment = make_venv(name)
        resolution = resolve(with_index, environment, f"demo @ {url}#subdirectory=libs/{name}")
        Installer(environment, with_index).install(resolution)

        assert set(versions(environment)) == {"demo", {"a": "log", "b": "net"}[name]}
        (demo,) = [dist for dist in environment.installed() if dist.name == "demo"]
        assert (demo.location.parent / "demo.py").read_text() == f"value = {name!r}\n"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_folder_is_one_however_it_is_spelled(with_index, make_venv, url, spelling):
    plain, odd = f"demo @ {url}#subdirectory=libs/a", f"demo @ {url}#subdirectory={spelling}"
    environment = make_venv()

    resolution = resolve(with_index, environment, plain, odd)
    Installer(environment, with_index).install(resolution)

    assert resolution.packages["demo"].location.endswith("#subdirectory=libs/a")
    assert environment.satisfies([odd])
    (demo,) = [dist for dist in environment.installed() if dist.name == "demo"]
    assert json.loads(demo.read_text("direct_url.json"))["subdirectory"] == "libs/a"
    again = resolve(with_index, environment, odd)
    assert not Installer(environment, with_index).install(again).changed


def test_what_another_tool_has_spelled_otherwise_is_met(with_index, make_venv, url):
    environment = make_venv()
    plain = f"demo @ {url}#subdirectory=libs/a"
    resolution = resolve(with_index, environment, plain)
    Installer(environment, with_index).install(resolution)
    (demo,) = [dist for dist in environment.installed() if dist.name == "demo"]
    file = next(demo.location.glob("direct_url.json"))
    text = file.read_text()
    assert '"libs/a"' in text
    file.write_text(text.replace('"libs/a"', '"./libs/a/"'))

    assert environment.satisfies([plain])
    assert Installer(environment, with_index).plan(resolution).is_empty


@pytest.mark.parametrize("folder", ["..", "/libs/a", "libs/a/../../.."])
def test_a_folder_that_leads_out_is_not_made_one_that_does_not(client, make_venv, url, folder):
    with pytest.raises(RequirementInvalid, match=r"subdirectory is not inside|has no folder"):
        resolve(client, make_venv(), f"demo @ {url}#subdirectory={folder}", dependencies=False)
