from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puffin_api._cache.layout import PYPI, Bucket, CacheLayout
from puffin_api._cache.mending import clear_for_file, in_folder, make_folder, write_file
from puffin_api._cache.project_table import ProjectTables, encode_page_table
from puffin_api._cache.store import EntryStore
from puffin_api._fs import remove_tree


@pytest.fixture
def layout(tmp_path):
    layout = CacheLayout(tmp_path / "cache")
    layout.initialize()
    return layout


def test_a_file_where_a_folder_belongs_makes_room(layout):
    (layout.root / "bucket").write_bytes(b"damaged")

    make_folder(layout.root, layout.root / "bucket" / "kind" / "project")

    assert (layout.root / "bucket" / "kind" / "project").is_dir()


def test_so_does_a_link_that_leads_nowhere(layout):
    (layout.root / "bucket").symlink_to("nowhere")

    make_folder(layout.root, layout.root / "bucket" / "kind")

    assert (layout.root / "bucket" / "kind").is_dir()


def test_the_root_itself_is_left_alone(tmp_path):
    root = tmp_path / "root"
    root.write_bytes(b"somebody's")

    with pytest.raises(OSError, match=r"[Nn]ot a directory|exists"):
        make_folder(root, root / "bucket")

    assert root.read_bytes() == b"somebody's"


@pytest.mark.parametrize("content", [None, "file"])
def test_a_folder_where_a_file_belongs_makes_room(layout, content):
    path = layout.root / "bucket" / "entry"
    path.mkdir(parents=True)
    if content:
        (path / content).touch()

    write_file(layout.root, path, b"new")

    assert path.read_bytes() == b"new"


def store_entry(layout):
    path = layout.simple(PYPI, "entry")
    return path, lambda: EntryStore(layout).write(path, b"data"), lambda: EntryStore(layout).read(path)


def store_page(layout):
    page = encode_page_table("flask", [], stored_at=1.0, policy=[])
    return (
        layout.simple(PYPI, "flask.page"),
        lambda: ProjectTables(layout).write_page(PYPI, "flask", page),
        lambda: ProjectTables(layout).read_page(PYPI, "flask"),
    )


@pytest.mark.parametrize("kind", [store_entry, store_page])
@pytest.mark.parametrize("damage", ["bucket", "kind", "entry"])
def test_entries_and_tables_are_stored_whatever_stands_in_their_way(layout, damage, kind):
    path, write, read = kind(layout)
    if damage == "entry":
        path.mkdir(parents=True)
    else:
        place = layout.bucket(Bucket.SIMPLE) if damage == "bucket" else path.parent
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"damaged")

    assert read() is None
    assert write()
    assert read() is not None


def test_opening_a_cache_mends_the_folders_that_all_need(tmp_path):
    layout = CacheLayout(tmp_path / "cache")
    layout.root.mkdir()
    for name in (".tmp", ".locks"):
        (layout.root / name).write_bytes(b"damaged")

    layout.initialize()

    assert (layout.root / ".locks").is_dir()
    assert layout.temporary.is_dir()


def test_a_folder_that_is_removed_meanwhile_is_made_again(layout):
    folder = layout.root / "bucket" / "project"
    tries = []

    def act():
        tries.append(1)
        if len(tries) < 3:
            folder.rmdir()
        (folder / "file").write_bytes(b"done")

    in_folder(layout.root, folder, act)

    assert len(tries) == 3
    assert (folder / "file").read_bytes() == b"done"


def test_what_is_missing_for_another_reason_is_an_error(layout):
    with pytest.raises(FileNotFoundError):
        in_folder(layout.root, layout.root / "bucket", (layout.root / "no" / "file").touch)


def lead_to_root(path):
    path.symlink_to("/")


@pytest.mark.parametrize("make", [Path.mkdir, lead_to_root])
def test_what_is_no_file_makes_room_for_one(layout, make):
    path = layout.root / "lock"
    make(path)

    assert clear_for_file(path) == path

    assert not path.exists()
    path.write_bytes(b"kept")
    clear_for_file(path)
    assert path.read_bytes() == b"kept"


def test_threads_that_mend_the_same_place_do_not_disturb_each_other(layout):
    def make(number):
        for _ in range(20):
            make_folder(layout.root, layout.root / "bucket" / str(number))

    for _ in range(20):
        remove_tree(layout.root / "bucket")
        (layout.root / "bucket").write_bytes(b"damaged")
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(make, number) for number in range(4)]:
                done.result()

        assert len(list((layout.root / "bucket").iterdir())) == 4
