"""Progress on a terminal: drawn by rich where that is installed, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from puffin_api import model

if TYPE_CHECKING:
    from collections.abc import Generator

    from puffin_api.protocols import Reporter


@contextlib.contextmanager
def progress_reporter() -> Generator[Reporter]:
    """Give a reporter for one operation; what it draws is gone at the end."""
    if not sys.stderr.isatty():
        yield PlainReporter()
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
    except ImportError:
        yield PlainReporter()
        return
    columns = (TextColumn("{task.description:<40}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield RichReporter(progress)


class PlainReporter:
    """One line for each operation and commit, and one for every 25 files."""

    def __init__(self) -> None:
        self._files: set[int] = set()
        self._done = 0

    def on_event(self, event: model.Event) -> None:
        match event:
            case model.OperationStarted(operation=name):
                print(f"{name} ...", file=sys.stderr)
            case model.OperationFinished(operation=name, seconds=seconds):
                print(f"{name} took {seconds:.2f} s", file=sys.stderr)
            case model.FetchStarted(task=task, kind="file"):
                self._files.add(task)
            case model.FetchFinished(task=task) if task in self._files:
                self._done += 1
                if self._done % 25 == 0:
                    print(f"  {self._done} files fetched", file=sys.stderr)
            case model.BuildStarted(name=name, phase=phase):
                print(f"  {phase} of {name}", file=sys.stderr)
            case model.CommitStarted(changes=count):
                print(f"  committing {count} changes", file=sys.stderr)
            case model.Notice(message=message):
                print(f"  note: {message}", file=sys.stderr)
            case _:
                pass


class RichReporter:
    """A bar for each file under way, and a line that counts what was decided."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._bars: dict[int, Any] = {}
        self._decided: set[str] = set()
        self._headline = progress.add_task("starting", total=None)

    def on_event(self, event: model.Event) -> None:
        progress = self._progress
        match event:
            case model.OperationStarted(operation=name):
                progress.update(self._headline, description=name)
            case model.PackageDecided(name=name, version=version):
                self._decided.add(name)
                text = f"{len(self._decided)} packages, {name} {version}"
                progress.update(self._headline, description=text)
            case model.FetchStarted(task=task, kind="file", name=name, total=total):
                self._bars[task] = progress.add_task(name[:40], total=total)
            case model.FetchProgress(task=task, received=received) if task in self._bars:
                progress.update(self._bars[task], completed=received)
            case model.FetchFinished(task=task) if task in self._bars:
                progress.remove_task(self._bars.pop(task))
            case model.BuildStarted(name=name, phase=phase):
                progress.update(self._headline, description=f"{phase} of {name}"[:40])
            case model.CommitStarted(changes=count):
                progress.update(self._headline, description=f"committing {count} changes")
            case _:
                pass
