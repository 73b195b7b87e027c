"""Whole files: hashed, checked, resumed."""

from __future__ import annotations

import hashlib

import pytest

from puffin_api._client.fetch import Fetcher
from puffin_api._concurrency import Pump
from puffin_api._model.cancel import CancelToken
from puffin_api._model.file import DistFile
from puffin_api.errors import Cancelled, ConnectFailed, HashMismatch, OfflineMiss, ServerError

DATA = bytes(range(256)) * 4096
NAME = "foo-1.0.tar.gz"


def digest(name, data=DATA):
    return hashlib.new(name, data).hexdigest()


@pytest.fixture
def server(serve):
    server = serve()
    server.add(NAME, DATA)
    return server


@pytest.fixture
def fetch(make_transport, retries, tmp_path, server):
    def run(pump=None, offline=False, source_of=lambda _: None, **fields):
        fields = {"name": "foo", "version": "1.0", "filename": NAME, "url": server.file_url(NAME), **fields}
        fetcher = Fetcher(make_transport(), retries=retries, offline=offline, source_of=source_of)
        options = {} if pump is None else {"pump": pump}
        return fetcher.fetch_file(DistFile(**fields), tmp_path / "target", **options)

    return run


def test_a_file_is_stored_and_its_digests_are_told(fetch, tmp_path, server):
    hashes = {"sha512": digest("sha512"), "MD5": "ignored", "nonsense": "00"}

    assert fetch(hashes=hashes, size=len(DATA)) == {"sha256": digest("sha256"), "sha512": digest("sha512")}
    assert (tmp_path / "target").read_bytes() == DATA
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "sha512", "blake2b"])
def test_every_digest_is_checked(fetch, tmp_path, algorithm):
    good = {"sha256": digest("sha256").upper()}
    assert fetch(hashes=good)
    with pytest.raises(HashMismatch) as caught:
        fetch(hashes={**good, algorithm: "00"})

    assert caught.value.expected == [f"{algorithm}:00"]
    assert caught.value.actual == f"{algorithm}:{digest(algorithm)}"
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, 0])
def test_the_size_is_checked(fetch, tmp_path, size):
    with pytest.raises(HashMismatch, match="bytes"):
        fetch(size=size)

    assert not (tmp_path / "target").exists()


def test_a_broken_transfer_is_taken_up_where_it_broke(fetch, tmp_path, server):
    server.fail(NAME, truncate=300_000)
    server.fail(NAME, truncate=400_000)

    assert fetch(hashes={"sha256": digest("sha256")})["sha256"] == digest("sha256")
    assert "range" not in server.requests[0].headers
    starts = [int(asked.headers["range"][6:-1]) for asked in server.requests[1:]]
    assert starts == [300_000, 700_000]


def test_it_starts_over_where_the_file_has_changed(fetch, tmp_path, server):
    server.fail(NAME, truncate=300_000)
    # What comes after the break is another file.
    answer = server.answer
    new = DATA[::-1]

    def change(asked):
        reply = answer(asked)
        server.add(NAME, new)
        return reply

    server.answer = change

    assert fetch() == {"sha256": digest("sha256", new)}
    assert (tmp_path / "target").read_bytes() == new


def test_it_starts_over_where_the_server_has_no_ranges(fetch, tmp_path, server):
    server.ranges = False
    server.fail(NAME, truncate=300_000)

    assert fetch() == {"sha256": digest("sha256")}
    assert (tmp_path / "target").read_bytes() == DATA


def test_a_transfer_that_keeps_breaking_is_given_up(fetch, tmp_path, server):
    server.ranges = False
    server.fail(NAME, times=99, truncate=10)
    with pytest.raises(ConnectFailed):
        fetch()

    assert server.count() == 3
    assert not (tmp_path / "target").exists()


def test_a_file_that_is_gone_is_a_typed_error(fetch, server):
    server.remove(NAME)
    with pytest.raises(ServerError) as caught:
        fetch()

    assert caught.value.status == 404


def test_offline_fetches_nothing_from_the_web(fetch, server, tmp_path):
    with pytest.raises(OfflineMiss):
        fetch(offline=True)
    local = tmp_path / "local"
    local.write_bytes(DATA)

    assert fetch(offline=True, url=local.as_uri()) == {"sha256": digest("sha256")}
    assert server.count() == 0


def test_events_tell_begin_progress_and_end(fetch):
    events = []
    pump = Pump(events.append)
    fetch(pump=pump, size=len(DATA))
    pump.close()

    names = [type(event).__name__ for event in events]
    assert names[0] == "FetchStarted"
    assert names[-1] == "FetchFinished"
    assert (events[0].total, events[-1].received, events[-1].error) == (len(DATA), len(DATA), "")


def test_a_failure_ends_in_its_event(fetch):
    events = []
    pump = Pump(events.append)
    with pytest.raises(HashMismatch):
        fetch(pump=pump, hashes={"sha256": "00"})
    pump.close()

    assert events[-1].error == "hash-mismatch"


def test_a_cancel_leaves_nothing_behind(fetch, tmp_path):
    token = CancelToken()
    events = []

    def deliver(event):
        events.append(event)

    token.cancel()
    with pytest.raises(Cancelled):
        fetch(pump=Pump(deliver, token))

    assert not (tmp_path / "target").exists()


def test_a_custom_source_is_asked_and_checked(fetch, server, tmp_path):
    class Source:
        def fetch(self, file, target):
            target.write_bytes(DATA)

    source = Source()

    def find(index):
        return source if index == "mine" else None

    assert fetch(source_of=find, index="mine") == {"sha256": digest("sha256")}
    with pytest.raises(HashMismatch):
        fetch(source_of=find, index="mine", hashes={"sha256": "00"})
    assert server.count() == 0
