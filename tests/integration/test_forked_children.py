"""A client in a process that was forked off: it is the parent's, and says so instead of waiting for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

PROGRAM = """
import os, sys
from pathlib import Path
from puffin_api import Cache, Client, Installer, Interpreter, Resolver
from puffin_api.errors import Cancelled
from puffin_api.testing import LoopbackIndex, make_wheel

def end_of(call):
    try:
        call()
    except Cancelled as error:
        return error.reason
    return "done"

with LoopbackIndex() as index:
    for name in "ab":
        index.add(f"{name}-1.0-py3-none-any.whl", make_wheel(name, "1.0"))
    client = Client(indexes=[index.url], cache=Cache(Path(sys.argv[1]) / "cache"))
    environment = Interpreter.current().create_venv(Path(sys.argv[1]) / "env")
    resolver, installer = Resolver(client), Installer(environment, client)
    resolution = resolver.resolve(["a"], target=environment)
    child = os.fork()
    if child == 0:
        first = end_of(lambda: resolver.resolve(["b"], target=environment))
        print(first, end_of(lambda: installer.install(resolution)), end_of(client.close), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    installer.install(["a", "b"])
    print(sorted(dist.name for dist in environment.installed()))
    client.close()
"""


def test_a_client_counts_as_closed_in_a_forked_child_and_goes_on_in_the_parent(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines() == ["closed closed done", "['a', 'b']"]
