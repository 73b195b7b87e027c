"""A build that gave metadata is kept for the wheel, where that changes nothing but the time it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from puffin_api import Cache, CancelToken, Editable, Installer
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.leases import Leases
from puffin_api._cache.prune import prune
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api.errors import BuildFailed, Cancelled
from puffin_api.model import BuildPolicy, BuildSettings
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import TESTS, versions
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist, write_tree

# Notes also what is asked for requirements, and whether the wheel comes of the tree of the metadata.
TELLING = """
_metadata = prepare_metadata_for_build_wheel

def get_requires_for_build_wheel(config_settings=None):
    note("requires", config_settings)
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    os.makedirs("build", exist_ok=True)  # does not count among what a local tree holds
    open("build/was-here", "w").close()
    return _metadata(metadata_directory, config_settings)

get_requires_for_build_editable = get_requires_for_build_wheel
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    given = metadata_directory is not None and os.path.isfile(os.path.join(metadata_directory, "METADATA"))
    note("wheel", config_settings, given=given, same=os.path.exists("build/was-here"))
    return write_wheel(wheel_directory, {MODULE + ".py": "value = 1"})

build_editable = build_wheel
"""
ONCE = ["requires demo", "metadata demo", "wheel demo"]
ANEW = ["requires demo", "metadata demo", "requires demo", "wheel demo"]


@pytest.fixture
def job(serve, make_client, make_venv, journal, tmp_path):
    """Resolve and install `demo` step by step."""

    class Job:
        cache = Cache(tmp_path / "cache")
        hooks = property(lambda self: journal.hooks)

        def __init__(self):
            self.environment = make_venv()
            self.client = None

        def serve(self, code="", **options):
            self.index = serve(sdist(project(journal, code=TELLING + code, **options)))
            self.client = self.new_client()
            return self

        def new_client(self):
            return make_client(self.index, cache=self.cache)

        def resolve(self, *wanted, **options):
            return resolve(self.client, self.environment, *(wanted or ("demo",)), **options)

        def install(self, resolution, client=None, environment=None, **options):
            environment = environment or self.environment
            call = {key: options.pop(key) for key in ("cancel",) if key in options}
            Installer(environment, client or self.client, **options).install(resolution, **call)
            assert versions(environment) == {"demo": "1.0"}

        @property
        def leftovers(self):
            return cache_leftovers(self.cache)

    return Job()


def test_the_wheel_comes_of_the_build_that_gave_metadata(job, journal):
    resolution = job.serve().resolve()
    assert len(job.leftovers) == 2
    assert not list((job.cache.path / ".logs").iterdir())

    job.install(resolution)

    assert job.hooks == ONCE
    assert journal.rows[-1]["given"]
    assert journal.rows[-1]["same"]
    assert job.leftovers == []


@pytest.mark.parametrize("kind", ["url", "archive", "tree", "editable", pytest.param("git", marks=needs_git)])
def test_all_kinds_of_sources(serve, make_client, make_venv, journal, tmp_path, kind):
    files = project(journal, code=TELLING)
    ((name, data),) = sdist(files).items()
    index, environment = serve({name: data}), make_venv()
    (tmp_path / name).write_bytes(data)
    (tmp_path / "home").mkdir()
    tree = write_tree(tmp_path / "tree", files)
    wanted = {
        "url": f"demo @ {index.url.removesuffix('simple/')}files/{name}",
        "archive": tmp_path / name,  # nobody knows its name at first
        "tree": tree,
        "editable": Editable(path=tree),
    }
    if kind == "git":
        repository = Repository(tmp_path / "repository")
        repository.write(files)
        wanted["git"] = f"demo @ {repository.url}@{repository.head()}"
    client = make_client(index, env=git_env(tmp_path / "home"))

    Installer(environment, client).install(resolve(client, environment, wanted[kind]))

    assert versions(environment) == {"demo": "1.0"}
    assert journal.hooks == ONCE
    # A folder of the user's may say something else by now: its backend has to look again.
    assert journal.rows[-1]["given"] is (kind not in ("tree", "editable"))
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_resolving_again_leaves_it_for_the_installation(job):
    job.serve().resolve()
    job.client.project("demo")

    job.install(job.resolve())

    assert job.hooks == ONCE


def test_what_settings_say_to_others_does_no_harm(job):
    settings = BuildSettings(package_config_settings={"other": {"a": "b"}})
    resolution = job.serve().resolve(build_settings=settings)

    job.install(resolution)

    assert job.hooks == ONCE


@pytest.mark.parametrize(
    ("settings", "hooks"),
    [
        (BuildSettings(config_settings={"a": "b"}), [*ONCE[:2], *ONCE]),
        (BuildSettings(env={"demo": {"MADE_FLAG": "1"}}), [*ONCE[:2], *ONCE]),
        (BuildSettings(timeout=100), ANEW),
        (BuildSettings(keep_logs=True), ANEW),
    ],
)
def test_other_settings_are_another_build(job, settings, hooks):
    job.serve().resolve()
    left = job.leftovers

    job.install(job.resolve(build_settings=settings))

    assert job.hooks == hooks
    assert job.leftovers in (left, []), "one that gave the same metadata is of no use any more"
    job.client.close()
    assert job.leftovers == []


def test_another_runner_is_another_build(job):
    resolution = job.serve().resolve()

    job.install(resolution, runner=SubprocessRunner())

    assert job.hooks == ANEW


def test_where_no_wheel_may_be_built_nothing_is_kept(job):
    job.serve().resolve(build_policy=BuildPolicy.METADATA_ONLY)

    assert job.hooks == ONCE[:2]

    assert job.leftovers == []


def test_a_client_that_is_closed_leaves_nothing(job):
    job.serve().resolve()
    assert job.leftovers

    job.client.close()

    assert job.leftovers == []


PROGRAM = """
import os, sys
from puffin_api import Cache, Client, Interpreter, Resolver
client = Client(indexes=[sys.argv[1]], cache=Cache(sys.argv[2]))
Resolver(client).resolve(["demo"], target=Interpreter.current())
assert os.listdir(sys.argv[2] + "/.tmp")
{end}
"""


def run(job, end):
    code = textwrap.dedent(PROGRAM).format(end=end)
    command = [sys.executable, "-c", code, job.index.url, str(job.cache.path)]
    return subprocess.run(command, cwd=TESTS.parent, check=False, timeout=60).returncode


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "raise SystemExit", "keep = client; del client"])
def test_a_process_that_ends_leaves_nothing(job, end):
    job.serve()

    assert run(job, end) == 0

    assert job.hooks == ONCE[:2]
    assert job.leftovers == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_that_ends_takes_nothing_along(job):
    job.serve()
    end = "if os.fork() == 0: sys.exit()\nos.wait()\nassert len(os.listdir(sys.argv[2] + '/.tmp')) == 2"

    assert run(job, end) == 0

    assert job.leftovers == []


def test_what_a_killed_process_leaves_goes_with_the_upkeep(job):
    job.serve()
    assert run(job, "os.kill(os.getpid(), 9)") == -9
    assert len(job.leftovers) == 2
    layout = CacheLayout(job.cache.path)

    job.cache.prune()
    assert len(job.leftovers) == 2, "it may be in use"
    prune(layout, Leases(layout), now=time.time() + 2 * 86400)

    assert job.leftovers == []
    job.install(job.resolve())
    assert job.hooks == ANEW


def test_a_wheel_that_another_process_has_built_is_used(job, make_venv):
    resolution = job.serve().resolve()
    other = job.new_client()
    job.install(resolution, client=other, environment=make_venv("other"))
    hooks = job.hooks
    assert job.leftovers

    job.install(resolution)

    assert job.hooks == hooks
    assert job.leftovers == []


def test_two_threads_that_install_build_once(job, make_venv):
    resolution = job.serve().resolve()
    environments = [make_venv(f"venv-{number}") for number in range(4)]
    threads = [
        threading.Thread(target=job.install, args=(resolution,), kwargs={"environment": environment})
        for environment in environments
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert job.hooks == ONCE
    assert [versions(environment) for environment in environments] == [{"demo": "1.0"}] * 4
    assert job.leftovers == []


@pytest.mark.parametrize("hook", ["prepare_metadata_for_build_wheel", "build_wheel"])
def test_a_backend_that_failed_is_not_kept(job, hook, tmp_path):
    flag = tmp_path / "flag"
    code = (
        f"_hook = {hook}\ndef {hook}(*a, **k):\n"
        f"    if not os.path.exists({str(flag)!r}): raise SystemExit('not yet')\n    return _hook(*a, **k)\n"
    )
    job.serve(code)

    with pytest.raises(BuildFailed):
        job.install(job.resolve())
    assert job.leftovers == []
    flag.touch()
    job.install(job.resolve())

    asked = ["requires demo", "requires demo", "metadata demo", "wheel demo"]
    assert sorted(job.hooks) == sorted(asked)


def test_metadata_of_another_project_is_not_kept(job):
    job.serve("NAME = 'other'\n")

    with pytest.raises(Exception, match="other"):
        job.resolve()

    assert job.leftovers == []


def test_a_cancel_ends_a_build_that_was_kept(job, tmp_path):
    flag = tmp_path / "flag"
    code = (
        "_wheel = build_wheel\ndef build_wheel(*a, **k):\n    import time\n"
        f"    if not os.path.exists({str(flag)!r}):\n        open({str(flag)!r}, 'w').close()\n"
        "        time.sleep(100)\n    return _wheel(*a, **k)\n"
    )
    resolution = job.serve(code).resolve()
    cancel = CancelToken()

    def stop():
        while not flag.exists():
            time.sleep(0.01)
        cancel.cancel("enough")

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Cancelled):
        job.install(resolution, cancel=cancel)
    thread.join()

    assert job.leftovers == []
    job.install(resolution)
    assert job.hooks == ANEW


@pytest.mark.parametrize("what", ["all", "environment", "tree"])
def test_what_somebody_has_removed_is_made_anew(job, what):
    resolution = job.serve().resolve()
    for name in job.leftovers:
        if what == "all" or name.startswith("puffin-build-") == (what == "environment"):
            subprocess.run(["rm", "-rf", str(job.cache.path / ".tmp" / name)], check=True)

    job.install(resolution)

    assert job.hooks == ANEW
    assert job.leftovers == []


def test_a_backend_that_removes_its_tree_is_asked_anew(job):
    code = (
        "_prepare = prepare_metadata_for_build_wheel\n"
        "def prepare_metadata_for_build_wheel(*a, **k):\n"
        "    import shutil; found = _prepare(*a, **k); shutil.rmtree(os.getcwd()); return found\n"
    )
    resolution = job.serve(code).resolve()

    job.install(resolution)

    assert job.hooks == ANEW
    assert job.leftovers == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_what_a_backend_leaves_running_spoils_no_result(job):
    """It has left its group, and fills the tree while that is being removed."""
    code = (
        "_wheel = build_wheel\n"
        "def build_wheel(*a, **k):\n"
        "    import time\n"
        "    if os.fork() == 0:\n"
        "        os.setsid(); end = time.monotonic() + 3; count = 0\n"
        "        while time.monotonic() < end:\n"
        "            count += 1\n"
        "            try: open('f%d' % count, 'w').close()\n"
        "            except OSError: break\n"
        "        os._exit(0)\n"
        "    time.sleep(0.2)\n"
        "    return _wheel(*a, **k)\n"
    )

    job.install(job.serve(code).resolve())

    assert job.hooks == ONCE


def test_a_tree_that_has_changed_since_is_built_anew(make_client, make_venv, serve, journal, tmp_path):
    tree = write_tree(tmp_path / "tree", project(journal, code=TELLING))
    client, environment = make_client(serve()), make_venv()
    resolve(client, environment, tree)
    (tree / "setup.py").write_text("# it is new\n", encoding="utf-8")

    Installer(environment, client).install(resolve(client, environment, tree))

    assert journal.hooks == [*ONCE[:2], *ONCE]
    client.close()
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_no_more_than_eight_are_kept(serve, make_client, make_venv, journal, tmp_path):
    names = [f"demo-{number}" for number in range(10)]
    files = {}
    for name in names:
        files |= sdist(project(journal, name, code=TELLING), name)
    client, environment = make_client(serve(files)), make_venv()

    resolution = resolve(client, environment, *names)

    assert len(cache_leftovers(Cache(tmp_path / "cache"))) == 16
    Installer(environment, client).install(resolution)
    assert versions(environment) == dict.fromkeys(names, "1.0")
    assert len([hook for hook in journal.hooks if hook.startswith("requires")]) == 12
    client.close()
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_the_log_of_a_kept_build_that_fails_has_its_words(job):
    code = "def build_wheel(*_, **__): print('the last words'); raise SystemExit(3)\nprint('loaded')\n"
    resolution = job.serve(code).resolve()

    with pytest.raises(BuildFailed) as caught:
        job.install(resolution)

    assert (caught.value.package, caught.value.phase) == ("demo", "build-wheel")
    assert caught.value.log_tail == ("loaded", "the last words")
    assert Path(caught.value.log_path).read_text(encoding="utf-8") == "loaded\nthe last words\n"
