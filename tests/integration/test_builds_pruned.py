"""Builds while the cache is pruned of all that is not in use."""

from __future__ import annotations

import os
import shutil

import pytest

from puffin_api import Cache, Installer, LinkMode, Resolver
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.leases import Leases
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api.model import BuildStarted, CoreMetadata
from puffin_api.testing import make_wheel
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import versions
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist

USES = "import tool, helper\n"
SOURCES = ("one", "two")


class Pruning:
    """Prunes at every event, or when the build of the wheel of some project begins."""

    def __init__(self, cache, *, project=None):
        self._cache = cache
        self._project = project
        self.acted = self.removed = 0

    def on_event(self, event):
        wheel = isinstance(event, BuildStarted) and event.phase == "build-wheel" and event.name
        if self._project in (None, wheel):
            self.acted += 1
            self.removed += len(self._cache.prune(unused_for=-60.0).removed)


@pytest.fixture
def index(serve, journal):
    """Two projects whose backend needs a wheel, and a project that has to be built as well."""
    files = {"tool-1.0-py3-none-any.whl": make_wheel("tool", "1.0", files={"tool.py": ""})}
    files |= sdist(project(journal, "helper"), "helper")
    for name in SOURCES:
        files |= sdist(project(journal, name, build_requires=["helper", "tool"], code=USES), name)
    return serve(files)


@pytest.mark.parametrize("mode", [LinkMode.AUTO, LinkMode.SYMLINK])
def test_what_a_build_needs_stays_while_it_lasts(make_client, make_venv, index, tmp_path, mode):
    cache, environment = Cache(tmp_path / "cache", link_mode=mode), make_venv()
    client, pruning = make_client(index, cache=cache), Pruning(Cache(tmp_path / "cache"))

    resolution = resolve(client, environment, *SOURCES, reporter=pruning)
    Installer(environment, client).install(resolution, reporter=pruning)

    assert pruning.removed
    assert versions(environment) == dict.fromkeys(SOURCES, "1.0")
    assert environment.check(deep=True) == ()
    assert Leases(CacheLayout(cache.path)).oldest() == float("inf")
    client.close()
    assert cache_leftovers(cache) == []


class Given:
    """A builder that knows everything."""

    def metadata(self, file, *, cancel=None):
        return CoreMetadata(name="demo", version="1.0")

    def build(self, file, target, *, cancel=None):
        raise AssertionError("nothing is installed")


@needs_git
@pytest.mark.parametrize("builder", [None, Given()], ids=["standard", "given"])
def test_a_repository_stays_while_it_is_fetched(make_client, make_venv, serve, journal, tmp_path, builder):
    (tmp_path / "home").mkdir()
    repository = Repository(tmp_path / "repository")
    repository.write(project(journal))
    repository.head()
    cache, pruned = Cache(tmp_path / "cache"), []

    class PruningRunner(SubprocessRunner):
        def run(self, argv, **options):
            pruned.append(cache.prune(unused_for=-60.0).removed)
            return super().run(argv, **options)

    client = make_client(serve(), cache=cache, env=git_env(tmp_path / "home"))
    wanted = f"demo @ {repository.url}@main"

    resolver = Resolver(client, builder=builder, runner=PruningRunner())
    resolution = resolver.resolve([wanted], target=make_venv())

    assert resolution.packages["demo"].version == "1.0"
    assert len(pruned) > 3


def test_what_was_built_long_ago_stays_from_the_moment_that_a_build_needs_it(
    make_client, make_venv, serve, journal, tmp_path
):
    cache, environment = Cache(tmp_path / "cache"), make_venv()
    files = sdist(project(journal, "one", build_requires=["helper", "later"], code="import helper\n"), "one")
    for name in ("helper", "later"):
        files |= sdist(project(journal, name), name)
    index = serve(files)
    Installer(make_venv("first"), make_client(index, cache=cache)).install(["helper"])
    (archive,) = (cache.path / "archive-v0").iterdir()
    os.utime(archive, (0, 0))
    pruning = Pruning(cache, project="later")

    Installer(environment, make_client(index, cache=cache)).install(["one"], reporter=pruning)

    assert pruning.acted == 1
    assert versions(environment) == {"one": "1.0"}
    assert journal.hooks.count("wheel helper") == 1


def test_a_build_that_is_kept_is_whole_after_a_prune(make_client, make_venv, index, journal, tmp_path):
    """Its environment leads into the cache, and no call is under way."""
    cache, environment = Cache(tmp_path / "cache", link_mode=LinkMode.SYMLINK), make_venv()
    client = make_client(index, cache=cache)
    resolution = resolve(client, environment, "one")
    cache.prune(unused_for=-60.0)

    Installer(environment, client).install(resolution)

    assert versions(environment) == {"one": "1.0"}
    assert [hook for hook in journal.hooks if hook.endswith("one")] == ["metadata one", "wheel one"]


def test_a_cache_that_somebody_has_removed_is_made_anew(make_client, make_venv, index, journal, tmp_path):
    cache, environment = Cache(tmp_path / "cache"), make_venv()
    client = make_client(index, cache=cache)
    resolution = resolve(client, environment, "one")
    shutil.rmtree(cache.path)

    Installer(environment, client).install(resolution)

    assert versions(environment) == {"one": "1.0"}
