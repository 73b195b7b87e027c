from __future__ import annotations

import enum
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from puffin_api._cache.codec import CodecError, dumps, loads


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Inner:
    name: str
    numbers: tuple[int, ...] = ()


@attrs.frozen
class Everything:
    path: Path
    when: datetime
    version: Version
    colour: Colour
    inner: Inner
    many: tuple[Inner, ...]
    by_name: dict[str, Inner]
    pair: tuple[str, int]
    maybe: Inner | None
    nothing: str | None
    share: float
    flag: bool
    names: frozenset[str]


EVERYTHING = Everything(
    path=Path("/srv/a b"),
    when=datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    version=Version("1.0rc1+local"),
    colour=Colour.RED,
    inner=Inner("é", (1, 2)),
    many=(Inner("a"), Inner("b")),
    by_name={"x": Inner("x")},
    pair=("a", 1),
    maybe=Inner("m"),
    nothing=None,
    share=1.0,
    flag=True,
    names=frozenset({"a", "b"}),
)


def test_a_value_comes_back_as_it_was():
    assert loads(dumps(EVERYTHING), Everything) == EVERYTHING


@given(st.builds(Inner, st.text(st.characters(codec=None)), st.lists(st.integers()).map(tuple)))
def test_any_text_and_number_comes_back(value):
    assert loads(dumps(value), Inner) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"name": 1, "numbers": []}',
        b'{"name": "a", "numbers": ["1"]}',
        b'{"name": "a", "numbers": [true]}',
        b'{"name": "a", "numbers": [], "more": 1}',
        b'{"name": "a", "numbers": 1}',
        b"[" * 100_000,
    ],
)
def test_bytes_that_are_something_else_are_told(data):
    with pytest.raises(CodecError):
        loads(data, Inner)


def test_a_wrong_version_or_member_is_told():
    data = dumps(EVERYTHING)

    for good, bad in ((b"1.0rc1+local", b"not a version"), (b'"red"', b'"blue"'), (b"2024-01", b"2024-99")):
        assert good in data
        with pytest.raises(CodecError):
            loads(data.replace(good, bad), Everything)
