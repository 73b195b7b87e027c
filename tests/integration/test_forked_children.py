"""A client in a process that was forked off: it is the parent's, and says so instead of waiting for ever."""

from __future__ import annotations

import json
import os
import select
import signal

import pytest

from puffin_api import Installer, Resolver
from puffin_api.errors import Cancelled
from tests.integration.job_kit import versions, wheel

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def in_child(*calls):
    """Return what each call ended with in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        ends = [end_of(call) for call in calls]
        os.write(writing, json.dumps(ends).encode())
        os._exit(0)
    os.close(writing)
    is_there, _, _ = select.select([reading], [], [], 60)
    if not is_there:
        os.kill(child, signal.SIGKILL)
    with open(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    assert told, "the child waits for ever"
    return json.loads(told)


def end_of(call):
    try:
        call()
    except Cancelled as error:
        return error.reason
    except BaseException as error:  # noqa: BLE001  # told to the parent
        return repr(error)
    return "done"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_client_counts_as_closed_in_a_forked_child_and_goes_on_in_the_parent(serve, make_client, make_venv):
    client = make_client(serve(wheel("a", "1.0") | wheel("b", "1.0")))
    environment = make_venv()
    resolver, installer = Resolver(client), Installer(environment, client)
    resolution = resolver.resolve(["a"], target=environment)

    ends = in_child(
        lambda: resolver.resolve(["b"], target=environment),
        lambda: installer.install(resolution),
        client.close,
    )

    assert ends == ["closed", "closed", "done"]
    installer.install([*resolution.packages, "b"])
    assert versions(environment) == {"a": "1.0", "b": "1.0"}
