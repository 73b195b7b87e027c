from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import PYPI, Bucket, CacheLayout
from puffin_api._fs import PointerFileDirectoryLink, SymlinkDirectoryLink, choose_directory_link
from puffin_api.errors import CacheUnavailable, DiskFull

FILES = 10


@pytest.fixture(
    params=[choose_directory_link, lambda _: PointerFileDirectoryLink()], ids=["usual", "pointer"]
)
def link(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def layout(tmp_path):
    return CacheLayout(tmp_path / "cache")


@pytest.fixture
def store(layout, link):
    return ArchiveStore(layout, link)


@pytest.fixture
def place(layout):
    return layout.wheel(PYPI, "flask", "flask-3.0-py3-none-any")


def fill(folder, mark):
    """Write an archive as the unpacker does: the manifest last."""
    (folder / "files").mkdir()
    for number in range(FILES):
        (folder / "files" / str(number)).write_text(mark)
    (folder / "manifest.json").write_text(mark)


def persist(store, place, mark="x"):
    with store.scratch() as folder:
        fill(folder, mark)
        return store.persist(folder, place)


def is_complete(archive):
    mark = (archive / "manifest.json").read_text()
    return [(archive / "files" / str(n)).read_text() for n in range(FILES)] == [mark] * FILES


def test_a_persisted_archive_is_found_by_its_canonical_path(store, layout, place):
    archive = persist(store, place)

    assert archive.parent == layout.bucket(Bucket.ARCHIVE)
    assert archive == Path(os.path.realpath(archive))
    assert store.lookup(place) == archive
    assert is_complete(archive)


def test_what_was_never_persisted_is_missing(store, place):
    assert store.lookup(place) is None


def test_persisting_again_leaves_the_first_archive_as_it_was(store, place):
    first = persist(store, place, "first")
    second = persist(store, place, "second")

    assert first != second
    assert store.lookup(place) == second
    assert is_complete(first)
    assert (first / "manifest.json").read_text() == "first"


def test_a_scratch_folder_is_in_the_cache_and_gone_afterwards(store, layout):
    with store.scratch() as folder:
        assert folder.is_relative_to(layout.root)
        assert os.listdir(folder) == []
        (folder / "file").touch()

    assert os.listdir(layout.temporary) == []


def test_a_scratch_folder_is_gone_after_an_error_too(store, layout, place):
    def fail():
        with store.scratch() as folder:
            (folder / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert os.listdir(layout.temporary) == []
    assert store.lookup(place) is None


def test_an_archive_without_manifest_is_missing(store, place):
    archive = persist(store, place)
    (archive / "manifest.json").unlink()

    assert store.lookup(place) is None


def test_an_unfinished_folder_is_never_persisted(store, place):
    with pytest.raises(AssertionError), store.scratch() as folder:
        store.persist(folder, place)


def test_an_archive_that_is_gone_is_missing(store, place):
    shutil.rmtree(persist(store, place))

    assert store.lookup(place) is None


def test_a_forgotten_archive_stays_for_those_who_use_it(store, place):
    archive = persist(store, place)

    store.forget(place)

    assert store.lookup(place) is None
    assert is_complete(archive)


def test_layers_are_looked_into_whatever_kind_of_link_they_have(layout, tmp_path, place):
    layers = [CacheLayout(tmp_path / name) for name in ("empty", "pointers", "symlinks")]
    by_pointer = persist(
        ArchiveStore(layers[1], PointerFileDirectoryLink()), layers[1].root / place.relative_to(layout.root)
    )
    by_symlink = persist(
        ArchiveStore(layers[2], choose_directory_link(tmp_path)),
        layers[2].root / place.relative_to(layout.root),
    )
    store = ArchiveStore(layout, choose_directory_link(tmp_path), layers=layers)

    assert store.lookup(place) == by_pointer
    shutil.rmtree(by_pointer)
    assert store.lookup(place) == by_symlink
    own = persist(store, place)
    assert store.lookup(place) == own


def test_a_read_only_store_finds_but_takes_nothing(layout, store, link, place, tmp_path):
    archive = persist(store, place)
    read_only = ArchiveStore(layout, link, read_only=True)

    assert read_only.lookup(place) == archive
    with pytest.raises(CacheUnavailable), read_only.scratch():
        pass
    with pytest.raises(CacheUnavailable):
        read_only.persist(tmp_path, place)
    with pytest.raises(CacheUnavailable):
        read_only.forget(place)


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, DiskFull), (errno.EROFS, CacheUnavailable)])
def test_a_link_that_cannot_be_published_is_a_typed_error(layout, place, number, expected):
    class Failing(SymlinkDirectoryLink):
        def publish(self, link, target):
            raise OSError(number, os.strerror(number))

    with pytest.raises(expected) as caught:
        persist(ArchiveStore(layout, Failing()), place)

    assert caught.value.path == str(layout.root)


def test_a_cache_that_cannot_be_made_is_a_typed_error(tmp_path):
    (tmp_path / "file").touch()
    store = ArchiveStore(CacheLayout(tmp_path / "file" / "cache"), SymlinkDirectoryLink())

    with pytest.raises(CacheUnavailable), store.scratch():
        pass


def persist_many(root, pointer, mark):
    layout = CacheLayout(root)
    store = ArchiveStore(
        layout, PointerFileDirectoryLink() if pointer else choose_directory_link(Path(root).parent)
    )
    place = layout.wheel(PYPI, "flask", "flask-3.0-py3-none-any")
    return [persist(store, place, f"{mark}-{number}") for number in range(15)]


def look_up_many(store, place, stop):
    found, broken = 0, []
    while not stop():
        archive = store.lookup(place)
        if archive is not None:
            found += 1
            if not is_complete(archive):
                broken.append(archive)
    return found, broken


@pytest.mark.parametrize("pointer", [False, True])
def test_threads_find_a_complete_archive_or_none(store, layout, place, pointer):
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(persist_many, layout.root, pointer, f"t{n}") for n in range(3)]

        def stop():
            return all(writer.done() for writer in writers)

        readers = [
            pool.submit(look_up_many, ArchiveStore(layout, link), place, stop)
            for link in [PointerFileDirectoryLink() if pointer else choose_directory_link(layout.root.parent)]
            * 3
        ]
        made = [archive for writer in writers for archive in writer.result()]

    assert [broken for _, broken in (reader.result() for reader in readers) if broken] == []
    # Each writer was given an archive of its own that nobody touched since.
    assert len(set(made)) == len(made) == 45
    assert all(is_complete(archive) for archive in made)
    assert os.listdir(layout.temporary) == []


@pytest.mark.parametrize("pointer", [False, True])
def test_processes_find_a_complete_archive_or_none(layout, place, pointer):
    context = multiprocessing.get_context("spawn")
    link = PointerFileDirectoryLink() if pointer else choose_directory_link(layout.root.parent)
    writers = [
        context.Process(target=persist_many, args=(str(layout.root), pointer, f"p{n}")) for n in range(2)
    ]
    for writer in writers:
        writer.start()

    found, broken = look_up_many(
        ArchiveStore(layout, link), place, lambda: not any(writer.is_alive() for writer in writers)
    )
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0]
    assert found
    assert broken == []
    assert len(os.listdir(layout.bucket(Bucket.ARCHIVE))) == 30
