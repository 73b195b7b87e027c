"""One answer whatever the network does, and no work that is not needed: counted, never timed."""

from __future__ import annotations

import random

import pytest

from puffin_api import Cache, Installer, Refresh, Resolver, Target
from puffin_api.errors import ResolutionFailed
from tests.integration.job_kit import (
    GRAPH,
    JitteryIndex,
    find_error,
    graph_files,
    install,
    run_program,
    versions,
    wheel,
)

LINUX = Target.for_platform("3.12", "manylinux_2_28_x86_64")
PATIENCE = 4


def tangled_files():
    """Twelve projects of eight versions that often do not go together; the same at every call."""
    chance = random.Random(7)
    names = [f"p{number}" for number in range(12)]
    files = {}
    for place, name in enumerate(names):
        for version in range(1, 9):
            others = chance.sample(names[place + 1 :], min(3, len(names) - place - 1))
            requires = [f"{other}<={chance.randint(max(1, version - 2), 8)}" for other in others]
            files |= wheel(name, f"{version}.0", requires=requires, files={f"{name}.py": ""})
    return files


@pytest.mark.parametrize("requirements", [["p0", "p1", "p2"], ["p0>=5", "p3<=4", "p9!=3.0"]])
def test_the_order_of_answers_makes_no_difference(serve, make_client, tmp_path, requirements):
    index = serve(tangled_files(), kind=JitteryIndex, longest=0.01)
    found = []
    for seed in range(PATIENCE):
        index.reseed(seed)
        client = make_client(index, cache=Cache(tmp_path / f"cache-{seed}"), concurrency=2 + 6 * seed)
        found.append(Resolver(client).resolve(requirements, target=LINUX))

    assert len({resolution.digest for resolution in found}) == 1
    assert all(resolution == found[0] for resolution in found)
    assert all(resolution.to_dict() == found[0].to_dict() for resolution in found)
    assert [list(resolution.packages) for resolution in found] == [list(found[0].packages)] * PATIENCE


def test_a_failure_is_proved_in_the_same_words_whatever_the_order_of_answers(serve, make_client, tmp_path):
    files = tangled_files() | wheel("bad", "1.0", requires=["p0>=8", "p11<1"])
    index = serve(files, kind=JitteryIndex, longest=0.01)
    told = set()
    for seed in range(PATIENCE):
        index.reseed(seed)
        client = make_client(index, cache=Cache(tmp_path / f"cache-{seed}"), concurrency=2 + 6 * seed)
        error = find_error(lambda client=client: Resolver(client).resolve(["bad", "p3"], target=LINUX))
        assert type(error) is ResolutionFailed
        told.add(error.explain("full"))

    assert len(told) == 1


def test_from_network_disk_and_memory_comes_the_same(serve, make_client, tmp_path):
    index = serve(tangled_files())
    first = make_client(index)
    cold = Resolver(first).resolve(["p0", "p1"], target=LINUX)
    asked = len(index.requests)
    memory = Resolver(first).resolve(["p0", "p1"], target=LINUX)
    assert len(index.requests) == asked, "what was read ahead is not asked for again"
    first.close()  # what is still to be written is written then
    asked = len(index.requests)
    disk = Resolver(make_client(index)).resolve(["p0", "p1"], target=LINUX)
    assert len(index.requests) == asked

    revalidated = Resolver(make_client(index, refresh=Refresh.all())).resolve(["p0", "p1"], target=LINUX)
    later = {request.path: request.headers for request in index.requests[asked:]}
    # What is read ahead may differ; what is in the answer was there, and is asked for by its tag.
    assert all("if-none-match" in later[f"/simple/{name}/"] for name in cold.packages)
    assert not [
        package for package in cold.packages.values() if f"/files/{package.file.filename}.metadata" in later
    ]

    uncached = Resolver(make_client(index, cache=None)).resolve(["p0", "p1"], target=LINUX)
    assert cold == memory == disk == revalidated == uncached
    assert len({str(r.to_dict()) for r in (cold, memory, disk, revalidated, uncached)}) == 1


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("core_metadata", ["on", "off", "absent"])
def test_a_cold_resolve_asks_for_each_thing_once(serve, make_client, as_json, core_metadata):
    index = serve(graph_files(), as_json=as_json, core_metadata=core_metadata)

    Resolver(make_client(index)).resolve(["app"], target=LINUX)

    asked = [request.path for request in index.requests]
    assert sorted(path for path in asked if path.startswith("/simple/")) == [
        f"/simple/{name}/" for name in sorted(GRAPH)
    ]
    if core_metadata == "on":
        assert len(asked) == len(set(asked)) == 2 * len(GRAPH)
        assert {path for path in asked if not path.startswith("/simple/")} == {
            f"/files/{name}-{version}-py3-none-any.whl.metadata" for name, (version, _) in GRAPH.items()
        }
    else:
        assert not any(path.endswith(".whl") and "range" not in dict_of(index, path) for path in asked)


def dict_of(index, path):
    return next(request.headers for request in index.requests if request.path == path)


def test_a_cold_install_fetches_each_wheel_once_and_the_next_nothing_at_all(
    serve, make_client, make_venv, tmp_path
):
    index = serve(graph_files())
    client = make_client(index)
    first, second, third = make_venv("one"), make_venv("two"), make_venv("three")
    install(client, first, "app")
    wheels = [request.path for request in index.requests if request.path.endswith(".whl")]
    assert sorted(wheels) == [f"/files/{n}-{v}-py3-none-any.whl" for n, (v, _) in sorted(GRAPH.items())]
    index.forget()

    report = install(client, second, "app")
    other = install(make_client(index), third, "app")

    assert index.requests == []
    assert report.bytes_downloaded == other.bytes_downloaded == 0
    assert all(change.cached for change in report.changes)
    assert versions(first) == versions(second) == versions(third)


def test_planning_asks_nothing_and_preparing_downloads_only_what_is_missing(serve, make_client, make_venv):
    index = serve(graph_files())
    client = make_client(index)
    environment = make_venv()
    install(client, environment, "net")
    resolution = Resolver(client).resolve(["app"], target=environment)
    installer = Installer(environment, client)
    index.forget()

    plan = installer.plan(resolution)
    assert index.requests == []
    assert [change.name for change in plan.changes] == ["app", "web"]
    assert plan.download_bytes == sum(
        r.file.size for r in resolution.packages.values() if r.name in "app web"
    )
    prepared = installer.prepare(plan)

    assert sorted(request.path for request in index.requests) == [
        "/files/app-2.0-py3-none-any.whl",
        "/files/web-1.5-py3-none-any.whl",
    ]
    assert prepared.bytes_downloaded == plan.download_bytes
    assert "app" not in versions(environment)
    index.forget()
    assert installer.install(prepared).changed
    assert index.requests == []


AUDIT = """
import json, os, sys, threading
from puffin_api import Cache, Client, Installer, Interpreter, Resolver
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import graph_files

WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.utime",
          "os.truncate", "shutil.copyfile", "tempfile.mkstemp", "tempfile.mkdtemp"}
seen = None
me = threading.get_ident()

def hook(event, arguments):
    if seen is None or event == "object.__getattr__":
        return
    if event == "open":
        path, mode, flags = arguments
        is_write = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        seen.append(["write" if is_write else "open", str(path)])
    elif event in WRITES:
        seen.append(["write", f"{event} {arguments}"])
    elif event in {"os.scandir", "os.listdir"}:
        seen.append(["list", str(arguments[0])])
    elif event in {"_thread.start_new_thread", "subprocess.Popen", "os.posix_spawn", "os.fork"}:
        seen.append(["start", event])
    elif event.startswith("socket."):
        seen.append(["network", event])
    elif event == "import":
        seen.append(["import", arguments[0]])

sys.addaudithook(hook)
place = sys.argv[1]
told = {}

def audited(name, call):
    global seen
    seen = []
    try:
        value = call()
    finally:
        told[name], seen = seen, None
    return value

environment = Interpreter.current().create_venv(f"{place}/venv")
cache = Cache(f"{place}/cache")
with LoopbackIndex(graph_files()) as index, Client(indexes=[index.url], cache=cache) as client:
    installer = Installer(environment, client)
    installer.install(Resolver(client).resolve(["app"], target=environment))
    resolver = Resolver(client)
    index.forget()
    resolution = audited("resolve", lambda: resolver.resolve(["app"], target=environment))
    plan = audited("plan", lambda: installer.plan(resolution))
    synced = audited("sync plan", lambda: installer.plan(resolution, mode="sync"))
    report = audited("install", lambda: installer.install(resolution))
    audited("satisfies", lambda: environment.satisfies(resolution))
    audited("fingerprint", environment.fingerprint)
    told["results"] = [plan.is_empty, synced.is_empty, report.changed, len(index.requests)]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    """What the second round of a job does, as the interpreter sees it."""
    return run_program(AUDIT, tmp_path_factory.mktemp("audit"))


def test_a_resolve_in_memory_touches_nothing_outside_of_it(audit):
    assert audit["results"] == [True, True, False, 0]
    assert audit["resolve"] == []


@pytest.mark.parametrize("what", ["plan", "sync plan", "install", "satisfies", "fingerprint"])
def test_where_nothing_is_to_be_done_one_look_at_the_folder_is_enough(audit, what):
    kinds = [kind for kind, _ in audit[what]]

    assert "write" not in kinds, audit[what]
    assert "start" not in kinds
    assert "network" not in kinds
    assert kinds.count("list") <= 2, audit[what]  # purelib and platlib, where they differ
    # That the wheels of the cache are not looked at; direct_url.json is what tells the origin.
    opened = [path for kind, path in audit[what] if kind == "open"]
    assert not [path for path in opened if "archive-v0" in path or "wheels-v0" in path], opened
    assert all(path.endswith("direct_url.json") for path in opened), opened
    assert len(opened) <= len(GRAPH)
