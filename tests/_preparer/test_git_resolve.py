"""From a revision to a commit: every kind of revision, over files, smart HTTP and dumb HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from puffin_api._model.events import FetchFinished, FetchStarted
from puffin_api._model.git_url import parse_git_url
from puffin_api.errors import OfflineMiss, RequirementInvalid
from puffin_api.testing import FailingRunner
from tests._preparer.git_kit import PROJECT, GitServer, Repository, needs_git, needs_server

pytestmark = [needs_git, needs_server]
ODD_NAMES = ["a#b", "ünï/cödé", "a%b", "a,b;c", "a'b", 'a"b', "$(id)", "`id`", "a&b|c", "!x", "+x", "a=b"]


@contextmanager
def reached(root, way):
    """Give what gives the URL of a repository that is complete, by one way to reach it."""
    if way == "file":
        yield lambda repository: repository.url
        return
    with GitServer(root, dumb=way == "dumb") as server:
        server.is_old = way == "old"

        def url(repository):
            if server.dumb:
                repository.git("repack", "-adq")
                repository.git("update-server-info")
            return server.url(f"{repository.folder.name}/.git")

        yield url


WAYS = ["file", "smart", "old", "dumb"]


@pytest.fixture(params=WAYS)
def url_of(request, tmp_path):
    with reached(tmp_path / "repos", request.param) as url:
        yield url


def version(tree):
    return (tree / "pyproject.toml").read_text().partition('version = "')[2].partition('"')[0]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A repository with a version for each way to name one; nobody changes it."""
    repository = Repository(tmp_path_factory.mktemp("shared") / "repos" / "demo")
    names = {"1.0": repository.write({"pyproject.toml": PROJECT.format("1.0")})}

    def add(number, *words):
        names[number] = repository.write({"pyproject.toml": PROJECT.format(number)})
        if words:
            repository.git(*words)

    add("2.0", "tag", "light")
    add("3.0", "tag", "--annotate", "--message=x", "annotated")
    add("4.0", "tag", "both")
    add("5.0", "branch", "both")
    add("6.0", "branch", "feature/deep.er")
    add("7.0", "update-ref", "refs/pull/7/head", "HEAD")
    add("8.0", "branch", "cafe123")
    add("9.0", "tag", "--annotate", "--message=x", "pkg@9.0+b")
    add("10.0")
    for number, name in enumerate(ODD_NAMES):
        repository.git("branch", name, names[f"{number % 10 + 1}.0"])
    repository.names = names
    return repository


@pytest.fixture
def branched(tmp_path, shared):
    """A copy of it that may be changed."""
    copy = Repository.__new__(Repository)
    copy.folder = shutil.copytree(shared.folder, tmp_path / "repos" / "demo")
    copy.names = shared.names
    return copy


@pytest.fixture(scope="module", params=WAYS)
def shared_url(request, shared):
    with reached(shared.folder.parent, request.param) as url:
        yield url(shared)


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ("", "10.0"),
        ("@HEAD", "10.0"),
        ("@main", "10.0"),
        ("@light", "2.0"),
        ("@annotated", "3.0"),
        ("@both", "5.0"),
        ("@refs/tags/both", "4.0"),
        ("@refs/heads/both", "5.0"),
        ("@feature/deep.er", "6.0"),
        ("@refs/pull/7/head", "7.0"),
        ("@cafe123", "8.0"),
        ("@pkg@9.0+b", "9.0"),
        ("@pkg%409.0%2Bb", "9.0"),
        ("@refs/tags/annotated", "3.0"),
    ],
)
def test_every_kind_of_name_leads_to_its_commit(lab, shared, shared_url, revision, expected):
    url = shared_url + revision

    commit = lab.resolve(url)

    assert commit == shared.names[expected]
    assert version(lab.checkout(url)) == expected


@pytest.mark.parametrize("length", [40, 12, 7])
@pytest.mark.parametrize("number", ["1.0", "4.0"])
def test_commits_are_found_by_their_beginning(lab, shared, shared_url, length, number):
    commit = shared.names[number]
    url = f"{shared_url}@{commit[:length]}"

    assert lab.resolve(url) == commit
    assert version(lab.checkout(url)) == number


def test_a_commit_that_no_branch_or_tag_leads_to_is_found(lab, repository, url_of):
    repository.git("checkout", "--quiet", "--detach")
    hidden = repository.write({"pyproject.toml": PROJECT.format("2.0")})
    repository.git("update-ref", "refs/pull/1/head", hidden)
    repository.git("checkout", "--quiet", "main")

    tree = lab.checkout(f"{url_of(repository)}@{hidden}")

    assert version(tree) == "2.0"


def test_the_commit_that_a_tree_has_knows_its_tags(lab, shared, shared_url):
    tree = lab.checkout(f"{shared_url}@feature/deep.er")

    assert git_in(tree, "describe", "--tags") == f"both-2-g{shared.names['6.0'][:7]}"
    assert git_in(tree, "status", "--porcelain", "--ignored") == ""
    assert git_in(tree, "rev-parse", "--is-shallow-repository") == "false"
    assert git_in(tree, "rev-list", "--count", "HEAD") == "6"


def git_in(tree, *words):
    env = {"PATH": os.environ["PATH"], "HOME": str(tree.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *words], cwd=tree, env=env, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_without_history_only_the_files_are_fetched(lab, branched):
    tree = lab.checkout(branched.url, history=False)

    assert version(tree) == "10.0"
    assert git_in(tree, "rev-list", "--count", "HEAD") == "1"
    assert git_in(tree, "tag") == ""
    assert git_in(tree, "status", "--porcelain") == ""


def test_the_history_is_fetched_when_it_is_needed(lab, branched):
    cut = lab.checkout(branched.url, history=False)
    whole = lab.checkout(branched.url)

    assert whole != cut
    assert git_in(whole, "rev-list", "--count", "HEAD") == "10"
    assert lab.checkout(branched.url, history=False) == whole


def test_one_fetch_is_enough_where_the_history_is_known_to_be_needed(lab, branched, tmp_path):
    with GitServer(tmp_path / "repos") as server, lab.pump() as pump:
        url, _ = parse_git_url(server.url("demo/.git@both"))
        store = lab.store()
        tree = store.checkout(url, store.resolve(url, pump, history=True), pump)

    assert git_in(tree, "rev-list", "--count", "HEAD") == "5"
    assert server.fetches == 1


def test_tags_that_come_later_are_known_to_what_comes_later(lab, repository, url_of):
    repository.git("tag", "v1")
    assert git_in(lab.checkout(f"{url_of(repository)}@main"), "describe", "--tags") == "v1"
    repository.write({"a": "b"})
    repository.git("tag", "v2")
    repository.git("tag", "--force", "v1")
    repository.write({"a": "c"})

    tree = lab.checkout(f"{url_of(repository)}@main")

    assert git_in(tree, "describe", "--tags").startswith("v")
    assert git_in(tree, "tag", "--points-at", "HEAD^").split() == ["v1", "v2"]


def test_a_repository_that_has_no_history_is_taken_as_it_is(lab, branched, tmp_path):
    Repository(tmp_path / "other").git("clone", "--quiet", "--depth=1", branched.url[4:], tmp_path / "cut")

    tree = lab.checkout(f"git+{(tmp_path / 'cut').as_uri()}")

    assert version(tree) == "10.0"
    assert git_in(tree, "rev-list", "--count", "HEAD") == "1"


def test_what_moves_is_asked_for_once_in_the_life_of_a_store(lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        store, url = lab.store(), server.url("demo/.git@main")
        first = lab.resolve(url, store)
        repository.write({"new.txt": "x"})
        asked = len(server.requests)

        assert lab.resolve(url, store) == first
        assert len(server.requests) == asked
        assert lab.resolve(url) == repository.head() != first


def test_a_branch_that_has_not_moved_is_not_fetched_again(lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        lab.checkout(server.url("demo/.git@main"))
        fetches = server.fetches
        lab.checkout(server.url("demo/.git@main"))

    assert server.fetches == fetches


def test_a_full_commit_that_is_known_is_not_asked_for(lab, repository):
    first = repository.head()
    repository.write({"new.txt": "x"})
    lab.resolve(repository.url, lab.store())
    lab.checkout(f"{repository.url}@{repository.head()}")
    shutil.rmtree(repository.folder)

    assert lab.resolve(f"{repository.url}@{first}") == first
    assert version(lab.checkout(f"{repository.url}@{first}")) == "1.0"


def test_a_full_commit_that_is_laid_out_starts_no_process(lab, repository):
    url = f"{repository.url}@{repository.head()}"
    tree = lab.checkout(url)

    assert lab.checkout(url, lab.store(runner=FailingRunner())) == tree


def test_a_full_commit_that_was_resolved_starts_no_process(lab, repository):
    commit = lab.resolve(repository.url)

    assert lab.resolve(f"{repository.url}@{commit}", lab.store(runner=FailingRunner())) == commit


def test_a_forced_push_is_followed_and_the_old_commit_stays(lab, repository, url_of):
    old = repository.write({"pyproject.toml": PROJECT.format("2.0")})
    assert lab.resolve(f"{url_of(repository)}@main") == old
    repository.git("reset", "--quiet", "--hard", "HEAD^")
    new = repository.write({"pyproject.toml": PROJECT.format("3.0")})
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    url = url_of(repository)

    assert lab.resolve(f"{url}@main") == new
    assert version(lab.checkout(f"{url}@main")) == "3.0"
    assert version(lab.checkout(f"{url}@{old}", history=False)) == "2.0"


def test_a_branch_becomes_a_folder_of_branches(lab, repository, url_of):
    repository.git("branch", "topic")
    assert lab.resolve(f"{url_of(repository)}@topic") == repository.head()
    lab.resolve(f"{url_of(repository)}@{repository.head()[:8]}")
    repository.git("branch", "--delete", "--quiet", "topic")
    repository.git("checkout", "--quiet", "-b", "topic/one")
    new = repository.write({"pyproject.toml": PROJECT.format("2.0")})

    assert lab.resolve(f"{url_of(repository)}@topic/one") == new
    assert lab.resolve(f"{url_of(repository)}@{new[:8]}") == new


def test_a_tag_that_was_moved_is_followed(lab, repository, url_of):
    repository.git("tag", "v1")
    first = lab.resolve(f"{url_of(repository)}@v1")
    second = repository.write({"pyproject.toml": PROJECT.format("2.0")})
    repository.git("tag", "--force", "v1")

    assert lab.resolve(f"{url_of(repository)}@v1") == second != first
    assert version(lab.checkout(f"{url_of(repository)}@v1")) == "2.0"


def test_a_branch_that_is_gone_is_an_error_that_names_what_is_near(lab, repository):
    repository.git("branch", "release-1")
    lab.resolve(f"{repository.url}@release-1")
    repository.git("branch", "--delete", "release-1")
    repository.git("branch", "release-2")

    with pytest.raises(RequirementInvalid, match="no branch or tag of that name") as caught:
        lab.resolve(f"{repository.url}@release-1")

    assert "release-2" in caught.value.hint


@pytest.mark.parametrize("revision", ["f" * 40, "f" * 10, "refs/pull/9/head", "nothing"])
def test_what_is_not_there_is_an_error(lab, repository, url_of, revision):
    with pytest.raises(RequirementInvalid, match=r"has no|does not have") as caught:
        lab.resolve(f"{url_of(repository)}@{revision}")

    assert revision in caught.value.text


def test_an_empty_repository_says_so(lab, tmp_path):
    with pytest.raises(RequirementInvalid, match="is empty"):
        lab.resolve(Repository(tmp_path / "empty").url)


def test_a_tag_of_a_file_is_no_commit(lab, repository):
    repository.git("tag", "blob", "HEAD:pyproject.toml")

    with pytest.raises(RequirementInvalid, match="no commit"):
        lab.resolve(f"{repository.url}@blob")


def test_a_beginning_that_fits_two_commits_is_an_error_with_both(lab, repository, monkeypatch):
    commits = [repository.head(), repository.write({"a": "b"})]
    lab.resolve(f"{repository.url}@{commits[0][:8]}")
    monkeypatch.setattr(
        "puffin_api._preparer.git_database.GitDatabase.commits", lambda self, start: list(commits)
    )

    with pytest.raises(RequirementInvalid, match=f"{commits[0]}, {commits[1]}"):
        lab.resolve(f"{repository.url}@{commits[0][:8]}")


def test_a_branch_counts_before_the_commit_that_begins_so(lab, repository):
    first = repository.head()
    second = repository.write({"a": "b"})
    repository.git("branch", first[:8])

    assert lab.resolve(f"{repository.url}@{first[:8]}") == second


def test_two_thousand_refs_are_no_burden(lab, repository, tmp_path):
    head = repository.head()
    lines = "".join(f"{head} refs/tags/t{number:04}\n" for number in range(1000))
    lines = "".join(f"{head} refs/heads/b{number:04}\n" for number in range(1000)) + lines
    (repository.folder / ".git" / "packed-refs").write_text(lines)
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git")
        assert lab.resolve(f"{url}@t0999") == head
        asked = lab.runner.seen.count(b"\n")

        assert lab.resolve(f"{url}@{head[:9]}") == head
        with pytest.raises(RequirementInvalid) as caught:
            lab.resolve(f"{url}@b09999")

    assert asked < 10
    assert "b0999" in caught.value.hint
    assert len(caught.value.hint) < 200


@pytest.mark.parametrize("number", range(len(ODD_NAMES)))
def test_odd_names_are_names(lab, shared, shared_url, number):
    url = f"{shared_url}@{quote(ODD_NAMES[number])}"

    assert lab.resolve(url) == shared.names[f"{number % 10 + 1}.0"]


@pytest.mark.parametrize("name", ["master", "main"])
def test_the_default_branch_may_have_any_name(lab, tmp_path, name):
    made = Repository(tmp_path / "repos" / "demo")
    made.git("checkout", "--quiet", "-b", name + "x")
    commit = made.write({"a": "b"})

    assert lab.resolve(made.url) == commit


def test_longer_names_of_commits_work(lab, tmp_path, url_of):
    made = Repository(tmp_path / "repos" / "demo", options=["--object-format=sha256"])
    commit = made.write({"pyproject.toml": PROJECT.format("1.0")})
    made.write({"pyproject.toml": PROJECT.format("2.0")})
    assert len(commit) == 64

    assert version(lab.checkout(f"{url_of(made)}@main")) == "2.0"
    assert version(lab.checkout(f"{url_of(made)}@{commit}")) == "1.0"
    assert lab.resolve(f"{url_of(made)}@{commit[:10]}") == commit


def test_a_repository_that_was_made_anew_with_longer_names_is_another_one(lab, repository):
    lab.checkout(repository.url)
    shutil.rmtree(repository.folder)
    made = Repository(repository.folder, options=["--object-format=sha256"])
    made.write({"pyproject.toml": PROJECT.format("2.0")})

    assert version(lab.checkout(made.url)) == "2.0"


@pytest.mark.parametrize("revision", ["", "@main", "@v1", "@{short}"])
def test_offline_the_last_answer_counts(lab, repository, tmp_path, revision):
    repository.git("tag", "v1")
    first = repository.head()
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git") + revision.format(short=first[:9])
        lab.checkout(url)
    repository.write({"a": "b"})
    store = lab.store(offline=True)

    assert lab.resolve(url, store) == first
    assert version(lab.checkout(url, store)) == "1.0"


def test_offline_a_branch_that_was_gone_does_not_count_before_the_tag(lab, repository, tmp_path):
    first = repository.head()
    repository.git("tag", "both")
    repository.write({"a": "b"})
    repository.git("branch", "both")
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git@both")
        assert lab.resolve(url) == repository.head()
        repository.git("branch", "--delete", "--force", "both")
        assert lab.resolve(url) == first

    assert lab.resolve(url, lab.store(offline=True)) == first


@pytest.mark.parametrize("revision", ["", "@main", "@abcdef1", f"@{'f' * 40}"])
def test_offline_what_is_not_in_the_cache_is_a_miss(lab, revision):
    with pytest.raises(OfflineMiss) as caught:
        lab.resolve(f"git+https://host.invalid/demo{revision}", lab.store(offline=True))

    assert caught.value.missing == [f"git+https://host.invalid/demo{revision}"]
    assert lab.runner.calls == []


def test_offline_a_repository_of_this_machine_is_read(lab, repository):
    assert lab.resolve(repository.url, lab.store(offline=True)) == repository.head()


def test_a_fetch_is_told_with_its_bytes(lab, repository):
    lab.resolve(repository.url)

    kinds = [event.kind for event in lab.reporter.of(FetchStarted)]
    received = [event.received for event in lab.reporter.of(FetchFinished)]
    assert kinds == ["page", "file"]
    assert received[0] == 0
    assert received[1] > 100
    assert {event.name for event in lab.reporter.of(FetchStarted)} == {repository.url[4:]}
