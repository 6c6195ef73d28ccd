"""What all APIs of an agent share: the threads that carry out, the memory for bodies, the count of failed guesses.

It belongs to one event loop; only what runs on its threads is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from oboe.api.shared.bounds import Bounds
from oboe.api.shared.exchange import Answer, Request
from oboe.api.shared.streams import Streams
from oboe.api.shared.throttle import Throttle
from oboe.api.shared.workers import Workers

__all__ = ["Full", "Held", "Room"]

LOCAL_WORKERS_MAX = 4
"""For callers on the unix socket, who must not wait behind strangers."""


class Full(Exception):
    """There is no memory for another body at the moment."""


class Room:
    """Use cases are synchronous, so each request takes one hop to a thread."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.throttle = Throttle()
        self.streams = Streams(self.bounds.streams_max)
        self._strangers = Workers(self.bounds.workers_max, self.bounds.in_flight_max, "api")
        self._locals = Workers(LOCAL_WORKERS_MAX, self.bounds.in_flight_max, "api-local")
        self._body_bytes = 0

    def busy(self, *, local: bool) -> bool:
        return (self._locals if local else self._strangers).busy

    @property
    def idle(self) -> bool:
        """Nothing is being carried out."""
        return self._strangers.idle and self._locals.idle

    async def run(self, carry_out: Callable[[Request], Answer], request: Request) -> Answer:
        return await (self._locals if request.local else self._strangers).run(carry_out, request)

    def take(self, size: int) -> None:
        """`Full` when bodies hold as much as they may."""
        if self._body_bytes + size > self.bounds.bodies_bytes_max:
            raise Full
        self._body_bytes += size

    def give(self, size: int) -> None:
        self._body_bytes -= size

    def stop(self) -> None:
        """Let those that run finish; begin no other."""
        self.streams.stop()
        self._strangers.stop()
        self._locals.stop()


class Held:
    """What one request holds of the room: given back when it ends, however it ends."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def take(self, size: int) -> None:
        self._room.take(size)
        self._size += size

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give(self._size)
