"""Scripts: what is made for entry points, ``#!python`` lines of shipped scripts, and what they may be called.

Entry points are installed as pip and uv do: extras of one do not matter, dotted attributes are
followed, names stay as they are written, and a script for a GUI counts before one for a console that has
its name. A wheel whose entry point has no function at all is refused, see `puffin_api._wheel.read`; one
that Python cannot import by what it is called, such as ``my-module:run``, is passed over with a notice,
where the others write a script that cannot run.
"""

from __future__ import annotations

import keyword
import re
import string

from puffin_api._wheel.launchers import read_launcher, windows_program
from puffin_api._wheel.rules import broken_rule, check_script_name, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.cached import EntryPoint

# The kernel reads that many bytes of the first line (BINPRM_BUF_SIZE less the final zero).
_LONGEST_SHEBANG = 127
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*").fullmatch
_OTHER_INTERPRETER = re.compile(r"(?:pypy|graalpy)w?[\d.]*t?(?:\.exe)?", re.IGNORECASE).fullmatch
# "Exactly b'#!python'", says the specification; what sticks to it (a version, a `w`) belongs to the name.
_SHEBANG = re.compile(rb"#!python([^\s]*)([^\r\n]*)(?:\r?\n|$)")
_SIMPLE_ARGUMENTS = re.compile(r"[\w.,:=+-]+(?: [\w.,:=+-]+)*", re.ASCII).fullmatch
_CODING = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+[^\r\n]*(?:\r?\n|$)")
_PYTHON_EXE = re.compile(r"(?i)(^|[\\/])python([\d.]*t?)(\.exe)?$")
_ENV = "/usr/bin/env "
_ONE_WORD = re.compile(r"[^\s\udc80-\udcff]+").fullmatch
_SAFE_IN_QUOTES = re.compile(r"[^\"$`\\\r\n\udc80-\udcff]+").fullmatch
_AS_IT_IS = frozenset("/._-" + string.ascii_letters + string.digits)
_WRAPPER = re.compile(r"(?P<name>.+?)(?:\.exe|-script\.pyw?|-script\.pya)", re.IGNORECASE).fullmatch

_TEXT = """\
# -*- coding: utf-8 -*-
import sys
from {module} import {root}
if __name__ == "__main__":
    for ending in ("-script.pyw", "-script.py", ".exe"):
        if sys.argv[0].endswith(ending):
            sys.argv[0] = sys.argv[0][: -len(ending)]
            break
    sys.exit({attribute}())
"""


class ScriptMaker:
    """Makes the scripts of one environment as its system needs them, which need not be the running one."""

    __slots__ = ("_executable", "_windows")

    def __init__(self, executable: str, windows: str = "") -> None:
        """Take the interpreter that runs the scripts, and the platform tag where it runs on Windows."""
        self._executable = executable
        self._windows = windows

    def entry_point(self, entry: EntryPoint, archive: str) -> tuple[str, bytes, bool]:
        """Return name and content of the file that calls an entry point, and whether it starts by itself.

        Only for one that `can_be_called`. On Windows, starting takes a launcher; without one the file is a
        script that has to be given to Python.

        Raises:
            UnsafeArchive: The name may not be used.
        """
        name, text = entry.name, script_text(entry)
        self.check(name, archive)
        if not self._windows:
            return name, shebang(self._executable) + text, True
        if name.lower().endswith((".py", ".pyw")):
            name = name.rpartition(".")[0]
            self.check(name, archive)
        first_line = windows_shebang(self._executable, gui=entry.gui)
        launcher = read_launcher(self._windows, gui=entry.gui)
        if launcher is None:
            return f"{name}-script.{'pyw' if entry.gui else 'py'}", first_line + text, False
        return f"{name}.exe", windows_program(launcher, first_line, text), True

    def shipped(self, content: bytes) -> bytes:
        """Return what is installed of a script that the wheel brings ready."""
        rewritten = rewrite_shebang(content, self._executable, windows=bool(self._windows))
        return content if rewritten is None else rewritten

    def check(self, name: str, archive: str) -> None:
        """Refuse names as `check_script` does, for this system."""
        check_script(name, archive, windows=bool(self._windows))


def can_be_called(entry: EntryPoint) -> bool:
    """Tell whether a program can name the entry point's module and function."""
    return all(
        _DOTTED(text) is not None and not any(map(keyword.iskeyword, text.split(".")))
        for text in (entry.module, entry.attribute)
    )


def script_text(entry: EntryPoint) -> bytes:
    """Return the program that calls an entry point's function, without a first line for the system."""
    assert can_be_called(entry), "generated code holds nothing but names"
    root = entry.attribute.partition(".")[0]
    return _TEXT.format(module=entry.module, root=root, attribute=entry.attribute).encode()


def shebang(executable: str, arguments: str = "", *, coding: bytes = b"") -> bytes:
    """Return the first line, or lines, that make a Python script run with this interpreter.

    A path that is too long, has a space in it or is no UTF-8 is no good for the kernel or for Python; the
    kernel also takes several arguments for one. ``/bin/sh`` then starts the interpreter, by lines that
    are a string without effect for Python.

    Args:
        executable: Absolute path of the interpreter, or ``/usr/bin/env`` with its name.
        arguments: What the interpreter gets, separated by single spaces.
        coding: A line that declares the encoding: Python looks for it in the first two lines only.
    """
    by_name = executable.startswith(_ENV)  # for places without an interpreter of their own
    if _ONE_WORD(executable.removeprefix(_ENV)) and not (" " in arguments or (by_name and arguments)):
        plain = f"#!{executable}{arguments and ' ' + arguments}\n".encode()
        if len(plain) <= _LONGEST_SHEBANG:
            return plain + coding
    command = executable if by_name else _quoted(executable)
    text = f"'''exec' {command}{arguments and ' ' + arguments} \"$0\" \"$@\"\n' '''\n"
    return b"#!/bin/sh\n" + coding + text.encode()


def windows_shebang(executable: str, arguments: str = "", *, gui: bool = False) -> bytes:
    """Return the line that tells a launcher of Windows which interpreter to start.

    Args:
        executable: Path of the interpreter, or its name alone.
        arguments: What it gets.
        gui: Without a console: ``pythonw.exe`` in place of ``python.exe``.
    """
    if gui:
        executable = _PYTHON_EXE.sub(r"\1pythonw\2\3", executable)
    quoted = f'"{executable}"' if " " in executable else executable
    return f"#!{quoted}{arguments and ' ' + arguments}\n".encode(errors="surrogateescape")


def rewrite_shebang(content: bytes, executable: str, *, windows: bool = False) -> bytes | None:
    """Return a shipped script with its ``#!python`` line replaced; None where it has none.

    Arguments in it are kept, which pip and uv drop, unless they hold more than plain words.
    """
    match = _SHEBANG.match(content)
    if match is None:
        return None
    arguments = " ".join(match[2].decode("latin-1").split())
    if not _SIMPLE_ARGUMENTS(arguments):  # they get into a program for the shell
        arguments = ""
    rest = content[match.end() :]
    if windows:
        return windows_shebang(executable, arguments, gui=match[1].startswith(b"w")) + rest
    declared = _CODING.match(rest)
    coding = b"" if declared is None else declared[0]
    end = b"" if coding.endswith(b"\n") or not coding else b"\n"
    return shebang(executable, arguments, coding=coding + end) + rest[len(coding) :]


def check_script(name: str, archive: str, *, windows: bool = False) -> None:
    """Refuse names that would leave the scripts folder or replace an interpreter.

    Raises:
        UnsafeArchive: The name may not be used.
    """
    check_script_name(name, archive)
    if _OTHER_INTERPRETER(name) or broken_rule(name, windows=windows):
        raise refused(archive, "script-name", name)


def wrapped_entry_point(script: str) -> str:
    """Return the entry point that a shipped file is a wrapper for, by its name; tools once packed them."""
    match = _WRAPPER(script)
    return script if match is None else match["name"]


def _quoted(path: str) -> str:
    """Quote a path for the shell so that the line also is the inside of a ``'''`` string of Python."""
    if _SAFE_IN_QUOTES(path) and "'''" not in path:
        return f'"{path}"'
    raw = path.encode(errors="surrogateescape")
    octal = "".join(chr(byte) if chr(byte) in _AS_IT_IS else f"\\0{byte:03o}" for byte in raw)
    return f"\"$(printf %b '{octal}')\""
