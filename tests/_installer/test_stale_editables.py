"""Which modules of projects in development mode are stale after a change."""

from __future__ import annotations

import importlib.machinery
import json
import types

import pytest

from puffin_api._model.direct_url import DirectUrl, DirInfo
from puffin_api._model.plan import Change, InstallReport, Plan
from tests._installer.environment_kit import Place, commit_changes

EMPTY = ""
NATIVE = "src/demo/fast.abi3.so"


class Project:
    """A project that may be installed in development mode, and what is told of the loaded modules."""

    def __init__(self, tmp_path):
        self.place = Place(tmp_path)
        self.tree = tmp_path / "project"
        self.origins = {}
        for path in ("src/demo/__init__.py", NATIVE, "tests/__init__.py"):
            self.write(path)
        self.modules = {"demo": module("demo", self.tree / "src/demo/__init__.py")}

    def write(self, path):
        (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / path).touch()

    def editable(self, version="1.0", *, tree=None):
        tree = tree or self.tree
        wheel = self.place.wheel("demo", version, files={"_demo.pth": f"{tree}/src\n"})
        self.origins[wheel.archive] = DirectUrl(url=tree.as_uri(), info=DirInfo(editable=True))
        return wheel

    def release(self, version="2.0", **files):
        return self.place.wheel("demo", version, files={"demo/__init__.py": EMPTY, **files})

    def change(self, *wheels, remove=(), modules=None):
        """Tell what is stale, before and after a change: that has to agree."""
        installed = self.place.installed()
        changes = [
            Change(
                action="install",
                name=wheel.name,
                new=wheel.version,
                direct_url=self.origins.get(wheel.archive),
            )
            for wheel in wheels
        ]
        changes += [Change(action="remove", name=name, old="1.0") for name in remove]
        leaving = tuple(dist for dist in installed if dist.name in {change.name for change in changes})
        modules = self.modules if modules is None else modules
        plan = Plan(changes=tuple(changes), leaving=leaving, arriving=wheels)
        before = plan.stale_modules(modules)
        done = commit_changes(self.place, changes, {wheel.name: wheel for wheel in wheels})
        report = InstallReport(changes=done.changes, removed=done.removed, arrived=wheels)
        assert report.stale_modules(modules) == before
        return before


def module(name, path, *, spec_name=None):
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(spec_name or name, None, origin=str(path))
    return made


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.change(made.editable())
    return made


def test_modules_of_an_editable_that_is_removed_are_stale(project):
    project.modules["user"] = types.ModuleType("user")
    project.modules["user"].demo = project.modules["demo"]

    found = project.change(remove=["demo"])

    assert (found.stale, found.importers, found.restart) == (("demo",), ("user",), "advised")


def test_a_release_in_place_of_an_editable_makes_it_stale(project):
    found = project.change(project.release(**{"extra.py": EMPTY}))

    assert (found.stale, found.now_importable) == (("demo",), ("extra",))


def test_what_an_editable_had_does_not_come_new_with_a_release(project):
    found = project.change(project.release(**{"extra.py": EMPTY}), modules={})

    assert (found.stale, found.now_importable) == ((), ("extra",))


def test_an_editable_in_place_of_a_release_makes_it_stale(tmp_path):
    project = Project(tmp_path)
    project.place.change(project.release("0.5"))
    modules = {"demo": module("demo", project.place.site / "demo/__init__.py")}

    assert project.change(project.editable(), modules=modules).stale == ("demo",)


def test_an_editable_that_stays_has_nothing_stale(project):
    other = project.place.wheel("other", files={"demo_other.py": EMPTY})

    assert project.change(other).to_dict()["restart"] == "no"
    assert project.change(remove=["other"]).to_dict()["restart"] == "no"


def test_what_is_not_of_the_project_is_not_stale(project, tmp_path):
    project.write(".venv/lib/python3.12/site-packages/demo/__init__.py")
    modules = {
        "demo": module("demo", tmp_path / "elsewhere/demo/__init__.py"),
        "demo.part": module("demo.part", tmp_path / "project-2/src/demo/part.py"),
        "demo.copy": module("demo.copy", project.tree / ".venv/lib/python3.12/site-packages/demo/copy.py"),
        "demo.space": types.ModuleType("demo.space"),
        "tests": module("tests", project.tree / "tests/__init__.py"),
    }

    assert project.change(remove=["demo"], modules=modules).stale == ()


def test_modules_beside_it_in_a_folder_inside_the_project_are_not_stale(tmp_path):
    project = Project(tmp_path)
    project.place = Place(tmp_path, prefix=project.tree / "vendor")
    project.place.site = project.tree / "vendor"
    project.change(project.editable())
    project.modules["demo.part"] = module("demo.part", project.tree / "vendor/demo/part.py")

    assert project.change(remove=["demo"]).stale == ("demo",)


@pytest.mark.parametrize("tree_by_link", [False, True])
def test_the_project_may_be_reached_by_links(project, tmp_path, tree_by_link):
    link = tmp_path / "link"
    link.symlink_to(project.tree)
    tree, loaded = (link, project.tree) if tree_by_link else (project.tree, link)
    project.change(project.editable("1.1", tree=tree))
    modules = {"demo": module("demo", loaded / "src/demo/__init__.py")}

    assert project.change(remove=["demo"], modules=modules).stale == ("demo",)


def test_the_program_that_runs_may_be_of_the_project(project):
    path = project.tree / "src/demo/__main__.py"

    as_module = {"__main__": module("__main__", path, spec_name="demo.__main__")}
    as_script = {"__main__": types.ModuleType("__main__")}
    as_script["__main__"].__file__ = str(project.tree / "src/demo/script.py")

    plan = Plan(leaving=tuple(project.place.installed()))
    assert plan.stale_modules(as_script).restart == "no", "it was not found through the environment"
    assert plan.stale_modules(as_module).restart == "required"


def test_the_same_project_again_makes_only_its_native_modules_stale(project):
    project.modules["demo.fast"] = module("demo.fast", project.tree / NATIVE)

    found = project.change(project.editable("1.1"))

    assert (found.stale, found.restart) == (("demo.fast",), "required")


def test_another_tree_of_the_same_project_makes_it_stale(project, tmp_path):
    assert project.change(project.editable("1.1", tree=tmp_path / "project-2")).stale == ("demo",)


@pytest.mark.parametrize("url", ["https://example.org/x", "file:///a%00b", "nothing"])
def test_a_place_that_is_no_folder_makes_nothing_stale(project, url):
    [dist] = project.place.installed()
    origin = {"url": url, "dir_info": {"editable": True}}
    (dist.location / "direct_url.json").write_text(json.dumps(origin))

    [dist] = project.place.installed()
    assert dist.editable
    assert dist.editable_project_location is None
    assert project.change(remove=["demo"]).stale == ()


def test_what_an_egg_link_leads_to_is_stale(tmp_path):
    project = Project(tmp_path)
    info = project.tree / "src/demo.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: demo\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("demo\n")
    (project.place.site / "demo.egg-link").write_text(f"{project.tree}/src\n../")
    (project.place.site / "easy-install.pth").write_text(f"{project.tree}/src\n")
    [dist] = project.place.installed()
    assert dist.editable_project_location == project.tree / "src"

    assert project.change(remove=["demo"]).stale == ("demo",)
