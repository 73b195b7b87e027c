"""Libraries that a program has loaded, on a system that then refuses to move the folder around them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from puffin_api._installer.journal import OS_FILES, Files
from puffin_api._installer.open_files import take_apart
from puffin_api._installer.recovery import find_interrupted, recover
from puffin_api._installer.undo import UndoStore
from puffin_api.errors import FileInUse, InstallFailed, PathTooLong
from tests._installer.environment_kit import Crash, Place, failing_files

ONE = {
    "pkg/__init__.py": "1",
    "pkg/fast.pyd": "1",
    "pkg/data/a.txt": "",
    "pkg/deep/er/tool.exe": "",
    "m.py": "",
}
TWO = {"pkg/__init__.py": "2", "pkg/fast.pyd": "2", "pkg/deep/er/new.py": "", "n.py": ""}


class WindowsLike(Files):
    """Files of programs that run can be renamed, but neither removed nor their folders renamed."""

    def __init__(self, running):
        super().__init__()
        self.running = running
        self.moves_open_folders = False
        self.rename = self._rename
        self.remove_tree = self._remove_tree

    def _uses(self, path):
        if os.path.isdir(path):
            return any(self._uses(f"{path}/{name}") for name in os.listdir(path))
        return os.path.exists(path) and os.stat(path).st_ino in self.running

    def _rename(self, source, target):
        if os.path.isdir(source) and self._uses(source):
            raise PermissionError(errno.EACCES, "in use", source)
        OS_FILES.rename(source, target)

    def _remove_tree(self, path):
        if self._uses(path):
            raise PermissionError(errno.EACCES, "in use", path)
        OS_FILES.remove_tree(path)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.change(place.wheel("pkg", "1", files=ONE))
    return place


def files_of(place, *paths):
    return WindowsLike({os.stat(place.site / path).st_ino for path in paths})


def contents(place):
    return sorted(
        str(path.relative_to(place.site))
        for path in place.site.rglob("*")
        if not path.relative_to(place.site).parts[0].startswith(".puffin-") and path.is_file()
    )


def test_a_loaded_library_is_replaced_and_removed_later(place):
    files = files_of(place, "pkg/fast.pyd", "pkg/deep/er/tool.exe")

    result = place.change(place.wheel("pkg", "2", files=TWO), files=files)

    assert "trash-left" in {notice.code for notice in result.notices}
    assert place.read("pkg/fast.pyd") == "2"
    assert [path for path in contents(place) if "dist-info" not in path] == sorted(TWO)
    assert place.installed().problems == (), "what is left over is no interrupted change"
    files.running.clear()
    place.change(place.wheel("other"), files=files)
    assert find_interrupted(place.site) == []


def test_a_loaded_library_is_uninstalled(place):
    files = files_of(place, "pkg/fast.pyd")
    place.remove("pkg", files=files)
    assert contents(place) == []
    assert not (place.site / "pkg").exists()
    files.running.clear()
    recover([place.site], files=files)
    assert os.listdir(place.site) == []


def test_the_change_is_undone(place, tmp_path):
    files = files_of(place)
    before = place.tree()
    (tmp_path / "trash").mkdir()
    store = UndoStore(str(tmp_path / "undo"), str(tmp_path / "trash"))
    upgraded = place.change(place.wheel("pkg", "2", files=TWO), files=files, undo_store=store)

    place.remove("pkg", files=files, undo_store=store, restore=upgraded.transaction_id)

    assert place.tree() == before


def test_a_failure_brings_the_folders_back(place):
    before = place.tree()
    files = files_of(place)
    rename = files.rename

    def refuse(source, target):
        if "2.dist-info" in target:
            raise PermissionError(errno.EBUSY, "in use", source)
        rename(source, target)

    files.rename = refuse
    with pytest.raises(FileInUse) as caught:
        place.change(place.wheel("pkg", "2", files=TWO), files=files)

    assert caught.value.state == "rolled-back"
    assert place.tree() == before


def test_a_path_that_is_too_long_is_found_before(place):
    before = place.tree()
    files = files_of(place)
    wheel = place.wheel("pkg", "2", files={f"pkg/{'n' * 100}.py": ""}, entry_points={})
    long = len(str(place.site)) + len(".puffin-") + 24 + 2 + len("pkg/") + 103
    for limit, fits in ((long, True), (long - 1, False)):
        files.longest_path = limit
        if fits:
            place.change(wheel, files=files)
            place.change(place.wheel("pkg", "1", files=ONE), files=files)
            continue
        with pytest.raises(PathTooLong) as caught:
            place.change(wheel, files=files)
        assert caught.value.state == "untouched"
        assert caught.value.path.endswith("n.py")
    assert place.tree() == before


def test_only_folders_with_programs_are_taken_apart(place, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "link").symlink_to(place.site / "pkg")
    whole, emptied = take_apart([str(place.site / "pkg"), str(tmp_path / "plain"), str(tmp_path / "link")])
    site = str(place.site)
    assert sorted(Path(path).name for path in whole) == [
        "__init__.py",
        "data",
        "fast.pyd",
        "link",
        "plain",
        "tool.exe",
    ]
    assert emptied == [f"{site}/pkg/deep/er", f"{site}/pkg/deep", f"{site}/pkg"]


# -- folders that came with the image of a container


class ImageLike(Files):
    """No folder that was there before may be renamed, as on an overlay file system."""

    def __init__(self, *, files=OS_FILES):
        super().__init__()
        for name in ("write", "write_atomic", "unlink", "rmdir", "chmod", "remove_tree", "ways"):
            setattr(self, name, getattr(files, name))
        self._made = set()
        self._below = files
        self.mkdir = self._mkdir
        self.rename = self._rename

    def _mkdir(self, path):
        self._below.mkdir(path)
        self._made.add(os.stat(path).st_ino)

    def _rename(self, source, target):
        if os.path.isdir(source) and os.stat(source).st_ino not in self._made:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        self._below.rename(source, target)


DEEP = {"pkg/__init__.py": "1", "pkg/a/b/c.py": "", "pkg/a/d.py": "", "space/one.py": "", "m.py": ""}


class Image:
    """An environment that came with an image."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.place = place = Place(tmp_path)
        place.change(place.wheel("pkg", "1", files=DEEP), place.wheel("mate", files={"space/two.py": ""}))
        (place.site / "pkg/a").chmod(0o750)
        self.wheels = (place.wheel("pkg", "2", files={"pkg/__init__.py": "2", "pkg/a/e.py": ""}),)
        self.old = place.tree(), modes(place)

    def run(self, files):
        return self.place.change(*self.wheels, files=files)


def modes(place):
    return {path: path.stat().st_mode for path in place.site.rglob("*") if path.is_dir()}


def test_a_folder_that_may_not_be_moved_is_taken_apart(tmp_path):
    image = Image(tmp_path)

    result = image.run(ImageLike())

    place = image.place
    found = [path for path in contents(place) if "dist-info" not in path]
    assert found == ["pkg/__init__.py", "pkg/a/e.py", "space/two.py"]
    assert find_interrupted(place.site) == []
    assert result.notices == ()
    place.remove("pkg", "mate", files=ImageLike())
    assert os.listdir(place.site) == []


def test_its_change_is_undone_and_kept_elsewhere(tmp_path):
    image = Image(tmp_path)
    (tmp_path / "trash").mkdir()
    store = UndoStore(str(tmp_path / "undo"), str(tmp_path / "trash"))
    files = ImageLike()
    result = image.place.change(*image.wheels, files=files, undo_store=store)

    image.place.remove("pkg", files=files, undo_store=store, restore=result.transaction_id)

    assert image.place.tree() == image.old[0]


def test_a_crash_at_any_operation_brings_it_back(tmp_path):
    image = Image(tmp_path / "whole")
    counted, done = failing_files(10_000)
    image.run(ImageLike(files=counted))
    marked = [name == "rename" and str(rest[-1]).endswith("committed") for name, *rest in done].index(True)
    assert marked > 25
    for number in range(marked):
        image = Image(tmp_path / str(number))
        with pytest.raises(Crash):
            image.run(ImageLike(files=failing_files(number)[0]))
        recover([image.place.site])
        assert (image.place.tree(), modes(image.place)) == image.old, number


def test_what_lies_on_another_volume_cannot_be_changed_and_stays(tmp_path):
    image = Image(tmp_path)
    files = Files()
    rename = files.rename

    def refuse(source, target):
        if "/pkg" in source and "/.puffin-" not in source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        rename(source, target)

    files.rename = refuse
    with pytest.raises(InstallFailed) as caught:
        image.run(files)
    assert caught.value.state == "rolled-back"
    assert (image.place.tree(), modes(image.place)) == image.old
