"""A dag as an agent shows it on OBShell's wire, read into small values for drawing and watching."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "CANCEL",
    "FAILED",
    "FINISHED",
    "PASS",
    "PENDING",
    "READY",
    "ROLLBACK",
    "RUNNING",
    "SUCCEED",
    "DagShown",
    "NodeShown",
    "SubTaskShown",
    "local_seconds",
    "local_time",
    "read_dag",
    "seconds_of",
]

PENDING, READY, RUNNING, FAILED, SUCCEED = "PENDING", "READY", "RUNNING", "FAILED", "SUCCEED"
ROLLBACK, PASS, CANCEL = "ROLLBACK", "PASS", "CANCEL"
FINISHED = (FAILED, SUCCEED)

_FRACTION = re.compile(r"\.(\d{1,6})\d*")


@dataclass(frozen=True, slots=True)
class SubTaskShown:
    id: str
    state: str
    operator: str
    agent: str
    attempt: int
    start: float
    end: float
    logs: tuple[str, ...]
    additional: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeShown:
    id: str
    name: str
    state: str
    operator: str
    start: float
    end: float
    sub_tasks: tuple[SubTaskShown, ...]
    additional: Mapping[str, Any]

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.agent for each in self.sub_tasks))

    def seconds(self, now: float) -> float | None:
        """How long it ran, or has been running at ``now``; None when it has not begun or the agent gives no time for it."""
        if self.state not in (RUNNING, *FINISHED) or not any(each.attempt for each in self.sub_tasks):
            return None
        end = now if self.state == RUNNING else self.end
        return max(0.0, end - self.start) if self.start > 0 and end > 0 else None

    @property
    def last_line(self) -> str:
        """The last log line of the sub-task that spoke last, a failed one first."""
        spoke = [each for each in self.sub_tasks if each.logs]
        spoke.sort(key=lambda each: (each.state == FAILED, each.start))
        return spoke[-1].logs[-1] if spoke else ""


@dataclass(frozen=True, slots=True)
class DagShown:
    id: str
    number: int
    name: str
    state: str
    operator: str
    stage: int
    stages: int
    start: float
    end: float
    nodes: tuple[NodeShown, ...]
    raw: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def outcome(self) -> str:
        """One word for people: ``rolled back`` and ``passed`` are SUCCEED on the wire, ``cancelled`` is FAILED."""
        words = {(SUCCEED, ROLLBACK): "rolled back", (SUCCEED, PASS): "passed", (FAILED, CANCEL): "cancelled"}
        return words.get((self.state, self.operator), self.state.lower())


def read_dag(data: Mapping[str, Any]) -> DagShown:
    """From the ``data`` of an answer; members that are missing or null are taken as empty."""
    return DagShown(
        id=str(data.get("id", "")),
        number=int(data.get("dag_id") or 0),
        name=str(data.get("name", "")),
        state=str(data.get("state", "")),
        operator=str(data.get("operator", "")),
        stage=int(data.get("stage") or 0),
        stages=int(data.get("max_stage") or 0),
        start=seconds_of(data.get("start_time")),
        end=seconds_of(data.get("end_time")),
        nodes=tuple(_read_node(each) for each in _list(data.get("nodes"))),
        raw=data,
    )


def seconds_of(text: Any) -> float:
    """Unix seconds of a time on the wire; 0 for what stands for "not yet" (the Unix epoch, the year 1) and for what is no time."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(lambda found: "." + found[1].ljust(6, "0"), str(text)))
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def local_time(text: str) -> str:
    """A time on the wire as ``YYYY-MM-DD HH:MM:SS`` of this host's zone, as everything is that people are shown here."""
    return local_seconds(seconds_of(text))


def local_seconds(unix: float) -> str:
    """The same of Unix seconds."""
    return datetime.fromtimestamp(unix, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _read_node(data: Mapping[str, Any]) -> NodeShown:
    return NodeShown(
        id=str(data.get("id", "")),
        name=str(data.get("name", "")),
        state=str(data.get("state", "")),
        operator=str(data.get("operator", "")),
        start=seconds_of(data.get("start_time")),
        end=seconds_of(data.get("end_time")),
        sub_tasks=tuple(_read_sub_task(each) for each in _list(data.get("sub_tasks"))),
        additional=data.get("additional_data") or {},
    )


def _read_sub_task(data: Mapping[str, Any]) -> SubTaskShown:
    agent = data.get("execute_agent") or {}
    ip = str(agent.get("ip", ""))
    return SubTaskShown(
        id=str(data.get("id", "")),
        state=str(data.get("state", "")),
        operator=str(data.get("operator", "")),
        agent=f"{f'[{ip}]' if ':' in ip else ip}:{agent.get('port', '')}",
        attempt=int(data.get("execute_times") or 0),
        start=seconds_of(data.get("start_time")),
        end=seconds_of(data.get("end_time")),
        logs=tuple(str(line) for line in _list(data.get("task_logs"))),
        additional=data.get("additional_data") or {},
    )


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
