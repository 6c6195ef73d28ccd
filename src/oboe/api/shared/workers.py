"""Threads that carry out what an event loop hands to them: few while they get on, more when they wait.

An executor would do; handing a request to one and its answer back takes twice the time, though, most of it in futures that two sides
lock, and a request that is answered from memory has little else to wait for. Threads beyond what the processors can run cost most of
all (measured with ``benchmarks.load``: a tenth of all requests at 32 connections): each is woken for one request, while one that is
awake would have taken it next. But use cases wait, for other agents and for databases, so whatever has waited for a thread for a moment
gets one of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from oboe.api.shared.exchange import Answer, Request

__all__ = ["Workers"]

SPARE = 2
"""Threads that are kept beyond one for each processor."""
PATIENCE_SECONDS = 0.05
"""How long a request waits for a thread before one is started for it."""
IDLE_SECONDS = 2.0
"""After which one that is not kept ends."""


class _Job(NamedTuple):
    carry_out: Callable[[Request], Answer]
    request: Request
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]


class Workers:
    """Belongs to one event loop: its threads touch nothing of it but the queue, and call back."""

    def __init__(self, threads_max: int, in_flight_max: int, name: str, *, processors: int | None = None) -> None:
        self._threads_max = threads_max
        self._kept = min(threads_max, (processors or os.cpu_count() or 1) + SPARE)
        self._in_flight_max = in_flight_max
        self._name = name
        self._threads = 0
        self._in_flight = 0
        self._given = 0
        self._looks = False
        self._stopped = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    @property
    def busy(self) -> bool:
        return self._in_flight >= self._in_flight_max

    @property
    def idle(self) -> bool:
        return self._in_flight == 0

    def run(self, carry_out: Callable[[Request], Answer], request: Request) -> asyncio.Future[Answer]:
        """The answer, or what was raised."""
        loop = asyncio.get_running_loop()
        job = _Job(carry_out, request, loop, loop.create_future())
        self._in_flight += 1
        self._given += 1
        self._jobs.put(job)
        if self._in_flight > self._threads:
            if self._threads < self._kept:
                self._start(loop)
            else:
                self._look_later(loop)
        return job.answer

    def stop(self) -> None:
        """Let those that run finish; begin no other. After the loop has ended."""
        self._stopped = True
        for _ in range(self._threads):
            self._jobs.put(None)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        kept = self._threads < self._kept
        threading.Thread(target=self._work, args=(None if kept else loop,), name=f"{self._name}-{self._threads}", daemon=True).start()
        self._threads += 1

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._looks and self._threads < self._threads_max:
            self._looks = True
            loop.call_later(PATIENCE_SECONDS, self._look, loop, self._given)

    def _look(self, loop: asyncio.AbstractEventLoop, given: int) -> None:
        """Of those that were given by then, some may still wait: jobs are taken in their order."""
        self._looks = False
        waiting = self._jobs.qsize()
        late = given - (self._given - waiting)
        for _ in range(min(late, self._threads_max - self._threads)):
            self._start(loop)
        if waiting:
            self._look_later(loop)

    def _work(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """``loop``: of a thread that ends when there is nothing to do for a while."""
        try:
            while (job := self._jobs.get(timeout=None if loop is None else IDLE_SECONDS)) is not None and not self._stopped:
                self._carry_out(job)
                del job  # a thread that waits keeps no request alive
        except Empty:
            if loop is not None:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        self._threads -= 1

    def _carry_out(self, job: _Job) -> None:
        answer, trouble = None, None
        try:
            answer = job.carry_out(job.request)
        except BaseException as error:  # noqa: BLE001  it is raised again, in the loop
            trouble = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            job.loop.call_soon_threadsafe(self._hand_back, job.answer, answer, trouble)

    def _hand_back(self, waiting: asyncio.Future[Answer], answer: Answer | None, trouble: BaseException | None) -> None:
        self._in_flight -= 1
        if waiting.cancelled():
            return
        if answer is not None:
            waiting.set_result(answer)
        else:
            waiting.set_exception(trouble or AssertionError("a request was carried out without an answer"))
