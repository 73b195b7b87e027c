from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import PYPI, Bucket, CacheLayout, git_kind, index_kind, path_kind
from puffin_api._cache.prune import DAY, dangling_links, prune_unreferenced, remove, size, verify
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


def later():
    return time.time() + LATER


def test_an_archive_that_a_link_leads_to_stays(layout, store):
    wheel = persist(store, layout.wheel(PYPI, "flask", "flask-3.0"))
    built = persist(store, layout.built(git_kind("git+https://h/a", "0" * 40), "a", "1.0") / "id" / "a-1.0")

    removed = prune_unreferenced(layout, now=later())

    assert removed.paths == ()
    assert wheel.is_dir()
    assert built.is_dir()


def test_an_archive_that_lost_its_link_goes(layout, store):
    place = layout.wheel(PYPI, "flask", "flask-3.0")
    orphan, kept = persist(store, place), persist(store, place)

    removed = prune_unreferenced(layout, now=later())

    assert removed.paths == (orphan,)
    assert removed.size == 102
    assert not orphan.exists()
    assert store.lookup(place) == kept
    assert os.listdir(layout.temporary) == []


def test_a_young_orphan_stays_since_its_link_may_be_on_the_way(layout, store):
    place = layout.wheel(PYPI, "flask", "flask-3.0")
    orphan, _ = persist(store, place), persist(store, place)

    assert prune_unreferenced(layout).paths == ()
    assert orphan.is_dir()


def test_an_archive_whose_link_leads_to_it_by_a_detour_stays(layout, store, tmp_path):
    archive = persist(store, layout.wheel(PYPI, "flask", "flask-3.0"))
    os.symlink(layout.root, tmp_path / "detour", target_is_directory=True)

    removed = prune_unreferenced(CacheLayout(tmp_path / "detour"), now=later())

    assert removed.paths == ()
    assert archive.is_dir()


def test_a_link_that_cannot_be_read_keeps_everything(layout, store, monkeypatch):
    place = layout.wheel(PYPI, "flask", "flask-3.0")
    orphan, _ = persist(store, place), persist(store, place)

    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", refuse)
    with pytest.raises(PermissionError):
        prune_unreferenced(layout, now=later())

    assert orphan.is_dir()


def test_what_killed_processes_left_goes_when_it_is_old(layout):
    (layout.temporary / "scratch").mkdir()
    (layout.temporary / "scratch" / "file").touch()
    write_entry(layout.simple(PYPI, "flask"), b"kept")
    half = layout.simple(PYPI, f"abc{TEMPORARY_SUFFIX}")
    half.touch()

    assert prune_unreferenced(layout).paths == ()
    removed = prune_unreferenced(layout, now=later())

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
    assert len(prune_unreferenced(layout, now=later()).paths) == len(kinds)


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


def test_links_to_nothing_are_found_and_removed(layout, store):
    good = layout.wheel(PYPI, "flask", "good")
    gone, broken = layout.wheel(PYPI, "flask", "gone"), layout.wheel(PYPI, "flask", "broken")
    persist(store, good)
    remove_tree(persist(store, gone))
    (persist(store, broken) / "manifest.json").unlink()
    write_entry(layout.wheel_metadata(PYPI, "flask", "good"), b"no link")

    assert set(dangling_links(layout)) == {gone, broken}
    assert set(verify(layout).paths) == {gone, broken}
    assert dangling_links(layout) == ()
    assert store.lookup(good) is not None


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
    assert prune_unreferenced(layout, now=later()).paths == ()
    assert remove(layout, ["flask"]).paths == ()
    assert verify(layout).paths == ()
