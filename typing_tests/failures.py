"""Errors as data: fields have types, parents catch their children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, assert_type

from puffin_api import PuffinError, errors


def fields(error: PuffinError) -> None:
    assert_type(error.code, str)
    assert_type(error.hint, str)
    assert_type(error.retryable, bool)
    assert_type(error.state, Literal["untouched", "rolled-back", "committed", "needs-recovery"])
    assert_type(error.data, Mapping[str, object])
    assert_type(error.to_dict(), dict[str, object])
    match error:
        case errors.PackageNotFound(name=name, indexes=indexes):
            assert_type(name, str)
            assert_type(indexes, Sequence[str])
        case errors.RateLimited():
            assert_type(error.retry_after, float | None)
        case errors.HashMismatch():
            assert_type(error.expected, Sequence[str])
        case errors.ResolutionFailed():
            assert_type(error.explain("full"), str)
        case errors.BuildFailed():
            assert_type(error.log_tail, Sequence[str])
        case _:
            pass


def parents() -> None:
    try:
        raise errors.TimedOut("too slow", url="https://index.invalid/", phase="idle")
    except errors.NetworkError as error:
        assert_type(error.url, str)
    try:
        raise errors.DeadlineExceeded
    except errors.Cancelled as error:
        assert_type(error.reason, str)
