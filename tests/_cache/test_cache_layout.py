from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._cache.layout import (
    PYPI,
    Bucket,
    CacheLayout,
    git_kind,
    index_kind,
    path_kind,
    url_kind,
)
from puffin_api._fs import is_inside
from puffin_api.errors import CacheUnavailable


@pytest.fixture
def layout(tmp_path):
    return CacheLayout(tmp_path / "cache")


def below(layout, path):
    return path.relative_to(layout.root).as_posix()


def test_the_names_of_the_buckets_are_part_of_the_format():
    assert [bucket.value for bucket in Bucket] == [
        "simple-v0",
        "wheels-v0",
        "built-wheels-v0",
        "archive-v0",
        "flat-index-v0",
        "git-v0",
        "interpreter-v0",
        "undo-v0",
    ]


def test_entries_lie_where_the_format_says(layout):
    stem = "flask-3.0-py3-none-any"

    assert below(layout, layout.simple(PYPI, "flask")) == "simple-v0/pypi/flask"
    assert below(layout, layout.wheel(PYPI, "flask", stem)) == f"wheels-v0/pypi/flask/{stem}"
    assert (
        below(layout, layout.wheel_metadata(PYPI, "flask", stem)) == f"wheels-v0/pypi/flask/{stem}.metadata"
    )
    assert below(layout, layout.wheel_pointer(PYPI, "flask", stem)) == f"wheels-v0/pypi/flask/{stem}.http"
    assert below(layout, layout.built(PYPI, "flask", "3.0+local")) == "built-wheels-v0/pypi/flask/3.0+local"
    assert below(layout, layout.built(PYPI, "flask")) == "built-wheels-v0/pypi/flask"
    assert below(layout, layout.archive("id")) == "archive-v0/id"


def test_each_kind_has_its_depth():
    assert PYPI == "pypi"
    assert [kind.count("/") for kind in (index_kind("https://h/s/"), url_kind("https://h/a"))] == [1, 1]
    assert path_kind(Path("/srv/a")).startswith("path/")
    assert git_kind("git+https://h/a", "0123456789abcdef0123").endswith("/0123456789abcdef")


def test_a_commit_is_the_same_by_whatever_name_it_was_asked_for():
    commit = "0" * 40

    assert git_kind("git+https://h/a@v1", commit) == git_kind("git+https://u:p@h/a.git@main#egg=a", commit)
    assert git_kind("git+https://h/a", commit) != git_kind("git+https://h/a#subdirectory=x", commit)


def test_no_path_tells_credentials(layout):
    url = "https://user:SECRET@host/simple/"

    for path in (layout.root / index_kind(url), layout.flat_index(url), layout.git_database(url)):
        assert "SECRET" not in str(path)


@given(st.text(st.characters(codec=None), min_size=1))
def test_no_name_leads_out_of_its_folder(tmp_path_factory, name):
    layout = CacheLayout("/cache")

    for path in (layout.simple(PYPI, name), layout.wheel(PYPI, "a", name), layout.built(PYPI, "a", name)):
        assert is_inside(path.parent.parent, path)
        assert ".." not in path.parts
        assert len(os.fsencode(path.name)) < 200


def test_a_name_that_is_too_long_gets_a_short_one(layout):
    one = layout.wheel(PYPI, "a", "x" * 300)
    other = layout.wheel(PYPI, "a", "x" * 299 + "y")

    assert len(one.name) == len(other.name) == 16
    assert one != other


def test_the_root_is_made_and_marked_as_a_cache(layout):
    layout.initialize()
    layout.initialize()

    assert (
        (layout.root / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    )
    assert (layout.root / ".gitignore").read_text() == "*\n"
    assert layout.temporary.is_dir()


def test_an_existing_mark_is_left_alone(layout):
    layout.root.mkdir()
    (layout.root / ".gitignore").write_text("mine")

    layout.initialize()

    assert (layout.root / ".gitignore").read_text() == "mine"


def test_the_root_is_canonical(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "link", target_is_directory=True)

    assert CacheLayout(tmp_path / "link" / "cache").root == Path(
        os.path.realpath(tmp_path / "real" / "cache")
    )


def test_a_root_that_cannot_be_is_a_typed_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(CacheUnavailable) as caught:
        CacheLayout(tmp_path / "file" / "cache").initialize()

    assert caught.value.path.endswith("cache")
    assert caught.value.hint
