from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from puffin_api._fs import remove_tree, replace_directory, unique_name, write_atomic

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


def names(folder):
    return sorted(os.listdir(folder))


def test_unique_names_are_long_lower_case_and_different():
    made = {unique_name() for _ in range(1000)}

    assert len(made) == 1000
    assert all(len(name) >= 20 and name.isalnum() and name == name.lower() for name in made)


def test_a_file_is_written_and_replaced(tmp_path):
    write_atomic(tmp_path / "file", b"first")
    write_atomic(str(tmp_path / "file"), b"second")

    assert (tmp_path / "file").read_bytes() == b"second"
    assert names(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "content").touch()

    with pytest.raises(OSError):
        write_atomic(tmp_path / "place", b"data")

    assert names(tmp_path) == ["place"]


def test_a_write_into_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "file", b"data")


@posix_only
def test_a_replaced_file_leaves_its_other_names_alone(tmp_path):
    (tmp_path / "shared").write_bytes(b"old")
    os.link(tmp_path / "shared", tmp_path / "file")

    write_atomic(tmp_path / "file", b"new")

    assert (tmp_path / "shared").read_bytes() == b"old"


def test_readers_never_see_a_part_of_a_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([n]) * 100_000 for n in range(8)]
    write_atomic(path, contents[0])

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write_atomic, path, content) for content in contents * 4]
        readers = [pool.submit(path.read_bytes) for _ in range(32)]
        for writer in writers:
            writer.result()

    assert all(reader.result() in contents for reader in readers)
    assert names(tmp_path) == ["file"]


def test_a_directory_is_replaced_as_a_whole(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()

    replace_directory(tmp_path / "new", tmp_path / "old")

    assert names(tmp_path) == ["old"]
    assert names(tmp_path / "old") == ["new"]


def test_a_directory_is_moved_to_where_nothing_stands(tmp_path):
    (tmp_path / "new").mkdir()

    replace_directory(tmp_path / "new", tmp_path / "place")

    assert names(tmp_path) == ["place"]


def test_a_directory_that_cannot_be_replaced_is_put_back(tmp_path):
    (tmp_path / "old").mkdir()

    with pytest.raises(FileNotFoundError):
        replace_directory(tmp_path / "missing", tmp_path / "old")

    assert names(tmp_path) == ["old"]


def test_a_tree_is_removed_and_what_its_links_lead_to_stays(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    os.symlink(tmp_path / "kept", tree / "a" / "link", target_is_directory=True)
    os.symlink(tmp_path / "missing", tree / "dangling")

    remove_tree(tree)

    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["file"]


@pytest.mark.parametrize("make", [lambda p: p.touch(), lambda p: os.symlink("nowhere", p), lambda p: None])
def test_files_links_and_nothing_are_removed_too(tmp_path, make):
    make(tmp_path / "thing")

    remove_tree(tmp_path / "thing")

    assert names(tmp_path) == []


def test_a_link_to_a_directory_is_removed_and_not_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    os.symlink(tmp_path / "kept", tmp_path / "link", target_is_directory=True)

    remove_tree(tmp_path / "link")

    assert names(tmp_path) == ["kept"]


def as_plain_user(folder):
    """Skip where modes do not bind this user."""
    probe = folder / "probe"
    probe.mkdir(mode=0o500)
    try:
        (probe / "file").touch()
    except PermissionError:
        return
    finally:
        probe.chmod(0o700)
    pytest.skip("this user may do anything")


def build_locked_tree(tree):
    (tree / "a" / "b").mkdir(parents=True)
    for folder in (tree, tree / "a", tree / "a" / "b"):
        (folder / "file").touch()
    for folder in (tree / "a" / "b", tree / "a", tree):
        folder.chmod(0o400)


@posix_only
def test_read_only_directories_are_removed(tmp_path):
    as_plain_user(tmp_path)
    build_locked_tree(tmp_path / "tree")

    remove_tree(tmp_path / "tree")

    assert "tree" not in names(tmp_path)


@posix_only
def test_the_folder_around_a_tree_keeps_its_mode(tmp_path):
    as_plain_user(tmp_path)
    (tmp_path / "outer" / "tree").mkdir(parents=True)
    (tmp_path / "outer").chmod(0o500)

    with pytest.raises(PermissionError):
        remove_tree(tmp_path / "outer" / "tree")

    assert (tmp_path / "outer").stat().st_mode & 0o777 == 0o500


@posix_only
def test_the_mode_of_a_file_shared_with_a_cache_is_not_touched(tmp_path):
    (tmp_path / "cached").touch(mode=0o400)
    (tmp_path / "tree").mkdir()
    os.link(tmp_path / "cached", tmp_path / "tree" / "file")

    remove_tree(tmp_path / "tree")

    assert (tmp_path / "cached").stat().st_mode & 0o777 == 0o400


@posix_only
def test_a_tree_deeper_than_the_recursion_limit_is_removed(tmp_path):
    top = deepest = str(tmp_path / "d")
    os.mkdir(top)
    while len(deepest) < 3900 and deepest.count("/") < 1500:
        deepest += "/d"
        os.mkdir(deepest)
    assert deepest.count("/d") > sys.getrecursionlimit()

    remove_tree(top)

    assert names(tmp_path) == []


def test_several_may_remove_one_tree(tmp_path):
    tree = tmp_path / "tree"
    for number in range(50):
        (tree / str(number)).mkdir(parents=True)
        (tree / str(number) / "file").touch()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(remove_tree, tree) for _ in range(4)]:
            done.result()

    assert names(tmp_path) == []
