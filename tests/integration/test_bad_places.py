"""Places that cannot be written, and volumes that are full: a typed error, and everything as it was."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from puffin_api import Cache, Environment, Installer, Resolver
from puffin_api._installer.journal import Files
from puffin_api.errors import (
    CacheUnavailable,
    DiskFull,
    ExternallyManaged,
    InstallFailed,
    NotWritable,
)
from puffin_api.testing import FakeIndex
from tests.integration.job_kit import (
    as_plain_user,
    can_be_plain_user,
    check_error,
    failure,
    find_error,
    graph_files,
    install,
    leftovers,
    run_program,
    unchanged,
    versions,
    wheel,
)


def test_a_file_in_the_place_of_site_packages(environment, index, make_client):
    site = Path(environment.scheme.purelib)
    for path in sorted(site.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    site.rmdir()
    site.write_text("in the way")

    error = failure(environment, make_client(index), "app")

    check_error(error, InstallFailed, "install-failed", path=str(site))


needs_rights = pytest.mark.skipif(
    not can_be_plain_user(), reason="modes of folders mean nothing to this user on this system"
)


@contextmanager
def read_only(folder):
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    yield
    folder.chmod(mode)


@needs_rights
@pytest.mark.parametrize("part", ["purelib", "scripts"])
def test_a_folder_of_the_environment_that_cannot_be_written(environment, index, make_client, part):
    folder = Path(getattr(environment.scheme, part))

    with read_only(folder):
        error = as_plain_user(lambda: failure(environment, make_client(index), "app"))

    check_error(error, NotWritable, "not-writable", path=str(folder))
    assert leftovers(environment) == []
    install(make_client(index), environment, "app")
    assert versions(environment)["app"] == "2.0"


@needs_rights
def test_a_package_that_cannot_be_moved_away_brings_everything_back(environment, index, make_client):
    """Found out in the middle of the commit: to move a folder takes the right to write to it."""
    package = Path(environment.scheme.purelib) / "log"
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=environment)

    with read_only(package), unchanged(environment):
        error = as_plain_user(lambda: find_error(lambda: Installer(environment, client).install(resolution)))

    check_error(error, NotWritable, "not-writable", state="rolled-back")
    assert error.path.startswith(str(package.parent))
    assert leftovers(environment) == []


@needs_rights
def test_an_environment_that_cannot_be_written_at_all(environment, index, make_client):
    lock = environment.root / ".puffin-api.lock"
    lock.unlink()

    with read_only(environment.root):
        error = as_plain_user(lambda: failure(environment, make_client(index), "app"))

    check_error(error, NotWritable, "not-writable", path=str(lock))
    assert error.hint


@needs_rights
def test_a_read_only_environment_needs_no_right_where_nothing_is_to_be_done(environment, serve, make_client):
    index = serve(wheel("log", "0.5"))

    with read_only(environment.root), read_only(Path(environment.scheme.purelib)):
        report = as_plain_user(lambda: install(make_client(index), environment, "log"))

    assert not report.changed


@needs_rights
def test_a_plan_tells_that_the_environment_cannot_be_written(environment, index, make_client):
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=environment)
    installer = Installer(environment, client)
    index.forget()

    with read_only(Path(environment.scheme.purelib)):
        plan = as_plain_user(lambda: installer.plan(resolution))
        error = as_plain_user(lambda: find_error(lambda: installer.prepare(plan)))

    assert [blocker.code for blocker in plan.blockers] == ["not-writable"]
    check_error(error, NotWritable, "not-writable", state="untouched")
    assert index.requests == [], "nothing is downloaded for what cannot be installed"


@needs_rights
def test_a_cache_that_cannot_be_made(tmp_path):
    with read_only(tmp_path):
        error = as_plain_user(lambda: find_error(lambda: Cache(tmp_path / "below/cache")))

    check_error(error, CacheUnavailable, "cache-unavailable")
    assert str(tmp_path) in error.path


def test_a_file_in_the_place_of_the_cache(tmp_path):
    (tmp_path / "file").write_text("")

    error = find_error(lambda: Cache(tmp_path / "file"))

    check_error(error, CacheUnavailable, "cache-unavailable", path=str(tmp_path / "file"))


@needs_rights
def test_a_cache_that_turns_read_only(environment, index, make_client, tmp_path):
    second = tmp_path / "second"
    resolution = Resolver(make_client(index, cache=Cache(second))).resolve(["app"], target=environment)
    folders = [second, *(path for path in second.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)

    def job():
        # A client of its own: its threads have the rights of the thread that starts them.
        client = make_client(index, cache=Cache(second))
        return find_error(lambda: Installer(environment, client).install(resolution))

    with unchanged(environment):
        error = as_plain_user(job)

    for folder in folders:
        folder.chmod(0o755)
    assert type(error) in (CacheUnavailable, NotWritable), error
    assert error.path.startswith(str(second))
    assert error.to_dict()["state"] == "untouched"


class ManagedRunner:
    """Starts interpreters, and has them say that they belong to the system."""

    def run(self, argv, *, cwd=None, env=None, timeout=None, cancel=None):
        done = subprocess.run(argv, cwd=cwd, env=env or {}, capture_output=True, timeout=timeout, check=True)
        answer = Path(argv[-1])
        facts = json.loads(answer.read_text())
        facts["externally_managed"] = {"path": "/usr/lib/EXTERNALLY-MANAGED", "message": "use apt install"}
        answer.write_text(json.dumps(facts))
        return done


def test_an_environment_that_belongs_to_the_system(environment, index, make_client):
    managed = Environment.at(environment.root, runner=ManagedRunner())
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=managed)
    installer = Installer(managed, client)
    index.forget()

    for change in (
        lambda: installer.install(["app"]),
        lambda: installer.install(installer.plan(resolution)),
        lambda: installer.uninstall(["log"]),
        lambda: installer.sync(resolution),
        lambda: installer.prepare(installer.plan(resolution)),
    ):
        with unchanged(environment):
            error = find_error(change)
        check_error(error, ExternallyManaged, "externally-managed", state="untouched")
        assert error.path == "/usr/lib/EXTERNALLY-MANAGED"
        assert "use apt install" in str(error)
        assert "create_venv" in error.hint
    assert index.requests == []
    (blocker,) = installer.plan(resolution).blockers
    assert (blocker.code, blocker.name) == ("externally-managed", "")


# -- no room


class FullSource(FakeIndex):
    """Runs out of room while it writes a file."""

    def fetch(self, file, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))


def test_a_cache_without_room_for_a_download(environment, make_client, tmp_path):
    source = FullSource()
    file = source.add("app", "1.0")

    error = failure(environment, make_client(source), "app")

    check_error(error, DiskFull, "disk-full", needed=file.size, retryable=True)
    assert not Path(error.path).exists()


class NearlyFull(Files):
    """A disk with a few bytes left."""

    def __init__(self):
        super().__init__()
        self.free_bytes = lambda path: 1000


def test_downloads_that_will_not_fit_are_told_before_the_first_one(environment, make_client, serve):
    index = serve(graph_files(ballast=3000))
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=environment)
    installer = Installer(environment, client, files=NearlyFull())
    index.forget()

    plan = installer.plan(resolution)
    error = find_error(lambda: installer.install(plan))

    assert [blocker.code for blocker in plan.blockers] == ["disk-full"]
    check_error(error, DiskFull, "disk-full", state="untouched", needed=plan.download_bytes, free=1000)
    assert index.requests == []


SMALL_VOLUME = """
import json, os, sys
from puffin_api import Cache, Client, Installer, Interpreter, LinkMode, Resolver
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import find_error, graph_files, leftovers, tree, versions, wheel

place, cache, which = sys.argv[1:]
# Blocks are counted, not bytes: many small files take more room than anybody could foresee.
small = {f"many/{number}.txt": "x" * 300 for number in range(500)}
files = wheel("app", "1.0", files=small) if which == "small files" else graph_files(ballast=300_000)
environment = Interpreter.current().create_venv(f"{place}/venv")
told = {}
with LoopbackIndex(files | wheel("tiny", "1.0")) as index:
    with Client(indexes=[index.url], cache=Cache(cache)) as client:
        installer = Installer(environment, client)
        installer.install(["tiny"])
        resolution = Resolver(client).resolve(["app"], target=environment)
        before = tree(environment.root)
        error = find_error(lambda: installer.install(resolution))
        told["error"] = error and error.to_dict()
        told["unchanged"] = tree(environment.root) == before
        told["leftovers"] = leftovers(environment)
        installer.uninstall(["tiny"])
        told["versions"] = versions(environment)
        if which == "cache":
            scratch = sum(os.path.getsize(os.path.join(f, n)) for f, _, ns in os.walk(cache) for n in ns)
            told["small"] = scratch < 1_000_000
print(json.dumps(told))
"""


@pytest.mark.parametrize("which", ["environment", "small files", "cache"])
def test_a_volume_without_room(tmp_path, which):
    """A real one, of a megabyte, in a mount namespace that ends with the child."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{small}" && exec "$@"'
    wrap = ["unshare", "-m", "sh", "-c", mount, "sh"]
    try:
        possible = run_program("print(1)", wrap=wrap, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("this user may not mount a small volume")
    places = (large, small) if which == "cache" else (small, large / "cache")

    told = run_program(SMALL_VOLUME, *places, which, wrap=wrap)

    assert told["error"]["code"] == "disk-full"
    assert told["error"]["state"] == "untouched"
    assert told["error"]["data"]["path"].startswith(str(small))
    assert told["error"]["data"]["needed"] is None or told["error"]["data"]["needed"] > 250_000
    assert told["unchanged"]
    assert told["leftovers"] == []
    assert told["versions"] == {}
    assert told.get("small", True)
