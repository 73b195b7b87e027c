from __future__ import annotations

import importlib.util
import sys
import types

import pytest

from puffin_api._installer.stale_modules import refresh_imports, stale_modules
from puffin_api._model.plan import InstallReport, Plan
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
