"""Digests that the caller gives: which files they leave, and what is said of the others."""

from __future__ import annotations

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.file import FileRow
from puffin_api._model.options import HashPolicy
from puffin_api._model.requirement_manifest import Manifest
from puffin_api._model.resolution import Resolution
from puffin_api._model.target import Target
from puffin_api._resolver.digests import Digests
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")
ONE, TWO, THREE = ("sha256:" + digit * 64 for digit in "123")
LONG = "sha512:" + "5" * 128


@pytest.fixture
def source() -> FakeReleaseSource:
    source = FakeReleaseSource()
    source.serve("a", "1.0", hashes=[ONE])
    source.serve("a", "2.0", hashes=[TWO])
    source.serve("b", "1.0", requires=["a"], hashes=[THREE])
    return source


def resolve(
    source: FakeReleaseSource,
    requirements: list[str],
    hashes: dict[str, list[str]] | None = None,
    policy: HashPolicy = HashPolicy.WHEN_GIVEN,
    constraints: tuple[str, ...] = (),
) -> Resolution:
    manifest = Manifest(requirements=tuple(requirements), constraints=constraints, hashes=hashes or {})
    return Resolver(source).resolve(manifest, target=TARGET, hashes=policy)


def versions(resolution: Resolution) -> dict[str, str]:
    return {name: package.version for name, package in resolution.packages.items()}


def failed(*arguments: object, **options: object) -> errors.ResolutionFailed:
    with pytest.raises(errors.ResolutionFailed) as caught:
        resolve(*arguments, **options)  # type: ignore[arg-type]  # passed on
    return caught.value


def test_a_version_without_a_file_of_that_digest_is_left_out(source: FakeReleaseSource) -> None:
    assert versions(resolve(source, ["b", "a"], {"a": [ONE]})) == {"a": "1.0", "b": "1.0"}
    assert versions(resolve(source, ["b", "a"], {"a": [ONE, TWO]})) == {"a": "2.0", "b": "1.0"}
    assert versions(resolve(source, ["b", "a"])) == {"a": "2.0", "b": "1.0"}


def test_so_is_one_that_a_constraint_gives_no_digest_for(source: FakeReleaseSource) -> None:
    assert versions(resolve(source, ["b"], {"a<9": [ONE]}, constraints=("a<9",)))["a"] == "1.0"


def test_those_of_requirement_and_constraint_count_at_once(source: FakeReleaseSource) -> None:
    given = {"a": [ONE, TWO], "a<9": [ONE, THREE]}

    assert versions(resolve(source, ["a"], given, constraints=("a<9",))) == {"a": "1.0"}


@pytest.mark.parametrize("other", [TWO, LONG])
def test_digests_that_contradict_each_other_leave_no_file(source: FakeReleaseSource, other: str) -> None:
    source.serve("d", "1.0")  # of which the index says nothing

    for name in ("a", "d"):
        error = failed(source, [name], {name: [ONE], f"{name}<9": [other]}, constraints=(f"{name}<9",))
        assert {entry["code"] for entry in error.excluded[name]} == {"hash-mismatch"}


def test_a_list_without_digests_gives_none(source: FakeReleaseSource) -> None:
    assert versions(resolve(source, ["a"], {"a": []})) == {"a": "2.0"}
    assert failed(source, ["a"], {"a": []}, HashPolicy.REQUIRE).excluded["a"][0]["code"] == "hash-missing"


def test_that_no_file_fits_is_told(source: FakeReleaseSource) -> None:
    error = failed(source, ["a"], {"a": [THREE]})

    assert {entry["code"] for entry in error.excluded["a"]} == {"hash-mismatch"}
    assert "has another digest than those you allow" in error.explain()
    assert "there is a solution with files of other digests" in error.explain()


def test_digests_that_are_ignored_do_not_count(source: FakeReleaseSource) -> None:
    assert versions(resolve(source, ["a"], {"a": [THREE]}, HashPolicy.IGNORE)) == {"a": "2.0"}


# -- every file must have one


def test_where_digests_are_required_everything_needs_one(source: FakeReleaseSource) -> None:
    error = failed(source, ["b"], {"b": [THREE]}, HashPolicy.REQUIRE)

    assert {entry["code"] for entry in error.excluded["a"]} == {"hash-missing"}
    assert "has no digest from you" in error.explain().replace("have no", "has no")
    given = {"b": [THREE], "a": [TWO]}
    assert versions(resolve(source, ["b", "a"], given, HashPolicy.REQUIRE)) == {"a": "2.0", "b": "1.0"}


def test_a_url_brings_its_own(source: FakeReleaseSource) -> None:
    source.serve("c", "1.0", listed=False)
    url = "c @ https://files.invalid/c-1.0-py3-none-any.whl"

    assert versions(resolve(source, [f"{url}#{ONE.replace(':', '=')}"], policy=HashPolicy.REQUIRE))
    assert failed(source, [url], policy=HashPolicy.REQUIRE).excluded["c"]
    assert failed(source, [f"{url}#md5={'0' * 32}"], policy=HashPolicy.REQUIRE).excluded["c"]
    assert versions(resolve(source, [url], {url: [ONE]}, HashPolicy.REQUIRE)) == {"c": "1.0"}


def test_a_digest_of_a_url_that_is_ignored_is_not_checked_later(source: FakeReleaseSource) -> None:
    source.serve("c", "1.0", listed=False)
    text = f"c @ https://files.invalid/c-1.0-py3-none-any.whl#{ONE.replace(':', '=')}"

    assert resolve(source, [text]).packages["c"].file.hashes == {"sha256": "1" * 64}
    assert resolve(source, [text], policy=HashPolicy.IGNORE).packages["c"].file.hashes == {}


# -- files of which the index says nothing


def test_a_digest_that_the_index_does_not_give_is_checked_when_the_file_is_here(
    source: FakeReleaseSource,
) -> None:
    source.serve("d", "1.0")

    package = resolve(source, ["d"], {"d": [TWO, ONE]}).packages["d"]

    assert package.file.allowed == (ONE, TWO)
    assert resolve(source, ["d"]).packages["d"].file.allowed == ()  # nothing of it stays
    again = Resolution.from_dict(resolve(source, ["d"], {"d": [ONE]}).to_dict())
    assert again.packages["d"].file.allowed == (ONE,)


def test_digests_of_other_algorithms_cannot_be_compared(source: FakeReleaseSource) -> None:
    assert resolve(source, ["a"], {"a": [LONG]}).packages["a"].file.allowed == (LONG,)


def test_upper_case_is_the_same(source: FakeReleaseSource) -> None:
    source.serve("d", "1.0", hashes=["sha256:" + "A" * 64])

    assert resolve(source, ["d"], {"d": ["SHA256=" + "a" * 64]}).packages["d"].file.allowed == ()


@pytest.mark.parametrize(
    "digest", ["", "sha256:12", "md5:" + "0" * 32, "sha256:" + "g" * 64, "1" * 64, "sha1:" + "0" * 40]
)
def test_what_is_no_digest_is_told(source: FakeReleaseSource, digest: str) -> None:
    with pytest.raises(errors.RequirementInvalid) as caught:
        resolve(source, ["a"], {"a": [digest]})

    assert caught.value.text == digest
    assert "sha256:<64 hex digits>" in caught.value.hint


def test_policies_with_the_same_digests_share_what_they_find() -> None:
    given = {"a": frozenset((ONE, TWO))}

    assert Digests(given).key == Digests({"a": frozenset((TWO, ONE))}).key
    assert len({Digests(given).key, Digests().key, Digests(given, required=True).key}) == 3
    assert not Digests()


def test_a_file_is_judged_by_all_its_digests() -> None:
    digests = Digests({"a": frozenset((ONE,))})

    def row(*hashes: str) -> FileRow:
        return FileRow(project="a", version="1", filename="a-1.whl", url="", index="x", hashes=tuple(hashes))

    assert digests.objection(row("md5:0", ONE)) is None
    assert digests.objection(row("md5:0")) is None
    assert digests.objection(row("md5:0", TWO)) is not None
