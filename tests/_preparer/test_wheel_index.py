from __future__ import annotations

import os

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout, index_kind, path_kind, url_kind
from puffin_api._fs import PointerFileDirectoryLink, SymlinkDirectoryLink
from puffin_api._model.file import DistFile
from puffin_api._preparer.wheel_index import GONE, CachedWheels, wheel_kind
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
    candidates = ArchiveStore.candidates
    monkeypatch.setattr(ArchiveStore, "candidates", lambda *args: followed.append(1) or candidates(*args))
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


def edit(archive, *, later=10**9):
    """Write to a file of an archive through a link, as an editor would."""
    file = archive / "files" / "demo" / "__init__.py"
    when = os.stat(archive / "manifest.json").st_mtime_ns + later
    file.write_bytes(b"changed")
    os.utime(file, ns=(when, when))


def test_a_damaged_archive_is_told_and_not_found_again(cache):
    file = dist_file(hashes={"sha256": "aa"})
    archive = publish(cache, file, source_hashes={"sha256": "aa"})
    wheels = CachedWheels(*cache)
    wheel = wheels.lookup(file)
    assert wheels.damage(wheel) == ""

    edit(archive)

    assert wheels.lookup(file) is wheel, "a look-up costs nothing"
    assert "demo/__init__.py" in wheels.damage(wheel)
    assert wheels.lookup(file) is None
    assert cache[1].lookup(wheels.link(file)) == archive, "the link is for whoever makes it anew"
    wheels.forget_damaged(file)
    assert cache[1].lookup(wheels.link(file)) is None


def test_forgetting_a_damaged_archive_leaves_the_link_to_a_new_one(cache):
    file = dist_file()
    wheels = CachedWheels(*cache)
    old = publish(cache, file)
    wheel = wheels.lookup(file)
    edit(old)
    assert wheels.damage(wheel)
    new = publish(cache, file)

    wheels.forget_damaged(file)

    assert wheels.lookup(file).archive == new


def test_an_archive_that_is_gone_is_another_thing_than_a_damaged_one(cache):
    archive = publish(cache, dist_file())
    wheels = CachedWheels(*cache)
    wheel = wheels.lookup(dist_file())
    (archive / "manifest.json").unlink()

    assert wheels.damage(wheel) == GONE


def test_a_manifest_that_was_written_to_since_it_was_read_does_not_hide_what_was_before(cache):
    archive = publish(cache, dist_file())
    wheels = CachedWheels(*cache)
    wheel = wheels.lookup(dist_file())
    file = archive / "files" / "demo-1.0.dist-info" / "METADATA"
    file.write_bytes(b"x" * file.stat().st_size)
    later = os.stat(file).st_mtime_ns + 10**9
    os.utime(archive / "manifest.json", ns=(later, later))

    assert "METADATA has other content" in wheels.damage(wheel)


def test_files_with_new_times_are_read_once_in_a_cache_of_ours(cache):
    archive = publish(cache, dist_file())
    file = archive / "files" / "demo" / "__init__.py"
    later = os.stat(archive / "manifest.json").st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))
    wheels = CachedWheels(*cache)

    assert wheels.damage(wheels.lookup(dist_file())) == ""

    assert os.stat(archive / "manifest.json").st_mtime_ns == later


@pytest.mark.parametrize("damage", ["manifest", "file"])
def test_behind_a_damaged_archive_a_layer_is_looked_into(tmp_path, damage):
    mine, site = CacheLayout(tmp_path / "mine"), CacheLayout(tmp_path / "site")
    archives = {}
    for layout in (mine, site):
        layout.initialize()
        archives[layout] = publish((layout, ArchiveStore(layout, SymlinkDirectoryLink())), dist_file())
    wheels = CachedWheels(mine, ArchiveStore(mine, SymlinkDirectoryLink(), layers=[site]))
    if damage == "manifest":
        (archives[mine] / "manifest.json").write_bytes(b"half")
    else:
        wheel = wheels.lookup(dist_file())
        assert wheel.archive == archives[mine]
        edit(wheel.archive)
        assert wheels.damage(wheel)

    assert wheels.lookup(dist_file()).archive == archives[site]


def test_a_layer_is_never_written_to(tmp_path):
    mine, site = CacheLayout(tmp_path / "mine"), CacheLayout(tmp_path / "site")
    site.initialize()
    archive = publish((site, ArchiveStore(site, SymlinkDirectoryLink())), dist_file())
    later = os.stat(archive / "manifest.json").st_mtime_ns + 10**9
    os.utime(archive / "files" / "demo" / "__init__.py", ns=(later, later))
    wheels = CachedWheels(mine, ArchiveStore(mine, SymlinkDirectoryLink(), layers=[site]))

    assert wheels.damage(wheels.lookup(dist_file())) == ""
    assert os.stat(archive / "manifest.json").st_mtime_ns == later - 10**9
    edit(archive, later=2 * 10**9)
    assert wheels.damage(wheels.lookup(dist_file()))
    wheels.forget_damaged(dist_file())
    assert os.path.lexists(site.root / wheels.link(dist_file()).relative_to(mine.root))
