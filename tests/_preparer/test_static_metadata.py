from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from puffin_api._model.metadata import dist_metadata
from puffin_api._preparer.source_archive import unpack_source
from puffin_api._preparer.static_metadata import NotStatic, StaticMetadata, read_static
from puffin_api._testing.wheels import make_sdist, metadata_text

PROJECT = '[project]\nname = "demo"\nversion = "1.0"\n'


def read(tree, *, pyproject=None, pkg_info=None, is_sdist=True, name="demo", version="1.0"):
    for file, text in (("pyproject.toml", pyproject), ("PKG-INFO", pkg_info)):
        if text is not None:
            (tree / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_static(tree, name=name, version=version, is_sdist=is_sdist)


def info(version="2.2", **options):
    return metadata_text("demo", "1.0", headers={"Metadata-Version": version}, **options)


# -- PKG-INFO


@pytest.mark.parametrize("version", ["2.2", "2.3", "2.4", "2.5", "2.10"])
def test_pkg_info_that_promises_is_taken(tmp_path, version):
    text = info(version, requires=["attrs>=1"], extras={"X.Y": ["rich"]}, requires_python=">=3.8")

    found = read(tmp_path, pkg_info=text, pyproject=PROJECT)

    assert found.origin == "pkg-info"
    assert found.core.requires_dist == ("attrs>=1", "rich ; extra == 'X.Y'")
    assert found.core.requires_python == ">=3.8"
    assert found.core.provides_extra == ("x-y",)


@pytest.mark.parametrize("version", ["1.0", "1.2", "2.0", "2.1", "3.0", "22", "2", "2.x", ""])
def test_pkg_info_of_other_versions_promises_nothing(tmp_path, version):
    found = read(tmp_path, pkg_info=info(version, requires=["attrs"]))

    assert found.reason.startswith("PKG-INFO: metadata ")
    assert "promises nothing; pyproject.toml: there is none" in found.reason
    assert read(tmp_path, pyproject=PROJECT).origin == "pyproject"


@pytest.mark.parametrize("field", ["Requires-Dist", "requires-python", "Provides-Extra"])
def test_what_pkg_info_leaves_to_the_build_is_left_to_it(tmp_path, field):
    # Whatever pyproject.toml says: the backend that wrote PKG-INFO knows better.
    found = read(tmp_path, pkg_info=info(dynamic=["Summary", field]), pyproject=PROJECT)

    assert found == NotStatic(f"PKG-INFO: {field.lower()} is dynamic")


def test_dynamic_fields_that_matter_to_nobody_do_not_matter(tmp_path):
    assert read(tmp_path, pkg_info=info(dynamic=["License-File", "Summary"])).origin == "pkg-info"


def test_pkg_info_in_a_working_tree_is_the_rest_of_some_build(tmp_path):
    found = read(tmp_path, pkg_info=info(requires=["old"]), is_sdist=False)
    assert found == NotStatic("pyproject.toml: there is none")

    found = read(tmp_path, pkg_info=info(requires=["old"]), pyproject=PROJECT, is_sdist=False)
    assert (found.origin, found.core.requires_dist) == ("pyproject", ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no valid name"),
        (b"Metadata-Version: 2.2\nName: demo\n", "no valid version"),
        (info(requires=["not a requirement"]), "not a valid requirement"),
    ],
)
def test_pkg_info_that_cannot_be_read_is_left_to_the_build(tmp_path, text, reason):
    found = read(tmp_path, pkg_info=text)

    assert isinstance(found, NotStatic)
    assert reason in found.reason


# -- name and version


@pytest.mark.parametrize(
    ("name", "version", "fits"),
    [
        ("demo", "1.0", True),
        ("Demo", "1.0.0", True),
        (None, None, True),
        ("demo", None, True),
        ("other", "1.0", False),
        ("demo", "1.1", False),
        ("demo", "1.0+local", False),
        ("demo", "main", False),
    ],
)
@pytest.mark.parametrize("file", ["pkg_info", "pyproject"])
def test_metadata_of_another_file_are_no_promise(tmp_path, file, name, version, fits):
    text = {"pkg_info": info(), "pyproject": PROJECT}[file]

    found = read(tmp_path, name=name, version=version, **{file: text})

    assert isinstance(found, StaticMetadata if fits else NotStatic)
    assert fits or "it is of " in found.reason


# -- pyproject.toml: what the backends make of it

TABLE = {
    "nothing": ("", (), (), ""),
    "dependencies": ('dependencies = ["attrs >= 1,<2", "rich"]', ("attrs<2,>=1", "rich"), (), ""),
    "python": ('requires-python = ">= 3.8"', (), (), ">= 3.8"),
    "markers": (
        "dependencies = ['tomli; python_version < \"3.11\"']",
        ('tomli; python_version < "3.11"',),
        (),
        "",
    ),
    "url": (
        'dependencies = ["a @ https://example.org/a.zip"]',
        ("a@ https://example.org/a.zip",),
        (),
        "",
    ),
    "url with marker": (
        "dependencies = ['a @ https://example.org/a.zip ; os_name == \"nt\"']",
        ('a@ https://example.org/a.zip ; os_name == "nt"',),
        (),
        "",
    ),
    "extras": (
        'optional-dependencies = { Test_Kit = ["pytest>=8"], none = [] }',
        ("pytest>=8 ; extra == 'test-kit'",),
        ("test-kit", "none"),
        "",
    ),
    "extra with marker": (
        "optional-dependencies = { x = [\"a[b]; os_name == 'nt'\"] }",
        ("a[b] ; os_name == \"nt\" and extra == 'x'",),
        ("x",),
        "",
    ),
    "extra with alternatives": (
        "optional-dependencies = { x = [\"a; os_name == 'nt' or python_version < '3'\"] }",
        ('a ; (os_name == "nt" or python_version < "3") and extra == \'x\'',),
        ("x",),
        "",
    ),
    "extra with alternatives deep inside": (
        "optional-dependencies = { x = [\"a; (os_name == 'a' or os_name == 'b') and os_name < 'c'\"] }",
        ('a ; ((os_name == "a" or os_name == "b") and os_name < "c") and extra == \'x\'',),
        ("x",),
        "",
    ),
    "extra with url": (
        'optional-dependencies = { x = ["a @ https://example.org/a.zip"] }',
        ("a @ https://example.org/a.zip ; extra == 'x'",),
        ("x",),
        "",
    ),
    "extra of extras": (
        'optional-dependencies = { all = ["demo[x]"], x = ["a"] }',
        ("demo[x] ; extra == 'all'", "a ; extra == 'x'"),
        ("all", "x"),
        "",
    ),
    "other fields are dynamic": ('dynamic = ["readme", "scripts", "classifiers"]', (), (), ""),
}


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.parametrize("is_sdist", [True, False])
def test_the_project_table_is_read_as_backends_read_it(tmp_path, case, is_sdist):
    text, requires, extras, python = TABLE[case]

    found = read(tmp_path, pyproject=PROJECT + text, is_sdist=is_sdist)

    assert found.origin == "pyproject"
    assert (found.core.name, found.core.version) == ("demo", "1.0")
    assert [parsed(r) for r in found.core.requires_dist] == [parsed(r) for r in requires]
    assert found.core.provides_extra == extras
    assert found.core.requires_python == python
    assert dist_metadata(found.core).extras == extras


def parsed(text):
    requirement = Requirement(text)
    return (
        requirement.name,
        sorted(requirement.extras),
        requirement.specifier,
        requirement.url,
        str(requirement.marker),
    )


def test_requirements_of_extras_are_cut_up_at_their_gate(tmp_path):
    for case in ("extra with marker", "extra with alternatives", "extra with alternatives deep inside"):
        (row,) = dist_metadata(read(tmp_path, pyproject=PROJECT + TABLE[case][0]).core).requires

        assert row.gate == "x"
        assert "extra" not in row.marker
        assert row.marker


MARKERS = st.recursive(
    st.sampled_from(["os_name == 'nt'", "os_name == 'posix'", "python_version < '3'", "os_name == ' or '"]),
    lambda inner: (
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner)
    ),
    max_leaves=5,
)


@given(MARKERS, st.sampled_from(["nt", "posix", " or "]), st.sampled_from(["2.7", "3.11"]))
def test_the_requirement_of_an_extra_holds_where_the_extra_and_its_marker_do(
    tmp_path_factory, marker, os_name, python
):
    tree = tmp_path_factory.mktemp("tree")
    text = f'{PROJECT}optional-dependencies = {{ x = ["a; {marker}"] }}'

    (written,) = read(tree, pyproject=text).core.requires_dist

    environment = {"os_name": os_name, "python_version": python}
    holds = Requirement(f"a; {marker}").marker.evaluate(environment)
    assert Requirement(written).marker.evaluate({**environment, "extra": "x"}) is holds
    assert not Requirement(written).marker.evaluate({**environment, "extra": ""})


def test_the_description_is_the_summary(tmp_path):
    assert read(tmp_path, pyproject=PROJECT + 'description = "For tests."').core.summary == "For tests."


@pytest.mark.parametrize("version", ["1", "1.0.0", "v1.0", "01.0"])
def test_versions_are_written_as_backends_write_them(tmp_path, version):
    text = f'[project]\nname = "demo"\nversion = "{version}"'

    assert read(tmp_path, pyproject=text).core.version in {"1", "1.0", "1.0.0"}


NOT_STATIC = {
    "no table": ("[build-system]\nrequires = []", "there is no [project]"),
    "dependencies": (PROJECT + 'dynamic = ["dependencies"]', "dependencies is dynamic"),
    "extras": (PROJECT + 'dynamic = ["optional-dependencies"]', "optional-dependencies is dynamic"),
    "python": (PROJECT + 'dynamic = ["requires-python"]', "requires-python is dynamic"),
    "both": (
        PROJECT + 'dependencies = ["a"]\ndynamic = ["dependencies"]',
        "dependencies is dynamic",
    ),
    "version twice": (PROJECT + 'dynamic = ["version"]', "both given and dynamic"),
    "no version": ('[project]\nname = "demo"', "there is no version"),
    "version that is none": ('[project]\nname = "demo"\nversion = "one"', "Invalid version"),
    "version of a wrong type": ('[project]\nname = "demo"\nversion = 1.0', "there is no version"),
    "no name": ('[project]\nversion = "1.0"', "no valid name"),
    "name that is none": ('[project]\nname = "-"\nversion = "1.0"', "no valid name"),
    "name of a wrong type": ('[project]\nname = 1\nversion = "1.0"', "no valid name"),
    "poetry": (PROJECT + "[tool.poetry.dependencies]\nattrs = '*'", "the dependencies are Poetry's"),
    "poetry without any": (PROJECT + "[tool.poetry]", "the dependencies are Poetry's"),
    "poetry extras": (
        PROJECT + "dependencies = []\n[tool.poetry.extras]\nx = ['a']",
        "the extras are Poetry's",
    ),
    "poetry python": (
        PROJECT + "dependencies = []\n[tool.poetry.dependencies]\npython = '^3.8'",
        "the range of Pythons is Poetry's",
    ),
    "hatch path": (
        PROJECT + 'dependencies = ["a @ {root:uri}/a"]',
        "dependencies: the URL of a is to be filled in",
    ),
    "requirement": (PROJECT + 'dependencies = ["a b"]', "dependencies: "),
    "requirement of an extra": (PROJECT + 'optional-dependencies = { x = ["a b"] }', "x: "),
    "old mistakes": (PROJECT + 'dependencies = ["a>=1.*"]', "dependencies: "),
    "range": (PROJECT + 'requires-python = "three"', "Invalid specifier"),
    "extra": (PROJECT + 'optional-dependencies = { "?" = [] }', "no valid name for an extra"),
    "extra twice": (PROJECT + "optional-dependencies = { a-b = [], a_b = [] }", "there are two extras a-b"),
    "type of project": ("project = 1", "project is no table"),
    "type of dynamic": (PROJECT + "dynamic = 1", "dynamic is no list of texts"),
    "type of dependencies": (PROJECT + 'dependencies = "a"', "dependencies is no list of texts"),
    "type of one dependency": (PROJECT + "dependencies = [1]", "dependencies is no list of texts"),
    "type of extras": (PROJECT + "optional-dependencies = []", "optional-dependencies is no table"),
    "type of one extra": (PROJECT + "optional-dependencies = { x = 1 }", "x is no list of texts"),
    "type of python": (PROJECT + "requires-python = 3", "requires-python is no text"),
    "type of description": (PROJECT + "description = 3", "description is no text"),
    "no TOML": ("[project", "it cannot be read: "),
    "no text": (b"\xff\xfe", "it cannot be read: "),
    "deep": ("x = " + "[" * 5000 + "]" * 5000, "it cannot be read: "),
    "large": (b"#" * ((16 << 20) + 1), "it is too large"),
}


@pytest.mark.parametrize("case", NOT_STATIC)
def test_what_is_open_or_wrong_is_left_to_the_build(tmp_path, case):
    text, reason = NOT_STATIC[case]

    found = read(tmp_path, pyproject=text, is_sdist=False)

    assert isinstance(found, NotStatic)
    assert found.reason.startswith("pyproject.toml: ")
    assert reason in found.reason
    assert "\n" not in found.reason


def test_poetry_projects_with_everything_in_the_standard_table_are_static(tmp_path):
    text = (
        PROJECT
        + 'dependencies = ["a"]\nrequires-python = ">=3.8"\noptional-dependencies = { x = ["b"] }\n'
        + "[tool.poetry.dependencies]\npython = '^3.8'\n[tool.poetry.extras]\nx = ['b']"
    )

    assert read(tmp_path, pyproject=text).core.requires_dist == ("a", "b ; extra == 'x'")


def test_other_tools_do_not_matter(tmp_path):
    assert read(tmp_path, pyproject=PROJECT + "[tool.hatch.version]\npath = 'x.py'").origin == "pyproject"
    assert read(tmp_path, pyproject=f"tool = 1\n{PROJECT}").origin == "pyproject"


@pytest.mark.parametrize(
    ("is_sdist", "version", "expected"),
    [
        (True, "1.0.post1", "1.0.post1"),
        (True, None, None),
        (False, "1.0", None),
    ],
)
def test_a_dynamic_version_is_that_of_the_file_name(tmp_path, is_sdist, version, expected):
    text = '[project]\nname = "demo"\ndynamic = ["version"]'

    found = read(tmp_path, pyproject=text, is_sdist=is_sdist, version=version)

    if expected is None:
        assert found.reason.endswith("pyproject.toml: the version is dynamic")
    else:
        assert found.core.version == expected


def test_a_tree_without_either_file_promises_nothing(tmp_path):
    assert read(tmp_path) == NotStatic("PKG-INFO: there is none; pyproject.toml: there is none")


def test_a_folder_in_the_place_of_a_file_promises_nothing(tmp_path):
    (tmp_path / "pyproject.toml").mkdir()

    assert "pyproject.toml: it cannot be read: " in read(tmp_path, is_sdist=False).reason


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_from_the_archive_to_the_metadata(tmp_path, kind):
    content = make_sdist("demo", "1.0", requires=["attrs"], kind=kind)
    (tmp_path / "download").write_bytes(content)

    top = unpack_source(tmp_path / "download", tmp_path / "target", filename=f"demo-1.0.{kind}")

    assert read_static(top, name="demo", version="1.0", is_sdist=True).core.requires_dist == ("attrs",)
