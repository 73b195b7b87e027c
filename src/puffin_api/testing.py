"""Test doubles for programs that use the library, and for the library itself.

Everything here implements one of the protocols, or makes what an index serves. Nothing reaches
beyond the loopback interface.
"""

from __future__ import annotations

from puffin_api._testing.doubles import FailingRunner, RecordingReporter
from puffin_api._testing.fake_build_context import FakeBuildContext
from puffin_api._testing.fake_index import FakeIndex
from puffin_api._testing.fake_releases import FakeReleaseSource
from puffin_api._testing.fake_transport import FakeResponse, FakeTransport
from puffin_api._testing.faulty_fs import FaultyFs, Operation, SimulatedCrash
from puffin_api._testing.index_server import LoopbackIndex
from puffin_api._testing.wheels import make_sdist, make_wheel

__all__ = [
    "FailingRunner",
    "FakeBuildContext",
    "FakeIndex",
    "FakeReleaseSource",
    "FakeResponse",
    "FakeTransport",
    "FaultyFs",
    "LoopbackIndex",
    "Operation",
    "RecordingReporter",
    "SimulatedCrash",
    "make_sdist",
    "make_wheel",
]
