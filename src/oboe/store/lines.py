"""Log lines, written within a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from oboe.domain.records import AttemptLine
from oboe.store import statements
from oboe.store.database import Session

__all__ = ["printable", "write_lines"]


def write_lines(session: Session, lines: Sequence[AttemptLine], last: int) -> None:
    """``last`` is the last number given to a line, and that counter is held."""
    if not lines:
        return
    session.many(
        statements.INSERT_LINE,
        [
            (
                last + place,
                each.dag_id,
                each.sub_task,
                each.attempt,
                each.line.seq,
                each.line.at,
                int(each.line.level),
                each.line.code,
                printable(each.line.text),
            )
            for place, each in enumerate(lines, 1)
        ],
    )
    session.many(statements.SET_COUNTER, [("log", last + len(lines))])


def printable(text: str) -> str:
    """The text without halves of surrogate pairs, which no database keeps: a command may print any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
