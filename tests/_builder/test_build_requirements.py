from __future__ import annotations

import os

import pytest

from puffin_api._builder.build_stack import NO_BUILD, BuildStack
from puffin_api._concurrency import SILENT
from puffin_api._model.build_settings import BuildSettings
from puffin_api._model.resolution import Resolution, ResolvedPackage
from puffin_api.errors import (
    BuildFailed,
    BuildForbidden,
    Cancelled,
    ConnectFailed,
    DiskFull,
    HashMismatch,
    PackageNotFound,
    ResolutionFailed,
)
from puffin_api.testing import FakeIndex

NEEDS = "def get_requires_for_build_wheel(config_settings=None): return {}\n"


def resolution_of(info, *releases):
    """A resolution with these releases, each `name version` with its extras behind."""
    index = FakeIndex()
    packages = []
    for release in releases:
        name, version, *extras = release.split()
        file = index.add(name, version).row()
        packages.append(ResolvedPackage(name, version, tuple(extras), file, (file,), ()))
    return Resolution(packages, roots=(), target=info.target())


def failure(workshop, tree, **options):
    with pytest.raises(BuildFailed) as caught:
        workshop.wheel(tree, **options)
    return caught.value


def test_declared_requirements_are_installed_before_any_hook_runs(workshop):
    tree = workshop.tree("import helper", requires=["helper>=1"])

    def install(resolution, prefix):
        [place] = prefix.glob("lib/python*/site-packages")
        (place / "helper.py").write_text("")

    workshop.context._on_install = install

    workshop.wheel(tree)

    assert workshop.context.asked == [["helper>=1"]]
    [prefix] = workshop.context.prefixes
    assert not prefix.exists()


def test_extra_requirements_are_resolved_with_the_declared_ones(workshop):
    settings = BuildSettings(extra_requires={"App": ["numpy"], "other": ["torch"]})

    workshop.wheel(workshop.tree(requires=["cython"]), settings=settings)

    assert workshop.context.asked == [["cython", "numpy"]]


def test_what_the_backend_adds_is_resolved_together_with_what_it_had(workshop):
    workshop.wheel(workshop.tree(NEEDS.format(["wheel", "a"]), requires=["a", "b"]))

    assert workshop.context.asked == [["a", "b"], ["a", "b", "wheel"]]
    assert len(set(workshop.context.prefixes)) == 1


@pytest.mark.parametrize(
    ("asked", "is_there"),
    [
        ("dep", True),
        ("Dep>=1", True),
        ("dep>=1.5a1", True),
        ("dep[fast]", True),
        ("dep>=2", False),
        ("dep[slow]", False),
        ("other", False),
        ("dep @ https://host/dep-1.5-py3-none-any.whl", False),
        ("dep; python_version > '3'", False),
    ],
)
def test_only_what_is_not_there_is_resolved_again(workshop, info, asked, is_there):
    workshop.context._on_resolve = lambda _: resolution_of(info, "dep 1.5 fast")

    workshop.wheel(workshop.tree(NEEDS.format([asked]), requires=["dep"]))

    assert workshop.context.asked == ([["dep"]] if is_there or asked == "dep" else [["dep"], ["dep", asked]])


def test_a_prerelease_that_was_chosen_is_there(workshop, info):
    workshop.context._on_resolve = lambda _: resolution_of(info, "dep 2.0rc1")

    workshop.wheel(workshop.tree(NEEDS.format(["dep>=1"]), requires=["dep"]))

    assert workshop.context.asked == [["dep"]]


def raising(error):
    def call(*_):
        raise error

    return call


@pytest.mark.parametrize(
    "error",
    [
        ResolutionFailed("no version fits", hint="an advice"),
        PackageNotFound("dep is unknown", hint="an advice", name="dep", indexes=()),
    ],
)
def test_requirements_that_cannot_be_met(workshop, error):
    workshop.context._on_resolve = raising(error)

    failed = failure(workshop, workshop.tree(requires=["dep"]))

    assert (failed.phase, failed.package, failed.hint) == ("requires", "app", "an advice")
    assert str(failed) == f"Resolving what app needs to be built failed: {error}"
    assert failed.__cause__ is error
    assert os.listdir(workshop.logs) == []


@pytest.mark.parametrize(
    "error",
    [
        DiskFull("the disk is full", path="/", needed=1, free=0),
        HashMismatch("bad bytes", name="dep", source="", expected=(), actual=""),
    ],
)
def test_requirements_that_cannot_be_installed(workshop, error):
    workshop.context._on_install = raising(error)

    failed = failure(workshop, workshop.tree(requires=["dep"]))

    assert failed.phase == "install-requires"
    assert failed.__cause__ is error


@pytest.mark.parametrize(
    "error", [ConnectFailed("no route", url=""), Cancelled("enough"), BuildForbidden("no", package="dep")]
)
@pytest.mark.parametrize("step", ["_on_resolve", "_on_install"])
def test_what_is_not_the_fault_of_the_package_stays_what_it_is(workshop, error, step):
    setattr(workshop.context, step, raising(error))

    with pytest.raises(type(error)) as caught:
        workshop.wheel(workshop.tree(requires=["dep"]))

    assert caught.value is error


def test_the_failure_of_a_nested_build_is_told_as_it_is(workshop):
    inner = BuildFailed("inner", package="dep", phase="build-wheel", log_path="elsewhere")
    workshop.context._on_install = raising(inner)

    failed = failure(workshop, workshop.tree(requires=["dep"]))

    assert failed is inner
    assert failed.__notes__ == ["It is needed to build app."]
    assert os.listdir(workshop.logs) == []


def test_the_context_is_told_what_is_under_way(workshop):
    workshop.wheel(workshop.tree(), source="app 1.0", stack=BuildStack(("outer 2.0",)))

    assert [list(stack) for stack in workshop.stacks] == [["outer 2.0", "app 1.0"]]


def test_a_tree_without_a_source_stands_for_itself(workshop):
    tree = workshop.tree()

    workshop.wheel(tree, package="")

    assert list(workshop.stacks[0]) == [str(tree)]


def test_a_build_that_needs_itself_is_named(workshop):
    """`a` needs `b`, which needs `a`: each build asks for the next through its context."""
    trees = {name: workshop.tree(requires=[other], name=name) for name, other in [("a", "b"), ("b", "a")]}

    def resolve(requirements):
        [needed] = requirements
        return workshop.wheel(
            trees[needed],
            package=needed,
            pump=SILENT,
            source=f"{needed} 1.0",
            stack=workshop.stacks[-1],
        )

    workshop.context._on_resolve = resolve

    failed = failure(workshop, trees["a"], package="a", source="a 1.0")

    assert failed.phase == "requires"
    assert "a 1.0 needs b 1.0 needs a 1.0" in str(failed)
    assert failed.hint
    assert [list(stack) for stack in workshop.stacks] == [["a 1.0"], ["a 1.0", "b 1.0"]]


def test_the_cycle_is_told_without_what_leads_to_it():
    stack = NO_BUILD.enter("outer", package="outer").enter("a", package="a").enter("b", package="b")

    with pytest.raises(BuildFailed, match=r"it needs itself: a needs b needs a$"):
        stack.enter("a", package="a")

    assert "a" in stack
    assert "c" not in stack


def test_two_versions_of_one_project_are_no_cycle():
    stack = NO_BUILD.enter("setuptools 80", package="setuptools").enter("setuptools 70", package="setuptools")

    assert list(stack) == ["setuptools 80", "setuptools 70"]
