"""Threads that carry out what an event loop hands to them.

An executor would do; handing a request to one and its answer back takes twice the time, though, most of it in futures that two sides
lock (measured with ``benchmarks.load``), and a request that is answered from memory has little else to wait for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

from oboe.api.shared.exchange import Answer, Request

__all__ = ["Workers"]


class _Job(NamedTuple):
    carry_out: Callable[[Request], Answer]
    request: Request
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]


class Workers:
    """Belongs to one event loop. Threads are started when they are needed, and stay."""

    def __init__(self, threads_max: int, in_flight_max: int, name: str) -> None:
        self._threads_max = threads_max
        self._in_flight_max = in_flight_max
        self._name = name
        self._threads = 0
        self._in_flight = 0
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
        if self._in_flight >= self._threads and self._threads < self._threads_max:
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._threads += 1
        self._in_flight += 1
        self._jobs.put(job)
        return job.answer

    def stop(self) -> None:
        """Let those that run finish; begin no other. After the loop has ended."""
        self._stopped = True
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopped:
            self._carry_out(job)
            del job  # a thread that waits keeps no request alive

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
