"""Layers, read-only caches, other volumes, file systems without locks: less is possible, nothing is wrong."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from puffin_api import Cache, Client, Installer, LinkMode, Resolver
from puffin_api._api.wiring import CacheParts
from puffin_api.errors import CacheUnavailable, OfflineMiss
from puffin_api.model import Notice
from puffin_api.testing import RecordingReporter
from tests.integration.cache_kit import installer_looks
from tests.integration.job_kit import (
    GRAPH,
    as_plain_user,
    can_be_plain_user,
    graph_files,
    leftovers,
    tree,
    versions,
)

EXPECTED = {name: version for name, (version, _) in GRAPH.items()}
SHARED_MEMORY = Path("/dev/shm")
"""Another volume, where there is one."""


def check_environment(environment):
    assert versions(environment) == EXPECTED
    assert environment.check(deep=True) == ()
    assert leftovers(environment) == []


def archives(cache):
    folder = cache.path / "archive-v0"
    return sorted(folder.iterdir()) if folder.exists() else []


def installed_file(environment, name="web"):
    return Path(environment.scheme.purelib) / name / "__init__.py"


def file_in(cache, name="web"):
    (link,) = cache.path.glob(f"wheels-v0/*/*/{name}/{name}-*")
    return Path(os.path.realpath(link)) / "files" / name / "__init__.py"


@pytest.fixture
def site(index, make_venv, tmp_path):
    """A cache that somebody has filled."""
    cache = Cache(tmp_path / "site")
    environment = make_venv("filling")
    with Client(indexes=[index.url], cache=cache) as client:
        Installer(environment, client).install(["app"])
    index.forget()
    return cache


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another volume than that of environments."""
    if not SHARED_MEMORY.is_dir() or SHARED_MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second volume")
    folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY))
    yield folder
    shutil.rmtree(folder)


def test_wheels_are_installed_straight_out_of_a_layer(site, index, make_client, make_venv, tmp_path):
    mine = Cache(tmp_path / "mine", layers=[site.path])
    before, environment = tree(site.path), make_venv()

    Installer(environment, make_client(index, cache=mine, offline=True)).install(["app"])

    check_environment(environment)
    assert archives(mine) == []
    assert tree(site.path) == before, "not a time of it has changed"
    if "hardlink" in mine.links_to(environment.root).modes:
        assert os.path.samefile(installed_file(environment), file_in(site))


@installer_looks
def test_a_damaged_wheel_of_a_layer_is_passed_over_and_fetched_into_ours(
    site, index, make_client, make_venv, tmp_path
):
    file_in(site).write_bytes(b"edited in place")
    mine = Cache(tmp_path / "mine", layers=[site.path])
    before, environment = tree(site.path), make_venv()
    client = make_client(index, cache=mine)

    report = Installer(environment, client).install(["app"])

    check_environment(environment)
    assert tree(site.path) == before
    assert [notice.code for notice in report.notices] == ["cache-repaired"]
    assert len(archives(mine)) == 1
    assert index.count("/files/web-1.5-py3-none-any.whl") == 1
    again = make_venv("again")
    assert Installer(again, make_client(index, cache=mine)).install(["app"]).notices == ()
    check_environment(again)


@installer_looks
def test_behind_a_damaged_wheel_the_next_layer_is_looked_into(site, index, make_venv, tmp_path):
    other = Cache(tmp_path / "other")
    shutil.copytree(site.path, other.path, symlinks=True, dirs_exist_ok=True)
    file_in(site).write_bytes(b"edited in place")
    environment = make_venv()

    with Client(
        indexes=[index.url], offline=True, cache=Cache(tmp_path / "mine", layers=[site.path, other.path])
    ) as client:
        Installer(environment, client).install(["app"])

    check_environment(environment)


def test_a_layer_whose_files_all_got_new_times_is_read_and_used(
    site, index, make_client, make_venv, tmp_path
):
    for path in sorted(site.path.rglob("*.py")):
        when = path.stat().st_mtime_ns + 10**12
        os.utime(path, ns=(when, when))
    before, environment = tree(site.path), make_venv()
    client = make_client(index, cache=Cache(tmp_path / "mine", layers=[site.path]), offline=True)

    report = Installer(environment, client).install(["app"])

    check_environment(environment)
    assert report.notices == ()
    assert tree(site.path) == before


def test_a_layer_on_another_volume_is_copied_out_of(index, elsewhere, make_venv, tmp_path):
    site = Cache(elsewhere / "site")
    with Client(indexes=[index.url], cache=site) as client:
        Installer(make_venv("filling"), client).install(["app"])
    environment = make_venv()

    with Client(
        indexes=[index.url], offline=True, cache=Cache(tmp_path / "mine", layers=[site.path])
    ) as client:
        report = Installer(environment, client).install(["app"])

    check_environment(environment)
    assert [notice.code for notice in report.notices] == ["link-fallback"]


def test_a_cache_and_a_layer_on_different_volumes_are_linked_each_in_its_way(
    index, elsewhere, make_venv, tmp_path
):
    near, far = Cache(tmp_path / "near"), Cache(elsewhere / "far")
    for cache, name in ((near, "log"), (far, "app")):
        with Client(indexes=[index.url], cache=cache) as client:
            Installer(make_venv(f"filling-{name}"), client).install([name])
    environment = make_venv()

    with Client(indexes=[index.url], offline=True, cache=Cache(near.path, layers=[far.path])) as client:
        report = Installer(environment, client).install(["app"])

    check_environment(environment)
    assert [notice.code for notice in report.notices] == ["link-fallback"]
    if "hardlink" in near.links_to(environment.root).modes:
        assert os.path.samefile(installed_file(environment, "log"), file_in(near, "log"))


@pytest.mark.parametrize("mode", [LinkMode.HARDLINK, LinkMode.AUTO, LinkMode.COPY])
def test_a_cache_on_another_volume_than_the_environment(index, elsewhere, make_venv, mode):
    environment = make_venv()
    with Client(indexes=[index.url], cache=Cache(elsewhere / "cache", link_mode=mode)) as client:
        report = Installer(environment, client).install(["app"])

    check_environment(environment)
    codes = [notice.code for notice in report.notices]
    assert codes == ([] if mode is LinkMode.COPY else ["link-fallback"])


def test_a_read_only_cache_installs_what_it_has_and_is_not_touched(site, index, make_client, make_venv):
    cache = Cache(site.path, read_only=True)
    before, environment = tree(site.path), make_venv()

    Installer(environment, make_client(index, cache=cache, offline=True)).install(["app"])

    check_environment(environment)
    assert tree(site.path) == before


def test_what_a_read_only_cache_lacks_is_a_typed_error_and_nothing_is_written(
    site, serve, make_client, make_venv
):
    index = serve(graph_files({"new": ("1.0", [])}))
    cache = Cache(site.path, read_only=True)
    before, environment = tree(site.path), make_venv()

    with pytest.raises(CacheUnavailable):
        Installer(environment, make_client(index, cache=cache)).install(["new"])

    assert tree(site.path) == before
    for tidy in (cache.prune, lambda: cache.remove(["web"])):
        with pytest.raises(CacheUnavailable, match="read-only"):
            tidy()
    assert tree(site.path) == before


@installer_looks
def test_damage_in_a_read_only_cache_is_reported_and_left(site, index, make_client, make_venv):
    file_in(site).write_bytes(b"edited in place")
    cache = Cache(site.path, read_only=True)
    before = tree(site.path)

    report = cache.verify()

    assert "leads to a damaged archive" in report.damaged.values()
    assert report.removed == ()
    with pytest.raises(CacheUnavailable):
        Installer(make_venv(), make_client(index, cache=cache)).install(["app"])
    with pytest.raises((CacheUnavailable, OfflineMiss)):
        Installer(make_venv("off"), make_client(index, cache=cache, offline=True)).install(["app"])
    assert tree(site.path) == before


@pytest.mark.skipif(not can_be_plain_user(), reason="modes of folders mean nothing to this user")
def test_a_cache_without_the_right_to_write_installs_what_it_has(site, index, make_client, make_venv):
    folders = [site.path, *[path for path in site.path.rglob("*") if path.is_dir() and not path.is_symlink()]]
    environment = make_venv()
    for folder in folders:
        folder.chmod(0o555)
    try:
        before = tree(site.path)
        client = make_client(index, cache=Cache(site.path), offline=True)
        as_plain_user(lambda: Installer(environment, client).install(["app"]))
        names = tree(site.path).keys()
    finally:
        for folder in folders:
            folder.chmod(0o755)

    check_environment(environment)
    assert names == before.keys()


@installer_looks
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_everything_works_and_a_notice_tells(index, make_venv, tmp_path, number):
    def take(_):
        raise OSError(number, os.strerror(number))

    cache, environment, reporter = Cache(tmp_path / "cache"), make_venv(), RecordingReporter()
    vars(cache)["_parts"] = CacheParts(cache.path, read_only=False, lock_timeout=10.0, layers=[], take=take)

    with Client(indexes=[index.url], cache=cache) as client:
        resolution = Resolver(client).resolve(["app"], target=environment)
        report = Installer(environment, client).install(resolution, reporter=reporter)

    check_environment(environment)
    told = [notice for notice in report.notices if notice.code == "locks-degraded"]
    places = {Path(str(notice.data["path"])).parent for notice in told}
    assert len(told) == len(places) == 2, "one for the cache, one for the environment"
    assert cache.path / ".locks" in places
    assert [event for event in reporter.events if isinstance(event, Notice)] == told
    assert list(tmp_path.rglob("*.marker")) == []
