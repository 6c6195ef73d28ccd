"""Copies of the cluster's latest dags, which every agent keeps, for when there is no primary to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from oboe.domain.model import Dag
from oboe.domain.records import LogRecord
from oboe.kit.typed import decoder
from oboe.store.database import Database, Session
from oboe.store.encoding import encode, encode_dag, read_dag

__all__ = ["DagCopies", "DagCopy"]

_PUT = "REPLACE INTO dag_copy (dag_id, version, copied_at, body) VALUES (?, ?, ?, ?)"
_TRIM = "DELETE FROM dag_copy WHERE dag_id <= (SELECT dag_id FROM dag_copy ORDER BY dag_id DESC LIMIT 1 OFFSET ?)"
_NEWEST = "SELECT copied_at, body FROM dag_copy ORDER BY dag_id DESC LIMIT ?"
_CLEAR = "DELETE FROM dag_copy"


class _Copy(msgspec.Struct):
    dag: msgspec.Raw
    lines: tuple[LogRecord, ...]


_copy = decoder(_Copy)


@dataclass(frozen=True, slots=True)
class DagCopy:
    """A dag of the cluster as it was at ``copied_at`` (nanoseconds)."""

    dag: Dag
    logs: tuple[LogRecord, ...]
    copied_at: int


class DagCopies:
    """The newest ``keep`` dags, by id."""

    def __init__(self, database: Database, *, keep: int = 50, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._keep = keep
        self._clock = clock

    def put(self, dag: Dag, logs: Sequence[LogRecord]) -> None:
        """Keep this copy instead of the one before."""
        body = encode(_Copy(msgspec.Raw(encode_dag(dag)), tuple(logs)))
        at = self._clock()

        def work(session: Session) -> None:
            session.many(_PUT, [(dag.id, dag.version, at, body)])
            session.run(_TRIM, (self._keep,))

        self._database.write(work)

    def newest(self, count: int) -> list[DagCopy]:
        """Newest first."""
        found = []
        for copied_at, body in self._database.read(lambda session: session.rows(_NEWEST, (count,))):
            copy = _copy.decode(body)
            found.append(DagCopy(read_dag(bytes(copy.dag).decode()), copy.lines, copied_at))
        return found

    def clear(self) -> None:
        """This agent left its cluster."""
        self._database.write(lambda session: session.run(_CLEAR))
