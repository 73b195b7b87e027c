from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import contextmanager, nullcontext

import pytest

from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._installer.journal import Files
from puffin_api._installer.placing import Placer
from puffin_api._installer.site_packages import fingerprint
from puffin_api._installer.transaction import commit
from puffin_api._model.cancel import CancelToken
from puffin_api._model.direct_url import ArchiveInfo, DirectUrl
from puffin_api._model.events import CommitFinished, CommitStarted, RollbackFinished, RollbackStarted
from puffin_api._model.options import LinkMode
from puffin_api._model.plan import Change
from puffin_api._wheel.lay_out import Places, lay_out
from puffin_api._wheel.link import Linker
from puffin_api.errors import (
    Cancelled,
    DiskFull,
    FileConflict,
    InstallFailed,
    NotWritable,
    PlanOutdated,
    RollbackFailed,
)
from tests._installer.environment_kit import Folder, Place, failing_files


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_wheel_is_installed_with_a_complete_record(place):
    wheel = place.wheel("Foo.Bar", "1.0", files={"foo/__init__.py": "x = 1\n", "foo/data.txt": "d"})

    result = place.change(wheel, requested=["foo-bar"])

    assert place.read("foo/__init__.py") == "x = 1\n"
    assert place.read("Foo_Bar-1.0.dist-info/INSTALLER") == "puffin-api\n"
    record = place.record("Foo_Bar-1.0.dist-info")
    files = {path.relative_to(place.site).as_posix() for path in place.site.rglob("*") if path.is_file()}
    assert set(record) == files
    assert record.pop("Foo_Bar-1.0.dist-info/RECORD") == ("", "")
    assert all(digest.startswith("sha256=") and size for digest, size in record.values())
    assert result.changes[0].name == "foo-bar"
    assert sorted(os.listdir(place.site)) == ["Foo_Bar-1.0.dist-info", "foo"]


def test_requested_is_written_only_for_what_the_user_asked_for(place):
    place.change(place.wheel("a"), place.wheel("b"), requested=["a"])

    assert (place.site / "a-1.0.dist-info/REQUESTED").exists()
    assert not (place.site / "b-1.0.dist-info/REQUESTED").exists()


def test_a_direct_url_is_written_down(place):
    wheel = place.wheel("a")
    origin = DirectUrl(url="https://x.invalid/a.whl", info=ArchiveInfo(hashes={"sha256": "00"}))
    change = Change(action="install", name="a", new="1.0", direct_url=origin)

    commit([change], {"a": wheel}, place.scheme, executable="p", lock=nullcontext())

    assert place.installed().get("a").direct_url == origin
    assert "a-1.0.dist-info/direct_url.json" in place.record("a-1.0.dist-info")


def test_scripts_and_data_files_go_to_their_schemes(place):
    wheel = place.wheel(
        "a",
        entry_points={"console_scripts": {"run-a": "a:main.inner"}, "gui_scripts": {"a-gui": "a:main"}},
        data={
            "scripts/tool": "#!python\nprint()\n",
            "scripts/shell": "#!/bin/sh\n",
            "data/share/a/x.txt": "x",
            "data/bin/extra": "y",
            "headers/a.h": "h",
            "purelib/more.py": "m",
        },
    )

    place.change(wheel)

    assert (place.bin / "run-a").read_text().startswith(f"#!{place.executable}\n")
    assert (place.bin / "tool").read_text() == f"#!{place.executable}\nprint()\n"
    assert os.access(place.bin / "shell", os.X_OK)
    assert (place.prefix / "share/a/x.txt").read_text() == "x"
    assert (place.bin / "extra").read_text() == "y"
    assert (place.prefix / "include/site/python3.12/a/a.h").read_text() == "h"
    assert place.read("more.py") == "m"
    record = place.record("a-1.0.dist-info")
    assert {"../../../bin/run-a", "../../../bin/extra", "../../../share/a/x.txt", "more.py"} <= set(record)
    assert "../../../include/site/python3.12/a/a.h" in record
    assert not any(".data" in path for path in record)


def test_uninstalling_leaves_nothing_behind(place):
    before = place.tree()
    place.change(
        place.wheel(
            "a",
            data={"data/share/a/x.txt": "x", "headers/a.h": "h"},
            entry_points={"console_scripts": {"a": "a:f"}},
        ),
        place.wheel("b", files={"b.py": "", "ns/b/x.py": ""}),
    )
    (place.site / "a/__pycache__").mkdir()
    (place.site / "a/__pycache__/__init__.cpython-312.pyc").write_bytes(b"")
    (place.site / "__pycache__").mkdir()
    (place.site / "__pycache__/b.cpython-312.opt-1.pyc").write_bytes(b"")

    place.remove("a", "b")

    after = place.tree()
    # Folders above the environment's own places are not a distribution's.
    assert {path: after[path] for path in after.keys() - before.keys()} == {
        "include": ("folder",),
        "include/site": ("folder",),
        "include/site/python3.12": ("folder",),
    }


def test_the_cache_is_never_written_through_a_hard_link(place):
    wheel = place.wheel("a", data={"scripts/tool": "#!python\n"}, files={"a/__init__.py": "x"})
    archive = {
        path: (path.stat().st_mode, path.read_bytes()) for path in wheel.archive.rglob("*") if path.is_file()
    }

    place.change(wheel, linker=Linker(LinkMode.HARDLINK))

    assert (place.site / "a/__init__.py").samefile(wheel.archive / "files/a/__init__.py")
    assert {path: (path.stat().st_mode, path.read_bytes()) for path in archive} == archive
    # It has rows of its own, for the script.
    assert (place.site / "a-1.0.dist-info/RECORD").stat().st_nlink == 1


def test_an_upgrade_replaces_old_files_and_keeps_what_is_not_owned(place):
    place.change(place.wheel("a", "1.0", files={"a/__init__.py": "1", "a/old.py": "o"}))
    (place.site / "a/mine.txt").write_text("keep")

    place.change(place.wheel("a", "2.0", files={"a/__init__.py": "2", "a/new.py": "n"}))

    assert sorted(os.listdir(place.site / "a")) == ["__init__.py", "mine.txt", "new.py"]
    assert place.read("a/__init__.py") == "2"
    assert [dist.version for dist in place.installed()] == ["2.0"]


def test_a_namespace_package_is_shared(place):
    place.change(
        place.wheel("a", files={"ns/a/__init__.py": "a"}), place.wheel("b", files={"ns/b/__init__.py": "b"})
    )
    place.change(place.wheel("c", files={"ns/c/__init__.py": "c"}))
    assert sorted(os.listdir(place.site / "ns")) == ["a", "b", "c"]

    place.remove("a", "c")

    assert sorted(os.listdir(place.site / "ns")) == ["b"]


def test_a_file_that_two_distributions_own_stays_with_the_other_one(place):
    same = {"ns/__init__.py": "same"}
    place.change(
        place.wheel("a", files={**same, "ns/a.py": ""}), place.wheel("b", files={**same, "ns/b.py": ""})
    )
    place.change(place.wheel("c", files={**same, "ns/c.py": ""}))

    place.remove("a")
    assert sorted(os.listdir(place.site / "ns")) == ["__init__.py", "b.py", "c.py"]
    place.remove("b", "c")

    assert not (place.site / "ns").exists()


def test_different_files_of_one_path_are_a_conflict_before_anything_changes(place):
    place.change(place.wheel("a", files={"x/__init__.py": "a"}))
    before = place.tree()

    with pytest.raises(FileConflict) as caught:
        place.change(place.wheel("b", files={"x/__init__.py": "b"}))

    assert caught.value.owners == ["a", "b"]
    assert caught.value.path == str(place.site / "x/__init__.py")
    assert caught.value.state == "untouched"
    assert place.tree() == before


def test_two_wheels_of_one_change_set_may_not_differ_in_a_file(place):
    first, second = place.wheel("a", files={"x.py": "a"}), place.wheel("b", files={"x.py": "b"})

    with pytest.raises(FileConflict) as caught:
        place.change(first, second)
    assert caught.value.owners == ["a", "b"]

    result = place.change(first, second, allow_conflicts=True)
    assert place.read("x.py") == "b"
    assert [notice.code for notice in result.notices] == ["file-conflict"]


def test_a_file_that_was_moved_between_two_packages_follows_its_new_owner(place):
    place.change(place.wheel("a", "1", files={"x.py": "1", "a.py": ""}))

    place.change(place.wheel("a", "2", files={"a.py": ""}), place.wheel("b", files={"x.py": "2"}))
    place.remove("a")

    assert place.read("x.py") == "2"


def test_a_file_that_nothing_owns_is_replaced_with_a_notice(place):
    (place.site / "a").mkdir()
    (place.site / "a/__init__.py").write_text("stray")
    (place.bin / "run").write_text("stray")

    result = place.change(
        place.wheel("a", files={"a/__init__.py": "new"}, entry_points={"console_scripts": {"run": "a:f"}})
    )

    assert [notice.code for notice in result.notices] == ["file-replaced"] * 2
    assert place.read("a/__init__.py") == "new"
    assert (place.bin / "run").read_text() != "stray"


def test_record_cannot_lead_out_of_the_environment(place, tmp_path):
    place.change(place.wheel("a"))
    outside = tmp_path / "precious.txt"
    outside.write_text("keep")
    relative = os.path.relpath(outside, place.site)
    with (place.site / "a-1.0.dist-info/RECORD").open("a") as file:
        file.write(f"{relative},,\n{outside},,\n")

    result = place.remove("a")

    assert outside.read_text() == "keep"
    assert [notice.code for notice in result.notices] == ["file-refused"] * 2
    assert os.listdir(place.site) == []


def test_a_folder_behind_a_link_is_not_owned(place, tmp_path):
    place.change(place.wheel("a", files={"a/x.py": "", "a/sub/y.py": ""}))
    elsewhere = tmp_path / "elsewhere"
    (place.site / "a/sub").rename(elsewhere)
    (place.site / "a/sub").symlink_to(elsewhere)

    place.remove("a")

    assert (elsewhere / "y.py").exists()
    assert os.listdir(place.site) == ["a"]


def test_what_has_no_record_is_refused(place):
    place.change(place.wheel("a"))
    (place.site / "a-1.0.dist-info/RECORD").unlink()
    before = place.tree()

    with pytest.raises(InstallFailed, match="RECORD") as caught:
        place.change(place.wheel("a", "2.0"))

    assert caught.value.hint
    assert place.tree() == before


def test_a_legacy_egg_info_is_uninstalled_by_its_list(place):
    info = place.site / "old-1.0-py3.12.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: old\nVersion: 1.0\n\n")
    (info / "installed-files.txt").write_text("../old/__init__.py\nPKG-INFO\n../../../../bin/old\n")
    (place.site / "old").mkdir()
    (place.site / "old/__init__.py").write_text("")
    (place.bin / "old").write_text("")

    place.change(place.wheel("old", "2.0"))

    assert not info.exists()
    assert not (place.bin / "old").exists()
    assert [dist.version for dist in place.installed()] == ["2.0"]


def test_a_development_egg_link_is_taken_out_of_easy_install(place, tmp_path):
    project = tmp_path / "project"
    (project / "dev.egg-info").mkdir(parents=True)
    (project / "dev.egg-info/PKG-INFO").write_text("Name: dev\nVersion: 3\n\n")
    (place.site / "dev.egg-link").write_text(f"{project}\n.")
    (place.site / "easy-install.pth").write_text(f"/other\n{project}\n")
    assert place.installed().get("dev").version == "3"

    place.remove("dev")

    assert place.read("easy-install.pth") == "/other\n"
    assert os.listdir(place.site) == ["easy-install.pth"]
    assert project.exists()


def test_duplicates_are_all_removed(place):
    place.change(place.wheel("a", "1.0"))
    os.rename(place.site / "a-1.0.dist-info", place.site / "a-0.9.dist-info")
    record = place.read("a-0.9.dist-info/RECORD").replace("a-1.0", "a-0.9")
    (place.site / "a-0.9.dist-info/RECORD").write_text(record)
    place.change(place.wheel("b"))
    (place.site / "a-1.0.dist-info").mkdir()
    (place.site / "a-1.0.dist-info/RECORD").write_text("a-1.0.dist-info/RECORD,,\n")

    place.change(place.wheel("a", "2.0"))

    assert [(dist.name, dist.version) for dist in place.installed()] == [("a", "2.0"), ("b", "1.0")]


def test_a_plan_for_another_environment_is_outdated(place):
    place.change(place.wheel("a"))
    expected = fingerprint([place.site])
    place.change(place.wheel("a", "2.0"))

    with pytest.raises(PlanOutdated) as caught:
        commit(
            [Change(action="upgrade", name="a", old="1.0", new="3.0")],
            {"a": place.wheel("a", "3.0")},
            place.scheme,
            executable="p",
            lock=nullcontext(),
            expected_fingerprint=expected,
        )

    assert caught.value.diff == ["a: planned for 1.0, found 2.0"]
    assert place.installed().get("a").version == "2.0"


def test_everything_happens_under_the_lock(place):
    seen = []

    @contextmanager
    def lock():
        seen.append(sorted(os.listdir(place.site)))
        yield
        seen.append(sorted(os.listdir(place.site)))

    place.change(place.wheel("a"), lock=lock())

    assert seen == [[], ["a", "a-1.0.dist-info"]]


def test_events_tell_of_the_commit(place):
    heard = []
    pump = Pump(heard.append)

    place.change(place.wheel("a"), pump=pump)
    pump.close()

    kinds = [type(event) for event in heard]
    assert kinds.index(CommitStarted) < kinds.index(CommitFinished)


def test_cancelling_in_the_middle_of_the_commit_rolls_back(place):
    place.change(place.wheel("a", "1"))
    before = place.tree()
    token = CancelToken()
    files, _ = failing_files(10_000)
    rename = files.rename

    def cancel_soon(old, new):
        rename(old, new)
        token.cancel("enough")

    files.rename = cancel_soon
    heard = []
    pump = Pump(heard.append, token)

    with pytest.raises(Cancelled) as caught:
        place.change(place.wheel("a", "2"), pump=pump, files=files)
    pump.close()

    assert caught.value.state == "rolled-back"
    assert place.tree() == before
    assert [type(event) for event in heard][-2:] == [RollbackStarted, RollbackFinished]


def test_cancelling_before_the_commit_leaves_it_untouched(place):
    before = place.tree()
    token = CancelToken()
    token.cancel()

    with pytest.raises(Cancelled) as caught:
        place.change(place.wheel("a"), pump=Pump(cancel=token))

    assert caught.value.state == "untouched"
    assert place.tree() == before


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EROFS, NotWritable), (errno.EIO, InstallFailed)],
)
def test_errors_of_the_system_are_typed(place, number, kind):
    files, _ = failing_files(0, number)

    with pytest.raises(kind) as caught:
        place.change(place.wheel("a"), files=files)

    assert caught.value.state == "untouched"
    assert place.tree() == Place(place.tmp_path).tree()


def test_a_failure_to_undo_says_that_recovery_is_needed(place):
    place.change(place.wheel("a", "1"))
    files, done = failing_files(10_000)
    rename = files.rename

    def break_after_the_first(old, new):
        if any(name == "rename" for name, *_ in done):
            raise OSError(errno.EIO, "gone", old)
        rename(old, new)

    files.rename = break_after_the_first

    with pytest.raises(RollbackFailed) as caught:
        place.change(place.wheel("a", "2"), files=files)

    assert caught.value.state == "needs-recovery"
    assert os.path.exists(caught.value.journal)


def test_a_script_folder_that_cannot_be_written_is_found_before(place):
    wheel = place.wheel("a", entry_points={"console_scripts": {"a": "a:f"}})
    before = place.tree()
    files = Files()
    files.is_writable = lambda folder: folder != str(place.bin)

    with pytest.raises(NotWritable) as caught:
        place.change(wheel, files=files)

    assert caught.value.path == str(place.bin)
    assert place.tree() == before


def test_many_files_are_linked_by_two_threads_and_their_trash_is_emptied_later(place):
    files = {f"big/m{number // 100}/f{number}.py": str(number) for number in range(2500)}
    pool = WorkerPool(2)
    wheel = place.wheel("big", files=files)

    place.change(wheel, pool=pool)
    assert sum(1 for path in place.site.glob("big/*/*")) == 2500
    result = place.remove("big", pool=pool)
    result.trash.wait()
    pool.close()

    assert os.listdir(place.site) == []


def test_a_symlinked_environment_is_installed_into_where_it_really_is(place, tmp_path):
    link = tmp_path / "alias"
    link.symlink_to(place.prefix)
    alias = Place(tmp_path, prefix=link)

    alias.change(alias.wheel("a", entry_points={"console_scripts": {"a": "a:f"}}))
    assert (place.bin / "a").exists()
    result = alias.remove("a")

    assert {removed.folder for removed in result.removed} == {str(place.site), str(alias.site)}
    assert not (place.bin / "a").exists()


def test_a_plain_folder_may_hold_scripts_beside_modules(tmp_path):
    folder = Folder(tmp_path)
    scripts = {"console_scripts": {"run": "a:main"}}
    wheel = folder.wheel(
        "a",
        files={"a.py": "", "bin/own.sh": "o", "include/x.h": ""},
        entry_points=scripts,
        data={"data/bin/more": "m", "data/etc/a": ""},
    )

    folder.change(wheel, folder.wheel("b", files={"b.py": "", "bin/other": ""}))

    assert sorted(os.listdir(folder.bin)) == ["more", "other", "own.sh", "run"]
    assert (folder.bin / "run").read_text().startswith("#!/usr/bin/env python3\n")
    record = folder.record("a-1.0.dist-info")
    assert {"bin/own.sh", "bin/run", "bin/more", "include/x.h", "etc/a"} <= set(record)
    folder.change(folder.wheel("a", "2.0", files={"a.py": ""}))
    assert sorted(os.listdir(folder.bin)) == ["other"]
    folder.remove("a", "b")
    assert sorted(os.listdir(folder.site)) == ["bin", "include"]


def test_a_case_conflict_is_found_where_the_volume_has_no_case(place):
    places = Places({key: str(path) for key, path in place.scheme.items()})
    layouts = [
        lay_out(place.wheel(name, files={path: "x"}), places, executable="p")
        for name, path in (("a", "Readme.py"), ("b", "readme.py"))
    ]
    options = {"gone": (), "names": {}, "owners": lambda paths: {}}

    assert Placer(layouts, places, **options).moves().into
    with pytest.raises(FileConflict):
        Placer(layouts, places, ignores_case=True, **options).moves()


def test_files_get_the_usual_modes(place):
    wheel = place.wheel("a", files={"a/__init__.py": "", "a/tool": "#!/bin/sh\n"}, executables=["a/tool"])
    for mode in (LinkMode.HARDLINK, LinkMode.COPY):
        place.change(wheel, linker=Linker(mode))
        assert stat.S_IMODE((place.site / "a/tool").stat().st_mode) & 0o111
        assert not stat.S_IMODE((place.site / "a/__init__.py").stat().st_mode) & 0o111


def test_copying_on_another_volume_checks_for_room(place):
    wheel = place.wheel("a")
    before = place.tree()
    files = Files()
    files.free_bytes = lambda folder: 0

    with pytest.raises(DiskFull) as caught:
        place.change(wheel, linker=Linker(LinkMode.COPY), files=files)

    assert caught.value.free == 0
    assert place.tree() == before


def test_a_pool_that_is_closed_already_leaves_no_trash(place):
    files = {f"a/m{number}.py": "" for number in range(150)}
    place.change(place.wheel("a", "1.0", files=files))
    pool = WorkerPool(1)
    pool.close()

    assert place.change(remove=["a"], pool=pool).trash is None
    assert os.listdir(place.site) == []


def test_a_pool_that_closes_before_the_trash_is_empty_empties_it(place):
    files = {f"a/m{number}.py": "" for number in range(150)}
    place.change(place.wheel("a", "1.0", files=files))
    pool = WorkerPool(1)
    busy, go = threading.Event(), threading.Event()
    pool.submit(lambda: (busy.set(), go.wait()))
    busy.wait()

    place.change(remove=["a"], pool=pool)
    assert [path for path in place.site.iterdir() if path.name.startswith(".puffin-")]
    closing = threading.Thread(target=pool.close)
    closing.start()
    go.set()
    closing.join()

    assert not [path for path in place.site.iterdir() if path.name.startswith(".puffin-")]


def test_a_ruin_without_metadata_and_record_is_replaced_but_not_removed(place):
    place.change(place.wheel("pkg", "1", files={"pkg/__init__.py": "1", "pkg/old.py": ""}))
    folder = place.site / "pkg-1.dist-info"
    (folder / "METADATA").unlink()
    (folder / "RECORD").unlink()
    with pytest.raises(InstallFailed):
        place.remove("pkg")

    result = place.change(place.wheel("pkg", "2", files={"pkg/__init__.py": "2"}))

    assert {notice.code for notice in result.notices} == {"ruin-replaced", "file-replaced"}
    assert place.read("pkg/__init__.py") == "2"
    assert [dist.version for dist in place.installed()] == ["2"]


def test_a_record_that_does_not_name_its_own_folder_is_none(place):
    place.change(place.wheel("pkg", "1", files={"pkg/__init__.py": "1"}))
    record = place.site / "pkg-1.dist-info/RECORD"
    record.write_bytes(bytes(range(256)))
    with pytest.raises(InstallFailed, match="files are not known"):
        place.remove("pkg")
    assert record.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_in_the_place_of_record_is_not_waited_for(place):
    place.change(place.wheel("pkg", "1"), place.wheel("other"))
    for name in ("pkg-1", "other-1.0"):
        record = place.site / f"{name}.dist-info/RECORD"
        record.unlink()
        os.mkfifo(record)
    with pytest.raises(InstallFailed):
        place.remove("pkg")


def test_an_origin_that_is_nested_too_deep_is_none(place):
    place.change(place.wheel("pkg", "1"))
    folder = place.site / "pkg-1.dist-info"
    (folder / "direct_url.json").write_text("[" * 200_000)
    with (folder / "RECORD").open("a") as record:
        record.write("pkg-1.dist-info/direct_url.json,,\n")
    result = place.change(place.wheel("pkg", "2"))
    assert result.before["pkg"].direct_url is None
