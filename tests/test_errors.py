"""Every error is data: it pickles, and says the same in every process."""

from __future__ import annotations

import json
import pickle
import re

import pytest

from puffin_api import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_with_all_it_holds(kind):
    fields = {name: f"value of {name}" for name in kind._fields}
    error = kind("what went wrong", hint="how to mend it", **fields)
    error.state = "rolled-back"
    error.add_note("seen here")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert str(again) == "what went wrong"
    assert again.to_dict() == error.to_dict()
    assert again.__notes__ == ["seen here"]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_of_its_own_and_json_able_data(kind):
    data = kind("x").to_dict()

    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert [other for other in CLASSES if other.code == kind.code] == [kind]
    assert json.loads(json.dumps(data)) == data
    assert set(data) == {
        "schema",
        "code",
        "message",
        "hint",
        "retryable",
        "user_fixable",
        "state",
        "data",
    }


def test_a_field_that_a_class_does_not_have_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="no field 'nonsense'"):
        errors.TimedOut("x", nonsense=1)
