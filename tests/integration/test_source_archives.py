"""Archives of sources by URL and by path: kinds, digests, folders inside, and the same project elsewhere."""

from __future__ import annotations

import json

import pytest

from puffin_api import Cache, Installer, PuffinError, Resolver
from puffin_api.errors import HashMismatch, RequirementInvalid, ResolutionFailed, UnsafeArchive
from puffin_api.model import BuildPolicy
from puffin_api.testing import FailingRunner, make_sdist
from tests.integration.job_kit import versions, wheel
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist, sha256

KINDS = ["tar.gz", "zip", "tar.bz2", "tar.xz"]


@pytest.fixture
def archive(journal):
    """The name and the bytes of a source distribution."""
    return next(iter(sdist(project(journal)).items()))


def address(index, name):
    return f"{index.url.removesuffix('simple/')}files/{name}"


def direct_url(environment):
    (dist,) = environment.installed()
    return json.loads(dist.read_text("direct_url.json"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_by_url(serve, make_client, make_venv, journal, kind):
    ((name, data),) = sdist(project(journal), kind=kind).items()
    index = serve({name: data})
    client, environment = make_client(index), make_venv()

    resolution = resolve(client, environment, f"demo @ {address(index, name)}")
    Installer(environment, client).install(resolution)

    assert versions(environment) == {"demo": "1.0"}
    assert resolution.packages["demo"].file.hashes["sha256"] == sha256(data)
    assert direct_url(environment)["url"] == address(index, name)
    assert sum(request.path.endswith(name) for request in index.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_by_path(make_client, make_venv, journal, tmp_path, kind):
    ((name, data),) = sdist(project(journal), kind=kind).items()
    path = tmp_path / name
    path.write_bytes(data)
    client = make_client()

    for place, wanted in (("one", path), ("two", f"demo @ {path.as_uri()}")):
        environment = make_venv(place)
        Installer(environment, client).install(resolve(client, environment, wanted))
        assert versions(environment) == {"demo": "1.0"}
        assert direct_url(environment) == {
            "url": path.as_uri(),
            "archive_info": {"hash": f"sha256={sha256(data)}", "hashes": {"sha256": sha256(data)}},
        }
    assert journal.hooks == ["metadata demo", "wheel demo"]


def test_another_file_at_the_same_path(make_client, make_venv, journal, tmp_path):
    path = tmp_path / "demo-1.0.tar.gz"
    client = make_client()
    for text in ("value = 1\n", "value = 2\n"):
        (data,) = sdist(project(journal, text=text)).values()
        path.write_bytes(data)
        environment = make_venv(text[-2])
        Installer(environment, client).install(resolve(client, environment, path))
        (dist,) = environment.installed()
        assert (dist.location.parent / "demo.py").read_text() == text


def test_a_digest_in_the_fragment(serve, make_client, make_venv, archive):
    name, data = archive
    index = serve({name: data})
    client, environment = make_client(index), make_venv()
    url = address(index, name)

    resolution = resolve(client, environment, f"demo @ {url}#sha256={sha256(data)}")
    Installer(environment, client).install(resolution)

    assert versions(environment) == {"demo": "1.0"}
    assert direct_url(environment)["archive_info"]["hashes"] == {"sha256": sha256(data)}


@pytest.mark.parametrize("when", ["cold", "warm"])
@pytest.mark.parametrize("place", ["url", "path"])
def test_a_wrong_digest(serve, make_client, make_venv, archive, journal, tmp_path, when, place):
    name, data = archive
    index = serve({name: data})
    (tmp_path / name).write_bytes(data)
    url = {"url": address(index, name), "path": (tmp_path / name).as_uri()}[place]
    client, environment = make_client(index), make_venv()
    if when == "warm":
        Installer(environment, client).install(resolve(client, environment, f"demo @ {url}"))
        journal.take()

    with pytest.raises(HashMismatch) as caught:
        resolve(client, environment, f"demo @ {url}#sha256={'0' * 64}")

    assert list(caught.value.expected) == [f"sha256:{'0' * 64}"]
    assert caught.value.actual == f"sha256:{sha256(data)}"
    assert journal.hooks == []
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_an_old_digest_in_the_fragment(serve, make_client, make_venv, archive):
    import hashlib

    name, data = archive
    index = serve({name: data})
    client, environment = make_client(index), make_venv()
    url = address(index, name)

    md5 = hashlib.md5(data).hexdigest()
    assert "demo" in resolve(client, environment, f"demo @ {url}#md5={md5}").packages
    with pytest.raises(HashMismatch):
        resolve(make_client(index), environment, f"demo @ {url}#md5={'0' * 32}")


def test_a_folder_of_an_archive(serve, make_client, make_venv, journal):
    files = {f"libs/demo/{path}": text for path, text in project(journal).items()}
    data = make_sdist("mono", "1.0", files=files, pyproject="", metadata_headers={"Metadata-Version": "2.1"})
    index = serve({"mono-1.0.tar.gz": data})
    client, environment = make_client(index), make_venv()
    url = address(index, "mono-1.0.tar.gz")

    Installer(environment, client).install(
        resolve(client, environment, f"demo @ {url}#subdirectory=libs/demo")
    )

    assert versions(environment) == {"demo": "1.0"}
    assert (direct_url(environment)["url"], direct_url(environment)["subdirectory"]) == (url, "libs/demo")
    with pytest.raises(RequirementInvalid, match="libs/other"):
        resolve(client, environment, f"demo @ {url}#subdirectory=libs/other")


@pytest.mark.parametrize("place", ["url", "path"])
def test_two_folders_of_one_archive(serve, make_client, make_venv, journal, tmp_path, place):
    files = {}
    for name, needed in (("one", "log"), ("two", "net")):
        parts = project(journal, name, requires=[needed])
        files |= {f"libs/{name}/{path}": text for path, text in parts.items()}
    data = make_sdist("mono", "1.0", files=files, pyproject="", metadata_headers={"Metadata-Version": "2.1"})
    index = serve({"mono-1.0.tar.gz": data} | wheel("log", "1.0") | wheel("net", "1.0"))
    (tmp_path / "mono-1.0.tar.gz").write_bytes(data)
    client, environment = make_client(index), make_venv()
    where = {"url": address(index, "mono-1.0.tar.gz"), "path": (tmp_path / "mono-1.0.tar.gz").as_uri()}
    wanted = {name: f"{name} @ {where[place]}#subdirectory=libs/{name}" for name in ("one", "two")}

    resolution = resolve(client, environment, *wanted.values())
    Installer(environment, client).install(resolution)

    assert versions(environment) == dict.fromkeys(("one", "two", "log", "net"), "1.0")
    assert [edge.requirement for edge in resolution.packages["two"].requires] == ["net"]
    assert all(text in resolution.to_requirements_txt() for text in wanted.values())


@pytest.mark.parametrize("folder", ["../..", "/etc", "libs/../../.."])
def test_a_folder_that_is_not_in_the_archive(serve, make_client, make_venv, archive, folder):
    name, data = archive
    index = serve({name: data})

    with pytest.raises(RequirementInvalid):
        resolve(make_client(index), make_venv(), f"demo @ {address(index, name)}#subdirectory={folder}")


def test_a_url_and_a_release_of_one_project_conflict(serve, make_client, make_venv, archive):
    name, data = archive
    index = serve({name: data} | wheel("demo", "2.0") | wheel("app", "1.0", requires=["demo>=2"]))

    with pytest.raises(ResolutionFailed) as caught:
        resolve(make_client(index), make_venv(), f"demo @ {address(index, name)}", "app")

    text = caught.value.explain()
    assert address(index, name) in text
    assert "app" in text
    assert "demo>=2" in text


def test_a_url_stands_for_the_project_of_an_index(serve, make_client, make_venv, archive):
    name, data = archive
    index = serve({name: data} | wheel("demo", "2.0") | wheel("app", "1.0", requires=["demo"]))

    resolution = resolve(make_client(index), make_venv(), "app", f"demo @ {address(index, name)}")

    assert resolution.packages["demo"].version == "1.0"


def test_static_metadata_needs_no_process(serve, make_client, make_venv, journal):
    ((name, data),) = sdist(
        project(journal, static=False), requires=["log"], metadata_headers={"Metadata-Version": "2.2"}
    ).items()
    index = serve({name: data} | wheel("log", "1.0"))
    client, environment = make_client(index), make_venv()

    for wanted in ("demo", f"demo @ {address(index, name)}"):
        resolution = Resolver(client, runner=FailingRunner()).resolve(
            [wanted], target=environment, build_policy=BuildPolicy.NEVER
        )
        assert set(resolution.packages) == {"demo", "log"}
        assert resolution.packages["demo"].metadata_from == "sdist"
        assert resolution.packages["demo"].needs_build


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive(serve, make_client, make_venv, tmp_path, data):
    index = serve({"demo-1.0.tar.gz": data})

    with pytest.raises(PuffinError) as caught:
        resolve(make_client(index), make_venv(), f"demo @ {address(index, 'demo-1.0.tar.gz')}")

    assert isinstance(caught.value, UnsafeArchive)
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_an_archive_that_would_write_outside(serve, make_client, make_venv, journal, tmp_path):
    ((name, data),) = sdist(project(journal) | {"../../../escaped": "x"}).items()
    index, environment = serve({name: data}), make_venv()

    with pytest.raises(ResolutionFailed, match="is refused"):
        resolve(make_client(index), environment, "demo")
    with pytest.raises(UnsafeArchive):
        resolve(make_client(index), environment, f"demo @ {address(index, name)}")

    assert not list(tmp_path.rglob("escaped"))
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_another_file_at_the_same_url(serve, make_client, make_venv, journal):
    """Without a digest, what the server has now is what is meant; a new client asks it."""
    (first,) = sdist(project(journal, text="value = 1\n")).values()
    (second,) = sdist(project(journal, text="value = 2\n")).values()
    index = serve({"demo-1.0.tar.gz": first})
    url = address(index, "demo-1.0.tar.gz")
    resolve(make_client(index), make_venv("one"), f"demo @ {url}")
    index.add("demo-1.0.tar.gz", second)

    client, environment = make_client(index), make_venv("two")
    Installer(environment, client).install(resolve(client, environment, f"demo @ {url}"))

    (dist,) = environment.installed()
    assert (dist.location.parent / "demo.py").read_text() == "value = 2\n"
