from __future__ import annotations

import os
import sys

import pytest

from puffin_api._fs import LINKERS, clone_file, copy_file, detect_link_support, hardlink_file

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    os.utime(path, ns=(1_000_000_000, 2_123_456_700))
    return path


@pytest.fixture(params=sorted(LINKERS))
def kind(request, tmp_path):
    if request.param not in detect_link_support(tmp_path, tmp_path):
        pytest.skip(f"no {request.param} here")
    return request.param


def test_each_way_gives_content_and_time(kind, source, tmp_path):
    LINKERS[kind](source, tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert (tmp_path / "target").stat().st_mtime_ns == source.stat().st_mtime_ns


@posix_only
def test_each_way_keeps_the_executable_bit(kind, source, tmp_path):
    source.chmod(0o755)

    LINKERS[kind](source, tmp_path / "target")

    assert os.access(tmp_path / "target", os.X_OK)


def test_no_way_writes_over_a_file(kind, source, tmp_path):
    (tmp_path / "target").write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        LINKERS[kind](source, tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == b"mine"


@posix_only
def test_a_copy_of_a_read_only_file_can_be_written(source, tmp_path):
    source.chmod(0o444)

    copy_file(source, tmp_path / "target")

    assert (tmp_path / "target").stat().st_mode & 0o200
    assert not (tmp_path / "target").stat().st_mode & 0o111


def test_a_copy_does_not_share_its_bytes(source, tmp_path):
    copy_file(source, tmp_path / "target")
    (tmp_path / "target").write_bytes(b"changed")

    assert source.read_bytes() == b"content" * 1000


def test_a_hard_link_is_the_same_file(source, tmp_path):
    hardlink_file(source, tmp_path / "target")

    assert os.path.samefile(source, tmp_path / "target")


def test_a_clone_that_cannot_be_is_an_error_and_leaves_nothing(source, tmp_path):
    if "clone" in detect_link_support(tmp_path, tmp_path):
        pytest.skip("this file system clones")

    with pytest.raises(OSError):
        clone_file(source, tmp_path / "target")

    assert not (tmp_path / "target").exists()


def test_detection_tries_each_way_and_leaves_nothing(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "env").mkdir()

    found = detect_link_support(tmp_path / "cache", tmp_path / "env")

    assert "copy" in found
    assert list(found) == [kind for kind in LINKERS if kind in found]
    assert os.listdir(tmp_path / "cache") == os.listdir(tmp_path / "env") == []


def test_detection_can_use_a_file_of_a_source_that_cannot_be_written(source, tmp_path):
    (tmp_path / "env").mkdir()

    found = detect_link_support(tmp_path / "never-written", tmp_path / "env", sample=source)

    assert "copy" in found
    assert os.listdir(tmp_path / "env") == []


def test_detection_fails_where_nothing_can_be_put(tmp_path):
    with pytest.raises(OSError):
        detect_link_support(tmp_path, tmp_path / "missing")

    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second volume")
def test_a_hard_link_across_volumes_is_found_not_to_work(tmp_path):
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("the same volume")
        found = detect_link_support(tmp_path, elsewhere)

    assert "hardlink" not in found
    assert "copy" in found
