"""The log of a build: what the backend prints, followed while it runs and quoted when it fails."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time

from puffin_api._fs import unique_name
from puffin_api.errors import BuildFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO, Literal, Self

LINES_PER_SECOND = 100
"""More than anybody can read; what a backend prints beyond is in the log only."""
_CHUNK = 1 << 16
_CHUNKS_AT_ONCE = 64
_LONGEST_LINE = 2000
_TAIL_LINES = 40
_TAIL_BYTES = 1 << 17

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LOGIN = re.compile(r"(?<=://)[^\s/@'\"]+@")
# Frames of a traceback that are ours and those of pyproject-hooks: the same in every failure.
_OUR_FRAME = re.compile(r'  File "(?:[^"]*[\\/])?(?:_in_process|hook_script)\.py"')


class BuildLog:
    """A log file of one build; every call of the backend adds to it.

    A context: at its end the file is removed, unless it is to be kept or an error refers to it.
    """

    def __init__(self, folder: Path, package: str, *, keep: bool = False) -> None:
        self._keep = keep
        os.makedirs(folder, exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "-", os.path.basename(package)).strip("-.")[:60]
        self.path: str = os.path.join(folder, f"{stem or 'build'}-{unique_name()}.log")
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not (isinstance(error, BuildFailed) and error.log_path == self.path):
            self.rest()

    def rest(self) -> None:
        """Remove the file unless it is to be kept; the next call of the backend would begin it anew."""
        if not self._keep:
            self.remove()

    @property
    def size(self) -> int:
        """Bytes so far: where the next call of the backend will begin."""
        try:
            return os.path.getsize(self.path)
        except OSError:
            return 0  # the backend may have removed it

    def append(self, data: bytes) -> None:
        """Add what did not get there by itself."""
        if data:
            with contextlib.suppress(OSError), open_regular(self.path, "ab") as file:
                file.write(data)

    def tail(self, start: int = 0) -> tuple[str, ...]:
        """Return the last lines that say something, from an offset on."""
        size = self.size
        begin = max(start, size - _TAIL_BYTES)
        try:
            with open_regular(self.path) as file:
                file.seek(begin)
                data = file.read(_TAIL_BYTES)
        except OSError:
            return ()
        first, *lines = data.split(b"\n")
        if begin == start:
            lines = [first, *lines]
        elif not any(lines):  # there is no line whose beginning we have
            lines = [first[-_LONGEST_LINE:]]
        told = _without_our_frames(map(readable, lines))
        return tuple(line for line in told if line.strip())[-_TAIL_LINES:]

    def remove(self) -> None:
        """Remove the file; a missing one is no error."""
        try:
            os.unlink(self.path)
        except OSError:
            pass  # gone already, or held open on Windows by what the backend left running


class Follower:
    """Tells the lines of a log as they are written, in order, and not faster than can be read.

    Args:
        path: The log.
        start: Where to begin.
        tell: Takes one line.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        path: str,
        start: int,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._offset = start
        self._tell = tell
        self._clock = clock
        self._rest = b""
        self._second = clock()
        self._told = 0
        self._left_out = 0

    def read(self, most: int = _CHUNKS_AT_ONCE) -> None:
        """Tell the lines that have been finished since the last time.

        Args:
            most: Chunks to read: whoever writes all the time must not keep the reader here.
        """
        self._next_second()
        for chunk in self._chunks(most):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > _CHUNK:
                lines, self._rest = [*lines, self._rest], b""
            self._take(lines)

    def finish(self) -> None:
        """Tell what is left."""
        self.read(sys.maxsize)
        if self._rest:
            self._take([self._rest])
        self._tell_left_out()

    def _chunks(self, most: int) -> Iterator[bytes]:
        try:
            with open_regular(self._path) as file:
                file.seek(self._offset)
                for _ in range(most):
                    chunk = file.read(_CHUNK)
                    if not chunk:
                        return
                    self._offset += len(chunk)
                    yield chunk
        except OSError:
            return  # the backend may have removed it

    def _take(self, lines: list[bytes]) -> None:
        room = LINES_PER_SECOND - self._told
        for line in lines[:room]:
            self._tell(readable(line))
        self._told += min(room, len(lines))
        self._left_out += max(0, len(lines) - room)

    def _next_second(self) -> None:
        now = self._clock()
        if now - self._second >= 1.0:
            self._tell_left_out()
            self._second, self._told = now, 0

    def _tell_left_out(self) -> None:
        if self._left_out:
            self._tell(f"... {self._left_out} more lines, which are in the log ...")
            self._left_out = 0


def open_regular(path: str, mode: Literal["rb", "ab"] = "rb") -> BinaryIO:
    """Open a file that a backend could have put a pipe in place of, at which we would wait for ever.

    Raises:
        OSError: There is no regular file.
    """
    file = open(path, mode, opener=_without_waiting)  # noqa: SIM115  # the caller's to close
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is no regular file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)


def readable(line: bytes) -> str:
    r"""Return a line as text that can be shown: no escapes, no logins, not longer than a screen.

    >>> readable(b"10%\r\x1b[32m20%\x1b[0m\r")
    '20%'
    """
    text = line[: 4 * _LONGEST_LINE].decode("utf-8", "replace")
    text = _ANSI.sub("", text).rstrip("\r").rpartition("\r")[2]  # what a progress bar says last
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    if "://" in text:
        text = _LOGIN.sub("****@", text)
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]} ..."


def _without_our_frames(lines: Iterable[str]) -> Iterator[str]:
    """Leave out the frames around the backend; the code below a frame is indented deeper."""
    ours = False
    for line in lines:
        ours = _OUR_FRAME.match(line) is not None or (ours and line.startswith("    "))
        if not ours:
            yield line
