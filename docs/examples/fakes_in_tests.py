"""Tests of a program that uses the library: no network, no real packages, no patching."""

# [start:index]
import errno
from pathlib import Path

import pytest

from puffin_api import Client, Environment, Installer, Interpreter, Resolver, Target, errors
from puffin_api.model import PackageDecided
from puffin_api.testing import (
    FailingRunner,
    FakeIndex,
    FakeTransport,
    FaultyFs,
    LoopbackIndex,
    RecordingReporter,
    SimulatedCrash,
    make_wheel,
)

TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


def test_the_newest_version_that_fits_is_chosen() -> None:
    index = FakeIndex()
    index.add("app", "1.0", requires=["library<2"])
    index.add("library", "1.5")
    index.add("library", "2.0")

    with Client(indexes=[index]) as client:
        resolution = Resolver(client).resolve(["app"], target=TARGET)

    assert resolution.packages["library"].version == "1.5"


# [end:index]


# [start:install]
def test_installing_puts_the_module_there(tmp_path: Path) -> None:
    index = FakeIndex()
    index.add("app", "1.0", files={"app.py": "ANSWER = 42\n"})
    folder = Environment.directory(tmp_path / "packages", target=TARGET)

    with Client(indexes=[index]) as client:
        report = Installer(folder, client).install(["app"])

    assert [(change.action, change.name) for change in report.changes] == [("install", "app")]
    assert (tmp_path / "packages/app.py").read_text() == "ANSWER = 42\n"


# [end:install]


# [start:server]
def test_a_server_in_trouble_is_reported_as_such() -> None:
    with LoopbackIndex({"app-1.0-py3-none-any.whl": make_wheel("app", "1.0")}) as server:
        server.page("/simple/app/", "go away", status=403)
        with Client(indexes=[server.url]) as client, pytest.raises(errors.Forbidden):
            Resolver(client).resolve(["app"], target=TARGET)


# [end:server]


# [start:transport]
def test_an_unknown_project_is_an_error_of_its_own() -> None:
    transport = FakeTransport()  # answers 404 to everything

    with (
        Client(indexes=["https://index.invalid/simple/"], transport=transport) as client,
        pytest.raises(errors.PackageNotFound) as caught,
    ):
        Resolver(client).resolve(["app"], target=TARGET)

    assert caught.value.name == "app"
    assert transport.count("/simple/app/") == 1


# [end:transport]


# [start:full]
def test_a_full_disk_leaves_the_old_version_in_place(tmp_path: Path) -> None:
    index = FakeIndex()
    index.add("app", "1.0", files={"app.py": "VERSION = 1\n"})
    index.add("app", "2.0", files={"app.py": "VERSION = 2\n"})
    folder = Environment.directory(tmp_path / "packages", target=TARGET)
    files = FaultyFs()

    with Client(indexes=[index]) as client:
        installer = Installer(folder, client, files=files)
        installer.install(["app==1.0"])
        files.fail(errno.ENOSPC, path="*/app-2.0.dist-info", operations=["rename"])
        with pytest.raises(errors.DiskFull) as caught:
            installer.install(["app==2.0"])

    assert caught.value.state == "rolled-back"
    assert (tmp_path / "packages/app.py").read_text() == "VERSION = 1\n"


# [end:full]


# [start:crash]
def test_a_crash_in_the_middle_is_recovered_from(tmp_path: Path) -> None:
    index = FakeIndex()
    index.add("app", "1.0", files={"app.py": "VERSION = 1\n"})
    folder = Environment.directory(tmp_path / "packages", target=TARGET)
    files = FaultyFs()
    files.crash(path="*/app-1.0.dist-info", operations=["rename"])

    with Client(indexes=[index]) as client, pytest.raises(SimulatedCrash):
        Installer(folder, client, files=files).install(["app"])

    assert [problem.code for problem in folder.check()] == ["interrupted-transaction"]
    report = folder.recover()
    assert report is not None
    assert report.transactions[0].outcome == "rolled-back"
    assert not (tmp_path / "packages/app.py").exists()


# [end:crash]


# [start:events]
def test_the_reporter_hears_every_decision() -> None:
    index = FakeIndex()
    index.add("app", "1.0", requires=["library"])
    index.add("library", "2.0")
    reporter = RecordingReporter()

    with Client(indexes=[index]) as client:
        Resolver(client).resolve(["app"], target=TARGET, reporter=reporter)

    assert [event.name for event in reporter.of(PackageDecided)] == ["app", "library"]


# [end:events]


# [start:runner]
def test_creating_an_environment_starts_no_process(tmp_path: Path) -> None:
    runner = FailingRunner()  # fails when anything wants to start a process

    Interpreter.current().create_venv(tmp_path / "env", runner=runner)

    assert runner.asked == []


# [end:runner]
