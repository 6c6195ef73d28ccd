"""The threads that carry out requests: every request has its answer, and their number is bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from oboe.api.shared import workers as module
from oboe.api.shared.exchange import Answer, Request
from oboe.api.shared.workers import Workers

T = TypeVar("T")
KEPT = 1 + module.SPARE
SECONDS = 30.0
REQUEST = Request(method="GET", target="/", path="/", query="", headers={}, body=b"", source="", received_at=0.0, started=0.0)


def test_every_request_has_its_own_answer() -> None:
    def carry_out(request: Request) -> Answer:
        return Answer(status=int(request.path))

    async def ask(workers: Workers) -> list[int]:
        requests = [_request(str(200 + number)) for number in range(50)]
        return [answer.status for answer in await asyncio.gather(*(workers.run(carry_out, each) for each in requests))]

    assert _with(Workers(3, 100, "t"), ask) == list(range(200, 250))


def test_what_goes_wrong_is_raised_where_it_was_asked() -> None:
    def carry_out(request: Request) -> Answer:
        raise LookupError(request.path)

    async def ask(workers: Workers) -> None:
        for _ in range(3):
            with pytest.raises(LookupError):
                await workers.run(carry_out, REQUEST)
        assert (await workers.run(lambda _: Answer(status=204), REQUEST)).status == 204

    _with(Workers(1, 10, "t"), ask)


def test_no_more_threads_than_allowed_and_all_in_flight_are_counted() -> None:
    go = threading.Event()
    names: set[str] = set()

    def carry_out(request: Request) -> Answer:
        names.add(threading.current_thread().name)
        assert go.wait(SECONDS)
        return Answer(status=200)

    async def ask(workers: Workers) -> None:
        waiting = [workers.run(carry_out, REQUEST) for _ in range(4)]
        assert not workers.busy
        waiting.append(workers.run(carry_out, REQUEST))
        assert workers.busy
        while len(names) < 2:
            await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*waiting)
        assert not workers.busy

    _with(Workers(2, 5, "t"), ask)
    assert names == {"t-0", "t-1"}


def test_who_waits_no_more_does_no_harm() -> None:
    go = threading.Event()

    def carry_out(request: Request) -> Answer:
        assert go.wait(SECONDS)
        return Answer(status=200)

    async def ask(workers: Workers) -> int:
        given_up = workers.run(carry_out, REQUEST)
        given_up.cancel()
        go.set()
        return (await workers.run(carry_out, REQUEST)).status

    assert _with(Workers(1, 5, "t"), ask) == 200


def test_its_threads_end_with_it() -> None:
    workers = Workers(2, 5, "ends")

    async def ask(workers: Workers) -> None:
        await asyncio.gather(*(workers.run(lambda _: Answer(status=200), REQUEST) for _ in range(2)))

    _with(workers, ask)
    for thread in [each for each in threading.enumerate() if each.name.startswith("ends-")]:
        thread.join(SECONDS)
        assert not thread.is_alive()


def _with(workers: Workers, ask: Callable[[Workers], Coroutine[Any, Any, T]]) -> T:
    try:
        return asyncio.run(ask(workers))
    finally:
        workers.stop()


def _request(path: str) -> Request:
    return Request(method="GET", target=path, path=path, query="", headers={}, body=b"", source="", received_at=0.0, started=0.0)


def test_who_waits_for_a_thread_gets_one_and_it_ends_when_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    go, running = threading.Event(), threading.Semaphore(0)
    names: set[str] = set()

    def carry_out(request: Request) -> Answer:
        names.add(threading.current_thread().name)
        running.release()
        assert go.wait(SECONDS)
        return Answer(status=200)

    async def ask(workers: Workers) -> None:
        waiting = [workers.run(carry_out, REQUEST) for _ in range(9)]
        for _ in range(7):
            await asyncio.to_thread(running.acquire, timeout=SECONDS)
        go.set()
        await asyncio.gather(*waiting)
        async with asyncio.timeout(SECONDS):
            while workers._threads > KEPT:
                await asyncio.sleep(0.01)
        assert (await workers.run(carry_out, REQUEST)).status == 200

    _with(Workers(7, 100, "t", processors=1), ask)
    assert len(names) == 7


def test_a_crowd_that_need_not_wait_has_no_more_threads_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", SECONDS)
    names: set[str] = set()

    def carry_out(request: Request) -> Answer:
        names.add(threading.current_thread().name)
        return Answer(status=200)

    async def ask(workers: Workers) -> None:
        for _ in range(50):
            await asyncio.gather(*(workers.run(carry_out, REQUEST) for _ in range(20)))

    _with(Workers(32, 100, "t", processors=1), ask)
    assert len(names) <= KEPT
