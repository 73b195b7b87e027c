from __future__ import annotations

import os

import pytest

from puffin_api._concurrency import Pump
from puffin_api._model.cancel import CancelToken
from puffin_api._preparer.heartbeat import Heartbeat
from puffin_api.errors import Cancelled


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "a.lock"
    path.write_bytes(b"")
    os.utime(path, ns=(0, 0))
    return path


def test_long_work_gives_signs_of_life_but_not_at_every_step(lock, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("puffin_api._preparer.heartbeat.time.monotonic", lambda: now[0])
    pump = Heartbeat(Pump(), lock)
    pump.check()
    assert lock.stat().st_mtime_ns == 0
    now[0] = 1.5
    pump.check()
    assert lock.stat().st_mtime_ns > 0
    os.utime(lock, ns=(0, 0))
    now[0] = 2.0
    pump.check()
    assert lock.stat().st_mtime_ns == 0


def test_it_is_stopped_by_the_token_of_the_call_and_tells_what_it_receives(lock):
    token = CancelToken()
    call = Pump(cancel=token)
    pump = Heartbeat(call, lock)
    pump.note_received(7)
    assert (call.received, pump.received) == (7, 7)
    token.cancel("enough")
    with pytest.raises(Cancelled):
        pump.check()


def test_a_lock_file_that_is_gone_stops_nothing(lock, monkeypatch):
    monkeypatch.setattr("puffin_api._preparer.heartbeat._SECONDS", 0.0)
    pump = Heartbeat(Pump(), lock)
    lock.unlink()
    pump.check()
