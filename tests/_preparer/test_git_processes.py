"""One cache, many processes and threads: one fetch for all, and what killed ones leave behind is mended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._model.events import LockWaiting
from puffin_api._model.git_url import parse_git_url
from tests._preparer.git_kit import GIT, PROJECT, GitServer, Repository, needs_git, needs_server

pytestmark = [needs_git, needs_server]
posix_only = pytest.mark.skipif(os.name == "nt", reason="kills processes by signals")
ROOT = Path(__file__).parents[2]
# Waits for the others, so that all begin at the same time.
WORK = """
import sys, time
from pathlib import Path
from tests._preparer.git_kit import Lab
from puffin_api._model.git_url import parse_git_url
folder, number, git, url = sys.argv[1:]
lab = Lab(Path(folder))
store = lab.store(git=Path(git))
parsed = parse_git_url(url)[0]
Path(folder, f"ready-{number}").touch()
while number != "-" and not Path(folder, "go").exists():
    time.sleep(0.001)
with lab.pump() as pump:
    commit = store.resolve(parsed, pump, history=True)
    print(commit, store.checkout(parsed, commit, pump))
"""


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repos" / "demo")
    inner = Repository(tmp_path / "repos" / "inner")
    inner.write({"inner.txt": "x"})
    made.git("submodule", "--quiet", "add", "../inner/.git", "inner")
    made.git("config", "--file", ".gitmodules", "submodule.inner.url", "../../inner/.git")
    made.write({f"f{number}.txt": f"{number}\n" * 50 for number in range(100)})
    made.write({"pyproject.toml": PROJECT.format("1.0")})
    return made


def start(folder, url, *, number="-", git=GIT):
    return subprocess.Popen(
        [sys.executable, "-c", WORK, str(folder), str(number), str(git), url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def assert_sound(tree, repository):
    assert (tree / "inner" / "inner.txt").read_text() == "x"
    for number in range(100):
        assert (tree / f"f{number}.txt").read_text() == f"{number}\n" * 50
    done = subprocess.run(
        [GIT, "status", "--porcelain", "--ignored"],
        cwd=tree,
        env={"PATH": os.environ["PATH"], "HOME": str(tree.parent)},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""


def test_eight_processes_fetch_once(lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        folder = lab.home.parent
        processes = [start(folder, server.url("demo/.git@main"), number=number) for number in range(8)]
        while len(list(folder.glob("ready-*"))) < 8:
            assert all(process.poll() is None for process in processes)
        (folder / "go").touch()
        outputs = [process.communicate(timeout=240) for process in processes]

    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert len({out for out, _ in outputs}) == 1
    commit, tree = outputs[0][0].decode().split()
    assert commit == repository.head()
    assert_sound(Path(tree), repository)
    assert server.fetches == 2  # one for it, one for its submodule
    assert server.greetings == 8 + 2  # each has asked for the branch
    assert list(lab.layout.temporary.iterdir()) == []


def test_eight_threads_fetch_once(lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        url = parse_git_url(server.url("demo/.git@main"))[0]
        store, pool = lab.store(), WorkerPool(8)

        def work(_):
            return store.checkout(url, store.resolve(url, Pump(), history=True), Pump())

        trees = pool.map(work, range(8), pump=Pump())
        pool.close()

    assert len(set(trees)) == 1
    assert_sound(trees[0], repository)
    assert server.greetings == 1 + 2
    assert len(lab.runner.commands("ls-remote")) == 1


def test_who_waits_hears_for_whom(lab, repository):
    url = parse_git_url(repository.url)[0]
    path = lab.layout.lock("git", url.repository)
    release = []

    class Locks:
        """Lets go of the lock once somebody has been told that it is held."""

        def __call__(self, place, *, on_wait, **options):
            def told(what, owner):
                on_wait(what, owner)
                if release:
                    release.pop()()

            return lab.locks.hold(place, on_wait=told, **options)

    hold = lab.locks.hold(path, what="something else")
    hold.__enter__()
    release.append(lambda: hold.__exit__(None, None, None))
    lab.resolve(repository.url, lab.store(lock=Locks()))

    waiting = lab.reporter.of(LockWaiting)
    assert len(waiting) == 1
    assert waiting[0].path == str(path)
    assert "something else" in waiting[0].owner


def test_repositories_that_have_each_other_do_not_wait_for_each_other(lab, tmp_path):
    one, two = Repository(tmp_path / "repos" / "one"), Repository(tmp_path / "repos" / "two")
    firsts = one.write({"a": "b"}), two.write({"a": "b"})
    for repository, other, commit in ((one, "two", firsts[1]), (two, "one", firsts[0])):
        repository.write({".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ../../{other}/.git\n'})
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},x")
        repository.git("commit", "--quiet", "--message", "x")
    pool = WorkerPool(4)
    urls = [one.url, two.url] * 2

    def work(url):
        parsed = parse_git_url(url)[0]
        store = lab.store()
        return store.checkout(parsed, store.resolve(parsed, Pump()), Pump())

    trees = pool.map(work, urls, pump=Pump())
    pool.close()

    assert all((tree / "x" / "a").read_text() == "b" for tree in trees)


# Stands in for git: does its work for most commands; at the one that is meant it kills who has called it.
KILLER = """#!/bin/sh
case " $* " in
*" {command} "*)
  if [ {when} = before ]; then kill -9 $PPID; exit 1; fi
  if [ {when} = after ]; then {git} "$@"; kill -9 $PPID; exit 1; fi
  {git} "$@" & child=$!
  sleep {when}; kill -9 $PPID; kill -9 $child; exit 1;;
esac
exec {git} "$@"
"""


@posix_only
@pytest.mark.parametrize("command", ["init", "fetch", "read-tree"])
@pytest.mark.parametrize("when", ["before", "after", "0.004", "0.012"])
def test_what_a_killed_process_leaves_is_mended(lab, repository, tmp_path, command, when):
    killer = tmp_path / "killer"
    killer.write_text(KILLER.format(command=command, when=when, git=GIT))
    killer.chmod(0o755)
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git@main")
        process = start(lab.home.parent, url, git=killer)
        process.communicate(timeout=120)

        assert process.returncode == -signal.SIGKILL
        assert_sound(lab.checkout(url), repository)


@posix_only
@pytest.mark.parametrize("seconds", [0.02, 0.06, 0.1, 0.15, 0.25])
def test_a_killed_group_of_processes_leaves_nothing_that_matters(lab, repository, tmp_path, seconds):
    url = f"{repository.url}@main"
    process = start(lab.home.parent, url, number=0)
    while not (lab.home.parent / "ready-0").exists():
        assert process.poll() is None
    (lab.home.parent / "go").touch()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    assert_sound(lab.checkout(url), repository)
