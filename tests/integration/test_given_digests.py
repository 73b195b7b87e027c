"""Digests from the caller, end to end: what the index does not say is checked on the file itself."""

from __future__ import annotations

import hashlib

import pytest

from puffin_api import Environment, HashPolicy, Installer, Manifest, Resolver, Target
from puffin_api.errors import HashMismatch, ResolutionFailed
from tests.integration.job_kit import find_error, versions, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
APP = "app-1.0-py3-none-any.whl"
WRONG = "sha256:" + "0" * 64


@pytest.fixture
def place(tmp_path):
    return Environment.directory(tmp_path / "packages", target=TARGET)


def digest(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@pytest.fixture
def files():
    return wheel("app", "1.0", requires=["log"]) | wheel("log", "1.0")


@pytest.fixture
def silent(serve, files):
    """An index that says nothing of digests."""
    server = serve()
    for name, data in files.items():
        server.add(name, data, hashes={})
    return server


def install(client, place, hashes, policy=HashPolicy.WHEN_GIVEN):
    manifest = Manifest(requirements=("app", "log"), hashes=hashes)
    resolution = Resolver(client).resolve(manifest, target=TARGET, hashes=policy)
    return Installer(place, client).install(resolution)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_one_of_the_digests_is_enough(silent, make_client, place, files, algorithm):
    install(make_client(silent), place, {"app": [WRONG, digest(files[APP], algorithm)]})

    assert versions(place) == {"app": "1.0", "log": "1.0"}


def test_none_of_them_is_not(silent, make_client, place):
    error = find_error(lambda: install(make_client(silent), place, {"app": [WRONG]}))

    assert isinstance(error, HashMismatch)
    assert error.expected == [WRONG]
    assert error.name == "app"
    assert versions(place) == {}


def test_what_lies_in_the_cache_is_no_exception(silent, make_client, place, tmp_path):
    install(make_client(silent), Environment.directory(tmp_path / "other", target=TARGET), {})

    error = find_error(lambda: install(make_client(silent), place, {"app": [WRONG]}))

    assert isinstance(error, HashMismatch)
    assert versions(place) == {}


def test_and_is_used_where_it_fits(silent, make_client, place, files, tmp_path):
    install(make_client(silent), Environment.directory(tmp_path / "other", target=TARGET), {})
    silent.forget()

    install(make_client(silent), place, {"app": [digest(files[APP])]})

    assert silent.count(APP) == 0
    assert versions(place) == {"app": "1.0", "log": "1.0"}


def test_where_the_index_gives_digests_nothing_is_fetched_in_vain(serve, make_client, place, files):
    index = serve(files)

    error = find_error(lambda: install(make_client(index), place, {"app": [WRONG]}))

    assert isinstance(error, ResolutionFailed)
    assert error.excluded["app"][0]["code"] == "hash-mismatch"
    assert not [asked for asked in index.requests if asked.path.endswith(".whl")]


def test_everything_with_its_digest(serve, make_client, place, files):
    given = {name.partition("-")[0]: [digest(data)] for name, data in files.items()}

    install(make_client(serve(files)), place, given, HashPolicy.REQUIRE)

    assert versions(place) == {"app": "1.0", "log": "1.0"}


def test_a_local_wheel_needs_one_too_where_they_are_required(make_client, place, files, tmp_path, serve):
    path = tmp_path / APP
    path.write_bytes(files[APP])
    resolver = Resolver(make_client(serve(files)))

    log = digest(files["log-1.0-py3-none-any.whl"])

    def resolve(requirement, **hashes):
        manifest = Manifest(requirements=(requirement, "log"), hashes={"log": [log], **hashes})
        return resolver.resolve(manifest, target=TARGET, hashes=HashPolicy.REQUIRE)

    bare = f"app @ {path.as_uri()}"
    error = find_error(lambda: resolve(bare))
    assert error.excluded["app"][0]["code"] == "hash-missing"
    assert resolve(bare, **{bare: [digest(files[APP])]}).packages["app"].version == "1.0"
    assert resolve(f"{bare}#{digest(files[APP]).replace(':', '=')}").packages["app"].version == "1.0"
