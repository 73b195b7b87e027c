"""Logins for URLs, and netrc."""

from __future__ import annotations

import pytest

from puffin_api._client.auth import Credentials, NetrcCredentials, basic
from puffin_api._model.options import Index


def test_the_longest_prefix_counts_and_the_origin_otherwise():
    credentials = Credentials.of(
        [
            Index("https://h/a/simple/", credentials=("a", "1")),
            "https://b:2@h/b/simple/",
            Index("https://free/"),
        ]
    )

    assert credentials.given("https://h/a/simple/flask/") == ("a", "1")
    assert credentials.given("https://h/b/simple/flask/") == ("b", "2")
    assert credentials.given("https://h/files/x.whl") == ("a", "1")
    assert credentials.given("https://other/x") is None
    assert credentials.given("http://h/a/simple/") is None, "another scheme is another origin"


def test_a_login_in_a_url_is_decoded():
    credentials = Credentials.of([Index("https://u%40x:p%3Aw@h/simple/")])

    assert credentials.given("https://h/simple/") == ("u@x", "p:w")
    assert basic(("u", "p")) == "Basic dTpw"


@pytest.mark.parametrize(
    ("text", "origin", "login"),
    [
        ("machine h login u password p", "https://h", ("u", "p")),
        ("machine h\n  login u\n  password p\n", "https://h:8443", ("u", "p")),
        ("machine h:8443 login u password p", "https://h:8443", ("u", "p")),
        ("# machine h login no password no\nmachine h login u password p", "https://h", ("u", "p")),
        ('machine h login u password "p w"', "https://h", ("u", "p w")),
        ("machine h login u password p#1", "https://h", ("u", "p#1")),
        ("machine h login u password p\nmachine h login v password q", "https://h", ("u", "p")),
        (
            "macdef init\nmachine h login no password no\n\nmachine h login u password p",
            "https://h",
            ("u", "p"),
        ),
        ("machine other login u password p", "https://h", None),
        ("default login d password e", "https://h", ("d", "e")),
        ("machine h login u", "https://h", ("u", "")),
        ('machine h login u password "open', "https://h", ("u", '"open')),
        ("", "https://h", None),
        ("login u password p machine", "https://h", None),
    ],
)
def test_netrc(text, origin, login):
    assert NetrcCredentials(text).credentials(origin) == login


def test_netrc_never_shows_a_password():
    assert "pw" not in repr(NetrcCredentials("machine h login u password pw"))
