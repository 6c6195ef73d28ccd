"""TCP ports of this host: which are free, who listens on the others."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass

__all__ = ["Listener", "first_free", "is_free", "listeners", "silence"]

_REACH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens on a port; pid 0 and an empty name when this user may not know."""

    port: int
    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name or 'a process'} ({self.pid or 'of another user'})"


def is_free(port: int) -> bool:
    """Whether a server could listen on it now, on every address. Connections of a server that went away do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def silence(ip: str, port: int) -> str:
    """Why nobody can be reached there; empty: somebody can."""
    try:
        socket.create_connection((ip, port), timeout=_REACH_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def first_free(candidates: Iterator[int], *, taken: Collection[int] = (), tries: int = 512) -> int | None:
    """The first candidate that is free and not ``taken``; None after so many."""
    for _, port in zip(range(tries), candidates, strict=False):
        if port not in taken and is_free(port):
            return port
    return None


def listeners(wanted: Collection[int]) -> dict[int, Listener]:
    """Who listens on each of these ports; those that nobody listens on are left out."""
    import psutil  # on first use: an agent that starts does without

    found: dict[int, Listener] = {}
    for connection in psutil.net_connections("tcp"):
        port = connection.laddr.port if connection.laddr else 0
        if connection.status == psutil.CONN_LISTEN and port in wanted and port not in found:
            found[port] = Listener(port, connection.pid or 0, _name(connection.pid))
    return found


def _name(pid: int | None) -> str:
    import psutil

    try:
        return psutil.Process(pid).name() if pid else ""
    except psutil.Error:
        return ""
