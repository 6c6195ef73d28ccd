"""What an operator would do, found out by doing it in memory: `advance` is asked, then told that everything went well.

There is no second copy of the rules here: what the machine would ready is what the preview shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from oboe.domain.errors import Refused
from oboe.domain.events import Cancel, Dispatch, Ended, Event, Pass, Request, Retry, Rollback, Skip, Wake
from oboe.domain.fold import dag_state, next_timer
from oboe.domain.machine import advance
from oboe.domain.model import Approval, Dag, SubTask
from oboe.domain.values import Address, Operator, State

__all__ = ["Action", "PreviewLine", "preview"]

Action = Literal["run", "undo", "keep", "pass", "stop", "none"]

_REQUESTS: dict[str, Request] = {"RETRY": Retry(), "ROLLBACK": Rollback(), "CANCEL": Cancel(), "PASS": Pass(), "SKIP": Skip()}
_ROUNDS = 8
"""Rounds for each sub-task after which a preview gives up: undo and run are two."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """What would happen to the sub-tasks of one node, on which agents (None: wherever the home is served)."""

    node: int
    agents: tuple[Address | None, ...]
    action: Action


def preview(dag: Dag, operator: str | Request) -> tuple[PreviewLine, ...]:
    """What that operator (``RETRY``, ``ROLLBACK``, ``CANCEL``, ``PASS``, ``SKIP``, or a request value) would do, were all to go well.

    One line for each node and action, in the order in which it would happen; nodes that nothing happens to come last, in plan order:
    *keep* what is done, *none* otherwise. An undo that is followed by a run is two lines. `Refused` as `advance` would."""
    request = _REQUESTS.get(operator.upper()) if isinstance(operator, str) else operator
    if request is None:
        raise Refused("operator.unknown", f"there is no operator {operator!r}")
    asked, _ = advance(dag, [request], now=dag.ended_at or dag.started_at, here=_served_by(dag), epoch=dag.epoch)
    happened = _said_at_once(dag, asked) | _followed(dag, asked)
    lines = [PreviewLine(node, tuple(agents), action) for (node, action), agents in happened.items()]
    touched = {line.node for line in lines}
    for node in range(len(dag.plan.nodes)):
        if node not in touched:
            kept = all(asked.sub_tasks[index].done for index in dag.plan.sub_tasks_of(node))
            lines.append(PreviewLine(node, _agents(asked, node), "keep" if kept else "none"))
    return tuple(lines)


_Happened = dict[tuple[int, Action], list[Address | None]]


def _said_at_once(before: Dag, after: Dag) -> _Happened:
    """What the request itself changed: passed, skipped, stopped."""
    happened: _Happened = {}
    for index, (was, now) in enumerate(zip(before.sub_tasks, after.sub_tasks, strict=True)):
        if now.operator in (Operator.PASS, Operator.SKIP) and now.operator is not was.operator:
            _note(happened, before, index, "pass")
        elif (now.stopping and not was.stopping) or (now.state is State.FAILED and was.resting):
            _note(happened, before, index, "stop")
    return happened


def _followed(before: Dag, asked: Dag) -> _Happened:
    """What it would lead to: every order is answered with success, every wait is over at once, every approval is given."""
    approvals = {node: Approval("preview", "", 0) for node in range(len(asked.plan.nodes))}
    dag = replace(asked, paused=None, not_before=0, approvals=approvals)
    here = _served_by(dag)
    happened: _Happened = {}
    now = max(before.ended_at, before.started_at, 1)
    readied = {(index, sub_task.attempt) for index, sub_task in enumerate(before.sub_tasks)}
    going = {index for index, sub_task in enumerate(dag.sub_tasks) if sub_task.live}
    answers: list[Event] = [Wake()]
    for _ in range(_ROUNDS * dag.plan.size + _ROUNDS):
        if dag_state(dag) not in (State.READY, State.RUNNING):
            break
        dag, effects = advance(dag, answers, now=now, here=here, epoch=dag.epoch)
        going.update(effect.sub_task for effect in effects if isinstance(effect, Dispatch))
        for index in sorted(going):
            sub_task = dag.sub_tasks[index]
            if sub_task.live and (index, sub_task.attempt) not in readied:
                readied.add((index, sub_task.attempt))
                _note(happened, before, index, "undo" if sub_task.operator is Operator.ROLLBACK else "run")
        answers = [_well(index, dag.sub_tasks[index]) for index in sorted(going) if dag.sub_tasks[index].live]
        going.clear()
        if not answers:
            answers = [Wake()]
            now = max(now, next_timer(dag))
    return happened


def _well(index: int, sub_task: SubTask) -> Ended:
    """Its agent ends it as it was told to."""
    return Ended(index, sub_task.epoch, sub_task.attempt, 0, not sub_task.stopping, sub_task.operator)


def _served_by(dag: Dag) -> Address:
    """The maintainer, as far as the dag knows: who holds what is live now."""
    live = (index for index, sub_task in enumerate(dag.sub_tasks) if sub_task.live and _planned(dag, index) is None)
    return next((agent for index in live if (agent := dag.sub_tasks[index].agent)), dag.created_by)


def _note(happened: _Happened, dag: Dag, index: int, action: Action) -> None:
    node = dag.plan.node_of[index]
    happened.setdefault((node, action), []).append(_planned(dag, index))


def _planned(dag: Dag, index: int) -> Address | None:
    node = dag.plan.node_of[index]
    return dag.plan.nodes[node].agents[index - dag.plan.first[node]]


def _agents(dag: Dag, node: int) -> tuple[Address | None, ...]:
    return dag.plan.nodes[node].agents
