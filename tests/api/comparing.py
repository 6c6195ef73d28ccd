"""What may differ between a recording and oboe's answer, and how the rest is compared (`obshell-wire.md` §8.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oboe.api.shared.envelope import wire_time

from .differences import row

__all__ = ["exempt", "normal"]

TICK = row("states between two looks of the scheduler")
SKIPS = row("retry after a failed rollback")

_NEVER = ("0001-01-01T00:00:00", "1970-01-01T00:00:00")
"""The double behind the recordings shows the year 1 for dags of the cluster."""
_TIMES = ("start_time", "end_time", "create_time", "update_time")


def normal(value: Any, key: str = "") -> str:
    """As JSON text, members in order, times masked but for those that stand for "not yet"."""
    return json.dumps(_masked(value, key), ensure_ascii=False)


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, "") for each in value]
    if key in _TIMES:
        return "never" if value.startswith(_NEVER) or value == wire_time(0) else "~"
    return value


def exempt(dag: Mapping[str, Any]) -> str:
    """The row of the wanted differences by which oboe never shows this recorded dag; empty when it must be the same."""
    nodes = dag["nodes"] or []
    if dag["operator"] in ("RUN", "CANCEL") and any(node["operator"] == "ROLLBACK" for node in nodes):
        return SKIPS
    for node in nodes:
        states = {sub_task["state"] for sub_task in node["sub_tasks"]}
        half_way = node["operator"] == "RETRY" and any(sub_task["operator"] == "ROLLBACK" for sub_task in node["sub_tasks"])
        if node["state"] == "RUNNING" and not states & {"READY", "RUNNING"} and not (half_way and states == {"SUCCEED"}):
            return TICK
    failed = any(node["state"] == "FAILED" for node in nodes)
    done = bool(nodes) and all(node["state"] == "SUCCEED" for node in nodes)
    if dag["state"] == "RUNNING" and (failed or done):
        return TICK
    if nodes and dag["state"] in ("READY", "RUNNING") and dag["operator"] == "RUN" and nodes[dag["stage"] - 1]["state"] == "SUCCEED":
        return TICK
    return ""
