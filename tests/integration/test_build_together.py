"""Builds that need each other, or the same: each is done once, circles are named, nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta

import pytest

from puffin_api import Cache, CancelToken, Client, Editable, Installer, Interpreter
from puffin_api.errors import BuildFailed, BuildForbidden, Cancelled
from puffin_api.model import BuildPolicy, BuildSettings
from tests.integration.job_kit import SOURCE, TESTS, versions, wheel
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist, write_tree

SECONDS = 60
"""Longer than anything here takes; a test that waits so long has found a hang."""


def at_once(*calls):
    """Run calls in threads; their results or errors, in order."""
    answers = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(place, call):
        barrier.wait(SECONDS)
        try:
            answers[place] = call()
        except BaseException as error:  # noqa: BLE001  # it is the answer
            answers[place] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "it hangs"
    return answers


# What the backend waits for: until others had the time to come as far as they can.
MEET = """
import time
_plain = prepare_metadata_for_build_wheel
def get_requires_for_build_wheel(config_settings=None):
    import pathlib
    pathlib.Path({here!r}).touch()
    for _ in range(400):
        if os.path.exists({other!r}):
            break
        time.sleep(0.05)
    return [{needs!r}]
"""


def circle(tmp_path, journal):
    """Two sources that need each other to be built; neither goes on before both are under way."""
    here, other = str(tmp_path / "one-is-here"), str(tmp_path / "two-is-here")
    one = project(journal, "one", code=MEET.format(here=here, other=other, needs="two"))
    two = project(journal, "two", code=MEET.format(here=other, other=here, needs="one"))
    return sdist(one, "one") | sdist(two, "two")


def test_a_build_requirement_that_is_only_there_as_sources_is_built(
    serve, make_client, make_venv, journal, tmp_path
):
    code = "import helper\nassert helper.value == 1\n"
    files = sdist(project(journal, build_requires=["helper>=1"], code=code))
    files |= sdist(project(journal, "helper", build_requires=["deeper"]), "helper")
    files |= sdist(project(journal, "deeper"), "deeper")
    client, environment = make_client(serve(files)), make_venv()

    resolution = resolve(client, environment, "demo")
    Installer(environment, client).install(resolution)

    assert versions(environment) == {"demo": "1.0"}
    assert sorted(journal.hooks) == sorted(
        f"{hook} {name}" for hook in ("metadata", "wheel") for name in ("deeper", "helper", "demo")
    )
    assert journal.hooks[-2:] == ["metadata demo", "wheel demo"]
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


@pytest.mark.parametrize("length", [1, 2, 3])
def test_sources_that_need_themselves_are_named(serve, make_client, make_venv, journal, length):
    names = ["one", "two", "six"][:length]
    files = {}
    for name, needed in zip(names, [*names[1:], names[0]], strict=True):
        files |= sdist(project(journal, name, build_requires=[needed]), name)

    with pytest.raises(BuildFailed) as caught:
        resolve(make_client(serve(files)), make_venv(), "one")

    circle = " needs ".join(f"{name} 1.0" for name in (*names, "one"))
    assert f"it needs itself: {circle}" in str(caught.value)
    assert caught.value.phase == "requires"
    assert journal.hooks == []


def test_a_circle_is_open_where_one_of_it_has_a_wheel(serve, make_client, make_venv, journal):
    files = sdist(project(journal, "one", build_requires=["two"]), "one")
    files |= sdist(project(journal, "two", build_requires=["one"]), "two")
    files |= wheel("two", "1.0")

    assert list(resolve(make_client(serve(files)), make_venv(), "one").packages) == ["one"]


def test_two_threads_that_build_what_the_other_builds_name_the_circle(
    serve, make_client, make_venv, journal, tmp_path
):
    client, environment = make_client(serve(circle(tmp_path, journal))), make_venv()

    found = at_once(lambda: resolve(client, environment, "one"), lambda: resolve(client, environment, "two"))

    for error in found:
        assert isinstance(error, BuildFailed), error
        assert "it needs itself" in str(error)
    assert [path.name for path in (tmp_path / "cache" / ".locks").glob("*.waits")] == []
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_two_clients_of_one_cache_that_build_what_the_other_builds_name_the_circle(
    serve, make_client, make_venv, journal, tmp_path
):
    index, environment = serve(circle(tmp_path, journal)), make_venv()
    clients = [make_client(index), make_client(index)]

    found = at_once(
        lambda: resolve(clients[0], environment, "one"), lambda: resolve(clients[1], environment, "two")
    )

    for error in found:
        assert isinstance(error, BuildFailed), error
        assert "it needs itself" in str(error)
    assert [path.name for path in (tmp_path / "cache" / ".locks").glob("*.waits")] == []


def _resolve_in_process(place, name, url, answers):
    try:
        with Client(indexes=[url], cache=Cache(f"{place}/cache")) as client:
            answers.put(str(resolve(client, Interpreter.current(), name).packages))
    except BuildFailed as error:
        answers.put(str(error))


def test_two_processes_that_build_what_the_other_builds_name_the_circle(serve, tmp_path, journal):
    index = serve(circle(tmp_path, journal))
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    work = [
        context.Process(target=_resolve_in_process, args=(str(tmp_path), name, index.url, answers))
        for name in ("one", "two")
    ]

    for process in work:
        process.start()
    try:
        found = [answers.get(timeout=SECONDS) for _ in work]
    finally:
        for process in work:
            process.join(1)
            process.kill()

    assert all("it needs itself" in text for text in found), found
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_eight_threads_build_once(serve, make_client, make_venv, journal):
    client = make_client(serve(sdist(project(journal, code="import time; time.sleep(0.2)\n"))))
    environments = [make_venv(f"venv-{place}") for place in range(8)]

    def work(environment):
        Installer(environment, client).install(resolve(client, environment, "demo"))
        return versions(environment)

    found = at_once(*(lambda e=e: work(e) for e in environments))

    assert found == [{"demo": "1.0"}] * 8
    assert journal.hooks == ["metadata demo", "wheel demo"]


def test_eight_threads_get_one_failure(serve, make_client, make_venv, journal):
    code = "def build_wheel(*_, **__): note('wheel', None); raise SystemExit(3)\n"
    code += "del prepare_metadata_for_build_wheel\nimport time; time.sleep(0.5)\n"
    client, environment = make_client(serve(sdist(project(journal, code=code)))), make_venv()

    found = at_once(*[lambda: resolve(client, environment, "demo")] * 8)

    assert {type(error) for error in found} == {BuildFailed}
    assert len(journal.hooks) < 8


def _install_in_process(place, name, url, answers, barrier):
    try:
        with Client(indexes=[url], cache=Cache(f"{place}/cache")) as client:
            environment = Interpreter.current().create_venv(f"{place}/{name}")
            barrier.wait(SECONDS)
            Installer(environment, client).install(resolve(client, environment, "demo"))
            answers.put(versions(environment))
    except BaseException as error:
        answers.put(repr(error))
        raise


def test_eight_processes_build_once(serve, tmp_path, journal):
    index = serve(sdist(project(journal, code="import time; time.sleep(0.2)\n")))
    context = multiprocessing.get_context("spawn")
    answers, barrier = context.Queue(), context.Barrier(8)
    work = [
        context.Process(
            target=_install_in_process, args=(str(tmp_path), f"v{n}", index.url, answers, barrier)
        )
        for n in range(8)
    ]

    for process in work:
        process.start()
    found = [answers.get(timeout=2 * SECONDS) for _ in work]
    for process in work:
        process.join(SECONDS)

    assert found == [{"demo": "1.0"}] * 8
    assert journal.hooks == ["metadata demo", "wheel demo"]
    assert cache_leftovers(Cache(tmp_path / "cache")) == []


def test_what_is_forbidden_to_one_thread_is_done_by_another(serve, make_client, make_venv, journal):
    code = "import time; time.sleep(0.5)\n"
    client, environment = make_client(serve(sdist(project(journal, code=code)))), make_venv()
    calls = [
        lambda: resolve(client, environment, "demo", build_policy=BuildPolicy.NEVER),
        lambda: resolve(client, environment, "demo"),
    ]

    for _ in range(3):  # whoever comes first
        _forbidden, found = at_once(*calls)
        assert list(found.packages) == ["demo"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError, Cancelled])
def test_the_end_of_one_call_is_not_that_of_another(serve, make_client, make_venv, journal, tmp_path, kind):
    """A reporter that raises, Ctrl-C, a thrown token: whoever waits for that call does the work itself."""
    begun = tmp_path / "begun"
    code = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(0.7)\n"
    client, environment = make_client(serve(sdist(project(journal, code=code)))), make_venv()
    token = CancelToken()

    class Reporter:
        def on_event(self, event):
            if begun.exists() and waits.is_set():
                if kind is Cancelled:
                    token.cancel()
                else:
                    raise kind("from the reporter")

    waits = threading.Event()

    def first():
        return resolve(client, environment, "demo", reporter=Reporter(), cancel=token)

    def second():
        while not begun.exists():
            time.sleep(0.01)
        threading.Timer(0.2, waits.set).start()
        return resolve(client, environment, "demo")

    one, two = at_once(first, second)

    assert isinstance(one, kind)
    assert list(two.packages) == ["demo"]


def test_a_killed_process_leaves_what_the_next_one_needs_not_mind(
    serve, make_client, make_venv, journal, tmp_path
):
    begun = tmp_path / "begun"
    code = f"""
if not os.path.exists({str(begun)!r}):
    open({str(begun)!r}, "w").close()
    import time
    time.sleep(300)
"""
    index = serve(sdist(project(journal, code=code)))
    program = f"""
        from puffin_api import Cache, Client, Interpreter, Resolver
        client = Client(indexes=[{index.url!r}], cache=Cache({str(tmp_path / "cache")!r}))
        Resolver(client).resolve(["demo"], target=Interpreter.current())
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS)))},
        start_new_session=True,
    )
    while not begun.exists():
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    backends = _backends_of(tmp_path)
    environment = make_venv()

    client = make_client(index)
    Installer(environment, client).install(resolve(client, environment, "demo"))

    assert versions(environment) == {"demo": "1.0"}
    for process in backends:
        os.killpg(process, signal.SIGKILL)
    cache = Cache(tmp_path / "cache")
    assert cache_leftovers(cache), "a killed process has left nothing: the test proves nothing"
    for path in (cache.path / ".tmp").iterdir():
        os.utime(path, (0, 0))
    cache.prune(unused_for=timedelta(days=3000))
    assert versions(environment) == {"demo": "1.0"}


def _backends_of(tmp_path):
    """The process groups of backends of this test's cache, which a killed caller leaves running."""
    found = set()
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if str(tmp_path).encode() in file.read() and int(entry) != os.getpid():
                        found.add(os.getpgid(int(entry)))
            except OSError:
                continue
    return found - {os.getpgid(0)}


def test_a_stale_note_of_a_killed_process_ends_no_wait(serve, make_client, make_venv, journal, tmp_path):
    client, environment = make_client(serve(sdist(project(journal)))), make_venv()
    resolve(client, environment, "demo")
    locks = tmp_path / "cache" / ".locks"
    for lock in locks.glob("*.lock"):
        (locks / f"{lock.name}.waits").write_text(lock.name)

    Installer(environment, client).install(resolve(client, environment, "demo"))

    assert journal.hooks == ["metadata demo", "wheel demo"]


def test_the_project_in_a_folder_is_built_with_what_is_said_of_it(make_client, make_venv, journal, tmp_path):
    tree = write_tree(tmp_path / "tree", project(journal))
    settings = BuildSettings(package_config_settings={"demo": {"key": "value"}})
    client, environment = make_client(), make_venv()

    for _ in range(2):
        resolution = resolve(client, environment, tree, build_settings=settings)
        Installer(environment, client).install(resolution)

    # Only its metadata could tell its name; from then on it is known.
    assert [(row["hook"], row["config"]) for row in journal.rows] == [
        ("metadata", None),
        ("metadata", {"key": "value"}),
        ("wheel", {"key": "value"}),
    ]


def test_a_build_is_forbidden_after_one_that_was_allowed_only_where_it_is_needed(
    serve, make_client, make_venv, journal
):
    client, environment = make_client(serve(sdist(project(journal)))), make_venv()
    resolve(client, environment, "demo")
    never = Installer(environment, client, build_policy=BuildPolicy.NEVER)

    with pytest.raises(BuildForbidden):
        never.install(resolve(client, environment, "demo", build_policy=BuildPolicy.NEVER))
    assert versions(environment) == {}
    assert journal.hooks == ["metadata demo"]


# Leaves signs of its beginning and its end, and gives another one the time to begin before it ends.
SIGNS = """
import time
def _signing(hook):
    def call(*a, **k):
        with open({signs!r}, "a") as file: file.write("(")
        for _ in range(10):
            if open({signs!r}).read().endswith("(("): break
            time.sleep(0.05)
        made = hook(*a, **k)
        with open({signs!r}, "a") as file: file.write(")")
        return made
    return call
prepare_metadata_for_build_wheel = _signing(prepare_metadata_for_build_wheel)
build_wheel = _signing(build_wheel)
build_editable = _signing(build_editable)
def get_requires_for_build_editable(config_settings=None): return []
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
"""


def test_a_folder_is_built_once_at_a_time_in_whatever_way(serve, make_client, make_venv, journal, tmp_path):
    signs = tmp_path / "signs"
    tree = write_tree(tmp_path / "tree", project(journal, code=SIGNS.format(signs=str(signs))))
    ways = [(tree, {}), (Editable(path=tree), {}), (tree, {"color": "red"})]
    index = serve()

    def install(number, wanted, config):
        environment, client = make_venv(f"venv-{number}"), make_client(index)
        resolution = resolve(client, environment, wanted, config_settings=config)
        Installer(environment, client).install(resolution)
        return versions(environment)

    calls = [lambda number=number, way=way: install(number, *way) for number, way in enumerate(ways)]

    assert at_once(*calls) == [{"demo": "1.0"}] * 3
    assert signs.read_text(encoding="utf-8") == "()" * 6
