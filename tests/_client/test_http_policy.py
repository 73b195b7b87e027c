"""How long an answer is fresh."""

from __future__ import annotations

import pytest

from puffin_api._client.http_cache import UNSAID, Policy

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "lifetime"),
    [
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": 'public, Max-Age="60"'}, 60),
        ({"cache-control": "max-age=60, must-revalidate"}, 60),
        ({"cache-control": "no-cache, max-age=60"}, 0),
        ({"cache-control": "max-age=nonsense"}, 0),
        ({"cache-control": "must-revalidate"}, 0),
        ({"pragma": "no-cache"}, 0),
        ({"cache-control": "max-age=60", "vary": "*"}, 0),
        ({"expires": "Tue, 14 Nov 2023 22:14:20 GMT", "date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 60),
        ({"expires": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60),
        ({"expires": "0"}, 0),
        ({"expires": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0),
        ({}, UNSAID),
        ({"etag": '"x"'}, UNSAID),
    ],
)
def test_lifetime(headers, lifetime):
    policy = Policy.of(headers, NOW)

    assert policy.lifetime == lifetime
    assert policy.is_fresh(NOW) is (lifetime > 0)
    assert not policy.is_fresh(NOW + lifetime)
    if lifetime:
        assert policy.is_fresh(NOW + lifetime - 1)


def test_an_answer_that_is_old_already_is_fresh_for_less():
    policy = Policy.of({"cache-control": "max-age=60", "age": "50"}, NOW)

    assert policy.is_fresh(NOW + 9)
    assert not policy.is_fresh(NOW + 10)


def test_immutable_answers_are_never_asked_again():
    assert Policy.of({"cache-control": "immutable"}, NOW).is_fresh(NOW + 1e9)


def test_an_answer_from_the_future_is_not_trusted():
    assert not Policy.of({}, NOW + 3600).is_fresh(NOW)


def test_who_says_nothing_is_kept_in_memory_for_good():
    assert Policy.of({}, NOW).fresh_until() > NOW + 1e9
    assert Policy.of({"cache-control": "max-age=60"}, NOW).fresh_until() == NOW + 60


def test_no_store_is_not_stored():
    assert not Policy.of({"cache-control": "no-store"}, NOW).storable
    assert Policy.of({}, NOW).storable


def test_validators_come_back_as_conditions():
    headers = Policy.of({"etag": 'W/"x"', "last-modified": "yesterday"}, NOW).revalidation_headers()

    assert headers["If-None-Match"] == 'W/"x"'
    assert headers["If-Modified-Since"] == "yesterday"


def test_what_a_304_does_not_repeat_stays():
    old = Policy.of({"etag": '"x"', "cache-control": "max-age=60", "last-modified": "then"}, NOW)
    new = old.renewed({}, NOW + 100)

    assert (new.etag, new.last_modified, new.lifetime) == ('"x"', "then", 60)
    assert new.is_fresh(NOW + 150)
    assert old.renewed({"cache-control": "max-age=9"}, NOW).lifetime == 9


def test_a_policy_survives_storing():
    policy = Policy.of({"etag": '"x"', "cache-control": "max-age=60"}, NOW)
    again = Policy.from_row(policy.to_row(), policy.stored_at)

    assert again.to_row() == policy.to_row()
    assert again.is_fresh(NOW + 59) and not again.is_fresh(NOW + 60)
