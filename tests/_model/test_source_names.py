from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._model.filename import SOURCE_ENDINGS, guess_sdist_name, parse_sdist_name, source_ending


@pytest.mark.parametrize(
    ("filename", "name", "version"),
    [
        ("demo-1.0.tar.gz", "demo", "1.0"),
        ("demo_kit-1.0.post1.tar.gz", "demo-kit", "1.0.post1"),
        ("Demo.Kit-1.0.zip", "demo-kit", "1.0"),
        ("demo-kit-1.0.zip", "demo-kit", "1.0"),
        ("demo__kit-1.0+local.1.tar.bz2", "demo-kit", "1.0+local.1"),
        ("demo-v1.0.tgz", "demo", "v1.0"),
        ("demo-1.0.tar.xz", "demo", "1.0"),
        ("demo-1.0.tar", "demo", "1.0"),
        ("demo-1.0.TAR.GZ", "demo", "1.0"),
        ("a-1-1.tar.gz", "a", "1-1"),
        ("demo-2to3-1.0.zip", "demo-2to3", "1.0"),
    ],
)
def test_name_and_version_are_guessed_from_the_name_of_an_archive(filename, name, version):
    guess = guess_sdist_name(filename)

    assert (guess.name, guess.version) == (name, version)


@pytest.mark.parametrize(
    "filename", ["main.zip", "demo-main.tar.gz", "v1.0.tar.gz", "-1.0.zip", "demo-1.0.whl", "demo-1.0", ""]
)
def test_nothing_is_guessed_where_no_part_is_a_version(filename):
    assert guess_sdist_name(filename) is None


@given(
    parts=st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=3),
    release=st.lists(st.integers(0, 99), min_size=1, max_size=3),
    ending=st.sampled_from(sorted(SOURCE_ENDINGS)),
)
def test_names_by_the_specification_are_guessed_right(parts, release, ending):
    version = ".".join(map(str, release))

    guess = guess_sdist_name(f"{'_'.join(parts)}-{version}{ending}")

    assert (guess.name, guess.version) == ("-".join(parts), version)


@pytest.mark.parametrize("ending", SOURCE_ENDINGS)
def test_more_kinds_of_archives_are_known_where_no_index_is_asked(ending):
    filename = f"a-1-1{ending}"

    assert parse_sdist_name(filename, "a-1", endings=SOURCE_ENDINGS) == "1"
    assert parse_sdist_name(filename, "a", endings=SOURCE_ENDINGS) == "1-1"
    assert source_ending(filename) == ending


def test_archives_of_an_index_are_of_two_kinds():
    with pytest.raises(ValueError, match="neither a wheel"):
        parse_sdist_name("demo-1.0.tar.bz2", "demo")
