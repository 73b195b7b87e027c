"""Project pages in HTML: a table of odd links."""

from __future__ import annotations

import pytest

from puffin_api._client.simple_html import parse
from puffin_api.errors import MetadataInvalid

URL = "https://h/simple/foo/"
WHEEL = "foo-1.0-py3-none-any.whl"


def only(html, url=URL):
    rows, skipped, _ = parse(html.encode(), url, "foo")
    assert not skipped
    (row,) = rows
    return row


@pytest.mark.parametrize(
    ("html", "url"),
    [
        (f'<a href="{WHEEL}">', f"https://h/simple/foo/{WHEEL}"),
        (f'<a href="../../f/{WHEEL}">', f"https://h/f/{WHEEL}"),
        (f'<a href="//cdn/{WHEEL}">', f"https://cdn/{WHEEL}"),
        (f'<A HREF="/{WHEEL}">', f"https://h/{WHEEL}"),
        (f"<a href={WHEEL}>", f"https://h/simple/foo/{WHEEL}"),
        (f'<a href=" {WHEEL}\n">', f"https://h/simple/foo/{WHEEL}"),
        (f'<base href="https://b/x/"><a href="{WHEEL}">', f"https://b/x/{WHEEL}"),
        (f'<base href="/x/"><a href="{WHEEL}">', f"https://h/x/{WHEEL}"),
        (f'<base href="/x/"><base href="/y/"><a href="{WHEEL}">', f"https://h/x/{WHEEL}"),
        (f'<base target="_top"><base href="/y/"><a href="{WHEEL}">', f"https://h/y/{WHEEL}"),
        (f'<a href="https://u:p@h/{WHEEL}">', f"https://h/{WHEEL}"),
        (f'<a href="{WHEEL}?a=1&amp;b=2">', f"https://h/simple/foo/{WHEEL}?a=1&b=2"),
        (f'<a href="{WHEEL}"><a href="other/"><a href="#top"><a name="x"><a href="">', f"{URL}{WHEEL}"),
        (f'<a href="{WHEEL}" href="second.whl">', f"{URL}{WHEEL}"),
    ],
)
def test_addresses(html, url):
    assert only(html).url == url


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        ("", ()),
        ("#sha256=AB", ("sha256:ab",)),
        ("#md5=ab", ("md5:ab",)),
        ("#egg=foo", ()),
        ("#sha256=ab&egg=foo", ("sha256:ab",)),
        ("#egg=foo&amp;sha256=ab", ("sha256:ab",)),
        ("#nonsense", ()),
        ("#sha256=", ()),
    ],
)
def test_fragments(fragment, hashes):
    row = only(f'<a href="{WHEEL}{fragment}">x</a>')

    assert row.hashes == hashes
    assert "#" not in row.url


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", ("", None, None)),
        ('data-requires-python="&gt;=3.8,&lt;4"', (">=3.8,<4", None, None)),
        ('data-requires-python=">=3.8"', (">=3.8", None, None)),
        ("data-yanked", ("", "", None)),
        ('data-yanked=""', ("", "", None)),
        ('data-yanked="bad &amp; ugly"', ("", "bad & ugly", None)),
        ('data-core-metadata="sha256=AB"', ("", None, "sha256:ab")),
        ('data-core-metadata="true"', ("", None, True)),
        ("data-core-metadata", ("", None, True)),
        ('data-core-metadata="false"', ("", None, False)),
        ('data-dist-info-metadata="sha256=ab"', ("", None, "sha256:ab")),
        ('data-core-metadata="false" data-dist-info-metadata="true"', ("", None, False)),
    ],
)
def test_attributes(attributes, expected):
    row = only(f'<a href="{WHEEL}" {attributes}>x</a>')

    assert (row.requires_python, row.yanked, row.metadata) == expected


@pytest.mark.parametrize(
    ("href", "filename"),
    [
        ("foo-1.0%2Blocal-py3-none-any.whl", "foo-1.0+local-py3-none-any.whl"),
        ("foo-1.0%252B1-py3-none-any.whl", "foo-1.0%2B1-py3-none-any.whl"),
    ],
)
def test_the_name_is_decoded_once(href, filename):
    assert only(f'<a href="{href}">').filename == filename


@pytest.mark.parametrize(
    ("href", "reason"),
    [
        ("..%2Ffoo-1.0-py3-none-any.whl", "path"),
        ("bar-1.0.tar.gz", "not the name"),
        ("foo-1.0.exe", "neither"),
        ("file:///x/foo-1.0.tar.gz", "none that we would fetch"),
    ],
)
def test_odd_links_are_left_out_with_the_reason(href, reason):
    rows, skipped, _ = parse(f'<a href="{href}"><a href="{WHEEL}">'.encode(), URL, "foo")

    assert [row.filename for row in rows] == [WHEEL]
    assert reason in str(skipped)


def test_a_malformed_host_does_not_hide_the_other_links():
    rows, _, _ = parse(f'<a href="//[/x"><a href="{WHEEL}">'.encode(), URL, "foo")

    assert [row.filename for row in rows] == [WHEEL]


def test_a_local_page_may_lead_to_local_files():
    assert only(f'<a href="{WHEEL}">', "file:///x/foo/").url == f"file:///x/foo/{WHEEL}"


def test_status_and_version_of_the_page():
    assert parse(b'<meta name="pypi:project-status" content="archived">', URL, "foo")[2] == "archived"
    assert parse(b'<meta name="pypi:repository-version" content="1.4">', URL, "foo")[2] == "active"
    with pytest.raises(MetadataInvalid):
        parse(b'<meta name="pypi:repository-version" content="2.0">', URL, "foo")


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xff\xfe<a href=x>", b"<!DOCTYPE html>", b"<p>nothing"])
def test_a_page_without_files_is_a_page(body):
    assert parse(body, URL, "foo")[0] == []


@pytest.mark.parametrize(
    "body", [b"closed for maintenance", b"<a", b"<<<>>>", b"<a href='" + b"x" * 9999, b"\x89PNG\r\n\x1a\n"]
)
def test_what_has_not_a_single_tag_is_no_page(body):
    with pytest.raises(MetadataInvalid) as caught:
        parse(body, URL, "foo")

    assert (caught.value.name, caught.value.source) == ("foo", URL)


def test_a_page_that_is_not_utf8_is_read_all_the_same():
    assert parse(f'caf\xe9 <a href="{WHEEL}">'.encode("latin-1"), URL, "foo")[0][0].filename == WHEEL
