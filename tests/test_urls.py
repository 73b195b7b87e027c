from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from puffin_api import _urls
from puffin_api._urls import (
    canonical,
    filename,
    join,
    joiner,
    origin,
    path_to_url,
    redact,
    redact_in,
    repository,
    resource,
    split_credentials,
    split_fragment,
    url_to_path,
)
from puffin_api.errors import RequirementInvalid

# Pieces that matter to these functions, in any order: more telling than any text.
PIECES = st.sampled_from(
    """https git+ssh http file :// : / // @ ? # % %2f %41 %7e %25 host GitHub.com user Org .git .. ./
    [::1] 8080 443 é a=b & ~ ;""".split()  # noqa: SIM905  # forty quoted strings are harder to read
) | st.just(" ")
ANY_TEXT = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=40))
WORD = st.text("abcXYZ0189-_~.", min_size=1, max_size=8)
SECRET = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8).map(lambda text: f"SECRET{text}")
PATH = st.lists(WORD, max_size=4).map(lambda words: "/" + "/".join(words))


@st.composite
def urls(draw, userinfo=""):
    scheme = draw(st.sampled_from(["http", "https", "git+https", "ssh", "git+ssh"]))
    host = draw(st.sampled_from(["host", "Example.ORG", "github.com", "[::1]", "127.0.0.1"]))
    port = draw(st.sampled_from(["", ":443", ":80", ":8080", ":22"]))
    tail = draw(st.sampled_from(["", ".git", "@v1", ".git@main", "?a=b", "#subdirectory=x", "/"]))
    return f"{scheme}://{userinfo}{host}{port}{draw(PATH)}{tail}"


# ---------------------------------------------------------------------------------------------
# join

BASES = [
    "https://host/simple/flask/",
    "https://host/simple/flask",
    "http://h/a/b/c/",
    "https://host:8080/x/y/?page=2",
    "https://host",
    "https://host/",
    "http://h/",
    "https://user:pw@host/simple/a/",
    "https://host/a//b/",
    "https://host/a/./b/",
    "https://host/a/../b/",
    "file:///srv/packages/",
]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    "href",
    [
        "https://files.host/packages/flask-3.0-py3-none-any.whl#sha256=00",
        "flask-3.0-py3-none-any.whl#sha256=00",
        "../../packages/ab/cd/flask-3.0.tar.gz#sha256=00",
        "../flask-3.0.tar.gz",
        "../../../../../flask-3.0.tar.gz",
        "..",
        "../",
        "../../",
        "/packages/flask-3.0.tar.gz",
        "/",
        "//other/flask-3.0.tar.gz",
        "./flask-3.0.tar.gz",
        "a/../flask-3.0.tar.gz",
        "../a/../flask-3.0.tar.gz",
        "?page=2",
        "#top",
        "",
        "ftp://host/x",
        "data:text/plain,x",
        "_private/x",
        "a;b",
        "/a/./b",
    ],
)
def test_a_link_leads_where_urllib_says(base, href):
    assert join(base, href) == urljoin(base, href)


HREF = st.lists(
    st.sampled_from(["a", "B-1.whl", "/", "..", "../", ".", ":", "?q", "#f", "%2F", "é", ";", "//"]),
    max_size=6,
)


@given(st.sampled_from(BASES), HREF.map("".join))
def test_any_link_leads_where_urllib_says(base, href):
    # Empty queries and fragments, which urllib drops, are no difference.
    assert urlsplit(join(base, href)).geturl() == urlsplit(urljoin(base, href)).geturl()


def test_a_joiner_joins_as_join_does():
    join_to_base = joiner("https://host/simple/flask/")

    for href in ("a.whl", "../a.whl", "../../../a.whl", "/a.whl", "//h/a.whl", "http://h/a.whl", ""):
        assert join_to_base(href) == join("https://host/simple/flask/", href)


# ---------------------------------------------------------------------------------------------
# canonical, repository

SAME = [
    ("https://host/a", "HTTPS://HOST/a"),
    ("https://host/a", "https://host:443/a"),
    ("http://host/a", "http://host:80/a"),
    ("http://host/a", "http://host:/a"),
    ("https://host/a", "https://host/a/"),
    ("https://host/a", "https://user:password@host/a"),
    ("https://host/a", "https://token@host/a"),
    ("https://host/a~b", "https://host/a%7Eb"),
    ("https://host/a~b", "https://host/a%7eb"),
    ("https://host/%C3%A9", "https://host/é"),
    ("https://host/%C3%A9", "https://host/%c3%a9"),
    ("https://host/a%20b", "https://host/a b"),
    ("https://host/100%25", "https://host/100%"),
    ("git+https://host/a", "git+https://host/a.git"),
    ("git+https://host/a", "git+https://host:443/a.git/"),
    ("git+https://host/a@v1", "git+https://host/a.git@v1"),
    ("git+https://host/a@feature/x", "git+https://host/a.git@feature/x"),
    ("git+https://github.com/org/project", "git+https://GitHub.com/Org/Project.git"),
    ("git+https://github.com/org/project@Main", "git+https://github.com/Org/Project.GIT@Main"),
    ("ssh://host/org/a", "git@host:org/a.git"),
    ("git+ssh://host/org/a", "git+ssh://git@host/org/a.git"),
    ("git+ssh://host/org/a", "git+ssh://git@host:22/org/a"),
    ("git+ssh://host/org/a", "git+ssh://git@host:org/a.git"),
    ("git+ssh://host/org/a", "git+git@host:org/a.git"),
    ("file:///srv/a", "file://localhost/srv/a/"),
    ("https://[::1]/a", "https://[::1]:443/a"),
    ("https://host/a", "https://user:pass/word@host/a"),
    ("https://host", "https://a:b/c@d:e/f@host"),
    ("no url: %41 ", "no url: %41 "),
]

DIFFERENT = [
    ("https://host/a", "https://host/A"),
    ("https://host/a", "http://host/a"),
    ("https://host/a", "https://host:8443/a"),
    ("https://host/a%2Fb", "https://host/a/b"),
    ("https://host/a%2541", "https://host/aA"),
    ("https://host/a?x=1", "https://host/a?x=2"),
    ("git+https://host/a@v1", "git+https://host/a@v2"),
    ("git+https://github.com/o/p@Main", "git+https://github.com/o/p@main"),
    ("git+https://host/a#subdirectory=x", "git+https://host/a#subdirectory=y"),
    ("https://github.com/o/p/releases/X.whl", "https://github.com/o/p/releases/x.whl"),
    ("file:///srv/a/.git", "file:///srv/a"),
    ("https://host/@scope/a", "https://host/"),
    ("https://[::1]:8080/a", "https://[::1]/a"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_url_are_canonically_equal(one, other):
    assert canonical(one) == canonical(other) == one


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_urls_stay_different(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://host/a-1.0+cu118.whl", "https://host/a-1.0%2Bcu118.whl#sha256=ab"),
        ("https://host/a;b/a-1!1.0.whl", "https://host/a%3Bb/a-1%211.0.whl"),
        ("file:///a/~b/(c)&'d'@e,f=$g*h:i", "file:///a/%7eb/%28c%29%26%27d%27%40e%2Cf%3D%24g%2Ah%3Ai"),
        ("file:///a/b", "file://localhost/a/./x/../b"),
    ],
)
def test_spellings_of_one_file_are_one_resource(one, other):
    assert resource(one) == resource(other) == one


@pytest.mark.parametrize("escape", ["%2F", "%3F", "%23", "%25"])
def test_what_would_be_another_path_is_another_resource(escape):
    assert resource(f"https://host/a{escape}b") == f"https://host/a{escape}b"


@given(ANY_TEXT)
def test_resource_is_idempotent_and_total(text):
    assert resource(resource(text)) == resource(text)


@given(ANY_TEXT)
def test_canonical_is_idempotent_and_total(text):
    assert canonical(canonical(text)) == canonical(text)


@given(ANY_TEXT)
def test_repository_is_idempotent_and_total(text):
    assert repository(repository(text)) == repository(text)


@given(st.data(), SECRET, SECRET, st.sampled_from(["", "/", "%40", "#"]))
def test_credentials_are_never_shown_nor_part_of_a_key(data, user, password, odd):
    assume(odd != "#")
    url = data.draw(urls(userinfo=f"{user}:{password}{odd}@"))
    if odd == "/" and "ssh" in url:
        return  # owner and project of git@host:owner/project stand in that place
    for shown in (canonical(url), repository(url), redact(url), origin(url)):
        assert "SECRET" not in shown


@given(urls(), SECRET)
def test_credentials_do_not_change_the_canonical_form(url, secret):
    scheme, _, rest = url.partition("://")

    assert canonical(f"{scheme}://user:{secret}@{rest}") == canonical(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("git+https://host/a.git@v1#subdirectory=x", "git+https://host/a"),
        ("git+https://host/a.git@feature/x", "git+https://host/a"),
        ("git+ssh://git@host/a.git", "git+ssh://host/a"),
        ("git@host:org/a.git@v1", "ssh://host/org/a"),
        ("https://host/a-1.0.whl?x=1#sha256=00", "https://host/a-1.0.whl"),
        ("https://host/@scope/a", "https://host/@scope/a"),
    ],
)
def test_the_repository_has_no_revision_query_or_fragment(url, expected):
    assert repository(url) == expected


# ---------------------------------------------------------------------------------------------
# fragments, credentials, origin, file names


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host/a", ("https://host/a", {})),
        ("https://host/a#sha256=00", ("https://host/a", {"sha256": "00"})),
        (
            "https://host/a?x#sha256=00&subdirectory=a%2Fb",
            ("https://host/a?x", {"sha256": "00", "subdirectory": "a/b"}),
        ),
        ("https://host/a#egg=a&egg=b", ("https://host/a", {"egg": "a"})),
        ("https://host/a#", ("https://host/a", {})),
        ("https://host/a#top&&=x", ("https://host/a", {"top": ""})),
    ],
)
def test_a_fragment_is_split_into_pairs(url, expected):
    assert split_fragment(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host/a", ("https://host/a", None)),
        ("https://host/@scope/a", ("https://host/@scope/a", None)),
        ("https://user:pw@Host:443/a?b#c", ("https://Host:443/a?b#c", ("user", "pw"))),
        ("https://user@host/a", ("https://host/a", ("user", ""))),
        ("https://:pw@host/a", ("https://host/a", ("", "pw"))),
        ("https://us%40er:p%3Aw@host/a", ("https://host/a", ("us@er", "p:w"))),
        ("https://a@b:pw@host/a", ("https://host/a", ("a@b", "pw"))),
        ("git+ssh://git@host/a", ("git+ssh://host/a", ("git", ""))),
    ],
)
def test_credentials_are_split_off_and_decoded(url, expected):
    assert split_credentials(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host/a", "https://host/a"),
        ("https://user:pw@host/a?b#c", "https://****@host/a?b#c"),
        ("https://token@host/a", "https://****@host/a"),
        ("git+ssh://git@host/a", "git+ssh://git@host/a"),
        ("git+ssh://git:pw@host/a", "git+ssh://****@host/a"),
        ("git@host:org/a", "git@host:org/a"),
        ("https://user:p/w@host/a", "https://****@host/a"),
        ("https://host/a?token=x&b=c", "https://host/a?token=****&b=c"),
        ("https://host/a?b=c&X-Amz-Signature=x", "https://host/a?b=c&X-Amz-Signature=****"),
        ("https://host/a?page=2", "https://host/a?page=2"),
        ("no url at all", "no url at all"),
    ],
)
def test_secrets_are_masked(url, expected):
    assert redact(url) == expected


@given(urls())
def test_a_url_without_secrets_is_shown_as_it_is(url):
    assert redact(url) == url


def test_a_text_with_a_url_is_redacted():
    url = "https://user:secret@host/a.whl?token=secret"

    assert redact_in(f"a @ {url} ; x", url) == "a @ https://****@host/a.whl?token=**** ; x"
    assert redact_in("a>=1", "") == "a>=1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@Host:443/a?b#c", "https://host"),
        ("http://host:8080/a", "http://host:8080"),
        ("https://[::1]:8080/a", "https://[::1]:8080"),
        ("https://host", "https://host"),
    ],
)
def test_the_origin_is_scheme_host_and_port(url, expected):
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host/a/flask-3.0-py3-none-any.whl#sha256=a/b", "flask-3.0-py3-none-any.whl"),
        ("https://host/a/torch-2.0%2Bcu121.whl?x=a/b", "torch-2.0+cu121.whl"),
        ("https://host/a%252Fb", "a%2Fb"),
        ("https://host/a/", ""),
        ("https://host", ""),
        ("https://host?x=/y", ""),
        ("file:///srv/a%20b.whl", "a b.whl"),
        ("../a.whl", "a.whl"),
        ("a.whl", "a.whl"),
    ],
)
def test_the_file_name_is_decoded_once(url, expected):
    assert filename(url) == expected


# ---------------------------------------------------------------------------------------------
# paths


@given(st.lists(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1), min_size=1))
@pytest.mark.skipif(sys.platform == "win32", reason="any name is allowed only elsewhere")
def test_a_path_comes_back_from_its_url(segments):
    path = Path("/", *segments)

    assert url_to_path(path_to_url(path)) == path


@pytest.mark.skipif(sys.platform == "win32", reason="names are bytes only elsewhere")
def test_a_path_that_is_no_text_comes_back_from_its_url():
    path = Path(os.fsdecode(b"/srv/\xff"))

    assert url_to_path(path_to_url(path)) == path


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
@pytest.mark.parametrize(
    "url", ["file:///srv/a%20b#subdirectory=x", "file://localhost/srv/a%20b", "FILE:/srv/a%20b?x"]
)
def test_spellings_of_a_file_url_give_its_path(url):
    assert url_to_path(url) == Path("/srv/a b")


@pytest.mark.parametrize("url", ["https://host/a", "file:relative", "/srv/a", "https://user:SECRET@host/a"])
def test_what_is_no_local_file_is_refused_without_showing_secrets(url):
    with pytest.raises(RequirementInvalid) as caught:
        url_to_path(url)

    assert "SECRET" not in str(caught.value.to_dict())
    assert caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="there, it is a share")
def test_a_file_of_another_host_is_refused():
    with pytest.raises(RequirementInvalid):
        url_to_path("file://server/share/a")


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("", "/C:/a%20b/c.whl", r"C:\a b\c.whl"),
        ("", "/C|/a", r"C:\a"),
        ("server", "/share/a", r"\\server\share\a"),
        ("", "/a", r"\a"),
    ],
)
def test_paths_of_windows_are_written_its_way(host, path, expected):
    assert _urls._windows_path(host, path) == expected
