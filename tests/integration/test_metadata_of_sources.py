"""What a client says of source distributions: what they promise, and nothing that takes a build."""

from __future__ import annotations

from puffin_api import Interpreter, Resolver
from puffin_api.errors import BuildForbidden
from puffin_api.model import CoreMetadata, DistFile, Project
from puffin_api.testing import FailingRunner, FakeIndex, make_sdist
from tests.integration.job_kit import find_error


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
