"""Metadata of remote wheels: beside the file, by ranges, by the whole file."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile

import pytest

from puffin_api._client.fetch import Fetcher
from puffin_api._client.hosts import Hosts
from puffin_api._client.remote_wheel import RemoteWheels, read_wheel_metadata
from puffin_api._concurrency import Pump
from puffin_api._model.file import FileRow
from puffin_api._model.metadata import parse_metadata
from puffin_api._testing.fake_transport import FakeResponse, FakeTransport
from puffin_api._testing.wheels import make_wheel
from puffin_api.errors import Forbidden, HashMismatch, MetadataInvalid, OfflineMiss, UnsafeArchive

NAME = "foo-1.0-py3-none-any.whl"
# Nothing that compresses away.
LARGE = {f"foo/{n}.bin": hashlib.shake_128(b"%d" % n).digest(4096) for n in range(100)}


def row(server, name=NAME, **more):
    url = server.file_url(name)
    return FileRow(project="foo", version="1.0", filename=name, url=url, index=server.url, **more)


@pytest.fixture
def make_wheels(make_transport, retries, tmp_path):
    def make(hosts=None, transport=None, **options):
        transport = transport or make_transport()
        return RemoteWheels(
            transport,
            hosts=hosts or Hosts(),
            fetch=Fetcher(transport, retries=retries).fetch_file,
            retries=retries,
            scratch=tmp_path / "scratch",
            **options,
        )

    return make


@pytest.fixture
def large(serve):
    def start(**options):
        server = serve(**options)
        server.add(NAME, make_wheel("foo", "1.0", files=LARGE, requires=["bar>=1"]))
        return server

    return start


def _with_metadata_first():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("foo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n")
        for name, data in LARGE.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def requires(data):
    return parse_metadata(data, source="x").requires_dist


def test_announced_metadata_is_read_and_checked(large, make_wheels):
    server = large()
    digest = hashlib.sha256(server._files[NAME].metadata).hexdigest()

    assert requires(make_wheels().metadata(row(server, metadata=f"sha256:{digest}"))) == ("bar>=1",)
    assert [asked.path for asked in server.requests] == [f"/files/{NAME}.metadata"]
    with pytest.raises(HashMismatch) as caught:
        make_wheels().metadata(row(server, metadata=f"sha256:{'0' * 64}"))
    assert caught.value.actual == f"sha256:{digest}"


def test_announced_metadata_that_is_not_there_is_read_from_the_wheel(large, make_wheels):
    server = large(serves_metadata=False)

    assert requires(make_wheels().metadata(row(server, metadata=True))) == ("bar>=1",)
    assert len(server.requests) == 2


def test_denied_metadata_is_not_asked_for(large, make_wheels):
    server = large()
    make_wheels().metadata(row(server, metadata=False))

    assert server.count(".metadata") == 0
    (asked,) = server.requests
    assert asked.headers["range"].startswith("bytes=-")
    assert asked.headers["accept-encoding"] == "identity"


def test_where_the_page_is_silent_a_host_is_probed_once(serve, make_wheels):
    server = serve(serves_metadata=False)
    names = [f"foo-1.0-{n}-py3-none-any.whl" for n in range(5)]
    for name in names:
        server.add(name, make_wheel("foo", "1.0"))
    wheels = make_wheels()
    threads = [threading.Thread(target=wheels.metadata, args=(row(server, name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert server.count(".metadata") == 1
    assert server.count() == 6


def test_a_host_that_has_it_is_asked_for_it(serve, make_wheels):
    server = serve()
    for n in range(3):
        server.add(f"foo-1.0-{n}-py3-none-any.whl", make_wheel("foo", "1.0"))
    wheels = make_wheels()
    for n in range(3):
        wheels.metadata(row(server, f"foo-1.0-{n}-py3-none-any.whl"))

    assert server.count(".metadata") == server.count() == 3


def test_a_file_without_metadata_says_nothing_of_a_host_that_has_it(large, make_wheels):
    server = large()
    hosts = Hosts()
    hosts.note(server.origin, "metadata", answer=True)
    server.fail(".metadata", status=404)
    wheels = make_wheels(hosts)
    wheels.metadata(row(server))

    assert hosts.can(server.origin, "metadata") is True
    wheels.metadata(row(server))
    assert server.count(".metadata") == 2


def test_a_probe_that_is_refused_means_no(large, make_wheels):
    server = large()
    server.page(f"/files/{NAME}.metadata", "", status=403)

    assert requires(make_wheels().metadata(row(server))) == ("bar>=1",)
    with pytest.raises(Forbidden):
        make_wheels().metadata(row(server, metadata=True))


def test_a_probe_that_fails_leaves_the_question_open(large, make_wheels):
    server = large()
    hosts = Hosts()
    server.fail(".metadata", times=99, reset=True)
    wheels = make_wheels(hosts)
    with pytest.raises(Exception, match="cannot be read"):
        wheels.metadata(row(server))

    assert hosts.can(server.origin, "metadata") is None
    server._faults.clear()
    wheels.metadata(row(server))
    assert hosts.can(server.origin, "metadata") is True


def test_answers_are_remembered_on_disk_for_a_day(make_registry, serve, clock):
    server = serve({"a": ["1.0"], "b": ["1.0"]}, core_metadata="absent")

    def ask(name):
        registry = make_registry(server)
        releases = registry.load(name, stamp=())
        registry.metadata.load(releases.files(0)[0])

    server.serves_metadata = False
    ask("a")
    ask("b")
    assert server.count(".metadata") == 1
    clock.now += 86401
    server.serves_metadata = True
    ask("a")
    assert server.count(".metadata") == 2


def test_a_small_part_of_a_large_wheel_is_read(large, make_wheels):
    server = large()
    make_wheels().metadata(row(server, metadata=False, size=len(server._files[NAME].data)))

    assert len(server._files[NAME].data) > 200_000
    assert len(server.requests) == 1


def test_a_file_at_the_front_takes_more_requests(serve, make_wheels):
    server = serve()
    server.add(NAME, _with_metadata_first())

    assert b"Name: foo" in make_wheels().metadata(row(server, metadata=False))
    assert len(server.requests) == 2


def test_a_server_without_ranges_sends_the_whole_file_and_is_remembered(large, make_wheels):
    server = large(ranges=False)
    hosts = Hosts()
    wheels = make_wheels(hosts)
    for _ in range(2):
        assert requires(wheels.metadata(row(server, metadata=False))) == ("bar>=1",)

    assert hosts.can(server.origin, "ranges") is False
    assert [("range" in asked.headers) for asked in server.requests] == [True, False, False]


def test_the_whole_file_is_checked_and_removed(large, make_wheels, tmp_path):
    server = large(ranges=False)
    with pytest.raises(HashMismatch):
        make_wheels().metadata(row(server, metadata=False, hashes=("sha256:" + "0" * 64,)))

    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_wheel_that_is_gone_is_the_wheels_failure(serve, make_wheels):
    with pytest.raises(MetadataInvalid, match="gone"):
        make_wheels().metadata(row(serve(), metadata=False))


def test_a_wheel_that_changes_while_it_is_read_is_not_trusted(make_wheels):
    data = _with_metadata_first()
    url = f"https://h/{NAME}"

    def answer(_, headers):
        first, _, last = headers["Range"].removeprefix("bytes=").partition("-")
        if not first:
            part, field = data[-int(last) :], f"bytes {len(data) - int(last)}-{len(data) - 1}/{len(data)}"
        else:
            part, field = data[int(first) : int(last) + 1], f"bytes {first}-{last}/{len(data) + 1}"
        return FakeResponse(part, status=206, headers={"content-range": field})

    wheels = make_wheels(transport=FakeTransport({url: answer}))
    with pytest.raises(MetadataInvalid, match="changed while"):
        wheels.metadata(FileRow(project="foo", version="1.0", filename=NAME, url=url, metadata=False))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["foo-1.0.dist-info/METADATA"], True),
        (["Foo-1.0.dist-info/METADATA", "foo/METADATA"], True),
        (["foo-1.0.dist-info/METADATA", "bar-1.0.dist-info/METADATA"], True),
        (["bar-1.0.dist-info/METADATA"], False),
        (["x/foo-1.0.dist-info/METADATA"], False),
        (["foo-1.0.dist-info/METADATA", "foo-2.0.dist-info/METADATA"], False),
        ([], False),
    ],
)
def test_the_one_metadata_of_the_project_is_taken(names, found):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, f"of {name}")
    data = buffer.getvalue()
    file = FileRow(project="foo", version="1.0", filename=NAME, url="https://h/x")

    def read():
        return read_wheel_metadata(lambda at, length: data[at : at + length], len(data), data[-22:], file)

    if found:
        assert read() == f"of {names[0]}".encode()
    else:
        with pytest.raises(MetadataInvalid):
            read()


def test_rubbish_is_an_unsafe_archive(serve, make_wheels):
    server = serve()
    server.add(NAME, b"rubbish" * 100)
    with pytest.raises(UnsafeArchive):
        make_wheels().metadata(row(server, metadata=False))


def test_a_local_wheel_is_read_from_its_end(tmp_path, make_wheels):
    (tmp_path / NAME).write_bytes(make_wheel("foo", "1.0", requires=["bar"]))
    file = FileRow(project="foo", version="1.0", filename=NAME, url=(tmp_path / NAME).as_uri())

    assert requires(make_wheels(offline=True).metadata(file)) == ("bar",)


def test_offline_is_told_by_name(make_wheels, serve):
    with pytest.raises(OfflineMiss) as caught:
        make_wheels(offline=True).metadata(row(serve()))

    assert caught.value.missing == [NAME]


def test_a_transfer_is_announced_and_ended(large, make_wheels):
    events = []
    pump = Pump(events.append)
    make_wheels().metadata(row(large()), pump=pump)
    pump.close()

    assert [type(event).__name__ for event in events] == ["FetchStarted", "FetchFinished"]
    assert (events[0].kind, events[0].name, events[1].error) == ("metadata", NAME, "")
    assert events[1].received > 0
