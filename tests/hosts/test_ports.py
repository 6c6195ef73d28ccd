"""Free ports are free, and taken ones have a name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from oboe.hosts.ports import first_free, is_free, listeners


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
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)
    assert is_free(port), "connections in TIME_WAIT do not count"


def test_the_first_free_port_is_neither_taken_nor_promised(taken_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert first_free(iter([taken_port, free]), taken=()) == free
    assert first_free(iter([taken_port, free]), taken=(free,)) is None
    assert first_free(iter([taken_port, free]), tries=1) is None
