"""Requirements with a URL: where the project comes from then, and what contradicts it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.resolution import Resolution
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.file import FileRow

TARGET = Target.for_platform("3.12")
HOST = "https://files.invalid"
DIGEST = "1" * 64


@pytest.fixture
def source() -> FakeReleaseSource:
    return FakeReleaseSource()


def wheel(name: str, version: str, place: str = HOST) -> str:
    return f"{place}/{name}-{version}-py3-none-any.whl"


def resolve(source: FakeReleaseSource, *requirements: str, **options: object) -> Resolution:
    return Resolver(source).resolve(requirements, target=TARGET, **options)  # type: ignore[arg-type]  # options are passed on


def versions(resolution: Resolution) -> dict[str, str]:
    return {name: package.version for name, package in resolution.packages.items()}


def failed(source: FakeReleaseSource, *requirements: str, **options: object) -> errors.ResolutionFailed:
    with pytest.raises(errors.ResolutionFailed) as caught:
        resolve(source, *requirements, **options)
    return caught.value


def test_the_file_of_the_url_is_taken_and_no_index_asked_for_the_project(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b"], listed=False)
    source.serve("b", "2.0")

    resolution = resolve(source, f"a @ {wheel('a', '1.0')}")

    assert versions(resolution) == {"a": "1.0", "b": "2.0"}
    assert resolution.packages["a"].file.url == wheel("a", "1.0")
    assert [p.source for p in resolution.packages.values()] == ["url", "index"]
    assert "a" not in source.asked  # no releases of it: only its one file


def test_whoever_requires_the_project_gets_that_file(source: FakeReleaseSource) -> None:
    source.serve("a", "9.0")
    source.serve("a", "1.5", listed=False)
    source.serve("b", "1.0", requires=["a>=1,<2"])

    assert versions(resolve(source, "b", f"a @ {wheel('a', '1.5')}")) == {"a": "1.5", "b": "1.0"}


def test_a_version_of_another_project_that_does_not_go_with_the_file_is_left_out(
    source: FakeReleaseSource,
) -> None:
    source.serve("a", "1.5", listed=False)
    source.serve("b", "1.0", requires=["a<2"])
    source.serve("b", "2.0", requires=["a>=2"])

    assert versions(resolve(source, "b", f"a @ {wheel('a', '1.5')}"))["b"] == "1.0"


def test_that_the_file_has_another_version_is_told(source: FakeReleaseSource) -> None:
    source.serve("a", "1.5", listed=False)

    error = failed(source, "a>=2", f"a @ {wheel('a', '1.5')}")

    assert error.explain() == (
        f"Because you require a>=2, but a is 1.5 (@ {wheel('a', '1.5')}), your requirements cannot be met."
    )


def test_two_urls_are_a_conflict(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", listed=False)
    one, other = wheel("a", "1.0"), wheel("a", "1.0", "https://other.invalid")

    error = failed(source, f"a @ {one}", f"a @ {other}")

    assert error.explain() == (
        f"Because you require a @ {one} and you require a @ {other}, your requirements cannot be met."
    )
    assert error.conflicts == (f"a @ {one}", f"a @ {other}")


@pytest.mark.parametrize(
    "spelling",
    [
        "HTTPS://Files.invalid:443/a-1.0-py3-none-any.whl",
        "https://user:secret@files.invalid/a-1.0-py3-none-any.whl",
        "https://files.invalid/%61-1.0-py3-none-any.whl",
        f"https://files.invalid/a-1.0-py3-none-any.whl#sha256={DIGEST}",
    ],
)
def test_one_url_in_two_spellings_is_one(source: FakeReleaseSource, spelling: str) -> None:
    source.serve("a", "1.0", listed=False)

    resolution = resolve(source, f"a @ {wheel('a', '1.0')}", f"a @ {spelling}")

    assert versions(resolution) == {"a": "1.0"}
    assert "secret" not in str(resolution.to_dict())


def test_escaped_or_not_a_local_version_is_the_same_file(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0+cu118", listed=False)
    plain, escaped = wheel("a", "1.0+cu118"), wheel("a", "1.0%2Bcu118")

    assert versions(resolve(source, f"a @ {plain}", f"a @ {escaped}", "a==1.0")) == {"a": "1.0+cu118"}


def test_digests_of_all_spellings_count(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", listed=False)
    url = wheel("a", "1.0")

    resolution = resolve(source, f"a @ {url}", f"a @ {url}#sha256={DIGEST}", f"a @ {url}#sha512={DIGEST * 2}")

    assert resolution.packages["a"].file.hashes == {"sha256": DIGEST, "sha512": DIGEST * 2}
    with pytest.raises(errors.RequirementInvalid, match="another sha256 digest"):
        resolve(source, f"a @ {url}#sha256={DIGEST}", f"a @ {url}#sha256={'2' * 64}")


def test_extras_of_a_url_come_from_its_own_file(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b; extra == 'x'", "c; extra == 'y'"], extras=["x", "y"], listed=False)
    source.serve("b", "1.0", requires=["a[y]"])
    source.serve("c", "1.0")

    resolution = resolve(source, f"a[x] @ {wheel('a', '1.0')}")

    assert versions(resolution) == {"a": "1.0", "b": "1.0", "c": "1.0"}
    assert resolution.packages["a"].extras == ("x", "y")


# -- URLs in metadata


def test_a_url_in_the_metadata_of_a_url_is_followed(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=[f"b @ {wheel('b', '1.0')}"], listed=False)
    source.serve("b", "1.0", requires=[f"c @ {wheel('c', '1.0')} ; python_version >= '3'"], listed=False)
    source.serve("c", "1.0", listed=False)
    source.serve("c", "5.0")
    source.serve("d", "1.0", requires=["c"])

    resolution = resolve(source, "d", f"a @ {wheel('a', '1.0')}")

    assert versions(resolution) == {"a": "1.0", "b": "1.0", "c": "1.0", "d": "1.0"}


def test_so_is_one_behind_an_extra_that_is_asked_for_and_no_other(source: FakeReleaseSource) -> None:
    requires = [f"b @ {wheel('b', '1.0')} ; extra == 'x'", f"c @ {wheel('c', '1.0')} ; extra == 'y'"]
    source.serve("a", "1.0", requires=requires, extras=["x", "y"], listed=False)
    source.serve("b", "1.0", requires=["c"], listed=False)
    source.serve("c", "5.0")

    assert versions(resolve(source, f"a[x] @ {wheel('a', '1.0')}")) == {"a": "1.0", "b": "1.0", "c": "5.0"}


def test_a_url_in_the_metadata_of_an_index_bars_the_version(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0", requires=[f"b @ {wheel('b', '1.0')}"])

    assert versions(resolve(source, "a")) == {"a": "1.0"}


def test_unless_the_caller_names_the_same_url(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    source.serve("a", "2.0", requires=["b @ HTTPS://files.invalid/b-1.0-py3-none-any.whl"])
    source.serve("b", "1.0", listed=False)

    expected = {"a": "2.0", "b": "1.0"}
    assert versions(resolve(source, "a", f"b @ {wheel('b', '1.0')}")) == expected
    assert versions(resolve(source, "a", constraints=[f"b @ {wheel('b', '1.0')}"])) == expected
    alone = resolve(source, "a")
    assert versions(alone) == {"a": "1.0"}  # nothing is left of it
    assert alone.why_version("a").rejected["2.0"].code == "direct-url"


def test_two_files_with_other_urls_for_one_project_conflict(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=[f"c @ {wheel('c', '1.0')}"], listed=False)
    source.serve("b", "1.0", requires=[f"c @ {wheel('c', '2.0')}"], listed=False)
    source.serve("c", "1.0", listed=False)
    source.serve("c", "2.0", listed=False)

    error = failed(source, f"a @ {wheel('a', '1.0')}", f"b @ {wheel('b', '1.0')}")

    assert wheel("c", "1.0") in error.explain()
    assert wheel("c", "2.0") in error.explain()


def test_a_circle_of_urls_has_an_end(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=[f"b @ {wheel('b', '1.0')}"], listed=False)
    source.serve("b", "1.0", requires=[f"a @ {wheel('a', '1.0')}"], listed=False)

    assert versions(resolve(source, f"a @ {wheel('a', '1.0')}")) == {"a": "1.0", "b": "1.0"}


# -- constraints and overrides


def test_a_constraint_with_a_url_adds_no_package(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b"])
    source.serve("b", "1.0", listed=False)
    source.serve("b", "3.0")
    source.serve("c", "1.0")
    constraint = f"b @ {wheel('b', '1.0')}"

    assert versions(resolve(source, "a", constraints=[constraint])) == {"a": "1.0", "b": "1.0"}
    assert versions(resolve(source, "c", constraints=[constraint])) == {"c": "1.0"}


def test_a_constraint_and_a_requirement_with_other_urls_conflict(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", listed=False)
    source.serve("a", "2.0", listed=False)

    error = failed(source, f"a @ {wheel('a', '1.0')}", constraints=[f"a @ {wheel('a', '2.0')}"])

    assert error.explain().startswith(
        f"Because you require a @ {wheel('a', '1.0')} and your constraints say a @ {wheel('a', '2.0')}"
    )
    assert f"there is a solution without the constraint a @ {wheel('a', '2.0')}" in error.explain()


@pytest.mark.parametrize("kind", ["constraints", "overrides"])
def test_the_metadata_of_a_url_that_is_not_needed_does_not_count(
    source: FakeReleaseSource, kind: str
) -> None:
    source.serve("a", "1.0", requires=[f"b @ {wheel('b', '1.0')}"], listed=False)
    source.serve("b", "1.0", listed=False)
    source.serve("b", "3.0")

    resolution = resolve(source, "b", **{kind: [f"a @ {wheel('a', '1.0')}"]})

    assert versions(resolution) == {"b": "3.0"}
    assert "a-1.0-py3-none-any.whl" not in source.asked


@pytest.mark.parametrize("kind", ["constraints", "overrides"])
def test_it_does_where_a_project_of_an_index_needs_it(source: FakeReleaseSource, kind: str) -> None:
    source.serve("a", "1.0", requires=[f"b @ {wheel('b', '1.0')}"], listed=False)
    source.serve("b", "1.0", requires=[f"c @ {wheel('c', '1.0')}"], listed=False)
    source.serve("b", "3.0")
    source.serve("c", "1.0", listed=False)
    source.serve("d", "1.0", requires=["a"])

    resolution = resolve(source, "b", "d", **{kind: [f"a @ {wheel('a', '1.0')}"]})

    assert versions(resolution) == {"a": "1.0", "b": "1.0", "c": "1.0", "d": "1.0"}


def test_so_does_an_extra_that_only_a_project_of_an_index_asks_for(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=[f"b @ {wheel('b', '1.0')} ; extra == 'x'"], extras=["x"], listed=False)
    source.serve("b", "1.0", listed=False)
    source.serve("d", "1.0", requires=["a[x]"])

    resolution = resolve(source, "d", f"a @ {wheel('a', '1.0')}")

    assert versions(resolution) == {"a": "1.0", "b": "1.0", "d": "1.0"}


@pytest.mark.parametrize("kind", ["constraints", "overrides"])
def test_a_url_for_what_is_excluded_is_not_followed(source: FakeReleaseSource, kind: str) -> None:
    source.serve("a", "1.0", requires=[f"b @ {wheel('b', '1.0')}"], listed=False)
    source.serve("b", "1.0", listed=False)
    source.serve("b", "3.0")

    resolution = resolve(source, "b", excludes=["a"], **{kind: [f"a @ {wheel('a', '1.0')}"]})

    assert versions(resolution) == {"b": "3.0"}
    assert source.asked == ["b", "b-3.0-py3-none-any.whl"]


def test_an_override_with_a_url_replaces_what_others_ask(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b>=3"])
    source.serve("b", "1.0", listed=False)

    assert versions(resolve(source, "a", overrides=[f"b @ {wheel('b', '1.0')}"])) == {"a": "1.0", "b": "1.0"}


# -- rules that hold for files of indexes


def test_a_pre_release_is_meant_by_who_names_it(source: FakeReleaseSource) -> None:
    source.serve("a", "2.0rc1", listed=False)
    source.serve("b", "1.0", requires=["a>=1"])

    resolution = resolve(source, "b", f"a @ {wheel('a', '2.0rc1')}", prereleases=PrereleaseMode.DISALLOW)

    assert versions(resolution)["a"] == "2.0rc1"


def test_so_is_a_file_without_an_upload_time(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", listed=False)

    assert versions(resolve(source, f"a @ {wheel('a', '1.0')}", exclude_newer=timedelta(days=3)))


def test_a_file_for_another_platform_is_told(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", tags=["cp312-cp312-win_amd64"], listed=False)
    url = f"{HOST}/a-1.0-cp312-cp312-win_amd64.whl"

    error = failed(source, f"a @ {url}")

    assert error.explain().startswith(f"Because you require a @ {url} and a @ {url} has no wheel for ")


def test_so_is_a_file_for_another_python(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires_python=">=3.13", listed=False)

    error = failed(source, f"a @ {wheel('a', '1.0')}")

    assert "requires Python >=3.13" in error.explain()
    assert "there is a solution for Python 3.13" in error.explain()


def test_a_file_with_bad_metadata_is_told(source: FakeReleaseSource) -> None:
    source.serve(
        "a", "1.0", listed=False, invalid=errors.MetadataInvalid("no", reason="there is no such file")
    )

    error = failed(source, f"a @ {wheel('a', '1.0')}")

    assert "there is no such file" in error.explain()


class Eager(FakeReleaseSource):
    """Reads ahead at once."""

    def touch(self, files: Sequence[FileRow]) -> None:
        self.metadata(files)


def test_without_dependencies_nothing_is_read() -> None:
    source = Eager()
    source.serve("a", "1.0", requires=["b"], listed=False)

    assert versions(resolve(source, f"a @ {wheel('a', '1.0')}", dependencies=False)) == {"a": "1.0"}
    assert source.asked == []


# -- what cannot be a file of the project


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        (f"a @ {wheel('b', '1.0')}", "wheel of b, not of a"),
        (f"a @ {HOST}/a-one-py3-none-any.whl", "'one' is not a valid version"),
        (f"a @ {HOST}/a.whl", "five or six parts"),
        ("a @ ftp://files.invalid/a-1.0-py3-none-any.whl", "by ftp"),
    ],
)
def test_a_url_that_is_no_wheel_of_the_project(
    source: FakeReleaseSource, requirement: str, said: str
) -> None:
    with pytest.raises(errors.RequirementInvalid, match=said) as caught:
        resolve(source, requirement)

    assert caught.value.text == requirement
    assert caught.value.hint


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("a @ ftp://user:secret@files.invalid/a-1.0-py3-none-any.whl", "by ftp"),
        (f"a @ {HOST}/b-1.0-py3-none-any.whl?token=secret", "wheel of b"),
        (f"a @ {HOST}/a-one-py3-none-any.whl?token=secret", "no valid|not a valid"),
    ],
)
def test_what_is_said_of_a_url_holds_no_secret(
    source: FakeReleaseSource, requirement: str, said: str
) -> None:
    with pytest.raises(errors.RequirementInvalid, match=said) as caught:
        resolve(source, requirement)

    assert "secret" not in json.dumps(caught.value.to_dict())


@pytest.mark.parametrize(
    "requirements",
    [
        ["a>=2", f"a @ {HOST}/a-1.0-py3-none-any.whl?token=secret"],
        [f"a @ {HOST}/a-1.0-py3-none-any.whl?token=secret", f"a @ {wheel('a', '1.0')}?x"],
        ["b", f"a @ {HOST}/a-1.0-py3-none-any.whl"],
        [f"a @ {HOST}/a-1.0-py3-none-any.whl?token=secret#sha256={DIGEST}"] * 2
        + [f"a @ {HOST}/a-1.0-py3-none-any.whl?token=secret#sha256={'2' * 64}"],
    ],
)
def test_nor_does_an_explanation(source: FakeReleaseSource, requirements: list[str]) -> None:
    source.serve("a", "1.0", listed=False)
    source.serve("b", "1.0", requires=["a @ https://user:secret@files.invalid/a-1.0-py3-none-any.whl", "a>2"])

    with pytest.raises((errors.ResolutionFailed, errors.RequirementInvalid)) as caught:
        resolve(source, *requirements)

    assert "secret" not in json.dumps(caught.value.to_dict())


def test_nor_do_the_notes_on_what_was_asked(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0")
    absent = "b @ git+https://user:secret@host/b.git ; python_version < '3'"

    resolution = resolve(source, "a", constraints=[absent], overrides=[absent])

    assert "secret" not in json.dumps(resolution.to_dict())


def test_a_marker_that_became_part_of_the_url_is_told(source: FakeReleaseSource) -> None:
    with pytest.raises(errors.BuildForbidden) as caught:
        resolve(source, f"a @ {wheel('a', '1.0')};python_version>'3'")

    assert "space before the semicolon" in caught.value.hint


@pytest.mark.parametrize(
    "url", [f"{HOST}/a-1.0.tar.gz", "git+https://user:secret@host/a.git@v1", f"{HOST}/folder/"]
)
def test_a_url_that_would_have_to_be_built(source: FakeReleaseSource, url: str) -> None:
    with pytest.raises(errors.BuildForbidden) as caught:
        resolve(source, f"a @ {url}")

    assert caught.value.package == "a"
    assert "secret" not in str(caught.value)


def test_in_metadata_such_a_url_bars_who_names_it(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=[f"b @ {HOST}/b-1.0.tar.gz"], listed=False)

    error = failed(source, f"a @ {wheel('a', '1.0')}")

    assert error.excluded["a"][0]["code"] == "direct-url"


def test_a_resolution_with_a_url_can_be_written_and_read(source: FakeReleaseSource) -> None:
    source.serve("a", "1.0", requires=["b"], listed=False)
    source.serve("b", "2.0")
    url = f"{wheel('a', '1.0')}#sha256={DIGEST}"

    resolution = resolve(source, f"a @ {url} ; python_version > '3'")

    again = Resolution.from_dict(resolution.to_dict())
    assert again == resolution
    assert again.packages["a"].source == "url"
    assert resolution.to_requirements_txt() == f"a @ {wheel('a', '1.0')}\nb==2.0\n"
    assert str(resolution.why("b")[0]) == f"a @ {url} -> b"


def test_a_requirement_that_does_not_parse_shows_no_login(source: FakeReleaseSource) -> None:
    with pytest.raises(errors.RequirementInvalid) as caught:
        resolve(source, "a @ https://user:secret@files.invalid/a b; nonsense ==")

    error = caught.value
    assert "secret" not in f"{error} {error.text} {error.to_dict()} {error.__cause__}"
    assert "files.invalid" in str(error)
