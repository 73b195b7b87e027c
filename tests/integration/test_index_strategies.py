"""Several indexes, end to end: which of them a package comes from under each strategy."""

from __future__ import annotations

import pytest

from puffin_api import Client, Index, IndexStrategy, Resolver, Target
from puffin_api.errors import AuthenticationRequired, Forbidden, ResolutionFailed, ServerError
from puffin_api.model import PrereleaseMode, ResolutionMode
from puffin_api.testing import FakeIndex
from tests.integration.job_kit import ONE_TRY, find_error, install, versions, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
LINUX = "cp312-cp312-manylinux_2_17_x86_64"


def resolve(client, *requirements, **options):
    """Resolve for a fixed target: version and index of each package."""
    resolution = Resolver(client).resolve(requirements, target=TARGET, **options)
    return {name: (str(p.version), p.file.index) for name, p in resolution.packages.items()}


@pytest.fixture
def make_best_match(make_client):
    return lambda *indexes, **options: make_client(
        *indexes, index_strategy=IndexStrategy.BEST_MATCH, **options
    )


# -- the first index


def test_each_project_comes_from_the_first_index_that_knows_it(serve, make_client):
    one = serve(wheel("a", "1.0", requires=["b", "c"]) | wheel("c", "1.0"))
    two = serve(wheel("a", "9.0") | wheel("b", "2.0", requires=["c"]) | wheel("c", "9.0"))

    found = resolve(make_client(one, two), "a")

    assert found == {"a": ("1.0", one.url), "b": ("2.0", two.url), "c": ("1.0", one.url)}
    assert two.count("/simple/a/") == two.count("/simple/c/") == 0


def test_an_index_that_knows_the_name_bars_the_others_even_if_no_version_fits(serve, make_client):
    one, two = serve(wheel("a", "1.0")), serve(wheel("a", "2.0"))
    client = make_client(one, two)

    assert type(find_error(lambda: resolve(client, "a>1"))) is ResolutionFailed
    assert two.count() == 0


@pytest.mark.parametrize("strategy", list(IndexStrategy))
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationRequired), (403, Forbidden), (500, ServerError)]
)
def test_an_index_that_refuses_is_passed_over_under_no_strategy(serve, make_client, strategy, status, kind):
    one, two = serve(), serve(wheel("a", "9.0") | wheel("b", "1.0"))
    one.page("/simple/a/", "", status=status)
    client = make_client(one, two, index_strategy=strategy)

    error = find_error(lambda: resolve(client, "a"))
    assert type(error) is kind
    assert one.origin in error.url
    assert two.count("/files/") == 0
    assert resolve(client, "b") == {"b": ("1.0", two.url)}


# -- the best of all


def test_the_best_version_of_any_index_is_chosen_and_all_take_part_in_a_conflict(serve, make_best_match):
    one = serve(wheel("a", "1.0") | wheel("a", "3.0", requires=["b<1"]) | wheel("b", "2.0"))
    two = serve(wheel("a", "2.0", requires=["b>=2"]) | wheel("b", "1.5"))
    client = make_best_match(one, two)

    assert resolve(client, "b<2") == {"b": ("1.5", two.url)}
    assert resolve(client, "a", "b") == {"a": ("2.0", two.url), "b": ("2.0", one.url)}
    assert resolve(client, "a", "b", mode=ResolutionMode.LOWEST)["a"] == ("1.0", one.url)


def test_of_equal_versions_that_of_the_earlier_index_is_taken(serve, make_best_match):
    one, two = serve(wheel("a", "1.0")), serve(wheel("a", "1.0"))

    assert resolve(make_best_match(one, two), "a") == {"a": ("1.0", one.url)}
    assert resolve(make_best_match(two, one), "a") == {"a": ("1.0", two.url)}


def test_of_the_files_of_a_version_the_best_is_taken_from_whatever_index(serve, make_best_match):
    one = serve(wheel("a", "1.0") | wheel("b", "1.0", tags="cp312-cp312-win_amd64"))
    two = serve(wheel("a", "1.0", tags=LINUX) | wheel("b", "1.0"))

    assert resolve(make_best_match(one, two), "a", "b") == {"a": ("1.0", two.url), "b": ("1.0", two.url)}


def test_a_yanked_file_of_one_index_does_not_bar_that_of_another(serve, make_best_match):
    one, two = serve(), serve(wheel("a", "2.0"))
    one.add("a-2.0-py3-none-any.whl", next(iter(wheel("a", "2.0").values())), yanked="bad")

    assert resolve(make_best_match(one, two), "a") == {"a": ("2.0", two.url)}


def test_a_prerelease_of_one_index_comes_after_the_stable_versions_of_all(serve, make_best_match):
    one, two = serve(wheel("a", "2.0rc1")), serve(wheel("a", "1.0"))
    client = make_best_match(one, two)

    assert resolve(client, "a") == {"a": ("1.0", two.url)}
    assert resolve(client, "a", prereleases=PrereleaseMode.ALLOW) == {"a": ("2.0rc1", one.url)}


def test_versions_that_are_written_differently_are_equal(serve, make_best_match):
    one, two = serve(wheel("a", "1.0")), serve(wheel("a", "1.0.0") | wheel("a", "0.9"))
    project = make_best_match(one, two).project("a")

    assert project.versions == ("0.9", "1.0")
    assert [file.index for file in project.files] == [two.url, one.url, two.url]


def test_a_source_takes_its_turn_among_indexes(serve, make_best_match):
    server, source = serve(wheel("a", "2.0") | wheel("b", "1.0")), FakeIndex()
    source.add("a", "3.0", requires=["b"])
    found = resolve(make_best_match(server, source), "a")

    assert {name: version for name, (version, _) in found.items()} == {"a": "3.0", "b": "1.0"}


def test_what_was_resolved_from_several_indexes_is_installed_from_them(serve, make_best_match, make_venv):
    one, two = serve(wheel("a", "1.0", requires=["b"])), serve(wheel("a", "2.0", requires=["b"]))
    two.add(*next(iter(wheel("b", "1.0").items())))
    environment = make_venv()

    install(make_best_match(one, two), environment, "a")

    assert versions(environment) == {"a": "2.0", "b": "1.0"}
    assert one.count("/files/") == 0


# -- as pip is configured


def test_a_partial_mirror_among_pips_extra_indexes(serve, tmp_path):
    main, mirror = serve(wheel("a", "2.0") | wheel("b", "1.0")), serve(wheel("a", "1.0"))
    environ = {"PIP_INDEX_URL": main.url, "PIP_EXTRA_INDEX_URL": mirror.url}
    options = {"config_files": [], "retries": ONE_TRY}

    with Client.from_environ(environ, **options) as client:
        assert resolve(client, "a", "b") == {"a": ("1.0", mirror.url), "b": ("1.0", main.url)}
    with Client.from_environ(environ, index_strategy=IndexStrategy.BEST_MATCH, **options) as client:
        assert resolve(client, "a") == {"a": ("2.0", main.url)}
    with Client.from_environ(environ, index_pins={"a": main.url}, **options) as client:
        assert resolve(client, "a") == {"a": ("2.0", main.url)}
    with Client.from_environ(environ, indexes=[Index(main.url)], **options) as client:
        assert resolve(client, "a") == {"a": ("2.0", main.url)}
