"""Builds that are forbidden, that fail, and backends that misbehave: the right error, nothing left behind."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path

import pytest

from puffin_api import Cache, CancelToken, Installer, PuffinError, Resolver
from puffin_api.errors import BuildFailed, BuildForbidden, Cancelled, DeadlineExceeded, ResolutionFailed
from puffin_api.model import BuildFinished, BuildOutput, BuildPolicy, BuildSettings, BuildStarted
from puffin_api.testing import FailingRunner, RecordingReporter
from tests.integration.job_kit import check_error, tree, versions, wheel
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist, write_tree

FAILING = "def {hook}(*_, **__):\n    print('the last words')\n    raise SystemExit(7)\n"
BOTH = ("prepare_metadata_for_build_wheel", "build_wheel")


@pytest.fixture
def job(serve, make_client, make_venv, journal, tmp_path):
    """Install `demo`, whose backend has some more code; what must not change is looked at afterwards."""

    class Job:
        def __init__(self):
            self.environment = make_venv()
            self.reporter = RecordingReporter()
            self.client = None

        def serve(self, code, *, more=None, **options):
            files = sdist(project(journal, code=code, **options)) | (more or {})
            self.client = make_client(serve(files))
            return self

        def resolve(self, *wanted, **options):
            return resolve(
                self.client, self.environment, *(wanted or ("demo",)), reporter=self.reporter, **options
            )

        def install(self, **options):
            resolution = self.resolve()
            return Installer(self.environment, self.client).install(
                resolution, reporter=self.reporter, **options
            )

    job = Job()
    before = tree(job.environment.root)
    yield job
    assert tree(job.environment.root) == before
    if job.client is not None:
        job.client.close()  # it keeps builds that gave metadata
    assert cache_leftovers(Cache(tmp_path / "cache")) == []
    report = Cache(tmp_path / "cache").verify(repair=False)
    assert report.damaged == {}, report.damaged


# -- what is allowed


def test_never_starts_no_process(job, journal):
    job.serve("")
    runner = FailingRunner()

    with pytest.raises(ResolutionFailed, match="build") as caught:
        Resolver(job.client, runner=runner).resolve(
            ["demo"], target=job.environment, build_policy=BuildPolicy.NEVER
        )

    assert runner.asked == []
    assert "demo" in caught.value.explain()


def test_never_takes_a_version_with_a_wheel(job):
    job.serve("", version="2.0", more=wheel("demo", "1.5"))

    assert job.resolve(build_policy=BuildPolicy.NEVER).packages["demo"].version == "1.5"


def test_metadata_only_builds_no_wheel(job, journal):
    job.serve("")

    resolution = job.resolve(build_policy=BuildPolicy.METADATA_ONLY)

    assert resolution.packages["demo"].needs_build
    with pytest.raises(BuildForbidden):
        Installer(job.environment, job.client).install(resolution)
    assert journal.hooks == ["metadata demo"]


def test_metadata_only_where_metadata_comes_with_a_wheel(job, journal):
    job.serve("del prepare_metadata_for_build_wheel\n")

    with pytest.raises((BuildForbidden, ResolutionFailed)):
        job.resolve(build_policy=BuildPolicy.METADATA_ONLY)
    assert journal.hooks == []


# -- what fails


def test_a_failed_build_tells_what_happened(job):
    job.serve(FAILING.format(hook=BOTH[0]))

    with pytest.raises(BuildFailed) as caught:
        job.resolve()

    check_error(caught.value, BuildFailed, "build-failed", package="demo", exit_code=7)
    assert caught.value.phase == "prepare-metadata"
    assert caught.value.state == "untouched"
    assert "the last words" in caught.value.log_tail
    assert "the last words" in Path(caught.value.log_path).read_text()


def test_a_wheel_that_fails_after_metadata(job):
    job.serve(FAILING.format(hook="build_wheel"))
    resolution = job.resolve()

    with pytest.raises(BuildFailed) as caught:
        Installer(job.environment, job.client).install(resolution)

    assert (caught.value.phase, caught.value.exit_code) == ("build-wheel", 7)
    assert Path(caught.value.log_path).exists()


def test_a_failed_version_ends_the_resolution_unless_it_may_be_passed_over(job, serve, make_client, journal):
    files = sdist(project(journal, version="2.0", code=FAILING.format(hook=BOTH[0])), version="2.0")
    job.client = make_client(serve(files | wheel("demo", "1.0")))

    with pytest.raises(BuildFailed):
        job.resolve()
    found = job.resolve(skip_failed_builds=True)
    assert found.packages["demo"].version == "1.0"


def test_where_all_versions_fail_the_reason_is_told(job):
    job.serve(FAILING.format(hook=BOTH[0]))

    with pytest.raises(ResolutionFailed, match="cannot be built"):
        job.resolve(skip_failed_builds=True)


def test_a_failure_is_no_answer_for_later(job, journal, tmp_path):
    flag = tmp_path / "flag"
    job.serve(f"if not os.path.exists({str(flag)!r}): raise SystemExit('not yet')\n")
    with pytest.raises(BuildFailed):
        job.resolve()
    flag.touch()

    assert job.resolve().packages["demo"].version == "1.0"


# -- backends that misbehave


NONSENSE = {
    "no wheel": "def build_wheel(folder, *_, **__): return 'demo-1.0-py3-none-any.whl'\n",
    "another type": "def build_wheel(folder, *_, **__): return ['x']\n",
    "nothing": "def build_wheel(folder, *_, **__): return None\n",
    "a path outside": "def build_wheel(folder, *_, **__): return '../../../demo-1.0-py3-none-any.whl'\n",
    "no zip": (
        "def build_wheel(folder, *_, **__):\n"
        "    open(os.path.join(folder, 'demo-1.0-py3-none-any.whl'), 'w').write('no zip')\n"
        "    return 'demo-1.0-py3-none-any.whl'\n"
    ),
    "an empty zip": (
        "def build_wheel(folder, *_, **__):\n"
        "    zipfile.ZipFile(os.path.join(folder, 'demo-1.0-py3-none-any.whl'), 'w').close()\n"
        "    return 'demo-1.0-py3-none-any.whl'\n"
    ),
    "an entry outside": (
        "def build_wheel(folder, *_, **__): return write_wheel(folder, {'../../../escaped.py': 'x'})\n"
    ),
    "another project": (
        "def build_wheel(folder, *_, **__):\n"
        "    global NAME, INFO; NAME = 'other'; INFO = 'other-1.0.dist-info'\n"
        "    return write_wheel(folder, {}, name='other-1.0-py3-none-any.whl')\n"
    ),
    "another version": (
        "def build_wheel(folder, *_, **__):\n"
        "    global VERSION, INFO; VERSION = '2.0'; INFO = 'demo-2.0.dist-info'\n"
        "    return write_wheel(folder, {}, name='demo-2.0-py3-none-any.whl')\n"
    ),
    "another version inside": (
        "def build_wheel(folder, *_, **__):\n"
        "    global VERSION; VERSION = '2.0'\n"
        "    return write_wheel(folder, {})\n"
    ),
    "death": "def build_wheel(*_, **__): os.kill(os.getpid(), 9)\n",
    "a broken pipe": "def build_wheel(*_, **__): os.close(1); os.close(2); os._exit(0)\n",
}


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize("has_metadata", [True, False])
def test_nonsense_is_a_failed_build(job, what, has_metadata, tmp_path):
    job.serve(NONSENSE[what] + ("" if has_metadata else "del prepare_metadata_for_build_wheel\n"))

    with pytest.raises(BuildFailed) as caught:
        job.install()

    check_error(caught.value, BuildFailed, "build-failed", package="demo")
    assert not list(tmp_path.rglob("escaped.py"))
    assert Path(caught.value.log_path).is_file()


@pytest.mark.parametrize("what", ["no zip", "an entry outside", "another project", "another version"])
def test_what_a_build_that_ended_well_has_said_is_told_too(job, what):
    said = "_build = build_wheel\ndef build_wheel(*a, **k): print('I made it'); return _build(*a, **k)\n"
    job.serve(NONSENSE[what] + said)

    with pytest.raises(BuildFailed) as caught:
        job.install()

    assert (caught.value.phase, caught.value.log_tail) == ("check", ("I made it",))
    assert Path(caught.value.log_path).read_text(encoding="utf-8") == "I made it\n"


@pytest.mark.parametrize("has_metadata", [True, False])
def test_a_tree_whose_wheel_is_of_another_version(job, make_client, journal, tmp_path, has_metadata):
    code = NONSENSE["another version"] + ("" if has_metadata else "del prepare_metadata_for_build_wheel\n")
    folder = write_tree(tmp_path / "tree", project(journal, code=code, static=True))
    job.client = make_client()

    with pytest.raises(BuildFailed, match=r"demo-2\.0"):
        Installer(job.environment, job.client).install(job.resolve(folder))


METADATA = {
    "no folder": "return 'demo-1.0.dist-info'",
    "nothing": "return None",
    "empty": "os.mkdir(folder + '/demo-1.0.dist-info'); return 'demo-1.0.dist-info'",
    "nonsense": (
        "os.mkdir(folder + '/demo-1.0.dist-info');"
        "open(folder + '/demo-1.0.dist-info/METADATA', 'w').write('?'); return 'demo-1.0.dist-info'"
    ),
    "another project": (
        "os.mkdir(folder + '/demo-1.0.dist-info'); open(folder + '/demo-1.0.dist-info/METADATA', 'w')"
        ".write(metadata().replace('demo', 'other')); return 'demo-1.0.dist-info'"
    ),
    "another version": (
        "os.mkdir(folder + '/demo-1.0.dist-info'); open(folder + '/demo-1.0.dist-info/METADATA', 'w')"
        ".write(metadata().replace('1.0', '9.0')); return 'demo-1.0.dist-info'"
    ),
}


@pytest.mark.parametrize("what", METADATA)
def test_metadata_that_is_nonsense(job, what):
    job.serve(f"def prepare_metadata_for_build_wheel(folder, *_, **__): {METADATA[what]}\n")

    with pytest.raises((BuildFailed, ResolutionFailed)) as caught:
        job.resolve()

    assert "demo" in str(caught.value)


def test_a_wheel_for_another_platform(job):
    job.serve("TAG = 'py3-none-win_arm64'\n")

    with pytest.raises(BuildForbidden, match="win_arm64"):
        job.install()


def test_much_output_is_heard_and_kept(job):
    job.serve("for number in range(20000): print('line', number)\nraise SystemExit(1)\n")

    with pytest.raises(BuildFailed) as caught:
        job.resolve()

    assert caught.value.log_tail[-1] == "line 19999"
    assert len(caught.value.log_tail) < 1000
    assert job.reporter.of(BuildOutput)


@pytest.fixture
def alive(tmp_path):
    """A pipe that children of a build open; tells whether any of them still lives."""
    path = tmp_path / "alive"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    class Alive:
        code = f"import subprocess, time\npipe = os.open({str(path)!r}, os.O_WRONLY)\nos.write(pipe, b'x')\n"

        def wait(self):
            assert select.select([reader], [], [], 60)[0]
            assert os.read(reader, 1) == b"x"

        def is_over(self):
            """Wait until nobody has the pipe open."""
            while select.select([reader], [], [], 30)[0]:
                if not os.read(reader, 100):
                    return True
            return False

    yield Alive()
    os.close(reader)


HANGING = {
    "hangs": "time.sleep(600)\n",
    "ignores signals": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n",
    "forks": "os.fork()\nos.fork()\ntime.sleep(600)\n",
    "starts others": (
        "os.set_inheritable(pipe, True)\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'], close_fds=False)\n"
    ),
    "prints": "while True: print('x' * 1000)\n",
}


@pytest.mark.parametrize("what", HANGING)
def test_a_cancel_ends_a_backend_and_its_children(job, alive, what):
    job.serve(alive.code + HANGING[what])
    token = CancelToken()
    thread = threading.Thread(target=lambda: (alive.wait(), token.cancel("enough")))
    thread.start()
    with pytest.raises(Cancelled) as caught:
        job.resolve(cancel=token)
    thread.join()

    assert caught.value.reason == "enough"
    assert alive.is_over()


def test_a_deadline(job, alive):
    job.serve(alive.code + "time.sleep(600)\n")

    with pytest.raises(DeadlineExceeded):
        job.resolve(cancel=CancelToken().deadline(2))

    assert alive.is_over()


def test_a_time_for_each_call_of_a_backend(job, alive):
    job.serve(alive.code + "time.sleep(600)\n")

    with pytest.raises(BuildFailed, match="second") as caught:
        job.resolve(build_settings=BuildSettings(timeout=1.5))

    assert Path(caught.value.log_path).exists()
    assert alive.is_over()


def test_children_that_a_backend_leaves_behind_end_with_it(job, alive):
    job.serve(alive.code + "os.fork() or time.sleep(600)\n")

    assert job.resolve().packages["demo"].version == "1.0"
    assert alive.is_over()


def test_a_cancelled_build_is_done_by_the_next_call(job, alive, tmp_path):
    flag = tmp_path / "flag"
    job.serve(alive.code + f"if not os.path.exists({str(flag)!r}): time.sleep(600)\n")
    token = CancelToken()
    thread = threading.Thread(target=lambda: (alive.wait(), token.cancel()))
    thread.start()
    with pytest.raises(Cancelled):
        job.resolve(cancel=token)
    thread.join()
    flag.touch()

    assert job.resolve().packages["demo"].version == "1.0"


# -- events


def test_what_is_heard_of_builds(job, journal):
    job.serve("print('hello')\n", more=wheel("helper", "1.0"), build_requires=["helper"])

    job.resolve()

    events = job.reporter.events
    assert job.reporter.threads == {threading.get_ident()}
    kinds = [event for event in events if isinstance(event, BuildStarted | BuildOutput | BuildFinished)]
    assert isinstance(kinds[0], BuildStarted)
    assert isinstance(kinds[-1], BuildFinished)
    under_way = None
    for event in kinds:
        if isinstance(event, BuildStarted):
            assert under_way is None
            under_way = event.task
        assert event.task == under_way
        if isinstance(event, BuildFinished):
            under_way = None
    assert "hello" in "".join(str(event) for event in job.reporter.of(BuildOutput))
    assert len(job.reporter.of(BuildStarted)) == len(job.reporter.of(BuildFinished)) == 2


@pytest.mark.parametrize("at", [BuildStarted, BuildOutput, BuildFinished])
def test_a_reporter_that_raises_ends_the_build(job, alive, at):
    job.serve(alive.code + "print('hello', flush=True)\ntime.sleep(1)\n")

    class Reporter:
        def on_event(self, event):
            if isinstance(event, at):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        resolve(job.client, job.environment, "demo", reporter=Reporter())
    assert versions(job.environment) == {}
    assert job.resolve().packages["demo"].version == "1.0"


def test_secrets_for_a_backend_are_not_shown(job, tmp_path):
    job.serve("raise SystemExit('failed')\n")
    settings = BuildSettings(env={"demo": {"TOKEN": "s3cret"}})

    with pytest.raises(PuffinError) as caught:
        job.resolve(build_settings=settings)

    assert "s3cret" not in f"{caught.value!r} {caught.value.to_dict()} {settings!r}"
    for path in (tmp_path / "cache").rglob("*"):
        assert "s3cret" not in path.name
        assert not path.is_file() or b"s3cret" not in path.read_bytes()
