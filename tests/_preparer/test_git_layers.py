"""Caches that are only read: what lies in a layer is used as it is, and never written to."""

from __future__ import annotations

import os
import shutil

import pytest

from puffin_api._cache.layout import CacheLayout
from puffin_api._model.git_url import parse_git_url
from puffin_api.errors import CacheUnavailable, OfflineMiss
from puffin_api.testing import FailingRunner
from tests._preparer.git_kit import PROJECT, GitServer, Lab, Repository, needs_git, needs_server
from tests.integration.job_kit import as_plain_user, can_be_plain_user, tree

pytestmark = [needs_git, needs_server]


@pytest.fixture
def site(tmp_path):
    """The cache of a site, which somebody has filled."""
    return Lab(tmp_path / "site")


@pytest.fixture
def repository(tmp_path):
    inner = Repository(tmp_path / "repos" / "inner")
    inner.write({"inner.txt": "x"})
    made = Repository(tmp_path / "repos" / "demo")
    made.write({"pyproject.toml": PROJECT.format("1.0")})
    made.git("tag", "v1")
    made.write({"pyproject.toml": PROJECT.format("2.0")})
    made.git("submodule", "--quiet", "add", "../inner/.git", "inner")
    made.git("config", "--file", ".gitmodules", "submodule.inner.url", "../../inner/.git")
    made.write({})
    return made


@pytest.fixture
def url(site, repository, tmp_path):
    """The address of a repository whose server is gone; the site has its default branch."""
    with GitServer(tmp_path / "repos") as server:
        found = server.url("demo/.git")
        site.checkout(found)
        site.resolve(f"{found}@main")
    return found


def over(lab, site, **options):
    return lab.store(layers=[site.layout], **options)


def text_in(folder):
    return (folder / "pyproject.toml").read_text()


def test_a_checkout_in_a_layer_takes_no_process(site, lab, repository, url):
    before = tree(site.layout.root)
    exact = f"{url}@{repository.head()}"

    found = lab.checkout(exact, over(lab, site, runner=FailingRunner()))

    assert found.is_relative_to(site.layout.root)
    assert (found / "inner/inner.txt").read_text() == "x"
    assert tree(site.layout.root) == before
    assert list(lab.layout.root.glob("git-v0/*")) == []


@pytest.mark.parametrize("revision", ["", "@main", "@{commit}", "@{short}"])
def test_a_repository_in_a_layer_takes_no_network(site, lab, repository, url, revision):
    shutil.rmtree(site.layout.root / "git-v0" / "checkouts")
    before = tree(site.layout.root)
    wanted = url + revision.format(commit=repository.head(), short=repository.head()[:9])

    for _ in range(2):
        found = lab.checkout(wanted, over(lab, site, offline=True))

    assert found.is_relative_to(lab.layout.root)
    assert 'version = "2.0"' in text_in(found)
    assert (found / "inner/inner.txt").read_text() == "x"
    assert Repository.git(tagged(found), "describe", "--tags").startswith("v1-")
    assert tree(site.layout.root) == before
    assert lab.runner.commands("fetch") == []
    assert not lab.layout.git_database(parse_git_url(url)[0].repository).exists()


def tagged(folder):
    made = object.__new__(Repository)
    made.folder = folder
    return made


def test_online_a_layer_saves_the_transfer(site, lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git")
        site.resolve(url)
        fetches = server.fetches
        assert lab.resolve(f"{url}@main", over(lab, site)) == repository.head()
        assert server.fetches == fetches
        moved = repository.write({"pyproject.toml": PROJECT.format("3.0")})
        found = lab.checkout(f"{url}@main", over(lab, site))

    assert 'version = "3.0"' in text_in(found)
    # What the server said while the layer had all that it led to is still known.
    assert lab.resolve(f"{url}@main", over(lab, site, offline=True)) == moved
    assert site.resolve(f"{url}", site.store(offline=True)) != moved


def test_what_is_in_no_layer_is_missed_offline(site, lab, url):
    with pytest.raises(OfflineMiss):
        lab.checkout(f"{url}@{'1' * 40}", over(lab, site, offline=True))
    with pytest.raises(OfflineMiss):
        lab.resolve(f"{url}@other", over(lab, site, offline=True))


def test_our_own_answer_counts_before_that_of_a_layer(site, lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git@main")
        site.resolve(url)
        moved = repository.write({"new": "x"})
        lab.resolve(url)

    assert lab.resolve(url, over(lab, site, offline=True)) == moved


def test_a_layer_that_lacks_the_history_is_not_enough(site, lab, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        url = f"{server.url('demo/.git')}@{repository.head()}"
        site.checkout(url, history=False)
        assert lab.checkout(url, over(lab, site), history=False).is_relative_to(site.layout.root)
        whole = lab.checkout(url, over(lab, site))

    assert Repository.git(tagged(whole), "rev-list", "--count", "HEAD") == "3"


@pytest.mark.parametrize("part", ["objects", "refs", "objects/pack"])
def test_a_damaged_repository_of_a_layer_is_passed_over(site, lab, repository, tmp_path, part):
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git")
        site.checkout(url)
        shutil.rmtree(site.layout.root / "git-v0" / "checkouts")
        shutil.rmtree(site.layout.git_database(parse_git_url(url)[0].repository) / part)
        before = tree(site.layout.root)

        found = lab.checkout(url, over(lab, site))

    assert 'version = "2.0"' in text_in(found)
    assert tree(site.layout.root) == before


def test_a_damaged_checkout_of_a_layer_is_passed_over(site, lab, repository, url):
    exact = f"{url}@{repository.head()}"
    site_tree = site.checkout(exact, site.store(offline=True))
    (site_tree / "pyproject.toml").write_text("edited\n")

    found = lab.checkout(exact, over(lab, site, offline=True))

    assert found.is_relative_to(lab.layout.root)
    assert text_in(site_tree) == "edited\n"


def test_layers_are_looked_into_in_order(site, lab, repository, url, tmp_path):
    first = Lab(tmp_path / "first")
    shutil.copytree(site.layout.root / "git-v0", first.layout.root / "git-v0", symlinks=True)
    exact = f"{url}@{repository.head()}"
    layers = [CacheLayout(tmp_path / "none"), first.layout, site.layout]

    assert lab.checkout(exact, lab.store(layers=layers, runner=FailingRunner())).is_relative_to(
        first.layout.root
    )


@pytest.mark.skipif(not can_be_plain_user(), reason="modes of folders mean nothing to this user")
def test_a_layer_that_belongs_to_somebody_else_and_may_only_be_read(site, lab, repository, url):
    folders = [path for path in (site.layout.root, *site.layout.root.rglob("*")) if not path.is_symlink()]
    if os.geteuid() == 0:
        for path in folders:
            os.chown(path, 12345, 12345)
    for path in folders:
        path.chmod(path.stat().st_mode & ~0o222)
    exact = f"{url}@{repository.head()}"
    try:
        laid_out = as_plain_user(lambda: lab.checkout(exact, over(lab, site, runner=FailingRunner())))
        cut = as_plain_user(lambda: lab.checkout(f"{url}@main", over(lab, site, offline=True, lfs=False)))
    finally:
        for path in folders:
            path.chmod(path.stat().st_mode | 0o700)

    assert laid_out.is_relative_to(site.layout.root)
    assert cut.is_relative_to(lab.layout.root)
    assert text_in(cut) == text_in(laid_out)


def test_a_cache_that_is_only_read_gives_what_it_has(site, lab, repository, url):
    before = tree(site.layout.root)
    exact = f"{url}@{repository.head()}"

    assert site.checkout(exact, site.store(read_only=True, runner=FailingRunner()))
    assert site.resolve(f"{url}@main", site.store(read_only=True, offline=True)) == repository.head()
    assert tree(site.layout.root) == before


def test_an_answer_is_not_noted_in_a_cache_that_is_only_read(site, repository, tmp_path):
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git")
        site.resolve(f"{url}@main")
        repository.git("tag", "later")
        before = tree(site.layout.root)

        found = site.resolve(f"{url}@later", site.store(read_only=True))

    assert found == repository.head()
    assert tree(site.layout.root) == before


@pytest.mark.parametrize("revision", ["@v1", "@{commit}", "@{short}"])
def test_what_a_cache_that_is_only_read_lacks_is_an_error(site, repository, tmp_path, revision):
    with GitServer(tmp_path / "repos") as server:
        url = server.url("demo/.git")
        before = tree(site.layout.root)
        wanted = url + revision.format(commit=repository.head(), short=repository.head()[:9])
        with pytest.raises(CacheUnavailable, match="read-only") as caught:
            site.checkout(wanted, site.store(read_only=True))

    assert "layer" in caught.value.hint
    assert tree(site.layout.root) == before
