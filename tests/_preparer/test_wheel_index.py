from __future__ import annotations

import os

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout, index_kind, path_kind, url_kind
from puffin_api._fs import PointerFileDirectoryLink, SymlinkDirectoryLink
from puffin_api._model.file import DistFile
from puffin_api._preparer.wheel_index import CachedWheels, wheel_kind
from puffin_api._testing.wheels import make_wheel
from puffin_api._urls import path_to_url
from puffin_api._wheel.unpack import unpack_wheel

INDEX = "https://index.test/simple"


def dist_file(
    name="demo", version="1.0", *, hashes=None, index=INDEX, url="https://files.test/x.whl"
) -> DistFile:
    filename = f"{name}-{version}-py3-none-any.whl"
    return DistFile(name=name, version=version, filename=filename, url=url, hashes=hashes or {}, index=index)


@pytest.fixture(params=[SymlinkDirectoryLink, PointerFileDirectoryLink])
def cache(request, tmp_path):
    layout = CacheLayout(tmp_path / "cache")
    layout.initialize()
    return layout, ArchiveStore(layout, request.param())


def publish(cache, file, *, content=None, source_hashes=None):
    layout, store = cache
    with store.scratch() as scratch:
        (scratch / "wheel").write_bytes(content or make_wheel(file.name, file.version))
        unpack_wheel(
            scratch / "wheel", scratch / "archive", filename=file.filename, source_hashes=source_hashes
        )
        return store.persist(scratch / "archive", CachedWheels(layout, store).link(file))


def test_an_empty_cache_has_no_wheels(cache):
    assert CachedWheels(*cache).lookup(dist_file()) is None
    assert CachedWheels(*cache).lookup_all([dist_file()]) == {}


def test_a_published_wheel_is_found_with_its_manifest(cache):
    archive = publish(cache, dist_file())

    wheel = CachedWheels(*cache).lookup(dist_file())

    assert wheel is not None
    assert (wheel.name, wheel.version, wheel.archive) == ("demo", "1.0", archive)
    assert "demo/__init__.py" in wheel.manifest.files


def test_manifests_are_read_once(cache):
    archive = publish(cache, dist_file())
    wheels = CachedWheels(*cache)
    first = wheels.lookup(dist_file())
    (archive / "manifest.json").write_bytes(b"damaged")

    assert wheels.lookup(dist_file()) is first
    assert CachedWheels(*cache).lookup(dist_file()) is None


def test_the_link_decides_even_when_the_archive_is_remembered(cache):
    wheels = CachedWheels(*cache)
    publish(cache, dist_file())
    first = wheels.lookup(dist_file())
    second = publish(cache, dist_file())

    found = wheels.lookup(dist_file())

    assert first is not None
    assert found is not None
    assert found.archive == second != first.archive


def test_a_wheel_with_digests_is_looked_up_again_once_its_link_or_archive_is_another(cache, monkeypatch):
    file = dist_file(hashes={"sha256": "aa"})
    followed = []
    lookup = ArchiveStore.lookup
    monkeypatch.setattr(ArchiveStore, "lookup", lambda *args: followed.append(1) or lookup(*args))
    wheels = CachedWheels(*cache)
    first = publish(cache, file, source_hashes={"sha256": "aa"})

    assert [wheels.lookup(file).archive for _ in range(3)] == [first] * 3
    assert len(followed) == 1
    second = publish(cache, file, source_hashes={"sha256": "aa"})
    assert wheels.lookup(file).archive == second
    (second / "manifest.json").unlink()
    assert wheels.lookup(file) is None
    cache[1].forget(wheels.link(file))
    assert wheels.lookup(file) is None
    publish(cache, file, source_hashes={"sha256": "bb"})
    assert wheels.lookup(file) is None


def test_wheels_of_other_origins_are_other_wheels(cache):
    publish(cache, dist_file())
    wheels = CachedWheels(*cache)

    assert wheels.lookup(dist_file(index="https://other.test/simple")) is None
    assert wheels.lookup(dist_file(index="")) is None
    assert wheels.lookup(dist_file(version="1.1")) is None


@pytest.mark.parametrize(
    ("recorded", "expected", "found"),
    [
        ({"sha256": "aa"}, {}, True),
        ({"sha256": "aa"}, {"sha256": "AA"}, True),
        ({"sha256": "aa"}, {"sha256": "bb"}, False),
        ({"sha256": "aa", "md5": "cc"}, {"md5": "cc"}, True),
        ({"sha256": "aa", "md5": "cc"}, {"md5": "cc", "sha256": "bb"}, False),
        ({"sha256": "aa"}, {"sha512": "dd"}, False),
        ({}, {"sha256": "aa"}, False),
    ],
)
def test_an_archive_of_other_bytes_than_the_index_says_is_not_used(cache, recorded, expected, found):
    publish(cache, dist_file(), source_hashes=recorded)

    assert (CachedWheels(*cache).lookup(dist_file(hashes=expected)) is not None) is found


def test_an_archive_of_another_project_is_not_used(cache):
    layout, store = cache
    with store.scratch() as scratch:
        (scratch / "wheel").write_bytes(make_wheel("other", "1.0"))
        unpack_wheel(scratch / "wheel", scratch / "archive", filename="other-1.0-py3-none-any.whl")
        store.persist(scratch / "archive", CachedWheels(layout, store).link(dist_file()))

    assert CachedWheels(layout, store).lookup(dist_file()) is None


def test_all_that_are_there_are_given_by_name(cache):
    files = [dist_file("one"), dist_file("two"), dist_file("three")]
    publish(cache, files[0])
    publish(cache, files[2])
    sdist = DistFile(name="four", version="1", filename="four-1.tar.gz", url="https://files.test/four")

    assert CachedWheels(*cache).lookup_all([*files, sdist]).keys() == {"one", "three"}


def test_files_are_kept_apart_by_where_they_come_from(tmp_path):
    local = tmp_path / "x.whl"
    local.write_bytes(b"1")

    assert wheel_kind(dist_file()) == index_kind(INDEX)
    assert wheel_kind(dist_file(index="")) == url_kind("https://files.test/x.whl")
    assert wheel_kind(dist_file(index="", url=path_to_url(local))).startswith(path_kind(local))
    assert wheel_kind(dist_file(index="", url=path_to_url(tmp_path / "no"))) == path_kind(tmp_path / "no")


def test_a_local_wheel_that_was_replaced_is_another_wheel(cache, tmp_path):
    local = tmp_path / "demo-1.0-py3-none-any.whl"
    local.write_bytes(make_wheel("demo", "1.0"))
    file = dist_file(index="", url=path_to_url(local))
    publish(cache, file)
    assert CachedWheels(*cache).lookup(file) is not None

    os.utime(local, ns=(1, 1))

    assert CachedWheels(*cache).lookup(file) is None


def test_the_caller_may_know_better_where_files_come_from(cache):
    layout, store = cache
    wheels = CachedWheels(layout, store, kind=lambda file: "special")

    assert wheels.link(dist_file()) == layout.wheel("special", "demo", "demo-1.0-py3-none-any")
