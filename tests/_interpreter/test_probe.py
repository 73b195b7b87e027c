from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import attrs
import packaging
import pytest
from packaging.markers import default_environment
from packaging.tags import compatible_tags, cpython_tags, sys_tags

from puffin_api._interpreter.info import InterpreterInfo
from puffin_api._interpreter.probe import cache_key, current_info, probe, probe_cached
from puffin_api._interpreter.venv import create_venv
from puffin_api._model.cancel import CancelToken
from puffin_api.errors import Cancelled, ProbeFailed

TAGS_OF = """
import sys
sys.path.insert(0, sys.argv[1])
try:
    from packaging.tags import sys_tags
    from packaging.markers import default_environment
except (ImportError, SyntaxError, TypeError):
    print("null")
else:
    import json
    print(json.dumps([[str(tag) for tag in sys_tags()], default_environment()]))
"""
PACKAGING = str(Path(packaging.__file__).parent.parent)


@attrs.frozen
class Ended:
    returncode: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


class FakeRunner:
    """Answers with what it is given, in place of an interpreter."""

    def __init__(self, answer=None, ended=None, error=None):
        self.answer, self.ended, self.error = answer, ended or Ended(), error
        self.calls = []

    def run(self, argv, *, cwd=None, env=None, timeout=None, cancel=None):
        self.calls.append(argv)
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            Path(argv[-1]).write_text(self.answer, encoding="utf-8")
        return self.ended


class MemoryCache:
    def __init__(self):
        self.entries = {}

    def load(self, key):
        return self.entries.get(key)

    def save(self, key, data):
        self.entries[key] = data


def _failure(path, **options):
    with pytest.raises(ProbeFailed) as caught:
        probe(path, **options)
    return caught.value


def test_current_tells_markers_and_tags_as_packaging_does():
    info = current_info()

    assert info.markers == default_environment()
    assert list(info.target().tag_strings) == [str(tag) for tag in sys_tags()]


def test_current_starts_no_process():
    program = """
import sys
def refuse(event, arguments):
    if event.startswith(("subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system", "os.spawn")):
        raise SystemExit("a process was started: " + event)
sys.addaudithook(refuse)
from puffin_api._interpreter.probe import current_info
current_info().target()
"""

    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_probe_says_the_same_as_the_interpreter_itself(current):
    probed = probe(sys.executable, timeout=60)

    # What differs is how they were started.
    assert attrs.evolve(probed, sys_path=current.sys_path, path=current.path) == current


def test_tags_and_markers_equal_those_of_packaging_run_there(any_python, info_of, ask):
    info = info_of(any_python)
    told = json.loads(ask(any_python, TAGS_OF, PACKAGING))

    if told is None:  # too old for packaging
        platforms = ask(any_python, "import sysconfig; print(sysconfig.get_platform())")
        first = info.target().tag_strings[0]
        assert first.endswith(platforms.replace("-", "_"))
        stem = first.rsplit("-", 1)[0]
        own = [tag.split("-")[2] for tag in info.target().tag_strings if tag.startswith(stem)]
        version = info.version_info[:2]
        tags = [*cpython_tags(version, [first.split("-")[1]], own)]
        tags += compatible_tags(version, first.split("-")[0], own)
        assert list(info.target().tag_strings) == [str(tag) for tag in tags]
    else:
        assert list(info.target().tag_strings) == told[0]
        assert info.markers == told[1]


def test_old_pythons_are_named_with_their_version(old_python):
    error = _failure(old_python, timeout=60)

    assert error.reason == "too-old"
    assert "3.8 is the oldest" in str(error)


def test_noise_of_the_interpreter_does_no_harm(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    noise = "import sys; sys.stdout.write('{}'); sys.stderr.write('noise')"
    (prefix / current.venv_scheme.purelib / "sitecustomize.py").write_text(noise)
    (prefix / current.venv_scheme.purelib / "noise.pth").write_text("import sys; print('more noise')\n")

    info = probe(prefix / "bin" / "python", timeout=60)

    assert info.prefix == prefix
    assert not list((prefix / current.venv_scheme.purelib).glob("__pycache__")), "bytecode was left"


def test_the_path_is_kept_and_not_dereferenced(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    link = tmp_path / "other"
    link.symlink_to(prefix, target_is_directory=True)

    info = probe(link / "bin" / "python", timeout=60)

    assert info.path == link / "bin" / "python"
    assert info.real_path == Path(os.path.realpath(sys.executable))
    assert info.is_virtual
    assert not info.is_shim


@pytest.mark.parametrize("name", ["with space", "é日本 ü", 'it\'s "quoted" $HOME'])
def test_any_path_can_be_probed(tmp_path, any_python, info_of, name):
    prefix = create_venv(tmp_path / name, info_of(any_python))

    info = probe(prefix / "bin" / "python", timeout=60, scratch=prefix)

    assert info.prefix == prefix
    assert InterpreterInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


def test_the_base_of_an_environment_is_outside_it(tmp_path, any_python, info_of):
    prefix = create_venv(tmp_path / "env", info_of(any_python))

    base = probe(prefix / "bin" / "python", timeout=60).base_executable

    assert not base.startswith(str(prefix))
    assert os.path.realpath(base) == os.path.realpath(any_python)


def test_vetoes_of_a_manylinux_module_are_honoured(tmp_path, any_python, info_of, ask):
    prefix = create_venv(tmp_path / "env", info_of(any_python))
    verdicts = "manylinux_compatible = lambda major, minor, arch: {17: False, 28: None}.get(minor, True)\n"
    (prefix / info_of(any_python).venv_scheme.purelib / "_manylinux.py").write_text(verdicts)

    info = probe(prefix / "bin" / "python", timeout=60)
    tags = info.target().tag_strings

    assert not [tag for tag in tags if "manylinux2014" in tag or "manylinux_2_17" in tag]
    assert [tag for tag in tags if "manylinux_2_5" in tag]
    told = json.loads(ask(prefix / "bin" / "python", TAGS_OF, PACKAGING))
    assert told is None or list(tags) == told[0]


def test_a_missing_interpreter_is_not_found(tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")

    assert _failure(tmp_path / "missing").reason == "not-found"
    assert _failure(tmp_path / "dangling").reason == "not-found"
    assert "leads nowhere" in str(_failure(tmp_path / "dangling"))


def test_what_may_not_be_executed_is_told(tmp_path):
    plain = tmp_path / "python"
    plain.write_text("#!/bin/sh\n")
    plain.chmod(0o644)

    assert _failure(plain).reason == "not-executable"
    assert _failure(tmp_path).reason == "not-executable"


def test_a_script_without_its_interpreter_is_not_executable(tmp_path):
    script = tmp_path / "python"
    script.write_text(f"#!{tmp_path}/gone\n")
    script.chmod(0o755)

    assert _failure(script).reason == "not-executable"


def test_a_program_that_is_no_python_gives_garbage(tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho I am no Python\n")
    script.chmod(0o755)

    error = _failure(script)

    assert error.reason == "garbage-output"
    assert "I am no Python" in error.output


def test_a_crash_keeps_the_end_of_the_output(tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho libpython is missing >&2\nexit 127\n")
    script.chmod(0o755)

    error = _failure(script)

    assert error.reason == "crashed"
    assert "127" in str(error)
    assert error.output == "libpython is missing\n"
    assert pickle.loads(pickle.dumps(error)).reason == "crashed"


def test_a_hanging_interpreter_times_out(tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)

    error = _failure(script, timeout=0.05)

    assert error.reason == "timed-out"
    assert "0.05 seconds" in str(error)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("not json", "not JSON"),
        ("[]", "no object"),
        ("{}", "schema"),
        ('{"schema": 1}', "version_info"),
    ],
)
def test_a_wrong_answer_is_garbage_and_says_what_is_wrong(answer, told):
    error = _failure(sys.executable, runner=FakeRunner(answer))

    assert error.reason == "garbage-output"
    assert told in str(error)


def test_every_missing_or_wrong_fact_is_named(current):
    complete = current.to_dict()
    for key in complete:
        broken = {**complete, key: object()}
        with pytest.raises(ValueError, match=f"interpreter.{key}"):
            InterpreterInfo.from_dict(broken)


def test_a_scheme_that_leaves_the_environment_is_refused(current):
    data = current.to_dict()
    for place in ("../evil", "/evil", "lib/../../evil", "C:\\evil"):
        scheme = {**current.venv_scheme.to_dict(), "purelib": place}
        with pytest.raises(ValueError, match="inside the environment"):
            InterpreterInfo.from_dict({**data, "venv_scheme": scheme})


def test_info_survives_its_dictionary(any_python, info_of):
    info = info_of(any_python)

    assert InterpreterInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info
    assert pickle.loads(pickle.dumps(info)) == info
    assert hash(pickle.loads(pickle.dumps(info))) == hash(info)


def test_cancelling_ends_a_probe(tmp_path):
    cancel = CancelToken()
    cancel.cancel("enough")

    with pytest.raises(Cancelled):
        probe(sys.executable, cancel=cancel)


def test_a_probe_leaves_nothing_behind(tmp_path):
    probe(sys.executable, timeout=60, scratch=tmp_path)

    assert list(tmp_path.iterdir()) == []


def _answer(path):
    return json.dumps(attrs.evolve(current_info(), executable=str(path)).to_dict())


def test_a_cached_probe_starts_the_interpreter_once():
    cache, runner = MemoryCache(), FakeRunner(_answer(sys.executable))

    infos = [probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner) for _ in range(3)]

    assert len(runner.calls) == 1
    assert infos[0] == infos[1] == infos[2]
    assert list(cache.entries) == [cache_key(Path(sys.executable))]


def test_a_changed_interpreter_is_probed_again(tmp_path, current):
    prefix = create_venv(tmp_path / "env", current)
    python = prefix / "bin" / "python"
    cache, runner = MemoryCache(), FakeRunner(_answer(python))

    def ask():
        return probe_cached(python, load=cache.load, save=cache.save, runner=runner)

    ask()
    os.utime(prefix / "pyvenv.cfg", ns=(1, 1))
    ask()
    os.utime(python, ns=(1, 1), follow_symlinks=False)
    ask()
    ask()

    assert len(runner.calls) == 3


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b"{}", b"\xff", b'{"schema": 99}', b'{"schema":1,"fingerprint":[]}']
)
def test_a_damaged_entry_is_a_miss(damage):
    cache, runner = MemoryCache(), FakeRunner(_answer(sys.executable))
    cache.save(cache_key(Path(sys.executable)), damage)

    probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner)

    assert len(runner.calls) == 1
    assert cache.entries[cache_key(Path(sys.executable))] != damage


def test_an_entry_with_a_damaged_fact_is_a_miss():
    cache, runner = MemoryCache(), FakeRunner(_answer(sys.executable))
    probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner)
    key = cache_key(Path(sys.executable))
    entry = json.loads(cache.entries[key])
    entry["info"]["markers"]["os_name"] = 3
    cache.save(key, json.dumps(entry).encode())

    probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner)

    assert len(runner.calls) == 2


def test_a_shim_is_not_cached(tmp_path):
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    shim.chmod(0o755)
    cache = MemoryCache()

    info = probe_cached(shim, load=cache.load, save=cache.save, timeout=60)

    assert info.path == shim
    assert info.is_shim
    assert cache.entries == {}


def test_failures_are_not_cached(tmp_path):
    cache, runner = MemoryCache(), FakeRunner("{}")

    with pytest.raises(ProbeFailed):
        probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner)

    assert cache.entries == {}


def test_a_marker_that_appears_outdates_the_entry(tmp_path, current):
    base = tmp_path / "base"
    base.mkdir()
    answer = attrs.evolve(
        current,
        executable=sys.executable,
        prefix=base,
        base_prefix=base,
        stdlib=base,
        externally_managed=None,
    )
    cache, runner = MemoryCache(), FakeRunner(json.dumps(answer.to_dict()))

    probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner)
    (base / "EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
    probe_cached(sys.executable, load=cache.load, save=cache.save, runner=runner)

    assert len(runner.calls) == 2


FIRST_USE = """
import sys, threading
from puffin_api._interpreter.probe import current_info
sys.setswitchinterval(1e-6)
barrier, found = threading.Barrier(8), []
def ask():
    barrier.wait(60)
    found.append(current_info())
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
print(len(found), len({(info.soabi, info.scheme.purelib) for info in found}))
"""


def test_threads_that_ask_for_the_running_interpreter_first_get_the_same():
    """What the standard library reads at its first use is not safe for threads everywhere."""
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.split() == ["8", "1"]
