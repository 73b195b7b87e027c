"""Undoing a change: everything is as it was before, byte for byte where that is still kept."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from puffin_api import Cache, Editable, Environment, Installer, Interpreter, Resolver
from puffin_api.errors import (
    EnvironmentProblem,
    FileConflict,
    NotWritable,
    PlanOutdated,
    PolicyDenied,
    ResolutionFailed,
)
from tests._preparer.git_kit import Repository
from tests.integration.job_kit import install, leftovers, tree, versions, wheel
from tests.integration.source_kit import project, sdist, write_tree

SCRIPTS = {"console_scripts": {"tool": "tool:main"}}
FILES = {
    **wheel(
        "tool",
        "1.0",
        requires=["part"],
        files={"tool/__init__.py": "v = 1\n", "tool/gone.py": "", "space/tool.py": "", "tool.pth": "# 1"},
        entry_points=SCRIPTS,
        data={"data/share/tool/manual.txt": "one\n", "scripts/helper": "#!python\nprint(1)\n"},
    ),
    **wheel(
        "tool",
        "2.0",
        requires=["part", "fresh"],
        files={"tool/__init__.py": "v = 2\n", "tool/sub/new.py": "", "space/tool.py": "", "stray.py": "2"},
        entry_points=SCRIPTS,
    ),
    **wheel("part", "1.0", files={"space/part.py": ""}),
    **wheel("part", "1.5", files={"space/part.py": "x", "space/more/part.py": ""}),
    **wheel("fresh", "1.0", files={"fresh.py": ""}),
    **wheel("other", "1.0", files={"other.py": ""}),
}


@pytest.fixture
def index(serve):
    return serve(FILES)


@pytest.fixture
def client(index, make_client):
    return make_client(index)


@pytest.fixture
def place(make_venv, client):
    """An environment with the older versions, used and edited a little."""
    environment = make_venv()
    install(client, environment, "tool<2", "part<1.5")
    site = Path(environment.scheme.purelib)
    (site / "stray.py").write_text("mine")
    (site / "tool" / "__pycache__").mkdir(exist_ok=True)
    (site / "tool" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"compiled")
    (site / "tool" / "gone.py").unlink()
    (site / "tool" / "gone.py").write_text("edited")
    return environment


def records(environment):
    site = Path(environment.scheme.purelib)
    return {path.parent.name: path.read_bytes() for path in site.glob("*.dist-info/RECORD")}


def upgrade(client, environment):
    resolution = Resolver(client).resolve(["tool>=2", "part"], target=environment)
    report = Installer(environment, client).install(resolution)
    assert versions(environment) == {"tool": "2.0", "part": "1.5", "fresh": "1.0"}
    return report


def test_an_upgrade_is_undone_to_the_last_byte_and_undone_again(place, client):
    before = tree(place.root)
    report = upgrade(client, place)
    after = tree(place.root)
    installer = Installer(place, client)

    undone = installer.undo(report)

    assert tree(place.root) == before
    assert [(c.action, c.name, c.old, c.new, c.cause) for c in undone.changes] == [
        ("remove", "fresh", "1.0", None, "undo"),
        ("downgrade", "part", "1.5", "1.0", "undo"),
        ("downgrade", "tool", "2.0", "1.0", "undo"),
    ]
    assert undone.bytes_downloaded == 0
    redone = installer.undo(undone)
    assert tree(place.root) == after
    installer.undo(redone)
    assert tree(place.root) == before
    assert leftovers(place) == []


def test_a_pickled_report_is_undone_by_another_client_without_an_index(place, client, make_client):
    before = tree(place.root)
    text = pickle.dumps(upgrade(client, place))

    Installer(place, make_client(offline=True)).undo(pickle.loads(text))

    assert tree(place.root) == before


def test_an_install_and_a_removal_are_undone(place, client):
    before = tree(place.root)
    installer = Installer(place, client)
    installed = installer.install(["other"])
    removed = installer.uninstall(["tool", "part"])

    installer.undo(removed)
    assert versions(place) == {"tool": "1.0", "part": "1.0", "other": "1.0"}
    installer.undo(installed)

    assert tree(place.root) == before


def test_what_another_tool_has_installed_comes_back_as_it_was(make_venv, client, tmp_path, serve):
    environment = make_venv()
    index = serve(FILES)
    command = [sys.executable, "-m", "pip", "--python", environment.interpreter.path, "install", "-q"]
    options = ["--isolated", "--index-url", index.url, "--disable-pip-version-check", "tool<2", "part<1.5"]
    subprocess.run([*map(str, command), *options], check=True, timeout=120)
    before = tree(environment.root)
    report = upgrade(client, environment)

    Installer(environment, client).undo(report)

    assert tree(environment.root) == before
    assert {dist.installer for dist in environment.installed()} == {"pip"}


def test_a_folder_without_an_interpreter(tmp_path, client):
    environment = Environment.directory(tmp_path / "folder", target=Interpreter.current())
    install(client, environment, "tool<2", "part<1.5")
    before = without_lock(environment)
    report = upgrade(client, environment)

    Installer(environment, client).undo(report)

    assert without_lock(environment) == before


def without_lock(environment):
    return {path: entry for path, entry in tree(environment.root).items() if not path.endswith(".lock")}


# -- what is not kept any more is installed anew


@pytest.mark.parametrize("how", ["later change", "lost cache", "read-only"])
def test_earlier_versions_come_from_the_cache_or_the_index(
    place, client, index, make_client, make_venv, tmp_path, how
):
    before = records(place)
    if how == "read-only":
        install(client, make_venv("helper"), "tool")
        client = make_client(index, cache=Cache(tmp_path / "cache", read_only=True))
    installer = Installer(place, client)
    report = upgrade(client, place)
    if how == "later change":
        installer.install(["other"])
        installer.uninstall(["other"])
    if how == "lost cache":
        shutil.rmtree(tmp_path / "cache")
        installer = Installer(place, make_client(index, cache=Cache(tmp_path / "another")))

    undone = installer.undo(report)

    assert records(place) == before
    assert versions(place) == {"tool": "1.0", "part": "1.0"}
    assert place.check(deep=True) == ()
    assert (undone.bytes_downloaded > 0) == (how == "lost cache")
    assert {d.name for d in place.installed() if d.requested} == {"tool", "part"}


@pytest.mark.parametrize("source", ["editable", "folder", "archive", "subdirectory", "git"])
def test_what_came_from_sources_comes_from_there_again(
    serve, make_client, make_venv, journal, tmp_path, source
):
    files = project(journal, text="value = 'earlier'\n")
    tree = write_tree(tmp_path / "tree", files)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    archive = tmp_path / "demo-1.0.tar.gz"
    archive.write_bytes(sdist(files)[archive.name])
    deep = tmp_path / "deep.zip"
    deep.write_bytes(
        sdist({f"a b/{path}": text for path, text in files.items()} | files, kind="zip")["demo-1.0.zip"]
    )
    wanted = {"editable": Editable(tree), "folder": tree, "archive": archive}
    if source == "subdirectory":
        wanted[source] = f"demo @ {deep.as_uri()}#subdirectory=a%20b"
    if source == "git":
        repository = Repository(tmp_path / "repository")
        repository.write(files)
        wanted[source] = f"demo @ git+{repository.folder.as_uri()}@main"
    client = make_client(serve(wheel("demo", "2.0") | wheel("other", "1.0")), env=env)
    environment = make_venv()
    installer = Installer(environment, client)
    installer.install([wanted[source]])
    before, there = records(environment), environment.installed().get("demo").direct_url
    report = installer.install(["demo==2.0"])
    installer.install(["other"])
    installer.uninstall(["other"])

    installer.undo(report)

    assert records(environment) == before
    assert environment.installed().get("demo").direct_url == there


def test_what_is_to_be_had_nowhere_leaves_everything_as_it_is(place, client, serve, make_client, tmp_path):
    report = upgrade(client, place)
    shutil.rmtree(tmp_path / "cache")
    there = tree(place.root)
    newer = {name: content for name, content in FILES.items() if "-1.0-" not in name}

    with pytest.raises(ResolutionFailed) as caught:
        Installer(place, make_client(serve(newer), cache=Cache(tmp_path / "another"))).undo(report)

    assert caught.value.state == "untouched"
    assert tree(place.root) == there


# -- what speaks against it


def test_packages_that_were_changed_since_are_not_touched(place, client):
    report = upgrade(client, place)
    installer = Installer(place, client)
    installer.uninstall(["fresh"], allow_broken=True)
    there = tree(place.root)

    with pytest.raises(PlanOutdated) as caught:
        installer.undo(report)

    assert list(caught.value.diff) == ["fresh: left as 1.0, found none"]
    assert tree(place.root) == there


def test_a_report_of_another_environment_is_refused(place, client, make_venv):
    report = upgrade(client, place)
    with pytest.raises(EnvironmentProblem, match="is about"):
        Installer(make_venv("second"), client).undo(report)


def test_a_review_may_refuse(place, client):
    report = upgrade(client, place)

    class Refuse:
        def review(self, plan):
            assert plan.mode == "undo"
            return [f"no {change.name}" for change in plan.changes if change.new]

    with pytest.raises(PolicyDenied) as caught:
        Installer(place, client, review=Refuse()).undo(report)
    assert caught.value.violations == ("no part", "no tool")


def test_an_empty_report_needs_nothing(place, client):
    resolution = Resolver(client).resolve(["tool<2", "part<1.5"], target=place)
    report = Installer(place, client).install(resolution)
    assert not report.changed
    assert not Installer(place, client).undo(report).changed


def test_a_place_that_somebody_else_owns_now_is_a_conflict(place, client, serve, make_client):
    report = upgrade(client, place)
    thief = make_client(serve(wheel("thief", "1", files={"tool/gone.py": "", "tool.pth": ""})))
    site = Path(place.scheme.purelib)
    install(thief, place, "thief")
    there = tree(place.root)
    assert (site / "tool.pth").exists()

    with pytest.raises(FileConflict) as caught:
        Installer(place, client).undo(report)

    assert "thief" in caught.value.owners
    assert tree(place.root) == there


def test_folders_and_files_that_came_since_stay(place, client):
    report = upgrade(client, place)
    site = Path(place.scheme.purelib)
    (site / "tool" / "written at run time.txt").write_text("new")
    (site / "tool.pth").write_text("somebody's")

    undone = Installer(place, client).undo(report)

    assert (site / "tool" / "written at run time.txt").read_text() == "new"
    assert (site / "tool" / "gone.py").read_text() == "edited"
    assert (site / "tool.pth").read_text() == "# 1"
    assert "file-replaced" in {notice.code for notice in undone.notices}
    assert place.check(deep=True) != (), "the edited file is reported as before"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_found_before(place, client):
    report = upgrade(client, place)
    site = Path(place.scheme.purelib)
    site.chmod(0o555)
    try:
        with pytest.raises(NotWritable):
            Installer(place, client).undo(report)
    finally:
        site.chmod(0o755)
    assert versions(place)["tool"] == "2.0"


def test_what_the_plan_breaks_is_told(place, client):
    report = Installer(place, client).install(["other"])
    plans = []

    class Look:
        def review(self, plan):
            plans.append(plan)
            return []

    Installer(place, client, review=Look()).undo(report)
    assert [plan.to_dict()["mode"] for plan in plans] == ["undo"]
    assert plans[0].breaks == ()


def test_only_the_last_change_of_each_environment_is_kept(place, client, make_venv):
    second = make_venv("second")
    install(client, second, "tool<2", "part<1.5")
    upgrade(client, second)
    for _ in range(3):
        Installer(place, client).undo(upgrade(client, place))
    client.close()
    folders = list((Path(client.cache.path) / "undo-v0").glob("*/*"))
    assert len(folders) == 2
    assert not list((Path(client.cache.path) / ".tmp").iterdir())
