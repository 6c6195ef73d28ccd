"""The dags that a scheduler keeps in memory, when time will change them, and who waits to see them change.

Invariants: only the scheduler's thread changes ``dags`` and timers; a dag is here only as it was last saved; a watcher that registered
before a change is told of it.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from oboe.domain import fold
from oboe.domain.model import Dag

__all__ = ["Listener", "Live"]

_log = logging.getLogger(__name__)

Listener = Callable[[Dag, Dag], None]
"""Hears of a change, before and after, while the turn is held: it must be quick."""


class Live:
    """See the module."""

    def __init__(self) -> None:
        self.dags: dict[str, Dag] = {}
        self._heap: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}
        self._lock = threading.Lock()
        self._watchers: dict[str, list[_Told]] = {}
        self._closed = False
        self._listeners: tuple[Listener, ...] = ()

    # Dags and their times

    def put(self, before: Dag, after: Dag, *, keep: bool, spoke: bool = False) -> None:
        """That is how it was saved; ``keep``: it may still go on by itself; ``spoke``: lines were saved with it."""
        if keep:
            self.dags[after.key] = after
        else:
            self.drop(after.key)
        if self._watchers and (spoke or after is not before):
            self._tell(after)
        if after is before:
            return
        for listener in self._listeners:
            try:
                listener(before, after)
            except Exception:  # noqa: BLE001 - what looks on must not disturb what is looked at
                _log.exception("a listener failed")

    def drop(self, key: str) -> None:
        self.dags.pop(key, None)
        self._due.pop(key, None)

    def wake_at(self, key: str, at: int) -> None:
        """At the latest. Earlier times that were named before stand."""
        known = self._due.get(key)
        if at and (known is None or at < known):
            self._due[key] = at
            heapq.heappush(self._heap, (at, key))

    def due(self, now: int) -> list[str]:
        """Dags whose time has come; their next time is named when they have been woken."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                found.append(key)
        return found

    def time_again(self, key: str) -> None:
        """After it was woken by time: the exact next one."""
        dag = self.dags.get(key)
        if dag is not None and key not in self._due:
            self.wake_at(key, fold.next_timer(dag))

    @property
    def next_time(self) -> int:
        """When the next dag is due; 0: none."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else 0

    # Watchers

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of every change; the answer ends it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)
        return lambda: self.unlisten(listener)

    def unlisten(self, listener: Listener) -> None:
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def wait_version(self, key: str, known_version: int, timeout: float, load: Callable[[str], Dag | None]) -> Dag | None:
        """The dag once its version is past ``known_version``; after ``timeout`` seconds as it stands; None: there is none."""
        deadline = time.monotonic() + timeout
        with self._told_of(key, _Told(known_version)) as told:
            dag = self.dags.get(key) or load(key)
            if dag is None or dag.version > known_version:
                return dag
            told.event.wait(max(0.0, deadline - time.monotonic()))
            return told.dag or dag

    @contextmanager
    def watching(self, key: str) -> Iterator[threading.Event]:
        """Set by whatever is saved of that dag from now on: a change, or lines. Also set once nobody is told any more."""
        with self._told_of(key, _Told(-1)) as told:
            yield told.event

    @contextmanager
    def _told_of(self, key: str, told: _Told) -> Iterator[_Told]:
        with self._lock:
            self._watchers.setdefault(key, []).append(told)
            if self._closed:
                told.event.set()
        try:
            yield told
        finally:
            with self._lock:
                left = [other for other in self._watchers[key] if other is not told]
                if left:
                    self._watchers[key] = left
                else:
                    del self._watchers[key]

    def close(self) -> None:
        """Nobody is kept waiting any more: the agent stops."""
        with self._lock:
            self._closed = True
            for told in (each for watchers in self._watchers.values() for each in watchers):
                told.event.set()

    def _tell(self, dag: Dag) -> None:
        with self._lock:
            for told in self._watchers.get(dag.key, ()):
                told.dag = dag
                if dag.version > told.known_version:
                    told.event.set()


class _Told:
    """Somebody who waits for a version."""

    __slots__ = ("dag", "event", "known_version")

    def __init__(self, known_version: int) -> None:
        self.known_version = known_version
        self.event = threading.Event()
        self.dag: Dag | None = None
