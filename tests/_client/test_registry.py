"""All indexes together: strategies, freshness, memory, disk, errors."""

from __future__ import annotations

import gzip

import pytest

from puffin_api._client.registry import Registry
from puffin_api._concurrency import Pump
from puffin_api._model.file import DistFile
from puffin_api._model.metadata import CoreMetadata
from puffin_api._model.options import Index, IndexStrategy, Refresh
from puffin_api._model.project import Project
from puffin_api._testing.fake_transport import FakeResponse, FakeTransport
from puffin_api._testing.wheels import make_wheel
from puffin_api.errors import (
    AuthenticationRequired,
    ConnectFailed,
    Forbidden,
    HashMismatch,
    MetadataInvalid,
    OfflineMiss,
    PackageNotFound,
    ServerError,
)


def look_up(registry, name, pump=None):
    """What a call does: memory, then disk, then the network; and in the end it stores what it learned."""
    stamp = registry.flat.stamp()
    found = registry.ready(name, since=registry.clock(), stamp=stamp) or registry.from_disk(name, stamp=stamp)
    try:
        if found is None:
            found = registry.load(name, stamp=stamp, **({} if pump is None else {"pump": pump}))
        return found
    finally:
        registry.flush()


def versions(registry, name):
    return list(look_up(registry, name).versions)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("cache", [True, False])
def test_a_project_is_found_in_json_and_in_html(serve, make_registry, as_json, cache):
    server = serve({"a": ["2.0", "1.0"]}, as_json=as_json)
    releases = look_up(make_registry(server, cache=cache), "a")

    assert releases.versions == ["1.0", "2.0"]
    (row,) = releases.files(0)
    assert row.url == f"{server.origin}/files/a-1.0-py3-none-any.whl"
    assert row.index == releases.index == server.url
    assert row.hashes[0].startswith("sha256:")
    assert row.metadata.startswith("sha256:")


def test_links_are_relative_to_where_a_redirect_led(serve, make_registry):
    server, mirror = serve(), serve({"a": ["1.0"]})
    server.redirect("/simple/a/", f"{mirror.url}a/")

    assert look_up(make_registry(server), "a").files(0)[0].url.startswith(mirror.origin)


def test_a_page_of_another_type_than_announced_is_read_all_the_same(serve, make_registry):
    server = serve()
    server.page(
        "/simple/a/", '{"files": [{"filename": "a-1.0.tar.gz", "url": "x"}]}', Content_Type="text/plain"
    )
    server.page("/simple/b/", '<a href="b-1.0.tar.gz">', Content_Type="application/octet-stream")
    registry = make_registry(server)

    assert versions(registry, "a") == versions(registry, "b") == ["1.0"]


def test_a_broken_page_is_a_typed_error(serve, make_registry):
    server = serve()
    server.page("/simple/a/", "{", Content_Type="application/vnd.pypi.simple.v1+json")
    with pytest.raises(MetadataInvalid):
        look_up(make_registry(server), "a")


@pytest.mark.parametrize("fault", [{"truncate": 20}, {"reset": True}, {"status": 503}])
def test_a_page_that_breaks_off_is_read_again(serve, make_registry, fault):
    server = serve({"a": ["1.0"]})
    server.fail("/simple/", times=2, **fault)

    assert versions(make_registry(server), "a") == ["1.0"]
    assert server.count() == 3


def test_damaged_compression_is_no_page(serve, make_registry):
    server = serve()
    server.page("/simple/a/", b"\x1f\x8brubbish", Content_Encoding="gzip")
    server.page("/simple/b/", b"x", Content_Encoding="br")
    server.page("/simple/c/", gzip.compress(b"{}")[:-4], Content_Encoding="gzip")
    registry = make_registry(server)
    for name in ("a", "b", "c"):
        with pytest.raises(ConnectFailed):
            look_up(registry, name)


# -- how often it is asked


def test_the_second_question_is_answered_from_memory(serve, make_registry):
    server = serve({"a": ["1.0"]})
    registry = make_registry(server)

    assert look_up(registry, "a") is look_up(registry, "a")
    assert server.count() == 1


def test_where_nothing_is_said_of_freshness_other_clients_wait_ten_minutes(serve, make_registry, clock):
    server = serve({"a": ["1.0"]})
    versions(make_registry(server), "a")
    clock.now += 599
    assert versions(make_registry(server), "a") == ["1.0"]
    assert server.count() == 1

    clock.now += 2
    assert versions(make_registry(server), "a") == ["1.0"]
    assert versions(make_registry(server), "a") == ["1.0"]
    assert server.count() == 2, "one revalidation, which is good for another ten minutes"
    assert "if-none-match" in server.requests[1].headers


def test_where_nothing_is_said_of_freshness_a_client_asks_once(serve, make_registry, clock):
    server = serve({"a": ["1.0"]})
    registry = make_registry(server)
    versions(registry, "a")
    clock.now += 1e6

    versions(registry, "a")
    assert server.count() == 1


def test_a_changed_page_replaces_the_old_one(serve, make_registry, clock):
    server = serve({"a": ["1.0"]})
    versions(make_registry(server), "a")
    server.add("a-2.0-py3-none-any.whl", make_wheel("a", "2.0"))
    clock.now += 601

    assert versions(make_registry(server), "a") == ["1.0", "2.0"]


def test_what_the_server_says_of_freshness_holds_in_memory_too(serve, make_registry, clock):
    server = serve({"a": ["1.0"]}, cache_control="max-age=60")
    registry = make_registry(server)
    first = look_up(registry, "a")
    clock.now += 59
    assert look_up(registry, "a") is first
    assert server.count() == 1
    clock.now += 2

    assert look_up(registry, "a") is first, "304: what was worked out for it is kept"
    assert server.count() == 2


def test_no_store_is_kept_in_memory_only(serve, make_registry, tmp_path):
    server = serve({"a": ["1.0"]}, cache_control="no-store, max-age=60")
    registry = make_registry(server)
    versions(registry, "a")
    versions(registry, "a")
    assert server.count() == 1
    versions(make_registry(server), "a")

    assert server.count() == 2
    assert not list(tmp_path.rglob("*.page"))


@pytest.mark.parametrize(
    ("refresh", "asked"), [(Refresh.all(), 2), (Refresh.only(["A"]), 2), (Refresh.only("b"), 1)]
)
def test_refresh_asks_once_for_each_client(serve, make_registry, refresh, asked):
    server = serve({"a": ["1.0"]})
    versions(make_registry(server), "a")
    registry = make_registry(server, refresh=refresh)
    versions(registry, "a")
    versions(registry, "a")

    assert server.count() == asked


def test_a_refresh_is_over_when_it_was_done_once(serve, make_registry, tmp_path):
    server = serve({"a": ["1.0"]})
    (tmp_path / "links").mkdir()
    registry = make_registry(server, refresh=Refresh.all(), find_links=[tmp_path / "links"])
    versions(registry, "a")
    (tmp_path / "links" / "a-2.0.tar.gz").touch()

    assert versions(registry, "a") == ["1.0", "2.0"]
    assert server.count() == 1


def test_credentials_are_used_and_stored_nowhere(serve, make_registry, tmp_path):
    server = serve({"a": ["1.0"]}, login=("user", "s3cret"))
    address = server.url.replace("://", "://user:s3cret@")
    registry = make_registry(Index(address))
    releases = look_up(registry, "a")
    registry.metadata.load(releases.files(0)[0])
    registry.flush()

    assert "s3cret" not in releases.index + releases.files(0)[0].url + repr(registry.project("a", releases))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cret" in path.read_bytes() or "s3cret" in str(path)]


# -- several indexes


def test_the_first_index_that_knows_a_name_is_the_only_one(serve, make_registry):
    private, public = serve({"a": ["1.0"]}), serve({"a": ["9.0"], "b": ["1.0"]})
    registry = make_registry(private, public)

    assert versions(registry, "a") == ["1.0"]
    assert versions(registry, "b") == ["1.0"]
    assert public.count("/a/") == 0


def test_the_indexes_that_were_not_asked_are_told(serve, make_registry, tmp_path):
    one, two = serve({"b": ["1.0"]}), serve({"a": ["1.0"], "b": ["1.0"]})
    indexes = one, Index(two.url, name="two"), Index("https://nowhere.invalid/", name="three")
    secret = Index("https://secret.invalid/", name="secret", explicit=True)
    (tmp_path / "b-2.0.tar.gz").touch()

    registry = make_registry(*indexes, secret)
    assert look_up(registry, "b").unasked == ("two", "three")
    assert look_up(registry, "a").unasked == ("three",)
    assert look_up(make_registry(*indexes, find_links=[tmp_path]), "b").unasked == ("two", "three")
    assert look_up(make_registry(*indexes, pins={"a": 1}), "a").unasked == ()
    both = make_registry(*indexes[:2], strategy=IndexStrategy.BEST_MATCH)
    assert look_up(both, "b").unasked == ()


def test_a_pinned_project_comes_from_nowhere_else(serve, make_registry, tmp_path):
    one, two = serve({"b": ["1.0"]}), serve({"a": ["1.0"]})
    (tmp_path / "b-2.0.tar.gz").touch()
    registry = make_registry(one, Index(two.url, name="two"), find_links=[tmp_path], pins={"b": 1})
    with pytest.raises(PackageNotFound, match="at two, to which it is pinned") as caught:
        look_up(registry, "b")

    assert caught.value.indexes == ["two"]
    assert one.count() == 0


def test_an_unknown_project_comes_with_a_hint_at_the_indexes_that_wait_for_pins(serve, make_registry):
    public = serve()
    special = Index("https://special.invalid/", name="special", explicit=True)
    with pytest.raises(PackageNotFound) as caught:
        look_up(make_registry(public, special), "a")
    assert caught.value.hint == (
        "Check the spelling, or add the index that has it; special: asked for projects that are pinned to it."
    )

    with pytest.raises(PackageNotFound) as caught:
        look_up(make_registry(public, special, pins={"a": 0}), "a")
    assert caught.value.hint == "Check the spelling, or pin it to the index that has it."


@pytest.mark.parametrize("status", [206, 304, 400, 416])
def test_only_not_here_means_not_here(clock, retries, status):
    page = b'{"files": [{"filename": "a-1.0.tar.gz", "url": "x"}]}'
    transport = FakeTransport(
        {"https://one/simple/a/": FakeResponse(status=status), "https://two/simple/a/": page}
    )
    indexes = [Index("https://one/simple"), Index("https://two/simple")]
    registry = Registry(indexes, transport=transport, retries=retries, clock=clock)
    with pytest.raises(ServerError) as caught:
        look_up(registry, "a")

    assert caught.value.status == status
    assert transport.count("two") == 0


def test_an_empty_page_is_an_answer(serve, make_registry):
    one, two = serve(), serve({"a": ["1.0"]})
    one.page("/simple/a/", '{"files": []}', Content_Type="application/json")
    releases = look_up(make_registry(one, two), "a")

    assert (len(releases), releases.unasked, two.count()) == (0, (two.url,), 0)


def test_not_here_is_remembered_of_all_but_the_last_index(serve, make_registry):
    private, public = serve(), serve({"b": ["1.0"]})
    versions(make_registry(private, public), "b")
    versions(make_registry(private, public), "b")
    assert (private.count(), public.count()) == (1, 1)

    for _ in range(2):
        with pytest.raises(PackageNotFound):
            look_up(make_registry(private, public), "new")
    assert (private.count("/new/"), public.count("/new/")) == (1, 2)


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationRequired), (403, Forbidden), (500, ServerError)]
)
def test_an_index_that_refuses_is_not_passed_over(serve, make_registry, status, error):
    private, public = serve(), serve({"a": ["9.0"]})
    private.page("/simple/a/", "", status=status)
    with pytest.raises(error):
        look_up(make_registry(private, public), "a")

    assert public.count() == 0


def test_best_match_takes_files_from_all(serve, make_registry):
    one, two = serve({"a": ["1.0", "2.0"]}), serve({"a": ["2.0", "3.0"]})
    registry = make_registry(one, two, strategy=IndexStrategy.BEST_MATCH)
    releases = look_up(registry, "a")

    assert releases.versions == ["1.0", "2.0", "3.0"]
    assert [row.index for row in releases.files(1)] == [one.url, two.url]


def test_first_match_takes_a_version_from_the_first_that_has_it(serve, make_registry):
    one, two = serve({"a": ["1.0", "2.0"]}), serve({"a": ["2.0", "3.0rc1"]})
    releases = look_up(make_registry(one, two, strategy=IndexStrategy.FIRST_MATCH), "a")

    assert releases.versions == ["1.0", "2.0", "3.0rc1"]
    assert [row.index for row in releases.files(1)] == [one.url]
    assert releases.prereleases == 0b1000
    assert releases.tiers == (0b0110, 0b1000)


def test_an_explicit_index_is_asked_for_pinned_projects_only(serve, make_registry):
    special, public = serve({"a": ["1.0"], "b": ["1.0"]}), serve({"a": ["9.0"], "b": ["9.0"]})
    index = Index(special.url, name="special", explicit=True)
    registry = make_registry(index, public, pins={"a": 0})

    assert versions(registry, "a") == ["1.0"]
    assert versions(registry, "b") == ["9.0"]
    assert (special.count(), public.count()) == (1, 1)


def test_an_unknown_project_is_told_with_the_indexes(serve, make_registry):
    one, two = serve(), serve()
    with pytest.raises(PackageNotFound) as caught:
        look_up(make_registry(Index(one.url, name="mine"), two), "nope")

    assert (caught.value.name, caught.value.indexes) == ("nope", ["mine", two.url])


def test_a_failure_is_the_same_within_a_call_and_tried_again_in_the_next(serve, make_registry, clock):
    server = serve()
    registry = make_registry(server)
    began = clock.now
    with pytest.raises(PackageNotFound) as first:
        look_up(registry, "a")
    with pytest.raises(PackageNotFound) as second:
        registry.ready("a", since=began, stamp=())
    assert first.value is second.value

    server.add("a-1.0-py3-none-any.whl", make_wheel("a", "1.0"))
    clock.now += 1
    assert versions(registry, "a") == ["1.0"]


# -- find-links


def test_find_links_stand_beside_the_index_and_first(serve, make_registry, tmp_path):
    (tmp_path / "links").mkdir()
    for version in ("2.0", "3.0"):
        (tmp_path / "links" / f"a-{version}-py3-none-any.whl").write_bytes(make_wheel("a", version))
    server = serve({"a": ["1.0", "2.0"]})
    registry = make_registry(server, find_links=[tmp_path / "links"])
    releases = look_up(registry, "a")

    assert releases.versions == ["1.0", "2.0", "3.0"]
    assert [row.url.partition(":")[0] for row in releases.files(1)] == ["file", "http"]
    assert look_up(registry, "a") is releases
    assert registry.metadata.load(releases.files(2)[0]).version == "3.0"


def test_find_links_alone_are_enough(make_registry, tmp_path):
    (tmp_path / "a-1.0.tar.gz").touch()
    registry = make_registry(find_links=[tmp_path], cache=False)

    assert versions(registry, "a") == ["1.0"]
    with pytest.raises(PackageNotFound):
        look_up(registry, "b")


def test_a_new_file_in_a_local_folder_is_seen_by_the_next_call(serve, make_registry, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    server = serve({"a": ["1.0"]})
    registry = make_registry(server, find_links=[links])
    assert versions(registry, "a") == ["1.0"]
    (links / "a-2.0.tar.gz").touch()

    assert versions(registry, "a") == ["1.0", "2.0"]
    assert server.count() == 1


def test_a_local_index_is_a_folder_of_folders(make_registry, tmp_path):
    (tmp_path / "index" / "a").mkdir(parents=True)
    (tmp_path / "index" / "a" / "a-1.0-py3-none-any.whl").write_bytes(make_wheel("a", "1.0"))
    registry = make_registry(Index((tmp_path / "index").as_uri()), offline=True)

    assert versions(registry, "a") == ["1.0"]
    with pytest.raises(PackageNotFound):
        look_up(registry, "b")


# -- offline


def test_offline_uses_whatever_age_and_asks_nobody(serve, make_registry, clock):
    server = serve({"a": ["1.0"]}, cache_control="max-age=1")
    online = make_registry(server)
    online.metadata.load(look_up(online, "a").files(0)[0])
    online.flush()
    clock.now += 1e7
    asked = server.count()
    offline = make_registry(server, offline=True)

    releases = look_up(offline, "a")
    assert offline.metadata.known(releases.files(0)[0]).version == "1.0"
    assert server.count() == asked
    with pytest.raises(OfflineMiss) as caught:
        look_up(offline, "b")
    assert caught.value.missing == ["b"]


def test_offline_an_index_that_was_never_asked_does_not_hide_the_next(serve, make_registry):
    one, two = serve(), serve({"a": ["1.0"]})
    versions(make_registry(two), "a")

    assert versions(make_registry(one, two, offline=True), "a") == ["1.0"]


# -- damage


def _damage(tmp_path, name, cut):
    (path,) = tmp_path.rglob(f"{name}.page")
    data = bytearray(path.read_bytes())
    data[cut] ^= 0xFF
    path.write_bytes(data)


def test_a_damaged_page_on_disk_is_fetched_again(serve, make_registry, tmp_path):
    server = serve({"a": ["1.0"]})
    versions(make_registry(server), "a")
    _damage(tmp_path, "a", 40)

    assert versions(make_registry(server), "a") == ["1.0"]
    assert server.count() == 2


def test_a_damaged_row_is_found_when_it_is_needed_and_mended(serve, make_registry, tmp_path):
    server = serve({"a": ["1.0"]})
    versions(make_registry(server), "a")
    _damage(tmp_path, "a", -2)
    releases = look_up(make_registry(server), "a")
    assert server.count() == 1

    assert releases.files(0)[0].filename == "a-1.0-py3-none-any.whl"
    assert server.count() == 2
    assert "if-none-match" not in server.requests[1].headers


def test_rows_of_a_table_that_another_process_replaced_come_from_the_new_one(serve, make_registry, clock):
    server = serve({"a": [f"1.{n}" for n in range(120)]})
    releases = look_up(make_registry(server), "a")
    server.add("a-0.1-py3-none-any.whl", make_wheel("a", "0.1"))
    clock.now += 601
    versions(make_registry(server), "a")
    asked = server.count()

    assert releases.files(119)[0].version == "1.119"
    assert server.count() == asked


# -- metadata


def test_metadata_is_kept_in_memory_and_on_disk(serve, make_registry):
    server = serve()
    wheel = make_wheel("a", "1.0", requires=["b>=1", 'c; extra == "x"'], extras={"x": []})
    server.add("a-1.0-py3-none-any.whl", wheel)
    registry = make_registry(server)
    (file,) = look_up(registry, "a").files(0)
    assert registry.metadata.known(file) is None
    loaded = registry.metadata.load(file)
    assert registry.metadata.known(file) is loaded
    registry.flush()
    again = make_registry(server)

    found = again.metadata.known(look_up(again, "a").files(0)[0])
    assert [row.text for row in found.requires] == [row.text for row in loaded.requires]
    assert server.count(".metadata") == 1


@pytest.mark.parametrize("name", ["b", "a"])
def test_metadata_of_another_project_or_version_is_that_files_failure(serve, make_registry, name):
    server = serve()
    wheel = make_wheel(name, "1.0" if name == "b" else "2.0", dist_info="a-1.0.dist-info")
    server.add("a-1.0-py3-none-any.whl", wheel)
    registry = make_registry(server)
    (file,) = look_up(registry, "a").files(0)

    result = registry.metadata.load(file)
    assert isinstance(result, MetadataInvalid)
    assert registry.metadata.known(file) is result


def test_equal_versions_may_be_written_differently(serve, make_registry):
    server = serve()
    server.add("a-1.0-py3-none-any.whl", make_wheel("a", "1.0.0", dist_info="a-1.0.dist-info"))
    registry = make_registry(server)

    assert registry.metadata.load(look_up(registry, "a").files(0)[0]).version == "1.0.0"


def test_a_wrong_digest_of_metadata_is_that_files_failure(serve, make_registry):
    server = serve()
    server.add("a-1.0-py3-none-any.whl", make_wheel("a", "1.0"), core_metadata={"sha256": "0" * 64})
    registry = make_registry(server)

    assert isinstance(registry.metadata.load(look_up(registry, "a").files(0)[0]), HashMismatch)


# -- the rest


def test_the_public_value_of_a_project(serve, make_registry):
    server = serve({"a": ["1.0"]})
    server.status = "archived"
    server.add("a-2.0.exe", b"")
    server.add("a-2.0.tar.gz", b"", yanked="broken", upload_time="2024-01-01T00:00:00Z")
    listing = server._json("a", list(server._files.values()))
    server.page("/simple/a/", listing, Content_Type="application/json")
    registry = make_registry(server)
    project = registry.project("a", look_up(registry, "a"))

    assert (project.name, project.versions, project.index) == ("a", ("1.0", "2.0"), server.url)
    assert project.status == "archived"
    assert project.files[1].yanked == "broken"
    assert project.files[1].upload_time.year == 2024
    assert "a-2.0.exe" in project.skipped


class Source:
    """A custom index in memory."""

    def __init__(self):
        self.asked = []

    def project(self, name):
        self.asked.append(name)
        if name != "a":
            return None
        file = DistFile(name="a", version="1.0", filename="a-1.0-py3-none-any.whl", url="db:a/1.0")
        return Project(name="a", versions=("1.0",), files=(file,), status="deprecated")

    def metadata(self, file):
        return CoreMetadata(name="A", version=file.version, requires_dist=("b",))

    def fetch(self, file, target):
        target.write_bytes(b"from the source")


def test_a_custom_source_stands_among_the_indexes(serve, make_registry, tmp_path):
    server = serve({"a": ["9.0"], "b": ["2.0"]})
    source = Source()
    registry = make_registry(source, server)

    assert versions(registry, "a") == ["1.0"]
    assert versions(registry, "b") == ["2.0"]
    (file,) = look_up(registry, "a").files(0)
    assert registry.metadata.load(file).requires[0].name == "b"
    registry.fetcher.fetch_file(file, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"from the source"
    assert source.asked == ["a", "b"]
    assert registry.project("a", look_up(registry, "a")).status == "deprecated"


def test_a_page_is_announced_and_ended(serve, make_registry):
    server = serve({"a": ["1.0"]})
    events = []
    pump = Pump(events.append)
    registry = make_registry(server, refresh=Refresh.all())
    look_up(registry, "a", pump)
    with pytest.raises(PackageNotFound):
        look_up(registry, "b", pump)
    again = make_registry(server, refresh=Refresh.all())
    look_up(again, "a", pump)
    pump.close()

    told = [(type(e).__name__, getattr(e, "name", None), getattr(e, "cached", None)) for e in events]
    assert told[0] == ("FetchStarted", "a", None)
    assert told[1] == ("FetchFinished", None, False)
    assert told[-1] == ("FetchFinished", None, True)
    assert len(told) == 6


def test_the_answer_of_a_foreign_transport_is_taken_as_well(clock, retries):
    url = "https://h/simple/a/"
    page = b'{"files": [{"filename": "a-1.0.tar.gz", "url": "../../a-1.0.tar.gz"}]}'
    transport = FakeTransport({url: [FakeResponse(page[:9], breaks=ConnectFailed("broken")), page]})
    registry = Registry([Index("https://h/simple")], transport=transport, retries=retries, clock=clock)

    assert registry.load("a", stamp=()).files(0)[0].url == "https://h/a-1.0.tar.gz"
    assert transport.count("/a/") == 2
