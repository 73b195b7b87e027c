from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from puffin_api import Client, Environment, Installer, Target
from puffin_api.errors import DiskFull, NotWritable, RollbackFailed
from puffin_api.testing import FakeIndex, FaultyFs, SimulatedCrash

TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


class Program:
    """Something that installs, on a disk that fails."""

    def __init__(self, folder: Path) -> None:
        self.files = FaultyFs()
        self.folder = folder
        self.environment = Environment.directory(folder, target=TARGET)
        self.index = FakeIndex()
        self.index.add("app", "1", files={"app/__init__.py": "1", "app/old.py": ""})
        self.index.add("app", "2", files={"app/__init__.py": "2", "app/new.py": ""})

    def install(self, version):
        self.files.operations.clear()
        with Client(indexes=[self.index]) as client:  # one for each call: closing waits for its threads
            return Installer(self.environment, client, files=self.files).install([f"app=={version}"])

    @property
    def version(self):
        """What is there; a module of the other version beside it would fail here."""
        version = (self.folder / "app/__init__.py").read_text()
        other = {"1": "old.py", "2": "new.py"}[version]
        assert {name for name in os.listdir(self.folder / "app") if name != "__init__.py"} == {other}
        return version


@pytest.fixture
def program(tmp_path):
    program = Program(tmp_path / "packages")
    program.install("1")
    return program


def test_without_faults_everything_is_done_and_noted(program):
    program.install("2")

    assert program.version == "2"
    operations = program.files.operations
    assert operations[0].name == "mkdir"
    assert {"write_atomic", "rename"} <= {operation.name for operation in operations}
    [mark] = [
        operation for operation in operations if operation.matches("*/.puffin-committed") and operation.target
    ]
    assert mark.path.endswith(".puffin-journal.json")


def test_a_full_disk_at_any_operation_changes_nothing_or_everything(program):
    program.install("2")
    count = len(program.files.operations)
    program.install("1")
    outcomes = set()
    for number in range(count):
        program.files.mend()
        program.files.fail(errno.ENOSPC, at=number)
        try:
            program.install("2")
        except DiskFull as error:
            outcomes.add(error.state)
            assert program.version == "1"
        else:
            outcomes.add("committed")
            assert program.version == "2"
            program.files.mend()
            program.install("1")

    assert outcomes == {"untouched", "rolled-back", "committed"}


def test_paths_and_operations_choose_what_fails(program):
    program.files.fail(errno.EROFS, path="*/app/new.py", operations=("clone", "hardlink", "copy"))
    with pytest.raises(NotWritable):
        program.install("2")

    program.files.mend()
    program.files.fail(errno.EROFS, path="*/nothing/of/the/kind")
    program.files.fail(errno.EROFS, operations="chmod", path="*/app")
    program.install("2")

    assert program.version == "2"


def test_a_fault_may_be_over_after_some_times(program):
    program.files.fail(errno.ENOSPC, operations="rename", times=2)

    for _ in range(2):
        with pytest.raises(DiskFull):
            program.install("2")
    program.install("2")

    assert program.version == "2"


def test_a_disk_that_stays_broken_needs_recovery_once_it_is_mended(program):
    program.install("2")
    renames = [number for number, item in enumerate(program.files.operations) if item.name == "rename"]
    program.install("1")
    program.files.fail(errno.EROFS, start=renames[1])

    with pytest.raises(RollbackFailed) as caught:
        program.install("2")

    assert caught.value.state == "needs-recovery"
    program.files.mend()
    assert program.environment.recover().transactions[0].outcome == "rolled-back"
    assert program.version == "1"


def test_after_a_crash_nothing_is_done_until_the_environment_is_recovered(program):
    program.files.crash(path="*/.puffin-committed")

    with pytest.raises(SimulatedCrash):
        program.install("2")

    assert program.files.operations[-1].target.endswith(".puffin-committed")
    assert [problem.code for problem in program.environment.check()] == ["interrupted-transaction"]
    with pytest.raises(SimulatedCrash):
        program.files.mkdir(str(program.folder / "more"))
    assert not (program.folder / "more").exists()
    program.environment.recover()
    assert program.version == "1"


def test_the_next_install_recovers_from_a_crash(program):
    program.files.crash(at=9)
    with pytest.raises(SimulatedCrash):
        program.install("2")
    program.files.mend()

    report = program.install("2")

    assert "recovered" in [notice.code for notice in report.notices]
    assert program.version == "2"


def test_a_torn_write_leaves_half_of_a_file(tmp_path):
    files = FaultyFs()
    files.crash(at=1, torn=True)
    files.write(str(tmp_path / "a"), b"whole", 0o666)

    with pytest.raises(SimulatedCrash):
        files.write(str(tmp_path / "b"), b"1234", 0o666)

    assert (tmp_path / "a").read_bytes() == b"whole"
    assert (tmp_path / "b").read_bytes() == b"12"


def test_a_torn_removal_leaves_some_of_a_tree(tmp_path):
    (tmp_path / "tree/.puffin-old-1").mkdir(parents=True)
    (tmp_path / "tree/module.py").touch()
    files = FaultyFs()
    files.fail(errno.EIO, operations=["remove_tree"], torn=True)

    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        files.remove_tree(str(tmp_path / "tree"))

    assert caught.value.filename == str(tmp_path / "tree")
    assert os.listdir(tmp_path / "tree") == [".puffin-old-1"]


def test_a_thread_of_a_pool_does_not_die_of_a_crash_elsewhere(tmp_path):
    files = FaultyFs()
    files.crash(at=0)
    with pytest.raises(SimulatedCrash):
        files.mkdir(str(tmp_path / "a"))
    caught: list[BaseException] = []

    def work():
        try:
            files.mkdir(str(tmp_path / "b"))
        except OSError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert [error.errno for error in caught] == [errno.EIO]
    assert os.listdir(tmp_path) == []
