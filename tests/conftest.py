"""What holds for every test: no network but loopback, and one Hypothesis profile."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("local", deadline=None)
# Health checks measure time; a busy machine must not fail a test.
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


class NetworkBlocked(RuntimeError):
    """A test went beyond loopback. Deliberately no OSError: code under test must not handle it."""


def is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guard_address(address: object) -> None:
    # Addresses that are no tuples are paths of Unix sockets.
    if isinstance(address, tuple) and not is_loopback(address[0]):
        raise NetworkBlocked(f"a test wanted to reach {address[0]!r}; mark it `network` if it must")


@pytest.fixture(autouse=True)
def _loopback_only(request, monkeypatch):
    if request.node.get_closest_marker("network"):
        return
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self, address):
        _guard_address(address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        _guard_address(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        _guard_address((host,))
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
