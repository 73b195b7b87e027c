from __future__ import annotations

import errno
import multiprocessing
import os
import time

import filelock
import pytest

from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.leases import DAY, Leases

FOREVER = float("inf")


@pytest.fixture
def layout(tmp_path):
    layout = CacheLayout(tmp_path / "cache")
    layout.initialize()
    return layout


def make_archive(layout, name="a", *, age=0.0):
    archive = layout.archive(name)
    archive.mkdir(parents=True)
    when = time.time() - age
    os.utime(archive, (when, when))
    return archive


def test_an_operation_counts_while_it_lasts(layout):
    leases = Leases(layout)
    assert leases.oldest() == FOREVER

    with leases.lease():
        first = leases.oldest()
        with Leases(layout).lease():
            assert leases.oldest() == first, "the oldest one counts"
        assert abs(first - time.time()) < 60

    assert leases.oldest() == FOREVER
    assert os.listdir(layout.leases) == []


def test_what_an_operation_takes_is_younger_than_its_lease(layout):
    archive = make_archive(layout, age=10 * DAY)
    leases = Leases(layout)

    with leases.lease():
        assert os.stat(archive).st_mtime < leases.oldest()
        leases.take([archive])
        assert os.stat(archive).st_mtime >= leases.oldest()


def test_taking_what_is_gone_or_lies_in_a_layer_is_no_error(layout, tmp_path):
    site = CacheLayout(tmp_path / "site")
    other = make_archive(site, age=DAY)
    before = os.stat(other).st_mtime

    Leases(layout).take([layout.archive("gone"), other])

    assert os.stat(other).st_mtime == before


def test_a_read_only_cache_is_not_written_to(layout):
    archive = make_archive(layout, age=DAY)
    before = os.stat(archive).st_mtime
    leases = Leases(layout, read_only=True)

    with leases.lease():
        leases.take([archive])
        leases.note_symlinked(["/somewhere"])

    assert os.stat(archive).st_mtime == before
    assert not layout.leases.exists()
    assert not layout.environments.exists()


def die_with_a_lease(root):
    lease = Leases(CacheLayout(root)).lease()
    lease.__enter__()
    os._exit(3)


def test_the_lease_of_a_process_that_died_counts_nothing_and_is_removed(layout):
    other = multiprocessing.get_context("spawn").Process(target=die_with_a_lease, args=(layout.root,))
    other.start()
    other.join()
    assert other.exitcode == 3
    assert len(os.listdir(layout.leases)) == 1

    assert Leases(layout).oldest() == FOREVER
    assert os.listdir(layout.leases) == []


def test_a_lease_that_was_taken_for_dead_while_it_was_made_is_made_again(layout, monkeypatch):
    lock = filelock.lock_descriptor
    removed = []

    def remove_first(descriptor, **options):
        if not removed:
            removed.extend(os.listdir(layout.leases))
            os.unlink(layout.leases / removed[0])
        return lock(descriptor, **options)

    monkeypatch.setattr(filelock, "lock_descriptor", remove_first)
    with Leases(layout).lease():
        assert removed
        assert Leases(layout).oldest() < FOREVER


def test_without_locks_a_lease_counts_for_a_day(layout, monkeypatch):
    def no_locks(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    with Leases(layout).lease():
        assert Leases(layout).oldest() < FOREVER
        (name,) = os.listdir(layout.leases)
        old = time.time() - 2 * DAY
        os.utime(layout.leases / name, (old, old))
        assert Leases(layout).oldest() == FOREVER


def test_without_room_for_a_lease_the_work_goes_on(layout, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "makedirs", full)
    with Leases(layout).lease():
        pass


def link_into(folder, layout, name):
    """Install as with symbolic links."""
    info = folder / "demo-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    target = layout.archive(name) / "files" / "demo-1.0.dist-info" / "METADATA"
    (info / f"METADATA-{name}").symlink_to(target)


def test_archives_that_environments_lead_into_are_known(layout, tmp_path):
    leases = Leases(layout)
    site = tmp_path / "venv" / "site-packages"
    link_into(site, layout, "a")
    link_into(site, layout, "b")
    link_into(tmp_path / "unknown", layout, "c")

    leases.note_symlinked([str(site), str(site)])

    assert Leases(layout).symlinked() == {"a", "b"}
    assert len(os.listdir(layout.environments)) == 1


def test_environments_that_are_gone_are_forgotten_after_a_day(layout, tmp_path):
    leases = Leases(layout)
    leases.note_symlinked([str(tmp_path / "gone")])
    assert leases.symlinked() == set()
    (name,) = os.listdir(layout.environments)

    old = time.time() - 2 * DAY
    os.utime(layout.environments / name, (old, old))
    assert leases.symlinked() == set()

    assert os.listdir(layout.environments) == []


def test_an_environment_that_is_there_is_never_forgotten(layout, tmp_path):
    leases = Leases(layout)
    leases.note_symlinked([str(tmp_path)])
    (name,) = os.listdir(layout.environments)
    old = time.time() - 1000 * DAY
    os.utime(layout.environments / name, (old, old))
    link_into(tmp_path, layout, "late")

    assert leases.symlinked() == {"late"}


def test_removing_excludes_taking(layout):
    archive = make_archive(layout, age=DAY)
    waits = []

    with Leases(layout).gate():
        other = Leases(layout)
        other._locks = type(other._locks)(0, on_wait=lambda *_: waits.append(1))
        with pytest.raises(Exception, match="locked"):
            other.take([archive])

    assert waits
