"""Namespace packages whose parts come from three tools, and go one by one by another one each."""

from __future__ import annotations

import shutil

import pytest

from puffin_api import Cache, Interpreter, Resolver
from tests.network.conftest import open_client
from tests.network.interop_kit import Tree, three_tools
from tests.network.other_tools import import_all

pytestmark = pytest.mark.network

STYLES = {
    "PEP 420": ["zope.event==6.2", "zope.deprecation==6.0", "zope.interface==8.7"],
    "pkg_resources": ["zope.event==4.6", "zope.deprecation==4.4.0", "zope.interface==6.0"],
    # The same backports/__init__.py is in each of these.
    "pkgutil": [
        "backports.tarfile==1.2.0",
        "backports.functools-lru-cache==1.6.4",
        "backports.entry-points-selectable==1.3.0",
    ],
}
MODULES = {
    "backports.functools-lru-cache": "backports.functools_lru_cache",
    "backports.entry-points-selectable": "backports.entry_points_selectable",
}
REMOVED_BY = {"ours": "uv", "uv": "pip", "pip": "ours"}
ORDERS = [("ours", "uv", "pip"), ("uv", "pip", "ours"), ("pip", "ours", "uv")]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def place(store, tmp_path):
    """Three tools, an environment, and how to resolve one requirement for it."""
    environment = Interpreter.current().create_venv(tmp_path / "env")

    def resolve(requirement):
        with open_client(Cache(store / "ours")) as client:
            return Resolver(client).resolve([requirement], target=environment, dependencies=False)

    return three_tools(store), environment, resolve


@pytest.mark.parametrize(
    ("style", "order"),
    # Only a file that all of them own makes it matter who comes first.
    [("PEP 420", ORDERS[0]), ("pkg_resources", ORDERS[1]), *(("pkgutil", order) for order in ORDERS)],
)
def test_the_rest_of_a_namespace_keeps_working(place, tmp_path, style, order):
    tools, environment, resolve = place
    bare = Tree.of(environment)
    parts = {part.partition("==")[0]: tool for part, tool in zip(STYLES[style], order, strict=True)}

    for requirement, tool in zip(STYLES[style], order, strict=True):
        tools[tool].install(environment, resolve(requirement))
    assert {dist.name: dist.installer for dist in environment.installed()} == {
        name.replace(".", "-"): {"ours": "puffin-api"}.get(tool, tool) for name, tool in parts.items()
    }
    # zope still requires setuptools, which nobody asked for here.
    assert {problem.code for problem in environment.check(deep=True)} <= {"missing-dependency"}

    while parts:
        assert failing(environment, parts, tmp_path) == set()
        name, tool = next(iter(parts.items()))
        tools[REMOVED_BY[tool]].uninstall(environment, [name])
        del parts[name]
        assert failing(environment, [name], tmp_path) == {name}
    left = Tree.of(environment)
    assert {p for p in left.entries.keys() - bare.entries.keys() if not left.is_hollow(p)} == set()


def failing(environment, names, home):
    """Return the projects whose module cannot be imported."""
    modules = {MODULES.get(name, name): name for name in names}
    return {modules[module] for module in import_all(environment.interpreter.path, list(modules), home)}


def test_what_two_parts_share_stays_as_long_as_one_of_them(place):
    tools, environment, resolve = place
    for requirement, tool in zip(STYLES["pkgutil"], ("pip", "uv", "pip"), strict=True):
        tools[tool].install(environment, resolve(requirement))
    names = [dist.name for dist in environment.installed()]

    tools["ours"].uninstall(environment, names[:1])
    assert environment.check(deep=True) == ()
    tools["ours"].uninstall(environment, names[1:2])
    assert environment.check(deep=True) == ()

    tools["ours"].uninstall(environment, names[2:])
    assert not [path for path in Tree.of(environment).entries if "backports" in path]
