from __future__ import annotations

import json
import pickle

import attrs
import pytest

from puffin_api._model import problems
from puffin_api._model.direct_url import DirectUrl, DirInfo
from puffin_api._model.events import Notice
from puffin_api._model.plan import (
    Blocker,
    Break,
    Change,
    InstallReport,
    Plan,
    PreparedPlan,
    Recovered,
    RecoveryReport,
    StaleReport,
)

CHANGE = Change(
    action="upgrade", name="a", old="1", new="2", direct_url=DirectUrl(url="file:///a", info=DirInfo())
)
VALUES = [
    CHANGE,
    Break(name="b", version="1", requirement="a<2", becomes=None),
    Blocker(code="x-not-allowed", name="a", message="no"),
    StaleReport(stale=("a",), restart="advised"),
    Plan(changes=(CHANGE,), requested=frozenset({"a"}), notices=(Notice(code="c", message="m"),)),
    PreparedPlan(plan=Plan(), wheels={}),
    InstallReport(changes=(CHANGE,), timings={"commit": 0.1}),
    RecoveryReport(transactions=(Recovered("x", "finished"),)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_data(value):
    assert json.loads(json.dumps(value.to_dict()))["schema"] == 1
    assert pickle.loads(pickle.dumps(value)) == value
    hash(value)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.schema = 2


def test_what_was_not_changed_says_so():
    assert not InstallReport().changed
    assert InstallReport(changes=(CHANGE,)).changed
    assert Plan().is_empty
    assert not Plan(changes=(CHANGE,)).is_empty


@pytest.mark.parametrize("kind", problems.Problem.__args__, ids=lambda kind: kind.__name__)
def test_each_problem_has_a_code_a_message_and_data(kind):
    samples = {"versions": ("1", "2"), "locations": ("/a", "/b")}
    problem = kind(**{field.name: samples.get(field.name, field.name) for field in attrs.fields(kind)})

    data = json.loads(json.dumps(problem.to_dict()))

    assert data["code"] == problem.code != "problem"
    assert data["message"] == problem.message
    assert data["data"].keys() == {field.name for field in attrs.fields(kind)}
    assert pickle.loads(pickle.dumps(problem)) == problem


def test_codes_of_problems_differ():
    assert len({kind.code for kind in problems.Problem.__args__}) == len(problems.Problem.__args__)
