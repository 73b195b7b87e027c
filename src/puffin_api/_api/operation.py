"""One call of the public API: its event stream, its cancel token, its start and its end."""

from __future__ import annotations

import contextlib
import time

from puffin_api._concurrency import Pump
from puffin_api._model.events import OperationFinished, OperationStarted
from puffin_api.errors import PuffinError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.events import Operation
    from puffin_api.protocols import Reporter


@contextlib.contextmanager
def operation(name: Operation, reporter: Reporter | None, cancel: CancelToken | None) -> Generator[Pump]:
    """Give the pump of a call; its started and finished events are sent in pairs."""
    if reporter is None:
        pump = Pump(None, cancel)
        pump.check()
        yield pump
        return
    deliver = reporter.on_event
    pump = Pump(deliver, cancel)  # type: ignore[arg-type]  # only events are sent
    begun = time.perf_counter()
    error = ""
    try:
        try:
            deliver(OperationStarted(operation=name))
            pump.check()
            yield pump
        finally:
            pump.close()
    except BaseException as problem:
        error = problem.code if isinstance(problem, PuffinError) else type(problem).__name__
        raise
    finally:
        seconds = time.perf_counter() - begun
        deliver(OperationFinished(operation=name, seconds=seconds, error=error))
