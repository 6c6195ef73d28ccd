"""The folds: a node's state from its sub-tasks, a dag's state from its counts, whether it is halted, and who carries out what.

::

    dag      READY      asked (or new), and not woken since
             RUNNING    something is live, rests, is marked, or may still be readied
             FAILED     halted, nothing live, nothing marked: a person decides
             SUCCEEDED  everything done (RUN), undone (ROLLBACK), or passed: settled
    node     PENDING    neither begun to go anywhere, nor done, nor undone after it was begun
"""

from __future__ import annotations

from oboe.domain.model import Dag
from oboe.domain.tally import Tally, tally_of
from oboe.domain.values import FAILED, PASS, PENDING, READY, ROLLBACK, RUNNING, SUCCEEDED, Address, HomeKind, State

__all__ = ["bound_to_maintainer", "dag_state", "executor", "forsaken", "halted", "node_state", "state_of", "torn", "turn"]


def state_of(dag: Dag, tally: Tally, started_at: int) -> State:
    """The dag's state, were it counted so and picked up then."""
    if dag.operator is PASS:
        return SUCCEEDED
    if dag.recalled_at:
        return RUNNING
    if not started_at:
        return READY
    if tally.going:
        return RUNNING
    if tally.over(dag.operator):
        return SUCCEEDED
    if halted(dag, tally) and not tally.marked:
        return FAILED
    return RUNNING


def dag_state(dag: Dag) -> State:
    """READY, RUNNING, FAILED or SUCCEEDED. Cheap."""
    return state_of(dag, tally_of(dag), dag.started_at)


def node_state(dag: Dag, node: int) -> State:
    """PENDING, RUNNING, FAILED or SUCCEEDED (done, or undone after it was begun)."""
    sub_tasks = [dag.sub_tasks[index] for index in dag.plan.sub_tasks_of(node)]
    if any(sub_task.state in (READY, RUNNING) for sub_task in sub_tasks):
        return RUNNING
    if any(sub_task.broken for sub_task in sub_tasks):
        return FAILED
    if dag.operator is not ROLLBACK:
        return SUCCEEDED if all(sub_task.done for sub_task in sub_tasks) else PENDING
    undone = all(sub_task.undone for sub_task in sub_tasks) and any(sub_task.state is SUCCEEDED for sub_task in sub_tasks)
    return SUCCEEDED if undone else PENDING


def halted(dag: Dag, tally: Tally) -> bool:
    """Only what is marked may be readied."""
    return dag.cancelled or bool(dag.halt_reason) or tally.broken > 0


def torn(dag: Dag) -> bool:
    """Something that is not undone stands on something that is not done, however far below: only after the store went back."""
    tally = tally_of(dag)
    return any(tally.not_undone[node] and tally.up[node] for node in range(len(dag.plan.nodes)))


def turn(dag: Dag, tally: Tally, node: int) -> bool:
    """Everything upstream is done; in a rollback, everything downstream is undone."""
    return not (tally.down[node] if dag.operator is ROLLBACK else tally.up[node])


def executor(dag: Dag, index: int) -> Address | None:
    """Who carries that sub-task out: the home agent where the plan says so, else the agent that the sub-task names.

    None: nobody yet; a maintainer-bound one is bound when it is readied."""
    node = dag.plan.node_of[index]
    planned = dag.plan.nodes[node]
    if dag.home.kind is HomeKind.AGENT and (planned.at_home or planned.agents[index - dag.plan.first[node]] is None):
        return dag.home.agent
    return dag.sub_tasks[index].agent


def forsaken(dag: Dag, index: int) -> bool:
    """It FAILED, and whoever would carry it out is gone by a person's word: only a person can lead on."""
    return bool(dag.gone) and dag.sub_tasks[index].broken and executor(dag, index) in {word.agent for word in dag.gone}


def bound_to_maintainer(dag: Dag, index: int) -> bool:
    """The plan names no agent for it."""
    plan = dag.plan
    node = plan.node_of[index]
    return plan.nodes[node].agents[index - plan.first[node]] is None
