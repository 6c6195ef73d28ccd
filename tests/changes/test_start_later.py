"""A start not before a time: the maintenance lock is taken when it begins, and while another dag holds it, the start waits and says so."""

from __future__ import annotations

import threading
import time

from oboe.api.obshell.ids import encode
from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, State

from .conftest import Place


def _ended(dag: Dag) -> bool:
    return fold.dag_state(dag) in (State.SUCCEEDED, State.FAILED)


def _waits(place: Place, dag: Dag) -> str:
    shown = place.json("task", "show", encode(dag.home, dag.id))
    assert (shown["state"], shown["operator"], [node["state"] for node in shown["nodes"]]) == ("RUNNING", "RUN", ["PENDING"])
    return str(shown["additional_data"]["oboe"]["waits_for"])


def test_a_dag_begins_not_before_its_time_and_locks_nothing_until_then(place: Place) -> None:
    later = place.start("Locked trial", not_before=time.time_ns() + 3600 * SECOND)
    assert _waits(place, later).startswith("its start, not before ")
    place.open("only")
    first = place.start("Locked trial")
    assert fold.dag_state(place.until(first, _ended)) is State.SUCCEEDED
    assert fold.dag_state(place.dag(later)) is State.READY


def test_a_start_waits_while_another_dag_holds_the_lock_says_so_and_begins_when_it_is_free(place: Place) -> None:
    holder = place.start("Locked trial")
    place.until(holder, lambda now: now.sub_tasks[0].state is State.RUNNING)
    later = place.start("Locked trial", not_before=time.time_ns() + SECOND // 5)
    other = place.start("Trial")
    deadline = time.monotonic() + 20
    while later.key not in place.agent.engine._own.scheduler._advancer.held:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    assert "Locked trial holds the maintenance lock on everything since 20" in _waits(place, later)
    place.until(other, lambda now: now.sub_tasks[0].state is State.RUNNING)  # it holds nobody else up
    place.cli("task", "pause", encode(later.home, later.id), "--why", "not yet")
    place.cli("task", "resume", encode(later.home, later.id))
    assert not fold.begun(place.dag(later))
    place.open("only")
    place.until(holder, _ended)
    assert fold.dag_state(place.until(later, _ended)) is State.SUCCEEDED
    assert place.dag(later).sub_tasks[0].readied_at >= place.dag(holder).ended_at


def test_a_start_that_waits_can_be_cancelled(place: Place) -> None:
    holder = place.start("Locked trial")
    later = place.start("Locked trial", not_before=1)
    place.cli("task", "cancel", encode(later.home, later.id), "--no-wait")
    assert fold.dag_state(place.until(later, _ended)) is State.FAILED
    place.cli("task", "pass", encode(later.home, later.id), "--no-wait")
    assert fold.settled(place.dag(later))
    place.open("only")
    place.until(holder, _ended)
