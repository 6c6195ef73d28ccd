"""What was measured, as a table: figures, ratios to the floor, targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ROWS", "Row", "missed", "ratio_of", "table", "target_of", "value_of"]


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
    Row("chains_submitted_steps_per_second", "  with their creation", "steps/s"),
    Row("parallel1000_s", "1 dag, 1 000 parallel sub-tasks", "s", 0.5, milliseconds=1000, per=1000),
    Row("request_running_p50_ms", "request to RUNNING, p50", "ms", 20.0, milliseconds=1),
    Row("http_running_p50_ms", "  over HTTP, with its encryption", "ms", 20.0, milliseconds=1),
    Row("seekdb.floor_ms", "the floor when seekdb was measured", "ms"),
    Row("seekdb.gap_p50_ms", "on seekdb: step to step, p50", "ms", 3.0, milliseconds=1),
    Row("seekdb.chain9_ms", "on seekdb: chain of 9", "ms", milliseconds=1),
    Row("seekdb.chains_steps_per_second", "on seekdb: 1 000 chains of 9", "steps/s", 3_000, at_least=True),
    Row("seekdb.chains_submitted_steps_per_second", "  with their creation", "steps/s"),
    Row("seekdb.parallel1000_s", "on seekdb: 1 000 sub-tasks", "s", milliseconds=1000, per=1000),
    Row("seekdb.request_running_p50_ms", "on seekdb: request to RUNNING", "ms", milliseconds=1),
    Row("process_start_s", "Python and its imports", "s"),
    Row("first_answer_ms", "start to first answer", "ms", 400.0),
    Row("kill_resume_s", "kill to step runs again", "s"),
    Row("idle_mb", "idle in a cluster: memory", "MB", 60.0),
    Row("idle_cpu_percent", "idle: CPU", "%", 0.3),
    Row("idle_statements_per_s", "idle: statements", "per s", 0.5),
    Row("history_ratio", "history of 1 M dags against none", "x", 1.2),
    Row("rsa_only_one_rps", "RSA of a request's header, 1 process", "per s"),
    Row("rsa_only_rps", "  on every processor", "per s"),
    *(
        row
        for number, target in (("1", 500), ("8", 900), ("32", 900))
        for row in (
            Row(
                f"maintain_ob_rps.{number}",
                f"GET maintain/ob, {number} connection{'s' if number != '1' else ''}",
                "per s",
                target,
                at_least=True,
            ),
            Row(f"maintain_ob_share.{number}", "  of what RSA alone allows", "x", 0.6, at_least=True),
            Row(f"maintain_ob_cpu_percent.{number}.client", "  the client's part of all CPUs", "%"),
            Row(f"maintain_ob_cpu_percent.{number}.agent", "  the agent's", "%"),
            Row(f"maintain_ob_cpu_percent.{number}.database", "  the database's", "%"),
        )
    ),
    Row("maintain_ob_wide_ratio", "a dag of 1 000 sub-tasks against 9", "x"),
    Row("maintain_ob_history_ratio", "after 1 M dags against none", "x"),
)


def value_of(found: Mapping[str, Any], key: str) -> float | None:
    """A dot leads inside; None: it was not measured."""
    value: Any = found
    for name in key.split("."):
        value = None if value is None else value.get(name)
    figure: float | None = value
    return figure


def missed(found: Mapping[str, Any]) -> Iterator[str]:
    """Keys whose target is not met."""
    for row in ROWS:
        value, target = value_of(found, row.key), target_of(row, found)
        if value is not None and target is not None and (value < target if row.at_least else value > target):
            yield row.key


def table(found: Mapping[str, Any]) -> Iterator[str]:
    not_met = set(missed(found))
    yield f"{'':38} {'':>11} {'':8} {'to the floor':16} target"
    for row in ROWS:
        value, target = value_of(found, row.key), target_of(row, found)
        figure = f"{'-':>11}" if value is None else f"{value:11.3f}"
        aim = "" if target is None else f"{'>=' if row.at_least else '<='} {target:.4g}{'  MISSED' if row.key in not_met else ''}"
        yield f"{row.title:38} {figure} {row.unit:8} {ratio_of(row, found):16} {aim}".rstrip()
    for part, reason in found["without"].items():
        yield f"without {part}: {reason}"
    where = found["surroundings"]
    yield f"{where['processors']} x {where['processor']}, {where['file_system']}, commit {where['commit']}, {where['date']}"
    yield f"load average {where['load_before']} before and {where['load_after']} after {where['seconds']} s {where['priority']}".rstrip()


def ratio_of(row: Row, found: Mapping[str, Any]) -> str:
    """To the floor of the same part of the run; empty where that would say nothing."""
    value = value_of(found, row.key)
    floor = value_of(found, "seekdb.floor_ms" if row.key.startswith("seekdb.") else "floor_ms")
    if value is None or floor is None:
        return ""
    if row.unit == "steps/s":
        return f"{1000 / value / floor:.3f} x a step"
    return f"{value * row.milliseconds / row.per / floor:.2f} x" if row.milliseconds else ""


def target_of(row: Row, found: Mapping[str, Any]) -> float | None:
    """Two of them stand beside other figures of the same run."""
    beside = {"gap_p50_ms": "floor_ms", "kill_resume_s": "process_start_s"}.get(row.key)
    if beside is None:
        return row.target
    other = found.get(beside)
    if other is None:
        return row.target
    return min(0.5, 5 * other) if row.key == "gap_p50_ms" else 0.4 + float(other)
