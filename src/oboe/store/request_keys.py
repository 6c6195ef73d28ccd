"""Requests that are to be carried out once: their keys, and what was answered. Each method is one transaction.

A row is written before its request is carried out, so whoever comes second finds it, whatever becomes of the first.
"""

from __future__ import annotations

from dataclasses import dataclass

from oboe.store.database import Database, Session

__all__ = ["KeyRow", "RequestKeys"]

_BEGIN = "INSERT IGNORE INTO request_key (name, asked, begun_at, status, answer) VALUES (?, ?, ?, 0, '')"
_ROW = "SELECT asked, begun_at, status, answer FROM request_key WHERE name = ?"
_END = "UPDATE request_key SET status = ?, answer = ? WHERE name = ?"
_DROP = "DELETE FROM request_key WHERE name = ?"
_DROP_OLD = "DELETE FROM request_key WHERE begun_at < ?"
_OLDEST_KEPT = "SELECT begun_at FROM request_key ORDER BY begun_at DESC LIMIT 1 OFFSET ?"


@dataclass(frozen=True, slots=True)
class KeyRow:
    """``asked`` is a digest of the request; ``begun_at`` is in nanoseconds; ``status`` 0: nothing was answered yet."""

    asked: str
    begun_at: int
    status: int
    answer: str


class RequestKeys:
    """Those of one store: the newest ``keep``, for ``keep_nanoseconds``."""

    def __init__(self, database: Database, *, keep: int = 5000, keep_nanoseconds: int = 86_400 * 10**9) -> None:
        self._database = database
        self._keep = keep
        self._keep_nanoseconds = keep_nanoseconds

    def begin(self, name: str, asked: str, now: int) -> KeyRow | None:
        """Write the key down; the row that is there already, None when there was none."""

        def work(session: Session) -> KeyRow | None:
            session.run(_DROP_OLD, (now - self._keep_nanoseconds,))
            if session.run(_BEGIN, (name, asked, now)) == 1:
                kept = session.rows(_OLDEST_KEPT, (self._keep - 1,))
                if kept:
                    session.run(_DROP_OLD, (kept[0][0],))
                return None
            rows = session.rows(_ROW, (name,))
            return KeyRow(*rows[0]) if rows else None

        return self._database.write(work)

    def end(self, name: str, status: int, answer: str) -> None:
        """What was answered."""
        self._database.write(lambda session: session.run(_END, (status, answer, name)))

    def drop(self, name: str) -> None:
        """Nothing was done: it may be asked again."""
        self._database.write(lambda session: session.run(_DROP, (name,)))
