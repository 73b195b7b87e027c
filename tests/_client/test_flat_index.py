"""Find-links: folders and pages."""

from __future__ import annotations

import os

import pytest

from puffin_api._client.flat_index import FlatIndex
from puffin_api._testing.fake_transport import FakeResponse, FakeTransport
from puffin_api.errors import ConnectFailed, ServerError

PAGE = "https://h/links.html"
HTML = b"""<a href="foo-1.0-py3-none-any.whl#sha256=ab" data-requires-python="&gt;=3.8">x</a>
<a href="Foo-2.0.tar.gz" data-yanked="bad">x</a> <a href="foo_bar-1.0.tar.gz">x</a>
<a href="foo-1.exe">x</a>"""


def rows(releases):
    return [] if releases is None else [row for n in range(len(releases)) for row in releases.files(n)]


def test_a_folder_lists_its_own_files_only(tmp_path):
    for name in ("foo-1.0-py3-none-any.whl", "Foo-2.0.tar.gz", "foo_bar-3.0.tar.gz", "foo-4.0.exe"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "foo-9.0.tar.gz").touch()
    flat = FlatIndex([tmp_path], transport=FakeTransport())

    found = rows(flat.releases("foo"))

    assert [row.filename for row in found] == ["foo-1.0-py3-none-any.whl", "Foo-2.0.tar.gz"]
    assert found[0].url == (tmp_path / "foo-1.0-py3-none-any.whl").as_uri()
    assert found[0].index == tmp_path.as_uri()
    assert [row.version for row in rows(flat.releases("foo-bar"))] == ["3.0"]
    assert flat.releases("other") is None


@pytest.mark.parametrize("form", [str, os.fspath, lambda path: path.as_uri(), lambda path: path])
def test_a_folder_may_be_written_in_many_ways(tmp_path, form):
    (tmp_path / "foo-1.0.tar.gz").touch()

    assert FlatIndex([form(tmp_path)], transport=FakeTransport()).releases("foo").versions == ["1.0"]


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path):
    flat = FlatIndex([tmp_path / "none"], transport=FakeTransport())
    with pytest.raises(ConnectFailed, match=r"none cannot be read: No such file") as caught:
        flat.releases("foo")
    assert caught.value.url == (tmp_path / "none").as_uri()

    before = flat.stamp()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "foo-1.0.tar.gz").touch()
    assert flat.stamp() != before
    assert flat.releases("foo").versions == ["1.0"]


@pytest.mark.parametrize("names", [["foo-2.0.tar.gz"], []])
def test_a_change_that_leaves_the_time_of_the_folder_is_seen_all_the_same(tmp_path, names):
    (tmp_path / "foo-1.0.tar.gz").touch()
    flat = FlatIndex([tmp_path], transport=FakeTransport())
    flat.releases("foo")
    before, when = flat.stamp(), tmp_path.stat().st_mtime_ns
    (tmp_path / "foo-1.0.tar.gz").unlink()
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path, ns=(when, when))

    assert flat.stamp() != before
    assert [row.filename for row in rows(flat.releases("foo"))] == names


def test_a_changed_folder_is_read_again(tmp_path):
    (tmp_path / "foo-1.0.tar.gz").touch()
    flat = FlatIndex([tmp_path], transport=FakeTransport())
    assert flat.releases("foo").versions == ["1.0"]
    before = flat.stamp()
    (tmp_path / "foo-2.0.tar.gz").touch()
    os.utime(tmp_path, ns=(1, 1))  # however coarse its clock

    assert flat.stamp() != before
    assert flat.releases("foo").versions == ["1.0", "2.0"]


def test_a_page_on_disk(tmp_path):
    (tmp_path / "links.html").write_bytes(HTML)
    flat = FlatIndex([tmp_path / "links.html"], transport=FakeTransport())

    assert rows(flat.releases("foo"))[0].url == f"{tmp_path.as_uri()}/foo-1.0-py3-none-any.whl"


def test_a_page_keeps_what_it_says_of_its_files_and_is_read_once():
    transport = FakeTransport({PAGE: HTML})
    flat = FlatIndex([PAGE], transport=transport)
    assert not flat.is_ready

    first, second = rows(flat.releases("foo"))

    assert first.url == "https://h/foo-1.0-py3-none-any.whl"
    assert (first.hashes, first.requires_python) == (("sha256:ab",), ">=3.8")
    assert (second.version, second.yanked) == ("2.0", "bad")
    assert "neither a wheel" in flat.releases("foo").skipped["foo-1.exe"]
    assert flat.releases("foo-bar") is not None
    assert flat.is_ready
    assert transport.count("links") == 1


def test_links_are_relative_to_where_the_page_came_from():
    transport = FakeTransport({PAGE: FakeResponse(HTML, url="https://other/x/y.html")})

    assert rows(FlatIndex([PAGE], transport=transport).releases("foo"))[0].url.startswith(
        "https://other/x/foo"
    )


def test_a_page_that_is_not_there_is_an_error_and_asked_for_again():
    transport = FakeTransport({PAGE: [FakeResponse(status=404), FakeResponse(HTML)]})
    flat = FlatIndex([PAGE], transport=transport)
    with pytest.raises(ServerError):
        flat.releases("foo")

    assert flat.releases("foo") is not None


def test_a_page_is_cached_revalidated_and_used_offline(make_registry, clock):
    page = FakeResponse(HTML, headers={"etag": '"x"'})
    transport = FakeTransport({PAGE: page})

    def flat(**options):
        return make_registry(transport=transport, find_links=[PAGE], **options).flat

    assert flat().releases("foo") is not None
    clock.now += 599
    assert flat().releases("foo") is not None
    assert len(transport.requests) == 1
    clock.now += 2
    transport.answers[PAGE] = FakeResponse(status=304)
    assert flat().releases("foo") is not None
    assert transport.requests[1][1]["If-None-Match"] == '"x"'
    clock.now += 1e6
    assert flat(offline=True).releases("foo") is not None
    assert len(transport.requests) == 2


def test_a_login_in_the_address_is_used_but_not_shown():
    address = "https://u:secret@h/links.html"
    transport = FakeTransport({address: FakeResponse(HTML, url="https://h/links.html")})
    flat = FlatIndex([address], transport=transport)

    assert "secret" not in rows(flat.releases("foo"))[0].index + "".join(flat.locations)


def test_a_call_looks_at_a_folder_once_for_all_its_projects(tmp_path):
    (tmp_path / "foo-1.0.tar.gz").touch()
    flat = FlatIndex([PAGE, tmp_path], transport=FakeTransport({PAGE: b"<p>"}))
    stamp = flat.stamp()
    assert flat.releases("foo", stamp=stamp).versions == ["1.0"]
    (tmp_path / "bar-1.0.tar.gz").touch()

    assert flat.releases("bar", stamp=stamp) is None, "within a call the folder stays as it was"
    assert flat.releases("bar", stamp=flat.stamp()).versions == ["1.0"]
    assert flat.releases("bar").versions == ["1.0"]
