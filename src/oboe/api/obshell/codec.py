"""From a dag to OBShell's dag, node, sub-task and log objects (`obshell-wire.md` §2.1).

The original stores an operator and two times for each node; here they are derived::

    node operator   PASS      a person took it as done
                    ROLLBACK  the dag rolls back and the node was begun
                    CANCEL    the dag was cancelled while it was the node's turn
                    RETRY     a person asked for it again
                    RUN       else
    node times      PENDING   both the dag's creation; the Unix epoch once an operator waits to be carried out
                    RUNNING   both its start
                    finished  its start, its last sub-task's end
    dag times       creation until picked up and until finished; the Unix epoch instead once an operator was asked
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oboe.api.obshell import ids
from oboe.api.obshell.names import CANCEL, MAINTENANCE_KINDS, OPERATORS, PASS, RETRY, ROLLBACK, RUN, STATES
from oboe.api.obshell.objects import AgentAddress, DagObject, LogObject, NodeObject, PreviewEffect, PreviewObject, SubTaskObject
from oboe.api.shared.envelope import CLUSTER_DIGITS, LOCAL_DIGITS, wire_time
from oboe.api.shared.words import view_words
from oboe.control.views import DagView, Preview, WaitView
from oboe.domain import fold
from oboe.domain.holds import held_back
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Dag, SubTask
from oboe.domain.records import LogRecord
from oboe.domain.values import Address, HomeKind, Mark, Operator, State, Stopping

__all__ = ["created", "dag_object", "line_text", "log_objects", "node_object", "preview_object", "sub_task_object"]

_EPOCH = 0


def dag_object(view: DagView, *, details: bool) -> DagObject:
    """``GET dag``; without details ``nodes`` and ``additional_data`` are null."""
    dag = view.dag
    state = fold.dag_state(dag)
    digits = _digits(dag)
    asked = _EPOCH if dag.asks else dag.created_at
    nodes = _nodes(dag, view.logs or (), state) if details else None
    return DagObject(
        id=ids.encode(dag.home, dag.id),
        dag_id=dag.id,
        name=dag.name,
        stage=fold.stage(dag),
        max_stage=len(dag.plan.nodes),
        maintenance_type=MAINTENANCE_KINDS[dag.maintenance.kind],
        maintenance_key=dag.maintenance.key if dag.home.kind is HomeKind.CLUSTER else "",
        state=STATES[State.RUNNING if held_back(dag) else state],
        operator=_dag_operator(dag, state),
        start_time=wire_time(dag.started_at or asked, digits),
        end_time=wire_time(dag.ended_at or asked, digits),
        additional_data=_dag_additional(view) if details else None,
        nodes=nodes,
    )


def created(dag: Dag) -> DagObject:
    """The answer of a route that has just made this dag."""
    return dag_object(DagView(dag, None), details=False)


def node_object(view: DagView, *, details: bool) -> NodeObject:
    """``GET node``: the node that ``view.index`` names; without details ``sub_tasks`` is null."""
    dag = view.dag
    found = _node(dag, view.index, _by_sub_task(view.logs or ()), fold.dag_state(dag), fold.stage(dag))
    if not details:
        found.sub_tasks = None
        return found
    found.additional_data = _merged(dag, dag.plan.sub_tasks_of(view.index))
    return found


def sub_task_object(view: DagView, waits: Sequence[WaitView] = ()) -> SubTaskObject:
    """``GET sub_task``: the one that ``view.index`` names, with what it shows, and in ``additional_data.oboe`` what it waits for."""
    found = _sub_task(view.dag, view.index, _by_sub_task(view.logs or ()))
    shown = _shown(view.dag.sub_tasks[view.index])
    for wait in waits:
        if wait.sub_task == view.index:
            told = {"gives_up": wire_time(wait.until) if wait.until else None, "tries": wait.tries, "waits_for": wait.why}
            shown = (shown or {}) | {"oboe": told}
    found.additional_data = shown
    return found


def tells_progress(view: DagView) -> bool:
    """Whether the sub-task is going on, and its step calls ``run.progress``: none of the original's does."""
    sub_task = view.dag.sub_tasks[view.index]
    return sub_task.live and isinstance(sub_task.additional, Mapping) and "progress" in sub_task.additional


def log_objects(view: DagView) -> list[LogObject]:
    """``GET sub_task/:id/logs``: every line of every attempt, in order."""
    dag = view.dag
    digits = _digits(dag)
    found = []
    for record in view.logs or ():
        if record.sub_task == view.index:
            at = wire_time(record.line.at, digits)
            text = line_text(record.line)
            is_sync = dag.home.kind is HomeKind.AGENT
            found.append(LogObject(record.id, dag.sub_task_id(view.index), record.attempt, text, is_sync, at, at))
    return found


def preview_object(preview: Preview) -> PreviewObject:
    effects = [PreviewEffect(each.node, each.agents, each.action, each.detail) for each in preview.effects]
    return PreviewObject(preview.name, effects, preview.notes)


def line_text(line: LogLine) -> str:
    """A log line as clients read it."""
    if line.level is Level.WARN:
        return f"WARN: {line.text}"
    if line.level is Level.ERROR:
        return f"ERROR: [{line.code}]: {line.text}" if line.code else f"ERROR: {line.text}"
    return line.text


# Dags


def _dag_operator(dag: Dag, state: State) -> str:
    """CANCEL is an operator here; a dag that ended well before it could be stopped shows what it did."""
    if dag.cancelled and state is not State.SUCCEEDED:
        return CANCEL
    return OPERATORS[dag.operator]


def _dag_additional(view: DagView) -> dict[str, Any] | None:
    dag = view.dag
    told = _told(view)
    alone = len(dag.plan.nodes) == 1
    shown = _merged(dag, dag.plan.sub_tasks_of(0)) if alone else _merge(_shown(each) for each in dag.sub_tasks)
    if told:
        shown = {**(shown or {}), "oboe": {**told, **((shown or {}).get("oboe") or {})}}
    return shown


def _told(view: DagView) -> dict[str, Any]:
    """What has no word on this wire: why a dag waits, and what was skipped while it rolled back."""
    dag = view.dag
    told: dict[str, Any] = {}
    if fold.dag_state(dag) is not State.SUCCEEDED:
        waits = view_words(view)
        if dag.recalled_at:
            waits.append("the facts of " + ", ".join(map(str, dag.recalled)))
        if waits:
            told["waits_for"] = "; ".join(waits)
        if dag.halt_reason:
            told["halted"] = dag.halt_reason
    if dag.skipped_undo:
        told["skipped_undo"] = True
    if not _is_chain(dag):
        told["layered"] = False
    return told


def _is_chain(dag: Dag) -> bool:
    """Stages are exact where each node follows the one before it; of any other graph they are an order in which it may run."""
    return all(node.upstream == ((index - 1,) if index else ()) for index, node in enumerate(dag.plan.nodes))


# Nodes


def _nodes(dag: Dag, logs: Sequence[LogRecord], state: State) -> list[NodeObject]:
    lines = _by_sub_task(logs)
    stage = fold.stage(dag)
    return [_node(dag, index, lines, state, stage) for index in range(len(dag.plan.nodes))]


def _node(dag: Dag, index: int, lines: Mapping[int, list[str]], dag_state: State, stage: int) -> NodeObject:
    sub_tasks = [dag.sub_tasks[each] for each in dag.plan.sub_tasks_of(index)]
    state = fold.node_state(dag, index)
    operator = _node_operator(dag, sub_tasks, state, is_current=index == stage - 1)
    if operator == CANCEL and dag_state is State.READY:
        state = State.PENDING
    elif operator == RETRY and state is State.PENDING and any(_half_way(dag, each) for each in sub_tasks):
        state = State.RUNNING
    start, end = _node_times(dag, sub_tasks, state, operator)
    digits = _digits(dag)
    return NodeObject(
        id=ids.encode(dag.home, dag.node_id(index)),
        node_id=dag.node_id(index),
        name=dag.plan.nodes[index].name,
        state=STATES[state],
        operator=operator,
        start_time=wire_time(start, digits),
        end_time=wire_time(end, digits),
        additional_data=None,
        sub_tasks=[_sub_task(dag, each, lines) for each in dag.plan.sub_tasks_of(index)],
    )


def _node_operator(dag: Dag, sub_tasks: Sequence[SubTask], state: State, *, is_current: bool) -> str:
    passed = any(each.operator is Operator.PASS and each.state is State.SUCCEEDED for each in sub_tasks)
    if dag.operator is Operator.ROLLBACK:
        begun = any(each.attempt for each in sub_tasks)
        return ROLLBACK if begun else PASS if passed else RUN
    if passed:
        return PASS
    if dag.cancelled and state is not State.SUCCEEDED:
        stopped = any(each.stopping is Stopping.ASKED for each in sub_tasks)
        if stopped or is_current:
            return CANCEL
    return RETRY if any(each.asked_retries for each in sub_tasks) else RUN


def _half_way(dag: Dag, sub_task: SubTask) -> bool:
    """Its retry was begun: it is undone, and about to run."""
    return sub_task.mark is Mark.DUE and sub_task.undone and 0 < dag.started_at <= sub_task.readied_at


def _node_times(dag: Dag, sub_tasks: Sequence[SubTask], state: State, operator: str) -> tuple[int, int]:
    if state is State.PENDING:
        at = dag.created_at if operator in (RUN, PASS) else _EPOCH
        return at, at
    begun = [each.readied_at for each in sub_tasks if each.attempt]
    since = [at for at in begun if at >= dag.started_at]
    start = min(since or begun, default=dag.created_at)
    if state is State.RUNNING:
        return start, start
    return start, max((each.ended_at for each in sub_tasks), default=0) or start


# Sub-tasks


def _sub_task(dag: Dag, index: int, lines: Mapping[int, list[str]]) -> SubTaskObject:
    sub_task = dag.sub_tasks[index]
    digits = _digits(dag)
    number = dag.sub_task_id(index)
    waits = sub_task.state in (State.PENDING, State.READY)
    return SubTaskObject(
        id=ids.encode(dag.home, number),
        task_id=number,
        name=dag.plan.nodes[dag.plan.node_of[index]].name,
        state=STATES[sub_task.state],
        operator=OPERATORS[sub_task.operator],
        start_time=wire_time(sub_task.started_at or dag.created_at, digits),
        end_time=wire_time(sub_task.ended_at or dag.created_at, digits),
        additional_data=None,
        execute_times=sub_task.attempt,
        execute_agent=_agent(dag, index),
        task_logs=None if waits else lines.get(index, []),
    )


def _agent(dag: Dag, index: int) -> AgentAddress:
    """The planned or actual one; nobody yet is whoever took the request."""
    node = dag.plan.node_of[index]
    planned = dag.plan.nodes[node].agents[index - dag.plan.first[node]]
    agent: Address = dag.sub_tasks[index].agent or planned or dag.home.agent or dag.created_by
    return AgentAddress(agent.ip, agent.port)


def _by_sub_task(logs: Sequence[LogRecord]) -> dict[int, list[str]]:
    lines: dict[int, list[str]] = {}
    for record in logs:
        lines.setdefault(record.sub_task, []).append(line_text(record.line))
    return lines


def _digits(dag: Dag) -> int:
    return CLUSTER_DIGITS if dag.home.kind is HomeKind.CLUSTER else LOCAL_DIGITS


# additional_data (§2.1.4)


def _shown(sub_task: SubTask) -> dict[str, Any] | None:
    return _in_order(sub_task.additional) if isinstance(sub_task.additional, Mapping) else None


def _in_order(value: Mapping[str, Any]) -> dict[str, Any]:
    """By name, at every level: the original keeps maps, and writes them so."""
    return {name: _in_order(each) if isinstance(each, Mapping) else each for name, each in sorted(value.items())}


def _merged(dag: Dag, indices: range) -> dict[str, Any] | None:
    """A node's: that of its one sub-task, or of several together."""
    if len(indices) == 1:
        return _shown(dag.sub_tasks[indices[0]])
    return _merge(_shown(dag.sub_tasks[index]) for index in indices)


def _merge(parts: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Maps recursively, arrays one after another, else the last wins."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in (part or {}).items():
            known = merged.get(name)
            if isinstance(known, dict) and isinstance(value, Mapping):
                merged[name] = _merge((known, value))
            elif isinstance(known, list) and isinstance(value, (list, tuple)):
                merged[name] = [*known, *value]
            else:
                merged[name] = list(value) if isinstance(value, tuple) else value
    return _in_order(merged)
