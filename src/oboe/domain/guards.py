"""Who may ask what, and when: the preconditions of every request, as `Refused` that names what is in the way.

One guard table for all faces; a dialect translates codes and words. Preconditions follow OBShell's (`obshell-wire.md` §2.4.2) where it
has them. A guard reads only; `oboe.domain.machine` raises what it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from oboe.domain.errors import Refused
from oboe.domain.events import Approve, Cancel, Extend, Gone, Pass, Pause, Request, Resume, Retry, Rollback, SetRetries, Signalled, Skip
from oboe.domain.model import Dag, Flags, SubTask
from oboe.domain.state import dag_state, executor, forsaken, node_state, torn, turn
from oboe.domain.tally import tally_of
from oboe.domain.values import Operator, State

__all__ = ["guard", "why_not"]


def why_not(dag: Dag, operator: str) -> Refused | None:
    """Why RETRY, ROLLBACK, CANCEL, PASS or SKIP of the whole dag is refused now; None: it is not."""
    return guard(dag, _OPERATORS[operator])


def guard(dag: Dag, request: Request, *, now: int = 0) -> Refused | None:
    """Why that request is refused; None: it is not. ``now`` matters for times only."""
    if dag.recalled_at and not isinstance(request, Signalled):
        names = ", ".join(str(agent) for agent in dag.recalled)
        return Refused("dag.waiting", f"the store went back; the dag waits until {names} have named their facts")
    ask = _GUARDS.get(type(request))
    return None if ask is None else ask(dag, request, now)


def _retry(dag: Dag, request: Retry, now: int) -> Refused | None:
    if request.sub_task is not None:
        return _retry_one(dag, request.sub_task)
    if dag_state(dag) is not State.FAILED:
        return Refused("retry.not_failed", "only a FAILED dag can be retried")
    if (unsure := _unsure(dag, "retry")) is not None:
        return unsure
    if torn(dag):
        return Refused("retry.torn", "after the store went back, something ran on top of what is not done", hint="pass it, or roll back")
    return _flagged(dag, "retry", _nodes(dag, lambda sub_task: sub_task.state is State.FAILED), lambda flags: flags.retryable)


def _retry_one(dag: Dag, index: int) -> Refused | None:
    sub_task = _sub_task(dag, index)
    if isinstance(sub_task, Refused):
        return sub_task
    if not sub_task.broken:
        return Refused("sub_task_retry.not_failed", f"sub-task {_called(dag, index)} is not FAILED")
    if sub_task.unsure or torn(dag):
        return Refused("sub_task_retry.unsure", "after the store went back, it is not known what may be retried")
    state = dag_state(dag)
    if dag.operator is Operator.ROLLBACK:
        return Refused("sub_task_retry.rolling_back", "the dag rolls back", hint="retry or roll back the dag, or skip the sub-task")
    if state is not State.FAILED and (state is not State.RUNNING or dag.cancelled):
        return Refused("sub_task_retry.not_allowed", "the dag is being stopped, or was just asked something else")
    return _flagged(dag, "sub_task_retry", (dag.plan.node_of[index],), lambda flags: flags.retryable)


def _rollback(dag: Dag, request: Rollback, now: int) -> Refused | None:
    if dag_state(dag) is not State.FAILED:
        return Refused("rollback.not_failed", "only a FAILED dag can be rolled back", hint="cancel it first")
    if (unsure := _unsure(dag, "rollback")) is not None:
        return unsure
    return _flagged(dag, "rollback", _nodes(dag, lambda sub_task: not sub_task.undone), lambda flags: flags.rollable)


def _cancel(dag: Dag, request: Cancel, now: int) -> Refused | None:
    if request.sub_task is not None:
        sub_task = _sub_task(dag, request.sub_task)
        if isinstance(sub_task, Refused):
            return sub_task
        if not sub_task.live and not sub_task.resting:
            return Refused("sub_task_cancel.finished", f"sub-task {_called(dag, request.sub_task)} is not running")
        return _flagged(dag, "sub_task_cancel", (dag.plan.node_of[request.sub_task],), lambda flags: flags.cancellable)
    if dag_state(dag) not in (State.READY, State.RUNNING):
        return Refused("cancel.finished", "the dag is not running")
    if request.forced:
        return None
    tally = tally_of(dag)
    begun = _nodes(dag, lambda sub_task: sub_task.attempt > 0)
    current = (node for node in range(len(dag.plan.nodes)) if tally.not_done[node] and turn(dag, tally, node))
    return _flagged(dag, "cancel", sorted({*begun, *current}), lambda flags: flags.cancellable)


def _pass(dag: Dag, request: Pass, now: int) -> Refused | None:
    if request.sub_task is not None:
        return _pass_one(dag, request.sub_task)
    if request.node is not None:
        return _pass_node(dag, request.node)
    if dag_state(dag) is not State.FAILED:
        return Refused("pass.not_failed", "only a FAILED dag can be passed")
    if torn(dag):
        return None  # Whatever the flags: a torn dag whose nodes cannot be undone has no other way on, and a person looked at it.
    return _flagged(dag, "pass", _held(dag, range(dag.plan.size), lambda sub_task: not sub_task.done), lambda flags: flags.skippable)


def _pass_node(dag: Dag, node: int) -> Refused | None:
    if not 0 <= node < len(dag.plan.nodes):
        return Refused("task.not_found", f"the dag has no node {node}")
    if dag_state(dag) is not State.FAILED:
        return Refused("node_pass.dag_not_failed", "a node can be passed only when its dag is FAILED")
    if node_state(dag, node) is not State.FAILED:
        return Refused("node_pass.node_not_failed", f"node {dag.plan.nodes[node].name!r} is not FAILED")
    held = _held(dag, dag.plan.sub_tasks_of(node), lambda sub_task: not sub_task.done)
    return _flagged(dag, "node_pass", held, lambda flags: flags.skippable)


def _pass_one(dag: Dag, index: int) -> Refused | None:
    sub_task = _sub_task(dag, index)
    if isinstance(sub_task, Refused):
        return sub_task
    if dag_state(dag) is not State.FAILED:
        return Refused("sub_task_pass.dag_not_failed", "a sub-task can be passed only when its dag is FAILED")
    if dag.operator is Operator.ROLLBACK:
        return Refused("sub_task_pass.rolling_back", "the dag rolls back", hint="skip the undo instead")
    if not sub_task.broken:
        return Refused("sub_task_pass.not_failed", f"sub-task {_called(dag, index)} is not FAILED")
    return _flagged(dag, "sub_task_pass", _held(dag, (index,), lambda sub_task: True), lambda flags: flags.skippable)


def _skip(dag: Dag, request: Skip, now: int) -> Refused | None:
    if dag.operator is not Operator.ROLLBACK:
        return Refused("skip.not_rolling_back", "only a failed undo can be skipped, and the dag does not roll back", hint="pass it")
    if request.sub_task is None:
        if dag_state(dag) is not State.FAILED:
            return Refused("skip.not_failed", "only a FAILED dag can be asked to skip")
        if not any(sub_task.broken for sub_task in dag.sub_tasks):
            return Refused("skip.not_failed", "no undo has failed")
        held = _held(dag, range(dag.plan.size), lambda sub_task: sub_task.broken and not _abandoned(sub_task))
        return _flagged(dag, "skip", held, lambda flags: flags.skippable)
    sub_task = _sub_task(dag, request.sub_task)
    if isinstance(sub_task, Refused):
        return sub_task
    if not sub_task.broken:
        return Refused("skip.not_failed", f"sub-task {_called(dag, request.sub_task)} is not FAILED")
    held = _held(dag, (request.sub_task,), lambda sub_task: not _abandoned(sub_task))
    return _flagged(dag, "skip", held, lambda flags: flags.skippable)


def _abandoned(sub_task: SubTask) -> bool:
    """An undo that nobody can carry out now, because whoever would is gone: only a person can know whether it comes back."""
    return bool(sub_task.leftover) or sub_task.unconfirmed


def _pause(dag: Dag, request: Pause, now: int) -> Refused | None:
    if dag_state(dag) not in (State.READY, State.RUNNING):
        return Refused("pause.finished", "the dag is not running")
    if dag.cancelled:
        return Refused("pause.cancelled", "the dag is being cancelled")
    if request.until and request.until <= now:
        return Refused("pause.past", "the pause would end before it begins")
    return None


def _resume(dag: Dag, request: Resume, now: int) -> Refused | None:
    if dag_state(dag) is State.SUCCEEDED:
        return Refused("resume.finished", "the dag is finished")
    return None if dag.paused is not None else Refused("resume.not_paused", "the dag is not paused")


def _approve(dag: Dag, request: Approve, now: int) -> Refused | None:
    if not 0 <= request.node < len(dag.plan.nodes):
        return Refused("task.not_found", f"the dag has no node {request.node}")
    name = dag.plan.nodes[request.node].name
    if dag_state(dag) is State.SUCCEEDED:
        return Refused("approve.finished", "the dag is finished")
    if not dag.plan.nodes[request.node].approval:
        return Refused("approve.not_held", f"node {name!r} needs no approval")
    if request.node in dag.approvals:
        return Refused("approve.already", f"node {name!r} was approved by {dag.approvals[request.node].who}")
    return None


def _extend(dag: Dag, request: Extend, now: int) -> Refused | None:
    sub_task = _sub_task(dag, request.sub_task)
    if isinstance(sub_task, Refused):
        return sub_task
    if sub_task.state is not State.RUNNING or sub_task.resting:
        return Refused("extend.not_running", f"sub-task {_called(dag, request.sub_task)} is not running")
    if sub_task.stopping:
        return Refused("extend.stopping", f"sub-task {_called(dag, request.sub_task)} is being stopped")
    return None if request.until > now else Refused("extend.past", "that time has passed")


def _set_retries(dag: Dag, request: SetRetries, now: int) -> Refused | None:
    sub_task = _sub_task(dag, request.sub_task)
    if isinstance(sub_task, Refused):
        return sub_task
    if dag_state(dag) is State.SUCCEEDED:
        return Refused("retries.finished", "the dag is finished")
    return None if request.retries >= 0 else Refused("retries.negative", "retries are 0 or more")


def _gone(dag: Dag, request: Gone, now: int) -> Refused | None:
    if dag_state(dag) is State.SUCCEEDED:
        return Refused("gone.finished", "the dag is finished")
    if request.agent == dag.home.agent:
        return Refused("gone.home", f"{request.agent} keeps the dag itself")
    if request.agent in dag.recalled and any(sub_task.unsure for sub_task in dag.sub_tasks):
        return None
    for index, sub_task in enumerate(dag.sub_tasks):
        if (sub_task.live or sub_task.resting or sub_task.broken) and executor(dag, index) == request.agent:
            return None
    return Refused("gone.not_needed", f"nothing of the dag waits for {request.agent}", hint="say it once something does")


def _held(dag: Dag, indices: Iterable[int], which: Callable[[SubTask], bool]) -> Iterable[int]:
    """Nodes whose flags decide: those that have such a sub-task, and not because its agent is gone."""
    return dict.fromkeys(dag.plan.node_of[index] for index in indices if which(dag.sub_tasks[index]) and not forsaken(dag, index))


def _unsure(dag: Dag, operator: str) -> Refused | None:
    """What an agent did is not known until it says so."""
    silent = dict.fromkeys(str(sub_task.agent) for sub_task in dag.sub_tasks if sub_task.unsure)
    if not silent:
        return None
    return Refused(
        f"{operator}.unsure", f"the store went back, and {', '.join(silent)} has not said what it did", hint="wait; or say that it is gone"
    )


def _called(dag: Dag, index: int) -> str:
    """What people call a sub-task: its node, and its agent where there are several."""
    node = dag.plan.nodes[dag.plan.node_of[index]]
    agent = dag.sub_tasks[index].agent
    return f"{node.name!r} on {agent}" if len(node.agents) > 1 and agent is not None else repr(node.name)


def _sub_task(dag: Dag, index: int) -> SubTask | Refused:
    if not 0 <= index < dag.plan.size:
        return Refused("task.not_found", f"the dag has no sub-task {index}")
    return dag.sub_tasks[index]


def _nodes(dag: Dag, which: Callable[[SubTask], bool]) -> Iterable[int]:
    """Nodes that have such a sub-task, in plan order."""
    return dict.fromkeys(dag.plan.node_of[index] for index, sub_task in enumerate(dag.sub_tasks) if which(sub_task))


def _flagged(dag: Dag, operator: str, nodes: Iterable[int], flag: Callable[[Flags], bool]) -> Refused | None:
    for node in nodes:
        if not flag(dag.plan.nodes[node].flags):
            word = operator.rsplit("_", 1)[-1]
            return Refused(f"{operator}.not_allowed", f"node {dag.plan.nodes[node].name!r} does not allow {word}")
    return None


_OPERATORS: Mapping[str, Request] = {
    "RETRY": Retry(),
    "ROLLBACK": Rollback(),
    "CANCEL": Cancel(),
    "PASS": Pass(),
    "SKIP": Skip(),
}
_GUARDS: Mapping[type, Callable[..., Refused | None]] = {
    Retry: _retry,
    Rollback: _rollback,
    Cancel: _cancel,
    Pass: _pass,
    Skip: _skip,
    Pause: _pause,
    Resume: _resume,
    Approve: _approve,
    Extend: _extend,
    SetRetries: _set_retries,
    Gone: _gone,
}
