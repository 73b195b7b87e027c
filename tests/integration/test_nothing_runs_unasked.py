"""Code of sources that the caller has ruled out is never run: not for a digest, and not for a hint."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest

from puffin_api import HashPolicy, Manifest, Resolver
from puffin_api.errors import HashMismatch, RequirementInvalid, ResolutionFailed
from puffin_api.model import Editable
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import find_error
from tests.integration.source_kit import project, sdist, write_tree

FILE = "demo-1.0.tar.gz"
WRONG = f"sha256:{'0' * 64}"


@pytest.fixture
def files(journal):
    return sdist(project(journal))


@pytest.fixture
def index(serve, files):
    return serve(files)


@pytest.fixture
def fails(make_client, make_venv, index, tmp_path):
    """Resolve what has no solution; returns the error."""
    (tmp_path / "home").mkdir()
    client, environment = make_client(index, env=git_env(tmp_path / "home")), make_venv()
    return lambda what, **options: find_error(
        lambda: Resolver(client).resolve(what, target=environment, **options)
    )


LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
RULED_OUT = [
    (["demo"], {"only_binary": [":all:"]}, "without only_binary and no_binary"),
    (["demo"], {"hashes": HashPolicy.REQUIRE}, "with files of other digests"),
    (Manifest(requirements=("demo",), hashes={"demo": [WRONG]}), {}, "with files of other digests"),
    (["demo"], {"exclude_newer": LONG_AGO}, "without exclude_newer"),
    (["demo"], {"constraints": ["demo>1"]}, "without the constraint demo>1"),
]


@pytest.mark.parametrize(("what", "options", "hint"), RULED_OUT)
def test_nothing_is_built_for_a_hint(fails, journal, what, options, hint):
    error = fails(what, **options)

    assert isinstance(error, ResolutionFailed)
    assert error.hint.startswith(f"there may be a solution {hint}")
    assert journal.hooks == []


def test_a_build_that_would_fail_is_no_matter_where_it_is_not_allowed(fails, index, journal):
    index.add(FILE, sdist(project(journal, code="\nraise SystemExit(3)\n"))[FILE])

    assert isinstance(fails(["demo"], only_binary=["demo"]), ResolutionFailed)


def test_a_hint_is_certain_where_the_metadata_is_known(make_client, make_venv, index, journal):
    resolver, environment = Resolver(make_client(index)), make_venv()
    resolver.resolve(["demo"], target=environment)
    journal.take()

    error = find_error(lambda: resolver.resolve(["demo"], target=environment, constraints=["demo>1"]))

    assert error.hint == "there is a solution without the constraint demo>1"
    assert journal.hooks == []


@pytest.mark.parametrize("is_local", [True, False])
@pytest.mark.parametrize("policy", [HashPolicy.WHEN_GIVEN, HashPolicy.REQUIRE])
def test_an_archive_of_another_digest_is_not_run(fails, index, files, journal, tmp_path, is_local, policy):
    (tmp_path / FILE).write_bytes(files[FILE])
    text = f"demo @ {(tmp_path / FILE).as_uri() if is_local else index.file_url(FILE)}"

    for digest in (WRONG, f"sha512:{'0' * 128}"):
        error = fails(Manifest(requirements=(text,), hashes={text: [digest]}), hashes=policy)
        assert isinstance(error, HashMismatch)
        assert list(error.expected) == [digest]

    assert journal.hooks == []


def test_nor_are_several_at_once(fails, journal, tmp_path):
    urls = {}
    for name in ("one", "two"):
        (data,) = sdist(project(journal, name), name).values()
        (tmp_path / f"{name}.tar.gz").write_bytes(data)
        urls[name] = f"{name} @ {(tmp_path / f'{name}.tar.gz').as_uri()}"

    digests = {text: [WRONG] for text in urls.values()}
    error = fails(Manifest(requirements=tuple(urls.values()), hashes=digests))

    assert isinstance(error, HashMismatch)
    assert journal.hooks == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_one_that_has_the_digest_is_used(make_client, make_venv, index, files, tmp_path, algorithm):
    (tmp_path / FILE).write_bytes(files[FILE])
    right, wrong = (hashlib.new(algorithm, data).hexdigest() for data in (files[FILE], b""))
    digests = [f"{algorithm}:{digest}" for digest in (wrong, right)]

    for url in ((tmp_path / FILE).as_uri(), index.file_url(FILE)):
        manifest = Manifest(requirements=(f"demo @ {url}",), hashes={f"demo @ {url}": digests})
        found = Resolver(make_client(index)).resolve(manifest, target=make_venv(url[:4]))
        assert found.packages["demo"].version == "1.0"


@needs_git
def test_what_can_have_no_digest_is_refused_where_all_must_have_one(fails, files, index, journal, tmp_path):
    tree = write_tree(tmp_path / "demo", project(journal))
    (tmp_path / FILE).write_bytes(files[FILE])
    repository = Repository(tmp_path / "repository")
    repository.write(project(journal))
    texts = [f"demo @ {tree.as_uri()}", f"demo @ {repository.url}", f"demo @ {index.file_url(FILE)}"]

    for what in (*texts, tree, tmp_path / FILE, Editable(path=tree)):
        error = fails([what], hashes=HashPolicy.REQUIRE)
        assert isinstance(error, RequirementInvalid), what
        assert "must have a digest from you" in str(error)
        assert error.hint
    for text in texts[:2]:  # nor is a digest of a tree left unchecked
        assert isinstance(fails(Manifest(requirements=(text,), hashes={text: [WRONG]})), RequirementInvalid)

    assert journal.hooks == []


def test_a_tree_without_its_name_is_no_way_around_digests(fails, journal, tmp_path):
    tree = write_tree(tmp_path / "demo", project(journal))

    error = fails(Manifest(requirements=(tree, "demo"), hashes={"demo": [WRONG]}))

    assert isinstance(error, ResolutionFailed)
    assert [found["code"] for found in error.excluded["demo"]] == ["hash-missing"]
