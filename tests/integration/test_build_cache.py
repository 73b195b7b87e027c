"""What builds keep in the cache: damage heals, and upkeep knows what it is."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from puffin_api import Cache, Editable, Installer
from tests._preparer.git_kit import Repository, git_env, needs_git
from tests.integration.job_kit import versions
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist, write_tree

KINDS = ["index", "url", "archive", "path", "editable", pytest.param("git", marks=needs_git)]


@pytest.fixture(params=KINDS)
def job(request, serve, make_client, make_venv, journal, tmp_path):
    """Install one kind of sources into a new environment, with a client of its own."""
    files = project(journal)
    ((name, data),) = sdist(files).items()
    index = serve({name: data})
    (tmp_path / name).write_bytes(data)
    tree = write_tree(tmp_path / "tree", files)
    (tmp_path / "home").mkdir()
    wanted = {
        "index": "demo",
        "url": f"demo @ {index.url.removesuffix('simple/')}files/{name}",
        "archive": tmp_path / name,
        "path": tree,
        "editable": Editable(path=tree),
    }
    if request.param == "git":
        repository = Repository(tmp_path / "repository")
        repository.write(files)
        wanted["git"] = f"demo @ {repository.url}@{repository.head()}"
    count = iter(range(1000))

    class Job:
        kind = request.param
        cache = Cache(tmp_path / "cache")

        def install(self, cache=None, **options):
            env = git_env(tmp_path / "home")
            client = make_client(index, env=env, cache=cache or self.cache, **options)
            environment = make_venv(f"venv-{next(count)}")
            Installer(environment, client).install(resolve(client, environment, wanted[self.kind]))
            assert versions(environment) == {"demo": "1.0"}
            assert environment.check(deep=True) == ()
            client.close()
            return journal.take()

    return Job()


def everything(cache, *buckets):
    """All files and links below some buckets, in an order."""
    return sorted(
        path
        for bucket in buckets
        for path in (cache.path / bucket).rglob("*")
        if not path.is_dir() or path.is_symlink()
    )


BUCKETS = ("built-wheels-v0", "archive-v0")


@pytest.mark.parametrize("how", ["empty", "half", "other", "gone", "folder"])
def test_whatever_is_damaged_heals(job, how, tmp_path):
    if job.kind != "index" and (job.kind, how) not in {
        (job.kind, "half"),
        ("path", "gone"),
        ("path", "other"),
    }:
        pytest.skip("it is the same for all kinds, and takes its time")
    job.install()
    whole = tmp_path / "whole"
    shutil.copytree(job.cache.path, whole, symlinks=True)
    for number in range(len(everything(job.cache, *BUCKETS))):
        shutil.rmtree(job.cache.path)
        shutil.copytree(whole, job.cache.path, symlinks=True)
        path = everything(job.cache, *BUCKETS)[number]
        data = b"" if path.is_dir() else path.read_bytes()
        path.unlink()
        if how == "folder":
            path.mkdir()
        elif how != "gone":
            path.write_bytes({"empty": b"", "half": data[: len(data) // 2], "other": b"x" * len(data)}[how])

        job.install()

        assert cache_leftovers(job.cache) == []


@pytest.mark.parametrize("bucket", ["built-wheels-v0", "archive-v0", "git-v0", "simple-v0", "wheels-v0"])
def test_a_lost_bucket_heals(job, bucket):
    job.install()
    shutil.rmtree(job.cache.path / bucket, ignore_errors=True)

    job.install()
    assert job.install() == []


@needs_git
def test_damaged_repositories_heal(make_client, make_venv, journal, tmp_path):
    repository = Repository(tmp_path / "repository")
    commit = repository.write(project(journal))
    (tmp_path / "home").mkdir()
    count = iter(range(1000))
    cache = Cache(tmp_path / "cache")

    def install():
        shutil.rmtree(cache.path / "built-wheels-v0", ignore_errors=True)
        client = make_client(env=git_env(tmp_path / "home"))
        environment = make_venv(f"venv-{next(count)}")
        wanted = f"demo @ {repository.url}@{commit}"
        Installer(environment, client).install(resolve(client, environment, wanted))
        client.close()
        return versions(environment)

    install()
    names = [path.relative_to(cache.path) for path in everything(cache, "git-v0")]
    for name in names:
        path = cache.path / name
        if not path.is_file():
            continue
        os.chmod(path, 0o644)
        path.write_bytes(b"")
        assert install() == {"demo": "1.0"}, name


def test_upkeep_leaves_what_is_sound(job):
    job.install()

    assert job.cache.verify().damaged == {}
    job.cache.prune()
    job.cache.prune(unused_for=timedelta(days=1))
    assert job.install() == []


def test_upkeep_removes_what_was_not_used(job):
    job.install()

    job.cache.prune(max_bytes=0)

    assert everything(job.cache, "archive-v0") == []
    job.install()
    assert job.install() == []


def test_a_project_is_removed_by_its_name(job):
    job.install()

    report = job.cache.remove(["demo"])

    assert report.removed
    built = job.cache.path / "built-wheels-v0"
    assert [path for path in built.rglob("demo*") if path.name != "unnamed"] == []
    assert set(job.install()) & {"wheel demo", "editable demo"}
    assert job.install() == []


def test_damage_is_found_and_repaired(job):
    job.install()
    archives = [path for path in everything(job.cache, "archive-v0") if path.name.endswith((".py", ".pth"))]
    os.chmod(archives[0], 0o644)
    archives[0].write_bytes(b"damaged")
    kept = list((job.cache.path / "built-wheels-v0").rglob("*.archive"))
    for path in kept:
        path.write_bytes(b"damaged")

    report = job.cache.verify()

    assert set(kept) < set(map(Path, report.damaged))
    assert len(report.damaged) == len(kept) + 2  # the archive, and the link to it
    assert job.cache.verify().damaged == {}
    assert job.install()
    assert job.install() == []


def test_what_a_layer_has_is_not_built_again(job, tmp_path):
    job.install()
    layer = Cache(tmp_path / "cache", read_only=True)

    assert job.install(Cache(tmp_path / "own", layers=[layer.path])) == []


def test_what_was_built_once_can_be_installed_offline(job):
    job.install()

    assert job.install(offline=True) == []


def test_locks_and_logs_do_not_count_as_damage(job):
    job.install()

    assert not list((job.cache.path / ".locks").glob("*.waits"))
    assert job.cache.size().bytes > 0
