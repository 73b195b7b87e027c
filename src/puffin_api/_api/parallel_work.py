"""Work that may take a build for each item, several at a time: the first failure stops the others."""

from __future__ import annotations

from typing import TypeVar

from puffin_api._concurrency import Relay, WorkerPool
from puffin_api._model.cancel import stoppable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from puffin_api._concurrency import Pump

S = TypeVar("S")
T = TypeVar("T")


def in_parallel(call: Callable[[S, Pump], T], items: Sequence[S], *, workers: int, pump: Pump) -> list[T]:
    """Call once for each item; the results in the order of the items.

    Args:
        call: Takes an item, and a pump of its own: a build waits for downloads in its turn.
        items: One or more.
        workers: How many at a time.
        pump: That of the call.
    """
    switch, token = stoppable(pump.cancel)
    # Not the pool of the client: its work must never wait for its work.
    pool = WorkerPool(min(workers, len(items)), name="puffin-sources")
    try:
        return pool.map(
            lambda item: call(item, Relay(pump, token)),
            items,
            pump=pump,
            on_failure=lambda: switch.cancel("another one failed"),
        )
    finally:
        pool.close()
