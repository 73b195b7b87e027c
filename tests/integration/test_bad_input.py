"""Requirements that nothing meets, and indexes that do not answer: a typed error, nothing changed."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from puffin_api import BuildPolicy, Index, Installer, Refresh, Resolver, RetryPolicy, Timeouts, Tls
from puffin_api.errors import (
    AuthenticationRequired,
    BuildForbidden,
    ConnectFailed,
    Forbidden,
    MetadataInvalid,
    OfflineMiss,
    PackageNotFound,
    RateLimited,
    RequirementInvalid,
    ResolutionFailed,
    ServerError,
    TimedOut,
    TlsVerificationFailed,
)
from puffin_api.testing import make_sdist
from tests.integration.job_kit import (
    SHORT,
    check_error,
    failure,
    find_error,
    graph_files,
    install,
    unchanged,
    versions,
    wheel,
)

IDENTITY = Path(__file__).parent.parent / "_client/loopback_identity.pem"


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
    ("files", "code"),
    [
        (wheel("odd", "1.0", tags="cp27-cp27m-win32"), "incompatible-tags"),
        (
            {"odd-1.0.tar.gz": make_sdist("odd", "1.0", dynamic=["Requires-Dist"])},
            "needs-build",
        ),
        (wheel("odd", "1.0", requires_python="<3"), "requires-python"),
    ],
)
@pytest.mark.parametrize("root", ["odd", "needsodd"])
def test_no_file_for_the_target(environment, serve, make_client, files, code, root):
    index = serve(files | wheel("needsodd", "1.0", requires=["odd"]))

    error = failure(environment, make_client(index), root, build_policy=BuildPolicy.NEVER)

    check_error(error, ResolutionFailed, "resolution-failed", conflicts=(root,))
    (found,) = error.to_dict()["data"]["excluded"]["odd"]
    assert found["version"] == "1.0"
    assert found["code"] == code
    assert found["files"].keys() == files.keys()


def test_a_source_distribution_comes_with_advice(environment, serve, make_client):
    dynamic = make_sdist("odd", "1.0", dynamic=["Requires-Dist"])
    index = serve({"odd-1.0.tar.gz": dynamic})

    error = failure(environment, make_client(index), "odd", build_policy=BuildPolicy.NEVER)

    assert "BuildPolicy.ALLOW" in error.hint
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


def test_a_direct_url_that_would_have_to_be_built(environment, index, make_client):
    index.add("app-2.0.tar.gz", make_sdist("app", "2.0"))
    url = f"app @ {index.file_url('app-2.0.tar.gz')}"
    error = failure(environment, make_client(index), url, build_policy=BuildPolicy.NEVER)

    check_error(error, BuildForbidden, "build-forbidden", package="app")
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


def test_offline_a_version_without_cached_metadata_is_passed_over(environment, serve, make_client):
    index = serve(wheel("app", "1.0"))
    with make_client(index) as client:  # what it has learnt is stored when it is closed
        Resolver(client).resolve(["app"], target=environment)
    index.add("app-2.0-py3-none-any.whl", wheel("app", "2.0")["app-2.0-py3-none-any.whl"])
    with make_client(index, refresh=Refresh.all()) as client:
        client.project("app")  # the page alone
    resolver = Resolver(make_client(index, offline=True))

    resolution = resolver.resolve(["app"], target=environment)

    assert resolution.packages["app"].version == "1.0"
    (notice,) = resolution.notices
    assert (notice.code, notice.data) == ("offline", {"name": "app", "versions": ["2.0"]})
    assert resolution.why_version("app").rejected["2.0"].code == "offline"
    error = find_error(lambda: resolver.resolve(["app==2.0"], target=environment))
    check_error(error, OfflineMiss, "offline-miss", missing=["app-2.0-py3-none-any.whl"])
    assert isinstance(error.__cause__, ResolutionFailed)


def test_a_page_that_is_no_page(environment, index, make_client):
    index.page("/simple/app/", b"{not json", Content_Type="application/vnd.pypi.simple.v1+json")

    error = failure(environment, make_client(index), "app")

    check_error(error, MetadataInvalid, "metadata-invalid", user_fixable=False)
    assert error.source.startswith(index.origin)
