"""Remembers the headers that were used, until they expire: each may be used once, also after a restart of the agent.

Invariant: keys that were accepted are not accepted again before they expire, in whatever header. When there is no room left, those that
expire first are forgotten and everything that expires no later than they do is refused from then on; fresh headers expire later.
"""

from __future__ import annotations

import logging
import threading
import time
from hashlib import blake2b
from pathlib import Path

from oboe.api.obshell.used import DIGEST_BYTES, UsedHeaders

__all__ = ["Replays"]

HEADERS_MAX = 100_000
_log = logging.getLogger(__name__)


class Replays:
    """Used headers by the second in which they expire. Thread-safe. ``file``: where they are kept across restarts; None: nowhere."""

    def __init__(self, limit: int = HEADERS_MAX, *, file: Path | None = None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._by_expiry: dict[int, set[bytes]] = {}
        """Digests of keys."""
        self._places: dict[bytes, int] = {}
        """Where each is kept, whenever it expires."""
        self._refused_until = 0
        self._free: list[int] = []
        self._never_taken = 0
        self._kept: UsedHeaders | None = None
        if file is not None:
            self._open(file)

    def use(self, keys: bytes, expires: int, now: float) -> bool:
        """True the first time, False for ever after. ``expires`` is a Unix second that has not ended."""
        digest = blake2b(keys, digest_size=DIGEST_BYTES).digest()
        with self._lock:
            if expires <= self._refused_until or digest in self._places:
                return False
            self._by_expiry.setdefault(expires, set()).add(digest)
            self._places[digest] = place = self._place()
            if self._kept is not None:
                self._kept.take(place, expires, digest)
            if len(self._places) > self._limit:
                self._forget(now)
            return True

    def release(self, keys: bytes, expires: int) -> None:
        """It was no use after all: somebody else refused it."""
        digest = blake2b(keys, digest_size=DIGEST_BYTES).digest()
        with self._lock:
            used = self._by_expiry.get(expires, set())
            if digest not in used:
                return
            used.remove(digest)
            place = self._places.pop(digest)
            self._free.append(place)
            if self._kept is not None:
                self._kept.leave(place)

    def close(self) -> None:
        """Remembers in memory alone from then on."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _place(self) -> int:
        if self._free:
            return self._free.pop()
        self._never_taken += 1
        return self._never_taken - 1

    def _forget(self, now: float) -> None:
        for second in sorted(self._by_expiry):
            if second >= int(now):
                if len(self._places) <= self._limit:
                    return
                self._refused_until = second
                if self._kept is not None:
                    self._kept.refuse_until(second)
            self._free.extend(self._places.pop(digest) for digest in self._by_expiry.pop(second))

    def _open(self, file: Path) -> None:
        try:
            self._kept = kept = UsedHeaders(file, self._limit + 1, time.time())
        except OSError as error:
            _log.error("%s cannot be used, a restart will forget which headers were used: %s", file, error.strerror)
            return
        for place, expires, digest in kept.found:
            self._by_expiry.setdefault(expires, set()).add(digest)
            self._places[digest] = place
        self._refused_until, self._free, self._never_taken = kept.refused_until, kept.free, kept.never_taken
