from __future__ import annotations

import os
import shutil

import pytest

from puffin_api._preparer.soundness import NEVER, find_damage, seal, sealed_at
from puffin_api._testing.wheels import make_wheel
from puffin_api._wheel.unpack import unpack_wheel

PATHS = [
    "demo/__init__.py",
    "demo/data, with comma.txt",
    "demo-1.0.dist-info/METADATA",
    "demo-1.0.dist-info/INSTALLER",
    "demo-1.0.dist-info/RECORD",
    "demo-1.0.data/scripts/run",
]


@pytest.fixture
def archive(tmp_path):
    """An archive and its manifest, sealed when it was unpacked."""
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    files = {
        "demo/__init__.py": "first = 1\n",
        "demo/data, with comma.txt": "ä" * 10,
        "demo-1.0.data/scripts/run": "#!python\nprint()\n",
    }
    wheel.write_bytes(make_wheel("demo", "1.0", files=files))
    manifest = unpack_wheel(wheel, tmp_path / "archive", filename=wheel.name)
    return tmp_path / "archive", manifest


def look(archive, sealed=None):
    folder, manifest = archive
    return find_damage(
        os.fspath(folder), manifest, sealed_at(os.fspath(folder)) if sealed is None else sealed
    )


def damage_of(archive, sealed=None):
    return look(archive, sealed)[0]


def keep_time(path, act):
    """Change a file so that its time does not tell."""
    before = os.stat(path).st_mtime_ns
    act(path)
    os.utime(path, ns=(before, before))


def test_an_archive_as_it_was_unpacked_is_sound_in_both_ways(archive):
    assert damage_of(archive) == ""
    assert damage_of(archive, NEVER) == ""


@pytest.mark.parametrize("path", PATHS)
def test_a_file_of_another_size_is_damage_whatever_its_time(archive, path):
    file = archive[0] / "files" / path
    keep_time(file, lambda file: os.truncate(file, 3))

    assert f"{path} has 3 bytes" in damage_of(archive)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_was_written_to_later_is_damage_if_its_content_is_another(archive, path):
    file = archive[0] / "files" / path
    file.write_bytes(bytes(file.stat().st_size))
    later = sealed_at(os.fspath(archive[0])) + 10**9
    os.utime(file, ns=(later, later))

    assert damage_of(archive) == f"{path} has other content"


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_is_gone_or_no_file_is_damage(archive, path):
    file = archive[0] / "files" / path
    content = file.read_bytes()
    file.unlink()
    assert damage_of(archive) == f"{path} is missing"

    file.mkdir()
    assert damage_of(archive) == f"{path} is no file"

    file.rmdir()
    (archive[0] / "elsewhere").write_bytes(content)
    file.symlink_to(archive[0] / "elsewhere")
    assert damage_of(archive) == f"{path} is no file"


@pytest.mark.parametrize("replace", [lambda path: None, lambda path: path.write_bytes(b"no folder")])
def test_an_archive_without_its_files_is_damage(archive, replace):
    shutil.rmtree(archive[0] / "files")
    replace(archive[0] / "files")

    assert damage_of(archive) != ""


@pytest.mark.parametrize("path", PATHS)
def test_zeros_that_no_time_tells_are_found_by_digest_only(archive, path):
    keep_time(archive[0] / "files" / path, lambda file: file.write_bytes(bytes(file.stat().st_size)))

    assert damage_of(archive) == ""
    assert damage_of(archive, NEVER) == f"{path} has other content"


def test_changes_of_size_that_make_up_for_each_other_are_found(archive):
    first, second = (archive[0] / "files" / path for path in PATHS[:2])
    for file, size in ((first, first.stat().st_size + 1), (second, second.stat().st_size - 1)):
        os.truncate(file, size)
        later = sealed_at(os.fspath(archive[0])) + 10**9
        os.utime(file, ns=(later, later))

    assert "bytes instead of" in damage_of(archive)


def test_new_times_alone_are_no_damage_and_are_read_once_only(archive):
    file = archive[0] / "files" / PATHS[0]
    later = sealed_at(os.fspath(archive[0])) + 10**9
    os.utime(file, ns=(later, later))

    damage, newest = look(archive)
    assert (damage, newest) == ("", later)
    assert seal(os.fspath(archive[0]), newest)

    keep_time(file, lambda file: file.write_bytes(bytes(file.stat().st_size)))
    assert damage_of(archive) == "", "it counts as read"
    os.utime(file, ns=(later + 1000, later + 1000))
    assert damage_of(archive) == f"{PATHS[0]} has other content", "a later change still counts"


def test_reading_can_be_stopped(archive):
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    with pytest.raises(Stop):
        find_damage(os.fspath(archive[0]), archive[1], NEVER, check=stop)


def test_without_a_manifest_there_is_no_time(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        sealed_at(os.fspath(tmp_path))
    assert not seal(os.fspath(tmp_path), 1)


def test_a_link_of_the_same_size_and_time_is_no_file(archive):
    file = archive[0] / "files" / PATHS[0]
    before = file.stat()
    file.unlink()
    os.symlink("x" * before.st_size, file)
    os.utime(file, ns=(before.st_mtime_ns, before.st_mtime_ns), follow_symlinks=False)

    assert damage_of(archive) == f"{PATHS[0]} is no file"
