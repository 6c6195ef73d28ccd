"""Where an agent can be killed: points around its transactions and its messages, one of them deadly."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from oboe.store.database import Session
from oboe.store.mysql import Mysql
from oboe.store.mysql.connection import Connect
from oboe.store.sqlite import Sqlite

__all__ = ["DeadlyMysql", "DeadlySqlite", "Fuse", "Point"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Point:
    """The so-many-th time that a place is passed in one life of a process."""

    label: str
    count: int

    def __str__(self) -> str:
        return f"{self.label} (#{self.count})"


class Fuse:
    """Names the points of one process as it passes them; at the deadly one it ends the process as a power switch would."""

    def __init__(self, record: Path, deadly: Point | None) -> None:
        self._deadly = deadly
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def point(self, label: str) -> None:
        """One point. What was written to files before a SIGKILL stays: the record ends with the deadly one."""
        with self._lock:
            self._counts[label] += 1
            os.write(self._record, f"{label}\n".encode())
            if self._deadly == Point(label, self._counts[label]):
                os.kill(os.getpid(), signal.SIGKILL)


class DeadlySqlite(Sqlite):
    """Three points in every transaction that writes."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path, log_bytes=0)  # a log that is long from the start only costs time here

    def write(self, work: Callable[[Session], T]) -> T:
        return _write(self._fuse, super().write, work)


class DeadlyMysql(Mysql):
    """Likewise. What is not committed when its process dies is left to the server."""

    def __init__(self, connect: Connect, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(connect)

    def write(self, work: Callable[[Session], T]) -> T:
        return _write(self._fuse, super().write, work)


def _write(fuse: Fuse, write: Callable[[Callable[[Session], T]], T], work: Callable[[Session], T]) -> T:
    name = work.__qualname__.split(".<locals>")[0]

    def carried_out(session: Session) -> T:
        result = work(session)
        fuse.point(f"{name}: not committed")
        return result

    fuse.point(f"{name}: not begun")
    result = write(carried_out)
    fuse.point(f"{name}: committed")
    return result
