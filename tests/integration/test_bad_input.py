"""Bad input: the typed error with fields to act on, and an environment that is as it was."""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from puffin_api import Cache, Environment, Index, Installer, Refresh, Resolver, RetryPolicy, Timeouts, Tls
from puffin_api.errors import (
    AuthenticationRequired,
    CacheUnavailable,
    ConnectFailed,
    DiskFull,
    ExternallyManaged,
    FileConflict,
    Forbidden,
    HashMismatch,
    InstallFailed,
    MetadataInvalid,
    NotWritable,
    OfflineMiss,
    PackageNotFound,
    RateLimited,
    RequirementInvalid,
    ResolutionFailed,
    ServerError,
    TimedOut,
    TlsVerificationFailed,
    UnsafeArchive,
)
from puffin_api.testing import FakeIndex, make_sdist, make_wheel
from tests.integration.job_kit import (
    SHORT,
    as_plain_user,
    can_be_plain_user,
    check_error,
    find_error,
    graph_files,
    install,
    leftovers,
    run_program,
    tree,
    versions,
    wheel,
)

IDENTITY = Path(__file__).parent.parent / "_client/loopback_identity.pem"


@pytest.fixture
def environment(make_venv, serve, make_client):
    """One that has something in it, which the jobs of these tests would upgrade."""
    environment = make_venv()
    install(make_client(serve(wheel("log", "0.5"))), environment, "log")
    return environment


@pytest.fixture
def index(serve):
    return serve(graph_files())


@contextmanager
def unchanged(environment):
    before = tree(environment.root)
    yield
    assert tree(environment.root) == before


def failure(environment, client, *requirements, resolver=None):
    """Ask for an install that fails: the error, after a look that nothing changed."""
    installer = Installer(environment, client, resolver=resolver)
    with unchanged(environment):
        error = find_error(lambda: installer.install(requirements))
    assert error is not None, "it succeeded"
    assert error.state == "untouched"
    return error


# -- requirements that nothing meets


def test_a_project_that_no_index_knows(environment, index, make_client):
    error = failure(environment, make_client(index), "missing")

    check_error(error, PackageNotFound, "package-not-found", name="missing", indexes=[index.url])
    assert error.hint


def test_a_dependency_that_no_index_knows(environment, index, make_client):
    index.add(*wheel("needy", "1.0", requires=["missing>=2"]).popitem())

    error = failure(environment, make_client(index), "needy")

    check_error(error, ResolutionFailed, "resolution-failed", conflicts=("needy",))
    facts = [node for node in error.to_dict()["data"]["derivation"]["nodes"] if node["kind"] == "not-found"]
    assert [fact["requirements"] for fact in facts] == [["missing>=2"]]
    assert "missing" in error.explain("full")


def test_a_dependency_that_no_index_knows_costs_only_the_version_that_has_it(environment, index, make_client):
    index.add(*wheel("app", "3.0", requires=["missing"]).popitem())

    install(make_client(index), environment, "app")

    assert versions(environment)["app"] == "2.0"


@pytest.mark.parametrize(
    ("requirements", "conflicts"),
    [
        (["app>=99"], {"app>=99"}),
        (["app", "log>=2"], {"log>=2"}),
        (["app==2.0", "app<1"], {"app<1"}),
        (["app", "net<3"], {"net<3"}),
    ],
)
def test_no_version_that_matches(environment, index, make_client, requirements, conflicts):
    error = failure(environment, make_client(index), *requirements)

    check_error(error, ResolutionFailed, "resolution-failed")
    assert conflicts <= set(error.conflicts)
    assert error.to_dict()["data"]["derivation"]["nodes"][-1]["terms"] == []


def test_two_requirements_that_exclude_each_other_are_both_named(environment, index, make_client):
    index.add(*wheel("old", "1.0", requires=["log<1"]).popitem())
    index.add(*wheel("log", "0.9").popitem())

    error = failure(environment, make_client(index), "app", "old")

    assert set(error.conflicts) == {"app", "old"}
    assert {"app", "old", "log"} <= {
        term["package"] for node in error.to_dict()["data"]["derivation"]["nodes"] for term in node["terms"]
    }


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (wheel("odd", "1.0", tags="cp27-cp27m-win32"), "is not for"),
        ({"odd-1.0.tar.gz": make_sdist("odd", "1.0")}, "source distribution"),
        (wheel("odd", "1.0", requires_python="<3"), "requires Python <3"),
    ],
)
@pytest.mark.parametrize("root", ["odd", "needsodd"])
def test_no_file_for_the_target(environment, serve, make_client, files, reason, root):
    index = serve(files | wheel("needsodd", "1.0", requires=["odd"]))

    error = failure(environment, make_client(index), root)

    check_error(error, ResolutionFailed, "resolution-failed", conflicts=(root,))
    (found,) = error.to_dict()["data"]["excluded"]["odd"]
    assert found["version"] == "1.0"
    assert reason in found["reason"]


def test_a_source_distribution_comes_with_advice(environment, serve, make_client):
    index = serve({"odd-1.0.tar.gz": make_sdist("odd", "1.0")})

    error = failure(environment, make_client(index), "odd")

    assert "source distribution" in error.hint
    assert error.hint not in str(error)


@pytest.mark.parametrize(
    ("text", "column"),
    [("app >== 1", 4), ("app[x", 3), ("", 0), ("-r list.txt", 0), ("app; os_nam == 'x'", 5)],
)
def test_a_requirement_that_does_not_parse(environment, index, make_client, text, column):
    error = failure(environment, make_client(index), "log", text)

    check_error(error, RequirementInvalid, "requirement-invalid", text=text, column=column)
    assert index.requests == []


@pytest.mark.parametrize("where", ["constraints", "overrides"])
def test_a_constraint_that_does_not_parse(environment, index, make_client, where):
    resolver = Resolver(make_client(index))

    error = find_error(lambda: resolver.resolve(["app"], target=environment, **{where: ["log=>1"]}))

    check_error(error, RequirementInvalid, "requirement-invalid", text="log=>1", column=3)
    assert index.requests == []


def test_a_direct_url_is_refused_by_name(environment, index, make_client):
    error = failure(environment, make_client(index), f"app @ {index.file_url('app-2.0-py3-none-any.whl')}")

    check_error(error, RequirementInvalid, "requirement-invalid")
    assert error.text.startswith("app @")
    assert error.hint


# -- indexes that do not answer, or not as they should


def unused_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/simple/"


def test_an_index_that_nobody_serves(environment, make_client):
    url = unused_address()

    error = failure(environment, make_client(url), "app")

    check_error(error, ConnectFailed, "connect-failed", url=f"{url}app/", retryable=True)


@pytest.mark.parametrize(
    ("timeouts", "phase"),
    [(SHORT, "idle"), (Timeouts(connect=0.3, idle=30, total=0.3), "total")],
)
def test_an_index_that_accepts_and_says_nothing(environment, make_client, timeouts, phase):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple/"

        error = failure(environment, make_client(url, timeouts=timeouts), "app")

    check_error(error, TimedOut, "timed-out", url=f"{url}app/", phase=phase, retryable=True)


@pytest.mark.parametrize("part", ["/simple/net/", "net-3.0-py3-none-any.whl.metadata"])
def test_an_answer_that_stops_in_the_middle(environment, index, make_client, part):
    index.fail(part, times=99, stall=True, truncate=20)

    error = failure(environment, make_client(index, timeouts=SHORT), "app")

    check_error(error, TimedOut, "timed-out", phase="idle")
    assert error.url.endswith(part)
    assert index.count(part) == 1, "one try was asked for"


def test_a_wheel_that_stops_in_the_middle_is_tried_as_often_as_the_caller_says(
    environment, index, make_client
):
    client = make_client(index, timeouts=SHORT, retries=RetryPolicy(attempts=2, backoff=0))
    resolution = Resolver(client).resolve(["app"], target=environment)
    index.forget()
    index.fail("app-2.0-py3-none-any.whl", times=99, stall=True, truncate=20)

    with unchanged(environment):
        error = find_error(lambda: Installer(environment, client).install(resolution))

    check_error(error, TimedOut, "timed-out", phase="idle", state="untouched")
    assert index.count("app-2.0-py3-none-any.whl") == 2


@pytest.mark.parametrize(
    ("status", "kind", "code", "fields"),
    [
        (500, ServerError, "server-error", {"status": 500, "retryable": True}),
        (503, ServerError, "server-error", {"status": 503, "retryable": True}),
        (403, Forbidden, "forbidden", {"retryable": False}),
        (429, RateLimited, "rate-limited", {"retry_after": 7.0, "retryable": True}),
    ],
)
@pytest.mark.parametrize("part", ["/simple/", ".whl.metadata", ".whl"])
def test_a_status_that_is_of_no_use(environment, index, make_client, part, status, kind, code, fields):
    client = make_client(index)
    if part == ".whl":
        Resolver(client).resolve(["app"], target=environment)
    index.fail(part, times=99, status=status, headers={"Retry-After": "7"} if status == 429 else {})

    error = failure(environment, client, "app")

    check_error(error, kind, code, **fields)
    assert error.url.startswith(index.origin)


def test_an_index_that_recovers_in_time_is_waited_for(environment, index, make_client):
    index.fail("/simple/", times=2, status=503)
    index.fail("log-1.1-py3-none-any.whl", times=1, reset=True)

    install(make_client(index, retries=RetryPolicy(attempts=3, backoff=0)), environment, "app")

    assert versions(environment) == {"app": "2.0", "log": "1.1", "net": "3.0", "web": "1.5"}


def test_a_login_that_is_missing_or_wrong_or_right(environment, serve, make_client):
    index = serve(graph_files(), login=("me", "secret-1"))

    for given in (None, ("me", "wrong-2")):
        client = make_client(Index(index.url, credentials=given), cache=None)
        error = failure(environment, client, "app")
        check_error(error, AuthenticationRequired, "authentication-required", origin=index.origin)
        assert error.hint
        assert "wrong-2" not in str(error.to_dict())

    install(make_client(index.url.replace("//", "//me:secret-1@")), environment, "app")
    assert versions(environment)["app"] == "2.0"
    assert "secret-1" not in str(client) + "".join(map(str, environment.installed()))


def test_a_certificate_that_nobody_vouches_for(environment, serve, make_client):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(IDENTITY)
    index = serve(graph_files(), tls=context)

    error = failure(environment, make_client(index), "app")

    check_error(error, TlsVerificationFailed, "tls-verification-failed", retryable=False)
    assert error.host == index.origin.removeprefix("https://")
    assert "ca_bundle" in error.hint
    install(make_client(index, tls=Tls(ca_bundle=IDENTITY)), environment, "app")
    assert versions(environment)["app"] == "2.0"


def test_offline_with_nothing_in_the_cache(environment, index, make_client):
    client = make_client(index, offline=True)
    error = failure(environment, client, "app")
    check_error(error, OfflineMiss, "offline-miss", retryable=False)

    resolution = Resolver(make_client(index)).resolve(["app"], target=environment)
    with unchanged(environment):
        error = find_error(lambda: Installer(environment, client).install(resolution))

    check_error(error, OfflineMiss, "offline-miss", state="untouched")
    assert error.missing[0].endswith(".whl")


def test_a_page_that_is_no_page(environment, index, make_client):
    index.page("/simple/app/", b"{not json", Content_Type="application/vnd.pypi.simple.v1+json")

    error = failure(environment, make_client(index), "app")

    check_error(error, MetadataInvalid, "metadata-invalid", user_fixable=False)
    assert error.source.startswith(index.origin)


# -- files that are not what they should be


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


# -- places that cannot be written


def test_a_file_in_the_place_of_site_packages(environment, index, make_client):
    site = Path(environment.scheme.purelib)
    for path in sorted(site.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    site.rmdir()
    site.write_text("in the way")

    error = failure(environment, make_client(index), "app")

    check_error(error, InstallFailed, "install-failed", path=str(site))


needs_rights = pytest.mark.skipif(
    not can_be_plain_user(), reason="modes of folders mean nothing to this user on this system"
)


@contextmanager
def read_only(folder):
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    yield
    folder.chmod(mode)


@needs_rights
@pytest.mark.parametrize("part", ["purelib", "scripts"])
def test_a_folder_of_the_environment_that_cannot_be_written(environment, index, make_client, part):
    folder = Path(getattr(environment.scheme, part))

    with read_only(folder):
        error = as_plain_user(lambda: failure(environment, make_client(index), "app"))

    check_error(error, NotWritable, "not-writable", path=str(folder))
    assert leftovers(environment) == []
    install(make_client(index), environment, "app")
    assert versions(environment)["app"] == "2.0"


@needs_rights
def test_a_package_that_cannot_be_moved_away_brings_everything_back(environment, index, make_client):
    """Found out in the middle of the commit: to move a folder takes the right to write to it."""
    package = Path(environment.scheme.purelib) / "log"
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=environment)

    with read_only(package), unchanged(environment):
        error = as_plain_user(lambda: find_error(lambda: Installer(environment, client).install(resolution)))

    check_error(error, NotWritable, "not-writable", state="rolled-back")
    assert error.path.startswith(str(package.parent))
    assert leftovers(environment) == []


@needs_rights
def test_an_environment_that_cannot_be_written_at_all(environment, index, make_client):
    lock = environment.root / ".puffin-api.lock"
    lock.unlink()

    with read_only(environment.root):
        error = as_plain_user(lambda: failure(environment, make_client(index), "app"))

    check_error(error, NotWritable, "not-writable", path=str(lock))
    assert error.hint


@needs_rights
def test_a_read_only_environment_needs_no_right_where_nothing_is_to_be_done(environment, serve, make_client):
    index = serve(wheel("log", "0.5"))

    with read_only(environment.root), read_only(Path(environment.scheme.purelib)):
        report = as_plain_user(lambda: install(make_client(index), environment, "log"))

    assert not report.changed


@needs_rights
def test_a_cache_that_cannot_be_made(tmp_path):
    with read_only(tmp_path):
        error = as_plain_user(lambda: find_error(lambda: Cache(tmp_path / "below/cache")))

    check_error(error, CacheUnavailable, "cache-unavailable")
    assert str(tmp_path) in error.path


def test_a_file_in_the_place_of_the_cache(tmp_path):
    (tmp_path / "file").write_text("")

    error = find_error(lambda: Cache(tmp_path / "file"))

    check_error(error, CacheUnavailable, "cache-unavailable", path=str(tmp_path / "file"))


@needs_rights
def test_a_cache_that_turns_read_only(environment, index, make_client, tmp_path):
    second = tmp_path / "second"
    resolution = Resolver(make_client(index, cache=Cache(second))).resolve(["app"], target=environment)
    folders = [second, *(path for path in second.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)

    def job():
        # A client of its own: its threads have the rights of the thread that starts them.
        client = make_client(index, cache=Cache(second))
        return find_error(lambda: Installer(environment, client).install(resolution))

    with unchanged(environment):
        error = as_plain_user(job)

    for folder in folders:
        folder.chmod(0o755)
    assert type(error) in (CacheUnavailable, NotWritable), error
    assert error.path.startswith(str(second))
    assert error.to_dict()["state"] == "untouched"


class ManagedRunner:
    """Starts interpreters, and has them say that they belong to the system."""

    def run(self, argv, *, cwd=None, env=None, timeout=None, cancel=None):
        done = subprocess.run(argv, cwd=cwd, env=env or {}, capture_output=True, timeout=timeout, check=True)
        answer = Path(argv[-1])
        facts = json.loads(answer.read_text())
        facts["externally_managed"] = {"path": "/usr/lib/EXTERNALLY-MANAGED", "message": "use apt install"}
        answer.write_text(json.dumps(facts))
        return done


def test_an_environment_that_belongs_to_the_system(environment, index, make_client):
    managed = Environment.at(environment.root, runner=ManagedRunner())
    client = make_client(index)
    resolution = Resolver(client).resolve(["app"], target=managed)
    installer = Installer(managed, client)
    index.forget()

    for change in (
        lambda: installer.install(["app"]),
        lambda: installer.install(installer.plan(resolution)),
        lambda: installer.uninstall(["log"]),
        lambda: installer.sync(resolution),
    ):
        with unchanged(environment):
            error = find_error(change)
        check_error(error, ExternallyManaged, "externally-managed", state="untouched")
        assert error.path == "/usr/lib/EXTERNALLY-MANAGED"
        assert "use apt install" in str(error)
        assert "create_venv" in error.hint
    assert index.requests == []


# -- no room


class FullSource(FakeIndex):
    """Runs out of room while it writes a file."""

    def fetch(self, file, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))


def test_a_cache_without_room_for_a_download(environment, make_client, tmp_path):
    source = FullSource()
    file = source.add("app", "1.0")

    error = failure(environment, make_client(source), "app")

    check_error(error, DiskFull, "disk-full", needed=file.size, retryable=True)
    assert not Path(error.path).exists()


SMALL_VOLUME = """
import json, os, sys
from puffin_api import Cache, Client, Installer, Interpreter, LinkMode, Resolver
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import find_error, graph_files, leftovers, tree, versions, wheel

place, cache, which = sys.argv[1:]
# Blocks are counted, not bytes: many small files take more room than anybody could foresee.
small = {f"many/{number}.txt": "x" * 300 for number in range(500)}
files = wheel("app", "1.0", files=small) if which == "small files" else graph_files(ballast=300_000)
environment = Interpreter.current().create_venv(f"{place}/venv")
told = {}
with LoopbackIndex(files | wheel("tiny", "1.0")) as index:
    with Client(indexes=[index.url], cache=Cache(cache)) as client:
        installer = Installer(environment, client)
        installer.install(["tiny"])
        resolution = Resolver(client).resolve(["app"], target=environment)
        before = tree(environment.root)
        error = find_error(lambda: installer.install(resolution))
        told["error"] = error and error.to_dict()
        told["unchanged"] = tree(environment.root) == before
        told["leftovers"] = leftovers(environment)
        installer.uninstall(["tiny"])
        told["versions"] = versions(environment)
        if which == "cache":
            scratch = sum(os.path.getsize(os.path.join(f, n)) for f, _, ns in os.walk(cache) for n in ns)
            told["small"] = scratch < 1_000_000
print(json.dumps(told))
"""


@pytest.mark.parametrize("which", ["environment", "small files", "cache"])
def test_a_volume_without_room(tmp_path, which):
    """A real one, of a megabyte, in a mount namespace that ends with the child."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{small}" && exec "$@"'
    wrap = ["unshare", "-m", "sh", "-c", mount, "sh"]
    try:
        possible = run_program("print(1)", wrap=wrap, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("this user may not mount a small volume")
    places = (large, small) if which == "cache" else (small, large / "cache")

    told = run_program(SMALL_VOLUME, *places, which, wrap=wrap)

    assert told["error"]["code"] == "disk-full"
    assert told["error"]["state"] == "untouched"
    assert told["error"]["data"]["path"].startswith(str(small))
    assert told["error"]["data"]["needed"] is None or told["error"]["data"]["needed"] > 250_000
    assert told["unchanged"]
    assert told["leftovers"] == []
    assert told["versions"] == {}
    assert told.get("small", True)
