"""Codec: attrs values to bytes and back, for entries that this library wrote itself."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TypeVar

from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError
from cattrs.preconf.json import JsonConverter, make_converter
from packaging.version import Version

T = TypeVar("T")


# What cattrs and the types themselves say to data that does not fit.
_NOT_OURS = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    BaseValidationError,
    ForbiddenExtraKeysError,
)


class CodecError(Exception):
    """The bytes are no value of this type: written by another version, or damaged."""


def dumps(value: object) -> bytes:
    """Return a value as bytes: attrs classes, Path, datetime, Version, enums, tuples, mappings."""
    return json.dumps(_converter().unstructure(value), separators=(",", ":")).encode("ascii")


def loads(data: bytes, kind: type[T]) -> T:
    """Return the value of this type that `dumps` turned into these bytes.

    Raises:
        CodecError: The bytes are something else.
    """
    try:
        return _converter().structure(json.loads(data), kind)
    except _NOT_OURS as error:
        raise CodecError(f"no {kind.__name__}: {type(error).__name__}: {error}") from error


# Made on first use: it costs a millisecond, and hooks for each class are made and kept by it.
@functools.cache
def _converter() -> JsonConverter:
    converter = make_converter(detailed_validation=False, forbid_extra_keys=True)
    for kind in (str, int, float, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(Path, lambda text, _: Path(_exactly(text, str)))
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Version, lambda text, _: Version(_exactly(text, str)))
    converter.register_unstructure_hook(Version, str)
    return converter


def _exactly(value: object, kind: type[T]) -> T:
    """Take a value as it is: turning "1" into 1 would hide that the bytes are not ours."""
    if type(value) is kind or (kind is float and type(value) is int):
        return value  # type: ignore[return-value]  # int stands in for float, as everywhere in Python
    raise TypeError(f"{value!r} is no {kind.__name__}")
