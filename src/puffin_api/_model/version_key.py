"""Versions as order-preserving text, and specifiers as intervals of such text (PEP 440).

A key compares, as plain text, just as its version does. A specifier therefore becomes a few
half-open intervals of keys, and the versions it admits are found by bisection in a sorted list of
keys, without parsing a single version.

The key of a version is, from left to right::

    epoch  release segments  "!"  pre  post  dev  [ "+" local segments ]

Numbers carry their length as a letter in front ("a5" < "b10"). Trailing zeros of the release are
dropped, as they do not count. "!" sorts below every number, so that 1 < 1.0.1.
"""

from __future__ import annotations

import functools
import re

from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ABOVE = "~"
"""Sorts above everything that can follow in a key."""

Interval = tuple[str, str]
"""Keys from the first (inclusive) to the second (exclusive)."""
Bounds = tuple[Interval, ...] | None
"""Sorted, disjoint intervals; None for a specifier that only ``packaging`` can judge."""

EVERYTHING: tuple[Interval, ...] = (("", ABOVE),)


def version_key(version: Version) -> str:
    """Return text that sorts among keys as ``version`` does among versions."""
    return _release_prefix(version.epoch, version.release) + _suffix(version) + _local(version)


_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*").fullmatch


@functools.lru_cache(maxsize=65536)
def sort_version(text: str) -> tuple[str, str, bool] | None:
    """Return key, normal form and whether it is a pre-release; None for what is no version.

    Most versions are plain releases, and most of those are versions of many projects.
    """
    try:
        if _RELEASE(text):
            release = [int(part) for part in text.split(".")]
            return f"{_release_prefix(0, release)}201", ".".join(map(str, release)), False
        version = Version(text)
        return version_key(version), str(version), version.is_prerelease
    except ValueError:  # no version, or a number of more digits than Python reads
        return None


def _number(value: int) -> str:
    digits = str(value)
    length = len(digits)
    if length < 26:
        return chr(96 + length) + digits
    return "z" + _number(length) + digits


def _release_prefix(epoch: int, release: Sequence[int]) -> str:
    end = len(release)
    while end > 1 and release[end - 1] == 0:
        end -= 1
    return _number(epoch) + "".join([_number(part) for part in release[:end]]) + "!"


def _suffix(version: Version) -> str:
    pre, post, dev = version.pre, version.post, version.dev
    if pre is not None:
        first = "1" + pre[0][0] + _number(pre[1])  # a, b, rc: their first letters sort rightly
    elif post is None and dev is not None:
        first = "0"
    else:
        first = "2"
    second = "0" if post is None else "1" + _number(post)
    return first + second + ("1" if dev is None else "0" + _number(dev))


def _local(version: Version) -> str:
    if version.local is None:
        return ""
    parts = version.local.split(".")
    # Numbers sort above letters, and a longer segment list above its own beginning.
    return "+" + "".join(["2" + _number(int(p)) if p.isdigit() else f"1{p} " for p in parts])


@functools.lru_cache(maxsize=8192)
def specifier_bounds(text: str) -> Bounds:
    """Return the keys that a specifier set admits, pre-releases included.

    The visibility of pre-releases is a matter of the search, not of the set.

    Returns:
        Sorted disjoint intervals, or None where only ``packaging`` can tell (``===``, and bounds
        whose set is not a few intervals, such as ``>1.0.dev1``).

    Raises:
        packaging.specifiers.InvalidSpecifier: The text does not parse.
    """
    result: tuple[Interval, ...] = EVERYTHING
    for specifier in SpecifierSet(text):
        intervals = _one(specifier)
        if intervals is None:
            return None
        result = _intersection(result, intervals)
    return result


def admits(text: str, version: str) -> bool:
    """Tell, by ``packaging``, whether a specifier set admits a version, pre-releases included."""
    try:
        return SpecifierSet(text).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _one(specifier: Specifier) -> tuple[Interval, ...] | None:
    operator, text = specifier.operator, specifier.version
    if operator == "===":
        return None
    if text.endswith(".*"):
        return _wildcard(operator, Version(text[:-2]))
    return _plain(operator, Version(text))


def _wildcard(operator: str, version: Version) -> tuple[Interval, ...]:
    low, high = _family(version, len(version.release))
    return ((low, high),) if operator == "==" else (("", low), (high, ABOVE))


def _family(version: Version, length: int) -> Interval:
    """Keys of the releases that begin with the first ``length`` segments of ``version``."""
    first = version.release[:length]
    low = _release_prefix(version.epoch, first)
    return low, _release_prefix(version.epoch, (*first[:-1], first[-1] + 1))


def _plain(operator: str, version: Version) -> tuple[Interval, ...] | None:
    key = version_key(version)
    if version.local is not None:
        return _exact_local(operator, key)
    if operator == ">=":
        return ((key, ABOVE),)
    if operator == "<=":
        return (("", key + ABOVE),)
    if operator == "==":
        return ((key, key + ABOVE),)
    if operator == "!=":
        return (("", key), (key + ABOVE, ABOVE))
    if operator == "~=":
        return ((key, _family(version, len(version.release) - 1)[1]),)
    return _exclusive(operator, version, key)


def _exact_local(operator: str, key: str) -> tuple[Interval, ...] | None:
    """``==1.0+x`` admits that version alone; the next key is the key and any further text."""
    if operator == "==":
        return ((key, key + "\x00"),)
    if operator == "!=":
        return (("", key), (key + "\x00", ABOVE))
    return None


def _exclusive(operator: str, version: Version, key: str) -> tuple[Interval, ...] | None:
    """``<V`` leaves out pre-releases of V, ``>V`` its post-releases and locals."""
    is_release = version.pre is None and version.post is None and version.dev is None
    prefix = _release_prefix(version.epoch, version.release)
    if operator == "<":
        if is_release:
            return (("", prefix),)
        return (("", key),) if version.is_prerelease and version.post is None else None
    return ((prefix + ABOVE, ABOVE),) if is_release else None


def _intersection(left: tuple[Interval, ...], right: tuple[Interval, ...]) -> tuple[Interval, ...]:
    if left is EVERYTHING:
        return right
    pairs = ((max(a, c), min(b, d)) for a, b in left for c, d in right)
    return tuple((low, high) for low, high in pairs if low < high)
