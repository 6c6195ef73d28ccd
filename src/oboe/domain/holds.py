"""By whose word, or for which time, a dag stands still though nothing is wrong with it. Read from one `Dag`; for every face.

::

    pause      a person holds the whole dag: who, why, until when
    start      it has not begun, and does not begin before a time
    approval   a node whose turn it is waits until a person approves it
    retry      a sub-task rests between two automatic retries
    facts      the store went back, and agents have not yet said what they did; once it is FAILED, those that a person must decide about
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from oboe.domain.fold import begun
from oboe.domain.model import Dag
from oboe.domain.state import dag_state, halted, turn
from oboe.domain.tally import tally_of, timer_of
from oboe.domain.values import Address, Operator, State

__all__ = ["Hold", "Timer", "held_back", "holds", "timers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One reason to stand still."""

    kind: Literal["pause", "start", "approval", "retry", "facts"]
    until: int = 0
    """When it ends by itself, nanoseconds; 0: a person ends it."""
    since: int = 0
    who: str = ""
    why: str = ""
    node: int | None = None
    """Of an approval or a retry."""
    sub_task: int | None = None
    """Of a retry."""
    tries: int = 0
    """Automatic retries used, and …"""
    tries_max: int = 0
    """… allowed, of a retry."""
    agents: tuple[Address, ...] = ()
    """Whose facts are waited for."""


@dataclass(frozen=True, slots=True)
class Timer:
    """What time alone does to a sub-task, and when."""

    sub_task: int
    kind: Literal["retry", "grace", "patience", "timeout"]
    at: int


def held_back(dag: Dag) -> bool:
    """It is READY, and not to be picked up yet: a person paused it, or its time has not come. Outside it shows as RUNNING."""
    if dag_state(dag) is not State.READY or dag.cancelled:
        return False
    return dag.paused is not None or (dag.not_before > 0 and not begun(dag))


def holds(dag: Dag) -> tuple[Hold, ...]:
    """Everything that holds the dag now; empty for one that is settled or simply goes on. What FAILED is held by a pause once retried."""
    state = dag_state(dag)
    if state is State.SUCCEEDED:
        return ()
    found: list[Hold] = []
    if dag.recalled and (dag.recalled_at or any(sub_task.unsure for sub_task in dag.sub_tasks)):
        found.append(Hold(kind="facts", since=dag.recalled_at, agents=dag.recalled))
    if dag.paused is not None:
        found.append(Hold(kind="pause", until=dag.paused.until, since=dag.paused.at, who=dag.paused.who, why=dag.paused.why))
    if state is State.FAILED:
        return tuple(found)
    if held_back(dag) and dag.not_before and not begun(dag):
        found.append(Hold(kind="start", until=dag.not_before, since=dag.created_at))
    return (*found, *_approvals(dag, state), *_rests(dag))


def _approvals(dag: Dag, state: State) -> list[Hold]:
    """Nodes whose turn it is and that wait for a person only."""
    tally = tally_of(dag)
    if state is not State.RUNNING or dag.operator is not Operator.RUN or halted(dag, tally):
        return []
    return [
        Hold(kind="approval", node=node)
        for node, planned in enumerate(dag.plan.nodes)
        if planned.approval and node not in dag.approvals and tally.not_done[node] and turn(dag, tally, node)
    ]


def _rests(dag: Dag) -> list[Hold]:
    found = []
    for index, sub_task in enumerate(dag.sub_tasks):
        if sub_task.resting:
            node = dag.plan.node_of[index]
            allowed = dag.plan.nodes[node].retries if sub_task.retries is None else sub_task.retries
            rest = Hold(
                kind="retry",
                until=sub_task.retry_at,
                since=sub_task.ended_at,
                node=node,
                sub_task=index,
                tries=sub_task.auto_retries,
                tries_max=allowed,
            )
            found.append(rest)
    return found


def timers(dag: Dag) -> tuple[Timer, ...]:
    """What time will do to the sub-tasks that are going on, the next first."""
    found = []
    for index, sub_task in enumerate(dag.sub_tasks):
        if at := timer_of(sub_task, dag.plan.nodes[dag.plan.node_of[index]]):
            waits = sub_task.state is State.READY
            kind: Literal["retry", "grace", "patience", "timeout"] = "patience" if waits else "timeout"
            found.append(Timer(index, "retry" if sub_task.resting else "grace" if sub_task.stopping else kind, at))
    return tuple(sorted(found, key=lambda timer: (timer.at, timer.sub_task)))
