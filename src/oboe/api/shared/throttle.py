"""Slows down answers to those who guess passwords; nobody else waits.

Each source has a number of free failures; every further one is answered later than the one before, up to a ceiling. A quiet time
forgives.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Throttle"]

FREE_FAILURES = 10
"""A client library that sends every failed request two or three times must not notice."""
FIRST_DELAY_SECONDS = 0.1
DELAY_SECONDS_MAX = 2.0
FORGIVEN_AFTER_SECONDS = 60.0
SOURCES_MAX = 10_000


class Throttle:
    """Counts failures by source. Not thread-safe: it belongs to the event loop."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, source: str, now: float) -> float:
        """How many seconds the answer to this failure has to wait. ``now`` is monotonic."""
        count, last = self._failures.pop(source, (0, now))
        count = 1 if now - last > FORGIVEN_AFTER_SECONDS else count + 1
        self._failures[source] = (count, now)
        if len(self._failures) > SOURCES_MAX:
            self._failures.popitem(last=False)
        beyond = count - FREE_FAILURES
        return min(FIRST_DELAY_SECONDS * 2.0 ** min(beyond - 1, 10), DELAY_SECONDS_MAX) if beyond > 0 else 0.0
