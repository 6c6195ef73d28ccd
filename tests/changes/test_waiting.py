"""What a person may change while a dag waits: asked on the command line of a real agent, seen on every face."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oboe.api.obshell.ids import encode
from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, State
from oboe.store.audit import Audit

from .conftest import Place


def _id(dag: Dag) -> str:
    return encode(dag.home, dag.id)


def _states(dag: Dag) -> list[str]:
    return [each.state.name for each in dag.sub_tasks]


def _over(dag: Dag) -> bool:
    return fold.dag_state(dag) in (State.SUCCEEDED, State.FAILED)


def _recorded(place: Place) -> list[tuple[str, str, Any, Any]]:
    audit = Audit(place.agent._database)
    return [(line.who, line.what, line.before, line.after) for line in reversed(audit.newest())]


def test_a_paused_dag_begins_nothing_until_it_is_resumed_and_says_who_and_why(place: Place) -> None:
    dag = place.start("Trial")
    place.until(dag, lambda now: _states(now)[0] == "RUNNING")
    place.cli("task", "pause", _id(dag), "--why", "lunch", "--who", "ann")
    place.open("first")
    paused = place.until(dag, lambda now: _states(now)[0] == "SUCCEEDED")
    assert _states(paused) == ["SUCCEEDED", "PENDING"]

    shown = place.json("task", "show", _id(dag))
    assert (shown["state"], shown["operator"]) == ("RUNNING", "RUN")
    assert [node["state"] for node in shown["nodes"]] == ["SUCCEED", "PENDING"]
    assert shown["additional_data"]["oboe"] == {"waits_for": "paused by ann: lunch"}
    assert (shown["oboe"]["paused"]["who"], shown["oboe"]["paused"]["why"], shown["oboe"]["paused"]["until"]) == ("ann", "lunch", None)
    assert "… waits: paused by ann: lunch" in place.cli("task", "show", _id(dag)).stdout

    place.open("second")
    assert place.cli("task", "resume", _id(dag), "--who", "bob").stdout.startswith("resumed\n")
    assert _states(place.until(dag, _over)) == ["SUCCEEDED", "SUCCEEDED"]
    told = [(who, what, before["paused"] and before["paused"]["why"]) for who, what, before, _ in _recorded(place)]
    assert told == [("ann", "PAUSE dag", None), ("bob", "RESUME dag", "lunch")]


def test_a_pause_with_an_end_goes_on_by_itself(place: Place) -> None:
    place.open("first")
    place.open("second")
    dag = place.start("Held trial")
    place.until(dag, lambda now: _states(now)[0] == "SUCCEEDED")
    place.cli("task", "pause", _id(dag), "--why", "a moment", "--until", "+2s")
    place.cli("task", "approve", _id(dag), "second", "--why", "fine")
    assert _states(place.dag(dag))[1] == "PENDING"
    ended = place.until(dag, _over)
    assert (_states(ended), ended.paused) == (["SUCCEEDED", "SUCCEEDED"], None)


def test_a_node_waits_for_its_approval_and_the_record_says_who_gave_it(place: Place) -> None:
    place.open("first")
    place.open("second")
    dag = place.start("Held trial")
    held = place.until(dag, lambda now: _states(now)[0] == "SUCCEEDED")
    assert _states(held) == ["SUCCEEDED", "PENDING"]
    shown = place.json("task", "show", _id(dag))
    assert (shown["state"], shown["nodes"][1]["state"]) == ("RUNNING", "PENDING")
    assert shown["additional_data"]["oboe"]["waits_for"] == "the approval of 'second'"

    dry = place.json("task", "approve", _id(dag), "second", "--why", "checked", "--dry-run")
    assert [(effect["node"], effect["action"]) for effect in dry["effects"]] == [("first", "keep"), ("second", "run")]
    assert place.dag(dag).approvals == {}

    place.cli("task", "approve", _id(dag), "second", "--why", "checked", "--who", "ann")
    done = place.until(dag, _over)
    approval = done.approvals[1]
    assert (_states(done), approval.who, approval.why) == (["SUCCEEDED", "SUCCEEDED"], "ann", "checked")
    assert abs(approval.at - time.time_ns()) < 60 * SECOND
    assert [(who, what) for who, what, _, _ in _recorded(place)] == [("ann", "APPROVE node")]


def test_a_paused_dag_that_was_cancelled_still_shows_as_cancelled(place: Place) -> None:
    dag = place.start("Trial")
    place.until(dag, lambda now: _states(now)[0] == "RUNNING")
    place.cli("task", "pause", _id(dag), "--why", "lunch")
    place.cli("task", "cancel", _id(dag), "--no-wait")
    place.until(dag, _over)
    shown = place.json("task", "show", _id(dag))
    assert (shown["state"], shown["operator"]) == ("FAILED", "CANCEL")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("resume", "{id}"), "the dag is not paused"),
        (("approve", "{id}", "first", "--why", "x"), "node 'first' needs no approval"),
        (("approve", "{id}", "third", "--why", "x"), "the dag has no node 'third'"),
        (("extend", "{id}", "second", "--by", "1m"), "sub-task 'second' is not running"),
        (("extend", "{id}", "first", "--until", "2001-01-01T00:00:00Z"), "that time has passed"),
        (("pause", "{id}", "--why", "x", "--until", "2001-01-01T00:00:00Z"), "the pause would end before it begins"),
        (("pause", "{id}", "--why", " "), "say why"),
        (("gone", "{id}", "10.9.9.9:2886", "--why", "x"), "nothing of the dag waits for 10.9.9.9:2886"),
        (("gone", "{id}", "nobody", "--why", "x"), "'nobody' is no agent"),
        (("skip", "{id}", "first"), "a sub-task can be passed only when its dag is FAILED"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_why(place: Place, words: tuple[str, ...], message: str) -> None:
    dag = place.start("Trial")
    before = place.until(dag, lambda now: _states(now)[0] == "RUNNING")
    result = place.cli("task", *(word.format(id=_id(dag)) for word in words), code=1)
    assert message in result.stderr
    after = place.dag(dag)
    assert (after.version, after.paused) == (before.version, None)


def test_a_step_that_is_retried_by_itself_shows_running_and_other_retries_may_be_allowed(place: Place) -> None:
    dag = place.start("Flaky trial")
    assert _states(place.until(dag, _over)) == ["FAILED"]
    assert place.dag(dag).sub_tasks[0].auto_retries == 2
    place.cli("task", "retries", _id(dag), "flaky", "10000")
    place.cli("task", "retry", _id(dag), "--no-wait")
    resting = place.until(dag, lambda now: now.sub_tasks[0].auto_retries >= 3)
    assert fold.dag_state(resting) is State.RUNNING
    shown = place.json("task", "show", _id(dag))
    assert (shown["state"], shown["nodes"][0]["state"]) == ("RUNNING", "RUNNING")
    assert shown["oboe"]["sub_tasks"][0]["retries"] == 10000
    place.open("well")
    assert _states(place.until(dag, _over)) == ["SUCCEEDED"]


def test_a_rest_says_when_it_ends(place: Place) -> None:
    dag = place.start("Flaky trial")
    place.cli("task", "retries", _id(dag), "flaky", "10000")
    resting = place.until(dag, lambda now: now.sub_tasks[0].resting and now.sub_tasks[0].auto_retries > 4)
    shown = place.json("task", "show", _id(dag))
    used = resting.sub_tasks[0].auto_retries
    assert shown["additional_data"]["oboe"]["waits_for"].startswith(f"retry {used} of 10000 of 'flaky' at ")
    place.open("well")
    place.until(dag, _over)


def test_more_time_for_a_sub_task_moves_its_timeout(place: Place) -> None:
    dag = place.start("Trial")
    running = place.until(dag, lambda now: _states(now)[0] == "RUNNING").sub_tasks[0]
    place.cli("task", "extend", _id(dag), "first", "--by", "1h")
    assert place.dag(dag).sub_tasks[0].deadline == running.started_at + 20 * SECOND + 3600 * SECOND
    moment = (datetime.now(UTC) + timedelta(hours=5)).replace(microsecond=0)
    place.cli("task", "extend", _id(dag), "1", "--until", moment.isoformat())
    assert place.dag(dag).sub_tasks[0].deadline == int(moment.timestamp()) * SECOND
    timers = place.json("task", "show", _id(dag))["oboe"]["timers"]
    assert [(each["kind"], each["at"][:19]) for each in timers] == [("timeout", moment.isoformat()[:19])]


def test_more_time_for_a_sub_task_is_more_time_for_what_it_waits_for(place: Place) -> None:
    dag = place.start("Trial", timeout=0.8)
    place.until(dag, lambda now: _states(now)[0] == "RUNNING")
    place.cli("task", "extend", _id(dag), "first", "--by", "1h")
    running = place.dag(dag).sub_tasks[0]
    gives_up = 0
    deadline = time.monotonic() + 20
    while time.time_ns() < running.started_at + SECOND or gives_up != running.deadline:
        assert time.monotonic() < deadline
        assert not _over(place.dag(dag)), place.dag(dag)
        gives_up = max((wait.until for wait in place.agent.engine.waiting(dag.key).values()), default=0)
        threading.Event().wait(0.02)
    place.open("first")
    place.open("second")
    assert _states(place.until(dag, _over)) == ["SUCCEEDED", "SUCCEEDED"]


def test_a_dag_does_without_an_agent_that_is_gone_by_a_persons_word(place: Place) -> None:
    dag = place.start("Abroad trial", agent="127.0.0.1:1")
    place.until(dag, lambda now: _states(now)[1] == "READY")
    preview = place.cli("task", "gone", _id(dag), "127.0.0.1:1", "--why", "its host burnt", "--dry-run").stdout
    assert "given up; it may have run" in preview
    told = place.cli("task", "gone", _id(dag), "127.0.0.1:1", "--why", "its host burnt", "--who", "ann").stdout
    assert "gone      127.0.0.1:1: says ann" in told
    assert "its host burnt" in told
    place.until(dag, _over)
    log = place.cli("task", "logs", _id(dag)).stdout
    assert "127.0.0.1:1 is gone, says ann: its host burnt; it may have run" in log
    place.cli("task", "skip", _id(dag), "abroad@127.0.0.1:1")
    now = place.until(dag, lambda now: fold.settled(now) or _over(now))
    assert [(each.state.name, each.operator.name) for each in now.sub_tasks] == [("SUCCEEDED", "RUN")] * 1 + [("SUCCEEDED", "PASS")] + [
        ("SUCCEEDED", "RUN")
    ]
    said = [(who, what) for who, what, _, _ in _recorded(place)]
    assert ("ann", "GONE dag") in said
