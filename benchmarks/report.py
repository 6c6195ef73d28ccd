"""What was measured, as a table: figures, ratios to the floor, targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ROWS", "Row", "missed", "table"]


@dataclass(frozen=True, slots=True)
class Row:
    """``key`` names the figure in the JSON; a dot leads into a mapping."""

    key: str
    title: str
    unit: str
    target: float | None = None
    at_least: bool = False
    milliseconds: float = 0.0
    """Of one unit: 1 for ms, 1000 for s. 0: a ratio to the floor would say nothing."""
    per: int = 1
    """Steps in the figure, for the ratio."""


ROWS = (
    Row("floor_ms", "one SQLite commit: the floor", "ms"),
    Row("gap_p50_ms", "step to step, p50", "ms", 0.5, milliseconds=1),
    Row("chain9_ms", "chain of 9, submit to end", "ms", 6.0, milliseconds=1),
    Row("chains_steps_per_second", "1 000 chains of 9 at once", "steps/s", 10_000, at_least=True),
    Row("parallel1000_s", "1 dag, 1 000 parallel sub-tasks", "s", 0.5, milliseconds=1000, per=1000),
    Row("request_running_p50_ms", "request to RUNNING, p50", "ms", 20.0, milliseconds=1),
    Row("seekdb.gap_p50_ms", "on seekdb: step to step, p50", "ms", 3.0, milliseconds=1),
    Row("seekdb.chain9_ms", "on seekdb: chain of 9", "ms", milliseconds=1),
    Row("seekdb.chains_steps_per_second", "on seekdb: 1 000 chains of 9", "steps/s", 3_000, at_least=True),
    Row("seekdb.parallel1000_s", "on seekdb: 1 000 sub-tasks", "s", milliseconds=1000, per=1000),
    Row("seekdb.request_running_p50_ms", "on seekdb: request to RUNNING", "ms", milliseconds=1),
    Row("process_start_s", "Python and its imports", "s"),
    Row("first_answer_ms", "start to first answer", "ms", 400.0),
    Row("kill_resume_s", "kill to step runs again", "s"),
    Row("idle_mb", "idle in a cluster: memory", "MB", 60.0),
    Row("idle_cpu_percent", "idle: CPU", "%", 0.3),
    Row("idle_statements_per_s", "idle: statements", "per s", 0.5),
    Row("history_ratio", "history of 1 M dags against none", "x", 1.2),
    Row("maintain_ob_rps.1", "GET maintain/ob, 1 connection", "per s"),
    Row("maintain_ob_rps.8", "8 connections", "per s"),
    Row("maintain_ob_rps.32", "32 connections", "per s"),
    Row("rsa_only_rps", "RSA of those headers alone", "per s"),
)


def value_of(found: Mapping[str, Any], key: str) -> float | None:
    outer, _, inner = key.partition(".")
    value = found[outer]
    figure: float | None = value[inner] if inner and value is not None else value
    return figure


def missed(found: Mapping[str, Any]) -> Iterator[str]:
    """Keys whose target is not met."""
    for row in ROWS:
        value, target = value_of(found, row.key), _target(row, found)
        if value is not None and target is not None and (value < target if row.at_least else value > target):
            yield row.key


def table(found: Mapping[str, Any]) -> Iterator[str]:
    not_met = set(missed(found))
    yield f"{'':34} {'':>11} {'':8} {'to the floor':16} target"
    for row in ROWS:
        value, target = value_of(found, row.key), _target(row, found)
        if value is None:
            yield f"{row.title:34} {'-':>11}"
            continue
        ratio = f"{value * row.milliseconds / row.per / found['floor_ms']:.2f} x" if row.milliseconds else ""
        if row.unit == "steps/s":
            ratio = f"{1000 / value / found['floor_ms']:.3f} x a step"
        aim = "" if target is None else f"{'>=' if row.at_least else '<='} {target:.4g}{'  MISSED' if row.key in not_met else ''}"
        yield f"{row.title:34} {value:11.3f} {row.unit:8} {ratio:16} {aim}".rstrip()


def _target(row: Row, found: Mapping[str, Any]) -> float | None:
    """Two of them stand beside other figures of the same run."""
    if row.key == "gap_p50_ms":
        return min(0.5, 5 * float(found["floor_ms"]))
    if row.key == "kill_resume_s":
        return 0.4 + float(found["process_start_s"])
    return row.target
