"""A dag as oboe knows it, beyond what the dialects can say: what holds it, what it waits for, what time will do; and to change that."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from oboe.api.obshell.codec import preview_object
from oboe.api.obshell.ids import decode, encode
from oboe.api.obshell.route import Call, Route
from oboe.api.shared.envelope import NO_DATA, wire_time
from oboe.api.shared.words import hold_words
from oboe.control.changing import ApproveNode, Change, ExtendSubTask, ForsakeAgent, PauseDag, ResumeDag, SetSubTaskRetries
from oboe.control.views import DagView, Ref, WaitView
from oboe.domain import fold
from oboe.domain.errors import Refused
from oboe.domain.holds import Hold, Timer, holds, timers
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, Address, Operator

__all__ = ["CODES", "ROUTES"]

_WHO = "root"
"""Whoever knows the root password and does not say who it is."""
_WHO_MAX = 200
_SECONDS_MAX = 366 * 86_400


class PauseBody(msgspec.Struct):
    """``until`` is RFC 3339; ``seconds`` from now instead; neither: until it is resumed."""

    why: str
    who: str = _WHO
    until: str = ""
    seconds: float = 0.0


class WhoBody(msgspec.Struct):
    who: str = _WHO


class ApproveBody(msgspec.Struct):
    """``node`` is its id, its name, or its number in the plan, from 1."""

    node: str
    why: str
    who: str = _WHO


class ExtendBody(msgspec.Struct):
    """``sub_task`` is its id, or NODE or NODE@AGENT; ``until`` is RFC 3339; ``seconds`` more than it has now instead."""

    sub_task: str
    who: str = _WHO
    until: str = ""
    seconds: float = 0.0


class RetriesBody(msgspec.Struct):
    """``sub_task`` as in `ExtendBody`."""

    sub_task: str
    retries: int
    who: str = _WHO


class GoneBody(msgspec.Struct):
    """``agent`` is IP:PORT."""

    agent: str
    why: str
    who: str = _WHO


class SubTaskBody(msgspec.Struct):
    """``sub_task`` as in `ExtendBody`."""

    sub_task: str


# Reading


def _get(call: Call) -> dict[str, Any]:
    """One dag: who holds it and why, what it waits for, what time will do."""
    ref = decode("dag", call.path_values["id"])
    view = call.control.dag(ref, details=False)
    call.note_stale(view)
    waits = [] if fold.settled(view.dag) else [wait_object(view.dag, wait) for wait in call.control.waits(ref)]
    return dag_object(view) | {"waits": waits}


def waiting(call: Call) -> list[dict[str, Any]]:
    """What a dag waits for: for people and times, and its running sub-tasks, wherever they run."""
    ref = decode("dag", call.path_values["id"])
    dag = call.control.dag(ref, details=False).dag
    return [wait_object(dag, wait) for wait in call.control.waits(ref)]


def wait_object(dag: Dag, wait: WaitView) -> dict[str, Any]:
    return {
        "sub_task": encode(dag.home, dag.sub_task_id(wait.sub_task)),
        "node": wait.node,
        "agent": str(wait.agent),
        "why": wait.why,
        "since": wire_time(wait.since),
        "gives_up": wire_time(wait.until) if wait.until else None,
        "tries": wait.tries,
    }


def dag_object(view: DagView) -> dict[str, Any]:
    """The dag without its sub-tasks' logs; ids are OBShell's."""
    dag = view.dag
    plan = dag.plan
    return {
        "id": encode(dag.home, dag.id),
        "key": dag.key,
        "name": dag.name,
        "playbook": dag.playbook,
        "state": fold.dag_state(dag).name,
        "operator": dag.operator.name,
        "creator": dag.creator,
        "created": wire_time(dag.created_at),
        "not_before": _time(dag.not_before),
        "paused": _paused(dag),
        "approvals": [_approval_object(dag, node) for node in sorted(dag.approvals)],
        "gone": [{"agent": str(word.agent), "who": word.who, "why": word.why, "at": _time(word.at)} for word in dag.gone],
        "holds": [_hold_object(dag, hold) for hold in holds(dag)] + _lock_object(view),
        "timers": [_timer_object(dag, timer) for timer in timers(dag)],
        "sub_tasks": [_sub_task_object(dag, index) for index in range(plan.size)],
    }


def _paused(dag: Dag) -> dict[str, Any] | None:
    paused = dag.paused
    if paused is None:
        return None
    return {"who": paused.who, "why": paused.why, "since": wire_time(paused.at), "until": _time(paused.until)}


def _approval_object(dag: Dag, node: int) -> dict[str, Any]:
    given = dag.approvals[node]
    name = dag.plan.nodes[node].name
    return {"node": encode(dag.home, dag.node_id(node)), "name": name, "who": given.who, "why": given.why, "at": _time(given.at)}


def _timer_object(dag: Dag, timer: Timer) -> dict[str, Any]:
    return {"sub_task": encode(dag.home, dag.sub_task_id(timer.sub_task)), "kind": timer.kind, "at": wire_time(timer.at)}


def _hold_object(dag: Dag, hold: Hold) -> dict[str, Any]:
    return {
        "kind": hold.kind,
        "text": hold_words(dag, hold),
        "node": None if hold.node is None else dag.plan.nodes[hold.node].name,
        "until": _time(hold.until),
    }


def _lock_object(view: DagView) -> list[dict[str, Any]]:
    if not view.start_waits_for:
        return []
    return [{"kind": "lock", "text": f"the maintenance lock: {view.start_waits_for}", "node": None, "until": None}]


def _sub_task_object(dag: Dag, index: int) -> dict[str, Any]:
    sub_task = dag.sub_tasks[index]
    node = dag.plan.nodes[dag.plan.node_of[index]]
    agent = _agent(dag, index)
    return {
        "id": encode(dag.home, dag.sub_task_id(index)),
        "node": node.name,
        "agent": None if agent is None else str(agent),
        "state": sub_task.state.name,
        "operator": sub_task.operator.name,
        "attempt": sub_task.attempt,
        "retries": node.retries if sub_task.retries is None else sub_task.retries,
        "retries_used": sub_task.auto_retries,
        "additional": sub_task.additional,
    }


def _agent(dag: Dag, index: int) -> Address | None:
    """Whom the sub-task names; for one that names nobody, who carries it out."""
    return dag.sub_tasks[index].agent or fold.executor(dag, index)


def _time(at: int) -> str | None:
    return wire_time(at) if at else None


# Changing


def _pause(call: Call) -> Any:
    """Begin nothing new until the pause ends; what is under way goes on."""
    asked = call.bind(PauseBody)
    until = _until(asked.until, asked.seconds, base=time.time_ns())
    return _change(call, decode("dag", call.path_values["id"]), PauseDag(_who(asked.who), _why(asked.why), until))


def _resume(call: Call) -> Any:
    return _change(call, decode("dag", call.path_values["id"]), ResumeDag(_who(call.bind(WhoBody).who)))


def _approve(call: Call) -> Any:
    """Let a node begin that waits for a person."""
    asked = call.bind(ApproveBody)
    dag = _dag(call)
    ref = _within(dag, "node", dag.node_id(find_node(dag, asked.node)))
    return _change(call, ref, ApproveNode(_who(asked.who), _why(asked.why)))


def _extend(call: Call) -> Any:
    """More time for a sub-task that is running, and for what it waits for."""
    asked = call.bind(ExtendBody)
    dag = _dag(call)
    index = find_sub_task(dag, asked.sub_task)
    sub_task, node = dag.sub_tasks[index], dag.plan.nodes[dag.plan.node_of[index]]
    until = _until(asked.until, asked.seconds, base=sub_task.deadline or sub_task.started_at + node.timeout)
    if not until:
        raise Refused("request.body", "the body says neither until when nor how much longer")
    return _change(call, _within(dag, "sub_task", dag.sub_task_id(index)), ExtendSubTask(_who(asked.who), until))


def _retries(call: Call) -> Any:
    """So many automatic retries, counted from now."""
    asked = call.bind(RetriesBody)
    dag = _dag(call)
    ref = _within(dag, "sub_task", dag.sub_task_id(find_sub_task(dag, asked.sub_task)))
    return _change(call, ref, SetSubTaskRetries(_who(asked.who), asked.retries))


def _gone(call: Call) -> Any:
    """Wait no longer for an agent that will not come back."""
    asked = call.bind(GoneBody)
    try:
        agent = Address.parse(asked.agent.strip())
    except ValueError:
        raise Refused("request.body", f"{asked.agent[:80]!r} is no agent", hint="IP:PORT") from None
    return _change(call, decode("dag", call.path_values["id"]), ForsakeAgent(_who(asked.who), _why(asked.why), agent))


def _skip(call: Call) -> Any:
    """Do without a FAILED sub-task: take it as done or, while the dag rolls back, as undone."""
    asked = call.bind(SubTaskBody)
    dag = _dag(call)
    ref = _within(dag, "sub_task", dag.sub_task_id(find_sub_task(dag, asked.sub_task)))
    operator = "SKIP" if dag.operator is Operator.ROLLBACK else "PASS"
    if call.flag("dry_run", default=False):
        return preview_object(call.control.preview_operator(ref, operator))
    call.control.operate(ref, operator, call.caller)
    return NO_DATA


def _change(call: Call, ref: Ref, change: Change) -> Any:
    if call.flag("dry_run", default=False):
        return preview_object(call.control.preview_change(ref, change))
    call.control.change(ref, change, call.caller)
    return NO_DATA


def _dag(call: Call) -> Dag:
    return call.control.dag(decode("dag", call.path_values["id"]), details=False).dag


def _within(dag: Dag, kind: Literal["node", "sub_task"], number: int) -> Ref:
    return Ref(kind, dag.home.kind, dag.home.agent, number)


def find_node(dag: Dag, text: str) -> int:
    """A node by id, name, or number from 1. `Refused` ``task.not_found``, ``request.body`` when several have the name."""
    named = [index for index, node in enumerate(dag.plan.nodes) if text in (node.name, encode(dag.home, dag.node_id(index)))]
    if not named and text.isascii() and text.isdigit() and 0 < int(text[:9]) <= len(dag.plan.nodes):
        return int(text) - 1
    if not named:
        raise Refused("task.not_found", f"the dag has no node {text[:80]!r}", hint=", ".join(node.name for node in dag.plan.nodes[:20]))
    if len(named) > 1:
        numbers = ", ".join(str(index + 1) for index in named)
        raise Refused("request.body", f"{len(named)} nodes are named {text[:80]!r}", hint=f"give a number: {numbers}")
    return named[0]


def find_sub_task(dag: Dag, text: str) -> int:
    """A sub-task by id, by its node if that has only one, or as NODE@AGENT. `Refused` like `find_node`."""
    for index in range(dag.plan.size):
        if text == encode(dag.home, dag.sub_task_id(index)):
            return index
    name, at, agent = text.rpartition("@")
    node = find_node(dag, name if at else text)
    found = [index for index in dag.plan.sub_tasks_of(node) if not at or agent == str(_agent(dag, index))]
    if not found:
        raise Refused("task.not_found", f"node {name[:80]!r} has no sub-task on {agent[:80]}")
    if len(found) > 1:
        raise Refused("request.body", f"node {dag.plan.nodes[node].name!r} has {len(found)} sub-tasks", hint="give its id, or NODE@AGENT")
    return found[0]


def _until(text: str, seconds: float, *, base: int) -> int:
    """Nanoseconds; 0: neither was said. `Refused` ``request.body``."""
    if text and seconds:
        raise Refused("request.body", "until and seconds exclude each other")
    if seconds:
        if not 0 < seconds <= _SECONDS_MAX:
            raise Refused("request.body", f"seconds are above 0 and at most {_SECONDS_MAX}")
        return base + int(seconds * SECOND)
    return read_time(text) if text else 0


def read_time(text: str) -> int:
    """RFC 3339 with an offset, as nanoseconds. `Refused` ``request.body``."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("it has no offset")
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Refused("request.body", f"{text[:80]!r} is no time: {error}", hint="like 2030-01-31T12:00:00Z") from None
    at = (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000
    if not 0 < at < 1 << 62:
        raise Refused("request.body", f"{text[:80]!r} is no time that is near")
    return at


def _who(text: str) -> str:
    return text.strip()[:_WHO_MAX] or _WHO


def _why(text: str) -> str:
    if not text.strip():
        raise Refused("request.body", "say why: others will read it")
    return text.strip()


_ARGUMENT, _STATE = "config.invalid", "operator.unknown"
CODES = {
    "cluster.none": "task.not_found",  # an agent without a cluster has no such dag
    "pause.finished": _STATE,
    "pause.cancelled": _STATE,
    "pause.past": _ARGUMENT,
    "resume.finished": _STATE,
    "resume.not_paused": _STATE,
    "approve.finished": _STATE,
    "approve.not_held": _STATE,
    "approve.already": _STATE,
    "extend.not_running": _STATE,
    "extend.stopping": _STATE,
    "extend.past": _ARGUMENT,
    "gone.finished": _STATE,
    "gone.home": _STATE,
    "gone.not_needed": _STATE,
    "retries.finished": _STATE,
    "retries.negative": _ARGUMENT,
}

ROUTES = (
    Route(method="GET", path="/dags/:id", handler=_get, lookup=CODES),
    Route(method="GET", path="/dags/:id/waiting", handler=waiting, lookup=CODES),
    Route(method="POST", path="/dags/:id/pause", handler=_pause, body=PauseBody, lookup=CODES, query=("dry_run",)),
    Route(method="POST", path="/dags/:id/resume", handler=_resume, body=WhoBody, lookup=CODES, query=("dry_run",)),
    Route(method="POST", path="/dags/:id/approve", handler=_approve, body=ApproveBody, lookup=CODES, query=("dry_run",)),
    Route(method="POST", path="/dags/:id/extend", handler=_extend, body=ExtendBody, lookup=CODES, query=("dry_run",)),
    Route(method="POST", path="/dags/:id/retries", handler=_retries, body=RetriesBody, lookup=CODES, query=("dry_run",)),
    Route(method="POST", path="/dags/:id/gone", handler=_gone, body=GoneBody, lookup=CODES, query=("dry_run",)),
    Route(method="POST", path="/dags/:id/skip", handler=_skip, body=SubTaskBody, lookup=CODES, query=("dry_run",)),
)
