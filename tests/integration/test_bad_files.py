"""Files that are not what they should be: a typed error, nothing kept, nothing changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from puffin_api import Installer, Refresh, Resolver
from puffin_api.errors import (
    FileConflict,
    HashMismatch,
    MetadataInvalid,
    ResolutionFailed,
    UnsafeArchive,
)
from puffin_api.testing import make_wheel
from tests.integration.job_kit import (
    check_error,
    failure,
    find_error,
    graph_files,
    install,
    versions,
    wheel,
)


def cached_archives(path):
    folder = Path(path) / "archive-v0"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_other_bytes_than_the_index_announces(environment, serve, make_client, tmp_path):
    data = make_wheel("lie", "1.0")
    index = serve()
    index.add("lie-1.0-py3-none-any.whl", data, hashes={"sha256": "00" * 32})
    before = cached_archives(tmp_path / "cache")

    error = failure(environment, make_client(index), "lie")

    check_error(error, HashMismatch, "hash-mismatch", name="lie", expected=[f"sha256:{'00' * 32}"])
    assert error.actual.startswith("sha256:")
    assert error.source == index.file_url("lie-1.0-py3-none-any.whl")
    assert error.hint
    assert cached_archives(tmp_path / "cache") == before
    honest = serve({"lie-1.0-py3-none-any.whl": data})
    install(make_client(honest), environment, "lie")
    assert versions(environment)["lie"] == "1.0"


def test_a_right_file_after_a_wrong_one_at_the_same_index(environment, serve, make_client):
    index = serve()
    data = make_wheel("lie", "1.0")
    index.add("lie-1.0-py3-none-any.whl", data, hashes={"sha256": "00" * 32})
    client = make_client(index)
    resolution = Resolver(client).resolve(["lie"], target=environment)
    check_error(
        find_error(lambda: Installer(environment, client).install(resolution)), HashMismatch, "hash-mismatch"
    )

    index.add("lie-1.0-py3-none-any.whl", data)
    install(make_client(index, cache=None), environment, "lie")

    assert versions(environment)["lie"] == "1.0"


def test_a_cached_wheel_of_other_bytes_is_not_used(environment, serve, make_client, make_venv):
    """A file of one name was replaced at the index: what is in the cache is not what was resolved."""
    index = serve(wheel("app", "1.0", files={"app.py": "first = 1"}))
    install(make_client(index), make_venv("first"), "app")
    index.add(*wheel("app", "1.0", files={"app.py": "second = 2"}).popitem())

    install(make_client(index, refresh=Refresh.all()), environment, "app")

    assert (Path(environment.scheme.purelib) / "app.py").read_text() == "second = 2"


def test_a_size_that_lies(environment, serve, make_client):
    index = serve()
    index.add("lie-1.0-py3-none-any.whl", make_wheel("lie", "1.0"), size=10)

    error = failure(environment, make_client(index), "lie")

    check_error(error, HashMismatch, "hash-mismatch", name="lie", expected=["size:10"])


def test_metadata_that_is_not_what_the_index_announces(environment, index, make_client):
    index.page("/files/app-2.0-py3-none-any.whl.metadata", "Metadata-Version: 2.1\nName: app\nVersion: 2.0\n")

    error = failure(environment, make_client(index), "app")

    # One file is bad: there is no other version, and the reason names what is wrong with it.
    check_error(error, ResolutionFailed, "resolution-failed", conflicts=("app",))
    (found,) = error.to_dict()["data"]["excluded"]["app"]
    assert found["version"] == "2.0"
    assert "digest" in found["reason"] or "sha256" in found["reason"]


BROKEN = {
    "truncated": (make_wheel("bad", "1.0")[:-40], UnsafeArchive, "unsafe-archive"),
    "garbage": (b"PK\3\4" + bytes(3000), UnsafeArchive, "unsafe-archive"),
    "escape": (make_wheel("bad", "1.0", files={"../evil.py": "x"}), UnsafeArchive, "unsafe-archive"),
    "absolute": (make_wheel("bad", "1.0", files={"/tmp/evil.py": "x"}), UnsafeArchive, "unsafe-archive"),
    "not in RECORD": (
        make_wheel("bad", "1.0", record={"bad/__init__.py": None}),
        UnsafeArchive,
        "unsafe-archive",
    ),
    "other digest in RECORD": (
        make_wheel("bad", "1.0", record={"bad/__init__.py": "sha256=AAAA,0"}),
        HashMismatch,
        "hash-mismatch",
    ),
    "no RECORD": (
        make_wheel("bad", "1.0", dist_info_files={"RECORD": None}),
        MetadataInvalid,
        "metadata-invalid",
    ),
    "no WHEEL": (
        make_wheel("bad", "1.0", dist_info_files={"WHEEL": None}),
        MetadataInvalid,
        "metadata-invalid",
    ),
    "another project": (
        make_wheel("worse", "1.0", dist_info="bad-1.0.dist-info"),
        MetadataInvalid,
        "metadata-invalid",
    ),
    "another version": (
        make_wheel("bad", "2.0", dist_info="bad-1.0.dist-info"),
        MetadataInvalid,
        "metadata-invalid",
    ),
    "another dist-info": (make_wheel("worse", "1.0"), MetadataInvalid, "metadata-invalid"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_wheel_that_is_broken_inside(environment, serve, make_client, tmp_path, how):
    """Its metadata by itself is good, so that only unpacking can find out."""
    data, kind, code = BROKEN[how]
    index = serve()
    index.add("bad-1.0-py3-none-any.whl", data, core_metadata=True)
    index.page("/files/bad-1.0-py3-none-any.whl.metadata", "Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    before = cached_archives(tmp_path / "cache")

    error = failure(environment, make_client(index), "bad")

    check_error(error, kind, code, name="bad", retryable=False)
    if kind is UnsafeArchive:
        assert error.archive == "bad-1.0-py3-none-any.whl"
        assert error.rule
    else:
        assert "bad-1.0-py3-none-any.whl" in error.source
    assert cached_archives(tmp_path / "cache") == before
    assert not (environment.root.parent / "evil.py").exists()


@pytest.mark.parametrize("how", ["truncated", "another project"])
def test_a_wheel_whose_metadata_cannot_be_read_is_no_candidate(environment, serve, make_client, how):
    index = serve({"bad-1.0-py3-none-any.whl": BROKEN[how][0]} | wheel("bad", "0.9"))

    install(make_client(index), environment, "bad")

    assert versions(environment)["bad"] == "0.9"
    index.remove("bad-0.9-py3-none-any.whl")
    error = failure(environment, make_client(index, cache=None), "bad>=1")
    check_error(error, ResolutionFailed, "resolution-failed", conflicts=("bad>=1",))
    (found,) = error.to_dict()["data"]["excluded"]["bad"]
    assert "bad-1.0-py3-none-any.whl" in found["reason"]


def test_one_bad_wheel_of_many_leaves_the_others_in_the_cache_and_nothing_installed(
    environment, serve, make_client
):
    index = serve(graph_files())
    index.add(
        "net-3.0-py3-none-any.whl", make_wheel("net", "3.0", files={"../evil.py": ""}, requires=["log"])
    )

    failure(environment, make_client(index), "app")
    index.add("net-3.0-py3-none-any.whl", make_wheel("net", "3.0", requires=["log"]))
    install(make_client(index, cache=None), environment, "app")

    assert versions(environment)["net"] == "3.0"


def test_two_projects_that_bring_the_same_file(environment, serve, make_client):
    index = serve(
        wheel("one", "1.0", files={"shared.py": "1"}) | wheel("two", "1.0", files={"shared.py": "2"})
    )

    error = failure(environment, make_client(index), "one", "two")

    check_error(error, FileConflict, "file-conflict")
    assert error.path.endswith("shared.py")
    assert set(error.owners) == {"one", "two"}
