"""Small doubles: a reporter that keeps events, and a runner that starts nothing."""

from __future__ import annotations

from puffin_api._concurrency import thread_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.events import Event
    from puffin_api.protocols import Completed

    T = TypeVar("T")


class RecordingReporter:
    """A ``Reporter`` that keeps what it hears, and the threads it is called on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()
        """Identifiers of the threads; one, if all is well."""

    def on_event(self, event: Event) -> None:
        """Keep the event."""
        self.events.append(event)
        self.threads.add(thread_id())

    def of(self, kind: type[T]) -> list[T]:
        """Return the events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]


class FailingRunner:
    """A ``Runner`` that starts no process: being asked to is the failure."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Completed:
        """Refuse.

        Raises:
            AssertionError: Always.
        """
        self.asked.append(tuple(argv))
        raise AssertionError(f"no process may be started here: {' '.join(argv)}")
