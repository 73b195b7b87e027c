from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.store import EntryStore, read_entry, write_entry


@pytest.fixture
def layout(tmp_path):
    return CacheLayout(tmp_path / "cache")


@given(st.binary(max_size=2000))
def test_what_was_written_is_read(tmp_path_factory, payload):
    path = tmp_path_factory.getbasetemp() / "entry"

    write_entry(path, payload)

    assert read_entry(path) == payload


def test_folders_are_made(tmp_path):
    write_entry(tmp_path / "a" / "b" / "entry", b"payload")

    assert read_entry(tmp_path / "a" / "b" / "entry") == b"payload"


def test_a_missing_entry_and_a_folder_are_misses(tmp_path):
    assert read_entry(tmp_path / "missing") is None
    assert read_entry(tmp_path) is None


def test_every_flipped_bit_is_a_miss(tmp_path):
    path = tmp_path / "entry"
    write_entry(path, b"payload")
    data = path.read_bytes()

    for position in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert read_entry(path) is None, position


def test_every_shorter_entry_is_a_miss(tmp_path):
    path = tmp_path / "entry"
    write_entry(path, b"payload")
    data = path.read_bytes()

    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert read_entry(path) is None, length


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data + b"\0",
        lambda data: bytes(len(data)),
        lambda data: data[:30] + bytes(len(data) - 30),
        lambda data: data[::-1],
        lambda data: data * 2,
        lambda data: b"\xff" * len(data),
    ],
    ids=["longer", "zeroed", "zeroed tail", "reversed", "twice", "ones"],
)
def test_other_damage_is_a_miss(tmp_path, damage):
    path = tmp_path / "entry"
    write_entry(path, b"payload" * 100)

    path.write_bytes(damage(path.read_bytes()))

    assert read_entry(path) is None


def test_an_entry_of_another_version_is_a_miss(tmp_path):
    path = tmp_path / "entry"
    write_entry(path, b"payload")
    data = path.read_bytes()

    path.write_bytes(data[:7] + bytes([data[7] + 1]) + data[8:])

    assert read_entry(path) is None


def test_a_store_writes_and_removes(layout):
    store = EntryStore(layout)

    assert store.write(layout.simple("pypi", "flask"), b"payload") is True
    assert store.read(layout.simple("pypi", "flask")) == b"payload"
    assert store.remove(layout.simple("pypi", "flask")) is True
    assert store.remove(layout.simple("pypi", "flask")) is False
    assert store.read(layout.simple("pypi", "flask")) is None


def test_a_read_only_store_writes_nothing_and_says_so(layout):
    path = layout.simple("pypi", "flask")
    EntryStore(layout).write(path, b"old")
    store = EntryStore(layout, read_only=True)

    assert store.write(path, b"new") is False
    assert store.remove(path) is False
    assert store.read(path) == b"old"


def test_layers_are_looked_into_in_turn_and_never_written(layout, tmp_path):
    layers = [CacheLayout(tmp_path / name) for name in ("first", "second")]
    for layer in layers:
        EntryStore(layer).write(layer.simple("pypi", "flask"), str(layer.root).encode())
    store = EntryStore(layout, layers=layers)
    path = layout.simple("pypi", "flask")

    assert store.read(path) == str(layers[0].root).encode()
    layers[0].simple("pypi", "flask").write_bytes(b"damaged")
    assert store.read(path) == str(layers[1].root).encode()
    store.write(path, b"own")
    assert store.read(path) == b"own"
    assert layers[0].simple("pypi", "flask").read_bytes() == b"damaged"


def test_what_cannot_be_stored_is_said_and_no_error(layout, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)

    assert EntryStore(layout).write(layout.simple("pypi", "flask"), b"payload") is False


def test_a_path_outside_the_cache_is_our_own_bug(layout, tmp_path):
    with pytest.raises(AssertionError):
        EntryStore(layout).write(tmp_path / "elsewhere", b"payload")


def write_many(path, number):
    for _ in range(50):
        write_entry(Path(path), bytes([number]) * (10_000 + number))


def check_many(path, stop):
    allowed = {bytes([n]) * (10_000 + n) for n in range(8)}
    found = 0
    while not stop():
        payload = read_entry(path)
        if payload is not None:
            found += 1
            assert payload in allowed
    return found


def test_threads_read_complete_entries_while_others_write(tmp_path):
    path = tmp_path / "entry"
    write_entry(path, bytes(10_000))

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write_many, path, n) for n in range(4)]
        readers = [pool.submit(check_many, path, lambda: all(w.done() for w in writers)) for _ in range(2)]
        for done in writers + readers:
            done.result()

    # Replaced in one step: once there, an entry is never missing.
    assert read_entry(path) is not None
    assert os.listdir(tmp_path) == ["entry"]


def test_processes_write_complete_entries(tmp_path):
    path = tmp_path / "entry"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(path), n)) for n in range(2)]
    for writer in writers:
        writer.start()

    found = check_many(path, lambda: not any(writer.is_alive() for writer in writers))
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0]
    assert found
