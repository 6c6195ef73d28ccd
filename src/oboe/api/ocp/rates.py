"""How much one user may ask in a minute, and the headers that say how much of it is left (`ocp-task.md` §1.4).

A minute begins with a user's first request in it. Counts are of this agent, in memory.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

from oboe.domain.errors import Refused

__all__ = ["Rates", "Standing"]

WINDOW_SECONDS = 60.0
USERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a user stands after a request; ``reset`` is in seconds."""

    limit: int
    remaining: int
    reset: int
    is_over: bool

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        told = (("RateLimit-Limit", str(self.limit)), ("RateLimit-Remaining", str(self.remaining)), ("RateLimit-Reset", str(self.reset)))
        return (*told, ("Retry-After", str(self.reset))) if self.is_over else told

    def check(self) -> None:
        """`Refused` ``request.too_many``."""
        if self.is_over:
            hint = f"the next ones are answered in {self.reset} s"
            raise Refused("request.too_many", f"more than {self.limit} requests in {WINDOW_SECONDS:.0f} s", hint=hint)


class Rates:
    """Thread-safe. ``limit`` 0: nobody is counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, user: str, now: float) -> Standing | None:
        """One request more; ``now`` is monotonic."""
        if not self._limit:
            return None
        with self._lock:
            began, count = self._windows.pop(user, (now, 0))
            if now - began >= WINDOW_SECONDS:
                began, count = now, 0
            self._windows[user] = (began, count + 1)
            if len(self._windows) > USERS_MAX:
                self._windows.popitem(last=False)
        reset = max(math.ceil(began + WINDOW_SECONDS - now), 1)
        return Standing(self._limit, max(self._limit - count - 1, 0), reset, count >= self._limit)
