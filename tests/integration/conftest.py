"""What whole jobs have in common: an index on loopback, clients, environments."""

from __future__ import annotations

import pytest

from puffin_api import Cache, Client, Interpreter
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import ONE_TRY, graph_files, install, wheel
from tests.integration.source_kit import Journal


@pytest.fixture
def serve():
    """Serve files: `serve({name: bytes}, etag=False)`; closed after the clients."""
    servers = []

    def start(files=None, *, kind=LoopbackIndex, **options):
        server = kind(files, **options)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def make_client(serve, tmp_path):
    """Make a client for indexes; all share one cache unless told otherwise."""
    clients = []

    def make(*indexes, **options):
        options.setdefault("cache", Cache(tmp_path / "cache"))
        options.setdefault("retries", ONE_TRY)
        client = Client(indexes=[getattr(index, "url", index) for index in indexes], **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def make_venv(tmp_path):
    """Create a virtual environment of the running interpreter."""
    return lambda name="venv": Interpreter.current().create_venv(tmp_path / name)


@pytest.fixture
def environment(make_venv, serve, make_client):
    """One that has something in it, which the jobs of these tests would upgrade."""
    environment = make_venv()
    install(make_client(serve(wheel("log", "0.5"))), environment, "log")
    return environment


@pytest.fixture
def index(serve):
    return serve(graph_files())


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")
