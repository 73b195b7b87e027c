"""Reading ahead, and serving one call."""

from __future__ import annotations

import threading

import pytest

from puffin_api._client.crawler import CallSource
from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._model.cancel import CancelToken
from puffin_api._model.metadata import DistMetadata
from puffin_api._testing.wheels import make_wheel
from puffin_api.errors import (
    BuildForbidden,
    Cancelled,
    ConnectFailed,
    MetadataInvalid,
    OfflineMiss,
    PackageNotFound,
)


class Scout:
    """Takes the newest version, and everything that it requires."""

    def pick(self, releases):
        return releases.files(len(releases) - 1)[0] if len(releases) else None

    def follow(self, file, metadata):
        return [row.name for row in metadata.requires]


class Idle(WorkerPool):
    """A pool that must not be needed."""

    def submit(self, call, *, urgent=False):
        raise AssertionError("a thread was asked for")


@pytest.fixture
def tree(serve):
    """a -> b -> c -> (a, d), each in two versions."""

    def start(**options):
        server = serve(**options)
        for name, requires in {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []}.items():
            for version in ("1.0", "2.0"):
                wheel = make_wheel(name, version, requires=requires)
                server.add(f"{name}-{version}-py3-none-any.whl", wheel)
        return server

    return start


def newest(source, name):
    releases = source.releases(name)
    return releases.files(len(releases) - 1)[0]


def solve(source, root):
    """Walk the tree as a solver would."""
    seen, todo = [], [root]
    source.hint(todo, Scout())
    while todo:
        name = todo.pop(0)
        if name not in seen:
            seen.append(name)
            (metadata,) = source.metadata([newest(source, name)])
            todo += [row.name for row in metadata.requires]
            source.hint(todo, Scout())
    return seen


def test_a_whole_tree_is_read_ahead_from_one_hint(tree, make_registry, make_pool):
    server = tree()
    registry = make_registry(server)
    done = threading.Event()

    class Last(Scout):
        def follow(self, file, metadata):
            if file.project == "d":
                done.set()
            return super().follow(file, metadata)

    source = CallSource(registry, make_pool())
    source.hint(["a"], Last())
    assert done.wait(30)

    asked = server.count()
    assert asked == 8
    assert solve(source, "a") == ["a", "b", "c", "d"]
    assert server.count() == asked, "every page and every metadata was there"


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_solver_and_crawl_ask_for_each_thing_once(tree, make_registry, make_pool, workers):
    server = tree()
    with CallSource(make_registry(server), make_pool(workers)) as source:
        assert solve(source, "a") == ["a", "b", "c", "d"]

    paths = [asked.path for asked in server.requests]
    assert sorted(paths) == sorted(set(paths))
    assert len(paths) == 8


def test_in_memory_a_call_needs_no_thread_and_no_request(tree, make_registry, make_pool):
    server = tree()
    registry = make_registry(server)
    with CallSource(registry, make_pool()) as source:
        solve(source, "a")
    registry.flush()  # otherwise the pool does it, when it comes to it
    asked = server.count()

    with CallSource(registry, Idle(1)) as source:
        assert solve(source, "a") == ["a", "b", "c", "d"]
        assert source.releases("a") is source.releases("a")
        source.touch([newest(source, "a")])
    assert server.count() == asked


def test_from_disk_a_call_needs_no_thread_and_no_request(tree, make_registry, make_pool):
    server = tree()
    registry = make_registry(server)
    with CallSource(registry, make_pool()) as source:
        solve(source, "a")
    registry.flush()
    asked = server.count()

    with CallSource(make_registry(server), Idle(1)) as source:
        assert solve(source, "a") == ["a", "b", "c", "d"]
    assert server.count() == asked


def test_a_question_does_not_wait_behind_the_crawl(tree, make_registry, make_pool):
    server = tree()
    pool = make_pool(1)
    gate, entered = threading.Event(), threading.Event()
    pool.submit(lambda: (entered.set(), gate.wait(30)))
    entered.wait(30)
    source = CallSource(make_registry(server), pool)
    source.hint(["b", "c", "d"], Scout())
    threading.Timer(0.05, gate.set).start()

    source.releases("a")

    assert server.requests[0].path == "/simple/a/"


def test_a_batch_is_read_in_parallel_and_answered_in_order(serve, make_registry, make_pool):
    count = 8
    server = serve({"a": [f"{n}.0" for n in range(count)]})
    source = CallSource(make_registry(server), make_pool(count))
    releases = source.releases("a")
    files = [releases.files(n)[0] for n in range(count)]
    meeting = threading.Barrier(count, timeout=30)
    answer = server.answer
    server.answer = lambda asked: (meeting.wait(), answer(asked))[1]

    found = source.metadata(files)

    assert [metadata.version for metadata in found] == [f"{n}.0" for n in range(count)]


def test_what_is_wrong_with_one_file_is_its_own_result(serve, make_registry, make_pool):
    server = serve({"a": ["1.0"]})
    server.add("a-2.0-py3-none-any.whl", make_wheel("b", "2.0", dist_info="a-2.0.dist-info"))
    source = CallSource(make_registry(server), make_pool())
    releases = source.releases("a")

    good, bad = source.metadata([releases.files(0)[0], releases.files(1)[0]])

    assert good.version == "1.0"
    assert isinstance(bad, MetadataInvalid)


def test_touch_reads_ahead_and_on(tree, make_registry, make_pool):
    server = tree()
    source = CallSource(make_registry(server), make_pool(1))
    source.hint([], Scout())
    source.touch([newest(source, "c")])
    for name in ("a", "b", "c", "d"):
        source.metadata([newest(source, name)])

    paths = [asked.path for asked in server.requests]
    assert sorted(paths) == sorted(set(paths))


def test_the_crawl_goes_on_from_what_somebody_else_is_reading(tree, make_registry, make_pool):
    server = tree()
    gate, reached = threading.Event(), threading.Event()
    answer = server.answer

    def slowly(asked):
        if asked.path == "/simple/a/":
            gate.wait(30)
        elif asked.path == "/simple/d/":
            reached.set()
        return answer(asked)

    server.answer = slowly
    registry, pool = make_registry(server), make_pool(2)
    other = threading.Thread(target=lambda: CallSource(registry, pool).releases("a"))
    other.start()
    _until(lambda: server.count("/simple/a/") == 1)
    source = CallSource(registry, pool)
    source.hint(["a"], Scout())
    pool.submit(lambda: None).wait()  # the crawl has found that the page is on its way
    gate.set()

    assert reached.wait(30)
    other.join(30)
    assert server.count("/simple/a/") == 1


def test_a_hint_that_is_repeated_costs_nothing(tree, make_registry, make_pool):
    submitted = []

    class Counting(Idle):
        def submit(self, call, *, urgent=False):
            submitted.append(call)

    source = CallSource(make_registry(tree()), Counting(1))
    for _ in range(5):
        source.hint(["a", "b", "a"], Scout())

    assert len(submitted) == 2


def test_an_unknown_project_does_not_disturb_the_crawl(serve, make_registry, make_pool):
    server = serve()
    server.add("a-1.0-py3-none-any.whl", make_wheel("a", "1.0", requires=["nope", "b"]))
    server.add("b-1.0-py3-none-any.whl", make_wheel("b", "1.0"))
    source = CallSource(make_registry(server), make_pool())
    source.hint(["a"], Scout())

    assert len(source.releases("b")) == 1
    for _ in range(2):
        with pytest.raises(PackageNotFound):
            source.releases("nope")
    assert server.count("/nope/") == 1


def test_a_network_error_of_the_crawl_reaches_who_asks(serve, make_registry, make_pool):
    server = serve({"a": ["1.0"]})
    server.fail("/simple/a/", times=999, reset=True)
    source = CallSource(make_registry(server), make_pool())
    source.hint(["a"], Scout())
    with pytest.raises(ConnectFailed):
        source.releases("a")


def test_a_scout_that_fails_disturbs_nobody(tree, make_registry, make_pool):
    class Bad(Scout):
        def pick(self, releases):
            raise ZeroDivisionError

    source = CallSource(make_registry(tree()), make_pool(1))
    source.hint(["a", "b"], Bad())

    assert newest(source, "a").version == newest(source, "b").version == "2.0"


def test_a_stopped_call_reads_no_further(tree, make_registry, make_pool):
    server = tree()
    pool = make_pool(1)
    gate = threading.Event()
    source = CallSource(make_registry(server), pool)
    pool.submit(lambda: gate.wait(30))
    source.hint(["a", "b"], Scout())
    source.stop()
    gate.set()
    pool.submit(lambda: None).wait()
    source.hint(["c"], Scout())

    assert server.count() == 0


# -- cancel and close


def test_a_cancel_reaches_the_caller_while_the_server_is_silent(tree, make_registry, make_pool):
    server = tree()
    server.fail("/simple/a/", times=99, stall=True)
    token = CancelToken()
    source = CallSource(make_registry(server), make_pool(), Pump(cancel=token))
    threading.Thread(target=lambda: (_until(lambda: server.count() == 1), token.cancel("enough"))).start()
    with pytest.raises(Cancelled) as caught:
        source.releases("a")

    assert caught.value.reason == "enough"


def test_the_cancel_of_one_call_is_not_that_of_another(tree, make_registry, make_pool):
    server = tree()
    server.fail("/simple/a/", stall=True)
    registry, pool = make_registry(server), make_pool()
    token = CancelToken()
    first, second = CallSource(registry, pool, Pump(cancel=token)), CallSource(registry, pool)
    first.hint(["a"], Scout())
    _until(lambda: server.count() == 1)
    results = []
    waiting = threading.Thread(target=lambda: results.append(second.releases("a")))
    waiting.start()
    token.cancel()
    waiting.join(30)

    assert len(results[0]) == 2


def test_the_network_error_of_another_call_is_not_that_of_this_one(tree, make_registry, make_pool):
    server = tree()
    registry = make_registry(server)
    with CallSource(registry, make_pool(2), Pump()) as source:
        file = newest(source, "d")
        loading = registry.metadata.loading
        task, is_mine = loading.claim(file.url)
        assert is_mine, "as another call would, before a login was known"
        joined, claim = threading.Event(), loading.claim

        def tell(key):
            found = claim(key)
            joined.set()
            return found

        loading.claim = tell

        def fail():
            joined.wait(30)
            loading.forget(file.url, task)
            task.fail(ConnectFailed("refused", url=file.url))

        other = threading.Thread(target=fail)
        other.start()
        (metadata,) = source.metadata([file])
        other.join()

    assert isinstance(metadata, DistMetadata)


def test_a_closed_client_wakes_who_waits(tree, make_registry, make_pool, make_transport):
    server = tree()
    server.fail("/simple/a/", times=99, stall=True)
    transport = make_transport()
    pool = WorkerPool(1)
    source = CallSource(make_registry(server, transport=transport), pool)
    source.hint(["a"], Scout())
    _until(lambda: server.count() == 1)

    def close():
        # The question has to be in the queue behind the one that hangs.
        _until(lambda: len(pool._work) == 1)
        transport_closed.set()
        threading.Thread(target=pool.close).start()
        _until(lambda: pool._closed)
        transport.close()

    transport_closed = threading.Event()
    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(Cancelled) as caught:
        source.releases("b")
    closing.join(30)

    assert caught.value.reason == "closed"
    with pytest.raises(Cancelled):
        source.releases("c")
    source.hint(["d"], Scout())


def test_eight_calls_at_once_share_the_work(tree, make_registry, make_pool):
    server = tree()
    registry, pool = make_registry(server), make_pool(3)
    results = []

    def call():
        with CallSource(registry, pool) as source:
            results.append(solve(source, "a"))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert results == [["a", "b", "c", "d"]] * 8
    assert server.count() == 8


# -- source distributions, offline


def test_a_source_distribution_is_built_by_the_builder_once(serve, make_registry, make_pool):
    server = serve()
    server.add("a-1.0.tar.gz", b"")
    built = []

    def build(file):
        built.append(file.filename)
        return DistMetadata("a", "1.0", ())

    registry, pool = make_registry(server), make_pool()
    source = CallSource(registry, pool, build=build)
    file = newest(source, "a")
    source.touch([file])
    assert source.metadata([file])[0] is source.metadata([file])[0]
    assert built == ["a-1.0.tar.gz"]

    (result,) = CallSource(registry, pool).metadata([file])
    assert isinstance(result, BuildForbidden)


def test_offline_missing_metadata_is_that_files_failure(serve, make_registry, make_pool):
    server = serve({"a": ["1.0", "2.0"]})
    registry = make_registry(server)
    CallSource(registry, make_pool()).releases("a")
    registry.flush()
    source = CallSource(make_registry(server, offline=True), Idle(1))
    releases = source.releases("a")

    found = source.metadata([releases.files(0)[0], releases.files(1)[0]])

    assert [type(result) for result in found] == [OfflineMiss, OfflineMiss]
    assert [result.missing for result in found] == [["a-1.0-py3-none-any.whl"], ["a-2.0-py3-none-any.whl"]]


def _until(condition) -> None:
    waiter = threading.Event()
    while not condition():
        waiter.wait(0.002)
