"""Repositories made by somebody who means harm: each is refused by name, or its trick is of no use."""

from __future__ import annotations

import os
import subprocess

import pytest

from puffin_api._cache.layout import Bucket
from puffin_api._model.git_url import parse_git_url
from puffin_api._preparer.git import project_folder
from puffin_api.errors import NetworkError, PuffinError, RequirementInvalid
from tests._preparer.git_kit import (
    GIT,
    PROJECT,
    GitServer,
    Repository,
    git_env,
    needs_git,
    needs_server,
)

pytestmark = [needs_git, needs_server]
posix_only = pytest.mark.skipif(os.name == "nt", reason="the traps are shell scripts")


@pytest.fixture
def inner(tmp_path):
    made = Repository(tmp_path / "repos" / "inner")
    made.write({"inner.txt": "x", "config": "[core]\n\tfsmonitor = touch trap\n"})
    return made


@pytest.fixture
def trap(tmp_path):
    """A file that is there once something of the repository was run."""
    return tmp_path / "trap"


def put(repository, kind, content):
    """Write an object as it is, whatever git itself thinks of it."""
    done = subprocess.run(
        [GIT, "hash-object", "-t", kind, "-w", "--literally", "--stdin"],
        cwd=repository.folder,
        input=content,
        env=git_env(repository.folder),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def raw_tree(repository, *entries):
    """Write a tree of entries: mode, name, and the name of an object, or what a file or link holds."""
    parts = []
    for mode, name, content in entries:
        digest = content if isinstance(content, str) else put(repository, "blob", content)
        parts.append(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(digest))
    return put(repository, "tree", b"".join(parts))


def commit_tree(repository, *entries):
    """Make a commit of such entries, with a project, the head of the main branch."""
    project = ("100644", "pyproject.toml", PROJECT.format("1.0").encode())
    commit = repository.git("commit-tree", raw_tree(repository, *entries, project), "-m", "trick")
    repository.git("update-ref", "refs/heads/main", commit)
    return commit


# -- names of files

BAD_NAMES = [
    "..",
    ".",
    ".git",
    ".GIT",
    ".Git",
    "git~1",
    "GIT~1",
    ".git ",
    ".git.",
    ".git::$INDEX_ALLOCATION",
    ".g\u200cit",
    ".gi\u200dt",
    ".git\\hooks",
]


@pytest.mark.parametrize("by", ["file", "http"])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_folder_with_such_a_name_is_refused(lab, repository, tmp_path, name, by):
    (lab.home / ".gitconfig").write_text("[core]\n\tprotectHFS = false\n\tprotectNTFS = false\n")
    content = raw_tree(repository, ("100755", "config", b"[core]\n\tfsmonitor = touch trap\n"))
    commit_tree(repository, ("40000", name, content))
    with GitServer(tmp_path / "repos") as server:
        url = repository.url if by == "file" else server.url("demo/.git")
        before = lab.around()
        with pytest.raises(RequirementInvalid, match="holds a path") as caught:
            lab.checkout(url)

    assert url in str(caught.value)
    assert lab.around() == before
    assert list(lab.layout.bucket(Bucket.GIT).glob("checkouts/*/*")) == []
    assert list(lab.layout.temporary.iterdir()) == []
    assert len(lab.runner.commands("fetch")) <= 2, "it is not fetched anew, as a damaged one would be"


def test_a_name_without_letters_is_refused(lab, repository):
    commit_tree(repository, ("100644", "", b"x"))

    with pytest.raises(PuffinError, match="empty filename"):
        lab.checkout(repository.url)


@posix_only
def test_a_backslash_is_part_of_a_name_where_it_is(lab, repository):
    """On Windows git refuses it."""
    commit_tree(repository, ("40000", "..\\..\\x", raw_tree(repository, ("100644", "file", b"x"))))
    before = lab.around()

    assert (lab.checkout(repository.url) / "..\\..\\x" / "file").read_text() == "x"
    assert lab.around() == before


@pytest.mark.parametrize("mode", ["120000", "100644", "160000"])
@pytest.mark.parametrize("name", [".git", ".GIT", "git~1"])
def test_neither_is_a_link_file_or_submodule_of_such_a_name(lab, repository, inner, mode, name):
    content = inner.head() if mode == "160000" else b"../../../.."
    commit_tree(repository, (mode, name, content))

    with pytest.raises(RequirementInvalid, match="holds a path"):
        lab.checkout(repository.url)


@pytest.mark.parametrize("name", ["a/../../x", "/x", "../x", "a/.git/x"])
def test_a_name_that_is_a_path_is_refused_or_stays_inside(lab, repository, name):
    commit_tree(repository, ("100644", name, b"x"))
    before = lab.around()

    with pytest.raises(RequirementInvalid, match="holds a path"):
        lab.checkout(repository.url)

    assert lab.around() == before


@posix_only
@pytest.mark.parametrize("first", ["120000", "40000"])
def test_a_folder_behind_a_link_of_its_name_is_not_written_through_it(lab, repository, tmp_path, first):
    """The same name twice: a link that leads out, and a folder with a file."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = ("40000", "a", raw_tree(repository, ("100644", "file", b"x")))
    link = ("120000", "a", str(outside).encode())
    commit_tree(repository, *((link, folder) if first == "120000" else (folder, link)))

    try:
        lab.checkout(repository.url)
    except RequirementInvalid as error:
        assert "holds a path" in str(error)  # noqa: PT017  # whether git takes it is its affair

    assert list(outside.iterdir()) == []


@posix_only
def test_names_that_differ_in_case_do_not_lead_through_a_link(lab, repository, tmp_path):
    """Harmless where case counts; elsewhere git writes no file through a link that it has made."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = raw_tree(repository, ("100644", "file", b"x"))
    commit_tree(repository, ("40000", "A", folder), ("120000", "a", str(outside).encode()))

    lab.checkout(repository.url)

    assert list(outside.iterdir()) == []


@posix_only
def test_a_link_that_leads_out_is_kept_and_not_followed(lab, repository, tmp_path):
    """What is read of a project is checked where it is read: `project_folder`, static metadata."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "pyproject.toml").write_text(PROJECT.format("6.6.6"))
    commit_tree(repository, ("120000", "inner", str(outside).encode()))

    tree = lab.checkout(repository.url)

    assert (tree / "inner").is_symlink()
    with pytest.raises(RequirementInvalid, match="leads out"):
        project_folder(tree, parse_git_url(f"{repository.url}#subdirectory=inner")[0])


@posix_only
@pytest.mark.parametrize("name", ["pyproject.toml", "setup.py", "setup.cfg"])
@pytest.mark.parametrize("folder", ["", "python"])
@pytest.mark.parametrize("target", ["{outside}", "/dev/zero", "../../../x", "step"])
def test_what_describes_a_project_does_not_lead_out(lab, repository, tmp_path, name, folder, target):
    outside = tmp_path / "outside"
    outside.write_text(PROJECT.format("6.6.6"))
    place = repository.folder / folder
    place.mkdir(exist_ok=True)
    (place / name).unlink(missing_ok=True)
    (place / name).symlink_to(target.format(outside=outside))
    (place / "step").symlink_to(outside)
    repository.write({})

    with pytest.raises(RequirementInvalid, match=f"the file .*{name} leads out"):
        lab.checkout(f"{repository.url}#subdirectory={folder}")


@posix_only
def test_what_describes_a_project_may_be_a_link_inside(lab, repository):
    (repository.folder / "python").mkdir()
    (repository.folder / "python" / "pyproject.toml").symlink_to("../pyproject.toml")
    repository.write({})

    assert lab.checkout(f"{repository.url}#subdirectory=python").is_dir()


# -- submodules


def with_modules(repository, commit, *, path="inner", name="inner", url="../../inner/.git", more=""):
    """Commit a .gitmodules of any content, with a submodule at a path."""
    text = f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n{more}'
    (repository.folder / ".gitmodules").write_text(text)
    repository.git("add", ".gitmodules")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},inner")
    repository.git("commit", "--quiet", "--message", "submodule")


@pytest.mark.parametrize(
    "name", ["../x", "../../modules", "..", "a/../../../x", "-x", "--upload-pack=touch trap", "x\\\\..\\\\y"]
)
def test_the_name_of_a_submodule_means_nothing(lab, repository, inner, name):
    """Git makes a folder of that name; here the repository of a submodule lies in its tree."""
    with_modules(repository, inner.head(), name=name)
    before = lab.around()

    tree = lab.checkout(repository.url)

    assert (tree / "inner/inner.txt").read_text() == "x"
    assert lab.around() == before


@pytest.mark.parametrize(
    "path", ["../inner", "inner/../../x", "/elsewhere/x", ".git/modules", "-x", "nothing"]
)
def test_a_path_that_the_tree_does_not_have_names_no_submodule(lab, repository, inner, path):
    """Only where the tree itself has a submodule one is laid out, and that has no address then."""
    with_modules(repository, inner.head(), path=path)
    before = lab.around()

    with pytest.raises(RequirementInvalid, match="no address"):
        lab.checkout(repository.url)

    assert lab.around() == before


@posix_only
@pytest.mark.parametrize(
    "address",
    [
        "ext::sh -c touch% {trap}",
        "--upload-pack=touch {trap}",
        "-x",
        "ssh://-oProxyCommand=touch%20{trap}/x",
        "ssh://u@-oProxyCommand=touch%20{trap}/x",
        "-oProxyCommand=touch {trap}:x",
        "git@-oProxyCommand=x:y",
        "fd::3",
        "http://host.invalid/x\\ny",
        "https::http://host.invalid/",
        "::x",
    ],
)
def test_an_address_that_is_an_option_or_a_command_is_refused(lab, repository, trap, address):
    with_modules(repository, "1" * 40, url=f'"{address.format(trap=trap)}"')

    with pytest.raises(RequirementInvalid, match="submodule inner"):
        lab.checkout(repository.url)

    assert not trap.exists()


@pytest.mark.parametrize("address", ["file://{folder}/.git", "{folder}/.git", "FILE://{folder}/.git"])
def test_a_server_does_not_lead_to_files_of_this_machine(lab, repository, inner, tmp_path, address):
    with_modules(repository, inner.head(), url=address.format(folder=inner.folder))
    with (
        GitServer(tmp_path / "repos") as server,
        pytest.raises(RequirementInvalid, match=r"not on this machine|not called for such"),
    ):
        lab.checkout(server.url("demo/.git"))


@pytest.mark.parametrize("target", ["file://{folder}", "ext::touch {trap}", "ssh://-x/y"])
def test_a_redirect_does_not_lead_there_either(lab, repository, inner, trap, tmp_path, target):
    with GitServer(tmp_path / "repos") as server:
        server.redirect = target.format(folder=inner.folder, trap=trap)
        with pytest.raises((NetworkError, RequirementInvalid)):
            lab.checkout(server.url("demo/.git"))

    assert not trap.exists()


def test_alternates_of_a_simple_server_are_not_followed(lab, repository, tmp_path):
    """Files that a server without git gives may name another server for objects; git asks nobody there."""
    with (
        GitServer(tmp_path / "other", dumb=True) as other,
        GitServer(tmp_path / "repos", dumb=True) as server,
    ):
        repository.git("update-server-info")
        objects = repository.folder / ".git" / "objects"
        for folder in objects.iterdir():
            if len(folder.name) == 2:
                folder.rename(tmp_path / folder.name)
        (objects / "info" / "http-alternates").write_text(f"http://{other.host}/x/objects\n")
        with pytest.raises((NetworkError, RequirementInvalid)):
            lab.checkout(server.url("demo/.git"))

        assert other.requests == []


@posix_only
def test_gitmodules_that_is_a_link_is_refused(lab, repository, inner, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text(f'[submodule "x"]\n\tpath = inner\n\turl = {inner.url[4:]}\n')
    link = ("120000", ".gitmodules", str(outside).encode())
    commit_tree(repository, link, ("160000", "inner", inner.head()))

    with pytest.raises(RequirementInvalid, match="holds a path"):
        lab.checkout(repository.url)


def test_gitmodules_includes_nothing(lab, repository, inner, tmp_path):
    more = tmp_path / "more"
    more.write_text('[submodule "inner"]\n\tupdate = none\n')
    with_modules(repository, inner.head(), more=f"[include]\n\tpath = {more}\n")

    assert (lab.checkout(repository.url) / "inner/inner.txt").is_file()


def test_submodules_without_end_are_an_error(lab, repository):
    """A repository that has itself as a submodule, at the commit before: as often as it has commits."""
    head = repository.head()
    for _ in range(40):
        with_modules(repository, head, url="../../demo/.git")
        head = repository.head()

    with pytest.raises(RequirementInvalid, match="no place for it"):
        lab.checkout(repository.url)


# -- what the repository says of itself


@posix_only
def test_settings_and_hooks_of_a_local_repository_are_not_run(lab, repository, trap):
    for name in ("pre-receive", "post-checkout", "reference-transaction", "post-index-change", "fsmonitor"):
        hook = repository.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    program = repository.folder / "program"
    program.write_text(f'#!/bin/sh\ntouch {trap}\nexec "$@"\n')
    program.chmod(0o755)
    for key, value in {
        "core.fsmonitor": str(program),
        "core.hooksPath": str(repository.folder / ".git" / "hooks"),
        "core.sshCommand": str(program),
        "core.gitProxy": str(program),
        "core.pager": str(program),
        "core.alternateRefsCommand": str(program),
        "uploadpack.packObjectsHook": str(program),
        "filter.evil.smudge": str(program),
        "diff.external": str(program),
        "credential.helper": str(program),
    }.items():
        repository.git("config", key, value)
    (repository.folder / ".gitattributes").write_text("* filter=evil diff=evil\n")
    tree_of = repository.git(
        "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "rev-parse", "HEAD"
    )
    trap.unlink(missing_ok=True)

    tree = lab.checkout(f"{repository.url}@{tree_of}")

    assert (tree / "pyproject.toml").is_file()
    assert not trap.exists()


@posix_only
def test_attributes_start_nothing_and_filter_nothing(lab, repository, trap):
    (lab.home / ".gitconfig").write_text(
        f'[filter "mine"]\n\tsmudge = touch {trap}\n\tprocess = touch {trap}\n\trequired = true\n'
        f'[merge "mine"]\n\tdriver = touch {trap}\n[diff "mine"]\n\ttextconv = touch {trap}\n'
    )
    attributes = (
        "[attr]mine filter=mine\n*.txt mine\n* filter=mine diff=mine merge=mine\n/.gitattributes -filter\n"
    )
    repository.write(
        {".gitattributes": attributes, "a.txt": "x", "b/.gitattributes": "* filter=mine\n", "b/c": "y"}
    )

    tree = lab.checkout(repository.url)

    assert [(tree / name).read_text() for name in ("a.txt", "b/c")] == ["x", "y"]
    assert not trap.exists()
