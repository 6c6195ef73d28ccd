"""How the command line reaches an agent: over TCP, over TLS where it knows an authority, or over the unix socket in the agent's home."""

from __future__ import annotations

import http.client
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from oboe.config import Settings
from oboe.domain.errors import Refused
from oboe.domain.values import Address

__all__ = ["is_here", "open_connection", "open_local", "socket_of"]


def socket_of(home: Path) -> Path:
    return home / "run" / "oboe.sock"


def open_connection(address: Address, settings: Settings) -> http.client.HTTPConnection:
    """Connected. `OSError`, or `Refused` ``tls.authority``: the file cannot be read."""
    timeout = settings.client_connect_seconds
    if settings.client_ca_file:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address.ip, address.port, timeout=timeout, context=_trusting(settings.client_ca_file)
        )
    else:
        connection = http.client.HTTPConnection(address.ip, address.port, timeout=timeout)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sock.settimeout(settings.client_answer_seconds)
    return connection


def open_local(path: Path, settings: Settings) -> http.client.HTTPConnection:
    """Connected. `OSError`: nobody listens there, or the caller may not ask."""
    from oboe.hosts import local_socket

    connection = http.client.HTTPConnection("localhost")
    connection.sock = local_socket.connect(path, timeout=settings.client_connect_seconds)
    connection.sock.settimeout(settings.client_answer_seconds)
    return connection


def is_here(ip: str) -> bool:
    """Whether that address is one of this host's: the system lets only such be bound."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((ip, 0))
        return True
    return False


def _trusting(authority: str) -> Any:
    import ssl  # some 20 ms: only who speaks TLS pays

    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        hint = "it is run/ca.pem in the agent's home"
        raise Refused("tls.authority", f"{authority}: {getattr(error, 'strerror', None) or error}", hint=hint) from error
