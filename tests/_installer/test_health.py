from __future__ import annotations

import pytest

from puffin_api._installer.health import check, satisfies, why
from puffin_api.errors import RequirementInvalid
from tests._installer.environment_kit import TARGET, Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def codes(place, **options):
    return [problem.code for problem in check(place.installed(), TARGET, **options)]


def test_a_healthy_environment_has_no_problems(place):
    place.change(
        place.wheel("a", requires=["b[fast]>=1", "win; sys_platform == 'win32'"], requires_python=">=3.8"),
        place.wheel("b", extras={"fast": ["c"], "other": ["missing"]}),
        place.wheel("c"),
    )

    assert codes(place, deep=True) == []


def test_unmet_requirements_are_found(place):
    place.change(place.wheel("a", requires=["b>=2", "c"]), place.wheel("b", "1.0"))

    problems = check(place.installed(), TARGET)

    assert [problem.message for problem in problems] == [
        "a 1.0 requires b>=2, but 1.0 is installed",
        "a 1.0 requires c, which is not installed",
    ]
    assert problems[0].to_dict()["data"] == {
        "name": "a",
        "version": "1.0",
        "requirement": "b>=2",
        "installed": "1.0",
    }


def test_requirements_of_wanted_extras_are_checked(place):
    place.change(
        place.wheel("a", requires=["b[x]"]), place.wheel("b", extras={"x": ["gone"], "y": ["unasked"]})
    )

    assert [problem.requirement for problem in check(place.installed(), TARGET)] == ["gone ; extra == 'x'"]


def test_broken_distributions_are_found(place):
    place.change(place.wheel("a", requires_python=">=3.13"), place.wheel("b"), place.wheel("c"))
    (place.site / "b-1.0.dist-info/METADATA").unlink()
    (place.site / "c-1.0.dist-info/RECORD").unlink()
    (place.site / ".puffin-x").mkdir()

    assert sorted(codes(place)) == [
        "broken-metadata",
        "broken-metadata",
        "interrupted-transaction",
        "unsupported-python",
    ]


def test_a_deep_check_reads_the_files(place):
    place.change(place.wheel("a", files={"a/x.py": "x", "a/y.py": "y", "a/z.py": "z"}))
    (place.site / "a/x.py").unlink()
    (place.site / "a/y.py").unlink()
    (place.site / "a/y.py").write_text("changed")

    assert codes(place) == []
    assert [(p.code, p.path) for p in check(place.installed(), TARGET, deep=True)] == [
        ("missing-file", "a/x.py"),
        ("modified-file", "a/y.py"),
    ]


def test_a_check_can_be_stopped(place):
    place.change(place.wheel("a"))

    with pytest.raises(ZeroDivisionError):
        check(place.installed(), TARGET, pulse=lambda: 1 / 0)


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("a", True),
        ("A==1.0", True),
        ("a>=2", False),
        ("a[x]", True),
        ("a[y]", False),
        ("missing", False),
        ("missing; sys_platform == 'win32'", True),
        ("broken", False),
        ("a @ https://x.invalid/a.whl", False),
    ],
)
def test_satisfies_looks_at_extras_and_all_below(place, requirement, expected):
    place.change(
        place.wheel("a", extras={"x": ["b"], "y": ["gone"]}),
        place.wheel("b", requires=["a"]),
        place.wheel("broken", requires=["also-gone"]),
    )

    assert satisfies([requirement], place.installed(), TARGET) is expected


def test_a_malformed_requirement_is_refused(place):
    with pytest.raises(RequirementInvalid):
        satisfies(["a b c"], place.installed(), TARGET)


def test_why_gives_the_ways_to_a_package(place):
    place.change(
        place.wheel("app", requires=["mid>=1"]),
        place.wheel("mid", requires=["leaf"]),
        place.wheel("leaf"),
        place.wheel("tool", requires=["leaf<9"]),
        requested=["app", "tool"],
    )

    assert [str(path) for path in why("Leaf", place.installed(), TARGET)] == [
        "tool==1.0 -> leaf<9",
        "app==1.0 -> mid>=1 -> leaf",
    ]
    assert [str(path) for path in why("app", place.installed(), TARGET)] == ["app==1.0"]
    assert why("nothing", place.installed(), TARGET) == ()


ARCHIVE = '{"url": "https://host.invalid/a-1.0.tar.gz", "archive_info": {"hashes": {"sha256": "ab"}}}'
GIT = """{"url": "https://host.invalid/a", "subdirectory": "x",
    "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "c0ffee"}}"""
FOLDER = '{"url": "file:///src/a", "dir_info": {"editable": true}}'


@pytest.mark.parametrize(
    ("origin", "url", "expected"),
    [
        (ARCHIVE, "https://host.invalid/a-1.0.tar.gz", True),
        (ARCHIVE, "https://user:secret@HOST.invalid:443/a%2D1.0.tar.gz#sha256=AB", True),
        (ARCHIVE, "https://host.invalid/a-1.0.tar.gz#sha256=cd", False),
        (ARCHIVE, "https://host.invalid/a-1.0.tar.gz#subdirectory=x", False),
        (ARCHIVE, "https://host.invalid/a-1.0.tar.gz2", False),
        (ARCHIVE, "https://host.invalid/a", False),
        (GIT, "git+https://host.invalid/a#subdirectory=x", True),
        (GIT, "git+https://host.invalid/a.git@v1#subdirectory=x", True),
        (GIT, "git+https://host.invalid/a@c0ffee#subdirectory=x", True),
        (GIT, "git+https://host.invalid/a@v2#subdirectory=x", False),
        (GIT, "git+https://host.invalid/a@v1", False),
        (GIT, "git+https://host.invalid/ab#subdirectory=x", False),
        (GIT, "https://host.invalid/a#subdirectory=x", False),
        (FOLDER, "file:///src/a", True),
        (FOLDER, "file:///src/a/", True),
        (FOLDER, "file:///src/ab", False),
    ],
)
def test_a_requirement_with_a_url_is_met_by_what_came_from_there(place, origin, url, expected):
    place.change(place.wheel("a"))
    (place.site / "a-1.0.dist-info/direct_url.json").write_text(origin)

    assert satisfies([f"a @ {url}"], place.installed(), TARGET) is expected
    assert satisfies(["a"], place.installed(), TARGET)


def test_what_has_no_metadata_meets_nothing(place):
    place.change(place.wheel("a"), place.wheel("b", requires=["a"]))
    (place.site / "a-1.0.dist-info/METADATA").unlink()

    assert not satisfies(["b"], place.installed(), TARGET)
