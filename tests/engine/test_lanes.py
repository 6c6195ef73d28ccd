"""Delivery: in order for each destination, again until it succeeds, and none delays another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from oboe.domain.errors import Refused, Unreachable
from oboe.engine.lanes import Lanes
from oboe.engine.limits import Limits
from tests.engine.site import eventually

QUICK = Limits(backoff_seconds_min=0.002, backoff_seconds_max=0.02, lane_idle_seconds=0.2, lanes_max=2)


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    made = Lanes("trial", QUICK)
    yield made
    made.stop()


def failing(times: int, then: Callable[[], None]) -> Callable[[], None]:
    left = [times]

    def send() -> None:
        if left[0] > 0:
            left[0] -= 1
            raise Unreachable("away", "no answer")
        then()

    return send


def test_messages_of_a_lane_arrive_in_order_though_the_first_fails(lanes: Lanes) -> None:
    arrived: list[int] = []
    lanes.put("a", 1, failing(3, lambda: arrived.append(1)))
    for number in range(2, 6):
        lanes.put("a", number, lambda number=number: arrived.append(number))  # type: ignore[misc]
    eventually(lambda: arrived == [1, 2, 3, 4, 5])
    assert lanes.pending == 0


def test_a_lane_that_hangs_delays_no_other(lanes: Lanes) -> None:
    go, arrived = threading.Event(), []
    lanes.put("slow", 1, lambda: go.wait(60))
    for number in range(50):
        lanes.put(f"agent {number}", 1, lambda number=number: arrived.append(number))  # type: ignore[misc]
    eventually(lambda: len(arrived) == 50)
    go.set()


def test_one_wake_for_two_lanes_leaves_neither_to_the_other(lanes: Lanes) -> None:
    go, first, arrived = threading.Event(), threading.Event(), threading.Event()
    lanes.put("first", 1, first.set)
    assert first.wait(60)
    eventually(lambda: lanes._idle == 1)
    try:
        with lanes._changed:  # the thread that idles is told twice before it can look once
            lanes.put("slow", 1, lambda: go.wait(20))
            lanes.put("quick", 1, arrived.set)
        assert arrived.wait(60)
    finally:
        go.set()


def test_many_lanes_that_are_away_keep_no_thread(lanes: Lanes) -> None:
    away, arrived = [True], []

    def send(number: int) -> None:
        if away[0]:
            raise Unreachable("away", "no answer")
        arrived.append(number)

    for number in range(20):
        lanes.put(f"away {number}", 1, lambda number=number: send(number))  # type: ignore[misc]
    eventually(lambda: len(lanes.troubles()) == 20)
    reached = threading.Event()
    lanes.put("near", 1, reached.set)
    assert reached.wait(60)
    away[0] = False
    eventually(lambda: sorted(arrived) == list(range(20)))
    eventually(lambda: not lanes.troubles())


def test_a_later_message_of_the_same_tag_replaces_and_what_is_not_wanted_is_dropped(lanes: Lanes) -> None:
    arrived: list[str] = []
    busy = threading.Event()
    lanes.put("a", "first", lambda: busy.wait(60))
    lanes.put("a", "x", lambda: arrived.append("old"))
    lanes.put("a", "x", lambda: arrived.append("new"))
    lanes.put("a", "y", lambda: arrived.append("unwanted"), wanted=lambda: False)
    lanes.put("a", "z", lambda: arrived.append("dropped"))
    lanes.drop("a", "z")
    busy.set()
    eventually(lambda: lanes.pending == 0)
    assert arrived == ["new"]


def test_a_refusal_is_not_repeated_and_holds_nothing_up(lanes: Lanes) -> None:
    tried, arrived = [], []

    def refused() -> None:
        tried.append(1)
        raise Refused("no", "not here")

    lanes.put("a", 1, refused)
    lanes.put("a", 2, lambda: arrived.append(2))
    eventually(lambda: arrived == [2])
    assert tried == [1]
