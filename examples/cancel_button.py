"""An install that a button can stop, with the library on a worker thread.

Run it with ``python examples/cancel_button.py REQUIREMENT...`` and press Enter to cancel. A window does the
same: its button calls ``token.cancel``, its timer empties the queue of events.
"""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import threading
from pathlib import Path

from puffin_api import Cache, CancelToken, Client, Installer, Interpreter, PuffinError, model


class Window:
    """What stands for a window here: a queue that the worker fills and the main thread empties."""

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def on_event(self, event: model.Event) -> None:
        """Take an event; called on the worker thread, so it only puts text into the queue."""
        match event:
            case model.OperationStarted(operation=name):
                self.news.put(f"{name} ...")
            case model.PackageDecided(name=name, version=version):
                self.news.put(f"  chose {name} {version}")
            case model.CommitStarted(changes=count):
                self.news.put(f"  {count} packages go in")
            case model.RollbackStarted():
                self.news.put("  taking everything back")
            case _:
                pass

    def show(self) -> None:
        """Print the news until the worker is done."""
        while (text := self.news.get()) is not None:
            print(text, flush=True)


def install(requirements: list[str], prefix: Path, window: Window, token: CancelToken) -> None:
    """Do the work; the last piece of news is how it ended."""
    try:
        environment = Interpreter.current().create_venv(prefix, cancel=token)
        with Client.from_environ(os.environ, cache=Cache.user()) as client:
            report = Installer(environment, client).install(requirements, reporter=window, cancel=token)
        window.news.put(f"done: {len(report.changes)} packages")
    except PuffinError as error:
        window.news.put(f"{error.code}: {error}; the environment is {error.state}")
    finally:
        window.news.put(None)


def wait_for_enter(token: CancelToken) -> None:
    """Be the button. Nothing to read from is a button that is never pressed."""
    if sys.stdin.readline():
        token.cancel("the button was pressed")


def main(requirements: list[str]) -> int:
    """Install into a temporary environment."""
    token, window = CancelToken(), Window()
    threading.Thread(target=wait_for_enter, args=(token,), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="puffin-cancel-") as folder:
        prefix = Path(folder, "env")
        worker = threading.Thread(target=install, args=(requirements, prefix, window, token))
        worker.start()
        window.show()
        worker.join()
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1:]))
