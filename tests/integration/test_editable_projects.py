"""Editable installs: sources of a user that are seen as they are, by a path file and by an import hook."""

from __future__ import annotations

import importlib
import site
import subprocess
import sys

import pytest

from puffin_api import Editable, Installer
from puffin_api.errors import BuildFailed
from tests.integration.job_kit import tree, versions, wheel
from tests.integration.source_kit import project, resolve, write_tree

# A finder, and a path file that puts it in place: what backends do for trees that are not laid out flat.
HOOK = '''
FINDER = """
import importlib.util, sys
WHERE = {here!r}
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "demo":
            return importlib.util.spec_from_file_location(name, WHERE + "/demo.py")
def install():
    sys.meta_path.append(Finder)
"""

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    note("editable", config_settings)
    return write_wheel(wheel_directory, {
        "__editable___demo_finder.py": FINDER.replace("{here!r}", repr(os.getcwd())),
        "__editable___demo.pth": "import __editable___demo_finder as own; own.install()" + chr(10),
    })
'''


@pytest.fixture(params=["path-file", "import-hook"])
def folder(request, journal, tmp_path):
    code = "" if request.param == "path-file" else HOOK
    files = project(journal, code=code, extras={"more": ["log"]})
    return write_tree(tmp_path / "tree", files)


def seen(environment, expression="demo.value"):
    """What the interpreter of an environment finds."""
    argv = [environment.interpreter.path, "-B", "-c", f"import demo; print({expression})"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_changes_of_the_sources_are_seen(make_client, make_venv, folder, serve):
    client, environment = make_client(serve(wheel("log", "1.0"))), make_venv()
    resolution = resolve(client, environment, Editable(path=folder, extras=("more",)))
    Installer(environment, client).install(resolution)
    assert versions(environment) == {"demo": "1.0", "log": "1.0"}
    assert seen(environment) == "1"

    (folder / "demo.py").write_text("value = 'changed'\n")

    assert seen(environment) == "changed"
    assert seen(environment, "demo.__file__") == str(folder / "demo.py")


def test_it_is_listed_as_editable(make_client, make_venv, folder):
    client, environment = make_client(), make_venv()
    resolution = resolve(client, environment, Editable(path=folder))
    Installer(environment, client).install(resolution)

    (dist,) = environment.installed()
    assert dist.editable
    assert dist.direct_url.url == folder.as_uri()
    assert dist.direct_url.to_dict()["dir_info"] == {"editable": True}
    assert environment.check() == ()
    assert resolution.packages["demo"].file.origin.editable


def test_a_release_takes_its_place_and_gives_it_back(make_client, make_venv, folder, serve):
    client, environment = (
        make_client(serve(wheel("demo", "2.0", files={"demo.py": "value = 2\n"}))),
        make_venv(),
    )
    install = Installer(environment, client).install
    before = tree(folder)

    install(resolve(client, environment, Editable(path=folder)))
    install(resolve(client, environment, "demo==2.0"))
    assert (versions(environment), seen(environment)) == ({"demo": "2.0"}, "2")
    install(resolve(client, environment, Editable(path=folder)))
    assert (versions(environment), seen(environment)) == ({"demo": "1.0"}, "1")
    assert [dist.editable for dist in environment.installed()] == [True]
    install(resolve(client, environment, folder))
    assert [dist.editable for dist in environment.installed()] == [False]

    for path, about in before.items():
        assert tree(folder)[path] == about


def test_an_uninstall_leaves_the_tree_alone(make_client, make_venv, folder):
    client, environment = make_client(), make_venv()
    empty = tree(environment.root, times=False)
    installer = Installer(environment, client)
    installer.install(resolve(client, environment, Editable(path=folder)))
    before = tree(folder)

    installer.uninstall(["demo"])

    assert versions(environment) == {}
    assert tree(folder) == before
    assert tree(environment.root, times=False) == empty


@pytest.fixture
def load_demo():
    """Import the project as an interpreter does that starts with the environment."""
    path, finders = list(sys.path), list(sys.meta_path)

    def load(environment):
        importlib.invalidate_caches()
        site.addsitedir(str(environment.scheme.purelib))
        return importlib.import_module("demo")

    yield load
    sys.path[:], sys.meta_path[:] = path, finders
    for name in ("demo", "__editable___demo_finder"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("then", ["uninstall", "release", "the same again", "something else"])
def test_what_is_loaded_of_it_is_stale_once_it_goes(make_client, make_venv, folder, serve, load_demo, then):
    client = make_client(serve(wheel("demo", "2.0", files={"demo.py": "value = 2\n"}) | wheel("log", "1.0")))
    environment = make_venv()
    installer = Installer(environment, client)
    editable = resolve(client, environment, Editable(path=folder))
    installer.install(editable)
    assert load_demo(environment).__file__ == str(folder / "demo.py")

    plan = {
        "uninstall": lambda: installer.plan_uninstall(["demo"]),
        "release": lambda: installer.plan(resolve(client, environment, "demo==2.0")),
        "the same again": lambda: installer.plan(editable, reinstall=["demo"]),
        "something else": lambda: installer.plan(resolve(client, environment, "log")),
    }[then]()
    before = plan.stale_modules()
    report = installer.uninstall(plan) if then == "uninstall" else installer.install(plan)
    after = report.stale_modules()

    goes = then in {"uninstall", "release"}
    assert report.changed
    assert ("demo" in after.stale, after.restart) == (goes, "advised" if goes else "no")
    assert (before.stale, before.restart) == (after.stale, after.restart)


def test_a_release_that_is_loaded_is_stale_once_it_is_editable(
    make_client, make_venv, folder, serve, load_demo
):
    client = make_client(serve(wheel("demo", "2.0", files={"demo.py": "value = 2\n"})))
    environment = make_venv()
    installer = Installer(environment, client)
    installer.install(resolve(client, environment, "demo==2.0"))
    assert load_demo(environment).value == 2

    report = installer.install(resolve(client, environment, Editable(path=folder)))

    assert report.stale_modules().stale == ("demo",)


def test_it_is_built_again_only_once_its_metadata_may_have_changed(make_client, make_venv, folder, journal):
    client = make_client()

    def install(place):
        environment = make_venv(place)
        resolution = resolve(client, environment, Editable(path=folder))
        Installer(environment, client).install(resolution)
        return journal.take()

    assert set(install("one")) == {"editable demo"}
    (folder / "demo.py").write_text("value = 2\n")
    assert install("two") == []
    with (folder / "pyproject.toml").open("a") as file:
        file.write("[tool.demo]\n")
    assert set(install("three")) == {"editable demo"}


def test_editable_projects_that_need_each_other(make_client, make_venv, journal, tmp_path, serve):
    app, lib = tmp_path / "app", tmp_path / "lib"
    write_tree(app, project(journal, "app", requires=["lib", "log"]))
    write_tree(lib, project(journal, "lib", requires=[f"app @ {app.as_uri()}"]))
    client, environment = make_client(serve(wheel("log", "1.0") | wheel("lib", "9"))), make_venv()

    resolution = resolve(client, environment, Editable(path=app), Editable(path=lib))
    Installer(environment, client).install(resolution)

    assert {dist.name: dist.editable for dist in environment.installed()} == {
        "app": True,
        "lib": True,
        "log": False,
    }


def test_a_project_that_stays_editable_where_another_one_names_its_path(
    make_client, make_venv, journal, tmp_path
):
    app, lib = tmp_path / "app", tmp_path / "lib"
    write_tree(lib, project(journal, "lib"))
    write_tree(app, project(journal, "app", requires=[f"lib @ {lib.as_uri()}/"]))
    client, environment = make_client(), make_venv()

    for wanted in ([Editable(path=lib), app], [app, Editable(path=lib)]):
        resolution = resolve(client, environment, *wanted)
        assert resolution.packages["lib"].file.origin.editable


def test_a_backend_without_editable_wheels(make_client, make_venv, journal, tmp_path):
    folder = write_tree(tmp_path / "tree", project(journal, code="del build_editable\n"))
    client, environment = make_client(), make_venv()

    with pytest.raises(BuildFailed, match="PEP 660") as caught:
        resolve(client, environment, Editable(path=folder))

    assert caught.value.phase == "build-editable"
    assert "not editable" in caught.value.hint
