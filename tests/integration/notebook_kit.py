"""A program in an environment of its own that may start no other program."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig

from tests.integration.job_kit import SOURCE, TESTS

GUARD = """
import json, os, sys
os.environ["PATH"] = ""
_FORBIDDEN = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"}
_FORBIDDEN.add("os.system")

def _watch(event, arguments):
    if event in _FORBIDDEN:
        raise RuntimeError(f"a program was started: {event} {arguments}")

sys.addaudithook(_watch)
"""
"""Put before a program: every way to start another one fails."""


def run_in(environment, program, *arguments, library=True, check=True, python=None):
    """Run Python source with the interpreter of an environment; returns what it prints, read as JSON.

    Args:
        library: Lend it this library and what it needs, at the end of its path; else it has its own.
        check: Fail where it fails; else the finished process is returned.
        python: Another path of the interpreter.
    """
    lent = [str(SOURCE), sysconfig.get_path("purelib")] if library else []
    command = [str(python or environment.interpreter.path), "-c", GUARD + program, *map(str, arguments)]
    environ = {"PATH": "", "PYTHONPATH": os.pathsep.join([*lent, str(TESTS)] if library else [])}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=False, timeout=120, cwd=environment.root
    )
    if not check:
        return done
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
