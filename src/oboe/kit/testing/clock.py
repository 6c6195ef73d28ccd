"""A clock that stands still until somebody waits, and does at its time what the test planned."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from oboe.domain.values import SECOND

__all__ = ["Clock"]

_EPOCH = 1_700_000_000 * SECOND
"""Where it begins: late enough that nothing takes it for *never*."""


class Clock:
    """``now`` is nanoseconds since the Unix epoch, as everywhere; ``seconds`` counts from the beginning of the test."""

    def __init__(self) -> None:
        self.now = _EPOCH
        self.moved: Callable[[], None] = lambda: None
        """Called after every move."""
        self._planned: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()

    @property
    def seconds(self) -> float:
        return (self.now - _EPOCH) / SECOND

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do it when ``seconds`` of the test have passed: a file appears, a signal is told, a person cancels."""
        heapq.heappush(self._planned, (_EPOCH + int(seconds * SECOND), next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Let time pass; what is planned happens on the way, each at its time."""
        self.advance_to(self.now + int(seconds * SECOND))

    def advance_to(self, now: int) -> None:
        """Likewise, until ``now``."""
        while self._planned and self._planned[0][0] <= now:
            at, _, action = heapq.heappop(self._planned)
            self.now = max(self.now, at)
            action()
            self.moved()
        self.now = max(self.now, now)
        self.moved()

    def next_planned(self) -> int:
        """When something is planned next, nanoseconds; 0: nothing is."""
        return self._planned[0][0] if self._planned else 0
