"""The journal of a transaction: every rename and new folder, written down before the first is done."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys

from puffin_api._fs import longest_path, remove_tree, rename, write_atomic
from puffin_api._wheel.link import STANDARD_WAYS
from puffin_api.errors import RollbackFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from puffin_api._fs import LinkKind

    Step = tuple[str, ...]
    """``("mkdir", path)``, perhaps with a mode, ``("rmdir", path, mode)`` or ``("rename", from, to)``;
    paths are relative to site-packages."""

FORMAT = 1
_BINARY: int = getattr(os, "O_BINARY", 0)
PREFIX = ".puffin-"
"""Begins the name of the folder of each transaction, and of all in it that is not a staged entry."""
JOURNAL = f"{PREFIX}journal.json"
MARK = f"{PREFIX}committed"
"""The journal is renamed to this: from then on there is only cleaning up to do."""
PARTS = f"{PREFIX}parts"
"""Lists further folders of the transaction, on other volumes, one path a line."""


def write_file(path: str, data: bytes, mode: int = 0o666) -> None:
    """Write a file that must not exist yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _free_bytes(folder: str) -> int:
    return shutil.disk_usage(folder).free


def _is_writable(folder: str) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _volume(path: str) -> int:
    return os.stat(path).st_dev


class Files:
    """How a transaction changes the disk, and what it asks of volumes. Tests put faults underneath."""

    __slots__ = (
        "chmod",
        "free_bytes",
        "is_writable",
        "longest_path",
        "mkdir",
        "moves_open_folders",
        "remove_tree",
        "rename",
        "rmdir",
        "unlink",
        "volume",
        "ways",
        "write",
        "write_atomic",
    )

    def __init__(self) -> None:
        self.mkdir: Callable[[str], None] = os.mkdir
        self.rename: Callable[[str, str], None] = rename
        self.write: Callable[[str, bytes, int], None] = write_file
        self.write_atomic: Callable[[str, bytes], None] = write_atomic
        self.chmod: Callable[[str, int], None] = os.chmod
        self.unlink: Callable[[str], None] = os.unlink
        self.rmdir: Callable[[str], None] = os.rmdir
        self.remove_tree: Callable[[str], None] = remove_tree
        self.free_bytes: Callable[[str], int] = _free_bytes
        self.is_writable: Callable[[str], bool] = _is_writable
        self.volume: Callable[[str], int] = _volume
        self.moves_open_folders: bool = sys.platform != "win32"
        """Whether a folder can be renamed while a program runs that lies in it."""
        self.longest_path: int | None = longest_path()
        """The characters that a path may have; None where the system says so when it meets one."""
        self.ways: Mapping[LinkKind, Callable[[str, str], None]] = STANDARD_WAYS


OS_FILES = Files()


def write_journal(folder: str, transaction: str, steps: Sequence[Step], files: Files) -> None:
    """Write all steps into the folder of the transaction; complete or not at all."""
    data = {"format": FORMAT, "transaction": transaction, "steps": steps}
    files.write_atomic(f"{folder}/{JOURNAL}", json.dumps(data, separators=(",", ":")).encode())


def mark_committed(folder: str, files: Files) -> None:
    """Make the change final: one atomic step."""
    files.rename(f"{folder}/{JOURNAL}", f"{folder}/{MARK}")


def read_journal(folder: str) -> list[Step] | None:
    """Return the steps of a transaction; None where it had not begun to change anything.

    Raises:
        RollbackFailed: There is a journal that this version does not understand.
    """
    try:
        return _read(f"{folder}/{JOURNAL}")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise needs_recovery(folder, f"its journal cannot be read: {error}") from error


def read_steps(path: str) -> list[Step] | None:
    """Return the steps of a finished transaction from its mark; None where it is missing or damaged.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _read(path: str) -> list[Step]:
    with open(path, "rb") as file:
        data = json.loads(file.read())
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}")
    return [_step(item) for item in data["steps"]]


def run_steps(base: str, steps: Iterable[Step], files: Files, check: Callable[[], None]) -> None:
    """Do the steps in order; ``check`` may raise between them."""
    join = os.path.join
    for step in steps:
        check()
        if step[0] == "rename":
            files.rename(join(base, step[1]), join(base, step[2]))
        elif step[0] == "mkdir":
            files.mkdir(join(base, step[1]))
            if len(step) > 2:
                files.chmod(join(base, step[1]), int(step[2], 8))
        else:
            files.rmdir(join(base, step[1]))


def undo_steps(base: str, steps: Sequence[Step], files: Files) -> None:
    """Undo whatever of the steps has been done, last one first. May be done again after a crash.

    Whether a step was done is told from the disk: a rename was, where its target is there and its
    source is not.

    Raises:
        OSError: A step cannot be undone.
    """
    for step in reversed(steps):
        first = os.path.join(base, step[1])
        if step[0] == "mkdir":
            _remove_folder(first, files)
            continue
        if step[0] == "rmdir":
            if not is_there(first):
                files.mkdir(first)
            if mode_of(first) != step[2]:
                files.chmod(first, int(step[2], 8))
            continue
        second = os.path.join(base, step[2])
        if not is_there(first) and is_there(second):
            files.rename(second, first)


def mode_of(folder: str) -> str:
    """Return the permissions of a folder, as a step has them."""
    return f"{stat.S_IMODE(os.stat(folder).st_mode):o}"


def is_there(path: str) -> bool:
    """Tell whether something stands at a path, be it a link that leads nowhere.

    Unlike ``os.path.lexists`` it never takes "cannot be told" for "no": a file would be lost.

    Raises:
        OSError: It cannot be told.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(path: str) -> bool:
    """Tell whether a path leads to a folder; unlike ``os.path.isdir``, as strictly as `is_there`.

    Raises:
        OSError: It cannot be told.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads to itself
            return False
        raise


def needs_recovery(folder: str, reason: str) -> RollbackFailed:
    """Return the error for an environment that is between old and new."""
    error = RollbackFailed(
        f"A change could not be undone: {reason}",
        hint="Mend the cause and call recover() on the environment.",
        path=os.path.dirname(folder),
        journal=f"{folder}/{JOURNAL}",
    )
    error.state = "needs-recovery"
    return error


def _remove_folder(path: str, files: Files) -> None:
    if not is_there(path):
        return  # a read-only disk refuses even to remove what is not there
    try:
        files.rmdir(path)
    except FileNotFoundError:
        pass  # somebody else has just removed it
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise  # somebody else put something in: then it is theirs


def _step(item: Sequence[str]) -> Step:
    match item:
        case ["mkdir", str(path)]:
            return ("mkdir", path)
        case ["mkdir" | "rmdir" as kind, str(path), str(mode)] if 0 <= int(mode, 8) <= 0o7777:
            return (kind, path, mode)
        case ["rename", str(source), str(target)]:
            return ("rename", source, target)
        case _:
            raise ValueError(f"unknown step {item!r}")
