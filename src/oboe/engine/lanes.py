"""Delivery to many destinations by few threads: in order for each destination, with backoff, and none delays another.

Invariants: a lane is ready, resting, or in the hands of one thread; a message stays in its lane until it is delivered, replaced by a
later one of the same tag, or not wanted any more.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from oboe.domain.errors import OboeError, TryAgain, Unreachable
from oboe.engine.limits import Limits

__all__ = ["Lanes"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    send: Callable[[], None]
    wanted: Callable[[], bool]


class _Lane:
    """What is on its way to one destination."""

    __slots__ = ("busy", "failures", "messages", "name", "queued", "trouble")

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.messages: dict[Hashable, _Message] = {}
        self.failures = 0
        self.trouble = ""
        self.queued = False
        """Ready or resting."""
        self.busy = False


class Lanes:
    """Thread-safe. Threads come when lanes are ready, and leave when they are idle for long."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._changed = threading.Condition()
        self._lanes: dict[Hashable, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._resting: list[tuple[float, int, _Lane]] = []
        self._count = 0
        self._threads = 0
        self._idle = 0
        self._closed = False

    def put(
        self, lane: Hashable, tag: Hashable, send: Callable[[], None], *, wanted: Callable[[], bool] = lambda: True, after: float = 0.0
    ) -> None:
        """Deliver by ``send``, which raises `Unreachable` or `TryAgain` to be called again later. The same tag replaces.

        ``after``: a lane that is empty waits so many seconds for more."""
        with self._changed:
            if self._closed:
                return
            found = self._lanes.get(lane)
            if found is None:
                found = self._lanes[lane] = _Lane(lane)
            found.messages[tag] = _Message(send, wanted)
            if found.queued or found.busy:
                return
            if after:
                self._rest_for(found, after)
                self._have_served()
            else:
                self._make_ready(found)

    def drop(self, lane: Hashable, tag: Hashable) -> None:
        """It need not be delivered any more."""
        with self._changed:
            found = self._lanes.get(lane)
            if found is not None:
                found.messages.pop(tag, None)

    def hurry(self, lane: Hashable) -> None:
        """The destination has been heard of: do not wait out its rest."""
        with self._changed:
            found = self._lanes.get(lane)
            if found is not None and found.queued and found.failures:
                self._resting = [entry for entry in self._resting if entry[2] is not found]
                heapq.heapify(self._resting)
                found.failures = 0
                if found not in self._ready:
                    self._make_ready(found)

    def stop(self) -> None:
        """Deliver nothing more. Calls that are under way end by themselves."""
        with self._changed:
            self._closed = True
            self._lanes.clear()
            self._ready.clear()
            self._resting.clear()
            self._changed.notify_all()

    def troubles(self) -> dict[Hashable, str]:
        """Destinations that did not answer last time, with the reason."""
        with self._changed:
            return {lane.name: lane.trouble for lane in self._lanes.values() if lane.trouble}

    @property
    def pending(self) -> int:
        """Messages not delivered yet."""
        with self._changed:
            return sum(len(lane.messages) for lane in self._lanes.values())

    def _make_ready(self, lane: _Lane) -> None:
        lane.queued = True
        self._ready.append(lane)
        self._have_served()

    def _have_served(self) -> None:
        """Somebody looks at it: one that idles, or one more."""
        if self._idle:
            self._changed.notify()
        elif self._threads < self._limits.lanes_max:
            self._threads += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (lane := self._next()) is not None:
            self._serve(lane)
        with self._changed:
            self._threads -= 1

    def _next(self) -> _Lane | None:
        """A lane to serve; None: this thread was idle for long, or all is over."""
        until = time.monotonic() + self._limits.lane_idle_seconds
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._resting and self._resting[0][0] <= now:
                    self._ready.append(heapq.heappop(self._resting)[2])
                if self._ready:
                    lane = self._ready.popleft()
                    lane.queued, lane.busy = False, True
                    if (self._ready or self._resting) and not self._idle:
                        self._have_served()  # one wake may have been for several lanes, and this one may take long
                    return lane
                rest = self._resting[0][0] if self._resting else None
                if rest is None and now >= until:
                    return None
                if rest is not None and self._idle and now >= until:
                    return None  # one idle thread is enough to watch those that rest
                self._idle += 1
                self._changed.wait((until if rest is None else rest) - now)
                self._idle -= 1
        return None

    def _serve(self, lane: _Lane) -> None:
        """Deliver its messages in order, until it is empty or the destination fails."""
        trouble = ""
        while not trouble:
            with self._changed:
                first = next(iter(lane.messages.items()), None)
            if first is None or self._closed:
                break
            tag, message = first
            delivered, trouble = self._send(lane, message)
            with self._changed:
                lane.trouble = trouble
                if delivered:
                    lane.failures = 0
                    if lane.messages.get(tag) is message:
                        del lane.messages[tag]
        with self._changed:
            lane.busy = False
            if trouble and not self._closed:
                self._rest(lane)
            elif lane.messages and not self._closed:
                self._make_ready(lane)
            elif not lane.messages:
                self._lanes.pop(lane.name, None)

    def _send(self, lane: _Lane, message: _Message) -> tuple[bool, str]:
        """Whether that message is over, and what is wrong with the destination."""
        try:
            if message.wanted():
                message.send()
        except (Unreachable, TryAgain) as error:
            return False, error.message
        except OboeError as error:
            _log.warning("%s to %s: refused: %s", self._name, lane.name, error)
        except Exception:  # noqa: BLE001 - a bad message must not end the thread, nor hold the lane
            _log.exception("%s to %s", self._name, lane.name)
        return True, ""

    def _rest(self, lane: _Lane) -> None:
        lane.failures += 1
        limits = self._limits
        self._rest_for(lane, min(limits.backoff_seconds_max, limits.backoff_seconds_min * 2 ** min(lane.failures, 16)))
        if self._idle:
            self._changed.notify()

    def _rest_for(self, lane: _Lane, seconds: float) -> None:
        self._count += 1
        lane.queued = True
        heapq.heappush(self._resting, (time.monotonic() + seconds, self._count, lane))
