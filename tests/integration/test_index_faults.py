"""Pages that are broken, hostile or of somebody else: a typed error, or a file left out with a reason."""

from __future__ import annotations

import json

import pytest

from puffin_api import Cache, Client, IndexStrategy, Resolver, Target
from puffin_api.errors import (
    AuthenticationRequired,
    Forbidden,
    HashMismatch,
    MetadataInvalid,
    PackageNotFound,
    ResolutionFailed,
    ServerError,
)
from puffin_api.testing import make_wheel
from tests.integration.job_kit import ONE_TRY, find_error, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
JSON = "application/vnd.pypi.simple.v1+json"
PAGE = "/simple/app/"


@pytest.fixture
def make_client(serve, tmp_path):
    """Make a client for servers, in this order; closed before them."""
    clients = []

    def make(*servers, **options):
        options = {"cache": Cache(tmp_path / "cache"), "retries": ONE_TRY, **options}
        clients.append(Client(indexes=[server.url for server in servers], **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def resolve(client, *requirements, **options):
    resolution = Resolver(client).resolve(requirements, target=TARGET, **options)
    return {name: str(package.version) for name, package in resolution.packages.items()}


def entry(filename, **about):
    return {"filename": filename, "url": f"../../files/{filename}", "hashes": {}, **about}


def list_files(server, *files, **page):
    """Answer for the page of app with these entries."""
    body = {"meta": {"api-version": "1.0"}, "name": "app", "files": list(files), **page}
    server.page(PAGE, json.dumps(body), Content_Type=JSON)


# -- pages that are none

BROKEN_PAGES = {
    "rubbish": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "text/html"),
    "text": (b"the index is closed for maintenance", "text/html"),
    "text for JSON": (b"maintenance", JSON),
    "truncated": (b'{"meta": {"api-version": "1.0"}, "files": [{"filename": "app-1.0.tar', JSON),
    "not an object": (b"[]", JSON),
    "no list": (b'{"files": {"app": 1}}', JSON),
    "no body": (b"", JSON),
    "deep": (b'{"a":' * 100_000, JSON),
    "of the future": (b'{"meta": {"api-version": "2.0"}, "files": []}', JSON),
    "of the future in HTML": (b'<meta name="pypi:repository-version" content="2.0">', "text/html"),
}


@pytest.mark.parametrize("strategy", list(IndexStrategy))
@pytest.mark.parametrize("kind", BROKEN_PAGES)
def test_a_page_that_is_none_is_an_error_and_no_reason_to_ask_the_next(serve, make_client, kind, strategy):
    body, content_type = BROKEN_PAGES[kind]
    broken, other = serve(), serve(wheel("app", "9.0"))
    broken.page(PAGE, body, Content_Type=content_type)
    client = make_client(broken, other, index_strategy=strategy)

    error = find_error(lambda: resolve(client, "app"))

    assert type(error) is MetadataInvalid
    assert error.name == "app"
    assert error.source == f"{broken.url}app/"
    assert broken.url in str(error)
    assert error.reason


@pytest.mark.parametrize("strategy", list(IndexStrategy))
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationRequired), (403, Forbidden), (400, ServerError), (500, ServerError)],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_index_that_refuses_is_an_error_wherever_it_would_be_asked(
    serve, make_client, status, kind, strategy, place
):
    refusing, good = serve(), serve(wheel("app", "1.0"))
    refusing.page(PAGE, b"", status=status)
    client = make_client(*((refusing, good) if place == 0 else (good, refusing)), index_strategy=strategy)

    if place == 1 and strategy is IndexStrategy.FIRST_INDEX:
        assert resolve(client, "app") == {"app": "1.0"}
        assert refusing.count() == 0
        return
    error = find_error(lambda: resolve(client, "app"))
    assert type(error) is kind
    assert error.url == f"{refusing.url}app/"


def test_redirects_without_an_end_are_an_error(serve, make_client):
    turning, other = serve(), serve(wheel("app", "9.0"))
    turning.redirect(PAGE, PAGE)
    error = find_error(lambda: resolve(make_client(turning, other), "app"))

    assert type(error) is ServerError
    assert error.url.startswith(turning.origin)
    assert "redirects" in str(error)
    assert other.count() == 0


@pytest.mark.parametrize("status", [404, 410])
def test_not_here_is_the_one_answer_that_leads_to_the_next_index(serve, make_client, status):
    empty, other = serve(), serve(wheel("app", "9.0"))
    empty.page(PAGE, b"no such project", status=status)

    assert resolve(make_client(empty, other), "app") == {"app": "9.0"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "text/html"),
        (b"<!DOCTYPE html><html><body></body></html>", "text/html"),
        (b'{"meta": {"api-version": "1.0"}, "name": "app", "files": []}', JSON),
        (b"{}", JSON),
    ],
)
def test_an_index_with_an_empty_page_knows_the_project(serve, make_client, body, kind):
    empty, other = serve(), serve(wheel("app", "9.0"))
    empty.page(PAGE, body, Content_Type=kind)

    error = find_error(lambda: resolve(make_client(empty, other), "app"))

    assert type(error) is ResolutionFailed
    assert "app has no versions" in str(error)
    assert other.count() == 0


@pytest.mark.parametrize("as_json", [True, False])
def test_of_the_page_of_another_project_nothing_is_taken(serve, make_client, as_json):
    server = serve(wheel("evil", "9.0"), as_json=as_json)
    server.redirect(PAGE, "/simple/evil/")
    client = make_client(server)

    project = client.project("app")

    assert project.versions == ()
    assert "another project" in project.skipped["evil-9.0-py3-none-any.whl"]


# -- entries that are of no use

GOOD = "app-1.0-py3-none-any.whl"
BAD_ENTRIES = {
    "no name": ({"url": "x"}, "file 0", "'filename' is missing"),
    "no text for a name": ({"filename": 3, "url": "x"}, "file 0", ""),
    "no object": ("app-2.0.tar.gz", "file 0", ""),
    "no address": ({"filename": "app-2.0.tar.gz"}, "app-2.0.tar.gz", "'url' is missing"),
    "no text for an address": ({"filename": "app-2.0.tar.gz", "url": None}, "app-2.0.tar.gz", "no text"),
    "a path": (entry("../app-2.0.tar.gz"), "../app-2.0.tar.gz", "path"),
    "another project": (entry("other-2.0.tar.gz"), "other-2.0.tar.gz", ""),
    "another kind": (entry("app-2.0.exe"), "app-2.0.exe", "neither a wheel"),
    "no version": (entry("app-new.tar.gz"), "app-new.tar.gz", "not a valid version"),
    "four parts": (entry("app-2.0-any.whl"), "app-2.0-any.whl", "five or six parts"),
    "a local file": (
        entry("app-2.0.tar.gz", url="file:///x/app-2.0.tar.gz"),
        "app-2.0.tar.gz",
        "none that we",
    ),
    "another scheme": (
        entry("app-2.0.tar.gz", url="ftp://x/app-2.0.tar.gz"),
        "app-2.0.tar.gz",
        "none that we",
    ),
    "hashes": (entry("app-2.0.tar.gz", hashes=["x"]), "app-2.0.tar.gz", "wrong kind"),
    "a digest": (entry("app-2.0.tar.gz", hashes={"sha256": 1}), "app-2.0.tar.gz", "no text"),
    "python": (entry("app-2.0.tar.gz", **{"requires-python": 3}), "app-2.0.tar.gz", "wrong kind"),
}


@pytest.mark.parametrize("kind", BAD_ENTRIES)
def test_a_bad_entry_is_left_out_with_a_reason_and_hides_no_other(serve, make_client, kind):
    bad, label, reason = BAD_ENTRIES[kind]
    server = serve({GOOD: make_wheel("app", "1.0")})
    list_files(server, bad, entry(GOOD))
    client = make_client(server)

    project = client.project("app")

    assert [file.filename for file in project.files] == [GOOD]
    assert reason in project.skipped[label]
    assert resolve(client, "app") == {"app": "1.0"}


@pytest.mark.parametrize("as_json", [True, False])
def test_a_requires_python_that_does_not_parse_bars_nothing(serve, make_client, as_json):
    server = serve(as_json=as_json)
    server.add(GOOD, make_wheel("app", "1.0"), requires_python="three, mostly")

    assert resolve(make_client(server), "app") == {"app": "1.0"}


@pytest.mark.parametrize("digest", ["0" * 64, "rubbish", ""])
def test_a_digest_that_no_file_can_have_keeps_the_file_from_being_used(serve, make_client, digest):
    server = serve()
    server.add(GOOD, make_wheel("app", "1.0"), hashes={"sha256": digest})
    client = make_client(server)
    (file,) = client.project("app").files

    error = find_error(lambda: client.fetch(file))

    assert type(error) is HashMismatch
    assert GOOD in str(error)


def test_addresses_are_relative_to_where_a_redirect_has_led(serve, make_client):
    server = serve()
    mirror = serve()
    server.redirect(PAGE, f"{mirror.origin}/deep/down/app/")
    mirror.page("/deep/down/app/", f'<a href="../files/{GOOD}">x</a><a href="/files/app-2.0.tar.gz">y</a>')
    files = {file.filename: file.url for file in make_client(server).project("app").files}

    assert files == {
        GOOD: f"{mirror.origin}/deep/down/files/{GOOD}",
        "app-2.0.tar.gz": f"{mirror.origin}/files/app-2.0.tar.gz",
    }


def test_a_login_page_in_the_place_of_an_index_does_not_lead_to_the_next(serve, make_client):
    portal, other = serve(), serve(wheel("app", "9.0"))
    portal.page(PAGE, '<html><body><form action="/login"><a href="/help">?</a></form></body></html>')
    error = find_error(lambda: resolve(make_client(portal, other), "app"))

    assert type(error) is ResolutionFailed
    assert other.count() == 0


def test_an_unknown_project_names_every_index_that_was_asked(serve, make_client):
    one, two = serve(), serve()
    error = find_error(lambda: resolve(make_client(one, two), "app"))

    assert type(error) is PackageNotFound
    assert (error.name, error.indexes) == ("app", [one.url, two.url])
