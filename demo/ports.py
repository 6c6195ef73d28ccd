"""Ports of loopback for agents and databases that are started side by side, by one program or by several at once.

Looking whether a port is free says nothing of who begins to listen on it a moment later. So each is promised: to one process at a time,
for as long as that process lives or until it has asked for many more. An agent that is ended and started again finds its port free.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["RPC_OFFSET", "free_ports"]

RPC_OFFSET = 1000
"""From an agent's port to the one where it talks to others, where nothing else was said."""
_PORTS = range(10000, 20000)
"""Below those that systems give to outgoing connections, and those that seekdb's driver chooses for databases."""
_PROMISED_MAX = 400
"""Of one process; the oldest are given back first."""


class _Promises:
    """Locks on single bytes of a file that all processes of a user share: the system takes them back from whoever dies.

    They are the process's, so opening the file a second time, and closing that, would lose them all."""

    def __init__(self) -> None:
        self._file = os.open(Path(tempfile.gettempdir()) / f"oboe-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self._own: deque[int] = deque()

    def take(self, ports: Sequence[int]) -> bool:
        """All of them or none."""
        taken: list[int] = []
        for port in ports:
            if port in self._own or not self._lock(port):
                break
            taken.append(port)
        if len(taken) < len(ports):
            self._unlock(taken)
            return False
        self._own.extend(taken)
        return True

    def give_back(self, ports: Sequence[int]) -> None:
        """They are of no use: somebody who promises nothing listens there."""
        for port in ports:
            self._own.remove(port)
        self._unlock(ports)

    def forget_the_oldest(self) -> None:
        while len(self._own) > _PROMISED_MAX:
            self._unlock([self._own.popleft()])

    def _lock(self, port: int) -> bool:
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            return True
        return False

    def _unlock(self, ports: Sequence[int]) -> None:
        for port in ports:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, port)


_promises = _Promises()
"""One for each process, as the locks are."""


def free_ports(count: int, *, offset: int = 0) -> list[int]:
    """Ports on which nobody listens now, on any address, and which nobody else is given; with ``offset``, those so far above them as well.

    `OSError` when there are not so many."""
    found: list[int] = []
    start = int.from_bytes(os.urandom(2)) % len(_PORTS)
    for step in range(len(_PORTS)):
        if len(found) == count:
            break
        port = _PORTS[(start + step) % len(_PORTS)]
        together = [port, port + offset] if offset else [port]
        if together[-1] not in _PORTS or not _promises.take(together):
            continue
        if all(map(_is_free, together)):
            found.append(port)
        else:
            _promises.give_back(together)
    if len(found) < count:
        raise OSError(f"there are no {count} free ports between {_PORTS.start} and {_PORTS.stop}")
    _promises.forget_the_oldest()
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
