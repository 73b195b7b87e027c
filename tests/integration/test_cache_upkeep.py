"""Verifying and pruning a real cache, alone and while others work."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from puffin_api import Cache, CancelToken, Client, Environment, Installer, Interpreter, LinkMode, Resolver
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.leases import Leases
from puffin_api.errors import Cancelled
from puffin_api.testing import LoopbackIndex
from tests.integration.cache_kit import installer_looks
from tests.integration.job_kit import GRAPH, graph_files, leftovers, tree, versions

EXPECTED = {name: version for name, (version, _) in GRAPH.items()}
THREADS = 8
SECONDS = 3.0


def check_environment(environment):
    assert versions(environment) == EXPECTED
    assert environment.check(deep=True) == ()
    assert leftovers(environment) == []


def archive_of(cache, name):
    (link,) = cache.path.glob(f"wheels-v0/*/*/{name}/{name}-*")
    return Path(os.path.realpath(link))


def fill(index, environment, cache):
    with Client(indexes=[index.url], cache=cache) as client:
        return Installer(environment, client).install(["app"])


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def test_zeros_that_no_time_tells_are_found_by_digest_and_fetched_anew(index, cache, make_venv):
    fill(index, make_venv("first"), cache)
    archive = archive_of(cache, "web")
    noise = archive / "files" / "web" / "__init__.py"
    before = noise.stat()
    noise.write_bytes(bytes(before.st_size))
    os.utime(noise, ns=(before.st_atime_ns, before.st_mtime_ns))

    reported = cache.verify(repair=False)
    report = cache.verify()

    assert reported.removed == ()
    assert report.damaged == reported.damaged
    assert report.damaged[archive] == "web/__init__.py has other content"
    assert archive in report.removed
    assert report.bytes > 0
    assert report.to_dict()["damaged"][str(archive)] == "web/__init__.py has other content"
    environment = make_venv("second")
    fill(index, environment, cache)
    check_environment(environment)
    assert cache.verify().damaged == {}


def test_plans_and_installations_of_what_is_there_touch_nothing(index, cache, make_venv, make_client):
    environment, client = make_venv(), make_client(index, cache=cache)
    resolution = Resolver(client).resolve(["app"], target=environment)
    Installer(environment, client).install(resolution)
    client.close()
    before = tree(cache.path), times_of_use(cache)
    client = make_client(index, cache=cache, offline=True)

    assert Installer(make_venv("second"), client).plan(resolution).changes
    assert not Installer(environment, client).install(resolution).changed
    assert not Installer(environment, client).sync(resolution).changed

    assert (tree(cache.path), times_of_use(cache)) == before


def times_of_use(cache):
    return {path: path.stat().st_mtime_ns for path in cache.path.glob("archive-v0/*")}


@installer_looks
def test_an_installation_notes_what_it_uses(index, cache, make_venv):
    fill(index, make_venv("first"), cache)
    archive = archive_of(cache, "web")
    os.utime(archive, (1, 1))

    fill(index, make_venv("second"), cache)

    assert abs(archive.stat().st_mtime - time.time()) < 600


def test_verifying_and_pruning_can_be_cancelled(index, cache, make_venv):
    fill(index, make_venv(), cache)
    token = CancelToken()
    token.cancel("enough")
    before = cache.size()

    for call in (lambda: cache.verify(cancel=token), lambda: cache.prune(max_bytes=0, cancel=token)):
        with pytest.raises(Cancelled):
            call()

    assert cache.size().bytes >= before.bytes


@installer_looks
def test_the_wheels_of_the_last_installation_stay(index, cache, make_venv, make_client):
    client = make_client(index, cache=cache)
    fill(index, make_venv("first"), cache)
    old = time.time() - 100 * 86400
    for path in [*cache.path.glob("archive-v0/*"), *cache.path.glob("simple-v0/**/*.*")]:
        os.utime(path, (old, old))
    assert len(list(cache.path.glob("archive-v0/*"))) == 4
    Resolver(client).resolve(["app"], target=make_venv("planned"))
    second = make_venv("second")
    Installer(second, client).install(["net"])

    report = cache.prune(unused_for=timedelta(days=30))

    kept = {path.name.partition("-")[0] for path in cache.path.glob("wheels-v0/*/*/*/*")}
    assert kept == {"net", "log"}
    assert len([path for path in report.removed if path.parent.name == "archive-v0"]) == 2
    assert cache.prune(unused_for=30 * 86400).removed == ()


def test_the_size_fits_afterwards_and_the_numbers_agree(index, cache, make_venv):
    fill(index, make_venv("first"), cache)
    before = cache.size()
    limit = before.bytes - archive_size(cache, "web")

    report = cache.prune(max_bytes=limit)

    after = cache.size()
    assert after.bytes <= limit
    assert before.bytes - after.bytes == pytest.approx(report.bytes, abs=1000), "lock files may grow"
    assert after.bytes == sum(after.buckets.values())
    environment = make_venv("second")
    fill(index, environment, cache)
    check_environment(environment)


def archive_size(cache, name):
    return sum(path.stat().st_size for path in archive_of(cache, name).rglob("*") if path.is_file())


@installer_looks
def test_what_environments_with_symbolic_links_need_stays(index, tmp_path, make_venv):
    cache = Cache(tmp_path / "cache", link_mode=LinkMode.SYMLINK)
    environment = make_venv("linked")
    fill(index, environment, cache)
    assert (Path(environment.scheme.purelib) / "web" / "__init__.py").is_symlink()

    cache.prune(unused_for=0.0, max_bytes=0)

    check_environment(environment)
    with Client(indexes=[index.url], cache=cache) as client:
        Installer(environment, client).uninstall(["app", "web", "net", "log"])
    cache.prune(max_bytes=0)
    assert list(cache.path.glob("archive-v0/*")) == []


@installer_looks
def test_a_prepared_plan_survives_a_prune(index, cache, make_venv, make_client):
    client, environment = make_client(index, cache=cache), make_venv()
    installer = Installer(environment, client)
    plan = installer.plan(Resolver(client).resolve(["app"], target=environment))
    prepared = installer.prepare(plan)
    cache.prune(max_bytes=0)
    assert list(cache.path.glob("archive-v0/*")) == []

    report = installer.install(prepared)

    check_environment(environment)
    assert report.notices == ()


@installer_looks
def test_pruning_verifying_and_removing_while_others_install(tmp_path):
    """Every installation succeeds, and is right, whatever is thrown away meanwhile."""
    stop, failures, done = threading.Event(), [], []
    with LoopbackIndex(graph_files(ballast=20_000)) as index:

        def work(number):
            cache = Cache(tmp_path / "cache")
            try:
                with Client(indexes=[index.url], cache=cache) as client:
                    while not stop.is_set():
                        name = f"venv-{number}-{len(done)}-{time.monotonic_ns()}"
                        environment = Interpreter.current().create_venv(tmp_path / name)
                        Installer(environment, client).install(["app"])
                        check_environment(environment)
                        done.append(name)
            except BaseException as error:  # noqa: BLE001  # told below
                failures.append(error)
                stop.set()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        tidied = tidy_until(stop, Cache(tmp_path / "cache"), failures)
        for thread in threads:
            thread.join(60)

    assert failures == []
    assert len(done) >= THREADS
    assert tidied
    for name in done[:: max(1, len(done) // 10)]:
        check_environment(Environment.at(tmp_path / name))
    cache = Cache(tmp_path / "cache")
    assert cache.verify().damaged == {}
    assert Leases(CacheLayout(cache.path)).oldest() == float("inf")


def tidy_until(stop, cache, failures):
    """Tidy up in every way, over and over; returns how often something was removed."""
    removed = 0
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end and not stop.is_set():
            for tidy in (
                lambda: cache.prune(max_bytes=0),
                cache.verify,
                lambda: cache.remove(["web", "log"]),
                lambda: cache.prune(unused_for=0.0),
            ):
                report = tidy()
                assert report.damaged == {}
                removed += len(report.removed)
    except BaseException as error:  # noqa: BLE001  # told by the caller
        failures.append(error)
    stop.set()
    return removed
