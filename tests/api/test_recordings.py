"""What the original answered for a dag, node, sub-task or its logs is what the codec makes of the same dag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from oboe.api.obshell import codec, ids
from oboe.control.views import DagView
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Home
from oboe.domain.records import LogRecord

from .comparing import SKIPS, TICK, exempt, normal
from .exchanges import FILES as RECORDED
from .exchanges import exchanges
from .importer import dag_of, nanoseconds, view_of

FILES = [name for name in RECORDED if not name.startswith("50")]


def reads(name: str) -> Iterator[tuple[str, Any]]:
    """Path and ``data`` of every answered read of tasks."""
    for each in exchanges(name):
        if each.method == "GET" and each.status == 200:
            yield each.uri.split("?")[0], each.envelope["data"]


def dags(name: str) -> Iterator[Mapping[str, Any]]:
    """Every dag that an answer showed, of those that made it too."""
    for each in exchanges(name):
        yield from each.dags


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_dag_is_rendered_the_same(name: str) -> None:
    for wire in dags(name):
        if exempt(wire):
            continue
        rendered = msgspec.to_builtins(codec.dag_object(view_of(wire), details=wire["nodes"] is not None))
        assert normal(rendered) == normal(wire)


def test_few_recorded_dags_are_exempt_and_each_has_a_reason() -> None:
    reasons = Counter(exempt(wire) for name in FILES for wire in dags(name))
    assert set(reasons) == {"", TICK, SKIPS}
    assert reasons[SKIPS] < 20
    assert reasons[TICK] < reasons[""] / 4
    assert reasons[""] > 350


def _alone(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A dag of that node alone, which shows what the node shows."""
    number = node["node_id"]
    common = {"dag_id": number, "name": "alone", "stage": 1, "max_stage": 1, "maintenance_type": 2, "maintenance_key": ""}
    times = {"start_time": node["start_time"], "end_time": node["end_time"]}
    state = {"PENDING": "READY"}.get(node["state"], node["state"])
    operator = {"RETRY": "RUN"}.get(node["operator"], node["operator"])
    rest = {"state": state, "operator": operator, **times, "additional_data": node["additional_data"], "nodes": [node]}
    return {"id": node["id"], **common, **rest}


def test_every_recorded_node_is_rendered_the_same() -> None:
    compared = 0
    for name in FILES:
        for path, node in reads(name):
            if "/node/" not in path or exempt(_alone(node)) or len(node["sub_tasks"]) > 1:
                continue
            rendered = msgspec.to_builtins(codec.node_object(view_of(_alone(node)), details=True))
            assert normal(rendered) == normal(node)
            compared += 1
    assert compared > 30


def test_every_recorded_sub_task_is_rendered_the_same() -> None:
    compared = 0
    for name in FILES:
        for path, sub_task in reads(name):
            if "/sub_task/" not in path or path.endswith("/logs"):
                continue
            node = {**sub_task, "node_id": sub_task["task_id"], "sub_tasks": [sub_task]}
            rendered = msgspec.to_builtins(codec.sub_task_object(view_of(_alone(node))))
            assert normal(rendered) == normal(sub_task)
            compared += 1
    assert compared > 30


def _record(wire: Mapping[str, Any]) -> LogRecord:
    """The line is told apart from its prefix only when it is shown; here it goes through whole."""
    line = LogLine(0, nanoseconds(wire["create_time"]), Level.INFO, wire["log_content"])
    return LogRecord(wire["id"], 0, wire["execute_times"], line)


def test_every_recorded_log_record_is_rendered_the_same() -> None:
    dag = dag_of(next(wire for wire in dags("12_init.jsonl") if wire["nodes"]))
    compared = 0
    for name in FILES:
        for path, data in reads(name):
            if not path.endswith("/logs"):
                continue
            ref = ids.decode("sub_task", path.split("/")[-2])
            of_this = replace(dag, home=Home(ref.home, ref.agent), sub_task_base=ref.number)
            view = DagView(of_this, tuple(_record(wire) for wire in data["contents"]), 0)
            assert normal(msgspec.to_builtins(codec.log_objects(view))) == normal(data["contents"])
            compared += len(data["contents"])
    assert compared > 10
