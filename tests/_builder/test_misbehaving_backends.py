"""Backends that do what no backend should: the right error, and nothing left behind (see the fixtures)."""

from __future__ import annotations

import json
import os
import pickle
import threading

import attrs
import pytest

from puffin_api._concurrency import SILENT
from puffin_api._model.build_settings import BuildSettings
from puffin_api._model.cancel import CancelToken
from puffin_api._model.events import BuildFinished, BuildOutput
from puffin_api.errors import BuildFailed, Cancelled, DeadlineExceeded

WHEEL = "def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):\n"


def hook(*lines):
    return WHEEL + "".join(f"    {line}\n" for line in lines)


def failure(workshop, tree, **options):
    call = workshop.metadata if options.pop("metadata", False) else workshop.wheel
    with pytest.raises(BuildFailed) as caught:
        call(tree, **options)
    assert os.listdir(workshop.target) == []
    assert caught.value.package == "app"
    return caught.value


def kept_log(workshop, error):
    [log] = workshop.logs.iterdir()
    assert error.log_path == str(log)
    return log.read_bytes()


# ---------------------------------------------------------------------------------------------
# It ends badly


def test_a_backend_that_raises(workshop):
    tree = workshop.tree(hook("print('compiling')", "raise RuntimeError('the \\x1b[31mreason\\x1b[0m')"))

    error = failure(workshop, tree)

    assert (error.phase, error.exit_code) == ("build-wheel", 1)
    assert str(error) == "Building the wheel of app failed: the build backend ended with exit code 1"
    assert error.log_tail[0] == "compiling"
    assert error.log_tail[-1] == "RuntimeError: the reason"
    assert b"RuntimeError: the \x1b[31mreason" in kept_log(workshop, error)
    assert [event.error for event in workshop.reporter.of(BuildFinished)] == ["", "build-failed"]


def test_the_frames_around_the_backend_are_left_out(workshop):
    error = failure(workshop, workshop.tree(hook("raise RuntimeError('reason')")))

    frames = [line for line in error.log_tail if line.startswith("  File ")]
    assert len(frames) == 1
    assert "made.py" in frames[0]


def test_the_error_survives_pickling(workshop):
    error = failure(workshop, workshop.tree(hook("raise RuntimeError('reason')")))

    copy = pickle.loads(pickle.dumps(error))

    assert copy.to_dict() == error.to_dict()
    assert copy.to_dict()["data"]["phase"] == "build-wheel"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("sys.exit(3)", 3),
        ("sys.exit('a message')", 1),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 11)", -11),
        ("os.abort()", -6),
    ],
)
def test_a_backend_that_ends_its_process(workshop, line, code):
    error = failure(workshop, workshop.tree(hook(line)))

    assert (error.phase, error.exit_code) == ("build-wheel", code)


def test_a_killed_backend_is_told_with_the_signal_and_the_likely_reason(workshop):
    error = failure(workshop, workshop.tree(hook("print('linking')", "os.kill(os.getpid(), 9)")))

    assert "was killed by signal 9 (SIGKILL), perhaps because memory ran out" in str(error)
    assert error.log_tail == ("linking",)


@pytest.mark.parametrize("line", ["sys.exit(0)", "sys.exit()", "os._exit(0)"])
def test_a_backend_that_ends_well_without_a_result(workshop, line):
    error = failure(workshop, workshop.tree(hook(line)))

    assert error.exit_code == 0
    assert "ended without a result" in str(error)


def test_a_backend_that_kills_its_whole_group(workshop):
    error = failure(workshop, workshop.tree(hook("os.killpg(os.getpgrp(), 9)")))

    assert error.exit_code == -9


def test_a_failing_hook_of_each_phase_is_named(workshop):
    get = workshop.tree("def get_requires_for_build_wheel(config_settings=None): raise OSError", name="get")
    prepare = workshop.tree(
        "def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None): raise OSError",
        name="prepare",
    )
    editable = workshop.tree("def build_editable(*arguments, **options): raise OSError", name="editable")

    assert failure(workshop, get).phase == "get-requires"
    assert failure(workshop, prepare, metadata=True).phase == "prepare-metadata"
    assert failure(workshop, editable, editable=True).phase == "build-editable"


# ---------------------------------------------------------------------------------------------
# It cannot be called


def test_a_backend_that_is_not_there(workshop):
    tree = workshop.tree(**{"build-backend": "missing", "backend-path": None})

    error = failure(workshop, tree)

    assert error.phase == "get-requires"
    assert "'missing' cannot be imported" in str(error)
    assert "extra build requirements" in error.hint


def test_a_backend_in_the_tree_is_taken_from_the_tree_only(workshop):
    error = failure(workshop, workshop.tree(**{"build-backend": "wave"}))

    assert "'wave' cannot be imported" in str(error)


def test_a_backend_that_lacks_a_module(workshop):
    error = failure(workshop, workshop.tree("import numpy"))

    assert error.log_tail[-1] == "ModuleNotFoundError: No module named 'numpy'"
    assert b"No module named 'numpy'" in kept_log(workshop, error)
    assert "'numpy'" in error.hint


def test_a_backend_object_that_is_not_there(workshop):
    error = failure(workshop, workshop.tree(**{"build-backend": "made:missing"}))

    assert error.exit_code == 1
    assert "missing" in error.log_tail[-1]


def test_a_backend_with_a_syntax_error(workshop):
    error = failure(workshop, workshop.tree("def broken(:"))

    assert "SyntaxError" in error.log_tail[-1]


def test_a_backend_without_build_wheel(workshop):
    error = failure(workshop, workshop.tree(backend="", code=""))

    assert "build_wheel" in error.log_tail[-1]


def test_a_backend_that_cannot_do_editables(workshop):
    error = failure(workshop, workshop.tree(), editable=True)

    assert error.phase == "build-editable"
    assert "the build backend made cannot make editable wheels (PEP 660)" in str(error)
    assert error.hint


def test_an_interpreter_that_cannot_be_started(workshop):
    tree = workshop.tree()
    (workshop.root / "no-python").mkdir()

    class Replaced:
        def run(self, argv, **options):
            return workshop_runner.run([str(workshop.root / "no-python"), *argv[1:]], **options)

    workshop_runner, workshop.runner = workshop.runner, Replaced()
    error = failure(workshop, tree)

    assert "could not be started: Permission denied" in str(error)
    assert error.exit_code is None


def test_what_an_interpreter_says_that_does_not_come_up_is_told(workshop):
    settings = BuildSettings(env={"app": {"PYTHONHOME": "/missing"}})

    error = failure(workshop, workshop.tree(), settings=settings)

    assert error.exit_code == 1
    assert "encodings" in "\n".join(error.log_tail)
    assert any("encodings" in event.line for event in workshop.reporter.of(BuildOutput))


# ---------------------------------------------------------------------------------------------
# It returns nonsense


@pytest.mark.parametrize(
    "value",
    [
        "None",
        "1",
        "['a']",
        "'app'",
        "'../app-1.0-py3-none-any.whl'",
        "'/tmp/a-1-py3-none-any.whl'",
        "'a\\0.whl'",
    ],
)
def test_a_wheel_that_is_not_named(workshop, value):
    error = failure(workshop, workshop.tree(hook("write_wheel(wheel_directory)", f"return {value}")))

    assert error.phase == "build-wheel"
    assert "build_wheel returned" in str(error)
    assert "not the name of a .whl" in str(error)


def test_a_wheel_that_is_not_there(workshop):
    error = failure(workshop, workshop.tree(hook("return 'app-1.0-py3-none-any.whl'")))

    assert error.phase == "check"
    assert "returned 'app-1.0-py3-none-any.whl', but left nothing" in str(error)


@pytest.mark.parametrize("make", ["os.mkdir(path)", "os.symlink('/etc/passwd', path)", "os.mkfifo(path)"])
def test_a_wheel_that_is_no_file(workshop, make):
    lines = [
        "name = 'app-1.0-py3-none-any.whl'",
        "path = os.path.join(wheel_directory, name)",
        make,
        "return name",
    ]

    error = failure(workshop, workshop.tree(hook(*lines)))

    assert error.phase == "check"
    assert "which is no file" in str(error)


def test_a_wheel_with_a_wrong_name(workshop):
    error = failure(workshop, workshop.tree(hook("return write_wheel(wheel_directory, 'app.whl')")))

    assert error.phase == "check"
    assert "five or six parts" in str(error)


@pytest.mark.parametrize("value", ["None", "'a'", "[1]", "{'a': 1}", "['not a requirement']", "['']"])
def test_requirements_that_are_none(workshop, value):
    tree = workshop.tree(f"def get_requires_for_build_wheel(config_settings=None): return {value}")

    error = failure(workshop, tree)

    assert error.phase == "get-requires"
    assert "get_requires_for_build_wheel returned" in str(error)
    assert workshop.context.asked == []


@pytest.mark.parametrize(
    ("body", "phase", "reason"),
    [
        ("return None", "prepare-metadata", "returned None"),
        ("return 'app-1.0'", "prepare-metadata", "returned 'app-1.0'"),
        ("return '../x.dist-info'", "prepare-metadata", "returned '../x.dist-info'"),
        ("return 'a-1.dist-info'", "check", "but left nothing"),
        (
            "os.mkdir(metadata_directory + '/a-1.dist-info'); return 'a-1.dist-info'",
            "check",
            "no file METADATA",
        ),
    ],
)
def test_metadata_that_is_none(workshop, body, phase, reason):
    tree = workshop.tree(
        f"def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None): {body}"
    )

    error = failure(workshop, tree, metadata=True)

    assert error.phase == phase
    assert reason in str(error)


def test_a_result_that_cannot_be_written_down(workshop):
    error = failure(workshop, workshop.tree(hook("return object()")))

    assert error.exit_code == 1
    assert "JSON" in error.log_tail[-1]


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", "\\xff", "[" * 100_000])
def test_a_result_that_is_forged(workshop, text):
    lines = [
        "path = os.path.join(sys.argv[2], 'output.json')",
        f"open(path, 'wb').write(b'{text}')",
        "os._exit(0)",
    ]

    error = failure(workshop, workshop.tree(hook(*lines)))

    assert "the result of the build backend is" in str(error)


def test_a_wheel_whose_name_is_no_text(workshop):
    lines = [
        "name = 'app\\udcff-1.0-py3-none-any.whl'",
        "made = write_wheel(wheel_directory)",
        "os.rename(os.path.join(wheel_directory, made), os.path.join(wheel_directory, name))",
        "return name",
    ]

    error = failure(workshop, workshop.tree(hook(*lines)))

    assert error.phase == "check"
    str(error).encode()
    json.dumps(error.to_dict()).encode()


def test_a_long_value_is_shown_in_part(workshop):
    error = failure(workshop, workshop.tree(hook("return 'x' * 100000")))

    assert len(str(error)) < 500


# ---------------------------------------------------------------------------------------------
# It hangs, forks and stays


def test_a_timeout_ends_the_backend_and_its_children(workshop, pipe):
    lines = [
        "import subprocess, time",
        "child = \"import sys, time; kept = open(sys.argv[1], 'wb', 0); time.sleep(1000)\"",
        f"subprocess.Popen([sys.executable, '-c', child, {str(pipe.path)!r}])",
        "time.sleep(1000)",
    ]

    error = failure(workshop, workshop.tree(hook(*lines)), settings=BuildSettings(timeout=3))

    assert "it took longer than 3 seconds" in str(error)
    assert error.exit_code is None
    pipe.read_to_end()


@pytest.mark.parametrize("raises", [Cancelled, DeadlineExceeded])
def test_cancelling_ends_the_backend_and_its_children(workshop, pipe, raises):
    lines = [
        "import time",
        "if os.fork() == 0:",
        f"    kept = open({str(pipe.path)!r}, 'wb', 0)",
        "    kept.write(b'x')",
        "    time.sleep(1000)",
        "print('waiting')",
        "time.sleep(1000)",
    ]
    token = CancelToken.deadline(3) if raises is DeadlineExceeded else CancelToken()

    def cancel():
        pipe.wait()
        token.cancel("enough")

    # A deadline may pass before the child comes: machines are busy.
    threads = [threading.Thread(target=cancel)] if raises is Cancelled else []
    for thread in threads:
        thread.start()
    with pytest.raises(raises):
        workshop.wheel(workshop.tree(hook(*lines)), cancel=token)
    for thread in threads:
        thread.join()

    pipe.read_to_end()
    assert os.listdir(workshop.logs) == []
    assert workshop.reporter.of(BuildFinished)[-1].error == raises.code


def test_cancelling_while_all_slots_are_taken(workshop):
    workshop.slots = threading.Semaphore(0)
    token = CancelToken.deadline(0.3)

    with pytest.raises(DeadlineExceeded):
        workshop.wheel(workshop.tree(), cancel=token)

    assert workshop.reporter.events == []


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), BrokenPipeError(), TimeoutError()], ids=repr)
def test_a_reporter_that_raises_ends_the_backend(workshop, pipe, raised):
    lines = [
        "import time",
        f"kept = open({str(pipe.path)!r}, 'wb', 0)",
        "print('hello')",
        "time.sleep(1000)",
    ]
    heard = workshop.reporter.on_event

    def on_event(event):
        heard(event)
        if isinstance(event, BuildOutput):
            raise raised

    workshop.reporter.on_event = on_event
    with pytest.raises(type(raised)) as caught:
        workshop.wheel(workshop.tree(hook(*lines)))

    assert caught.value is raised
    pipe.read_to_end()


@pytest.mark.parametrize("end", ["return write_wheel(wheel_directory)", "raise OSError", "os._exit(1)"])
def test_what_a_backend_leaves_running_ends_with_it(workshop, pipe, end):
    """It holds the log open, ignores what can be ignored, and writes into the temporary folder."""
    lines = [
        "import signal, tempfile, time",
        "if os.fork() == 0:",
        "    if os.fork() == 0:",
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "        signal.signal(signal.SIGHUP, signal.SIG_IGN)",
        f"        kept = open({str(pipe.path)!r}, 'wb', 0)",
        "        kept.write(b'x')",
        "        while True:",
        "            open(tempfile.mkstemp()[1], 'w').write('x')",
        "    os._exit(0)",
        f"with open({str(pipe.path)!r} + '.seen', 'w'): pass",
        "time.sleep(0.3)",
        end,
    ]
    tree = workshop.tree(hook(*lines))

    if "return" in end:
        workshop.wheel(tree)
    else:
        failure(workshop, tree)

    pipe.read_to_end()


def test_a_backend_that_kills_who_waits_for_it(workshop):
    error = failure(workshop, workshop.tree(hook("os.kill(os.getppid(), 9)", "os._exit(0)")))

    assert error.exit_code == -9


# ---------------------------------------------------------------------------------------------
# It is not the fault of the backend


def test_a_folder_for_logs_that_cannot_be_made(workshop):
    workshop.logs.write_text("")

    with pytest.raises(BuildFailed) as caught:
        workshop.wheel(workshop.tree())

    assert caught.value.phase == "install-requires"
    assert "File exists" in str(caught.value)


def test_a_temporary_folder_that_is_not_there(workshop):
    builder = attrs.evolve(workshop.builder(), scratch=workshop.root / "missing")

    with pytest.raises(BuildFailed, match="No such file or directory"):
        builder.open(workshop.tree(), package="app", settings=BuildSettings(), pump=SILENT)


def test_a_temporary_folder_of_the_system_that_is_not_there(workshop, system_temporary):
    os.rmdir(system_temporary)

    error = failure(workshop, workshop.tree())

    os.mkdir(system_temporary)
    assert error.phase == "get-requires"
    assert "No such file or directory" in str(error)


def test_a_target_that_is_not_there(workshop):
    with pytest.raises(BuildFailed) as caught:
        workshop.wheel(workshop.tree(), target=workshop.root / "missing")

    assert caught.value.phase == "check"


# ---------------------------------------------------------------------------------------------
# It does odd things and succeeds


def test_a_backend_that_prints_a_hundred_megabytes(workshop):
    lines = [
        "line = b'x' * 99 + b'\\n'",
        "for _ in range(1000):",
        "    os.write(1, line * 1000)",
        "raise OSError('last')",
    ]

    error = failure(workshop, workshop.tree(hook(*lines)))

    assert error.log_tail[-1] == "OSError: last"
    assert len(error.log_tail) == 40
    assert os.path.getsize(error.log_path) > 100_000_000
    assert any(
        "more lines, which are in the log" in event.line for event in workshop.reporter.of(BuildOutput)
    )
    os.unlink(error.log_path)  # pytest keeps the folders of three runs


@pytest.mark.parametrize("end", ["raise SystemExit(1)", "return write_wheel(wheel_directory)"])
def test_a_backend_that_prints_megabytes_without_a_line_break(workshop, end):
    lines = ["for _ in range(400): os.write(1, b'x' * 100_000)", "os.write(1, b'the end')", end]
    tree = workshop.tree(hook(*lines))

    if "return" in end:
        assert workshop.wheel(tree).is_file()
    else:
        (tail,) = failure(workshop, tree).log_tail
        assert len(tail) <= 2100
        assert tail.endswith("the end")
    heard = [event.line for event in workshop.reporter.of(BuildOutput)]
    assert max(map(len, heard)) <= 2100


def test_a_backend_that_prints_no_text(workshop):
    lines = ["os.write(2, bytes(range(256)))", "sys.stdout.write('\\udc80\\n')", "raise OSError('last')"]

    error = failure(workshop, workshop.tree(hook(*lines)))

    assert error.log_tail[-1] == "OSError: last"
    assert all(line.isprintable() or "\t" in line for line in error.log_tail)
    assert bytes(range(256)) in kept_log(workshop, error)


def test_a_backend_that_prints_a_login(workshop):
    tree = workshop.tree(hook("print('from https://user:secret@host/x')", "raise OSError"))

    error = failure(workshop, tree)

    assert "from https://****@host/x" in error.log_tail
    assert "secret" not in repr([error.to_dict(), workshop.reporter.events])


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["sys.stdin.read()", "assert os.read(0, 1) == b''"], id="reads stdin"),
        pytest.param(
            ["os.closerange(0, 50)", "try: print('unheard')", "except OSError: pass"], id="closes fds"
        ),
        pytest.param(["sys.stdout.close()", "sys.stderr.close()"], id="closes its streams"),
        pytest.param(["del sys.stdout, sys.stderr"], id="deletes its streams"),
        pytest.param(["os.chdir('/')"], id="changes the folder"),
        pytest.param(
            ["os.environ.clear()", "sys.path.clear()", "sys.modules.clear()"], id="forgets everything"
        ),
        pytest.param(["print(sys.argv)", "print('{\"return_val\": 1}')"], id="prints a result"),
        pytest.param(
            ["os.unlink('/proc/self/fd/1') if 0 else os.unlink(os.readlink('/proc/self/fd/1'))"],
            id="removes the log",
        ),
        pytest.param(["os.setsid()"], id="leaves its group"),
        pytest.param(["import shutil", "shutil.rmtree(os.getcwd())"], id="removes its tree"),
        pytest.param(
            [
                "import tempfile",
                "place = tempfile.mkdtemp()",
                "for folder in (place, os.environ['VIRTUAL_ENV'], wheel_directory):",
                "    os.makedirs(folder + '/a/b')",
                "    open(folder + '/a/b/file', 'w').close()",
                "    os.chmod(folder + '/a/b/file', 0o400)",
                "    os.chmod(folder + '/a/b', 0)",
                "    os.chmod(folder + '/a', 0o500)",
            ],
            id="leaves what may not be written",
        ),
        pytest.param(
            ["import atexit", "atexit.register(os.write, 1, b'bye')"], id="does something at its exit"
        ),
        pytest.param(["open('/proc/self/oom_score_adj', 'w').write('500')"], id="writes outside"),
    ],
)
def test_odd_but_harmless(workshop, lines):
    tree = workshop.tree(hook("built = write_wheel(wheel_directory)", *lines, "return built"))

    wheel = workshop.wheel(tree)

    assert wheel.is_file()


def test_writing_outside_the_tree_is_not_prevented(workshop):
    """Said in the docstring of the module: keeping a backend in is for a ``Runner`` with a sandbox."""
    outside = workshop.root / "outside"
    tree = workshop.tree(hook(f"open({str(outside)!r}, 'w').close()", "return write_wheel(wheel_directory)"))

    workshop.wheel(tree)

    assert outside.exists()


def test_only_what_the_last_call_printed_is_in_the_error(workshop):
    tree = workshop.tree(
        "def get_requires_for_build_wheel(config_settings=None):\n    print('asked')\n    return []\n"
        + hook("print('built')", "raise OSError")
    )

    error = failure(workshop, tree)

    assert error.log_tail[0] == "built"
    assert b"asked\nbuilt\n" in kept_log(workshop, error)
