"""The record of what people did: who, what, the value before and after. Lines are added and never changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oboe.store import statements
from oboe.store.database import Database, Session, listed
from oboe.store.encoding import decode, encode

__all__ = ["Audit", "AuditLine"]


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One thing that somebody did."""

    id: int
    at: int
    """Nanoseconds."""
    who: str
    what: str
    before: Any
    after: Any


class Audit:
    """The record of one store."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._clock = clock

    def append(self, who: str, what: str, before: Any = None, after: Any = None) -> None:
        """Add a line, durably. Values are JSON-able; a `Secret` is refused by the encoder."""
        values = (self._clock(), who, what, encode(before), encode(after))

        def work(session: Session) -> None:
            ((_, last),) = session.rows(*listed(statements.LOCK_COUNTERS, ["audit"]))
            session.many(statements.SET_COUNTER, [("audit", last + 1)])
            session.run(statements.INSERT_AUDIT, (last + 1, *values))

        self._database.write(work)

    def newest(self, limit: int = 100, *, before_id: int = 0) -> list[AuditLine]:
        """The newest lines, newest first; ``before_id`` is the last of the page before."""
        start = before_id or 1 << 62
        rows = self._database.read(lambda session: session.rows(statements.AUDIT_NEWEST, (start, limit)))
        return [AuditLine(number, at, who, what, decode(before), decode(after)) for number, at, who, what, before, after in rows]
