from __future__ import annotations

import copy
import pickle

import pytest

from puffin_api._model.build_settings import BuildSettings


def test_names_are_taken_in_any_form():
    settings = BuildSettings(
        extra_requires={"My.App": ["a"]}, isolation=["Other_App"], env={"my_app": {"A": "1"}}
    )

    assert settings.requires_for("my-app") == ("a",)
    assert settings.env_for("MY-APP") == {"A": "1"}
    assert not settings.is_isolated("other.app")
    assert settings.is_isolated("my-app")


def test_what_is_no_name_has_the_settings_of_all():
    settings = BuildSettings(config_settings={"a": "1"}, package_config_settings={"app": {"a": "2"}})

    assert settings.config_for("/path/of/a/tree") == {"a": "1"}


def test_what_is_given_may_change_later():
    given = {"app": ["a"]}
    settings = BuildSettings(extra_requires=given, config_settings={"k": given["app"]})

    given["app"].append("b")

    assert settings.requires_for("app") == ("a",)
    assert settings.config_for("app") == {"k": ["a"]}


def test_secrets_are_not_shown():
    settings = BuildSettings(env={"app": {"TOKEN": "secret"}})

    assert "secret" not in repr(settings)
    assert "secret" not in settings.digest("app")


@pytest.mark.parametrize(
    "changed",
    [
        {"config_settings": {"k": "2"}},
        {"package_config_settings": {"app": {"k": "1"}}},
        {"extra_requires": {"app": ["x"]}},
        {"env": {"app": {"CC": "cc"}}},
        {"isolation": False},
    ],
)
def test_the_digest_changes_with_what_changes_the_build(changed):
    assert BuildSettings(**changed).digest("app") != BuildSettings().digest("app")


@pytest.mark.parametrize(
    "changed",
    [
        {"package_config_settings": {"other": {"k": "1"}}},
        {"extra_requires": {"other": ["x"]}},
        {"env": {"other": {"CC": "cc"}}},
        {"isolation": ["other"]},
        {"timeout": 5},
        {"keep_logs": True},
    ],
)
def test_the_digest_stays_with_what_is_said_of_others(changed):
    assert BuildSettings(**changed).digest("app") == BuildSettings().digest("app")


def test_settings_can_be_pickled_and_copied():
    settings = BuildSettings(
        config_settings={"key": ["a", "b"]},
        package_config_settings={"Demo": {"key": "value"}},
        extra_requires={"demo": ["helper"]},
        isolation=["demo"],
        env={"demo": {"CC": "cc"}},
        timeout=3,
    )

    assert pickle.loads(pickle.dumps(settings)) == settings
    assert copy.deepcopy(settings) == settings
    assert pickle.loads(pickle.dumps(settings)).key == settings.key
