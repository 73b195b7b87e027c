"""Core metadata and requirements, read leniently."""

from __future__ import annotations

import pytest

from puffin_api._model.filename import parse_sdist_name, parse_wheel_name
from puffin_api._model.metadata import dist_metadata, parse_metadata
from puffin_api._model.names import normalize
from puffin_api._model.requirement import lenient_row, lenient_specifier, requirement_row
from puffin_api.errors import MetadataInvalid, RequirementInvalid


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a (>=3.6<4)", "<4,>=3.6"),
        ("a>=1.9.*", ">=1.9"),
        ("a<3.5.*", "<3.5"),
        ("a!=~5.0", "!=5.0.*"),
        ("a!=3.0*", "!=3.0.*"),
        ("a>=1,", ">=1"),
        ("a>dev", ">0.0.0dev"),
        ("a>='1.0'", ">=1.0"),
    ],
)
def test_known_mistakes_are_mended_and_the_text_is_kept(written, meant):
    row = lenient_row(written)

    assert row.text == written
    assert row.specifier == meant


def test_what_cannot_be_mended_is_an_error_that_says_where():
    with pytest.raises(RequirementInvalid) as caught:
        lenient_row("a >>> 1")
    assert caught.value.column is not None


@pytest.mark.parametrize(
    ("text", "gate", "marker"),
    [
        ("a; extra == 'x'", "x", ""),
        ("a; python_version < '3' and extra == 'Some_X'", "some-x", 'python_version < "3"'),
        ("a; (os_name == 'nt' or os_name == 'posix') and extra == 'x'", "x", None),
        ("a; os_name == 'nt' or os_name == 'posix' and extra == 'x'", "", None),
        ("a; extra == 'x' or os_name == 'nt'", "", None),
        ("a; extra == 'x' and extra == 'y'", "", None),
    ],
)
def test_the_extra_of_a_marker_is_split_off_where_that_is_right(text, gate, marker):
    row = requirement_row(text)

    assert row.gate == gate
    if marker is not None:
        assert row.marker == marker


def test_rows_of_one_text_are_one_object():
    assert requirement_row("some-name>=1") is requirement_row("some-name>=1")


def test_only_the_headers_of_metadata_are_read():
    text = (
        "Metadata-Version: 2.1\r\nName: Foo.Bar\r\nVersion: 1.0\r\nSummary: folded\r\n  over lines\r\n"
        "Requires-Dist: a>=1\r\nRequires-Dist: b; extra == 'x'\r\nProvides-Extra: X_y\r\n"
        "Requires-Python: >=3.8\r\n\r\nName: not-this\r\nRequires-Dist: nor-this\r\n"
    )

    core = parse_metadata(text.encode(), source="test")

    assert (core.name, core.version, core.requires_python) == ("Foo.Bar", "1.0", ">=3.8")
    assert core.summary == "folded over lines"
    assert core.requires_dist == ("a>=1", "b; extra == 'x'")
    assert core.provides_extra == ("x-y",)
    assert dist_metadata(core).name == "foo-bar"


@pytest.mark.parametrize(
    "text", ["", "Name: a\n", "Version: 1\n", "Name: UNKNOWN\nVersion: 1\n", "Name: -\nVersion: 1\n"]
)
def test_metadata_without_a_name_or_version_is_invalid(text):
    with pytest.raises(MetadataInvalid):
        parse_metadata(text, source="test")


def test_bytes_that_are_no_utf8_do_not_hide_the_rest():
    core = parse_metadata(b"Name: a\nVersion: 1\nAuthor: J\xf6rg\nRequires-Dist: b\n", source="test")

    assert core.requires_dist == ("b",)


def test_a_requirement_that_cannot_be_read_makes_the_file_unusable():
    core = parse_metadata("Name: a\nVersion: 1\nRequires-Dist: b >>> 1\n", source="test")

    assert core.invalid
    with pytest.raises(MetadataInvalid):
        dist_metadata(core)


@pytest.mark.parametrize(
    ("text", "known"), [(">=3.6<4", True), (">=3.*", True), ("nonsense", False), ("", True)]
)
def test_a_requires_python_is_mended_or_unknown(text, known):
    assert (lenient_specifier(text) is not None) == known


def test_wheel_names_are_taken_apart():
    name = parse_wheel_name("Foo_Bar-1.0-2x-cp39.cp310-none-any.whl")

    assert (name.name, name.version, name.build) == ("foo-bar", "1.0", (2, "x"))
    assert list(name.expanded_tags()) == ["cp39-none-any", "cp310-none-any"]
    assert parse_wheel_name("a-1-py3-none-any.whl").build < parse_wheel_name("a-1-0-py3-none-any.whl").build
    assert (
        parse_wheel_name("a-1-9-py3-none-any.whl").build < parse_wheel_name("a-1-10-py3-none-any.whl").build
    )


@pytest.mark.parametrize(
    "name", ["a-1.whl", "a-1-py3-none-any.zip", "a-1-x-py3-none-any.whl", "-1-py3-none-any.whl"]
)
def test_bad_wheel_names_are_refused(name):
    with pytest.raises(ValueError, match=r"."):
        parse_wheel_name(name)


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("a-1-1.tar.gz", "a-1", "1"),
        ("a-1-1.tar.gz", "a", "1-1"),
        ("foo__bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("Foo.Bar-1.0.zip", "foo-bar", "1.0"),
    ],
)
def test_names_of_source_distributions_depend_on_the_project(filename, project, version):
    assert parse_sdist_name(filename, project) == version


@pytest.mark.parametrize("filename", ["a-1.exe", "b-1.tar.gz", "a.tar.gz"])
def test_other_files_are_no_source_distribution_of_the_project(filename):
    with pytest.raises(ValueError, match="source distribution"):
        parse_sdist_name(filename, "a")


def test_names_are_normalised_once():
    assert normalize("Zope.Interface__x") == "zope-interface-x"
    with pytest.raises(RequirementInvalid):
        normalize("-bad-")
