"""FaultyFs: a disk that fails when it is told to, for an installer to work on."""

from __future__ import annotations

import errno
import os
from fnmatch import fnmatchcase
from typing import NamedTuple

from puffin_api._concurrency import thread_id
from puffin_api._installer.journal import OS_FILES, PREFIX, Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_CALLS = ("mkdir", "rename", "write", "write_atomic", "chmod", "unlink", "rmdir", "remove_tree")


class SimulatedCrash(BaseException):
    """The process is gone, as far as the disk can tell: nothing that it still wants to do is done.

    Not an ``Exception``, so that no handler takes it for an error that can be dealt with.
    """


class Operation(NamedTuple):
    """One call that a `FaultyFs` was asked for."""

    name: str
    """``mkdir``, ``rename``, ``write``, ``write_atomic``, ``chmod``, ``unlink``, ``rmdir``, ``remove_tree``;
    or how a file comes out of the cache: ``clone``, ``hardlink``, ``symlink``, ``copy``."""
    path: str
    """What it is about; where two paths are, the one that is there before."""
    target: str = ""
    """The one that is there afterwards."""

    def matches(self, pattern: str) -> bool:
        """Tell whether one of the paths fits a pattern of `fnmatch`, in which ``*`` goes across folders."""
        return any(
            fnmatchcase(path.replace(os.sep, "/"), pattern) for path in (self.path, self.target) if path
        )


class _Fault:
    """When something goes wrong, and what."""

    __slots__ = ("error", "left", "numbers", "operations", "pattern", "torn")

    def __init__(
        self,
        error: int | None,
        numbers: range | None,
        pattern: str,
        operations: Collection[str],
        *,
        times: int | None,
        torn: bool,
    ) -> None:
        self.error = error
        self.numbers = numbers
        self.pattern = pattern
        self.operations = frozenset((operations,) if isinstance(operations, str) else operations)
        self.left = times
        self.torn = torn

    def meets(self, number: int, operation: Operation) -> bool:
        """Tell whether this operation is to go wrong."""
        if self.left == 0 or (self.numbers is not None and number not in self.numbers):
            return False
        if self.operations and operation.name not in self.operations:
            return False
        return operation.matches(self.pattern)


class FaultyFs(Files):
    """How an installer changes the disk, with faults: a full disk, a read-only one, a crash in the middle.

    Give it to ``Installer(..., files=FaultyFs())``. Everything happens on the real disk; whatever is not told
    to fail is done. It is for one call at a time.

    >>> import errno
    >>> files = FaultyFs()
    >>> files.fail(errno.ENOSPC, at=12)
    >>> files.fail(errno.EACCES, path="*/site-packages/numpy*")
    >>> files.crash(at=20)
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        """What was asked for so far, in order; of what came after a crash, nothing."""
        self._faults: list[_Fault] = []
        self._crashed_in: int | None = None
        for name in _CALLS:
            if hasattr(OS_FILES, name):
                setattr(self, name, self._faulty(name, getattr(OS_FILES, name)))
        self.ways = {kind: self._faulty(kind, way) for kind, way in OS_FILES.ways.items()}

    def fail(
        self,
        error: int,
        *,
        at: int | None = None,
        start: int | None = None,
        path: str = "*",
        operations: Collection[str] = (),
        times: int | None = None,
        torn: bool = False,
    ) -> None:
        """Let operations fail: those that all of the conditions hold for, without conditions all.

        Args:
            error: A number of `errno`, such as ``errno.ENOSPC``.
            at: The place in ``operations``, from 0, of the only one.
            start: The place of the first one.
            path: A pattern of `fnmatch` for one of its paths; ``*`` goes across folders.
            operations: Names as in `Operation`.
            times: So often and no more.
            torn: Let it be done by half before it fails.
        """
        numbers = _numbers(at, start)
        self._faults.append(_Fault(error, numbers, path, operations, times=times, torn=torn))

    def crash(
        self,
        *,
        at: int | None = None,
        path: str = "*",
        operations: Collection[str] = (),
        torn: bool = False,
    ) -> None:
        """Let the process end, in effect, at the first operation that all of the conditions hold for.

        `SimulatedCrash` is raised there and from every later operation. What `Environment.recover` makes of
        the environment then is what it makes of it after a real crash.

        Args:
            at: The place in ``operations``, from 0.
            path: A pattern of `fnmatch` for one of its paths; ``*`` goes across folders.
            operations: Names as in `Operation`.
            torn: Let the operation be done by half before.
        """
        self._faults.append(_Fault(None, _numbers(at, None), path, operations, times=1, torn=torn))

    def mend(self) -> None:
        """Forget all faults, and that there was a crash."""
        self._faults.clear()
        self._crashed_in = None

    def _faulty(self, name: str, call: Callable[..., None]) -> Callable[..., None]:
        def operation(*arguments: str | bytes | int) -> None:
            if self._crashed_in is not None:
                raise self._crash()
            asked = Operation(name, *(item for item in arguments if isinstance(item, str)))
            number = len(self.operations)
            self.operations.append(asked)
            for fault in self._faults:
                if fault.meets(number, asked):
                    self._go_wrong(fault, asked, arguments)
            call(*arguments)

        return operation

    def _go_wrong(self, fault: _Fault, operation: Operation, arguments: Sequence[object]) -> None:
        if fault.left is not None:
            fault.left -= 1
        if fault.torn:
            _do_half(operation, arguments)
        if fault.error is None:
            self._crashed_in = thread_id()
            raise SimulatedCrash
        raise OSError(fault.error, os.strerror(fault.error), operation.path, None, operation.target or None)

    def _crash(self) -> BaseException:
        if thread_id() == self._crashed_in:
            return SimulatedCrash()
        return OSError(errno.EIO, "The process has crashed")  # no thread of a pool may die of it in the open


def _numbers(at: int | None, start: int | None) -> range | None:
    if at is not None:
        return range(at, at + 1)
    return None if start is None else range(start, 1 << 62)


def _do_half(operation: Operation, arguments: Sequence[object]) -> None:
    """Do what can be done by half: a file with half of its content, a tree half removed."""
    if operation.name == "write":
        data = arguments[1]
        assert isinstance(data, bytes)
        OS_FILES.write(operation.path, data[: len(data) // 2], 0o666)
    elif operation.name == "remove_tree" and os.path.isdir(operation.path):
        for name in os.listdir(operation.path):
            if not name.startswith(PREFIX):  # leaves what the installer keeps of its own, to confuse it
                OS_FILES.remove_tree(os.path.join(operation.path, name))
