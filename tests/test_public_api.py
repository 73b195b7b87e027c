"""The public API: its snapshot, and what holds for every public name."""

from __future__ import annotations

import enum
import inspect
import textwrap
from importlib import import_module

import pytest

from tests import public_api_snapshot
from tests.public_api_snapshot import MODULES, SNAPSHOT, snapshot


@pytest.mark.parametrize("module", MODULES)
def test_the_public_api_is_the_one_of_the_snapshot(module):
    sections = {
        section.partition("\n")[0].removeprefix("# "): section.strip()
        for section in SNAPSHOT.read_text(encoding="utf-8").split("\n\n\n")
    }

    # If this change of the API is meant: `make api`, and a fragment in changelog.d/.
    assert snapshot(module).strip() == sections[module]


@pytest.mark.parametrize("module", MODULES)
def test_all_is_sorted_and_has_no_repeats(module):
    names = list(import_module(module).__all__)

    assert names == sorted(set(names))


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_says_what_it_is(module):
    loaded = import_module(module)
    silent = [
        name
        for name in loaded.__all__
        if (inspect.isclass(value := getattr(loaded, name)) or inspect.isroutine(value))
        and (not value.__doc__ or value.__doc__.startswith((f"{name}(", "Method generated")))
    ]

    assert silent == []


def test_every_error_of_the_tree_is_public():
    errors = import_module("puffin_api.errors")
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }

    assert defined == set(errors.__all__)


class Colour(enum.Enum):
    RED = "red"

    @property
    def is_warm(self) -> bool:
        return True


class Sample:
    """For the tests below."""

    LIMIT = 3
    name: str

    def __init__(self, name: str, *, colour: Colour = Colour.RED) -> None: ...

    @classmethod
    def of(cls, *names: str, **more: int) -> Sample: ...

    @staticmethod
    def parse(text: bytes, /, strict: bool = False) -> tuple[int, ...]: ...

    @property
    def size(self) -> int: ...

    def rename(self, to: str = "x", *, also: tuple[str, ...] = ("a",), by: object = object) -> None: ...

    def _private(self) -> None: ...


def test_the_snapshot_tells_signatures_fields_and_kinds():
    text = "\n".join(public_api_snapshot.describe("Sample", Sample))

    assert text == textwrap.dedent(
        """\
        class Sample
            constructor (name: str, *, colour: Colour = Colour.RED)
            attribute name: str
            constant LIMIT = 3
            classmethod of(*names: str, **more: int) -> Sample
            staticmethod parse(text: bytes, /, strict: bool = False) -> tuple[int, ...]
            method rename(to: str = 'x', *, also: tuple[str, ...] = ('a',), by: object = <type>) -> None
            property size -> int"""
    )


class Service:
    """For the test below."""

    def __init__(self, name: str, size: int = 0) -> None:
        self.name = name
        self.tags: tuple[str, ...] = ()
        self.ready = False
        self._size = size


def test_the_snapshot_tells_what_a_constructor_sets():
    assert list(public_api_snapshot.describe("Service", Service)) == [
        "class Service",
        "    constructor (name: str, size: int = 0)",
        "    attribute name: str",
        "    attribute ready",
        "    attribute tags: tuple[str, ...]",
    ]


def test_the_snapshot_tells_the_members_of_an_enum():
    assert list(public_api_snapshot.describe("Colour", Colour)) == [
        "class Colour of Enum",
        "    RED = 'red'",
        "    property is_warm -> bool",
    ]


def test_the_snapshot_tells_the_fields_of_an_attrs_class():
    attrs = pytest.importorskip("attrs")

    @attrs.frozen
    class Point:
        x: int
        y: int = 0
        _hidden: int = 1

        def moved(self, by: int) -> Point: ...

    assert list(public_api_snapshot.describe("Point", Point)) == [
        "class Point",
        "    constructor (x: int, y: int = 0, hidden: int = 1)",
        "    field x: int",
        "    field y: int",
        "    method moved(by: int) -> Point",
    ]
