"""Sets of versions as integers: bit 0 for "absent", bit ``i + 1`` for the i-th known version.

Union, intersection, complement and subset are single operations on these integers, and a negative
term is a mask like any other.
"""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from puffin_api._model.version_key import Interval

ABSENT = 1
"""The package is not selected."""
PRESENT = 2
"""Of a package with one state only, such as an extra: it is selected."""


def everything(count: int) -> int:
    """Return the set of ``count`` versions and "absent"."""
    return (2 << count) - 1


def mask_of(keys: Sequence[str], bounds: Sequence[Interval]) -> int:
    """Return the versions whose keys lie in one of the intervals."""
    mask = 0
    for low, high in bounds:
        begin, end = bisect_left(keys, low), bisect_left(keys, high)
        if end > begin:
            mask |= (2 << end) - (2 << begin)
    return mask


def bits(mask: int) -> Iterator[int]:
    """Give the bit numbers of a mask, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def lowest(mask: int) -> int:
    """Return the mask of the lowest bit alone."""
    return mask & -mask


def runs(mask: int, known: int) -> Iterator[tuple[int, int]]:
    """Give the runs of ``mask`` among the bits of ``known``, as pairs of first and last bit number.

    Bits outside ``known`` do not interrupt a run.
    """
    known &= ~ABSENT
    mask &= known
    while mask:
        first = lowest(mask)
        interruption = lowest(known & ~mask & -first)
        run = mask & (interruption - 1)  # all that is left, where nothing interrupts it
        yield first.bit_length() - 1, run.bit_length() - 1
        mask ^= run
