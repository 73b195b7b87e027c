"""What one call has to tell: events for the reporter at once, notices for the report at the end."""

from __future__ import annotations

from puffin_api._model.events import LockWaiting, Notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from puffin_api._concurrency import Pump


class Telling:
    """Takes what happens during one call. Many threads may tell."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._told: dict[tuple[str, object], Notice] = {}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What was told so far, in order."""
        return tuple(self._told.copy().values())

    def notice(self, code: str, message: str, data: Mapping[str, object], *, about: object) -> None:
        """Tell something, once for each subject."""
        notice = Notice(code=code, message=message, data=data)
        if self._told.setdefault((code, about), notice) is notice:
            self._pump.send(notice)

    def repaired(self, name: str, archive: Path, damage: str) -> None:
        """Tell that an unpacked wheel was damaged, and is fetched anew."""
        self.notice(
            "cache-repaired",
            f"The unpacked wheel of {name} in the cache was damaged, so it is fetched anew: {damage}",
            {"name": name, "path": str(archive), "damage": damage},
            about=archive,
        )

    def degraded(self, path: Path, how: str) -> None:
        """Tell that a file system has no locks."""
        instead = "a marker file stands in" if how == "soft" else "nothing keeps others out"
        self.notice(
            "locks-degraded",
            f"The file system of {path} has no locks: {instead}",
            {"path": str(path), "how": how},
            about=path.parent,
        )

    def waiting(self, path: Path | str, owner: str) -> None:
        """Tell whom the call waits for."""
        self._pump.send(LockWaiting(path=str(path), owner=owner))
