"""The bounded pool of workers that carries out attempts.

Who wants to start attempts first *reserves* slots, makes them durable, then *starts* them; so a step that is RUNNING in its home has a
worker. Invariants: at most one attempt of a sub-task is known at a time, from `start` until its owner says `forget`; ``busy`` counts the
reserved slots and never exceeds the limit. A worker that ignores an interrupt gives its slot back and is counted in ``given_up``: its
attempt stays known, so that no later attempt of that sub-task begins beside it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from oboe.domain.messages import Fence, LogLine, Order, Report
from oboe.domain.values import Stopping
from oboe.engine.attempt import Attempt, Tools
from oboe.engine.jottings import Jottings
from oboe.engine.leftovers import Burial

__all__ = ["Executor"]

_GROW_SECONDS = 0.001
"""How long a job may wait for a worker to come back before another worker is hired."""

_log = logging.getLogger(__name__)

Job = Attempt | Burial


class Executor:
    """Thread-safe. Workers are hired when jobs wait, and leave when they are idle for long."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._jottings = Jottings(tools.work_root)
        self._limits = tools.limits
        self._jobs: deque[Attempt] = deque()
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], Job] = {}
        self._starved: list[Callable[[], None]] = []
        self._workers = 0
        self._parked: list[threading.Lock] = []
        """Of each worker without a job, the lock that wakes it; who came last is woken first, so that the others may leave."""
        self._woken = False
        """One of them is on its way to a job. One is enough: it wakes the next when it finds more than it takes."""
        self._closed = False
        self.busy = 0
        self.given_up = 0
        self._wake = threading.Event()
        self._grow_at = 0.0
        self._show_at = 0.0
        self._to_show: set[Attempt] = set()
        self._told: deque[tuple[float, Attempt]] = deque()
        self._mine = threading.local()
        """Of a worker whose step is over: it takes the next job itself, so that nothing is handed from thread to thread."""
        self._keeper = threading.Thread(target=self._keep, name="executor-keeper", daemon=True)
        self._keeper.start()

    # Slots

    def reserve(self, count: int, *, starved: Callable[[], None]) -> int:
        """So many slots, or fewer; if fewer, ``starved`` is called once when one is given back."""
        with self._lock:
            granted = 0 if self._closed else max(0, min(count, self._limits.workers_max - self.busy))
            self.busy += granted
            if granted < count and starved not in self._starved:
                self._starved.append(starved)
            return granted

    def give_back(self, count: int) -> None:
        """Slots that were reserved and not used, or whose attempts are over."""
        with self._lock:
            self.busy -= count
            waiting, self._starved = self._starved, []
        for starved in waiting:
            starved()

    @property
    def free(self) -> int:
        """Slots that are not reserved, at this moment."""
        return max(0, self._limits.workers_max - self.busy)

    @property
    def workers(self) -> int:
        """Threads, at this moment."""
        return self._workers

    # Attempts

    def knows(self, dag_key: str, sub_task: int) -> Fence | None:
        """The attempt of that sub-task which is not forgotten yet."""
        job = self._known.get((dag_key, sub_task))
        return None if job is None else job.fence

    def start(self, order: Order, sink: Callable[[Report], None], *, resumed: bool = False) -> None:
        """Carry the order out on a reserved slot; ``sink`` gets its reports, the last one after the slot is given back."""
        self._enlist(Attempt(order, self.tools, sink, self._notice, jottings=self._jottings, resumed=resumed))

    def bury(self, fence: Fence, end: Callable[[tuple[LogLine, ...]], None]) -> None:
        """End what an earlier life of this agent left running of that attempt, then call ``end`` with the last lines that it wrote.

        Takes no slot."""
        burial = Burial(fence, self.tools.work_root, self.tools.end_recorded, lambda: end(self._jottings.left(fence)))
        self._known[(fence.dag_key, fence.sub_task)] = burial
        threading.Thread(target=burial.carry_out, name="burial", daemon=True).start()

    def interrupt(self, fence: Fence, cause: Stopping) -> bool:
        """Tell that attempt to stop. False: it is not known here."""
        job = self._known.get((fence.dag_key, fence.sub_task))
        if job is None or job.fence != fence:
            return False
        if isinstance(job, Attempt) and not job.ended:
            first = job.cause is None
            job.interrupt(cause)
            if first:
                self._told.append((time.monotonic() + self._limits.stubborn_seconds, job))
                self._wake.set()
        return True

    def signalled(self, dag_key: str, signals: Mapping[str, Any]) -> None:
        """Tell the running attempts of that dag which signals it has."""
        for job in tuple(self._known.values()):
            if job.fence.dag_key == dag_key and isinstance(job, Attempt):
                job.signalled(signals)

    def extended(self, fence: Fence, until: int) -> None:
        """A person gave that attempt time until then, nanoseconds."""
        job = self._known.get((fence.dag_key, fence.sub_task))
        if isinstance(job, Attempt) and job.fence == fence:
            job.extended(until)

    def forget(self, fence: Fence) -> None:
        """Its outcome is taken up: a later attempt may begin."""
        place = (fence.dag_key, fence.sub_task)
        job = self._known.get(place)
        if job is not None and job.fence == fence:
            del self._known[place]

    def attempts(self) -> list[Attempt]:
        """Those that are going on."""
        return [job for job in tuple(self._known.values()) if isinstance(job, Attempt) and not job.ended]

    def stop(self, timeout: float) -> bool:
        """Start nothing more; wait for what runs, then leave it as it is. Whether everything ended by itself."""
        with self._lock:
            self._closed = True
        deadline = time.monotonic() + timeout
        quiet = threading.Event()
        while self.attempts() and time.monotonic() < deadline:
            quiet.wait(0.01)
        left = self.attempts()
        for attempt in left:
            attempt.suspend()
        with self._lock:
            parked, self._parked = self._parked, []
        for lock in parked:
            lock.release()
        self._wake.set()
        self._keeper.join(1.0)
        self._jottings.close()
        return not left

    # Workers

    def _enlist(self, job: Attempt) -> None:
        self._known[(job.fence.dag_key, job.fence.sub_task)] = job
        if getattr(self._mine, "free", False):
            self._mine.free, self._mine.job = False, job
            return
        with self._lock:
            self._jobs.append(job)
            lock = self._one_to_wake()
        if lock is not None:
            lock.release()
        elif not self._grow_at:
            if self._workers == 0:
                self._hire()
            self._grow_at = time.monotonic() + _GROW_SECONDS
            self._wake.set()

    def _one_to_wake(self) -> threading.Lock | None:
        """Of a parked worker, if jobs wait and nobody is on the way to them. Under ``_lock``; the caller releases it."""
        if not self._jobs or self._woken or not self._parked:
            return None
        self._woken = True
        return self._parked.pop()

    def _hire(self) -> None:
        with self._lock:
            if self._closed or self._workers - self.given_up >= self._limits.workers_max:
                return
            self._workers += 1
        try:
            threading.Thread(target=self._work, name="worker", daemon=True).start()
        except RuntimeError:  # the host has no more threads; the keeper tries again as long as jobs wait
            _log.exception("a worker could not be hired")
            with self._lock:
                self._workers -= 1

    def _work(self) -> None:
        """A worker: take a job, carry it out, until idle for long."""
        mine = self._mine
        mine.job = None
        while True:
            job = mine.job or self._next()
            mine.job = None
            if job is None:
                break
            try:
                job.carry_out(lambda job=job: self._release(job))  # type: ignore[misc]
            except Exception:  # noqa: BLE001 - a thread's work ends here; the home's timers take care of the sub-task
                _log.exception("an attempt of dag %s could not be reported", job.fence.dag_key)
            mine.free = False
        with self._lock:
            self._workers -= 1

    def _next(self) -> Attempt | None:
        """None: it is time to leave."""
        mine = threading.Lock()
        mine.acquire()
        while True:
            with self._lock:
                if self._closed and not self._jobs:
                    return None
                job = self._jobs.popleft() if self._jobs else None
                other = self._one_to_wake()
                if job is None:
                    self._parked.append(mine)
            if other is not None:
                other.release()
            if job is not None:
                return job
            woken = mine.acquire(timeout=self._limits.worker_idle_seconds)
            with self._lock:
                if mine in self._parked:
                    self._parked.remove(mine)
                    if self._jobs:
                        continue
                    return None
                self._woken = False
                if not woken:
                    mine.acquire()  # it was woken as its time ran out

    def _release(self, job: Attempt) -> None:
        self._to_show.discard(job)
        with self._lock:
            job.released = True
            if job.given_up:
                self.given_up -= 1
                return
        self._mine.free = True
        self.give_back(1)

    def _notice(self, attempt: Attempt) -> None:
        """It has something to show; the first one sets the time when all are asked."""
        self._to_show.add(attempt)
        if not self._show_at:
            self._show_at = time.monotonic() + self._limits.flush_seconds
            self._wake.set()

    # The keeper: hires, collects lines, watches those that were told to stop

    def _keep(self) -> None:
        while not self._closed:
            first = self._told[0][0] if self._told else 0.0
            due = min(filter(None, (self._grow_at, self._show_at, first)), default=0.0)
            self._wake.wait(max(0.0, due - time.monotonic()) if due else None)
            self._wake.clear()
            now = time.monotonic()
            if self._grow_at and now >= self._grow_at:
                self._grow()
            if self._show_at and now >= self._show_at:
                self._show()
            while self._told and self._told[0][0] <= now:
                self._give_up(self._told.popleft()[1])

    def _grow(self) -> None:
        self._grow_at = 0.0
        with self._lock:
            lock = self._one_to_wake()
            waiting = len(self._jobs) - len(self._parked) - self._woken
        if lock is not None:
            lock.release()
        for _ in range(max(0, min(waiting, 1 + self._workers))):
            self._hire()
        if waiting > 0:
            self._grow_at = time.monotonic() + _GROW_SECONDS

    def _show(self) -> None:
        self._show_at = 0.0
        attempts, self._to_show = self._to_show, set()
        for attempt in attempts:
            attempt.show()

    def _give_up(self, attempt: Attempt) -> None:
        """It was told to stop long ago: kill its commands, and count its worker as lost if it still goes on."""
        if attempt.released:
            return
        threading.Thread(target=attempt.kill, name="killer", daemon=True).start()
        with self._lock:
            if attempt.released:
                return
            attempt.given_up = True
            self.given_up += 1
        _log.warning("dag %s sub-task %d ignores its interrupt", attempt.dag_key, attempt.fence.sub_task)
        self.give_back(1)
