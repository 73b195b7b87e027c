"""Project pages in JSON."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._client.page_files import FileNames
from puffin_api._client.simple_json import parse
from puffin_api.errors import MetadataInvalid

URL = "https://h/simple/foo/"


def page(*files, **more):
    body = {"meta": {"api-version": "1.1"}, "name": "foo", "files": list(files), **more}
    return json.dumps(body).encode()


def file(**fields):
    return {"filename": "foo-1.0-py3-none-any.whl", "url": "https://f/foo-1.0-py3-none-any.whl", **fields}


def only(**fields):
    rows, skipped, _ = parse(page(file(**fields)), URL, "foo")
    assert not skipped
    (row,) = rows
    return row


def test_all_fields_of_a_file():
    row = only(
        hashes={"sha256": "AB", "md5": "cd"},
        size=7,
        **{"requires-python": ">=3.8", "upload-time": "2024-01-01T00:00:00.5Z"},
    )

    assert (row.project, row.version, row.filename) == ("foo", "1.0", "foo-1.0-py3-none-any.whl")
    assert row.url == "https://f/foo-1.0-py3-none-any.whl"
    assert row.hashes == ("sha256:ab", "md5:cd")
    assert (row.size, row.requires_python, row.upload_time) == (7, ">=3.8", 1704067200.5)


@pytest.mark.parametrize(
    ("value", "yanked"), [(False, None), (True, ""), ("broken", "broken"), ("", ""), (None, None)]
)
def test_yanked(value, yanked):
    assert only(yanked=value).yanked == yanked


@pytest.mark.parametrize(
    ("fields", "metadata"),
    [
        ({}, None),
        ({"core-metadata": True}, True),
        ({"core-metadata": False}, False),
        ({"core-metadata": {"sha256": "AB"}}, "sha256:ab"),
        ({"core-metadata": {"sha512": "x", "sha256": "y"}}, "sha256:y"),
        ({"core-metadata": {"sha512": "x"}}, "sha512:x"),
        ({"core-metadata": {}}, True),
        ({"dist-info-metadata": {"sha256": "ab"}}, "sha256:ab"),
        ({"data-dist-info-metadata": True}, True),
        ({"core-metadata": False, "dist-info-metadata": True}, False),
        ({"core-metadata": "nonsense"}, None),
    ],
)
def test_metadata(fields, metadata):
    assert only(**fields).metadata == metadata


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("foo.whl", "https://h/simple/foo/foo.whl"),
        ("../../files/foo.whl", "https://h/files/foo.whl"),
        ("//cdn/foo.whl", "https://cdn/foo.whl"),
        ("https://f/foo.whl#sha256=abc", "https://f/foo.whl"),
        ("https://u:p@f/foo.whl", "https://f/foo.whl"),
        ("/x/foo%20bar.whl", "https://h/x/foo%20bar.whl"),
    ],
)
def test_addresses_are_absolute_and_bare(url, result):
    assert only(url=url).url == result


@pytest.mark.parametrize("text", ["yesterday", "", 7, None])
def test_a_time_that_is_none_is_not_known(text):
    assert only(**{"upload-time": text}).upload_time is None


def test_a_time_without_zone_is_utc():
    assert only(**{"upload-time": "2024-01-01T00:00:00"}).upload_time == 1704067200


def test_sizes_that_are_none_are_not_known():
    assert only(size="7").size is only(size=-1).size is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (file(filename="bar-1.0-py3-none-any.whl"), "another project"),
        (file(filename="bar-1.0.tar.gz"), "not the name"),
        (file(filename="foo-1.0.exe"), "neither a wheel"),
        (file(filename="foo-1.0-py3.8.egg"), "neither a wheel"),
        (file(filename="foo-1.0-py3-none.whl"), "five or six"),
        (file(filename="foo-1.0-x1-py3-none-any.whl"), "build tag"),
        (file(filename="../foo-1.0-py3-none-any.whl"), "path"),
        (file(filename="foo-1.0-py3-none-any\\x.whl"), "path"),
        (file(url=7), "no text"),
        (file(url="file:///etc/passwd"), "none that we would fetch"),
        (file(url="javascript:alert()"), "none that we would fetch"),
        (file(hashes={"sha256": 7}), "no text"),
        (file(hashes=["sha256"]), "wrong kind"),
        (file(**{"requires-python": 3.8}), "wrong kind"),
        ({"filename": "foo-2.0.tar.gz"}, "'url' is missing"),
        ("text", ""),
    ],
)
def test_one_bad_file_is_left_out_with_the_reason(bad, reason):
    good = file(filename="foo-9.0.tar.gz")
    rows, skipped, _ = parse(page(bad, good), URL, "foo")

    assert [row.version for row in rows] == ["9.0"]
    ((name, why),) = skipped.items()
    assert reason in why
    assert not isinstance(bad, dict) or name == bad["filename"]


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("Foo.Bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("foo__bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("a-1-1.tar.gz", "a", "1-1"),
        ("a-1-1.tar.gz", "a-1", "1"),
        ("foo-bar-1.0.zip", "foo-bar", "1.0"),
        ("Foo_Bar-1.0_1-py3-none-any.whl", "foo-bar", "1.0-1"),
        ("foo_bar-1.0-7x-py3-none-any.whl", "foo-bar", "1.0"),
    ],
)
def test_names_are_read_with_the_project_known(filename, project, version):
    rows, skipped, _ = parse(page(file(filename=filename)), URL, project)

    assert not skipped
    assert rows[0].version == version


def test_the_status_of_the_project():
    assert parse(page(), URL, "foo")[2] == "active"
    assert parse(page(**{"project-status": {"status": "archived"}}), URL, "foo")[2] == "archived"
    assert parse(page(**{"project-status": "quarantined"}), URL, "foo")[2] == "quarantined"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"files": 7}',
        b'{"meta": {"api-version": "2.0"}, "files": []}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_page_is_a_typed_error(body):
    with pytest.raises(MetadataInvalid) as caught:
        parse(body, "https://u:secret@h/simple/foo/", "foo")

    assert caught.value.name == "foo"
    assert "secret" not in str(caught.value.to_dict())


def test_a_newer_minor_version_is_fine():
    assert parse(b'{"meta": {"api-version": "1.99"}, "files": [], "new": {}}', URL, "foo")[0] == []


def _names():
    part = st.sampled_from(["foo", "Foo", "bar", "1.0", "2.0", "01", "py3", "1x", "a/b", "", "é", "x.y"])
    ending = st.sampled_from([".whl", ".tar.gz", ".zip", "", "-none-any.whl", "-py3-none-any.whl"])
    return st.builds(lambda parts, end: "-".join(parts) + end, st.lists(part, max_size=6), ending)


@given(st.lists(_names()), st.booleans())
def test_many_names_are_judged_like_each_alone(filenames, repeated):
    filenames = [f"{name}" for name in filenames for _ in range(1 + repeated)]
    alone = FileNames("foo")
    expected, unfit = [], {}
    for position, filename in enumerate(filenames):
        try:
            expected.append((alone.version(filename), position))
        except ValueError as error:
            unfit[filename] = str(error)
    skipped = {}
    versions, positions = FileNames("foo").versions(filenames, skipped)

    assert list(zip(versions, positions, strict=True)) == expected
    assert skipped == unfit


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (" , ", " : ")])
@pytest.mark.parametrize(
    "oddity",
    [
        {},
        {"yanked": "}, {"},
        {"yanked": "},{"},
        {"yanked": 'a "filename": "x'},
        {"x": {"filename": "y"}},
        {"x": [{}, {}]},
    ],
)
def test_files_are_the_same_however_the_page_is_written(separators, oddity):
    files = [
        file(hashes={"sha256": "aa"}, **oddity),
        {"core-metadata": {"sha256": "bb"}, **file(filename="foo-2.0-py3-none-any.whl", url="x/y")},
        file(filename="foo-3.0.tar.gz", **oddity),
    ]
    body = json.dumps({"files": files, "meta": {}}, separators=separators).encode()
    rows, skipped, _ = parse(body, URL, "foo")

    assert [row.filename for row in rows] == [file["filename"] for file in files]
    assert [row.metadata for row in rows] == [None, "sha256:bb", None]
    assert skipped == {}


def test_files_of_two_styles_on_one_page_are_all_found():
    one, two = (
        json.dumps(file(filename=f"foo-{n}.tar.gz"), separators=s) for n, s in ((1, None), (2, (",", ":")))
    )
    for first, second in ((one, two), (two, one)):
        for between in (", ", ","):
            body = f'{{"files": [{first}{between}{second}]}}'.encode()
            rows, _, _ = parse(body, URL, "foo")
            assert sorted(row.version for row in rows) == ["1", "2"]


def test_a_path_is_unfit_also_behind_a_name_that_is_like_it():
    skipped = {}
    names = ["foo-1.0-py3-none-any.whl", "foo-1.0-py3-none-a/b.whl", "foo-1.0-py2-none-any.whl"]

    assert FileNames("foo").versions(names, skipped) == (["1.0", "1.0"], [0, 2])
    assert list(skipped) == ["foo-1.0-py3-none-a/b.whl"]


def test_other_threads_have_a_turn_while_a_page_is_parsed():
    """The parser is one call for the whole page, and keeps the interpreter to itself unless it calls back."""
    body = json.dumps(json.loads(page(*[file()] * 500)), indent=1).encode()
    turns = []

    def note(frame, event, _):
        if event == "call" and frame.f_back.f_code.co_name == "raw_decode":
            turns.append(frame)

    sys.setprofile(note)
    try:
        parse(body, URL, "foo")
    finally:
        sys.setprofile(None)

    assert len(turns) >= 500
