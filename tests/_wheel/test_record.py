from __future__ import annotations

import base64
import csv
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._wheel.record import digest_bytes, encode_digest, parse_record, record_paths, record_row

PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


def test_rows_have_path_digest_and_size_as_they_stand():
    text = "pkg/a.py,sha256=AAAA,12\r\npkg-1.dist-info/RECORD,,\n\n"

    assert parse_record(text) == [("pkg/a.py", "sha256=AAAA", "12"), ("pkg-1.dist-info/RECORD", "", "")]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('"a,b.py",sha256=AAAA,1', ("a,b.py", "sha256=AAAA", "1")),
        ('"say ""hi"".py",,', ('say "hi".py', "", "")),
        ('"two\nlines.py",,5', ("two\nlines.py", "", "5")),
        ("a,b.py,sha256=AAAA,1", ("a,b.py", "sha256=AAAA", "1")),
        ('"q"\n', ("q", "", "")),
        ("alone", ("alone", "", "")),
        ("with,digest", ("with", "digest", "")),
        ("line\u2028separator.py,,", ("line\u2028separator.py", "", "")),
        (" space .py,,", (" space .py", "", "")),
    ],
)
def test_odd_rows_are_read(text, row):
    assert parse_record(text) == [row]


def test_unquoted_commas_read_the_same_beside_quoted_rows():
    assert parse_record('a,b.py,sha256=AAAA,1\n"c",,')[0] == ("a,b.py", "sha256=AAAA", "1")


def test_what_is_no_csv_is_a_value_error():
    with pytest.raises(ValueError, match="RECORD cannot be read"):
        parse_record('"' + "x" * (csv.field_size_limit() + 1))


def test_digests_are_urlsafe_and_unpadded():
    # The specification: "urlsafe-base64-nopad encoded".
    content = b"\xfb\xff" * 40
    expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")

    assert digest_bytes(content) == f"sha256={expected}"
    assert encode_digest(b"\xfb\xff", "sha512") == "sha512=-_8"


@given(st.lists(st.tuples(PATHS, st.binary(max_size=9), st.integers(0))))
def test_what_is_written_is_read_again(rows):
    written = "".join(record_row(path, digest_bytes(data), size) for path, data, size in rows)

    assert parse_record(written) == [(path, digest_bytes(data), str(size)) for path, data, size in rows]


@given(st.lists(PATHS))
def test_other_readers_see_the_same_paths(paths):
    written = "".join(record_row(path, "", "") for path in paths)

    assert [row[0] for row in csv.reader(io.StringIO(written, newline=""))] == paths


@given(st.lists(st.lists(PATHS, min_size=3, max_size=3)))
def test_csv_written_by_others_is_read(rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)

    assert parse_record(text.getvalue()) == [tuple(row) for row in rows]


@given(st.text('a,"\r\n/\u2028=', max_size=30))
def test_paths_alone_are_those_of_the_rows(text):
    try:
        expected = [path for path, _, _ in parse_record(text)]
    except ValueError:
        with pytest.raises(ValueError, match="cannot be read"):
            record_paths(text)
    else:
        assert record_paths(text) == expected
