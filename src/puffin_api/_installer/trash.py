"""What a change leaves over: removed at once, or by a worker where it is much."""

from __future__ import annotations

from contextlib import suppress

from puffin_api._installer.recovery import clean
from puffin_api.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._concurrency import Task, WorkerPool
    from puffin_api._installer.journal import Files


class Trash:
    """Folders of finished transactions. What cannot be removed, a later change of the environment removes."""

    __slots__ = ("_files", "_pool", "folders", "is_much")

    def __init__(self, folders: Sequence[str], files: Files, pool: WorkerPool | None) -> None:
        self.folders = folders
        self._files = files
        self._pool = pool
        self.is_much = False
        """Whether it should be removed after the call."""

    def empty(self) -> None:
        """Remove it now.

        Raises:
            OSError: Something could not be removed.
        """
        for folder in self.folders:
            clean(folder, self._files)

    def empty_later(self) -> Task[None] | None:
        """Have the pool remove it, where it is much."""
        if self._pool is None or not self.is_much or not self.folders:
            return None
        try:
            task = self._pool.submit(self.empty)
        except RuntimeError:  # the client was closed meanwhile
            with suppress(OSError):
                self.empty()
            return None
        task.on_done(lambda: self._make_sure(task))
        return task

    def _make_sure(self, task: Task[None]) -> None:
        """Empty it here and now where the pool was closed before it came to it."""
        with suppress(OSError):
            try:
                task.result()
            except Cancelled:
                self.empty()
