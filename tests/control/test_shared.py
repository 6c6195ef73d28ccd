"""A read that several share: one asks, and nobody is told what was true only before he asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from oboe.control.shared import NAMES_MAX, SharedReads
from oboe.domain.errors import TryAgain

SECONDS = 30.0


class Store:
    """Says what it held when it was asked, once it is let."""

    def __init__(self) -> None:
        self.holds = 0
        self.reads = 0
        self.slow = threading.Event()
        self.slow.set()
        self.asked = threading.Semaphore(0)

    def read(self) -> int:
        self.reads += 1
        seen = self.holds
        self.asked.release()
        assert self.slow.wait(SECONDS)
        return seen


def test_who_asked_before_a_read_began_is_answered_by_it() -> None:
    shared, store = SharedReads[int](), Store()
    asked_at = [time.monotonic() for _ in range(5)]
    assert [shared.read("dag", each, store.read) for each in asked_at] == [0] * 5
    assert store.reads == 1


def test_who_asks_later_reads_anew() -> None:
    shared, store = SharedReads[int](), Store()
    assert shared.read("dag", time.monotonic(), store.read) == 0
    store.holds = 1
    assert shared.read("dag", _later(), store.read) == 1
    assert shared.read("another", 0.0, store.read) == 1
    assert store.reads == 3


def test_a_read_that_runs_answers_those_who_asked_before_it_and_no_others() -> None:
    shared, store = SharedReads[int](), Store()
    before = time.monotonic()
    store.slow.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(shared.read, "dag", before, store.read)
        assert store.asked.acquire(timeout=SECONDS)
        store.holds = 1
        waits = pool.submit(shared.read, "dag", before, store.read)
        late = pool.submit(shared.read, "dag", _later(), store.read)
        assert store.asked.acquire(timeout=SECONDS)
        store.slow.set()
        assert (first.result(SECONDS), late.result(SECONDS)) == (0, 1)
        assert waits.result(SECONDS) in (0, 1)
    assert store.reads == 2


def test_a_store_that_is_away_is_asked_once_by_all_who_came_before() -> None:
    shared, store = SharedReads[int](), Store()
    asked_at = time.monotonic()
    for _ in range(2):
        with pytest.raises(TryAgain):
            shared.read("dag", asked_at, _is_away)
    assert shared.read("dag", _later(), store.read) == 0


def test_a_failure_without_a_name_is_its_readers_own() -> None:
    shared, store = SharedReads[int](), Store()
    asked_at = time.monotonic()

    def fails() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        shared.read("dag", asked_at, fails)
    assert shared.read("dag", asked_at, store.read) == 0


def test_few_names_are_kept() -> None:
    shared, store = SharedReads[int](), Store()
    for name in range(3 * NAMES_MAX):
        shared.read(name, 0.0, store.read)
    assert shared.read(0, 0.0, store.read) == 0
    assert store.reads == 3 * NAMES_MAX + 1
    assert len(shared._turns) <= NAMES_MAX


def test_nobody_is_told_what_was_overwritten_before_he_asked() -> None:
    """Readers and a writer at random: what a writer was told is done before a question, the answer has."""
    shared, done, stop = SharedReads[int](), [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            done[0] += 1

    def readers(count: int) -> int:
        wrong = 0
        for _ in range(count):
            known, asked_at = done[0], time.monotonic()
            wrong += shared.read("dag", asked_at, _slowly(lambda: done[0])) < known
        return wrong

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(readers, [100] * 6)) == 0
    finally:
        stop.set()
        writer.join(SECONDS)


def _is_away() -> int:
    raise TryAgain("store.away", "it is away")


def _slowly(read: Callable[[], int]) -> Callable[[], int]:
    def slow() -> int:
        seen = read()
        time.sleep(0.0005)
        return seen

    return slow


def _later() -> float:
    """A moment after everything that has begun; the clock may stand for some."""
    now = time.monotonic()
    while time.monotonic() == now:
        pass
    return time.monotonic()
