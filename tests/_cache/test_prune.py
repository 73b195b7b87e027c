from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.disk_use import size
from puffin_api._cache.layout import PYPI, Bucket, CacheLayout, git_kind, index_kind, path_kind
from puffin_api._cache.leases import DAY, Leases
from puffin_api._cache.prune import prune
from puffin_api._cache.prune import remove as remove_projects
from puffin_api._cache.store import write_entry
from puffin_api._fs import PointerFileDirectoryLink, choose_directory_link, remove_tree
from puffin_api._fs.atomic import TEMPORARY_SUFFIX

LATER = 10 * DAY


@pytest.fixture(
    params=[choose_directory_link, lambda _: PointerFileDirectoryLink()], ids=["usual", "pointer"]
)
def store(request, layout):
    return ArchiveStore(layout, request.param(layout.root))


@pytest.fixture
def layout(tmp_path):
    layout = CacheLayout(tmp_path / "cache")
    layout.initialize()
    return layout


def persist(store, place):
    with store.scratch() as folder:
        (folder / "files").mkdir()
        (folder / "files" / "module.py").write_bytes(b"x" * 100)
        (folder / "manifest.json").write_bytes(b"{}")
        return store.persist(folder, place)


def prune_now(layout, **options):
    return prune(layout, Leases(layout), **options)


def remove(layout, names):
    return remove_projects(layout, Leases(layout), names)


def later():
    return time.time() + LATER


def test_an_archive_that_a_link_leads_to_stays(layout, store):
    wheel = persist(store, layout.wheel(PYPI, "flask", "flask-3.0"))
    built = persist(store, layout.built(git_kind("git+https://h/a", "0" * 40), "a", "1.0") / "id" / "a-1.0")

    removed = prune_now(layout, now=later())

    assert removed.paths == ()
    assert wheel.is_dir()
    assert built.is_dir()


def test_an_archive_that_lost_its_link_goes(layout, store):
    place = layout.wheel(PYPI, "flask", "flask-3.0")
    orphan, kept = persist(store, place), persist(store, place)

    removed = prune_now(layout, now=later())

    assert removed.paths == (orphan,)
    assert removed.size == 102
    assert not orphan.exists()
    assert store.lookup(place) == kept
    assert os.listdir(layout.temporary) == []


def test_a_young_orphan_stays_since_its_link_may_be_on_the_way(layout, store):
    place = layout.wheel(PYPI, "flask", "flask-3.0")
    orphan, _ = persist(store, place), persist(store, place)

    assert prune_now(layout).paths == ()
    assert orphan.is_dir()


def test_an_archive_whose_link_leads_to_it_by_a_detour_stays(layout, store, tmp_path):
    archive = persist(store, layout.wheel(PYPI, "flask", "flask-3.0"))
    os.symlink(layout.root, tmp_path / "detour", target_is_directory=True)

    removed = prune_now(CacheLayout(tmp_path / "detour"), now=later())

    assert removed.paths == ()
    assert archive.is_dir()


def test_a_link_that_cannot_be_read_keeps_everything(layout, store, monkeypatch):
    place = layout.wheel(PYPI, "flask", "flask-3.0")
    orphan, _ = persist(store, place), persist(store, place)

    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", refuse)
    with pytest.raises(PermissionError):
        prune_now(layout, now=later())

    assert orphan.is_dir()


def test_what_killed_processes_left_goes_when_it_is_old(layout):
    (layout.temporary / "scratch").mkdir()
    (layout.temporary / "scratch" / "file").touch()
    write_entry(layout.simple(PYPI, "flask"), b"kept")
    half = layout.simple(PYPI, f"abc{TEMPORARY_SUFFIX}")
    half.touch()

    assert prune_now(layout).paths == ()
    removed = prune_now(layout, now=later())

    assert set(removed.paths) == {layout.temporary / "scratch", half}
    assert os.listdir(layout.temporary) == []
    assert layout.simple(PYPI, "flask").exists()


def test_projects_are_removed_by_name_from_all_kinds(layout, store):
    kinds = [PYPI, index_kind("https://h/simple/"), git_kind("git+https://h/a", "0" * 40)]
    for kind in kinds:
        for name in ("flask", "flask-login"):
            write_entry(layout.simple(kind, name), b"page")
            write_entry(layout.wheel_metadata(kind, name, "stem"), b"metadata")
            persist(store, layout.wheel(kind, name, "stem"))
            write_entry(layout.built(kind, name, "1.0") / "manifest", b"manifest")

    removed = remove(layout, ["flask"])

    assert len(removed.paths) == 3 * len(kinds)
    for kind in kinds:
        assert store.lookup(layout.wheel(kind, "flask", "stem")) is None
        assert store.lookup(layout.wheel(kind, "flask-login", "stem")) is not None
        assert not layout.simple(kind, "flask").exists()
        assert layout.simple(kind, "flask-login").exists()
    assert len(prune_now(layout, now=later()).paths) == len(kinds)


def test_so_are_those_of_files_that_their_address_alone_does_not_tell_apart(layout, store):
    kind = f"{path_kind(Path('/wheels/foo-1.0-py3-none-any.whl'))}/17-ab"
    persist(store, layout.wheel(kind, "foo", "foo-1.0-py3-none-any"))
    other = layout.wheel(index_kind("https://h/simple/"), "foo", "foo-1.0-py3-none-any")
    persist(store, other)

    assert remove(layout, ["foo-1"]).paths == ()
    removed = remove(layout, ["foo"])

    assert {path.name for path in removed.paths} == {"foo"}
    assert len(removed.paths) == 2


def test_removing_links_does_not_remove_what_they_lead_to(layout, store):
    archive = persist(store, layout.wheel(PYPI, "flask", "stem"))

    remove(layout, ["flask"])

    assert (archive / "files" / "module.py").exists()


def test_the_size_counts_each_file_once(layout, store):
    archive = persist(store, layout.wheel(PYPI, "flask", "stem"))
    before = size(layout)
    os.link(archive / "files" / "module.py", archive / "files" / "again.py")

    after = size(layout)

    assert after == before
    assert before.buckets[Bucket.ARCHIVE.value] == 102
    assert before.size == sum(before.buckets.values())


def test_a_cache_that_does_not_exist_is_empty(tmp_path):
    layout = CacheLayout(tmp_path / "missing")

    assert size(layout).size == 0
    assert prune_now(layout, now=later()).paths == ()
    assert remove(layout, ["flask"]).paths == ()


# -- what was not used for long, and what is too much


def use(archive, days):
    """Let an archive count as used so many days ago."""
    when = time.time() - days * DAY
    os.utime(archive, (when, when))


def write_page(layout, name, days, *, size=50):
    path = layout.simple(PYPI, f"{name}.page")
    write_entry(path, bytes(size))
    when = time.time() - days * DAY
    os.utime(path, (when, when))
    return path


def test_what_was_not_used_for_long_goes_with_its_links(layout, store):
    place, twin = layout.wheel(PYPI, "flask", "old"), layout.wheel(PYPI, "flask", "twin")
    old, new = persist(store, place), persist(store, layout.wheel(PYPI, "flask", "new"))
    choose_directory_link(layout.root).publish(twin, old)
    use(old, 40)
    use(new, 20)
    pages = write_page(layout, "old", 40), write_page(layout, "new", 20)

    removed = prune_now(layout, unused_for=30 * DAY)

    assert set(removed.paths) == {old, pages[0]}
    assert not os.path.lexists(place)
    assert not os.path.lexists(twin)
    assert new.is_dir()
    assert pages[1].exists()


def test_a_change_that_is_kept_for_undo_goes_once_it_is_old(layout):
    kept = layout.undo("/site-packages") / "transaction"
    kept.mkdir(parents=True)
    (kept / "file").write_bytes(b"old")
    assert prune_now(layout, unused_for=DAY).paths == ()

    when = time.time() - 2 * DAY
    os.utime(kept, (when, when))
    with Leases(layout).lease():
        assert prune_now(layout, unused_for=DAY).paths == (), "it may be about to come back"

    assert prune_now(layout, unused_for=DAY).paths == (kept,)


def test_what_was_used_last_stays_until_the_size_fits(layout, store):
    archives = [persist(store, layout.wheel(PYPI, "flask", f"flask-{n}")) for n in range(4)]
    for archive, days in zip(archives, (3, 1, 4, 2), strict=True):
        use(archive, days)
    page = write_page(layout, "flask", 2.5)
    total = size(layout).size

    nothing = prune_now(layout, max_bytes=total)
    removed = prune_now(layout, max_bytes=total - 2 * 102)

    assert nothing.paths == ()
    assert removed.paths == (archives[2], archives[0], page)[: len(removed.paths)]
    assert size(layout).size <= total - 2 * 102
    assert archives[1].is_dir()
    assert archives[3].is_dir()


def test_to_no_size_at_all_everything_goes_that_is_not_in_use(layout, store):
    persist(store, layout.wheel(PYPI, "flask", "flask-1"))
    write_page(layout, "flask", 0)

    prune_now(layout, max_bytes=0)

    assert list(layout.simple(PYPI, "x").parent.iterdir()) == []
    assert list(layout.bucket(Bucket.ARCHIVE).iterdir()) == []


def test_what_an_operation_has_taken_stays(layout, store):
    place = layout.wheel(PYPI, "flask", "flask-1")
    orphan, taken = persist(store, place), persist(store, place)
    for archive in (orphan, taken):
        use(archive, 100)
    leases = Leases(layout)

    with leases.lease():
        leases.take([orphan, taken])
        assert prune_now(layout, unused_for=0.0, max_bytes=0, now=later()).paths == ()
        assert store.lookup(place) == taken

    assert set(prune_now(layout, unused_for=0.0, now=later()).paths) == {orphan, taken}


def test_what_environments_lead_into_by_symbolic_links_stays(layout, store, tmp_path):
    archive = persist(store, layout.wheel(PYPI, "flask", "flask-1"))
    orphan, _ = (persist(store, layout.wheel(PYPI, "flask", "flask-2")) for _ in range(2))
    for used in (archive, orphan):
        info = tmp_path / "site-packages" / f"{used.name}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").symlink_to(used / "files" / "module.py")
    Leases(layout).note_symlinked([str(tmp_path / "site-packages")])

    prune_now(layout, unused_for=0.0, max_bytes=0, now=later())

    assert archive.is_dir()
    assert orphan.is_dir()
    assert store.lookup(layout.wheel(PYPI, "flask", "flask-2")) is None
    remove_tree(tmp_path / "site-packages")
    prune_now(layout, unused_for=0.0, max_bytes=0, now=later())
    assert not archive.exists()
    assert not orphan.exists()


def test_what_is_used_while_it_is_about_to_go_stays(layout, store):
    archive = persist(store, layout.wheel(PYPI, "flask", "flask-1"))
    use(archive, 10)

    removed = prune_now(layout, unused_for=DAY, check=lambda: Leases(layout).take([archive]))

    assert removed.paths == ()
    assert archive.is_dir()


def test_a_link_that_was_renewed_while_its_archive_goes_stays(layout, store):
    place = layout.wheel(PYPI, "flask", "flask-1")
    archive = persist(store, place)
    use(archive, 10)
    new = []

    removed = prune_now(layout, unused_for=DAY, check=lambda: new or new.append(persist(store, place)))

    assert removed.paths == (archive,)
    assert store.lookup(place) == new[0]


def test_a_prune_can_be_cancelled(layout, store):
    archives = [persist(store, layout.wheel(PYPI, "flask", f"flask-{n}")) for n in range(3)]
    checks = []

    def check():
        checks.append(1)
        if len(checks) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        prune_now(layout, max_bytes=0, check=check)

    assert sum(archive.exists() for archive in archives) == 2


def test_two_prunes_at_once_do_not_disturb_each_other(layout, store):
    for number in range(60):
        persist(store, layout.wheel(PYPI, "flask", f"flask-{number % 30}"))
    results = []

    def run():
        results.append(prune_now(layout, max_bytes=0, now=later()))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 4
    # To whom it is ten days later, what another one is just removing looks left behind.
    paths = [path for removed in results for path in removed.paths if path.parent != layout.temporary]
    assert len(paths) == len(set(paths)) == 60
    assert os.listdir(layout.temporary) == []


def test_a_project_whose_name_is_too_long_for_a_file_is_removed_too(layout):
    name = "long" * 60
    write_entry(layout.simple(PYPI, name), b"page")

    assert remove(layout, [name]).paths == (layout.simple(PYPI, name),)


def test_a_scratch_folder_stays_as_long_as_its_operation_lives(layout):
    with Leases(layout).lease():
        scratch = layout.temporary / "scratch"
        scratch.mkdir()
        assert prune_now(layout, now=later()).paths == (), "a download may take more than a day"

    assert prune_now(layout, now=later()).paths == (scratch,)


@given(
    pieces=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 300)), min_size=1, max_size=8),
    room=st.integers(0, 2500),
)
@settings(max_examples=60)
def test_what_stays_was_used_last_fits_and_is_as_much_as_fits(pieces, room):
    with tempfile.TemporaryDirectory() as folder:
        layout = CacheLayout(folder)
        layout.initialize()
        with Leases(layout).gate():
            pass  # its lock file is there from now on
        paths = [
            write_page(layout, f"page-{number}", days, size=bytes_)
            for number, (days, bytes_) in enumerate(pieces)
        ]
        sizes = {path: path.stat().st_size for path in paths}
        base = size(layout).size - sum(sizes.values())

        removed = prune_now(layout, max_bytes=base + room)

        kept = [path for path in paths if path.exists()]
        assert set(kept) | set(removed.paths) == set(paths)
        assert removed.size == sum(sizes[path] for path in removed.paths)
        assert sum(sizes[path] for path in kept) <= room
        if removed.paths:
            assert sum(sizes[path] for path in kept) + sizes[removed.paths[-1]] > room
        days = {path: days for path, (days, _) in zip(paths, pieces, strict=True)}
        if kept and removed.paths:
            assert max(days[path] for path in kept) <= min(days[path] for path in removed.paths)


def test_repositories_and_logs_of_builds_go_when_they_are_unused(layout):
    leases = Leases(layout)
    url = "https://host.invalid/some/project"
    database, checkout = layout.git_database(url), layout.git_checkout(url, "a" * 40)
    for folder, mark in ((database, "HEAD"), (checkout, "complete")):
        folder.mkdir(parents=True)
        (folder / mark).write_text("x")
    layout.build_logs.mkdir(parents=True)
    (layout.build_logs / "some.log").write_text("no")

    assert prune(layout, leases, unused_for=DAY).paths == ()
    with leases.lease():
        prune(layout, leases, unused_for=-1.0)
        assert database.exists(), "somebody uses something"
        assert checkout.exists()
    assert {database, checkout} <= set(prune(layout, leases, unused_for=-1.0).paths)
    assert list(layout.build_logs.iterdir()) == []


def test_links_that_an_operation_made_while_others_were_looked_at_count(layout, store, tmp_path):
    """It had a lease at first; once that is given back, its links are all that tells of it."""
    archives = [persist(store, layout.wheel(PYPI, "flask", f"flask-{number}")) for number in range(3)]
    leases, site_packages = Leases(layout), tmp_path / "site-packages"
    leases.note_symlinked([str(site_packages)])
    operation = contextlib.ExitStack()
    operation.enter_context(leases.lease())
    leases.take(archives)
    looks = iter(range(100))

    def check():
        if next(looks) == 1:
            for archive in archives:
                info = site_packages / f"{archive.name}.dist-info"
                info.mkdir(parents=True)
                (info / "METADATA").symlink_to(archive / "files" / "module.py")
            operation.close()

    prune_now(layout, unused_for=-60.0, check=check)

    assert next(looks) > 2
    assert all(archive.is_dir() for archive in archives)
