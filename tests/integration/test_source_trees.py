"""Local projects: by path and by URL, one by one and in sets, built again once something has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from puffin_api import Cache, Client, Installer, Resolver
from puffin_api.errors import BuildFailed, BuildForbidden, MetadataInvalid, RequirementInvalid, UnsafeArchive
from puffin_api.model import BuildPolicy, DirInfo
from puffin_api.testing import FailingRunner
from tests.integration.job_kit import tree, versions, wheel
from tests.integration.source_kit import project, resolve, write_tree


@pytest.fixture(params=["path", "url"])
def named(request):
    """How the requirement names a folder."""
    return {"path": lambda folder: folder, "url": lambda folder: f"demo @ {folder.as_uri()}"}[request.param]


def built(client, environment, *wanted, **options):
    """Resolve and install; gives the resolution."""
    resolution = resolve(client, environment, *wanted, **options)
    Installer(environment, client).install(resolution)
    return resolution


def module(environment, name="demo"):
    (dist,) = [dist for dist in environment.installed() if dist.name == name]
    return (dist.location.parent / f"{name}.py").read_text()


def test_a_project_is_built_and_installed(make_client, make_venv, journal, tmp_path, named):
    folder = write_tree(tmp_path / "tree", project(journal))
    client, environment = make_client(), make_venv()

    resolution = built(client, environment, named(folder))

    assert versions(environment) == {"demo": "1.0"}
    assert resolution.packages["demo"].needs_build
    assert resolution.packages["demo"].metadata_from == "build"
    assert resolution.packages["demo"].file.url == folder.as_uri()
    (dist,) = environment.installed()
    assert dist.direct_url.url == folder.as_uri()
    assert isinstance(dist.direct_url.info, DirInfo)
    assert not dist.editable
    assert journal.hooks == ["metadata demo", "wheel demo"]


def test_what_has_not_changed_is_not_built_again(make_client, make_venv, journal, tmp_path, named):
    folder = write_tree(tmp_path / "tree", project(journal))
    built(make_client(), make_venv(), named(folder))
    journal.take()

    for place in ("one", "two"):
        environment = make_venv(place)
        built(make_client(), environment, named(folder))
        assert versions(environment) == {"demo": "1.0"}

    assert journal.take() == []


def test_what_has_changed_is_built_again(make_client, make_venv, journal, tmp_path, named):
    folder = write_tree(tmp_path / "tree", project(journal))
    client = make_client()
    built(client, make_venv("one"), named(folder))
    journal.take()
    (folder / "demo.py").write_text("value = 'changed'\n")

    environment = make_venv("two")
    built(client, environment, named(folder))

    assert module(environment) == "value = 'changed'\n"
    assert journal.take() == ["metadata demo", "wheel demo"]


def test_the_old_state_is_found_again(make_client, make_venv, journal, tmp_path):
    folder = write_tree(tmp_path / "tree", project(journal))
    file = folder / "demo.py"
    status, text = file.stat(), file.read_text()
    client = make_client()
    built(client, make_venv("one"), folder)
    file.write_text("value = 'changed'\n")
    built(client, make_venv("two"), folder)
    journal.take()
    file.write_text(text)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    environment = make_venv("three")
    built(client, environment, folder)

    assert module(environment) == text
    assert journal.take() == []


def test_static_metadata_needs_no_process(make_client, make_venv, journal, tmp_path, named, serve):
    files = project(journal, static=True, requires=["log"], extras={"more": ["net"]})
    folder = write_tree(tmp_path / "tree", files)
    client = make_client(serve(wheel("log", "1.0") | wheel("net", "1.0")))
    before = tree(folder)

    resolution = Resolver(client, runner=FailingRunner()).resolve(
        [named(folder)], target=make_venv(), build_policy=BuildPolicy.NEVER
    )

    assert set(resolution.packages) == {"demo", "log"}
    assert resolution.packages["demo"].metadata_from != "build"
    assert tree(folder) == before
    assert journal.hooks == []


def test_metadata_that_only_a_build_tells_is_forbidden(make_client, make_venv, journal, tmp_path, named):
    folder = write_tree(tmp_path / "tree", project(journal))
    runner = FailingRunner()

    with pytest.raises(BuildForbidden):
        Resolver(make_client(), runner=runner).resolve(
            [named(folder)], target=make_venv(), build_policy=BuildPolicy.NEVER
        )
    assert runner.asked == []


def test_a_version_that_the_backend_finds(make_client, make_venv, journal, tmp_path, named):
    files = project(journal, version="3.4.5")
    files["pyproject.toml"] += '[project]\nname = "demo"\ndynamic = ["version"]\n'
    folder = write_tree(tmp_path / "tree", files)
    environment = make_venv()

    built(make_client(), environment, named(folder))

    assert versions(environment) == {"demo": "3.4.5"}
    assert journal.hooks == ["metadata demo", "wheel demo"]


def test_projects_that_need_each_other_by_name_and_by_path(make_client, make_venv, journal, tmp_path, serve):
    app, lib, tool = (tmp_path / name for name in ("app", "lib", "tool"))
    write_tree(app, project(journal, "app", requires=["lib", f"tool @ {tool.as_uri()}"]))
    write_tree(lib, project(journal, "lib", requires=["tool>=1", "log"]))
    write_tree(tool, project(journal, "tool", requires=["app"]))
    index = serve(wheel("lib", "9.0") | wheel("tool", "9.0") | wheel("log", "1.0"))
    client, environment = make_client(index), make_venv()

    resolution = built(client, environment, app, lib)

    assert versions(environment) == {"app": "1.0", "lib": "1.0", "tool": "1.0", "log": "1.0"}
    assert resolution.packages["tool"].file.url == tool.as_uri()
    assert sorted(journal.hooks) == sorted(
        f"{hook} {name}" for hook in ("metadata", "wheel") for name in ("app", "lib", "tool")
    )


def test_a_project_below_another(make_client, make_venv, journal, tmp_path):
    files = {f"libs/demo/{path}": text for path, text in project(journal).items()}
    folder = write_tree(tmp_path / "mono", files)
    environment = make_venv()

    resolution = built(make_client(), environment, f"demo @ {folder.as_uri()}#subdirectory=libs/demo")

    assert versions(environment) == {"demo": "1.0"}
    assert resolution.packages["demo"].file.url == (folder / "libs/demo").as_uri()


def test_nothing_but_the_backend_writes_into_the_tree(make_client, make_venv, journal, tmp_path, named):
    code = "import sys; sys.dont_write_bytecode = True\n"
    folder = write_tree(tmp_path / "tree", project(journal, code=code))
    client = Client(
        indexes=[], cache=Cache(tmp_path / "cache"), env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    before = tree(folder)

    with client:
        built(client, make_venv(), named(folder))

    assert tree(folder) == before


def test_what_the_backend_leaves_in_the_tree_is_no_change(make_client, make_venv, journal, tmp_path):
    code = "os.makedirs('build/lib', exist_ok=True); os.makedirs('demo.egg-info', exist_ok=True)\n"
    code += "open('build/lib/x', 'w').close(); open('demo.egg-info/PKG-INFO', 'w').close()\n"
    folder = write_tree(tmp_path / "tree", project(journal, code=code))
    client = make_client()
    built(client, make_venv("one"), folder)
    journal.take()

    built(client, make_venv("two"), folder)

    assert journal.take() == []


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder", "a broken table"])
def test_what_is_no_project(make_client, make_venv, journal, tmp_path, what):
    folder = tmp_path / "tree"
    if what == "a file":
        folder.write_text("?")
    elif what != "nothing":
        folder.mkdir()
    if what == "a broken table":
        (folder / "pyproject.toml").write_text("[build-system\n")

    with pytest.raises((RequirementInvalid, BuildFailed, UnsafeArchive)) as caught:
        resolve(make_client(), make_venv(), folder)
    assert folder.name in str(caught.value)


def test_a_project_of_another_name(make_client, make_venv, journal, tmp_path):
    folder = write_tree(tmp_path / "tree", project(journal, "other"))

    with pytest.raises(MetadataInvalid) as caught:
        resolve(make_client(), make_venv(), f"demo @ {folder.as_uri()}")
    assert (
        str(caught.value) == f"{folder.as_uri()} cannot be used: its metadata is that of other, not of demo"
    )
    assert caught.value.data["source"] == folder.as_uri()


def test_a_link_to_a_project_is_that_project(make_client, make_venv, journal, tmp_path):
    folder = write_tree(tmp_path / "tree", project(journal))
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    environment = make_venv()

    built(make_client(), environment, link)

    (dist,) = environment.installed()
    assert dist.direct_url.url == link.as_uri()


def test_a_relative_path_counts_from_the_current_folder(
    make_client, make_venv, journal, tmp_path, monkeypatch
):
    write_tree(tmp_path / "a tree ü", project(journal))
    monkeypatch.chdir(tmp_path)
    environment = make_venv()

    built(make_client(), environment, Path("a tree ü"))

    assert versions(environment) == {"demo": "1.0"}


def test_a_path_and_a_release_of_one_project_conflict(make_client, make_venv, journal, tmp_path, serve):
    folder = write_tree(tmp_path / "tree", project(journal))
    client, environment = make_client(serve(wheel("demo", "2.0"))), make_venv()

    with pytest.raises(Exception, match=r"demo") as caught:
        resolve(client, environment, folder, "demo>=2")

    assert caught.value.code == "resolution-failed"
    assert folder.as_uri() in caught.value.explain()


@pytest.mark.parametrize("wanted", ["path", "static"])
def test_a_cache_that_is_read_only(make_client, make_venv, journal, tmp_path, wanted):
    folder = write_tree(tmp_path / "tree", project(journal, static=wanted == "static"))
    built(make_client(), make_venv("one"), folder)
    journal.take()

    client = make_client(cache=Cache(tmp_path / "cache", read_only=True))
    environment = make_venv("two")
    built(client, environment, folder)

    assert versions(environment) == {"demo": "1.0"}
    assert journal.take() == []
