"""How long one wait of a step lasts: its own timeout, and what a person adds while it lasts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from oboe.domain.errors import Bug
from oboe.domain.values import SECOND

__all__ = ["Patience", "seconds_of"]


def seconds_of(value: float, what: str) -> float:
    """`Bug` ``wait.no_seconds``: every wait ends."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Bug("wait.no_seconds", f"the {what} of a wait is a number of seconds, not {value!r:.100}")
    return value


class Patience:
    """Begins now. ``extended`` says until when a person has given this attempt time (nanoseconds); what was given before does not count."""

    __slots__ = ("_clock", "_end", "_extended", "_known", "since", "until")

    def __init__(self, timeout: float, *, clock: Callable[[], int], extended: Callable[[], int]) -> None:
        """`Bug` ``wait.no_seconds``."""
        seconds_of(timeout, "timeout")
        self._clock = clock
        self._extended = extended
        self._known = extended()
        self._end = time.monotonic() + timeout
        self.since = clock()
        self.until = self.since + int(timeout * SECOND)

    def left(self) -> float:
        """Seconds; 0 or less: it gives up."""
        given = self._extended()
        if given > self._known:
            self._known = given
            self._end = max(self._end, time.monotonic() + (given - self._clock()) / SECOND)
            self.until = max(self.until, given)
        return self._end - time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it lasts, all in all."""
        return (self.until - self.since) / SECOND
