"""Reads that answer everybody who asked before they began: of many who wait for the same thing, one asks the store.

Invariant: whoever reads gets what the store said at a moment after he asked. A read may therefore be shared with all who asked before it
began, whether it still runs or has ended, and with nobody who asked later: he might have been told of a change that it did not see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from oboe.domain.errors import OboeError

__all__ = ["SharedReads"]

T = TypeVar("T")

NAMES_MAX = 8
WAIT_SECONDS = 5.0
"""For a read of somebody else; then one's own."""


class _Turn(Generic[T]):
    """One read. ``ended`` is held while it runs; then there is what it ``found``, or why not: ``trouble``."""

    __slots__ = ("began", "ended", "found", "trouble")

    def __init__(self) -> None:
        self.ended = threading.Lock()
        self.ended.acquire()
        self.found: tuple[T, ...] = ()
        self.trouble: OboeError | None = None
        self.began = time.monotonic()


class SharedReads(Generic[T]):
    """By name of what is read. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, _Turn[T]] = {}
        """The latest of each name."""

    def read(self, name: Hashable, asked_at: float, read: Callable[[], T]) -> T:
        """What ``read`` gives, here or in another's turn that began at ``asked_at`` (monotonic seconds) or later. Raises what it raises."""
        with self._lock:
            turn, is_new = self._turn(name, asked_at)
        if is_new:
            return _take(turn, read)
        if turn.ended.acquire(timeout=WAIT_SECONDS):
            turn.ended.release()
        if turn.trouble is not None:
            raise turn.trouble  # a store that is away keeps nobody waiting twice
        return turn.found[0] if turn.found else read()

    def _turn(self, name: Hashable, asked_at: float) -> tuple[_Turn[T], bool]:
        """The latest, or a new one if that began too early; whether it is new, and has to be taken."""
        turn = self._turns.get(name)
        if turn is not None and turn.began >= asked_at:
            return turn, False
        self._turns.pop(name, None)
        turn = self._turns[name] = _Turn()
        if len(self._turns) > NAMES_MAX:
            del self._turns[next(iter(self._turns))]
        return turn, True


def _take(turn: _Turn[T], read: Callable[[], T]) -> T:
    try:
        value = read()
        turn.found = (value,)
        return value
    except OboeError as error:
        turn.trouble = error
        raise
    finally:
        turn.ended.release()
