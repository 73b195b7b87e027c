"""What a build does when the backend does what it should."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import weakref
import zipfile

import attrs
import pytest

from puffin_api._concurrency import SILENT, Pump
from puffin_api._fs import remove_tree
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api._model.build_settings import BuildSettings
from puffin_api._model.events import BuildFinished, BuildOutput, BuildStarted
from puffin_api.errors import BuildFailed
from puffin_api.testing import FailingRunner
from tests._builder.conftest import RecordingContext

METADATA = """
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = os.path.join(metadata_directory, "app-1.0.dist-info")
    os.mkdir(folder)
    with open(os.path.join(folder, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: app\\nVersion: 1.0\\n")
    return "app-1.0.dist-info"

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
"""
TELL = """
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    told = {"env": dict(os.environ), "path": sys.path, "cwd": os.getcwd(), "prefix": sys.prefix,
            "python": sys.executable, "argv": sys.argv[1:2], "bytecode": sys.dont_write_bytecode}
    return write_wheel(wheel_directory, told=json.dumps(told))
"""


def read(wheel, member):
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member).decode()


def told(wheel):
    return json.loads(read(wheel, "told"))


def phases(workshop):
    return [event.phase for event in workshop.reporter.of(BuildStarted)]


def test_a_wheel_is_built_into_the_target(workshop):
    tree = workshop.tree()

    wheel = workshop.wheel(tree)

    assert wheel == workshop.target / "app-1.0-py3-none-any.whl"
    assert os.listdir(workshop.target) == ["app-1.0-py3-none-any.whl"]
    assert json.loads(read(wheel, "config")) is None


def test_a_build_that_needs_nothing_installs_nothing(workshop):
    workshop.wheel(workshop.tree())

    assert workshop.context.asked == []
    assert workshop.context.prefixes == []


def test_what_a_backend_leaves_beside_its_wheel_is_not_delivered(workshop):
    tree = workshop.tree("""
        def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
            write_wheel(wheel_directory, "other-1.0-py3-none-any.whl")
            return write_wheel(wheel_directory)
    """)

    workshop.wheel(tree)

    assert os.listdir(workshop.target) == ["app-1.0-py3-none-any.whl"]


def test_metadata_comes_without_a_build(workshop):
    tree = workshop.tree(METADATA)

    folder = workshop.metadata(tree)

    assert folder == workshop.target / "app-1.0.dist-info"
    assert "Name: app" in (folder / "METADATA").read_text()
    assert phases(workshop) == ["get-requires", "prepare-metadata"]


@pytest.mark.parametrize("editable", [False, True])
def test_a_backend_without_the_hook_gives_no_metadata_and_builds_nothing(workshop, editable):
    tree = workshop.tree("""
        def build_wheel(*arguments, **options):
            raise AssertionError("metadata must not build")
        build_editable = build_wheel
    """)

    assert workshop.metadata(tree, editable=editable) is None
    assert os.listdir(workshop.target) == []
    assert os.listdir(workshop.logs) == []


def test_the_wheel_is_built_with_the_metadata_that_was_prepared(workshop):
    tree = workshop.tree(METADATA)
    with workshop.open(tree, pump=SILENT) as build:
        metadata = build.metadata(workshop.target)
        wheel = build.wheel(workshop.target, metadata_directory=metadata)

    assert read(wheel, "metadata") == str(metadata)


def test_an_editable_wheel_is_built_by_its_own_hooks(workshop):
    tree = workshop.tree("""
        def get_requires_for_build_wheel(config_settings=None):
            raise AssertionError("not the hook for editables")
        def get_requires_for_build_editable(config_settings=None):
            return ["editables"]
        def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
            return write_wheel(wheel_directory, "app-1.0-0.editable-py3-none-any.whl", hook="editable")
    """)

    wheel = workshop.wheel(tree, editable=True)

    assert read(wheel, "hook") == "editable"
    assert workshop.context.asked == [["editables"]]
    assert phases(workshop) == ["get-requires", "build-editable"]


def test_one_build_asks_each_kind_of_requirement_once(workshop):
    tree = workshop.tree(
        METADATA + "def build_editable(wheel_directory, config_settings=None, metadata_directory=None):\n"
        "    return write_wheel(wheel_directory)\n"
    )
    with workshop.open(tree) as build:
        build.metadata(workshop.target)
        build.wheel(workshop.target)
        build.wheel(workshop.target, editable=True)

    assert phases(workshop) == [
        "get-requires",
        "prepare-metadata",
        "build-wheel",
        "get-requires",
        "build-editable",
    ]


def test_a_build_goes_from_call_to_call(workshop):
    tree = workshop.tree(METADATA + "print('hello')\n")
    with workshop.builder().open(tree, package="", settings=BuildSettings(), pump=SILENT) as build:
        metadata = build.metadata(workshop.target)
        build.rest()
        resting = list(workshop.logs.iterdir())
        with workshop.pump() as pump:
            build.resume(pump, package="app")
            wheel = build.wheel(workshop.target, metadata_directory=metadata)
            build.rest()
        build.wheel(workshop.target, metadata_directory=metadata)  # nobody hears of it any more

    assert resting == []
    assert wheel.name == "app-1.0-py3-none-any.whl"
    assert phases(workshop) == ["build-wheel"]
    assert {event.name for event in workshop.reporter.of(BuildStarted)} == {"app"}
    assert "hello" in [event.line for event in workshop.reporter.of(BuildOutput)]
    assert list(workshop.logs.iterdir()) == []


def test_a_build_that_rests_holds_on_to_no_call(workshop):
    pump, gone = Pump(), []

    def context(stack):
        made = RecordingContext(workshop.context.target)
        gone.append(weakref.ref(made))
        return made

    gone.append(weakref.ref(pump))
    builder = attrs.evolve(workshop.builder(), context=context)
    with builder.open(workshop.tree(METADATA), package="app", settings=BuildSettings(), pump=pump) as build:
        build.metadata(workshop.target)
        build.rest()

        del pump
        gc.collect()

        assert [find() for find in gone] == [None, None]


@pytest.mark.parametrize("what", ["tree", "env", ""])
def test_a_build_knows_whether_it_is_whole(workshop, what):
    tree = workshop.tree()
    with workshop.open(tree) as build:
        assert build.is_whole

        [folder] = workshop.scratch.iterdir()
        remove_tree(tree if what == "tree" else folder / what)

        assert not build.is_whole


def test_a_result_of_no_use_is_told_with_the_log(workshop):
    def build():
        with workshop.open(workshop.tree("print('made it')")) as build:
            build.wheel(workshop.target)
            raise build.failed("it is of another project")

    with pytest.raises(BuildFailed) as caught:
        build()

    [log] = workshop.logs.iterdir()
    assert (caught.value.phase, caught.value.exit_code) == ("check", 0)
    assert str(caught.value) == "Checking what was built of app failed: it is of another project"
    assert caught.value.log_path == str(log)
    assert caught.value.log_tail == ("made it",)
    assert log.read_text() == "made it\n" * 2  # the first call asked for requirements


def test_config_settings_reach_the_backend(workshop):
    settings = BuildSettings(
        config_settings={"--global-option": ["-q", "-v"], "level": "1", "kept": "yes"},
        package_config_settings={"App": {"level": "2"}, "other": {"level": "3"}},
    )

    wheel = workshop.wheel(workshop.tree(), settings=settings)

    assert json.loads(read(wheel, "config")) == {
        "--global-option": ["-q", "-v"],
        "level": "2",
        "kept": "yes",
    }


def test_the_backend_runs_in_the_tree_and_in_an_environment_of_its_own(workshop, info):
    tree = workshop.tree(TELL)

    seen = told(workshop.wheel(tree))

    assert seen["cwd"] == str(tree)
    assert seen["prefix"] not in {sys.prefix, sys.base_prefix}
    assert os.path.dirname(seen["prefix"]).startswith(str(workshop.scratch))
    assert seen["env"]["VIRTUAL_ENV"] == seen["prefix"]
    assert seen["env"]["PATH"].split(os.pathsep)[0] == os.path.dirname(seen["python"])
    assert seen["argv"] == ["build_wheel"]


def test_nothing_beside_the_scripts_can_be_imported(workshop):
    seen = told(workshop.wheel(workshop.tree(TELL)))

    standard = [entry for entry in seen["path"] if entry.startswith((seen["prefix"], sys.base_prefix))]
    assert seen["path"] == standard
    assert not any(entry in {"", "."} for entry in seen["path"])


def test_the_environment_of_the_caller_is_scrubbed(workshop, monkeypatch):
    monkeypatch.setenv("FROM_THIS_PROCESS", "1")
    leading_out = {
        "PYTHONPATH": "/elsewhere",
        "PYTHONHOME": "/elsewhere",
        "PIP_INDEX_URL": "https://user:secret@host/simple/",
        "__PYVENV_LAUNCHER__": "/elsewhere",
        "VIRTUAL_ENV": "/elsewhere",
    }
    workshop.env |= {**leading_out, "CC": "my-cc", "HOME": "/home/of/caller"}

    env = told(workshop.wheel(workshop.tree(TELL)))["env"]

    assert env["CC"] == "my-cc"
    assert env["HOME"] == "/home/of/caller"
    assert "FROM_THIS_PROCESS" not in env
    assert not set(leading_out) - {"VIRTUAL_ENV"} & set(env)
    assert env["VIRTUAL_ENV"] != "/elsewhere"


def test_variables_of_a_package_are_passed_on_as_they_are(workshop):
    settings = BuildSettings(env={"App": {"PIP_NO_INDEX": "1", "CFLAGS": "-O0"}, "other": {"CC": "x"}})

    env = told(workshop.wheel(workshop.tree(TELL), settings=settings))["env"]

    assert env["PIP_NO_INDEX"] == "1"
    assert env["CFLAGS"] == "-O0"
    assert "CC" not in env


def test_temporary_files_that_a_backend_forgets_go_with_the_build(workshop):
    tree = workshop.tree("""
        import tempfile
        kept = tempfile.mkdtemp()
        os.chmod(kept, 0)
        def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
            return write_wheel(wheel_directory, temporary=kept)
    """)

    kept = read(workshop.wheel(tree), "temporary")

    assert kept.startswith(str(workshop.scratch))
    assert not os.path.exists(kept)


@pytest.mark.parametrize("isolation", [False, ["App"]])
def test_without_isolation_the_interpreter_is_used_as_it_is(workshop, info, isolation):
    tree = workshop.tree(TELL, requires=["never-asked-for"])
    settings = BuildSettings(isolation=isolation, extra_requires={"app": ["nor-this"]})

    seen = told(workshop.wheel(tree, settings=settings))

    assert seen["prefix"] == str(info.prefix)
    assert seen["bytecode"]
    assert workshop.context.asked == []
    assert phases(workshop) == ["build-wheel"]


def test_other_packages_stay_isolated(workshop, info):
    seen = told(workshop.wheel(workshop.tree(TELL), settings=BuildSettings(isolation=["other"])))

    assert seen["prefix"] != str(info.prefix)


def test_output_is_told_line_by_line_while_the_backend_runs(workshop, pipe):
    tree = workshop.tree(f"""
        def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
            print("first")
            sys.stderr.write("second\\n")
            os.system("echo third")
            with open({str(pipe.path)!r}) as file:
                file.read()  # until the test has heard all three
            print("fourth", end="")
            return write_wheel(wheel_directory)
    """)
    reporter = workshop.reporter
    release = threading.Thread(target=lambda: open(pipe.path, "w").close())
    heard = reporter.on_event

    def on_event(event):
        heard(event)
        if isinstance(event, BuildOutput) and event.line == "third":
            assert not reporter.of(BuildFinished)[1:]  # the build is under way
            release.start()

    reporter.on_event = on_event
    workshop.wheel(tree)
    release.join()

    assert [event.line for event in reporter.of(BuildOutput)] == ["first", "second", "third", "fourth"]


def test_events_come_in_pairs_and_name_the_task(workshop):
    tree = workshop.tree("print('hello')")

    workshop.wheel(tree)

    kinds = [(type(event).__name__, event.task) for event in workshop.reporter.events]
    assert kinds == [
        ("BuildStarted", 1),
        ("BuildOutput", 1),
        ("BuildFinished", 1),
        ("BuildStarted", 2),
        ("BuildOutput", 2),
        ("BuildFinished", 2),
    ]
    assert {event.name for event in workshop.reporter.of(BuildStarted)} == {"app"}
    assert {event.error for event in workshop.reporter.of(BuildFinished)} == {""}


def test_warnings_of_a_backend_are_output_and_not_warnings_of_this_process(workshop):
    # Warnings are errors in tests: one that got through would fail this.
    workshop.wheel(workshop.tree("import warnings\nwarnings.warn('old setting', UserWarning)"))

    assert {event.line for event in workshop.reporter.of(BuildOutput)} == {"warning: old setting"}


def test_the_log_of_a_success_is_removed_unless_it_is_asked_for(workshop):
    tree = workshop.tree("print('hello')")

    workshop.wheel(tree)
    assert os.listdir(workshop.logs) == []

    workshop.wheel(tree, settings=BuildSettings(keep_logs=True))
    [log] = workshop.logs.iterdir()
    assert log.name.startswith("app-")
    assert log.read_text() == "hello\nhello\n"


def test_a_silent_caller_gets_its_wheel(workshop):
    wheel = workshop.wheel(workshop.tree("print('hello')"), package="", pump=SILENT)

    assert wheel.is_file()


class CountingRunner:
    """Counts how many children run at the same time."""

    def __init__(self, semaphore):
        self._runner = SubprocessRunner()
        self._semaphore = semaphore
        self._lock = threading.Lock()
        self.now = self.most = self.total = 0

    def run(self, argv, **options):
        with self._lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)
        try:
            return self._runner.run(argv, **options)
        finally:
            with self._lock:
                self.now -= 1


def test_only_as_many_backends_run_as_there_are_slots(workshop):
    workshop.slots = threading.Semaphore(1)
    workshop.runner = CountingRunner(workshop.slots)
    trees = [workshop.tree(name=f"tree-{number}") for number in range(3)]
    workshop.scratch.mkdir()
    (workshop.root / "target").mkdir()

    def build(number):
        target = workshop.target / str(number)
        target.mkdir()
        workshop.wheel(trees[number], target=target, pump=SILENT)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (workshop.runner.total, workshop.runner.most) == (6, 1)
    assert len(list(workshop.target.glob("*/*.whl"))) == 3


def test_a_build_that_waits_for_another_holds_no_slot(workshop):
    workshop.slots = threading.Semaphore(1)
    inner = workshop.tree(name="inner")
    nested = workshop.root / "nested"
    nested.mkdir()

    def build_inner(resolution, prefix):
        workshop.wheel(inner, target=nested, package="inner", pump=SILENT)

    workshop.context._on_install = build_inner

    workshop.wheel(workshop.tree(requires=["inner"]))

    assert len(os.listdir(nested)) == 1


def test_a_tree_that_is_refused_starts_no_process(workshop):
    workshop.runner = FailingRunner()
    tree = workshop.root / "empty"
    tree.mkdir()

    with pytest.raises(Exception, match="neither a pyproject"):
        workshop.wheel(tree)

    assert workshop.runner.asked == []
