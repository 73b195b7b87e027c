"""What the tests of the client share: servers, clients, a clock that stands still."""

from __future__ import annotations

import pytest

from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.store import EntryStore
from puffin_api._client.auth import Credentials
from puffin_api._client.registry import Registry
from puffin_api._client.retry import Retries
from puffin_api._client.transport import Urllib3Transport
from puffin_api._concurrency import WorkerPool
from puffin_api._model.options import Index, RetryPolicy, Timeouts
from puffin_api._testing.index_server import LoopbackIndex
from puffin_api._testing.wheels import make_wheel


class Clock:
    """A time that moves only when told, and takes down how long it was slept."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds, cancel) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def retries(clock):
    return Retries(RetryPolicy(attempts=3), sleep=clock.sleep, clock=clock, chance=lambda: 1.0)


@pytest.fixture
def closing():
    """Close what a test makes, last first."""
    made = []
    yield lambda thing: made.append(thing) or thing
    for thing in reversed(made):
        thing.close()


@pytest.fixture
def make_transport(closing, retries):
    def make(**options):
        options.setdefault("retries", retries)
        options.setdefault("timeouts", Timeouts(connect=5, idle=5))
        return closing(Urllib3Transport(**options))

    return make


@pytest.fixture
def make_pool(closing):
    return lambda size=8: closing(WorkerPool(size))


@pytest.fixture
def serve():
    """Serve wheels: `serve({"a": ["1.0", "2.0"]}, etag=False)`."""
    servers = []

    def start(projects=None, **options):
        server = LoopbackIndex(**options)
        for name, versions in (projects or {}).items():
            for version in versions:
                server.add(f"{name}-{version}-py3-none-any.whl", make_wheel(name, version))
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def make_registry(tmp_path, make_transport, retries, clock):
    """Make a new client over one cache folder, as a new process would."""

    def make(*indexes, cache=True, transport=None, **options):
        given = [Index(i.url) if isinstance(i, LoopbackIndex) else i for i in indexes]
        layout = CacheLayout(tmp_path / "cache") if cache else None
        return Registry(
            given,
            transport=transport
            or make_transport(credentials=Credentials.of([i for i in given if isinstance(i, Index)])),
            layout=layout,
            store=EntryStore(layout) if layout is not None else None,
            retries=retries,
            clock=clock,
            **options,
        )

    return make
