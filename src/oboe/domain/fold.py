"""What follows from a dag: its state, its nodes' states, its stage, its lock, what is open, what may be asked of it.

Nothing here is stored as truth. Every function is a pure reading of one `Dag`.
"""

from __future__ import annotations

from oboe.domain.events import Dispatch, Effect, Interrupt, Recall
from oboe.domain.guards import why_not
from oboe.domain.model import Dag
from oboe.domain.state import dag_state, executor, node_state
from oboe.domain.tally import open_ones, tally_of, timer_of
from oboe.domain.values import Asked, MaintenanceKind, Operator, State

__all__ = [
    "allowed_operators",
    "asked",
    "begun",
    "dag_state",
    "executor",
    "holds_lock",
    "next_timer",
    "node_state",
    "open_dispatches",
    "settled",
    "stage",
]


def asked(dag: Dag) -> Asked:
    """What was last asked of the whole dag; what was asked of one sub-task does not count."""
    if dag.cancelled and not settled(dag):
        return Asked.CANCEL
    if dag.operator is Operator.RUN and dag.asks and any(each.asked_retries for each in dag.sub_tasks):
        return Asked.RETRY
    return {Operator.ROLLBACK: Asked.ROLLBACK, Operator.PASS: Asked.PASS}.get(dag.operator, Asked.RUN)


def settled(dag: Dag) -> bool:
    """It succeeded, was passed or is rolled back: nothing will ever change it again."""
    return dag_state(dag) is State.SUCCEEDED


def holds_lock(dag: Dag) -> bool:
    """Whether its maintenance lock is held: until it settles, but not while FAILED by steps that all release on failure.

    One that is not to start before a time takes it when its first sub-task is readied."""
    if dag.maintenance.kind is MaintenanceKind.NONE:
        return False
    state = dag_state(dag)
    if state is State.SUCCEEDED:
        return False
    if dag.not_before and not begun(dag):
        return False
    if state is not State.FAILED:
        return True
    broken = {dag.plan.node_of[index] for index, sub_task in enumerate(dag.sub_tasks) if sub_task.broken}
    return not broken or not all(dag.plan.nodes[node].flags.release_on_failure for node in broken)


def begun(dag: Dag) -> bool:
    """Something of it was ever readied."""
    return any(sub_task.attempt for sub_task in dag.sub_tasks)


def stage(dag: Dag) -> int:
    """1-based index of the current node in plan order (`obshell-wire.md` §2.1.1).

    Forward: the first node that is not done, the last when all are; FAILED: the failed one. Rolling back: the last node that is not
    undone, 1 when all are; FAILED: the failed one. Passed: where it stood when it was passed."""
    plan, tally = dag.plan, tally_of(dag)
    count = len(plan.nodes)
    broken = [plan.node_of[index] for index, sub_task in enumerate(dag.sub_tasks) if sub_task.broken] if tally.broken else []
    failed = bool(broken) and dag_state(dag) is State.FAILED
    if dag.operator is Operator.ROLLBACK:
        if failed:
            return broken[-1] + 1
        return next((node + 1 for node in range(count - 1, -1, -1) if tally.not_undone[node]), 1)
    if dag.operator is Operator.PASS:
        passed = (
            plan.node_of[index]
            for index, sub_task in enumerate(dag.sub_tasks)
            if sub_task.operator is Operator.PASS and sub_task.ended_at == dag.ended_at
        )
        return next(passed, count - 1) + 1
    if failed:
        return broken[0] + 1
    return next((node + 1 for node in range(count) if tally.not_done[node]), count)


def allowed_operators(dag: Dag) -> tuple[str, ...]:
    """Which of RETRY, ROLLBACK, CANCEL, PASS, SKIP would not be refused now, asked of the whole dag."""
    return tuple(name for name in ("RETRY", "ROLLBACK", "CANCEL", "PASS", "SKIP") if why_not(dag, name) is None)


def next_timer(dag: Dag) -> int:
    """When time alone changes something; 0: never. Exact, and looks at everything: for use after a load."""
    state = dag_state(dag)
    if state is State.SUCCEEDED or dag.recalled_at:
        return 0
    times: list[int] = []
    if dag.paused is not None:
        times.append(0 if state is State.FAILED else dag.paused.until)
    elif not dag.started_at and not dag.cancelled:
        times.append(dag.not_before)
    for index in open_ones(dag.sub_tasks):
        sub_task = dag.sub_tasks[index]
        if sub_task.live or (sub_task.resting and dag.paused is None):
            times.append(timer_of(sub_task, dag.plan.nodes[dag.plan.node_of[index]]))
    return min(filter(None, times), default=0)


def open_dispatches(dag: Dag) -> tuple[Effect, ...]:
    """Orders that are open and Interrupts that are not confirmed, to be named again after a restart."""
    if settled(dag):
        return ()
    effects: list[Effect] = [Recall(agent) for agent in dag.recalled]
    if dag.recalled_at:
        return tuple(effects)
    for index in open_ones(dag.sub_tasks):
        sub_task = dag.sub_tasks[index]
        if sub_task.unconfirmed or (sub_task.live and sub_task.stopping):
            effects.append(Interrupt(index, sub_task.stopping))
        elif sub_task.live:
            effects.append(Dispatch(index))
    return tuple(effects)
