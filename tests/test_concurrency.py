"""The pool, the once-map and the pump."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from puffin_api._concurrency import OnceMap, Pump, Task, WorkerPool
from puffin_api._model.cancel import CancelToken, stoppable
from puffin_api.errors import Cancelled, DeadlineExceeded

PATIENCE = 30
"""Seconds until a test that would wait for ever fails instead."""


@pytest.fixture
def pool():
    made = WorkerPool(3)
    yield made
    made.close()


def test_results_come_in_the_order_of_the_items(pool):
    assert pool.map(lambda n: n * n, range(50), pump=Pump()) == [n * n for n in range(50)]


def test_no_more_threads_than_the_pool_allows(pool):
    seen, lock = set(), threading.Lock()

    def note(_):
        with lock:
            seen.add(threading.get_ident())

    pool.map(note, range(200), pump=Pump())

    assert 1 <= len(seen) <= 3


def test_the_first_error_drops_what_has_not_begun(pool):
    begun = []

    def work(number):
        begun.append(number)
        if number == 0:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        pool.map(work, range(10_000), pump=Pump())

    assert len(begun) < 10_000


def test_a_failure_is_met_though_an_earlier_item_is_under_way(pool):
    failed, seen = threading.Event(), []

    def work(number):
        if number == 1:
            raise ValueError("late")
        seen.append(failed.wait(PATIENCE))

    with pytest.raises(ValueError, match="late"):
        pool.map(work, [0, 1], pump=Pump(), on_failure=failed.set)

    assert seen == [True], "what was under way was asked to stop, and waited for"


def test_the_error_that_came_first_is_raised(pool):
    failed = threading.Event()

    def work(number):
        if number == 1:
            raise ValueError("first")
        failed.wait(PATIENCE)
        raise Cancelled("stopped for its sake")

    with pytest.raises(ValueError, match="first"):
        pool.map(work, [0, 1, 2], pump=Pump(), on_failure=failed.set)


def test_what_has_not_begun_is_not_waited_for():
    pool, gate, others, begun = WorkerPool(1), threading.Event(), [], []

    def work(number):
        begun.append(number)
        others.append(pool.submit(lambda: gate.wait(PATIENCE), urgent=True))
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        pool.map(work, [0, 1], pump=Pump())
    were_done = [task.done for task in others]
    gate.set()
    pool.close()

    assert (were_done, begun) == ([False], [0])


def test_a_cancel_drops_what_has_not_begun_and_stops_what_has():
    pool, token, begun, stopped = WorkerPool(1), CancelToken(), [], threading.Event()

    def work(number):
        begun.append(number)
        token.cancel("enough")
        assert stopped.wait(PATIENCE)

    with pytest.raises(Cancelled, match="enough"):
        pool.map(work, [0, 1], pump=Pump(cancel=token), on_failure=stopped.set)
    pool.close()

    assert begun == [0]


def test_results_keep_their_order_whichever_comes_first(pool):
    later = threading.Event()

    def work(number):
        if number == 0:
            assert later.wait(PATIENCE)
        else:
            later.set()
        return number

    assert pool.map(work, [0, 1], pump=Pump()) == [0, 1]
    assert pool.map(work, iter(()), pump=Pump()) == []


def test_an_idle_thread_keeps_nothing_of_its_work_alive(pool):
    class Work:
        def __call__(self):
            return Work()

    freed = [threading.Event(), threading.Event()]
    work = Work()
    task = pool.submit(work)
    references = [
        weakref.ref(thing, lambda _, event=event: event.set())
        for thing, event in zip((work, Pump().wait(task)), freed, strict=True)
    ]

    del work, task
    gc.collect()

    assert [event.wait(PATIENCE) for event in freed] == [True, True], references


def test_urgent_work_is_taken_before_what_waits():
    pool = WorkerPool(1)
    go, order = threading.Event(), []
    pool.submit(go.wait)
    pool.submit(lambda: order.append("later"))
    last = pool.submit(lambda: order.append("last"))
    pool.submit(lambda: order.append("urgent"), urgent=True)
    go.set()

    Pump().wait(last)
    pool.close()

    assert order == ["urgent", "later", "last"]


def test_closing_fails_what_has_not_begun():
    pool = WorkerPool(1)
    go = threading.Event()
    pool.submit(go.wait)
    waiting = pool.submit(lambda: 1)
    closing = threading.Thread(target=pool.close)
    closing.start()
    while not waiting.done:
        pass
    go.set()
    closing.join()

    with pytest.raises(Cancelled):
        waiting.result()
    with pytest.raises(RuntimeError):
        pool.submit(lambda: 1)


def test_many_callers_share_one_result(pool):
    once, made = OnceMap(), []

    def make():
        made.append(1)
        return "value"

    assert pool.map(lambda _: once.run("key", make), range(30), pump=Pump()) == ["value"] * 30
    assert made == [1]


def test_a_failure_is_shared_until_it_is_forgotten():
    once = OnceMap()

    def fail():
        raise ValueError("no")

    for call in (fail, lambda: "too late"):
        with pytest.raises(ValueError, match="no"):
            once.run("key", call)
    once.forget("key")

    assert once.run("key", lambda: "fresh") == "fresh"


def test_events_come_in_order_on_the_thread_that_waits(pool):
    heard = []
    pump = Pump(lambda event: heard.append((event, threading.get_ident())))

    def work():
        for number in range(5):
            pump.send(number)

    pump.wait(pool.submit(work))

    assert heard == [(number, threading.get_ident()) for number in range(5)]


def test_a_task_that_is_open_at_the_end_gets_its_finished_event():
    heard = []
    pump = Pump(heard.append)
    pump.begin(lambda task: ("started", task), lambda task: ("finished", task))

    pump.close()
    pump.send("too late")
    pump.deliver()

    assert heard == [("started", 1), ("finished", 1)]


def test_progress_comes_at_most_once_in_a_tenth_of_a_second():
    heard = []
    pump = Pump(heard.append)
    task = pump.begin(lambda _: "started", lambda _: "finished")
    for number in range(1000):
        pump.progress(task, lambda number=number: number)
    pump.end(task, lambda: "finished")
    pump.progress(task, lambda: "after the end")
    pump.deliver()

    assert heard[0] == "started"
    assert heard[-1] == "finished"
    assert len(heard) < 100


def test_a_task_that_ends_while_an_event_is_told_is_noticed():
    """Reporters take their time, and the wake-up comes in between."""
    task, told = Task(), []

    def wait():
        pump = Pump(lambda _: task.succeed("done"))
        pump.send("event")
        told.append(pump.wait(task))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(20)  # a wait looks on its own after a minute

    assert told == ["done"]


def test_a_cancel_wakes_the_caller():
    token = CancelToken()
    pump = Pump(cancel=token)
    threading.Timer(0.01, token.cancel, ["enough"]).start()

    with pytest.raises(Cancelled) as caught:
        pump.wait(Task())

    assert caught.value.reason == "enough"


def test_a_deadline_wakes_the_caller():
    with pytest.raises(DeadlineExceeded):
        Pump(cancel=CancelToken.deadline(0.01)).wait(Task())


def test_threads_that_wait_through_one_silent_pump_all_wake(pool):
    shared, tasks = Pump(), [Task() for _ in range(3)]
    waiting = [pool.submit(lambda task=task: shared.wait(task)) for task in tasks]
    for task in reversed(tasks):
        task.succeed("done")

    assert [Pump().wait(each) for each in waiting] == ["done"] * 3


@pytest.mark.parametrize("given", [None, CancelToken()])
def test_work_ends_by_a_switch_or_by_the_token_of_the_call(given):
    switch, token = stoppable(given)
    assert not token.cancelled

    (given or switch).cancel("by one of them")

    assert token.cancelled
    assert switch.cancelled is (given is None)


def test_any_of_several_tokens_cancels():
    one, other = CancelToken(), CancelToken()
    both = CancelToken.any(one, other)
    called = []
    both.on_cancel(lambda: called.append(1))

    assert not both.cancelled
    other.cancel("other")

    assert both.cancelled
    assert called == [1]
    with pytest.raises(Cancelled, match="other"):
        both.check()
