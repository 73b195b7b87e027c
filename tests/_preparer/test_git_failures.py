"""What git says when it fails becomes the error that says what to do."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from puffin_api._model.git_url import parse_git_url
from puffin_api._preparer.git_failures import in_submodule, local_error, remote_error, translated
from puffin_api._preparer.git_program import GitFailed
from puffin_api.errors import (
    AuthenticationRequired,
    CacheUnavailable,
    ConnectFailed,
    DiskFull,
    Forbidden,
    NotWritable,
    ProxyFailed,
    RateLimited,
    RequirementInvalid,
    ServerError,
    TimedOut,
    TlsVerificationFailed,
)
from tests._preparer.git_kit import GitServer, Repository, needs_git, needs_server

URL = parse_git_url("git+https://host/o/r.git@main")[0]
CACHE = Path("cache")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", AuthenticationRequired),
        ("remote: Invalid\nfatal: Authentication failed for 'https://h/'", AuthenticationRequired),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from x", AuthenticationRequired),
        (
            "fatal: unable to access 'https://h/': The requested URL returned error: 401",
            AuthenticationRequired,
        ),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Forbidden),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 404", RequirementInvalid),
        ("remote: Repository not found.\nfatal: repository 'https://h/' not found", RequirementInvalid),
        ("ERROR: Repository not found.\nfatal: Could not read from remote", RequirementInvalid),
        ("fatal: '/x' does not appear to be a git repository", RequirementInvalid),
        ("fatal: https://h/info/refs not valid: is this a git repository?", RequirementInvalid),
        ("fatal: detected dubious ownership in repository at '/x'", RequirementInvalid),
        ("fatal: transport 'ext' not allowed", RequirementInvalid),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 429", RateLimited),
        ("error: RPC failed; HTTP 502\nfatal: The requested URL returned error: 502", ServerError),
        ("fatal: unable to access 'x': SSL certificate problem: self signed", TlsVerificationFailed),
        ("fatal: unable to access 'x': server certificate verification failed.", TlsVerificationFailed),
        ("Host key verification failed.\nfatal: Could not read from remote", TlsVerificationFailed),
        ("fatal: unable to access 'x': Could not resolve proxy: p", ProxyFailed),
        ("fatal: unable to access 'x': Received HTTP code 407 from proxy after CONNECT", ProxyFailed),
        ("fatal: unable to access 'x': CONNECT tunnel failed, response 403", ProxyFailed),
        ("fatal: unable to access 'x': Could not resolve host: h", ConnectFailed),
        ("fatal: unable to access 'x': Failed to connect to h port 443", ConnectFailed),
        ("ssh: connect to host h port 22: Connection refused\nfatal: Could not read", ConnectFailed),
        ("fatal: the remote end hung up unexpectedly", ConnectFailed),
        ("error: RPC failed; curl 28 Operation too slow. Less than 1 bytes/sec", TimedOut),
        ("ssh: connect to host h port 22: Connection timed out", TimedOut),
        ("fatal: write error: No space left on device", DiskFull),
    ],
)
def test_what_git_says_is_understood(said, kind):
    error = remote_error(GitFailed(["fetch"], 128, said), URL, CACHE)

    assert type(error) is kind
    assert "host" in str(error)


def test_what_nobody_understands_is_no_error_of_the_network():
    assert remote_error(GitFailed(["fetch"], 128, "fatal: bad object HEAD"), URL, CACHE) is None


@pytest.mark.parametrize(("said", "phase"), [("Operation too slow", "idle"), ("timed out", "connect")])
def test_a_timeout_says_in_what_phase(said, phase):
    error = remote_error(GitFailed(["fetch"], 128, f"fatal: {said}"), URL, CACHE)

    assert isinstance(error, TimedOut)
    assert error.phase == phase


def test_the_reason_is_the_line_that_says_most():
    said = "warning: redirecting\nremote: hello\nfatal: unable to access 'x': Could not resolve host: h"
    less = (
        "Host key verification failed.\nfatal: Could not read from remote repository.\n\nPlease make sure x"
    )

    other = remote_error(GitFailed(["fetch"], 128, less), URL, CACHE)
    error = remote_error(GitFailed(["fetch"], 128, said), URL, CACHE)

    assert str(error) == (
        "git could not read https://host/o/r.git: unable to access 'x': Could not resolve host: h"
    )
    assert str(other) == "The identity of host cannot be verified: Host key verification failed."


def test_what_fails_here_is_the_cache():
    assert isinstance(local_error(GitFailed(["x"], 1, "fatal: no"), URL, CACHE), CacheUnavailable)
    full = local_error(GitFailed(["x"], 1, "fatal: No space left on device"), URL, CACHE)
    assert isinstance(full, DiskFull)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EROFS, CacheUnavailable), (errno.EIO, CacheUnavailable)],
)
def test_what_the_file_system_says_is_said_of_the_cache(number, kind):
    with pytest.raises(kind), translated(CACHE):
        raise OSError(number, "x")


def test_errors_of_submodules_keep_their_kind_and_fields():
    inner = AuthenticationRequired("no", hint="do", url="u", origin="o")

    error = in_submodule(inner, "lib", URL)

    assert isinstance(error, AuthenticationRequired)
    assert (error.hint, error.url, error.origin) == ("do", "u", "o")
    assert str(error) == "The submodule lib of https://host/o/r.git cannot be had: no"


@needs_git
@needs_server
@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (401, AuthenticationRequired, 1),
        (403, Forbidden, 1),
        (404, RequirementInvalid, 1),
        (429, RateLimited, 1),
        (500, ServerError, 3),
        (503, ServerError, 3),
    ],
)
def test_servers_that_refuse(lab, tmp_path, status, kind, tries):
    Repository(tmp_path / "repos" / "demo").write({"a": "b"})
    with GitServer(tmp_path / "repos") as server:
        server.status = lambda path: status
        with pytest.raises(kind) as caught:
            lab.resolve(server.url("demo/.git"))

    assert len(lab.runner.calls) == tries
    assert server.host in str(caught.value)


@needs_git
@needs_server
def test_a_server_that_recovers_is_asked_again(lab, tmp_path):
    repository = Repository(tmp_path / "repos" / "demo")
    repository.write({"a": "b"})
    with GitServer(tmp_path / "repos") as server:
        server.status = lambda path: 503 if len(server.requests) < 3 else 0

        assert lab.resolve(server.url("demo/.git")) == repository.head()


@needs_git
def test_a_server_that_is_not_there_is_asked_three_times(lab):
    pauses = []

    with pytest.raises(ConnectFailed):
        lab.resolve("git+http://127.0.0.1:1/demo", lab.store(pause=lambda seconds, _: pauses.append(seconds)))

    assert len(lab.runner.calls) == 3
    assert pauses == sorted(pauses)
    assert len(pauses) == 2


@needs_git
def test_a_folder_that_is_no_repository_says_so(lab, tmp_path):
    with pytest.raises(RequirementInvalid, match="no git repository at"):
        lab.resolve(f"git+{tmp_path.as_uri()}")
    with pytest.raises(RequirementInvalid, match="no git repository at"):
        lab.resolve(f"git+{(tmp_path / 'nothing').as_uri()}")


@needs_git
def test_a_file_in_the_way_is_removed(lab, tmp_path):
    repository = Repository(tmp_path / "repos" / "demo")
    repository.write({"a": "b"})
    (lab.layout.root / "git-v0").write_text("in the way")

    assert lab.checkout(repository.url).is_dir()


@needs_git
def test_a_cache_that_cannot_be_written_says_so(lab, tmp_path):
    repository = Repository(tmp_path / "repos" / "demo")
    repository.write({"a": "b"})
    shutil.rmtree(lab.layout.root)
    lab.layout.root.write_text("in the way")

    with pytest.raises((CacheUnavailable, NotWritable)):
        lab.checkout(repository.url)
