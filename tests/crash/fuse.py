"""Where an agent can be killed: points around its transactions and its messages, counted, one of them deadly."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from oboe.store.database import Session

__all__ = ["Deadly", "Fuse"]

T = TypeVar("T")


class Fuse:
    """Counts the points of one process; at the deadly one it ends the process as by a power switch. 0: never."""

    def __init__(self, record: Path, deadly: int) -> None:
        self._deadly = deadly
        self._lock = threading.Lock()
        self._count = 0
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def point(self, label: str) -> None:
        """One point. What was written to files before a SIGKILL stays: the record names the last one."""
        with self._lock:
            self._count += 1
            deadly = self._count == self._deadly
            os.write(self._record, f"{label}{' KILLED' if deadly else ''}\n".encode())
            if deadly:
                os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """Implements `oboe.store.database.Database` over another: three points in every transaction that writes."""

    def __init__(self, database: Any, fuse: Fuse) -> None:
        self._database = database
        self._fuse = fuse

    def write(self, work: Callable[[Session], T]) -> T:
        name = work.__qualname__.split(".<locals>")[0]

        def carried_out(session: Session) -> T:
            result = work(session)
            self._fuse.point(f"{name}: not committed")
            return result

        self._fuse.point(f"{name}: not begun")
        result: T = self._database.write(carried_out)
        self._fuse.point(f"{name}: committed")
        return result

    def read(self, work: Callable[[Session], T]) -> T:
        result: T = self._database.read(work)
        return result
