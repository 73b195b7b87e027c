"""One suite for all kinds of directory link, with writers and readers at the same time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puffin_api._fs import (
    JunctionDirectoryLink,
    PointerFileDirectoryLink,
    SymlinkDirectoryLink,
    choose_directory_link,
    linked_text,
    read_directory_link,
    unique_name,
)
from puffin_api.protocols import DirectoryLink

FILES_PER_ARCHIVE = 5


class PosixJunctions:
    """Stands in for the system calls of Windows: not atomic, and refuses a place that is taken.

    Like the real one it makes an empty directory first, which readers may see.
    """

    def create_junction(self, target, link):
        os.mkdir(link)
        try:
            os.rmdir(link)
        except (FileNotFoundError, NotADirectoryError):
            raise PermissionError(link) from None  # Windows: a sharing violation
        os.symlink(target, link)

    def read_junction(self, link):
        return os.readlink(link)

    def remove_junction(self, link):
        try:
            os.rmdir(link)
        except NotADirectoryError:
            with contextlib.suppress(IsADirectoryError):  # made anew just now: as good as a sharing violation
                os.unlink(link)


def make_link(name):
    if name == "symlink":
        return SymlinkDirectoryLink()
    if name == "pointer":
        return PointerFileDirectoryLink()
    return JunctionDirectoryLink(None if sys.platform == "win32" else PosixJunctions())


KINDS = ["junction", "pointer"] if sys.platform == "win32" else ["junction", "pointer", "symlink"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def link(kind):
    return make_link(kind)


def make_archive(root, name):
    archive = root / "archive" / name
    archive.mkdir(parents=True)
    for number in range(FILES_PER_ARCHIVE):
        (archive / str(number)).write_text(name)
    return archive


def is_complete(archive):
    return {(archive / str(n)).read_text() for n in range(FILES_PER_ARCHIVE)} == {archive.name}


def publish_many(kind, root, prefix):
    """Publish archive after archive; also run in a process of its own."""
    link = make_link(kind)
    for number in range(25):
        link.publish(Path(root) / "links" / "it", make_archive(Path(root), f"{prefix}-{number}"))


def read_many(kind, root, stop):
    """Read until told to stop; returns how often an archive was found and what was found incomplete."""
    link = make_link(kind)
    found, broken = 0, []
    while not stop():
        archive = link.read(root / "links" / "it")
        if archive is not None:
            found += 1
            if not is_complete(archive):
                broken.append(archive)
    return found, broken


@pytest.fixture
def root(tmp_path):
    (tmp_path / "links").mkdir()
    return Path(os.path.realpath(tmp_path))


def test_it_is_a_directory_link(link):
    accepted: DirectoryLink = link

    assert {"publish", "read", "remove"} <= set(dir(accepted))


def test_a_published_link_gives_the_canonical_path(link, root):
    archive = make_archive(root, "one")

    link.publish(root / "links" / "it", archive)

    assert link.read(root / "links" / "it") == archive


def test_a_target_named_by_a_detour_is_canonical_all_the_same(link, root):
    archive = make_archive(root, "one")
    os.symlink(root / "archive", root / "detour", target_is_directory=True)

    link.publish(root / "links" / "it", root / "detour" / "one")

    assert link.read(root / "links" / "it") == archive


def test_a_link_reached_by_a_detour_gives_the_canonical_path(link, root):
    archive = make_archive(root, "one")
    link.publish(root / "links" / "it", archive)
    (root / "deep" / "er").mkdir(parents=True)
    os.symlink(root / "links", root / "deep" / "er" / "detour", target_is_directory=True)
    # What `..` would lead to if the detour were not one.
    make_archive(root / "deep" / "er", "one")

    assert link.read(root / "deep" / "er" / "detour" / "it") == archive


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make symbolic links")
def test_a_link_that_leads_to_a_link_gives_the_canonical_path(root):
    archive = make_archive(root, "one")
    os.symlink(archive, root / "second", target_is_directory=True)
    os.symlink(root / "archive", root / "third", target_is_directory=True)

    for text in ("../second", root / "third" / "one"):
        link = root / "links" / unique_name()
        os.symlink(text, link, target_is_directory=True)
        assert SymlinkDirectoryLink().read(link) == archive


def test_publishing_again_moves_the_link_and_keeps_both_archives(link, root):
    first, second = make_archive(root, "first"), make_archive(root, "second")
    link.publish(root / "links" / "it", first)

    link.publish(root / "links" / "it", second)

    assert link.read(root / "links" / "it") == second
    assert is_complete(first)
    assert os.listdir(root / "links") == ["it"]


def test_a_path_read_before_stays_good_when_the_link_moves(link, root):
    link.publish(root / "links" / "it", make_archive(root, "first"))
    held = link.read(root / "links" / "it")

    link.publish(root / "links" / "it", make_archive(root, "second"))

    assert is_complete(held)


def test_a_missing_link_is_missing(link, root):
    assert link.read(root / "links" / "it") is None
    assert link.read(root / "missing" / "it") is None


def test_a_link_whose_directory_is_gone_is_missing(link, root):
    archive = make_archive(root, "one")
    link.publish(root / "links" / "it", archive)
    shutil.rmtree(archive)

    assert link.read(root / "links" / "it") is None


def test_a_link_that_leads_to_a_file_is_missing(link, root):
    archive = make_archive(root, "one")
    link.publish(root / "links" / "it", archive)
    shutil.rmtree(archive)
    archive.write_text("a file")

    assert link.read(root / "links" / "it") is None


def test_a_plain_directory_or_file_is_no_link(link, root):
    (root / "links" / "folder").mkdir()
    (root / "links" / "file").write_bytes(b"puffin")

    assert link.read(root / "links" / "folder") is None
    assert link.read(root / "links" / "file") is None


def test_a_directory_where_the_link_belongs_is_replaced(link, root):
    (root / "links" / "it").mkdir()
    (root / "links" / "it" / "content").touch()
    archive = make_archive(root, "one")

    link.publish(root / "links" / "it", archive)

    assert link.read(root / "links" / "it") == archive


def test_removing_the_link_keeps_the_directory_and_may_be_done_twice(link, root):
    archive = make_archive(root, "one")
    link.publish(root / "links" / "it", archive)

    link.remove(root / "links" / "it")
    link.remove(root / "links" / "it")

    assert link.read(root / "links" / "it") is None
    assert is_complete(archive)


def test_publishing_into_a_missing_folder_is_an_error_and_leaves_nothing(link, root):
    archive = make_archive(root, "one")

    with pytest.raises(OSError):
        link.publish(root / "missing" / "it", archive)

    assert sorted(os.listdir(root)) == ["archive", "links"]


def test_any_kind_can_be_read_without_knowing_which(link, root):
    archive = make_archive(root, "one")
    link.publish(root / "links" / "it", archive)
    (root / "links" / "file").write_bytes(b"no link")

    assert linked_text(root / "links" / "it") is not None
    assert read_directory_link(root / "links" / "it") == archive
    assert linked_text(root / "links" / "file") is None
    assert read_directory_link(root / "links" / "missing") is None


@pytest.mark.parametrize("name", [kind for kind in KINDS if kind != "junction"])
def test_a_tree_that_is_moved_as_a_whole_keeps_its_links(name, root):
    link = make_link(name)
    (root / "old" / "links").mkdir(parents=True)
    link.publish(root / "old" / "links" / "it", make_archive(root / "old", "one"))

    os.rename(root / "old", root / "new")

    assert link.read(root / "new" / "links" / "it") == root / "new" / "archive" / "one"


def test_a_link_in_a_circle_is_missing(root):
    os.symlink("it", root / "links" / "it")

    assert SymlinkDirectoryLink().read(root / "links" / "it") is None
    assert read_directory_link(root / "links" / "it") is None


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:8], lambda b: bytes(len(b)), lambda b: b""]
)
def test_a_damaged_pointer_file_is_missing(root, damage):
    link = PointerFileDirectoryLink()
    link.publish(root / "links" / "it", make_archive(root, "one"))
    make_archive(root, "on")  # what a shorter text leads to
    text = (root / "links" / "it").read_bytes()

    (root / "links" / "it").write_bytes(damage(text))

    assert link.read(root / "links" / "it") is None


def test_the_window_without_a_junction_reads_as_missing(root):
    seen = []

    class Watched(PosixJunctions):
        def create_junction(self, target, link):
            seen.append(watched.read(Path(link)))
            os.mkdir(link)
            seen.append(watched.read(Path(link)))
            os.rmdir(link)
            super().create_junction(target, link)

    watched = JunctionDirectoryLink(Watched())
    watched.publish(root / "links" / "it", make_archive(root, "first"))
    watched.publish(root / "links" / "it", make_archive(root, "second"))

    assert seen == [None] * 4


def test_a_place_that_can_never_be_had_is_an_error(root):
    class Refusing(PosixJunctions):
        def create_junction(self, target, link):
            raise PermissionError(link)

    with pytest.raises(PermissionError):
        JunctionDirectoryLink(Refusing()).publish(root / "links" / "it", make_archive(root, "one"))


def test_readers_among_threads_that_write_get_a_complete_archive_or_none(kind, root):
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(publish_many, kind, root, f"thread{n}") for n in range(3)]

        def stop():
            return all(writer.done() for writer in writers)

        readers = [pool.submit(read_many, kind, root, stop) for _ in range(3)]
        for writer in writers:
            writer.result()

    assert [broken for _, broken in (reader.result() for reader in readers) if broken] == []
    last = make_link(kind).read(root / "links" / "it")
    assert last is not None
    assert is_complete(last)
    assert os.listdir(root / "links") == ["it"]


def test_readers_beside_processes_that_write_get_a_complete_archive_or_none(kind, root):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=publish_many, args=(kind, str(root), f"process{n}")) for n in range(2)]
    for writer in writers:
        writer.start()

    found, broken = read_many(kind, root, lambda: not any(writer.is_alive() for writer in writers))
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0]
    assert found
    assert broken == []
    assert is_complete(make_link(kind).read(root / "links" / "it"))


def test_the_chosen_link_works_and_its_trial_leaves_nothing(tmp_path):
    link = choose_directory_link(tmp_path)
    assert os.listdir(tmp_path) == []

    archive = make_archive(tmp_path, "one")
    link.publish(tmp_path / "it", archive)

    assert link.read(tmp_path / "it") == Path(os.path.realpath(archive))


def test_where_nothing_can_be_written_the_usual_link_is_chosen(tmp_path):
    assert choose_directory_link(tmp_path / "missing").read(tmp_path / "it") is None


@pytest.mark.skipif(sys.platform == "win32", reason="there are junctions here")
def test_junctions_of_another_system_are_refused_at_once():
    with pytest.raises(OSError):
        JunctionDirectoryLink()
