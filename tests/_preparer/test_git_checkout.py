"""From a commit to its files: submodules, subdirectories, large files, modes, and what must not happen."""

from __future__ import annotations

import os
import shutil
import stat

import pytest

from puffin_api._cache.layout import Bucket
from puffin_api._model.events import Notice
from puffin_api._model.git_url import parse_git_url
from puffin_api._preparer.git import project_folder
from puffin_api.errors import AuthenticationRequired, RequirementInvalid
from puffin_api.testing import FailingRunner
from tests._preparer.git_kit import (
    PROJECT,
    GitServer,
    Lab,
    Repository,
    git_env,
    needs_git,
    needs_server,
    without_lfs,
)

pytestmark = [needs_git, needs_server]
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has neither modes nor these links")


def files_of(tree):
    return sorted(
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(tree).parts
    )


def with_submodule(parent, path, address, commit=None, name="sub"):
    """Add a submodule by writing what git would, so that any address can be written."""
    modules = parent.folder / ".gitmodules"
    old = modules.read_text() if modules.exists() else ""
    entry = f'[submodule "{name}"]\n\tpath = {path}\n\turl = {address}\n'
    if commit is not None:
        parent.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    modules.write_text(old + entry)
    parent.git("add", ".gitmodules")
    parent.git("commit", "--quiet", "--message", "submodule")


def test_files_have_the_same_bytes_and_modes_everywhere(lab, repository):
    content = {
        "unix.txt": b"a\nb\n",
        "dos.txt": b"a\r\nb\r\n",
        "mixed.txt": b"a\r\nb\n",
        "binary": bytes(range(256)),
        "sub/run.sh": b"#!/bin/sh\n",
    }
    repository.git("config", "core.autocrlf", "false")
    repository.write(content)
    repository.git("update-index", "--chmod=+x", "sub/run.sh")
    repository.git("commit", "--quiet", "--message", "mode")
    (lab.home / ".gitconfig").write_text("[core]\n\tautocrlf = true\n\teol = crlf\n\tfileMode = false\n")

    tree = lab.checkout(repository.url)

    assert {name: (tree / name).read_bytes() for name in content} == content
    if os.name != "nt":
        assert stat.S_IMODE((tree / "sub/run.sh").stat().st_mode) & 0o111 == 0o111
        assert stat.S_IMODE((tree / "unix.txt").stat().st_mode) & 0o111 == 0


@posix_only
def test_links_are_links(lab, repository):
    (repository.folder / "link").symlink_to("pyproject.toml")
    repository.write({})

    assert os.readlink(lab.checkout(repository.url) / "link") == "pyproject.toml"


def test_the_path_is_canonical(tmp_path, repository):
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    tree = Lab(tmp_path / "alias").checkout(repository.url)

    assert tree == tree.resolve()


def test_the_subdirectory_is_looked_for(lab, repository):
    repository.write({"python/pyproject.toml": PROJECT.format("2.0")})
    url = f"{repository.url}#subdirectory=python"

    tree = lab.checkout(url)

    assert project_folder(tree, parse_git_url(url)[0]) == tree / "python"
    assert project_folder(tree, parse_git_url(repository.url)[0]) == tree


@pytest.mark.parametrize("name", ["nothing", "pyproject.toml", "python/deep"])
def test_a_subdirectory_that_is_not_there_is_an_error(lab, repository, name):
    repository.write({"python/pyproject.toml": PROJECT.format("2.0")})

    with pytest.raises(RequirementInvalid, match=f"no folder {name}"):
        lab.checkout(f"{repository.url}#subdirectory={name}")


@posix_only
@pytest.mark.parametrize("target", ["/", "..", "../../..", "loop"])
def test_a_subdirectory_does_not_lead_out_by_a_link(lab, repository, target):
    (repository.folder / "loop").symlink_to(target)
    repository.write({})

    with pytest.raises(RequirementInvalid, match=r"leads out|no folder"):
        lab.checkout(f"{repository.url}#subdirectory=loop")


@posix_only
def test_a_subdirectory_may_be_a_link_inside(lab, repository):
    repository.write({"python/pyproject.toml": PROJECT.format("2.0")})
    (repository.folder / "alias").symlink_to("python")
    repository.write({})
    url = f"{repository.url}#subdirectory=alias"

    tree = lab.checkout(url)

    assert project_folder(tree, parse_git_url(url)[0]) == tree / "python"


@pytest.fixture
def nested(tmp_path, repository):
    """A repository with a submodule that has one itself, by relative addresses."""
    inner = Repository(tmp_path / "repos" / "inner")
    pinned = inner.write({"inner.txt": "pinned"})
    inner.write({"inner.txt": "later"})
    middle = Repository(tmp_path / "repos" / "middle")
    middle.write({"middle.txt": "x"})
    with_submodule(middle, "lib/inner", "../../inner/.git", pinned)
    with_submodule(repository, "vendor/middle", "../../middle/.git", middle.head())
    return repository


@pytest.mark.parametrize("by", ["file", "http"])
def test_submodules_are_laid_out_at_their_commits(lab, nested, tmp_path, by):
    with GitServer(tmp_path / "repos") as server:
        url = nested.url if by == "file" else server.url("demo/.git")
        tree = lab.checkout(url)

    assert files_of(tree) == [
        ".gitmodules",
        "pyproject.toml",
        "vendor/middle/.gitmodules",
        "vendor/middle/lib/inner/inner.txt",
        "vendor/middle/middle.txt",
    ]
    assert (tree / "vendor/middle/lib/inner/inner.txt").read_text() == "pinned"
    assert git_status(tree) == ""


def git_status(tree):
    import subprocess

    env = git_env(tree.parent)
    words = ["git", "status", "--porcelain", "--ignored", "--ignore-submodules=none"]
    done = subprocess.run(words, cwd=tree, env=env, capture_output=True, check=True)
    return done.stdout.decode()


def test_a_tree_with_submodules_starts_no_process_once_it_is_there(lab, nested):
    url = f"{nested.url}@{nested.head()}"
    tree = lab.checkout(url)

    assert lab.checkout(url, lab.store(runner=FailingRunner())) == tree


def test_offline_submodules_come_from_the_cache(lab, nested, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git")
        commit = lab.resolve(url)
        tree = lab.checkout(url)
    shutil.rmtree(tree.parent)

    again = lab.checkout(f"{url}@{commit}", lab.store(offline=True))

    assert "vendor/middle/lib/inner/inner.txt" in files_of(again)


def test_a_submodule_with_a_login_of_its_own_is_fetched_with_it(lab, repository, tmp_path):
    secret = Repository(tmp_path / "private" / "inner")
    secret.write({"inner.txt": "x"})
    with GitServer(tmp_path / "private", login=("me", "s3cret-of-mine")) as server:
        address = server.url("inner/.git", "me:s3cret-of-mine").removeprefix("git+")
        with_submodule(repository, "inner", address, secret.head())
        with GitServer(tmp_path / "repos") as outer:
            tree = lab.checkout(outer.url("demo/.git"))

    assert (tree / "inner/inner.txt").is_file()
    assert all("s3cret-of-mine" not in word for argv, _ in lab.runner.calls for word in argv)
    assert [login for login in outer.logins if login] == []


def test_a_login_is_not_given_to_the_server_of_a_submodule(lab, repository, tmp_path):
    other = Repository(tmp_path / "other" / "inner")
    other.write({"inner.txt": "x"})
    with (
        GitServer(tmp_path / "other", login=("me", "another")) as stranger,
        GitServer(tmp_path / "repos", login=("me", "s3cret-of-mine")) as server,
    ):
        with_submodule(repository, "inner", stranger.url("inner/.git")[4:], other.head())
        with pytest.raises(AuthenticationRequired, match="submodule inner") as caught:
            lab.checkout(server.url("demo/.git", "me:s3cret-of-mine"))

    assert caught.value.origin == f"http://{stranger.host}"
    assert stranger.logins
    assert set(stranger.logins) == {None}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ext::sh -c touch% /tmp/x", "not called for such"),
        ("git://127.0.0.1/x", "not called for such"),
        ("file:///etc", "not on this machine"),
        ("/etc", "not on this machine"),
        ("../../../../../x", "leads out of the server"),
        ("-u./x", "not called for such"),
        ("", "no address"),
    ],
)
def test_a_submodule_leads_nowhere_else(lab, repository, tmp_path, address, reason):
    with_submodule(repository, "inner", address, "1" * 40)
    with GitServer(tmp_path / "repos") as server, pytest.raises(RequirementInvalid, match=reason) as caught:
        lab.checkout(server.url("demo/.git"))

    assert "submodule inner" in str(caught.value)
    assert list(lab.layout.bucket(Bucket.GIT).glob("checkouts/*/*")) == []


def test_a_submodule_whose_commit_is_gone_says_which(lab, nested, tmp_path):
    gone = "1" * 40
    with_submodule(nested, "other", "../../inner/.git", gone, name="other")

    with pytest.raises(RequirementInvalid, match=f"submodule other of .* cannot be had: .*@{gone}"):
        lab.checkout(nested.url)


def test_a_submodule_that_is_switched_off_is_left_out(lab, repository, tmp_path):
    with_submodule(repository, "inner", "../../nothing", "1" * 40)
    modules = repository.folder / ".gitmodules"
    modules.write_text(modules.read_text() + "\tupdate = none\n")
    repository.git("add", ".gitmodules")
    repository.git("commit", "--quiet", "--message", "off")

    assert files_of(lab.checkout(repository.url)) == [".gitmodules", "pyproject.toml"]


def test_a_command_in_gitmodules_is_not_run(lab, nested, tmp_path):
    trap = tmp_path / "trap"
    modules = nested.folder / ".gitmodules"
    modules.write_text(modules.read_text() + f"\tupdate = !touch {trap}\n")
    nested.git("add", ".gitmodules")
    nested.git("commit", "--quiet", "--message", "trap")

    tree = lab.checkout(nested.url)

    assert (tree / "vendor/middle/middle.txt").is_file()
    assert not trap.exists()


@posix_only
def test_a_submodule_is_not_laid_out_over_a_link(lab, nested, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    inner = Repository(tmp_path / "repos" / "trap")
    commit = inner.write({"inner.txt": "x"})
    # A path of a submodule that git itself would not write: below a link of the same tree.
    (nested.folder / "link").symlink_to(outside)
    nested.write({})
    from puffin_api._preparer.git_tree import place_of

    tree = lab.checkout(nested.url)

    assert place_of(tree, "link/inner") is None
    assert place_of(tree, "link") is None
    assert place_of(tree, ".GIT/x") is None
    assert place_of(tree, "a/../../x") is None
    assert place_of(tree, "new/place") == tree / "new/place"
    assert list(outside.iterdir()) == []
    assert commit


def test_no_hook_and_no_filter_is_run(lab, repository, tmp_path):
    trap = tmp_path / "trap"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {trap}\n")
        (hooks / name).chmod(0o755)
    (lab.home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = echo fsmonitor >> {trap}\n"
        f'[init]\n\ttemplateDir = {tmp_path}\n[filter "mine"]\n\tsmudge = tee -a {trap}\n\trequired = true\n'
        f"[core]\n\tattributesFile = {tmp_path}/attributes\n"
    )
    (tmp_path / "attributes").write_text("* filter=mine\n")
    repository.write({".gitattributes": "*.txt filter=mine\n", "a.txt": "hello"})

    tree = lab.checkout(repository.url)

    assert (tree / "a.txt").read_text() == "hello"
    assert not trap.exists()
    assert git_status(tree) == ""


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 3\n".format("a" * 64)


@pytest.fixture
def with_large(repository):
    repository.write(
        {
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "a.bin": POINTER,
            "sub/.gitattributes": "/b.dat filter=lfs\n*.txt filter=other\n",
            "sub/b.dat": POINTER,
            "sub/c.txt": "x",
        }
    )
    return repository


@posix_only
def test_large_files_without_the_program_are_pointers_and_a_notice(lab, with_large, tmp_path):
    env = without_lfs(git_env(lab.home), tmp_path / "bin")
    tree = lab.checkout(with_large.url, lab.store(env=env))
    lab.checkout(with_large.url, lab.store(env=env))

    assert (tree / "a.bin").read_text() == POINTER
    assert [notice.code for notice in lab.reporter.of(Notice)] == ["git-lfs-missing"] * 2


def test_large_files_that_nobody_wants_are_pointers(lab, with_large):
    tree = lab.checkout(with_large.url, lab.store(lfs=False))

    assert (tree / "a.bin").read_text() == POINTER
    assert lab.reporter.of(Notice) == []


@posix_only
def test_large_files_are_got_by_the_program_once_it_is_there(lab, with_large, tmp_path):
    env = without_lfs(git_env(lab.home), tmp_path / "bin")
    lab.checkout(with_large.url, lab.store(env=env))
    programs = tmp_path / "programs"
    programs.mkdir()
    # Stands in for the real one: fills what the attributes say that it keeps, and tells how it was called.
    (programs / "git-lfs").write_text(
        "#!/bin/sh\n"
        'echo "$@" > "$HOME/called"; git config remote.origin.url >> "$HOME/called"\n'
        "git ls-files | git check-attr --stdin filter | while read -r name filter value; do\n"
        '  if [ "$value" = lfs ]; then printf big > "${name%:}"; fi\n'
        "done\n"
        'cat .git/info/attributes > "$HOME/attributes"\n'
    )
    (programs / "git-lfs").chmod(0o755)
    env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"

    tree = lab.checkout(with_large.url, lab.store(env=env))

    assert (tree / "a.bin").read_text() == "big"
    assert (tree / "sub/b.dat").read_text() == "big"
    assert (tree / "sub/c.txt").read_text() == "x"
    assert (lab.home / "called").read_text().split("\n")[:2] == ["pull origin", with_large.url[4:]]
    assert (lab.home / "attributes").read_text() == "* -filter\n*.bin filter=lfs\nsub/b.dat filter=lfs\n"
    assert len(lab.reporter.of(Notice)) == 1


def damage_pack(folder):
    for pack in (folder / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-40] + b"x" * 40)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "HEAD").unlink(),
        lambda folder: (folder / "HEAD").write_bytes(b"\0\0"),
        lambda folder: (folder / "config").write_bytes(b"[["),
        lambda folder: shutil.rmtree(folder / "objects"),
        lambda folder: shutil.rmtree(folder / "objects" / "pack"),
        damage_pack,
        lambda folder: shutil.rmtree(folder / "refs"),
        lambda folder: next(folder.glob("puffin-database*")).unlink(),
        lambda folder: (folder / "shallow").write_bytes(b"junk\n"),
        lambda folder: (folder / "shallow.lock").write_bytes(b""),
        lambda folder: (folder / "packed-refs.lock").write_bytes(b""),
    ],
)
@pytest.mark.parametrize("has_moved", [False, True])
def test_a_damaged_database_is_made_anew(lab, repository, damage, has_moved):
    tree = lab.checkout(repository.url)
    shutil.rmtree(tree.parent)
    damage(lab.layout.git_database(parse_git_url(repository.url)[0].repository))
    if has_moved:
        repository.write({"pyproject.toml": PROJECT.format("2.0")})

    again = lab.checkout(repository.url)

    assert f'"{2 if has_moved else 1}.0"' in (again / "pyproject.toml").read_text()
    assert git_status(again) == ""


@pytest.mark.parametrize(
    "name", ["shallow.lock", "packed-refs.lock", "refs/puffin/x.lock", "objects/pack/tmp_pack_x"]
)
def test_what_a_killed_git_has_left_is_removed(lab, repository, name):
    lab.checkout(repository.url, history=False)
    folder = lab.layout.git_database(parse_git_url(repository.url)[0].repository)
    (folder / name).write_bytes(b"")
    made = folder.stat().st_ino
    repository.write({"a": "b"})

    lab.checkout(repository.url, history=False)

    assert not (folder / name).exists()
    assert folder.stat().st_ino == made


@pytest.mark.parametrize(
    "what", ["file", "empty", "no mark", "half a mark", "other commit", "stray", "damaged"]
)
def test_a_checkout_that_is_not_complete_is_made_anew(lab, repository, what):
    tree = lab.checkout(repository.url)
    folder = tree.parent
    (tree / "stray.txt").write_text("x")
    mark = folder / "complete"
    text = mark.read_text()
    if what == "file":
        shutil.rmtree(folder)
        folder.write_text("x")
    elif what == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif what == "no mark":
        mark.unlink()
    elif what == "half a mark":
        mark.write_text(text[:-5])
    elif what == "other commit":
        mark.write_text(text.replace(text.split()[1], "1" * 40))
    elif what == "damaged":
        (tree / "stray.txt").unlink()
        (tree / "pyproject.toml").write_text("")

    assert lab.checkout(repository.url) == tree
    assert files_of(tree) == ["pyproject.toml"]
    assert mark.read_text().split()[:2] == text.split()[:2]
    assert (tree / "pyproject.toml").read_text()


def test_nothing_unfinished_is_left(lab, nested):
    lab.checkout(nested.url)

    assert list(lab.layout.temporary.iterdir()) == []


def test_the_repository_of_a_tree_leads_nowhere(lab, repository, tmp_path):
    with GitServer(tmp_path / "repos", login=("me", "s3cret-of-mine")) as server:
        tree = lab.checkout(server.url("demo/.git", "me:s3cret-of-mine"))

    assert "remote" not in (tree / ".git" / "config").read_text()
    assert not (tree / ".git" / "hooks").exists()
    assert server.host.encode() not in b"".join(
        path.read_bytes() for path in (tree / ".git").rglob("*") if path.is_file()
    )
