"""Free ports are free, and taken ones have a name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.ports import free_ports
from oboe.hosts.ports import first_free, is_free, listeners

ROOT = Path(__file__).parents[2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_port_that_is_listened_on_is_not_free(taken_port: int) -> None:
    assert not is_free(taken_port)


def test_the_listener_is_named(taken_port: int) -> None:
    found = listeners([taken_port])
    assert (set(found), found[taken_port].pid) == ({taken_port}, os.getpid())
    assert str(os.getpid()) in str(found[taken_port])


def test_a_port_is_free_again_once_its_server_is_gone() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        (port,) = free_ports(1)
        server.bind(("127.0.0.1", port))
        server.listen(1)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)
    assert is_free(port), "connections in TIME_WAIT do not count"


def test_the_first_free_port_is_neither_taken_nor_promised(taken_port: int) -> None:
    (free,) = free_ports(1)
    assert first_free(iter([taken_port, free]), taken=()) == free
    assert first_free(iter([taken_port, free]), taken=(free,)) is None
    assert first_free(iter([taken_port, free]), tries=1) is None


def test_what_is_promised_to_one_process_is_given_to_nobody_else() -> None:
    """Though nobody listens there yet; it is back when that process is gone."""
    program = "from demo.ports import free_ports; import sys; print(*free_ports(300), flush=True); sys.stdin.read()"
    held = set(free_ports(3))
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert other.stdout is not None
        promised = set(map(int, other.stdout.readline().split()))
        assert len(promised) == 300
        assert not promised & held
        assert not promised & set(free_ports(300))
    finally:
        other.communicate()
