from __future__ import annotations

import errno
import os
import shutil

import pytest

from puffin_api._installer.recovery import find_interrupted, recover
from puffin_api._installer.undo import UndoStore
from puffin_api._model.plan import Change
from puffin_api.errors import FileConflict, InstallFailed, PuffinError
from tests._installer.environment_kit import Crash, Place, commit_changes, failing_files, tree

OLD = {"ns/old.py": "1", "pkg/__init__.py": "1", "pkg/deep/er.py": "", "one.py": "1", "pkg.pth": "#"}
NEW = {"ns/new.py": "2", "pkg/__init__.py": "2", "two.py": "", "pkg.pth": "# 2"}
SCRIPTS = {"console_scripts": {"run": "pkg:main"}}


class Scenario:
    """An upgrade, an install and a removal that are to be undone."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.place = place = Place(tmp_path)
        place.change(
            place.wheel("pkg", "1", files=OLD, entry_points=SCRIPTS, data={"data/share/x": "1"}),
            place.wheel("mate", files={"ns/mate.py": ""}),
            place.wheel("bye", files={"bye/__init__.py": ""}),
        )
        (place.site / "two.py").write_text("stray")
        self.old = place.tree()
        result = place.change(
            place.wheel("pkg", "2", files=NEW, entry_points=SCRIPTS),
            place.wheel("fresh", files={"fresh/__init__.py": ""}),
            remove=["bye"],
            undo_store=self.store,
        )
        self.transaction = result.transaction_id
        self.new = place.tree()
        self.kept = tree(tmp_path / "undo")

    @property
    def store(self):
        (self.tmp_path / "trash").mkdir(exist_ok=True)
        return UndoStore(str(self.tmp_path / "undo"), str(self.tmp_path / "trash"))

    def copy(self, tmp_path):
        other = Scenario.__new__(Scenario)
        other.__dict__.update(self.__dict__)
        for name in ("env", "undo"):
            shutil.copytree(self.tmp_path / name, tmp_path / name, symlinks=True)
        other.tmp_path, other.place = tmp_path, Place(tmp_path)
        return other

    def undo(self, **options):
        changes = [
            Change(action="downgrade", name="pkg", old="2", new="1", cause="undo"),
            Change(action="remove", name="fresh", old="1.0", cause="undo"),
            Change(action="install", name="bye", new="1.0", cause="undo"),
        ]
        options = {"undo_store": self.store, "restore": self.transaction, **options}
        return commit_changes(self.place, changes, {}, **options)


@pytest.fixture
def first(tmp_path):
    return Scenario(tmp_path / "first")


def test_what_is_put_aside_is_kept_and_comes_back(first):
    assert first.kept
    result = first.undo()
    assert first.place.tree() == first.old
    assert result.restored == ("bye", "ns", "one", "pkg")
    assert [notice.code for notice in result.notices] == []
    assert len(os.listdir(first.tmp_path / "undo")) == 1, "what was undone can be done again"
    assert os.listdir(first.tmp_path / "trash") == []


def test_a_crash_at_any_operation_leaves_the_old_or_the_new_environment(first, tmp_path):
    whole = first.copy(tmp_path / "whole")
    files, done = failing_files(10_000)
    whole.undo(files=files)
    marked = [str(call[-1]).endswith("committed") for call in done].index(True)
    assert marked > 15
    for number in range(len(done)):
        scenario = first.copy(tmp_path / str(number))
        with pytest.raises(Crash):
            scenario.undo(files=failing_files(number)[0])

        recover([scenario.place.site])

        assert find_interrupted(scenario.place.site) == []
        if number <= marked:
            assert scenario.place.tree() == first.new, number
            assert tree(scenario.tmp_path / "undo") == first.kept, number
            scenario.undo()
        assert scenario.place.tree() == first.old, number


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_failure_of_any_operation_leaves_the_old_or_the_new_environment(first, tmp_path, number):
    files, done = failing_files(10_000)
    first.copy(tmp_path / "whole").undo(files=files)
    states = set()
    for count in range(len(done)):
        scenario = first.copy(tmp_path / str(count))
        try:
            scenario.undo(files=failing_files(count, number)[0])
        except PuffinError as error:
            states.add(error.state)
            assert scenario.place.tree() == first.new, count
            assert tree(scenario.tmp_path / "undo") == first.kept, count
        else:
            states.add("committed")
            recover([scenario.place.site])
            assert scenario.place.tree() == first.old, count
    assert states == {"untouched", "rolled-back", "committed"}


def test_keeping_may_fail_at_any_operation(tmp_path):
    first = Scenario(tmp_path / "first")
    place = first.place
    files, done = failing_files(10_000)
    wheel = place.wheel("pkg", "3", files=NEW)
    copy = first.copy(tmp_path / "whole")
    copy.place.change(wheel, files=files, undo_store=copy.store)
    marked = [str(call[-1]).endswith("committed") for call in done].index(True)
    for number in range(marked + 1, len(done)):
        scenario = first.copy(tmp_path / str(number))
        scenario.place.change(wheel, files=failing_files(number, errno.EXDEV)[0], undo_store=scenario.store)
        recover([scenario.place.site])
        assert scenario.place.tree() == copy.place.tree()


def test_a_place_on_another_volume_is_not_kept(tmp_path):
    place = Place(tmp_path)
    wheels = {version: place.wheel("a", version, entry_points=SCRIPTS) for version in ("1", "2")}
    files, _ = failing_files(10_000)
    volume = files.volume
    files.volume = lambda path: volume(path) + str(path).endswith("bin")
    store = UndoStore(str(tmp_path / "undo"), str(tmp_path / "trash"))
    place.change(wheels["1"], files=files, undo_store=store)

    result = place.change(wheels["2"], files=files, undo_store=store)

    assert store.read(result.transaction_id, str(place.site)) is None
    assert find_interrupted(place.site) == []


def test_what_is_not_kept_cannot_be_restored(first):
    there = first.place.tree()
    with pytest.raises(InstallFailed, match="not kept") as caught:
        first.undo(restore="0" * 24)
    assert caught.value.state == "untouched"
    assert first.place.tree() == there


def test_a_damaged_record_of_what_is_kept_counts_as_none(first):
    mark = first.tmp_path / "undo" / first.transaction / ".puffin-committed"
    mark.write_text(mark.read_text()[:-40])
    assert first.store.read(first.transaction, str(first.place.site)) is None


def test_a_folder_in_the_place_of_a_file_is_a_conflict_and_stays(first):
    first.place.change(first.place.wheel("late", files={"one.py/in.py": "", "pkg/deep/er.py/in.py": ""}))
    there = first.place.tree()
    with pytest.raises(FileConflict) as caught:
        first.undo()
    assert caught.value.state == "untouched"
    assert first.place.tree() == there
