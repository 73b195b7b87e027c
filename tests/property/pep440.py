"""Strategies for PEP 440: versions and specifiers that lie close together, where the rules differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATORS = ("==", "!=", "<", ">", "<=", ">=", "~=")

_HUGE = (2**31, 2**63, 10**25 - 1, 10**25, 10**26, 10**99, 10**300)
_NUMBERS = st.integers(0, 12) | st.sampled_from([99, 100, 2024, 20240101, *_HUGE])
_PRE = st.sampled_from(["", "", "a0", "a1", "b1", "rc1", "rc10", "c2", "alpha3"])
_POST = st.sampled_from(["", "", "", ".post0", ".post1", ".post10", "-3", ".r4"])
_DEV = st.sampled_from(["", "", "", ".dev0", ".dev1", ".dev12"])
_LOCALS = (
    "",
    "",
    "",
    "+0",
    "+1",
    "+2",
    "+10",
    "+1.2",
    "+a",
    "+abc",
    "+abc.1",
    "+abc1",
    "+abc.d",
    "+abcd",
    "+a.1.b",
)


@st.composite
def versions(draw: st.DrawFn, *, local: bool = True) -> str:
    """Any version: with epochs, locals, long releases and huge numbers."""
    length = draw(st.sampled_from([1, 2, 2, 3, 3, 4, 12]))
    release = draw(st.lists(_NUMBERS, min_size=1, max_size=length))
    epoch = draw(st.sampled_from([0, 0, 0, 0, 1, 2, 10**30]))
    return _written(draw, epoch, release, local=local)


@st.composite
def near(draw: st.DrawFn, text: str, *, local: bool = True) -> str:
    """A version that differs from another in one or two places, or only in how it is written."""
    version = Version(text)
    release = list(version.release)
    place = draw(st.integers(0, len(release) - 1))
    match draw(st.sampled_from(["same", "same", "same", "zeros", "step", "longer", "shorter", "epoch"])):
        case "zeros":
            release += [0] * draw(st.integers(1, 2))
        case "step":
            release[place] = max(0, release[place] + draw(st.sampled_from([-1, 1])))
        case "longer":
            release.append(draw(st.integers(1, 2)))
        case "shorter":
            del release[place + 1 :]
        case "epoch":
            return _written(draw, version.epoch + 1, release, local=local)
        case _:
            pass
    if draw(st.booleans()):
        return _written(draw, version.epoch, release, local=local)
    suffix = text[len(_start(text)) :] if local else Version(text).public[len(_start(version.public)) :]
    return f"{_joined(version.epoch, release)}{suffix}"


@st.composite
def specifiers(draw: st.DrawFn, text: str = "") -> str:
    """A specifier for the version, or for any."""
    text = text or draw(versions())
    version = Version(text)
    operator = draw(st.sampled_from([*OPERATORS, "==*", "!=*", "==+", "!=+", "==="]))
    match operator[2:]:
        case "*":
            kept = draw(st.integers(1, len(version.release)))
            return f"{operator[:2]}{_joined(version.epoch, version.release[:kept])}.*"
        case "+":
            return f"{operator[:2]}{version}"
        case "=":
            return f"==={text}"
        case _:
            if len(version.release) == 1 and operator == "~=":
                operator = ">="  # "compatible" needs a second number
            return f"{operator}{version.public}"


def is_valid(text: str) -> bool:
    """Tell whether ``packaging`` can parse a specifier set."""
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def corners(releases: tuple[str, ...], local: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Give every combination of suffixes for each release."""
    for release in releases:
        for pre in ("", "a1", "rc1"):
            for post in ("", ".post0", ".post1"):
                for dev in ("", ".dev0", ".dev1"):
                    yield from (f"{release}{pre}{post}{dev}{part}" for part in local)


def _written(draw: st.DrawFn, epoch: int, release: list[int], *, local: bool) -> str:
    text = _joined(epoch, release) + draw(_PRE) + draw(_POST) + draw(_DEV)
    return text + draw(st.sampled_from(_LOCALS)) if local else text


def _joined(epoch: int, release: list[int] | tuple[int, ...]) -> str:
    return (f"{epoch}!" if epoch else "") + ".".join(map(str, release))


def _start(text: str) -> str:
    """Return epoch and release as they are written."""
    end = next((i for i, c in enumerate(text) if c not in "0123456789.!"), len(text))
    return text[:end].rstrip(".")
