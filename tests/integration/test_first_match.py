"""`IndexStrategy.FIRST_MATCH`, end to end."""

from __future__ import annotations

import pytest

from puffin_api import IndexStrategy, Resolver, Target
from puffin_api.model import PrereleaseMode, ResolutionMode
from tests.integration.job_kit import wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")


@pytest.fixture
def make_first_match(make_client):
    return lambda *indexes, **options: make_client(
        *indexes, index_strategy=IndexStrategy.FIRST_MATCH, **options
    )


def resolve(client, *requirements, **options):
    """Resolve for a fixed target: version and index of each package."""
    resolution = Resolver(client).resolve(requirements, target=TARGET, **options)
    return {name: (str(p.version), p.file.index) for name, p in resolution.packages.items()}


def test_what_fits_in_an_earlier_index_is_preferred_to_what_is_newer_in_a_later(serve, make_first_match):
    one, two = serve(wheel("a", "1.0") | wheel("a", "2.0")), serve(wheel("a", "2.0") | wheel("a", "3.0"))
    client = make_first_match(one, two)

    assert resolve(client, "a") == {"a": ("2.0", one.url)}
    assert resolve(client, "a>2") == {"a": ("3.0", two.url)}
    assert resolve(client, "a", mode=ResolutionMode.LOWEST) == {"a": ("1.0", one.url)}


def test_an_earlier_index_is_used_up_where_versions_conflict(serve, make_first_match):
    one = serve(wheel("a", "1.0") | wheel("a", "2.0", requires=["log>=9"]) | wheel("log", "1.0"))
    two = serve(wheel("a", "3.0"))

    assert resolve(make_first_match(one, two), "a", "log") == {"a": ("1.0", one.url), "log": ("1.0", one.url)}


def test_a_later_index_is_used_where_all_of_the_earlier_conflict(serve, make_first_match):
    one = serve(wheel("a", "1.0", requires=["log>=9"]) | wheel("log", "1.0"))
    two = serve(wheel("a", "0.5") | wheel("a", "0.6") | wheel("a", "1.0"))

    assert resolve(make_first_match(one, two), "a", "log")["a"] == ("0.6", two.url)


def test_a_version_is_that_of_the_first_index_that_has_it_even_if_its_files_do_not_fit(
    serve, make_first_match
):
    one = serve(wheel("a", "2.0", tags="cp312-cp312-win_amd64"))
    two = serve(wheel("a", "2.0") | wheel("a", "1.0"))

    assert resolve(make_first_match(one, two), "a") == {"a": ("1.0", two.url)}


def test_a_prerelease_of_an_earlier_index_comes_after_stable_versions_of_a_later(serve, make_first_match):
    one, two = serve(wheel("a", "2.0rc1")), serve(wheel("a", "1.0"))
    client = make_first_match(one, two)

    assert resolve(client, "a") == {"a": ("1.0", two.url)}
    assert resolve(client, "a", prereleases=PrereleaseMode.ALLOW) == {"a": ("2.0rc1", one.url)}


def test_find_links_count_as_part_of_the_first_index(serve, make_first_match, tmp_path):
    (tmp_path / "links").mkdir()
    for name, data in wheel("a", "2.0").items():
        (tmp_path / "links" / name).write_bytes(data)
    one, two = serve(wheel("a", "1.0")), serve(wheel("a", "3.0"))
    client = make_first_match(one, two, find_links=[tmp_path / "links"])

    assert resolve(client, "a") == {"a": ("2.0", (tmp_path / "links").as_uri())}
