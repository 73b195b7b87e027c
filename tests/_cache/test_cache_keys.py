from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from puffin_api._cache.keys import digest, repository_key, url_key

ANY = st.text(st.characters(codec=None), max_size=20)


def test_keys_are_the_same_for_ever():
    # A change here makes every cache in the world useless: raise the numbers of the buckets.
    assert digest("a") == "9524a66f480a89f3"
    assert digest("a", "b") == "42de60bac299d468"
    assert url_key("https://host/simple/") == "8c2ae79124537d3d"
    assert repository_key("git+https://host/a") == "f60e78ba26f623ef"


@given(st.lists(ANY))
def test_a_key_is_16_hex_digits(parts):
    assert re.fullmatch("[0-9a-f]{16}", digest(*parts))


@given(st.lists(ANY, max_size=4), st.lists(ANY, max_size=4))
def test_only_equal_parts_have_equal_keys(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_the_borders_between_parts_count():
    assert (
        len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", ""), digest("", "abc")}) == 5
    )


@given(st.text("abcdef%:", max_size=10), st.text("abcdef%:", max_size=10))
def test_credentials_are_no_part_of_a_key(user, password):
    assert url_key(f"https://{user}:{password}@host/a") == url_key("https://host/a")


def test_revisions_and_subdirectories_of_a_repository_share_its_key():
    urls = ["git+https://host/a", "git+https://u@host/a.git@v1", "git+https://host/a.git@v2#subdirectory=x"]

    assert len({repository_key(url) for url in urls}) == 1
    assert len({url_key(url) for url in urls}) == 3
