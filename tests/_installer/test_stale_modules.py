from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import types
import zipfile

import pytest

from puffin_api._installer.stale_modules import refresh_imports, stale_modules
from puffin_api._model.plan import InstallReport, Plan, RemovedFiles
from puffin_api._model.stale import stale_after, stale_before
from tests._installer.environment_kit import Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def load(name, path):
    """A module as the import system makes it, without putting it anywhere."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    if str(path).endswith(".py"):
        spec.loader.exec_module(module)
    return module


def test_loaded_modules_of_replaced_files_are_stale(place):
    place.change(place.wheel("dist-name", files={"mod/__init__.py": "def f(): pass\n", "mod/a.py": ""}))
    modules = {
        "mod": load("mod", place.site / "mod/__init__.py"),
        "user": types.ModuleType("user"),
        "bystander": types.ModuleType("bystander"),
        "dist_name": types.ModuleType("dist_name"),
    }
    modules["user"].f = modules["mod"].f
    wheel = place.wheel("dist-name", "2.0", files={"mod/__init__.py": "", "extra.py": ""})
    plan = Plan(leaving=tuple(place.installed()), arriving=(wheel,))

    before = stale_modules(plan, modules)
    result = place.change(wheel)
    after = stale_modules(InstallReport(removed=result.removed, arrived=(wheel,)), modules)

    assert before == after
    assert before.stale == ("mod",)
    assert before.importers == ("user",)
    assert before.now_importable == ("extra",)
    assert before.restart == "advised"


def test_native_code_and_the_running_program_need_a_restart(place):
    name = "fast.cpython-312-x86_64-linux-gnu.so"
    place.change(place.wheel("a", files={name: b"", "prog.py": ""}))
    plan = Plan(leaving=tuple(place.installed()))

    main = types.ModuleType("__main__")
    main.__file__ = str(place.site / "prog.py")
    native = types.ModuleType("fast")
    native.__file__ = str(place.site / name)

    assert stale_modules(plan, {"fast": native}).restart == "required"
    assert stale_modules(plan, {"__main__": main}).restart == "required"
    assert stale_modules(plan, {}).restart == "no"


def test_an_unrelated_change_makes_nothing_of_this_process_stale(place):
    place.change(place.wheel("a", files={"json/__init__.py": ""}))

    report = stale_modules(Plan(leaving=tuple(place.installed())))

    assert report.stale == ()
    assert report.to_dict()["restart"] == "no"


def test_refreshing_lets_new_modules_be_found(place):
    sys.path.insert(0, str(place.site))
    try:
        assert importlib.util.find_spec("just_installed_here") is None
        result = place.change(place.wheel("a", files={"just_installed_here.py": ""}))
        refresh_imports(InstallReport(changes=result.changes))
        assert importlib.util.find_spec("just_installed_here") is not None
    finally:
        sys.path.remove(str(place.site))


# -- files, never names


def module(name, path=None, *, origin=True):
    """A module that was loaded from a file, without running it."""
    made = types.ModuleType(name)
    if path is not None:
        made.__file__ = str(path)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None, origin=str(path)) if origin else None
    return made


def upgrade(place, old, new, modules):
    """Replace a wheel; returns what was told before and after, which has to agree."""
    place.change(old)
    leaving = tuple(place.installed())
    before = stale_before(leaving, (new,), modules)
    rows = [
        RemovedFiles(folder=str(dist.location.parent), files=dist.files, record=dist.read_text("RECORD"))
        for dist in leaving
    ]
    place.change(new)
    after = stale_after(rows, (new,), modules)
    assert before == after
    return after


@pytest.mark.parametrize(
    ("project", "file", "name"),
    [
        ("Pillow", "PIL/__init__.py", "PIL"),
        ("PyYAML", "yaml/__init__.py", "yaml"),
        ("scikit-learn", "sklearn/tree/_tree.py", "sklearn.tree._tree"),
        ("ruamel.yaml", "ruamel/yaml/main.py", "ruamel.yaml.main"),
        ("attrs", "attr/_make.py", "attr._make"),
        ("old-style", "single.py", "single"),
        ("compiled-only", "secret.pyc", "secret"),
    ],
)
def test_names_of_projects_do_not_matter(place, project, file, name):
    modules = {
        name: module(name, place.site / file),
        project: module(project, "/elsewhere/lib/x.py"),
        project.lower().replace("-", "_"): module(project),
    }

    found = upgrade(
        place, place.wheel(project, files={file: "1"}), place.wheel(project, "2", files={file: "2"}), modules
    )

    assert found.stale == (name,)
    assert found.restart == "advised"
    assert found.now_importable == ()


def test_files_that_come_back_unchanged_are_not_stale(place):
    files = {"p/__init__.py": "", "p/same.py": "x = 1\n", "p/changed.py": "1", "p/gone.py": ""}
    native = "p/fast.cpython-312-x86_64-linux-gnu.so"
    modules = {
        name: module(name, place.site / path)
        for name, path in [
            ("p", "p/__init__.py"),
            ("p.same", "p/same.py"),
            ("p.changed", "p/changed.py"),
            ("p.gone", "p/gone.py"),
            ("p.fast", native),
            ("aside", "aside.py"),
        ]
    }
    old = place.wheel("d", files={**files, native: b"elf"}, data={"purelib/aside.py": "a"})
    del files["p/gone.py"]
    new = place.wheel(
        "d", "2.0", files={**files, native: b"elf", "p/changed.py": "2"}, data={"purelib/aside.py": "a"}
    )

    found = upgrade(place, old, new, modules)

    assert found.stale == ("p.changed", "p.gone")
    assert found.restart == "advised", "the native module stays as it is"


def test_an_upgrade_that_changes_no_module_needs_nothing(place):
    modules = {"p": module("p", place.site / "p/__init__.py"), "user": module("user")}
    modules["user"].p = modules["p"]

    found = upgrade(place, place.wheel("p"), place.wheel("p", "1.0.post1"), modules)

    assert found.to_dict() == {
        "schema": 1,
        "stale": [],
        "importers": [],
        "now_importable": [],
        "restart": "no",
    }


def test_a_file_that_moves_to_another_project_is_not_stale(place):
    modules = {"shared": module("shared", place.site / "shared.py")}
    place.change(place.wheel("a", files={"shared.py": "s"}))
    leaving = tuple(place.installed())

    assert stale_before(leaving, (place.wheel("b", files={"shared.py": "s"}),), modules).stale == ()
    assert stale_before(leaving, (place.wheel("b", files={"shared.py": "t"}),), modules).stale == ("shared",)
    assert stale_before(leaving, (), modules).stale == ("shared",)


def test_only_what_comes_new_is_now_importable(place):
    found = upgrade(
        place,
        place.wheel("p", files={"p/__init__.py": "", "old.py": ""}),
        place.wheel(
            "p", "2", files={"p/__init__.py": "2", "new.py": "", "n.txt": ""}, data={"platlib/more.py": ""}
        ),
        {"new": module("new")},
    )

    assert found.now_importable == ("more",)


def test_modules_of_another_environment_are_not_stale(place, tmp_path):
    place.change(place.wheel("p", files={"p/__init__.py": ""}))
    other = tmp_path / "other/lib/python3.12/site-packages/p/__init__.py"
    other.parent.mkdir(parents=True)
    other.write_text("")

    assert stale_before(place.installed(), (), {"p": module("p", other)}).stale == ()


def test_links_lead_to_the_same_files(place, tmp_path):
    """An environment may be reached by a link, by the interpreter or by whoever opens it."""
    link = tmp_path / "link"
    link.symlink_to(place.prefix)
    site = link / place.site.relative_to(place.prefix)
    (place.tmp_path / "cache").mkdir()
    place.change(place.wheel("p", files={"p/__init__.py": "", "p/linked.py": ""}))
    (place.site / "p/linked.py").rename(tmp_path / "cache/0.py")
    (place.site / "p/linked.py").symlink_to(tmp_path / "cache/0.py")
    by_link = {name: module(name, site / "p" / f"{name}.py") for name in ("__init__", "linked")}
    by_real = {name: module(name, place.site / "p" / f"{name}.py") for name in ("__init__", "linked")}
    given = Place(tmp_path, prefix=link).installed()

    assert stale_before(place.installed(), (), by_link).stale == ("__init__", "linked")
    assert stale_before(given, (), by_link).stale == ("__init__", "linked")
    assert stale_before(given, (), by_real).stale == ("__init__", "linked")


def test_a_namespace_package_itself_is_never_stale(place):
    place.change(
        place.wheel("google-a", files={"google/a/__init__.py": ""}),
        place.wheel("b", files={"google/b.py": ""}),
    )
    space = types.ModuleType("google")
    space.__path__ = [str(place.site / "google")]
    space.__spec__ = importlib.machinery.ModuleSpec("google", None, is_package=True)
    modules = {
        "google": space,
        "google.a": module("google.a", place.site / "google/a/__init__.py"),
        "google.b": module("google.b", place.site / "google/b.py"),
    }
    space.a = modules["google.a"]

    found = stale_before([place.installed().get("b")], (), modules)

    assert found.stale == ("google.b",)
    assert found.importers == ()


@pytest.mark.parametrize("by_link", [False, True])
def test_modules_of_an_egg_are_all_stale(place, tmp_path, by_link):
    egg = place.site / "p-1.0-py3.12.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO/PKG-INFO").write_text("Name: p\nVersion: 1.0\n")
    link = tmp_path / "link"
    link.symlink_to(place.site)
    site = link if by_link else place.site
    modules = {
        "p": module("p", site / egg.name / "p/__init__.py"),
        "p.x": module("p.x", site / egg.name / "p/x.so"),
        "q": module("q", site / "p-1.0-py3.12.egg-info/q.py"),
        "r": module("r", tmp_path / egg.name / "r.py"),
    }

    before = stale_before(place.installed(), (), modules)
    after = stale_after([RemovedFiles(folder=str(place.site), files=[egg.name])], (), modules)

    assert before == after
    assert before.stale == ("p", "p.x")
    assert before.restart == "required"


class Trap:
    """Runs code whenever anything is asked of it, as lazy modules and proxies do."""

    def __getattribute__(self, name):
        raise RuntimeError(f"asked for {name}")


class LazyModule(types.ModuleType):
    def __getattribute__(self, name):
        raise RuntimeError(f"asked for {name}")


def test_odd_things_among_the_modules_are_left_alone(place, tmp_path):
    place.change(place.wheel("p", files={"p/__init__.py": "", "prog.py": ""}))
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "def f(): pass\n")
    sys.path.insert(0, str(tmp_path / "lib.zip"))
    try:
        import zipped
    finally:
        sys.path.remove(str(tmp_path / "lib.zip"))
        del sys.modules["zipped"]
    stale = module("p", place.site / "p/__init__.py")
    holder = types.ModuleType("holder")
    holder.trap, holder.zipped, holder.p = Trap(), zipped, stale
    modules = {
        "p": stale,
        "holder": holder,
        "zipped": zipped,
        "none": None,
        "number": 7,
        "trap": Trap(),
        "lazy": LazyModule("lazy"),
        "built-in": sys,
        "frozen": __import__("zipimport"),
        "without a spec": module("x", place.site / "prog.py", origin=False),
        "nothing": types.ModuleType("nothing"),
        "file is a number": module("y"),
    }
    modules["file is a number"].__file__ = 3

    found = stale_before(place.installed(), (), modules)

    assert found.stale == ("p", "without a spec")
    assert found.importers == ("holder",)


def test_importers_hold_a_module_a_class_or_a_function(place):
    place.change(place.wheel("p", files={"p.py": "class C: pass\ndef f(): pass\nvalue = C()\n"}))
    loaded = load("p", place.site / "p.py")
    modules = {"p": loaded}
    for name, value in [("a", loaded), ("b", loaded.C), ("c", loaded.f), ("d", loaded.value), ("e", "p")]:
        modules[name] = types.ModuleType(name)
        modules[name].held = value

    assert stale_before(place.installed(), (), modules).importers == ("a", "b", "c")


def test_the_running_program_has_to_begin_anew_but_a_session_has_not(place):
    place.change(place.wheel("p", files={"p/__init__.py": "", "p/__main__.py": ""}))
    loaded = module("p", place.site / "p/__init__.py")
    session, script = module("__main__"), module("__main__", "/home/me/script.py", origin=False)
    session.p = script.p = loaded
    as_module = module("__main__", place.site / "p/__main__.py")

    def restart(main):
        return stale_before(place.installed(), (), {"p": loaded, "__main__": main}).restart

    assert restart(session) == "advised"
    assert restart(script) == "required"
    assert restart(as_module) == "required"


@pytest.mark.parametrize("when", ["before", "after"])
def test_plans_and_reports_know_unchanged_files(place, when):
    place.change(place.wheel("p", files={"p.py": "x"}))
    new = place.wheel("p", "2", files={"p.py": "x"})
    modules = {"p": module("p", place.site / "p.py")}
    plan = Plan(leaving=tuple(place.installed()), arriving=(new,))

    if when == "before":
        found = stale_modules(plan, modules)
    else:
        found = stale_modules(InstallReport(removed=place.change(new).removed, arrived=(new,)), modules)

    assert found.stale == ()


# -- refreshing


def test_refreshing_lets_metadata_be_found(place):
    sys.path.insert(0, str(place.site))
    try:
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version("just-a-dist")
        times = os.stat(place.site)
        result = place.change(place.wheel("just-a-dist", entry_points={"just.a.group": {"p": "x:y"}}))
        # Caches go by this time, which on some systems counts whole seconds.
        os.utime(place.site, ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version("just-a-dist")

        refresh_imports(InstallReport(changes=result.changes))

        assert importlib.metadata.version("just-a-dist") == "1.0"
        assert importlib.util.find_spec("just_a_dist") is not None
        assert [point.name for point in importlib.metadata.entry_points(group="just.a.group")] == ["p"]
    finally:
        sys.path.remove(str(place.site))


def test_refreshing_runs_nothing_and_adds_nothing_to_the_path(place):
    line = "import sys; sys.ran_a_pth = True\n/nowhere\n"
    sys.path.insert(0, str(place.site))
    try:
        before = list(sys.path)
        result = place.change(place.wheel("a", files={"a.pth": line}))
        refresh_imports(InstallReport(changes=result.changes))

        assert sys.path == before
        assert not hasattr(sys, "ran_a_pth")
    finally:
        sys.path.remove(str(place.site))
