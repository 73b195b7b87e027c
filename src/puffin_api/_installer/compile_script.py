"""Compiles the files of a list; run by the interpreter whose modules they are, from Python 3.8 on."""

from __future__ import annotations

import os
import py_compile
import sys

SEPARATOR = b"\0"


def main(listed: str, told: str) -> None:
    """Compile the files that ``listed`` names, and write what became of them to ``told``.

    ``told`` gets a line with the number of each file before it is compiled, and the reason behind it where
    that fails: should a file end the interpreter, the last line says which.
    """
    with open(listed, "rb") as file:
        paths = file.read().split(SEPARATOR)
    output = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, path in enumerate(paths):
        os.write(output, b"\n%d " % number)
        reason = compile_file(os.fsdecode(path))
        if reason:
            os.write(output, " ".join(reason.split()).encode("utf-8", "backslashreplace"))
    os.write(output, b"\nend")
    os.close(output)


def compile_file(path: str) -> str:
    """Compile one file beside itself; return why that is not possible, nothing if it was."""
    try:
        # The time as always: a source that is edited later gets compiled again.
        mode = py_compile.PycInvalidationMode.TIMESTAMP
        py_compile.compile(path, doraise=True, invalidation_mode=mode)
    except FileNotFoundError:
        return ""  # somebody removed it meanwhile
    except py_compile.PyCompileError as error:
        return str(error.exc_value) or error.exc_type_name
    except Exception as error:  # noqa: BLE001  # it is told, and the next file has its turn
        return "{}: {}".format(type(error).__name__, error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
