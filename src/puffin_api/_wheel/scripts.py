"""Scripts: launchers for entry points, ``#!python`` lines of shipped scripts, and what they may be called."""

from __future__ import annotations

import re

from puffin_api._wheel.rules import check_script_name, refused
from puffin_api.errors import InstallFailed, MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.cached import EntryPoint

# The kernel reads that many bytes of the first line (BINPRM_BUF_SIZE less the final zero).
_LONGEST_SHEBANG = 127
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*").fullmatch
_OTHER_INTERPRETER = re.compile(r"(?:pypy|graalpy)w?[\d.]*(?:\.exe)?", re.IGNORECASE).fullmatch
_SHEBANG = re.compile(rb"#!python(w?)([^\r\n]*)(\r?\n|$)")

_LAUNCHER = """\
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


def launcher(entry: EntryPoint, executable: str) -> bytes:
    """Return the text of a script that calls the entry point's function.

    Args:
        entry: Its name was checked with `check_script`.
        executable: Absolute path of the interpreter that runs it.

    Raises:
        MetadataInvalid: Module or attribute are no dotted names.
        InstallFailed: No first line can name this interpreter.
    """
    if not _DOTTED(entry.module) or not _DOTTED(entry.attribute):
        reason = f"the entry point {entry.name!r} does not name a function"
        raise MetadataInvalid(
            f"No script can be made: {reason}: {entry.module}:{entry.attribute}",
            source="entry_points.txt",
            reason=reason,
        )
    text = _LAUNCHER.format(
        module=entry.module, root=entry.attribute.partition(".")[0], attribute=entry.attribute
    )
    return shebang(executable) + text.encode()


def shebang(executable: str, arguments: str = "") -> bytes:
    """Return the first line, or lines, that make a Python script run with this interpreter.

    A path that is too long or has a space in it is no good for the kernel; ``/bin/sh`` then starts the
    interpreter, by lines that are a string without effect for Python.

    Raises:
        InstallFailed: The path cannot be quoted.
    """
    plain = f"#!{executable}{arguments and ' ' + arguments}\n".encode(errors="surrogateescape")
    # A command with its argument, for places without an interpreter of their own.
    spaced = not executable.startswith("/usr/bin/env ") and (" " in executable or "\t" in executable)
    if not spaced and len(plain) <= _LONGEST_SHEBANG:
        return plain
    extra = f" {arguments}" if arguments else ""
    text = f"#!/bin/sh\n'''exec' {_quoted(executable)}{extra} \"$0\" \"$@\"\n' '''\n"
    return text.encode(errors="surrogateescape")


def rewrite_shebang(content: bytes, executable: str) -> bytes | None:
    """Return a shipped script with its ``#!python`` line replaced; None where it has none."""
    match = _SHEBANG.match(content)
    if match is None:
        return None
    return shebang(executable, match[2].decode("latin-1").strip()) + content[match.end() :]


def check_script(name: str, archive: str) -> None:
    """Refuse names that would leave the scripts folder or replace an interpreter.

    Raises:
        UnsafeArchive: The name may not be used.
    """
    check_script_name(name, archive)
    if _OTHER_INTERPRETER(name):
        raise refused(archive, "script-name", name)


def _quoted(path: str) -> str:
    """Quote a path for the shell so that the line also is the inside of a ``'''`` string of Python."""
    if not any(char in path for char in '"$`\\\n\r'):
        return f'"{path}"'
    if not any(char in path for char in "'\\\n\r"):
        return f"'{path}'"
    raise InstallFailed(
        f"Scripts cannot start an interpreter with this path: {path!r}",
        hint="Put the environment into a folder without quotes, backslashes and line ends in its name.",
        path=path,
    )
