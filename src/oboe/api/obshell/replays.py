"""Remembers the headers that were used, until they expire: each may be used once.

Invariant: a header that was accepted is not accepted again. When there is no room left, those that expire first are forgotten and
everything that expires no later than they do is refused from then on; fresh headers expire later.
"""

from __future__ import annotations

import threading

__all__ = ["Replays"]

HEADERS_MAX = 100_000


class Replays:
    """Used headers by the second in which they expire. Thread-safe."""

    def __init__(self, limit: int = HEADERS_MAX) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._by_expiry: dict[int, set[bytes]] = {}
        self._count = 0
        self._refused_until = 0

    def use(self, keys: bytes, expires: int, now: float) -> bool:
        """True the first time, False for ever after. ``expires`` is a Unix second that has not ended."""
        with self._lock:
            used = self._by_expiry.setdefault(expires, set())
            if keys in used or expires <= self._refused_until:
                return False
            used.add(keys)
            self._count += 1
            if self._count > self._limit:
                self._forget(now)
            return True

    def release(self, keys: bytes, expires: int) -> None:
        """It was no use after all: somebody else refused it."""
        with self._lock:
            used = self._by_expiry.get(expires, set())
            if keys in used:
                used.remove(keys)
                self._count -= 1

    def _forget(self, now: float) -> None:
        for second in sorted(self._by_expiry):
            if second >= int(now):
                if self._count <= self._limit:
                    return
                self._refused_until = second
            self._count -= len(self._by_expiry.pop(second))
