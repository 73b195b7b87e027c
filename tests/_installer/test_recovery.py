from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from contextlib import suppress

import pytest

from puffin_api._installer.journal import JOURNAL, MARK, PARTS, is_folder, is_there, undo_steps
from puffin_api._installer.recovery import find_interrupted, recover
from puffin_api.errors import PathTooLong, PuffinError, RollbackFailed
from puffin_api.testing import FaultyFs
from tests._installer.environment_kit import FAILURES, Crash, Place, failing_files

OLD = {"ns/shared.py": "1", "ns/old.py": "o", "pkg/__init__.py": "1", "pkg/gone.py": ""}
NEW = {"ns/shared.py": "2", "ns/new.py": "n", "pkg/__init__.py": "2", "pkg/sub/more.py": "m"}


class Scenario:
    """A small upgrade with everything in it: namespace, script, data, a stray file, a removal."""

    def __init__(self, tmp_path):
        self.place = place = Place(tmp_path)
        scripts = {"console_scripts": {"run": "pkg:main"}}
        place.change(
            place.wheel("pkg", "1", files=OLD, entry_points=scripts, data={"data/share/pkg/x": "1"}),
            place.wheel("other", files={"ns/other.py": "", "other.pth": ""}),
            place.wheel("bye", files={"bye/__init__.py": ""}, data={"data/etc/bye": "b"}),
        )
        (place.site / "stray.py").write_text("stray")
        (place.bin / "tool").write_text("stray")
        scripts["console_scripts"]["tool"] = "pkg:tool"
        data = {"data/share/pkg/y": "2", "headers/p.h": ""}
        self.wheels = [
            place.wheel("pkg", "2", files=NEW, entry_points=scripts, data=data),
            place.wheel("fresh", files={"fresh/__init__.py": "", "stray.py": "mine"}),
        ]
        self.old = place.tree()

    def copy(self, tmp_path):
        """The same scenario in another place, made quickly."""
        other = Scenario.__new__(Scenario)
        shutil.copytree(self.place.prefix, tmp_path / "env", symlinks=True)
        other.place, other.wheels, other.old = Place(tmp_path), self.wheels, self.old
        return other

    def run(self, **options):
        return self.place.change(*self.wheels, remove=["bye"], executable="/python", **options)


@pytest.fixture
def first(tmp_path):
    return Scenario(tmp_path / "first")


@pytest.fixture
def whole(first, tmp_path):
    """How many operations the change takes, and the environment after it."""
    scenario = first.copy(tmp_path / "whole")
    files, done = failing_files(10_000)
    scenario.run(files=files)
    assert find_interrupted(scenario.place.site) == []
    return len(done), scenario.place.tree()


@pytest.fixture
def late(first, tmp_path):
    """The number of the last rename but one: nearly everything is done, and nothing is final."""
    scenario = first.copy(tmp_path / "late")
    files, done = failing_files(10_000)
    scenario.run(files=files)
    return [str(call[-1]).endswith(MARK) for call in done].index(True) - 2


def test_a_failure_of_any_operation_leaves_the_old_or_the_new_environment(tmp_path, first, whole):
    total, new = whole
    outcomes = set()
    assert total > 40
    for number in range(total):
        scenario = first.copy(tmp_path / str(number))
        files, _ = failing_files(number, FAILURES[number % len(FAILURES)])
        try:
            scenario.run(files=files)
        except PuffinError as error:
            outcomes.add(error.state)
            assert scenario.place.tree() == scenario.old, number
        else:
            outcomes.add("committed")
            recover([scenario.place.site])
            assert scenario.place.tree() == new

    assert outcomes == {"untouched", "rolled-back", "committed"}


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_at_any_operation_is_undone_or_finished_by_recover(tmp_path, first, whole, torn):
    total, new = whole
    outcomes = set()
    for number in range(total):
        scenario = first.copy(tmp_path / str(number))
        files, done = failing_files(number, torn=torn)
        with pytest.raises(Crash):
            scenario.run(files=files)
        assert len(done) == number + 1

        report = recover([scenario.place.site])

        outcome = report.transactions[0].outcome if report else "nothing"
        outcomes.add(outcome)
        # The two last operations of all are the removal of the mark and of the folder.
        if outcome == "finished" or number >= total - 3:
            assert scenario.place.tree() == new, number
        else:
            assert scenario.place.tree() == scenario.old, number
        assert recover([scenario.place.site]) is None
    assert outcomes >= {"discarded", "rolled-back", "finished"}


@pytest.mark.parametrize("torn", [False, True])
def test_recovering_may_itself_be_interrupted(tmp_path, first, late, torn):
    for again in itertools.count():
        scenario = first.copy(tmp_path / str(again))
        with pytest.raises(Crash):
            scenario.run(files=failing_files(late)[0])
        with suppress(Crash):
            recover([scenario.place.site], files=failing_files(again, torn=torn)[0])
            break
        recover([scenario.place.site])

        assert scenario.place.tree() == scenario.old, again
    assert again > 10


def test_what_makes_a_distribution_complete_comes_last(first):
    files = FaultyFs()

    first.run(files=files)

    arriving = [
        item.target for item in files.operations if item.matches("*/.puffin-*") and item.name == "rename"
    ]
    arriving = [path for path in arriving if "/.puffin-" not in path]
    assert len(arriving) == 11
    assert all(path.endswith(".dist-info") == (path in arriving[-2:]) for path in arriving)


def test_the_next_change_recovers_first(first, late):
    scenario = first
    with pytest.raises(Crash):
        scenario.run(files=failing_files(late)[0])
    assert "interrupted-transaction" in {problem.code for problem in scenario.place.installed().problems}

    result = scenario.run()

    assert "recovered" in [notice.code for notice in result.notices]
    assert scenario.place.installed().get("pkg").version == "2"
    assert find_interrupted(scenario.place.site) == []


def test_there_is_nothing_to_recover_in_a_healthy_environment(tmp_path):
    assert recover([tmp_path, tmp_path / "missing"]) is None


def test_a_journal_that_cannot_be_read_is_left_alone(tmp_path):
    folder = tmp_path / ".puffin-abc"
    folder.mkdir()
    (folder / JOURNAL).write_text("{")

    with pytest.raises(RollbackFailed) as caught:
        recover([tmp_path])

    assert caught.value.state == "needs-recovery"
    assert (folder / JOURNAL).exists()


def test_a_committed_transaction_is_only_cleaned_up(tmp_path):
    folder = tmp_path / ".puffin-abc"
    folder.mkdir()
    (folder / MARK).write_text("")
    (folder / ".puffin-old-1").mkdir()

    report = recover([tmp_path])

    assert report.to_dict() == {
        "schema": 1,
        "transactions": [{"transaction": "abc", "outcome": "finished"}],
    }
    assert os.listdir(tmp_path) == []


def test_a_place_on_another_volume_gets_a_folder_of_its_own(tmp_path):
    place = Place(tmp_path)
    scripts = {"console_scripts": {"run": "a:main"}}
    wheels = {version: place.wheel("a", version, entry_points=scripts) for version in ("1", "2")}

    def split(number):
        """Files that fail from an operation on, with the scripts on a volume of their own."""
        files, done = failing_files(number)
        volume = files.volume
        files.volume = lambda path: volume(path) + str(path).endswith("bin")
        return files, done

    place.change(wheels["1"], files=split(10_000)[0])
    before = place.tree()
    files, done = split(10_000)
    place.change(wheels["2"], files=files)
    assert any(name == "mkdir" and path.endswith(".part") for name, path, *_ in done)
    assert os.listdir(place.bin) == ["run"]
    for number in range(len(done)):
        place.change(wheels["1"])
        assert place.tree() == before
        with pytest.raises(Crash):
            place.change(wheels["2"], files=split(number)[0])
        recover([place.site])
        assert os.listdir(place.bin) == ["run"], number
        assert find_interrupted(place.site) == []


def test_an_interrupted_recovery_leaves_alone_what_it_has_brought_back_on_another_volume(tmp_path):
    site, part = tmp_path / "site", tmp_path / "bin/.puffin-abc.part"
    folder = site / ".puffin-abc"
    for path in (folder, part):
        path.mkdir(parents=True)
    steps = [
        ["rename", "../bin/run", "../bin/.puffin-abc.part/.puffin-old-1"],
        ["rename", "../bin/.puffin-abc.part/.puffin-new-1", "../bin/run"],
    ]
    (folder / JOURNAL).write_text(json.dumps({"format": 1, "transaction": "abc", "steps": steps}))
    (folder / PARTS).write_text("../bin/.puffin-abc.part")
    (part / ".puffin-old-1").write_text("old")
    (tmp_path / "bin/run").write_text("new")
    files = FaultyFs()
    files.crash(operations=["remove_tree"])
    files.remove_tree = half_removing(files.remove_tree)

    with pytest.raises(Crash):
        recover([site], files=files)
    recover([site])

    assert (tmp_path / "bin/run").read_text() == "old"
    assert os.listdir(tmp_path / "bin") == ["run"]
    assert os.listdir(site) == []


def half_removing(remove):
    """Remove what is in a folder, and then what is to happen to the folder."""

    def call(path):
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        remove(path)

    return call


def test_a_place_that_cannot_be_looked_at_is_not_taken_for_an_empty_one(tmp_path):
    folder = tmp_path / ".puffin-abc"
    folder.mkdir()
    (tmp_path / "loop").symlink_to("loop")
    steps = [["rename", "module.py", "loop/module.py"]]
    (folder / JOURNAL).write_text(json.dumps({"format": 1, "transaction": "abc", "steps": steps}))

    with pytest.raises(RollbackFailed) as caught:
        recover([tmp_path])

    assert caught.value.state == "needs-recovery"
    assert (folder / JOURNAL).exists()


def test_a_list_of_folders_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path):
    folder = tmp_path / ".puffin-abc"
    (folder / PARTS).mkdir(parents=True)

    with pytest.raises(RollbackFailed):
        recover([tmp_path])

    assert folder.exists()


def test_site_packages_that_cannot_be_listed_is_not_taken_for_a_healthy_one(tmp_path):
    with pytest.raises(PathTooLong):
        recover([tmp_path / ("x" * 300)])


def test_only_what_is_certain_is_told_of_a_path(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)

    assert [is_there(f"{tmp_path}/{name}") for name in ("", "loop", "none", "file/x")] == [1, 1, 0, 0]
    assert [is_folder(f"{tmp_path}/{name}") for name in ("link", "loop", "none", "file/x")] == [1, 0, 0, 0]
    for look in (is_there, is_folder):
        with pytest.raises(OSError, match="name too long"):
            look(f"{tmp_path}/{'x' * 300}")


def test_what_was_not_made_need_not_be_removed(tmp_path):
    files = FaultyFs()
    files.fail(errno.EROFS)

    undo_steps(str(tmp_path), [("mkdir", "missing"), ("rename", "a", "b")], files)

    assert files.operations == [], "a read-only disk refuses even to remove what is not there"


def test_an_error_while_cleaning_up_does_not_undo_the_change(tmp_path):
    place = Place(tmp_path)
    place.change(place.wheel("a", "1"))
    files, _ = failing_files(10_000)

    def refuse(path):
        raise OSError(errno.EACCES, "no", path)

    files.remove_tree = refuse

    result = place.change(place.wheel("a", "2"), files=files)

    assert [notice.code for notice in result.notices] == ["trash-left"]
    assert place.installed().get("a").version == "2"
    assert recover([place.site]).transactions[0].outcome in {"finished", "discarded"}


def test_what_is_still_in_use_waits_for_a_later_change(tmp_path):
    place = Place(tmp_path)
    place.change(place.wheel("a", "1", files={"a/native.pyd": "1", "a/more.py": ""}))
    files, _ = failing_files(10_000)
    remove = files.remove_tree

    def refuse_native(path):
        if os.path.exists(f"{path}/native.pyd"):
            raise PermissionError(errno.EACCES, "in use", path)
        remove(path)

    files.remove_tree = refuse_native
    place.change(place.wheel("a", "2", files={"a/native.pyd": "2"}), files=files)

    result = place.change(place.wheel("a", "3", files={"a/native.pyd": "3"}), files=files)

    assert "recovered" not in {notice.code for notice in result.notices}, "nothing was interrupted"
    assert len(find_interrupted(place.site)) == 2
    result = place.remove("a")
    assert find_interrupted(place.site) == []
    assert os.listdir(place.site) == []
