"""Odd refs, very many of them, and lies about them; and what users have set up for git, which counts."""

from __future__ import annotations

import os
from urllib.parse import quote

import pytest

from puffin_api.errors import RequirementInvalid
from tests._preparer.git_kit import GitServer, needs_git, needs_server

pytestmark = [needs_git, needs_server]
posix_only = pytest.mark.skipif(os.name == "nt", reason="the traps are shell scripts")


@pytest.fixture
def trap(tmp_path):
    """A file that is there once something was run."""
    return tmp_path / "trap"


ODD_REFS = [
    "--upload-pack=touch trap",
    "-x",
    "--",
    "--help",
    "$(touch trap)",
    "`touch trap`",
    "a;touch trap",
    "a|b",
    "a&b",
    "'",
    '"',
    "%2e%2e",
    "@{-1}x",
    "heads/main",
]


@posix_only
@pytest.mark.parametrize("ref", [ref for ref in ODD_REFS if " " not in ref and "@{" not in ref])
def test_a_ref_that_looks_like_an_option_or_a_command_is_a_name(lab, repository, trap, ref):
    commit = repository.write({"a": "b"})
    repository.git("update-ref", f"refs/heads/{ref}", commit)
    repository.git("update-ref", f"refs/tags/{ref}", commit)
    repository.write({"a": "c"})

    assert lab.resolve(f"{repository.url}@refs/heads/{quote(ref, safe='')}") == commit
    lab.checkout(repository.url)  # with all tags
    if ref.startswith("-"):
        with pytest.raises(RequirementInvalid, match="no name of a commit"):
            lab.resolve(f"{repository.url}@{ref}")
    else:
        assert lab.resolve(f"{repository.url}@{quote(ref, safe='')}") == commit
    assert not trap.exists()


@posix_only
@pytest.mark.parametrize("ref", [ref for ref in ODD_REFS if " " in ref or "@{" in ref])
def test_what_can_be_no_ref_is_refused(lab, repository, ref):
    with pytest.raises(RequirementInvalid, match="no name of a commit"):
        lab.resolve(f"{repository.url}@{quote(ref, safe='')}")
    assert lab.runner.calls == []


def test_a_server_that_lies_about_refs_gets_nothing_written(lab, repository, tmp_path):
    """Names that lead out of the folder of refs, as a server without git can write them."""
    head = repository.head()
    with GitServer(tmp_path / "repos", dumb=True) as server:
        repository.git("update-server-info")
        info = repository.folder / ".git" / "info" / "refs"
        info.write_text(
            f"{head}\trefs/heads/main\n{head}\trefs/tags/../../../../trap\n{head}\trefs/tags/-x\n"
        )
        before = lab.around()
        found = lab.checkout(f"{server.url('demo/.git')}@main")

    assert (found / "pyproject.toml").is_file()
    assert lab.around() == before
    assert not any(path.name == "trap" for path in lab.layout.root.rglob("*"))


def test_a_great_many_refs_are_no_burden(lab, repository):
    head, count = repository.head(), 5000
    lines = [f"{head} refs/heads/b{number:06}\n" for number in range(count)]
    lines += [f"{head} refs/tags/t{number:06}\n" for number in range(count)]
    header = "# pack-refs with: peeled fully-peeled sorted \n"
    (repository.folder / ".git" / "packed-refs").write_text(header + "".join(lines))

    assert lab.resolve(f"{repository.url}@b004999") == head
    lab.checkout(f"{repository.url}@t000001")
    with pytest.raises(RequirementInvalid) as caught:
        lab.resolve(f"{repository.url}@b00499")

    assert "b00499" in caught.value.hint


# -- what the user has set up stays


@posix_only
def test_addresses_headers_and_helpers_of_the_user_count(lab, repository, tmp_path):
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho username=me; echo password=of-the-user\n")
    helper.chmod(0o755)
    with GitServer(tmp_path / "repos", login=("me", "of-the-user")) as server:
        (lab.home / ".gitconfig").write_text(
            f'[url "http://{server.host}/"]\n\tinsteadOf = https://host.invalid/\n'
            f"[http]\n\textraHeader = X-Mine: yes\n[credential]\n\thelper = {helper}\n"
        )
        seen = []
        server.status = lambda _: seen.append(1) or 0

        tree = lab.checkout("git+https://host.invalid/demo/.git")

    assert (tree / "pyproject.toml").is_file()
    assert server.login in server.logins
    assert {"yes"} == set(server.headers["x-mine"])


@posix_only
def test_an_address_of_the_user_leads_to_no_other_protocol(lab, repository, trap):
    (lab.home / ".gitconfig").write_text(
        f'[url "ext::sh -c touch% {trap}% "]\n\tinsteadOf = https://host.invalid/\n'
        "[protocol]\n\tallow = always\n"
    )

    with pytest.raises(RequirementInvalid, match="must not go"):
        lab.checkout("git+https://host.invalid/demo")

    assert not trap.exists()
