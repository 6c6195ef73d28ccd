"""How far this agent has seen the cluster's store go: by that, a store that went back is known for what it is.

A mark is the epoch of the lease, the database that was the primary in it, and the end of the lease by that database's clock, which moves on
with every renewal. In one epoch the primary is one and the end never falls. A database that became the primary otherwise than in a new
epoch may lack the last commits of the one before; one whose epoch or end fell was put back to an earlier moment.

Invariant: a mark moves to another primary, or another epoch, only forwards; the epoch grows in the transaction in which somebody who
compared the marks of all members has taken the lease.
"""

from __future__ import annotations

import threading
import time

from oboe.membership.local import LocalAgent
from oboe.membership.verbs import StoreMark

__all__ = ["Marks", "contradicts"]

_FACT = "store_mark"
_KEEP_EVERY_SECONDS = 60.0
"""A renewal alone is written down that often: what is only in memory still notices a store that goes back under a running agent."""


def contradicts(seen: StoreMark, mark: StoreMark) -> bool:
    """Whether a store that was once seen so cannot have come to where ``mark`` says it is without losing something."""
    if mark.epoch != seen.epoch:
        return mark.epoch < seen.epoch
    return bool(seen.seat) and (mark.seat != seen.seat or mark.beat < seen.beat)


class Marks:
    """Thread-safe. Forgotten with everything else of a cluster that this agent leaves."""

    def __init__(self, local: LocalAgent) -> None:
        self._local = local
        self._lock = threading.Lock()
        self._newest = StoreMark()
        self._kept_at = 0.0

    def own(self) -> StoreMark:
        """The furthest that this agent has seen; epoch 0: nothing yet."""
        with self._lock:
            return self._own()

    def move(self, mark: StoreMark) -> bool:
        """Remember it. False, and nothing is remembered, if the store cannot have come there without losing something."""
        if not mark.epoch:
            return not self.own().epoch
        with self._lock:
            before = self._own()
            if contradicts(before, mark):
                return False
            self._newest = mark
            if (mark.epoch, mark.seat) != (before.epoch, before.seat) or time.monotonic() - self._kept_at > _KEEP_EVERY_SECONDS:
                self._write(mark)
            return True

    def write_down(self) -> None:
        """This agent stops."""
        with self._lock:
            mark = self._own()
            if mark.epoch:
                self._write(mark)

    def _write(self, mark: StoreMark) -> None:
        self._local.keep(**{_FACT: [mark.epoch, mark.seat, mark.beat]})
        self._kept_at = time.monotonic()

    def _own(self) -> StoreMark:
        kept = self._local.value(_FACT)
        if not kept:
            return StoreMark()
        written = StoreMark(*kept)
        same = (written.epoch, written.seat) == (self._newest.epoch, self._newest.seat)
        return self._newest if same and self._newest.beat > written.beat else written
