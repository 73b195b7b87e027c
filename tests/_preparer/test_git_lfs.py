"""The real Git LFS, against a server of its files on loopback: what it brings, and where it may go for it."""

from __future__ import annotations

import os

import pytest

from puffin_api._model.events import FetchFinished, FetchStarted, Notice
from puffin_api.errors import NetworkError, PuffinError, RequirementInvalid
from puffin_api.testing import FailingRunner
from tests._preparer.git_kit import (
    PROJECT,
    GitServer,
    Repository,
    git_env,
    needs_git,
    needs_lfs,
    needs_server,
    pointer,
)

pytestmark = [needs_git, needs_server, needs_lfs]
posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
SECRET = "s3cret-of-mine"
BIG, DEEP = b"big\0file" * 4096, b"deep\r\nfile"


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repos" / "demo")
    made.write(
        {
            "pyproject.toml": PROJECT.format("1.0"),
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "a.bin": pointer(BIG),
            "sub/.gitattributes": "/deep.dat filter=lfs diff=lfs merge=lfs -text\n",
            "sub/deep.dat": pointer(DEEP),
        }
    )
    return made


@pytest.fixture
def server(tmp_path, repository):
    with GitServer(tmp_path / "repos") as started:
        started.keep(BIG, DEEP)
        yield started


@pytest.fixture
def other(tmp_path):
    """Another server, which has the files too and would like to know a login."""
    with GitServer(tmp_path / "nothing", login=("me", "another")) as started:
        started.keep(BIG, DEEP)
        yield started


def test_large_files_are_got(lab, repository, server):
    url = f"{server.url('demo/.git')}@{repository.head()}"

    tree = lab.checkout(url)

    assert (tree / "a.bin").read_bytes() == BIG
    assert (tree / "sub/deep.dat").read_bytes() == DEEP
    assert lab.reporter.of(Notice) == []
    assert not (tree / ".git" / "hooks").exists()
    assert lab.checkout(url, lab.store(runner=FailingRunner())) == tree


def test_their_transfer_is_told_with_its_bytes(lab, repository, server):
    lab.checkout(server.url("demo/.git"))

    assert {event.name for event in lab.reporter.of(FetchStarted)} == {server.url("demo/.git")[4:]}
    assert lab.reporter.of(FetchFinished)[-1].received == len(BIG) + len(DEEP)


def test_large_files_of_a_local_repository_are_got(lab, repository):
    for content in (BIG, DEEP):
        digest = pointer(content).split("sha256:")[1].split()[0]
        place = repository.folder / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4]
        place.mkdir(parents=True)
        (place / digest).write_bytes(content)

    tree = lab.checkout(repository.url)

    assert (tree / "a.bin").read_bytes() == BIG


def test_large_files_of_a_submodule_are_got(lab, repository, server, tmp_path):
    outer = Repository(tmp_path / "repos" / "outer")
    outer.write({".gitmodules": '[submodule "x"]\n\tpath = inner\n\turl = ../../demo/.git\n'})
    outer.git("update-index", "--add", "--cacheinfo", f"160000,{repository.head()},inner")
    outer.git("commit", "--quiet", "--message", "submodule")

    assert (lab.checkout(server.url("outer/.git")) / "inner/a.bin").read_bytes() == BIG


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_who_wants_no_large_files_gets_pointers(lab, repository, server, value):
    env = git_env(lab.home) | {"GIT_LFS_SKIP_SMUDGE": value}

    tree = lab.checkout(server.url("demo/.git"), lab.store(env=env))

    assert (tree / "a.bin").read_text() == pointer(BIG)
    assert lab.reporter.of(Notice) == []
    assert (lab.checkout(server.url("demo/.git")) / "a.bin").read_bytes() == BIG


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off"])
def test_who_wants_large_files_gets_them(lab, repository, server, value):
    env = git_env(lab.home) | {"GIT_LFS_SKIP_SMUDGE": value}

    assert (lab.checkout(server.url("demo/.git"), lab.store(env=env)) / "a.bin").read_bytes() == BIG


def test_a_login_is_used_and_shown_nowhere(lab, repository, tmp_path):
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        server.keep(BIG, DEEP)
        tree = lab.checkout(server.url("demo/.git", f"me:{SECRET}"))

    batches = [
        login for (_, path, _), login in zip(server.requests, server.logins, strict=True) if "lfs" in path
    ]
    assert (tree / "a.bin").read_bytes() == BIG
    assert server.login in batches
    shown = " ".join([repr(lab.reporter.events), *(word for argv, _ in lab.runner.calls for word in argv)])
    for secret in (SECRET, server.login.partition(" ")[2]):
        assert secret not in shown
        assert secret.encode() not in lab.all_bytes() + lab.runner.seen


def test_what_the_server_lacks_is_an_error(lab, repository, server):
    server.large.clear()

    with pytest.raises(NetworkError) as caught:
        lab.checkout(server.url("demo/.git"))

    assert "not here" in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        "[lfs]\n\turl = http://{host}/demo/.git/info/lfs\n",
        '[remote "origin"]\n\tlfsurl = http://{host}/demo/.git/info/lfs\n',
        "[lfs]\n\turl = http://{host}/x\n" + '[lfs "http://{host}/x"]\n\taccess = basic\n',
    ],
)
def test_no_login_goes_to_a_server_that_the_repository_names(lab, repository, other, tmp_path, setting):
    repository.write({".lfsconfig": setting.format(host=other.host)})
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        server.keep(BIG, DEEP)
        with pytest.raises(PuffinError) as caught:
            lab.checkout(server.url("demo/.git", f"me:{SECRET}"))

    # One that is said to want a login is not even called, as there is none for it.
    assert other.requests or "access" in setting
    assert set(other.logins) <= {None}
    assert SECRET not in str(caught.value.to_dict())


def test_no_login_goes_where_the_server_sends_for_a_file(lab, repository, other, tmp_path):
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        server.keep(BIG, DEEP)
        server.large_host = other.host
        with pytest.raises(PuffinError):
            lab.checkout(server.url("demo/.git", f"me:{SECRET}"))

    assert other.requests
    assert set(other.logins) == {None}


def test_another_server_that_asks_for_nothing_is_used(lab, repository, server, tmp_path):
    with GitServer(tmp_path / "nothing") as open_to_all:
        open_to_all.keep(BIG, DEEP)
        server.large.clear()
        repository.write({".lfsconfig": f"[lfs]\n\turl = http://{open_to_all.host}/x/info/lfs\n"})

        assert (lab.checkout(server.url("demo/.git")) / "a.bin").read_bytes() == BIG


@pytest.mark.parametrize(
    "address",
    ["file:///{folder}/.git", "{folder}/.git", "ssh://-oProxyCommand=touch%20{trap}/x", "git@host.invalid:x"],
)
@pytest.mark.parametrize("key", ["[lfs]\n\turl", '[remote "origin"]\n\tlfsurl', '[remote "x"]\n\tlfsurl'])
def test_a_repository_elsewhere_names_only_servers_by_http(lab, repository, server, tmp_path, address, key):
    trap = tmp_path / "trap"
    value = address.format(folder=repository.folder, trap=trap)
    repository.write({".lfsconfig": f"{key} = {value}\n"})

    with pytest.raises(RequirementInvalid, match="Git LFS"):
        lab.checkout(server.url("demo/.git"))

    assert not trap.exists()


def test_an_address_that_is_included_counts_as_well(lab, repository, server):
    more = f"[lfs]\n\turl = file://{repository.folder}/.git\n"
    repository.write({".lfsconfig": "[include]\n\tpath = more\n", "more": more})

    with pytest.raises(RequirementInvalid, match="Git LFS"):
        lab.checkout(server.url("demo/.git"))


@posix_only
def test_no_program_of_the_repository_is_run(lab, repository, server, tmp_path):
    trap = tmp_path / "trap"
    script = f"!touch {trap}"
    repository.write(
        {
            "run.sh": f"#!/bin/sh\ntouch {trap}\n",
            ".lfsconfig": (
                "[lfs]\n\tstandalonetransferagent = evil\n\tbasictransfersonly = false\n"
                f'[lfs "customtransfer.evil"]\n\tpath = {tmp_path}/repos/demo/run.sh\n'
                f'[lfs "extension.evil"]\n\tsmudge = touch {trap}\n\tpriority = 0\n'
                f"[credential]\n\thelper = {script}\n[core]\n\tsshCommand = touch {trap}\n"
                f'[filter "lfs"]\n\tsmudge = touch {trap}\n\tprocess = touch {trap}\n'
            ),
        }
    )
    (repository.folder / "run.sh").chmod(0o755)

    tree = lab.checkout(server.url("demo/.git"))

    assert (tree / "a.bin").read_bytes() == BIG
    assert not trap.exists()
