"""Page tables: round trips, lazy rows, damage, renewal."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.project_table import (
    ProjectTables,
    TableDamaged,
    decode_page_table,
    encode_page_table,
    read_page_table,
)
from puffin_api._model.version_key import version_key

POLICY = ["600.0", "", '"tag"', ""]


def packed(version, filename=None, **more):
    row = {
        "filename": filename or f"foo-{version}-py3-none-any.whl",
        "url": "https://f/",
        "hashes": "",
        "size": None,
        "upload_time": None,
        "requires_python": "",
        "yanked": None,
        "metadata": None,
        **more,
    }
    return version, tuple(row.values())


def encode(*files, **more):
    more = {"stored_at": 7.0, "policy": POLICY, **more}
    return encode_page_table("foo", files, **more)


def rows(table):
    releases = table.releases
    return [[row.filename for row in releases.files(n)] for n in range(len(releases))]


def test_versions_are_sorted_grouped_and_written_one_way():
    table = decode_page_table(
        encode(packed("2.0"), packed("1.0rc1"), packed("1.0", "b"), packed("1.0.0", "c"), packed("01", "d"))
    )

    releases = table.releases
    assert releases.versions == ["1.0rc1", "1.0", "2.0"]
    assert releases.keys == [version_key(Version(v)) for v in releases.versions]
    assert releases.prereleases == 0b10
    assert rows(table) == [["foo-1.0rc1-py3-none-any.whl"], ["b", "c", "d"], ["foo-2.0-py3-none-any.whl"]]


def test_every_column_comes_back():
    table = decode_page_table(
        encode(
            packed(
                "1.0",
                hashes="sha256:a md5:b",
                size=5,
                upload_time="2024-01-01T00:00:00Z",
                requires_python=">=3.8",
                yanked="",
                metadata="sha256:c",
            ),
            index="https://h/simple/",
            url="https://h/final/foo/",
            status="archived",
            skipped={"foo.exe": "no"},
        )
    )
    (row,) = table.releases.files(0)

    assert (row.project, row.version, row.index) == ("foo", "1.0", "https://h/simple/")
    assert row.url == "https://f/foo-1.0-py3-none-any.whl"
    assert row.hashes == ("sha256:a", "md5:b")
    assert (row.size, row.upload_time, row.requires_python) == (5, 1704067200.0, ">=3.8")
    assert (row.yanked, row.metadata) == ("", "sha256:c")
    assert (table.url, table.status, table.policy) == ("https://h/final/foo/", "archived", (7.0, POLICY))
    assert dict(table.releases.skipped) == {"foo.exe": "no"}


def test_files_of_no_valid_version_are_skipped_with_the_reason():
    table = decode_page_table(encode(packed("1.0"), packed("nonsense", "x")))

    assert table.releases.versions == ["1.0"]
    assert table.releases.skipped["x"] == "'nonsense' is not a valid version"


def test_a_project_without_files():
    table = decode_page_table(encode())

    assert len(table.releases) == 0
    assert table.releases.prereleases == 0
    assert not table.releases.skipped


def test_text_that_looks_like_the_border_between_rows():
    nasty = packed("1.0", yanked=']],[["'), packed("2.0", requires_python="\u2028\n]],[["), packed("3.0")
    table = decode_page_table(encode(*nasty))

    assert [table.releases.files(n)[0].yanked for n in range(3)] == [']],[["', None, None]
    assert table.releases.files(1)[0].requires_python == "\u2028\n]],[["


SOME_TEXT = st.text(max_size=8) | st.text("ab\x1f\n[]+-|", max_size=8)
FILES = st.tuples(
    st.builds("{}.{}".format, st.integers(0, 30), st.integers(0, 30)),
    st.builds("{}foo".format, SOME_TEXT),
    SOME_TEXT,
    st.none() | st.integers(0, 10**12) | st.booleans(),
    st.none() | st.just("2024-01-01T00:00:00Z"),
    SOME_TEXT,
    st.none() | SOME_TEXT,
    st.none() | st.booleans() | st.just("sha256:ab"),
)


def shown(row):
    return (
        row.version,
        row.filename,
        row.url.removesuffix(row.filename),
        row.size,
        row.upload_time and "2024-01-01T00:00:00Z",
        row.requires_python,
        row.yanked,
        row.metadata,
    )


@given(st.lists(FILES))
def test_what_is_encoded_is_what_is_decoded(files):
    table = decode_page_table(
        encode(*[(v, (name, f"u/{url}/", "", *more)) for v, name, url, *more in files], skipped={"\n": "\n"})
    )
    found = [shown(row) for n in range(len(table.releases)) for row in table.releases.files(n)]

    expected = [(v, name, f"u/{url}/", *more) for v, name, url, *more in files]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    versions = [Version(v) for v in table.releases.versions]
    assert versions == sorted(set(versions))
    assert dict(table.releases.skipped) == {"\n": "\n"}


def test_a_line_end_from_a_server_shifts_nothing():
    table = decode_page_table(encode(packed("1.0"), status="odd\nstatus", policy=["1.0", "", "a\nb", ""]))

    assert (table.status, table.policy[1]) == ("odd status", ["1.0", "", "a b", ""])
    assert table.releases.versions == ["1.0"]


@pytest.fixture
def stored(tmp_path):
    """A table on disk that is too large to be read in one go."""
    path = tmp_path / "foo.page"
    path.write_bytes(encode(*[packed(f"1.{n}", requires_python="x" * 200) for n in range(400)]))
    return path


def test_rows_are_read_one_at_a_time_and_no_file_stays_open(stored):
    table = read_page_table(stored)
    os.rename(stored, f"{stored}.moved")

    with pytest.raises(TableDamaged):
        table.files(0)
    os.rename(f"{stored}.moved", stored)
    assert table.files(0)[0].version == "1.0"


def test_the_newest_rows_come_along_with_a_header_of_any_length(stored):
    table = read_page_table(stored)
    stored.unlink()

    assert [table.files(n)[0].version for n in (399, 398)] == ["1.399", "1.398"]


def test_a_small_table_needs_its_file_no_more(tmp_path):
    path = tmp_path / "foo.page"
    path.write_bytes(encode(packed("1.0")))
    table = read_page_table(path)
    path.unlink()

    assert table.files(0)[0].version == "1.0"


def test_any_changed_byte_of_the_header_is_a_miss(tmp_path):
    data = encode(packed("1.0"), packed("2.0"))
    size = int.from_bytes(data[20:24], "little") + 28
    for position in range(size):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        table = decode_page_table(bytes(damaged))
        if 8 <= position < 20:  # the time alone: counts as long ago
            assert table.policy[0] == 0.0
        else:
            assert table is None, position
    assert decode_page_table(data[: size - 1]) is None
    assert decode_page_table(b"") is None


def test_any_changed_byte_of_a_row_is_found_out():
    data = encode(packed("1.0"))
    start = int.from_bytes(data[20:24], "little") + 28
    for position in range(start, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        with pytest.raises(TableDamaged):
            decode_page_table(bytes(damaged)).files(0)


def test_a_lost_row_is_mended_by_whoever_knows_how(stored):
    table = read_page_table(stored)
    table.mend = lambda project, key: [f"{project} {key}"]
    stored.write_bytes(encode(packed("9.0")))

    assert table.releases.files(5) == [f"foo {table.releases.keys[5]}"]


def test_a_missing_or_empty_file_is_a_miss(tmp_path):
    assert read_page_table(tmp_path / "none") is None
    (tmp_path / "empty").touch()
    assert read_page_table(tmp_path / "empty") is None


def test_a_length_that_lies_allocates_nothing(tmp_path):
    data = bytearray(encode(packed("1.0")))
    data[20:24] = b"\xff\xff\xff\x7f"
    (tmp_path / "x").write_bytes(data)

    assert read_page_table(tmp_path / "x") is None


# -- on disk


def test_a_table_is_written_read_and_renewed(tmp_path):
    tables = ProjectTables(CacheLayout(tmp_path))
    assert tables.read_page("pypi", "foo") is None
    written = tables.write_page("pypi", "foo", encode(packed("1.0")))
    tables.renew_page("pypi", "foo", 99.0)

    assert written.policy[0] == 7.0
    again = tables.read_page("pypi", "foo")
    assert again.policy == (99.0, POLICY)
    assert again.files(0)[0].version == "1.0"
    assert (tmp_path / "simple-v0" / "pypi" / "foo.page").is_file()


def test_a_read_only_cache_is_not_written(tmp_path):
    tables = ProjectTables(CacheLayout(tmp_path), read_only=True)

    assert tables.write_page("pypi", "foo", encode(packed("1.0"))) is None
    tables.renew_page("pypi", "foo", 9.0)
    assert list(tmp_path.iterdir()) == []


def test_further_layers_are_looked_into(tmp_path):
    shared = CacheLayout(tmp_path / "shared")
    ProjectTables(shared).write_page("pypi", "foo", encode(packed("1.0")))
    tables = ProjectTables(CacheLayout(tmp_path / "own"), layers=[shared])

    assert tables.read_page("pypi", "foo").releases.versions == ["1.0"]
    tables.write_page("pypi", "foo", encode(packed("2.0")))
    assert tables.read_page("pypi", "foo").releases.versions == ["2.0"]


def test_a_very_long_name_has_a_place_too(tmp_path):
    tables = ProjectTables(CacheLayout(tmp_path))
    tables.write_page("pypi", "x" * 300, encode(packed("1.0")))

    assert tables.read_page("pypi", "x" * 300) is not None
