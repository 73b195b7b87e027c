"""Index pins: which index each pinned project comes from."""

from __future__ import annotations

import pytest

from puffin_api._client.index_pins import pin_indexes
from puffin_api._model.options import Index
from puffin_api._testing.fake_index import FakeIndex
from puffin_api.errors import RequirementInvalid

ONE = Index("https://one.invalid/simple/", name="one")
TWO = Index("https://user:s3cret@two.invalid/simple")
INDEXES = [ONE, TWO, FakeIndex()]


@pytest.mark.parametrize(
    ("target", "position"),
    [
        ("one", 0),
        ("https://one.invalid/simple", 0),
        ("HTTPS://ONE.invalid:443/simple/", 0),
        ("https://two.invalid/simple/", 1),
        ("https://other:login@two.invalid/simple", 1),
        (Index("https://one.invalid/simple"), 0),
        ("FakeIndex", 2),
    ],
)
def test_an_index_is_found_by_name_or_address(target, position):
    indexes, pins = pin_indexes(INDEXES, {"My.Project": target})

    assert indexes == tuple(INDEXES)
    assert pins == {"my-project": position}


def test_an_index_that_only_pins_know_is_added_once_and_asked_for_nothing_else():
    extra = Index("https://three.invalid/simple", name="three")
    indexes, pins = pin_indexes(INDEXES, {"a": extra, "b": extra, "c": "three"})

    assert indexes == (*INDEXES, Index(extra.url, name="three", explicit=True))
    assert pins == {"a": 3, "b": 3, "c": 3}


def test_a_pin_that_leads_nowhere_names_the_indexes_without_logins():
    with pytest.raises(ValueError, match="none of the indexes") as caught:
        pin_indexes(INDEXES, {"a": "onne"})

    assert str(caught.value) == (
        "a is pinned to 'onne', which is none of the indexes; there are: one,"
        " https://****@two.invalid/simple, FakeIndex"
    )


def test_a_name_that_two_indexes_have_is_refused():
    with pytest.raises(ValueError, match="the name of several indexes"):
        pin_indexes([ONE, Index("https://x.invalid/", name="one")], {"a": "one"})


def test_two_spellings_of_a_project_may_not_be_pinned_to_two_indexes():
    assert pin_indexes(INDEXES, {"a-b": "one", "A_b": "one"})[1] == {"a-b": 0}
    with pytest.raises(ValueError, match="a-b is pinned to two indexes"):
        pin_indexes(INDEXES, {"a-b": "one", "A_b": TWO})


def test_a_pin_for_no_project_is_refused():
    with pytest.raises(RequirementInvalid):
        pin_indexes(INDEXES, {"": "one"})
