"""Build settings and terms as data: what comes back, what is left out, and what that means."""

from __future__ import annotations

import json
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api import Resolver
from puffin_api.errors import BuildForbidden
from puffin_api.model import BuildPolicy, BuildSettings, BuildTerms, Resolution, Target
from puffin_api.testing import FakeReleaseSource

TARGET = Target.for_platform("3.12")
NAMES = st.sampled_from(["app", "My.App", "lib_x", "tool"])
TEXTS = st.text(max_size=8)
SETTING = TEXTS | st.lists(TEXTS, max_size=3).map(tuple)
CONFIG = st.dictionaries(TEXTS, SETTING, max_size=3)
VARIABLES = st.sampled_from(["TOKEN", "CC", "FLAGS"])
SETTINGS = st.builds(
    BuildSettings,
    config_settings=CONFIG,
    package_config_settings=st.dictionaries(NAMES, CONFIG, max_size=2),
    extra_requires=st.dictionaries(NAMES, st.lists(st.sampled_from(["a", "b<2"]), max_size=2), max_size=2),
    isolation=st.booleans() | st.lists(NAMES, max_size=2),
    env=st.dictionaries(NAMES, st.dictionaries(VARIABLES, st.text(min_size=9), max_size=2), max_size=2),
    timeout=st.none() | st.integers(1, 9) | st.floats(0.5, 9),
    keep_logs=st.booleans(),
)
TERMS = st.builds(
    BuildTerms,
    policy=st.sampled_from(BuildPolicy),
    settings=st.none() | SETTINGS,
    constraints=st.lists(st.sampled_from(["setuptools<81", "a @ https://host/a-1.zip"])).map(tuple),
    cutoff=st.dictionaries(st.sampled_from(["", "helper"]), st.none() | st.integers(0, 9), max_size=2),
    cutoff_key=st.sampled_from(["", "<now-9.0"]),
    skip_failed=st.booleans(),
    needs=st.frozensets(st.sampled_from(["builder", "runner"])),
)


def again(value):
    return type(value).from_dict(json.loads(json.dumps(value.to_dict())))


@given(SETTINGS)
def test_settings_come_back_from_data_but_for_the_values_of_variables(settings):
    found = again(settings)

    assert found.to_dict() == settings.to_dict()
    assert found.with_env_of(settings) == attrs.evolve(
        settings, env={name: variables for name, variables in settings.env.items() if variables}
    )
    for variables in settings.env.values():
        assert not any(value in json.dumps(settings.to_dict()) for value in variables.values())


@given(TERMS)
def test_terms_come_back_from_data_and_whole_from_a_pickle(terms):
    assert again(terms).to_dict() == terms.to_dict()
    assert attrs.evolve(again(terms), settings=terms.settings) == terms
    assert pickle.loads(pickle.dumps(terms)) == terms


@given(TERMS)
def test_a_resolution_keeps_its_terms(terms):
    resolution = Resolution((), roots=(), target=TARGET, builds=terms)

    data = Resolution.from_dict(json.loads(json.dumps(resolution.to_dict())))
    pickled = pickle.loads(pickle.dumps(resolution))

    assert data.builds == again(terms)
    assert pickled.builds == terms
    assert data.to_dict() == pickled.to_dict() == resolution.to_dict()


def test_what_is_alive_stays_in_the_process():
    terms = BuildTerms(needs=frozenset({"runner"}), live=lambda: "not picklable")

    assert pickle.loads(pickle.dumps(terms)).live is None
    assert again(terms).live is None


def test_data_without_terms_can_still_be_read():
    source = FakeReleaseSource()
    source.serve("app", "1")
    data = Resolver(source).resolve(["app"], target=TARGET).to_dict()
    assert data.pop("builds")

    found = Resolution.from_dict(data)

    assert found.builds is None
    assert list(found.packages) == ["app"]


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": 2},
        {"policy": "perhaps"},
        {"constraints": "a"},
        {"constraints": [1]},
        {"settings": {**BuildSettings().to_dict(), "schema": 2}},
        {"settings": {**BuildSettings().to_dict(), "env": ["a"]}},
        {"settings": {**BuildSettings().to_dict(), "extra_requires": {"app": "a"}}},
    ],
)
def test_other_data_are_refused(damage):
    with pytest.raises(ValueError, match=r"schema|valid BuildPolicy|expected"):
        BuildTerms.from_dict({**BuildTerms().to_dict(), **damage})


def test_no_login_is_in_data():
    secret = "a @ https://user:secret@host/a-1.zip"
    terms = BuildTerms(constraints=(secret,), settings=BuildSettings(extra_requires={"app": [secret]}))

    data = json.dumps(terms.to_dict())

    assert "secret" not in data
    assert data.count("a @ https://host/a-1.zip") == 2


SET = BuildSettings(env={"app": {"TOKEN": "secret", "CC": "cc"}, "other": {"A": "1"}})


def test_a_variable_without_its_value_forbids_the_build_of_its_package_alone():
    found = again(SET)

    with pytest.raises(BuildForbidden, match="CC, TOKEN") as caught:
        found.env_for("App")

    assert caught.value.package == "App"
    assert "build_settings" in caught.value.hint
    assert found.env_for("lib") == {}


def test_what_was_built_with_a_variable_is_not_found_without_its_value():
    assert again(SET).digest("app") not in {SET.digest("app"), BuildSettings().digest("app")}
    assert again(SET).digest("lib") == SET.digest("lib")
    assert again(SET).key != BuildSettings().key


def test_the_values_may_come_from_other_settings_and_nothing_else_does():
    given_here = BuildSettings(env={"app": {"TOKEN": "new", "MORE": "x"}}, config_settings={"k": "v"})

    found = again(SET).with_env_of(given_here)

    assert found.env["app"] == {"TOKEN": "new"}
    assert found.missing_env == {"app": ("CC",), "other": ("A",)}
    assert found.config_settings == {}
    assert found.with_env_of(SET).env_for("app") == {"TOKEN": "new", "CC": "cc"}
    assert found.with_env_of(None) is found
