"""What hosts can do: remembered for the life of a client, and on disk for a day."""

from __future__ import annotations

import json
import time

from puffin_api._concurrency import OnceMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.store import EntryStore

    Ability = Literal["metadata", "ranges"]

_DAY = 86400.0


class Hosts:
    """Remembers which origins serve metadata files beside wheels, and which serve ranges.

    Args:
        store: Where it is kept; None to keep it in memory only.
        layout: Where in the store.
        clock: The time, in seconds since the epoch.
    """

    __slots__ = ("_clock", "_known", "_layout", "_store", "probes")

    def __init__(
        self,
        store: EntryStore | None = None,
        layout: CacheLayout | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._layout = layout
        self._clock = clock
        self._known: dict[str, dict[str, bool]] = {}
        self.probes: OnceMap[str, None] = OnceMap()
        """Probes under way; whoever needs the same answer waits for it."""

    def can(self, origin: str, ability: Ability) -> bool | None:
        """Return what is known of an origin, None where nothing is."""
        known = self._known.get(origin)
        if known is None:
            known = self._known.setdefault(origin, self._read(origin))
        return known.get(ability)

    def note(self, origin: str, ability: Ability, *, answer: bool) -> None:
        """Remember an answer."""
        if self.can(origin, ability) is answer:
            return
        self._known[origin] = {**self._known[origin], ability: answer}
        if self._store is not None and self._layout is not None:
            entry = {"at": self._clock(), "origin": origin, **self._known[origin]}
            self._store.write(self._layout.simple("hosts", origin), json.dumps(entry).encode())

    def _read(self, origin: str) -> dict[str, bool]:
        if self._store is None or self._layout is None:
            return {}
        data = self._store.read(self._layout.simple("hosts", origin))
        try:
            entry = json.loads(data or b"{}")
            is_recent = 0 <= self._clock() - entry.get("at", 0.0) < _DAY
        except (ValueError, TypeError, AttributeError):
            return {}
        if not is_recent or entry.get("origin") != origin:
            return {}
        return {name: entry[name] for name in ("metadata", "ranges") if isinstance(entry.get(name), bool)}
