"""The metadata of sources: what they promise, what a build tells, and what happens where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from puffin_api import Cache, Interpreter, Resolver
from puffin_api._cache.layout import CacheLayout, path_kind
from puffin_api.errors import BuildForbidden, NetworkError
from puffin_api.model import CoreMetadata, DistFile, Project
from puffin_api.testing import FailingRunner, FakeIndex, make_sdist
from tests.integration.job_kit import find_error
from tests.integration.source_kit import Journal, project, resolve, sdist, write_tree


def test_a_client_gives_what_sources_promise(serve, make_client):
    headers = {"Metadata-Version": "2.2"}
    index = serve(
        {
            "plain-1.0.tar.gz": make_sdist("plain", "1.0", requires=["log"], metadata_headers=headers),
            "moving-1.0.tar.gz": make_sdist("moving", "1.0", dynamic=["Requires-Dist"]),
        }
    )
    client = make_client(index)
    (plain,), (moving,) = client.project("plain").files, client.project("moving").files

    core = client.metadata(plain)

    assert (core.name, core.version, core.requires_dist) == ("plain", "1.0", ("log",))
    assert isinstance(find_error(lambda: client.metadata(moving)), BuildForbidden)
    error = find_error(lambda: client.fetch(plain))
    assert isinstance(error, BuildForbidden)
    assert error.hint


def test_a_source_of_the_callers_gives_the_metadata_of_its_sources(make_client):
    source = FakeIndex()
    source.add("log", "1.0")
    file = DistFile(name="app", version="1.0", filename="app-1.0.tar.gz", url="memory:app", index="memory")

    class Knowing:
        def project(self, name):
            if name == "app":
                return Project(name="app", versions=("1.0",), files=(file,))
            return source.project(name)

        def metadata(self, asked):
            if asked.name == "app":
                return CoreMetadata(name="app", version="1.0", requires_dist=("log",))
            return source.metadata(asked)

        def fetch(self, asked, target):
            assert asked.name != "app", "nothing has to be fetched"
            source.fetch(asked, target)

    client = make_client(Knowing())

    found = Resolver(client, runner=FailingRunner()).resolve(["app"], target=Interpreter.current()).packages

    assert sorted(found) == ["app", "log"]
    assert client.metadata(client.project("app").files[0]).requires_dist == ("log",)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 404}, {"reset": True}])
def test_a_version_whose_sources_cannot_be_had_is_not_passed_over(
    serve, make_client, make_venv, tmp_path, fault
):
    """Another time they can: the answer must not depend on it."""
    journal = Journal(tmp_path / "journal")
    files = {}
    for version in ("1.0", "2.0"):
        files |= sdist(project(journal, version=version), version=version)
    index, environment = serve(files), make_venv()
    client = make_client(index)
    index.fail("demo-2.0", **fault)

    with pytest.raises(NetworkError):
        resolve(client, environment, "demo")

    assert resolve(client, environment, "demo").packages["demo"].version == "2.0"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="the system has no folder that nobody can write")
@pytest.mark.parametrize("is_named", [True, False])
def test_metadata_that_there_is_no_room_for_is_used_all_the_same(
    serve, make_client, make_venv, tmp_path, is_named
):
    tree = write_tree(tmp_path / "tree", project(Journal(tmp_path / "journal")))
    cache = Cache(tmp_path / "cache")
    place = CacheLayout(cache.path).built(path_kind(tree), "demo").parent
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to("/proc/self")
    wanted = f"demo @ {tree.as_uri()}" if is_named else tree

    resolution = resolve(make_client(serve(), cache=cache), make_venv(), wanted)

    assert resolution.packages["demo"].version == "1.0"
    assert resolution.packages["demo"].metadata_from == "build"
