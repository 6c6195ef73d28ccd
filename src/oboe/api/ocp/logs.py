"""R5 and R9: the log of a sub-task as one text, and everything about a task as a zip (`ocp-task.md` §2.7, §3.11).

The text only ever grows at its end, so an offset in it means the same for ever: a separator before each attempt that has lines, and the
lines. Offsets count characters, so no chunk cuts one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from oboe.api.ocp.envelope import ocp_time
from oboe.api.ocp.names import attempt_words
from oboe.api.ocp.objects import LogPart, Task
from oboe.domain.messages import Level, LogLine
from oboe.domain.records import LogRecord

__all__ = ["Execution", "chunk", "diagnosis", "executions", "whole_log"]

_FENCE = "#" * 12


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt that has lines."""

    attempt: int
    operation: str
    lines: tuple[LogLine, ...]

    def text(self) -> str:
        head = f"{_FENCE} {self.operation} {ocp_time(self.lines[0].at)} {_FENCE}"
        return "\n".join((head, *map(_line, self.lines))) + "\n"


def executions(records: Sequence[LogRecord], index: int) -> list[Execution]:
    """Of one sub-task, in order."""
    by_attempt: dict[int, list[LogLine]] = {}
    for record in records:
        if record.sub_task == index:
            by_attempt.setdefault(record.attempt, []).append(record.line)
    failed = {attempt for attempt, lines in by_attempt.items() if any(line.level is Level.ERROR for line in lines)}
    words = attempt_words(max(by_attempt, default=0), failed)
    return [Execution(attempt, words[attempt - 1], tuple(lines)) for attempt, lines in sorted(by_attempt.items())]


def whole_log(found: Sequence[Execution]) -> str:
    return "".join(each.text() for each in found)


def chunk(text: str, offset: int, limit: int, *, over: bool) -> LogPart:
    """What begins at ``offset``, at most ``limit`` characters of it (0: all); ``over``: no attempt is under way."""
    part = text[offset : offset + limit] if limit else text[offset:]
    after = min(offset, len(text)) + len(part)
    return LogPart(log=part, next_offset=after, eof=over and after == len(text))


def diagnosis(task: Task, logs: Sequence[Sequence[Execution]]) -> bytes:
    """A zip: ``task_info.txt``, a line for each sub-task in an order in which they may run, and a file for each execution."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = [
            f"id={one.id} name={one.name!r} status={one.status} operation={one.operation} upstreams={one.upstreams}"
            for one in task.subtasks
        ]
        head = f"task id={task.id} name={task.name!r} status={task.status} operation={task.operation}"
        archive.writestr("task_info.txt", "\n".join((head, *lines)) + "\n")
        for one, found in zip(task.subtasks, logs, strict=True):
            for each in found:
                archive.writestr(f"subtask_{one.id}_{each.attempt}.log", each.text())
    return out.getvalue()


def _line(line: LogLine) -> str:
    mark = {Level.WARN: "WARN: ", Level.ERROR: f"ERROR: [{line.code}]: " if line.code else "ERROR: "}.get(line.level, "")
    return f"{ocp_time(line.at)} {mark}{line.text}"
