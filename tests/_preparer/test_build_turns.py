"""Turns: what one call does, the others that ask for the same get, each as if it were its own."""

from __future__ import annotations

import contextlib
import threading

import pytest

from puffin_api import CancelToken
from puffin_api._concurrency import Pump
from puffin_api._preparer.build_turns import BuildTurns
from puffin_api.errors import BuildFailed

WAITING = 3


def test_what_one_call_notes_on_an_error_is_not_told_to_the_others(tmp_path):
    turns, errors = BuildTurns(), {}
    begun, waits = threading.Event(), threading.Semaphore(0)

    class Token(CancelToken):
        def on_cancel(self, callback):
            waits.release()
            return super().on_cancel(callback)

    def work():
        begun.set()
        for _ in range(WAITING):
            assert waits.acquire(timeout=60)
        raise BuildFailed("it failed", hint="a hint", package="helper", phase="requires") from ValueError()

    def ask(number):
        hold = lambda _: contextlib.nullcontext()  # noqa: E731  # it takes what it is given
        with pytest.raises(BuildFailed) as caught:
            turns.run("work", tmp_path / "lock", hold, Pump(cancel=Token()), work)
        caught.value.add_note(f"for {number}")
        errors[number] = caught.value

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1 + WAITING)]
    for thread in threads:
        thread.start()
        assert begun.wait(60)
    for thread in threads:
        thread.join(60)

    assert [errors[number].__notes__ for number in range(1 + WAITING)] == [
        [f"for {number}"] for number in range(1 + WAITING)
    ]
    assert {(str(error), error.hint, error.package, error.phase) for error in errors.values()} == {
        ("it failed", "a hint", "helper", "requires")
    }
    assert all(isinstance(error.__cause__, ValueError) for error in errors.values())
