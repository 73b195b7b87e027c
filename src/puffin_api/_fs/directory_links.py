"""Three ways to let one path lead to a directory elsewhere: symbolic link, junction, pointer file.

All three keep the same promise: a reader gets the canonical path of a directory that exists, or
"missing". A link is read in one step and never walked through twice, so a writer that replaces it
meanwhile cannot make a reader see two directories as one.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from puffin_api._fs.atomic import remove_tree, rename, unique_name, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class JunctionCalls(Protocol):
        """The three system calls for junctions, so that other systems can stand in for them."""

        def create_junction(self, target: str, link: str) -> None:
            """Create it; raises FileExistsError where something stands there."""
            ...

        def read_junction(self, link: str) -> str:
            """Return what it leads to; raises OSError where it is missing or no junction."""
            ...

        def remove_junction(self, link: str) -> None:
            """Remove it; raises FileNotFoundError where it is missing."""
            ...


_POINTER = b"puffin-link 1\n"
_LONGEST_POINTER = 64 * 1024
_MOST_ATTEMPTS = 1000


class SymlinkDirectoryLink:
    """A symbolic link, made under another name and renamed: readers see the old one or the new one."""

    def __init__(self) -> None:
        self._targets = _Targets()

    def publish(self, link: Path, target: Path) -> None:
        """Make the link lead to the directory, in place of whatever it led to."""
        temporary = link.parent / unique_name()
        os.symlink(_relative(target, link), temporary, target_is_directory=True)
        try:
            _rename_over(temporary, link)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def read(self, link: Path) -> Path | None:
        """Return the canonical path of the directory, None where the link leads nowhere."""
        try:
            return self._targets.resolve(link, os.readlink(link))
        except OSError:
            return None

    def remove(self, link: Path) -> None:
        """Remove the link, not the directory."""
        link.unlink(missing_ok=True)


class PointerFileDirectoryLink:
    """A small text file with the path, for file systems that have no links at all."""

    def __init__(self) -> None:
        self._targets = _Targets()

    def publish(self, link: Path, target: Path) -> None:
        """Make the link lead to the directory, in place of whatever it led to."""
        text = _POINTER + os.fsencode(_relative(target, link).replace(os.sep, "/")) + b"\n"
        try:
            write_atomic(link, text)
        except OSError:
            if not _clear_directory(link):
                raise
            write_atomic(link, text)

    def read(self, link: Path) -> Path | None:
        """Return the canonical path of the directory, None where the link leads nowhere."""
        try:
            text = _pointer_text(link)
            return None if text is None else self._targets.resolve(link, text)
        except OSError:
            return None

    def remove(self, link: Path) -> None:
        """Remove the link, not the directory."""
        link.unlink(missing_ok=True)


class JunctionDirectoryLink:
    """A junction of Windows, which needs no privilege but cannot be replaced in one step.

    It is deleted and created anew. In between it is missing, and for a moment it is an empty
    directory that is no junction yet: both read as "missing".
    """

    def __init__(self, calls: JunctionCalls | None = None) -> None:
        self._calls = calls or _system_calls()
        self._targets = _Targets()

    def publish(self, link: Path, target: Path) -> None:
        """Make the link lead to the directory, in place of whatever it led to."""
        destination = os.path.realpath(target)
        for _ in range(_MOST_ATTEMPTS):
            try:
                self.remove(link)
                self._calls.create_junction(destination, os.fspath(link))
            except (FileExistsError, PermissionError):
                continue  # another writer was in between; one of the two comes through
            except OSError:
                if not _clear_directory(link):
                    raise
                continue
            return
        self.remove(link)
        self._calls.create_junction(destination, os.fspath(link))

    def read(self, link: Path) -> Path | None:
        """Return the canonical path of the directory, None where the link leads nowhere."""
        try:
            return self._targets.resolve(link, self._calls.read_junction(os.fspath(link)))
        except OSError:
            return None

    def remove(self, link: Path) -> None:
        """Remove the link, not the directory."""
        with suppress(FileNotFoundError):
            self._calls.remove_junction(os.fspath(link))


def choose_directory_link(
    root: Path,
) -> SymlinkDirectoryLink | JunctionDirectoryLink | PointerFileDirectoryLink:
    """Return the best kind of link that works in this directory, found by trying.

    Where nothing can be written, the usual kind of the platform: nothing will be published there.
    """
    usual = JunctionDirectoryLink() if sys.platform == "win32" else SymlinkDirectoryLink()
    probe = root / unique_name()
    try:
        probe.mkdir()
    except OSError:
        return usual
    try:
        return usual if _works(usual, probe) else PointerFileDirectoryLink()
    finally:
        remove_tree(probe)


def linked_text(link: Path) -> str | None:
    """Return where a link of any of the three kinds says it leads, None where it is no link.

    Raises:
        OSError: It is missing or cannot be read, so nobody can say.
    """
    try:
        return os.readlink(link)
    except OSError as error:
        # EINVAL: no link at all. Windows has numbers of its own: 4390, no reparse point.
        if error.errno != errno.EINVAL and getattr(error, "winerror", 0) != 4390:
            raise
    return _pointer_text(link) if stat.S_ISREG(os.lstat(link).st_mode) else None


def read_directory_link(link: Path) -> Path | None:
    """Read a link of any of the three kinds, for a tree that somebody else has written."""
    try:
        text = linked_text(link)
        return None if text is None else _Targets().resolve(link, text)
    except OSError:
        return None


def _works(kind: SymlinkDirectoryLink | JunctionDirectoryLink, probe: Path) -> bool:
    """Publish and read one link, then replace it."""
    link = probe / "link"
    try:
        for name in ("first", "second"):
            (probe / name).mkdir()
            kind.publish(link, probe / name)
            if kind.read(link) != Path(os.path.realpath(probe / name)):
                return False
        kind.remove(link)
    except (OSError, NotImplementedError):
        return False
    return True


def _relative(target: Path, link: Path) -> str:
    """Say the way from the link, so that a tree that is moved as a whole keeps its links."""
    destination = os.path.realpath(target)
    try:
        return os.path.relpath(destination, os.path.realpath(link.parent))
    except ValueError:  # on another drive
        return destination


class _Targets:
    """Turns what links say into canonical paths, quickly where many lead into one folder."""

    __slots__ = ("_folder",)

    def __init__(self) -> None:
        self._folder = ""
        """The last folder that was found to be canonical."""

    def resolve(self, link: Path, text: str) -> Path | None:
        """Return the canonical path of the directory that a link names, None where it is none.

        Raises:
            OSError: It does not exist.
        """
        place = os.path.join(link.parent, text)
        status = os.stat(place)
        if not stat.S_ISDIR(status.st_mode):
            return None
        # `realpath` asks for every folder on the way, which takes several times as long as all this.
        # The short way is right if it leads to the same directory and has no link in it.
        short = os.path.normpath(place)
        if self._is_canonical(os.path.dirname(short)) and _is_itself(short, status):
            return Path(short)
        return Path(os.path.realpath(place, strict=True))

    def _is_canonical(self, folder: str) -> bool:
        if folder != self._folder:
            if os.path.realpath(folder) != folder:
                return False
            self._folder = folder
        return True


def _is_itself(path: str, status: os.stat_result) -> bool:
    """Tell whether the path is no link, and is what has this status."""
    try:
        return os.path.samestat(os.lstat(path), status)
    except OSError:
        return False


def _pointer_text(link: Path) -> str | None:
    """Return the path in a pointer file, None where the file is something else or damaged."""
    with open(link, "rb", buffering=0) as file:
        if file.read(len(_POINTER)) != _POINTER:
            return None
        text = file.read(_LONGEST_POINTER)
    path = text[:-1]
    return os.fsdecode(path) if path and text.endswith(b"\n") and b"\0" not in path else None


def _rename_over(temporary: Path, link: Path) -> None:
    try:
        rename(temporary, link)
    except OSError:
        if not _clear_directory(link):
            raise
        rename(temporary, link)


def _clear_directory(link: Path) -> bool:
    """Remove a real directory that stands where a link belongs, which only damage can explain."""
    if link.is_symlink() or not link.is_dir():
        return False
    remove_tree(link)
    return True


if sys.platform == "win32":

    class _WindowsCalls:
        """The junctions of the system."""

        def create_junction(self, target: str, link: str) -> None:
            import _winapi

            _winapi.CreateJunction(target, link)

        def read_junction(self, link: str) -> str:
            return os.readlink(link)

        def remove_junction(self, link: str) -> None:
            os.rmdir(link)  # a junction counts as an empty directory here; what it leads to stays

    def _system_calls() -> JunctionCalls:
        return _WindowsCalls()

else:

    def _system_calls() -> JunctionCalls:
        raise OSError(errno.ENOTSUP, "There are no junctions on this system")
