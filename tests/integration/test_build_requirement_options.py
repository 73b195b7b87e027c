"""Which options of a resolution hold for what builds need; the page on building has the table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from puffin_api import Installer, PrereleaseMode
from puffin_api.errors import BuildFailed
from tests.integration.job_kit import versions, wheel
from tests.integration.source_kit import project, resolve, sdist
from tests.integration.test_build_options import NEEDS


@pytest.fixture
def files(journal):
    """A project that needs `helper`, of which there is a source archive and a wheel."""
    made = sdist(project(journal, build_requires=["helper"], code=NEEDS))
    made |= sdist(project(journal, "helper", "1.0"), "helper")
    return made | wheel("helper", "1.0")


def built(client, environment, **options):
    Installer(environment, client).install(resolve(client, environment, "demo", **options))
    assert versions(environment) == {"demo": "1.0"}


def helpers(journal):
    return {row["helper"] for row in journal.rows if row["hook"] == "helper"}


@pytest.mark.parametrize("no_binary", [[":all:"], ["helper"], ["demo"]])
def test_no_binary_leaves_build_requirements_their_wheels(
    serve, make_client, make_venv, journal, files, no_binary
):
    """Otherwise a backend that needs itself, or whose requirements do, would end in a circle."""
    built(make_client(serve(files)), make_venv(), no_binary=no_binary)

    assert "wheel demo" in journal.hooks
    assert "wheel helper" not in journal.hooks


def test_a_build_requirement_is_built_where_it_has_no_wheel_or_is_named_by_url(
    serve, make_client, make_venv, journal, files, tmp_path
):
    """The way to build some build requirement from source in any case: say where its sources are."""
    archive = tmp_path / "helper-1.0.tar.gz"
    archive.write_bytes(files["helper-1.0.tar.gz"])

    built(make_client(serve(files)), make_venv(), build_constraints=[f"helper @ {archive.as_uri()}"])

    assert "wheel helper" in journal.hooks
    assert helpers(journal) == {"1.0"}


@pytest.mark.parametrize("only_binary", [["helper"], ["other"]])
def test_only_binary_does_not_hold_for_build_requirements(
    serve, make_client, make_venv, journal, files, only_binary
):
    del files["helper-1.0-py3-none-any.whl"]

    built(make_client(serve(files)), make_venv(), only_binary=only_binary)

    assert "wheel helper" in journal.hooks


def test_the_indexes_and_their_strategy_hold(serve, make_client, make_venv, journal, files):
    """The first index that knows a project is the only one for builds too."""
    del files["helper-1.0.tar.gz"]
    client = make_client(serve(files), serve(wheel("helper", "2.0")))

    built(client, make_venv())

    assert helpers(journal) == {"1.0"}


def test_find_links_hold(serve, make_client, make_venv, journal, files, tmp_path):
    name, data = "helper-3.0-py3-none-any.whl", wheel("helper", "3.0")["helper-3.0-py3-none-any.whl"]
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / name).write_bytes(data)
    client = make_client(serve(files), find_links=[tmp_path / "links"])

    built(client, make_venv())

    assert helpers(journal) == {"3.0"}


def test_digests_in_build_constraints_hold(serve, make_client, make_venv, journal, files, tmp_path):
    archive = tmp_path / "helper-1.0-py3-none-any.whl"
    archive.write_bytes(files["helper-1.0-py3-none-any.whl"])
    constraint = f"helper @ {archive.as_uri()}#sha256={'0' * 64}"

    with pytest.raises(BuildFailed, match="sha256"):
        built(make_client(serve(files)), make_venv(), build_constraints=[constraint])

    assert "wheel demo" not in journal.hooks


def test_constraints_overrides_and_excludes_of_the_resolution_do_not_hold(
    serve, make_client, make_venv, journal, files
):
    """They are about what is installed, which may well need another version than a build does."""
    built(
        make_client(serve(files)),
        make_venv(),
        constraints=["helper<1"],
        overrides=["helper==9"],
        excludes=["helper"],
    )

    assert helpers(journal) == {"1.0"}


def test_yanked_releases_are_left_out(serve, make_client, make_venv, journal, files):
    index = serve(files)
    index.add(
        "helper-2.0-py3-none-any.whl", wheel("helper", "2.0")["helper-2.0-py3-none-any.whl"], yanked=True
    )

    built(make_client(index), make_venv())

    assert helpers(journal) == {"1.0"}


@pytest.mark.parametrize("prereleases", [PrereleaseMode.ALLOW, PrereleaseMode.DISALLOW])
@pytest.mark.parametrize(("released", "expected"), [(True, "1.0"), (False, "2.0b1")])
def test_pre_releases_are_taken_if_necessary(
    serve, make_client, make_venv, journal, files, prereleases, released, expected
):
    if not released:
        files = {name: data for name, data in files.items() if not name.startswith("helper")}
    index = serve(files | wheel("helper", "2.0b1"))

    built(make_client(index), make_venv(), prereleases=prereleases)

    assert helpers(journal) == {expected}


def test_exclude_newer_holds_for_build_requirements(serve, make_client, make_venv, journal, files):
    index = serve()
    for name, data in files.items():
        index.add(name, data, upload_time="2024-01-01T00:00:00Z")
    name, data = next(iter(wheel("helper", "2.0").items()))
    index.add(name, data, upload_time="2025-01-01T00:00:00Z")
    when = datetime(2024, 6, 1, tzinfo=UTC)

    built(make_client(index), make_venv("one"), exclude_newer=when)
    assert helpers(journal) == {"1.0"}
    journal.take()
    built(make_client(index), make_venv("two"))
    assert helpers(journal) == {"2.0"}, "what was built with older ones is another wheel"


def test_an_age_holds_too_and_what_was_built_with_it_serves_the_next_day(
    serve, make_client, make_venv, journal, files
):
    index, now = serve(), datetime.now(UTC)
    for name, data in files.items():
        index.add(name, data, upload_time=(now - timedelta(days=30)).isoformat())
    name, data = next(iter(wheel("helper", "2.0").items()))
    index.add(name, data, upload_time=(now - timedelta(days=1)).isoformat())

    built(make_client(index), make_venv("one"), exclude_newer=timedelta(days=7))
    assert helpers(journal) == {"1.0"}
    journal.take()
    built(make_client(index), make_venv("two"), exclude_newer=timedelta(days=7))
    assert journal.rows == [], "the limit is another one by now, but stricter then"
    built(make_client(index), make_venv("three"), exclude_newer=timedelta(hours=1))
    assert helpers(journal) == {"2.0"}
