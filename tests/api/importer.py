"""From a recorded answer back to the dag that would give it: what the original stores, put into the terms of our model.

The times of a recording are kept where they say something and are made up where ours are finer (`readied_at`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from oboe.api.obshell import ids
from oboe.api.obshell.names import MAINTENANCE_KINDS, OPERATORS, STATES
from oboe.control.views import DagView
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Dag, Flags, Home, Maintenance, NodePlan, Plan, SubTask
from oboe.domain.records import LogRecord
from oboe.domain.values import Address, Mark, Operator, State, Stopping

__all__ = ["dag_of", "nanoseconds", "view_of"]

_STATES = {word: state for state, word in STATES.items()}
_OPERATORS = {word: operator for operator, word in OPERATORS.items() if operator is not Operator.SKIP}
_KINDS = {word: kind for kind, word in MAINTENANCE_KINDS.items()}
_ERROR = re.compile(r"ERROR: \[(.*?)\]: (.*)", re.DOTALL)


def view_of(wire: Mapping[str, Any]) -> DagView:
    """The dag with its log lines, as `oboe.control` would give it."""
    dag = dag_of(wire)
    records: list[LogRecord] = []
    for index, (_, sub_task) in enumerate(_sub_tasks(wire)):
        for seq, text in enumerate(sub_task["task_logs"] or ()):
            records.append(LogRecord(len(records) + 1, index, 1, _line(seq, text)))
    return DagView(dag, tuple(records) if wire["nodes"] is not None else None)


def dag_of(wire: Mapping[str, Any]) -> Dag:
    ref = ids.decode("dag", wire["id"])
    created_at = _created_at(wire)
    nodes: Sequence[Mapping[str, Any]] = wire["nodes"] or _stand_ins(wire)
    plan = Plan(tuple(_node_plan(index, node) for index, node in enumerate(nodes)))
    ready, finished = wire["state"] == "READY", wire["state"] in ("FAILED", "SUCCEED")
    asked = wire["operator"] != "RUN" or _is_zero(wire["end_time"]) or any(node["operator"] != "RUN" for node in nodes)
    return Dag(
        key="0" * 32,
        id=wire["dag_id"],
        node_base=nodes[0]["node_id"],
        sub_task_base=nodes[0]["sub_tasks"][0]["task_id"],
        name=wire["name"],
        playbook=wire["name"],
        plan=plan,
        params={},
        home=Home(ref.home, ref.agent),
        maintenance=Maintenance(_KINDS[wire["maintenance_type"]], wire["maintenance_key"]),
        created_at=created_at,
        created_by=ref.agent or Address("127.0.0.1", 3886),
        sub_tasks=tuple(_sub_task(wire, node, sub_task) for node in nodes for sub_task in node["sub_tasks"]),
        operator=_OPERATORS.get(wire["operator"], Operator.RUN),
        cancelled=wire["operator"] == "CANCEL",
        asks=int(asked),
        started_at=0 if ready else nanoseconds(wire["start_time"]) or created_at,
        ended_at=nanoseconds(wire["end_time"]) if finished else 0,
    )


def nanoseconds(text: str) -> int:
    """Since the Unix epoch; the year 1 is 0 as well."""
    if _is_zero(text):
        return 0
    stem, fraction, zone = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text).groups()  # type: ignore[union-attr]
    seconds = int(datetime.fromisoformat(stem + zone.replace("Z", "+00:00")).timestamp())
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def _node_plan(index: int, node: Mapping[str, Any]) -> NodePlan:
    agents = tuple(Address(each["execute_agent"]["ip"], each["execute_agent"]["port"]) for each in node["sub_tasks"])
    return NodePlan(name=node["name"], step="none:None", upstream=(index - 1,) if index else (), agents=agents, flags=Flags())


def _sub_task(wire: Mapping[str, Any], node: Mapping[str, Any], sub_task: Mapping[str, Any]) -> SubTask:
    state, begun = _STATES[sub_task["state"]], sub_task["execute_times"] > 0
    passed = sub_task["operator"] == "PASS"
    return SubTask(
        state=state,
        operator=_OPERATORS[sub_task["operator"]],
        attempt=sub_task["execute_times"],
        stopping=Stopping.ASKED if node["operator"] == "CANCEL" and state is not State.SUCCEEDED else Stopping.NO,
        mark=_mark(node, sub_task),
        asked_retries=int(node["operator"] == "RETRY"),
        agent=Address(sub_task["execute_agent"]["ip"], sub_task["execute_agent"]["port"]),
        readied_at=nanoseconds(sub_task["start_time"]) if begun else 0,
        started_at=nanoseconds(sub_task["start_time"]) if begun else 0,
        ended_at=nanoseconds(sub_task["end_time"]) if begun or passed else 0,
        additional=wire["additional_data"] if len(wire["nodes"] or ()) == 1 else _first(wire, node, sub_task),
    )


def _first(wire: Mapping[str, Any], node: Mapping[str, Any], sub_task: Mapping[str, Any]) -> Any:
    """A dag's merged data is given to its first sub-task."""
    is_first = node is wire["nodes"][0] and sub_task is node["sub_tasks"][0] if wire["nodes"] else False
    return (wire["additional_data"] or None) if is_first else None


def _mark(node: Mapping[str, Any], sub_task: Mapping[str, Any]) -> Mark:
    """Due: it waits for its undo, or for the run after it."""
    if node["state"] == "PENDING" and node["operator"] in ("RETRY", "ROLLBACK") and sub_task["state"] == "FAILED":
        return Mark.DUE
    if node["operator"] == "RETRY" and sub_task["operator"] == "ROLLBACK" and sub_task["state"] in ("READY", "RUNNING", "SUCCEED"):
        return Mark.DUE
    return Mark.NO


def _line(seq: int, text: str) -> LogLine:
    if match := _ERROR.fullmatch(text):
        return LogLine(seq, 0, Level.ERROR, match[2], match[1])
    if text.startswith("WARN: "):
        return LogLine(seq, 0, Level.WARN, text.removeprefix("WARN: "))
    return LogLine(seq, 0, Level.INFO, text)


def _created_at(wire: Mapping[str, Any]) -> int:
    times = [wire["start_time"], wire["end_time"]]
    for node in wire["nodes"] or ():
        times += [node["start_time"], node["end_time"]]
    return min((at for at in map(nanoseconds, times) if at), default=1)


def _is_zero(text: str) -> bool:
    return text.startswith(("0001-01-01T", "1970-01-01T00:00:00"))


def _sub_tasks(wire: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return [(node, sub_task) for node in wire["nodes"] or () for sub_task in node["sub_tasks"]]


def _stand_ins(wire: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Nodes for an answer without details: as many as it says, in states that fold to its own."""
    nodes = []
    for stage in range(1, wire["max_stage"] + 1):
        state, operator, times = _stand_in(wire, stage)
        sub_task = {"task_id": stage, "execute_agent": {"ip": "127.0.0.1", "port": 3886}, "state": state, "operator": operator}
        at = wire["end_time"] if state in ("FAILED", "SUCCEED") else wire["start_time"]
        sub_task |= {"start_time": at, "end_time": at, "execute_times": times, "task_logs": None}
        asked = "RETRY" if state == "FAILED" and wire["state"] == "READY" else wire["operator"] if operator != "RUN" else "RUN"
        nodes.append({"node_id": stage, "name": f"node {stage}", "state": "PENDING", "operator": asked, "sub_tasks": [sub_task]})
    return nodes


def _stand_in(wire: Mapping[str, Any], stage: int) -> tuple[str, str, int]:
    """State, operator and attempt of one stage's only sub-task."""
    current = wire["stage"]
    if wire["operator"] == "ROLLBACK":
        if wire["state"] == "SUCCEED":
            return "SUCCEED", "ROLLBACK", 2
        return ("SUCCEED", "RUN", 1) if stage < current else ("RUNNING", "ROLLBACK", 2) if stage == current else ("PENDING", "RUN", 0)
    if wire["operator"] == "PASS":
        return ("SUCCEED", "RUN", 1) if stage < current else ("SUCCEED", "PASS", int(stage == current))
    if stage < current or wire["state"] == "SUCCEED":
        return "SUCCEED", "RUN", 1
    if stage > current or (wire["state"] == "READY" and _is_new(wire)):
        return "PENDING", "RUN", 0
    return ("FAILED" if wire["state"] in ("FAILED", "READY") else "RUNNING"), "RUN", 1


def _is_new(wire: Mapping[str, Any]) -> bool:
    return not _is_zero(wire["start_time"])
