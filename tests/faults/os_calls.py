"""Stands between this process and the disk: counts calls of the os module, and lets one go wrong.

The functions of `os`, `open` and `fcntl.ioctl` are replaced by ones that count. This has to be done before
the library is imported, which keeps some of them in variables of its own. It is for processes that exist
to be killed, never for the one that runs the tests.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import mmap
import os
import signal
import struct
import sys
import threading

WRITING = (
    "mkdir",
    "replace",
    "link",
    "symlink",
    "open-write",
    "write",
    "ftruncate",
    "utime",
    "chmod",
    "unlink",
    "rmdir",
    "ioctl",
)
READING = (
    "open-read",
    "read",
    "close",
    "scandir",
    "listdir",
    "stat",
    "lstat",
    "fstat",
    "access",
    "readlink",
    "statvfs",
)
KINDS = (*WRITING, *READING)
MARK = ".puffin-committed"
_PATIENCE = 10.0
_FOR_OTHERS = {"journal.is_there", "journal.is_folder", "journal._read", "journal.read_steps"}
"""Functions that only do what another one asks for: that one is named."""
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FICLONE = 0x40049409
_NAMES = {"rename": "replace", "remove": "unlink", "truncate": "ftruncate", "fchmod": "chmod"}
# What the interpreter itself reports of changes: each must have come through here.
_AUDITED = {
    "os.mkdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "os.chmod",
    "os.remove",
    "os.rmdir",
    "fcntl.ioctl",
}


class Shared:
    """What a process leaves behind for its parent however it ends: shared memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self.reset()

    def reset(self) -> None:
        self._write(0, -1, 0)

    def _write(self, count: int, kind: int, marked: int) -> None:
        self._memory[:12] = struct.pack("<iii", count, kind, marked)

    def note(self, count: int, kind: str) -> None:
        self._memory[:8] = struct.pack("<ii", count, KINDS.index(kind))

    def mark(self) -> None:
        self._memory[8:12] = struct.pack("<i", 1)

    @property
    def count(self) -> int:
        """How many operations were begun."""
        return struct.unpack("<i", self._memory[:4])[0]

    @property
    def kind(self) -> str:
        """The kind of the last one."""
        return KINDS[struct.unpack("<i", self._memory[4:8])[0]]

    @property
    def marked(self) -> bool:
        """Whether the mark that makes a transaction final was set."""
        return self._memory[8:12] != b"\0\0\0\0"


class Disk:
    """Counts operations while it is armed; at one of them, or from one on, it does something else."""

    def __init__(self) -> None:
        self.armed = False
        self.shared = Shared()
        self.clones = False
        self.immovable: frozenset[int] = frozenset()
        self.ready = threading.Event()
        """After the mark, other threads wait for it, so that the order of operations is the same each time.
        Before it, the thread of the call waits for them."""
        self._main = threading.main_thread()
        self._inside = threading.local()
        self._reset()

    def _reset(self) -> None:
        self.log: list[tuple[str, str, str]] = []
        """Kind and path of each operation, and the function of the library that it was done for."""
        self.escaped: list[str] = []
        self._kinds: frozenset[str] = frozenset()
        self._at = -1
        self._fault = ""
        self._errno = 0
        self._from_on = False
        self.fired: tuple[str, str, str] | None = None
        """The operation that went wrong; with threads it may be another one than when it was counted."""

    def arm(self, kinds, *, at=-1, fault="", error=0, from_on=False, clones=False, immovable=()) -> None:
        """Begin to count operations of these kinds.

        Args:
            kinds: What counts; everything else is done as ever.
            at: The number of the operation that goes wrong, from 0.
            fault: ``kill`` instead of it, ``torn`` for a write that is done by half before, ``error``.
            error: The number of the error.
            from_on: Let all later ones fail too.
            clones: Pretend that the file system can share blocks between files.
            immovable: Inodes that cannot be renamed, as folders of an image cannot in a container.
        """
        self._reset()
        self.ready.set()
        self.shared.reset()
        self._kinds = frozenset(kinds)
        self._at, self._fault, self._errno, self._from_on = at, fault, error, from_on
        self.clones = clones
        self.immovable = frozenset(immovable)
        self.armed = True

    def disarm(self) -> None:
        self.armed = False

    def perform(self, kind, path, real, arguments, options):
        if threading.current_thread() is not self._main:
            self.ready.wait(_PATIENCE)
        if kind not in self._kinds or getattr(self._inside, "depth", 0):
            return self._really(kind, path, real, arguments, options)
        number = len(self.log)
        self.log.append((kind, path, _caller()))
        self.shared.note(number + 1, kind)
        if number == self._at or (self._from_on and number > self._at >= 0):
            self.fired = self.fired or self.log[-1]
            if kind == "access" and self._fault == "error":
                return False  # it tells nothing but yes or no
            self._fail(kind, path, real, arguments)
        return self._really(kind, path, real, arguments, options)

    def _really(self, kind, path, real, arguments, options):
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        try:
            if kind == "replace" and self.immovable and os.lstat(arguments[0]).st_ino in self.immovable:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), *arguments[:1], None, *arguments[1:])
            result = real(*arguments, **options)
        finally:
            self._inside.depth -= 1
        if kind == "replace" and str(arguments[1]).endswith(MARK):
            self.shared.mark()
            self.ready.clear()
        return result

    def _fail(self, kind, path, real, arguments) -> None:
        if self._fault == "error":
            if kind == "close":
                real(*arguments)  # the descriptor is gone whatever close says
            raise OSError(self._errno, os.strerror(self._errno), path)
        if self._fault == "torn" and kind == "write":
            descriptor, data = arguments
            real(descriptor, bytes(data)[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event, arguments) -> None:
        if self.armed and not getattr(self._inside, "depth", 0):
            opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITE_FLAGS
            if event in _AUDITED or (opens and isinstance(arguments[0], (str, bytes))):
                self.escaped.append(f"{event} {arguments}")


DISK = Disk()


class _WrittenFile:
    """A file that is written when it is closed, as a buffered one is, through a write that counts."""

    def __init__(self, path, mode) -> None:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if "x" in mode else os.O_TRUNC)
        if "b" not in mode or "+" in mode or "a" in mode:
            raise NotImplementedError(f"no such mode was expected: {mode}")
        self._descriptor = os.open(path, flags, 0o666)
        self._pieces: list[bytes] = []

    def write(self, data) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def seek(self, offset) -> int:
        assert offset == 0, "only to begin anew"
        return 0

    def truncate(self) -> int:
        self._pieces.clear()
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        try:
            view = memoryview(b"".join(self._pieces))
            while view:
                view = view[os.write(self._descriptor, view) :]
        finally:
            os.close(self._descriptor)


def install() -> None:
    """Replace the functions; once for the life of the process."""
    for name in ("mkdir", "rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "utime"):
        _wrap(os, name)
    for name in ("write", "truncate", "ftruncate", "chmod", "fchmod", "read", "close"):
        _wrap(os, name)
    for name in ("scandir", "listdir", "stat", "lstat", "fstat", "access", "readlink", "statvfs"):
        _wrap(os, name)
    _wrap_open()
    _wrap_ioctl()
    sys.addaudithook(DISK.audit)


def _wrap(module, name) -> None:
    real, kind = getattr(module, name), _NAMES.get(name, name)

    def call(*arguments, **options):
        if not DISK.armed:
            return real(*arguments, **options)
        return DISK.perform(kind, _path(arguments), real, arguments, options)

    setattr(module, name, call)
    for known in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd, os.supports_effective_ids):
        if real in known:  # what asks whether a function can do something asks for this one
            known.add(call)


def _wrap_open() -> None:
    os_open, file_open = os.open, builtins.open

    def call(path, flags, *rest, **options):
        if not DISK.armed:
            return os_open(path, flags, *rest, **options)
        kind = "open-write" if flags & _WRITE_FLAGS else "open-read"
        return DISK.perform(kind, str(path), os_open, (path, flags, *rest), options)

    def open_file(path, mode="r", *rest, **options):
        if not DISK.armed or isinstance(path, int):
            return file_open(path, mode, *rest, **options)
        if set(mode) & set("wxa+"):
            return _WrittenFile(path, mode)
        return DISK.perform("open-read", str(path), file_open, (path, mode, *rest), options)

    os.open = call
    os.supports_dir_fd.add(call)
    builtins.open = io.open = open_file


def _wrap_ioctl() -> None:
    real = fcntl.ioctl

    def clone(descriptor, request, source, *rest):
        if not DISK.clones or request != _FICLONE:
            return real(descriptor, request, source, *rest)
        position = 0
        while piece := os.pread(source, 1 << 20, position):
            os.pwrite(descriptor, piece, position)
            position += len(piece)
        return 0

    def call(descriptor, *rest):
        if not DISK.armed:
            return real(descriptor, *rest)
        return DISK.perform("ioctl", "", clone, (descriptor, *rest), {})

    fcntl.ioctl = call


def _caller() -> str:
    """Return the function of the library that led here, such as ``journal.write_file``."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        function = f"{name.rpartition('.')[2]}.{frame.f_code.co_name}"
        inner = frame.f_code.co_name.startswith("<")  # a comprehension or a lambda
        if name.startswith("puffin_api.") and function not in _FOR_OTHERS and not inner:
            return function
        frame = frame.f_back
    return ""


def _path(arguments) -> str:
    """Return what a call is about, for messages: the target of those with two paths."""
    texts = [os.fspath(item) for item in arguments[:2] if isinstance(item, (str, os.PathLike))]
    return texts[-1] if texts else ""


ERRNOS = {
    name: getattr(errno, name) for name in ("ENOSPC", "EACCES", "EROFS", "EXDEV", "EMFILE", "EIO", "EDQUOT")
}
