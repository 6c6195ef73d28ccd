"""A unix socket in an agent's home: the agent listens, and the kernel's word says who asks; no password does.

A socket's path has at most 107 bytes, a home's may have more; so both sides reach it through a descriptor of its directory.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oboe.domain.errors import Refused

__all__ = ["connect", "listen", "may_ask", "peer_uid"]

_CREDENTIALS = struct.Struct("3i")


def listen(path: Path, *, backlog: int) -> socket.socket:
    """A socket of mode 0600 in place of one that an earlier life left; its directory is closed to others. `Refused` ``agent.bad_home``."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with _short(path) as name:
            listener.bind(name)
        path.chmod(0o600)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        hint = "the home must be on a local disk"
        raise Refused("agent.bad_home", f"cannot listen on {path}: {error.strerror or error}", hint=hint) from error
    listener.setblocking(False)
    return listener


def connect(path: Path, *, timeout: float) -> socket.socket:
    """A connection to the agent that listens there. `OSError` when none does, or the caller may not."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with _short(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


def peer_uid(descriptor: int) -> int:
    """Whose process is at the other end, as the kernel says."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def may_ask(uid: int) -> bool:
    """Root, and whoever the agent runs as: they could read its home anyway."""
    return uid in (0, os.geteuid())


@contextmanager
def _short(path: Path) -> Iterator[str]:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
