"""Who was verified lately: for those, work may begin before their next request is."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["Regulars"]

LATELY_SECONDS = 60.0
SOURCES_MAX = 1000


class Regulars:
    """By source. Thread-safe; times are Unix seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def note(self, source: str, now: float) -> None:
        """Somebody there was verified."""
        with self._lock:
            self._seen[source] = now
            self._seen.move_to_end(source)
            if len(self._seen) > SOURCES_MAX:
                self._seen.popitem(last=False)

    def knows(self, source: str, now: float) -> bool:
        return now - self._seen.get(source, float("-inf")) <= LATELY_SECONDS
