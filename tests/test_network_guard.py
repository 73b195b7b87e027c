"""The guard of conftest.py: tests reach loopback and nothing else."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st


def test_a_foreign_address_is_refused():
    with socket.socket() as sock, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        sock.connect(("192.0.2.1", 80))


def test_a_foreign_name_is_not_even_looked_up():
    with pytest.raises(RuntimeError, match=r"index\.invalid"):
        socket.create_connection(("index.invalid", 443))


def test_loopback_is_reached():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()


@given(st.integers(0, 3))
def test_the_guard_stands_in_property_tests_too(last):
    with socket.socket() as sock, pytest.raises(RuntimeError, match="mark it"):
        sock.connect((f"198.51.100.{last}", 80))
