"""One commit for what many threads ask for at once.

Whoever finds nobody at it leads: it carries out what is queued, its own first, then passes the lead to the next in the queue, and wakes
those who were served. So who comes alone hands nothing over, and a crowd shares one commit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Place", "Together"]

T = TypeVar("T")
R = TypeVar("R")


class Place(Generic[T, R]):
    """What one thread asks for, and what came of it: an answer or a failure."""

    __slots__ = ("answer", "done", "failure", "item", "wait")

    def __init__(self, item: T) -> None:
        self.item = item
        self.answer: R | None = None
        self.failure: BaseException | None = None
        self.done = False
        self.wait: threading.Lock | None = None
        """Released when it is done, or is to lead; None for one that leads at once."""


class Together(Generic[T, R]):
    """Thread-safe. ``work`` fills the places in; what it raises, it raises for all of them."""

    def __init__(self, work: Callable[[Sequence[Place[T, R]]], None], *, batch_max: int) -> None:
        self._work = work
        self._batch_max = batch_max
        self._queue: deque[Place[T, R]] = deque()
        self._gate = threading.Lock()
        """Guards ``_queue`` and ``_led``; held for an instant."""
        self._led = False
        """Somebody is at it, or is about to be."""

    def __call__(self, item: T) -> R:
        """Once it is carried out; the wait is bounded by that of ``work``."""
        place: Place[T, R] = Place(item)
        with self._gate:
            self._queue.append(place)
            leads = not self._led
            self._led = True
            if not leads:
                place.wait = threading.Lock()
                place.wait.acquire()
        if place.wait is not None:
            place.wait.acquire()
        if not place.done:
            self._lead(place)
        if place.failure is not None:
            raise place.failure
        return place.answer  # type: ignore[return-value]

    def _lead(self, own: Place[T, R]) -> None:
        places: list[Place[T, R]] = []
        try:
            places += [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_max))]
            self._work(places)
        except BaseException as failure:
            for place in places:
                place.failure = place.failure or failure
            if own not in places:  # interrupted before it began
                raise
        finally:
            with self._gate:
                if not places and own in self._queue:
                    self._queue.remove(own)
                following = self._queue[0] if self._queue else None
                self._led = following is not None
            for place in places:
                place.done = True
            for one in (*places, following):
                if one is not None and one.wait is not None:
                    one.wait.release()
