"""The inbox: orders and outcomes of this agent for homes that are kept elsewhere.

Invariants: an entry is *open* (``is_open``) until it ended and its end was acknowledged; the first outcome of an attempt is the outcome;
an entry is forgotten only when its home has said, long enough ago, that the dag settled.
Who was recalled remembers the epoch for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from oboe.domain.messages import Fence, Interrupt, LogLine, Order, Report
from oboe.domain.records import InboxEntry, Orphan, is_clusters
from oboe.kit.typed import decoder
from oboe.store.database import Database, Row, Session
from oboe.store.encoding import UNREADABLE, encode, read_order, read_report

__all__ = ["SqliteInbox"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_orphan = decoder(Orphan)
_line = decoder(LogLine)

_FENCE = "dag_key = ? AND sub_task = ? AND epoch = ? AND attempt = ?"
_HIGHEST = "SELECT epoch, attempt FROM inbox WHERE dag_key = ? AND sub_task = ? ORDER BY epoch DESC, attempt DESC LIMIT 1"
_ENTRY = "SELECT dag_key, sub_task, epoch, attempt, order_body, begun, report_body, acknowledged FROM inbox"
_GET = f"{_ENTRY} WHERE {_FENCE}"
_OPEN = f"{_ENTRY} WHERE is_open = 1 ORDER BY dag_key, sub_task, epoch, attempt"
_PUT = (
    "INSERT INTO inbox (dag_key, sub_task, epoch, attempt, is_open, begun, acknowledged, settled_at, order_body, report_body) "
    "VALUES (?, ?, ?, ?, 1, ?, 0, 0, ?, ?)"
)
_BEGIN = f"UPDATE inbox SET begun = 1 WHERE {_FENCE} AND report_body IS NULL"
_END = f"UPDATE inbox SET report_body = ? WHERE {_FENCE} AND report_body IS NULL"
_ACKNOWLEDGE = f"UPDATE inbox SET acknowledged = 1, is_open = 0 WHERE {_FENCE} AND report_body IS NOT NULL"
_SETTLE = "UPDATE inbox SET settled_at = ? WHERE dag_key = ? AND settled_at = 0"
_UNSETTLED = (
    f"{_ENTRY} WHERE (dag_key, sub_task, epoch, attempt) IN (SELECT dag_key, MIN(sub_task), epoch, attempt FROM inbox "
    "WHERE settled_at = 0 AND is_open = 0 AND order_body IS NOT NULL GROUP BY dag_key)"
)
"""SQLite takes the other columns from the row that has the minimum."""
_EVERY = f"{_ENTRY} ORDER BY dag_key, sub_task, epoch, attempt"
_REOPEN = "UPDATE inbox SET acknowledged = 0, is_open = 1, settled_at = 0 WHERE dag_key = ? AND order_body IS NOT NULL"
_RECALLED = "UPDATE recall SET epoch = max(epoch, ?)"
_EPOCH = "SELECT epoch FROM recall"
_KEEP_ORPHAN = "REPLACE INTO orphan (dag_key, kept_at, body) VALUES (?, ?, ?)"
_ORPHANS = "SELECT body FROM orphan ORDER BY kept_at, dag_key"
_DROP_ORPHANS = "DELETE FROM orphan WHERE kept_at < ?"
_KEEP_LINE = "INSERT OR IGNORE INTO inbox_line (dag_key, sub_task, epoch, attempt, seq, body) VALUES (?, ?, ?, ?, ?, ?)"
_LINES = f"SELECT body FROM inbox_line WHERE {_FENCE} ORDER BY seq"
_FORGET_LINES = (
    "DELETE FROM inbox_line WHERE (dag_key, sub_task, epoch, attempt) NOT IN (SELECT dag_key, sub_task, epoch, attempt FROM inbox)"
)
_FORGET = "DELETE FROM inbox WHERE settled_at > 0 AND settled_at < ? AND is_open = 0"


class SqliteInbox:
    """`oboe.engine.ports.InboxStore` over a `Sqlite`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, order: Order, *, begin: bool) -> InboxEntry:
        """The entry of that fence. An order that is not written down, because a higher fence is known, is answered with ``order`` None."""
        return self.accept_all([(order, begin)])[0]

    def accept_all(self, asked: Sequence[tuple[Order, bool]]) -> list[InboxEntry]:
        """The same for many, each with its ``begin``, in one transaction."""
        written = [(order, begin, encode(order)) for order, begin in asked]
        return self._database.write(lambda session: [_accept(session, *each) for each in written])

    def begin(self, *fences: Fence) -> None:
        self._database.write(lambda session: session.many(_BEGIN, [_values(fence) for fence in fences]))

    def end(self, report: Report) -> None:
        """The first end of an attempt stays."""
        self._end(report.fence, report)

    def refuse(self, interrupt: Interrupt, report: Report) -> None:
        self._end(interrupt.fence, report)

    def _end(self, fence: Fence, report: Report) -> None:
        body = encode(report)

        def work(session: Session) -> None:
            if not session.run(_END, (body, *_values(fence))) and not session.rows(_GET, _values(fence)):
                session.run(_PUT, (*_values(fence), 0, None, body))

        self._database.write(work)

    def acknowledge(self, *fences: Fence) -> None:
        self._database.write(lambda session: session.many(_ACKNOWLEDGE, [_values(fence) for fence in fences]))

    def get(self, fence: Fence) -> InboxEntry | None:
        rows = self._database.read(lambda session: session.rows(_GET, _values(fence)))
        return _entry(rows[0]) if rows else None

    def highest(self, dag_key: str, sub_task: int) -> Fence | None:
        rows = self._database.read(lambda session: session.rows(_HIGHEST, (dag_key, sub_task)))
        return Fence(dag_key, sub_task, *rows[0]) if rows else None

    def open(self) -> list[InboxEntry]:
        return [_entry(row) for row in self._database.read(lambda session: session.rows(_OPEN))]

    def settle(self, dag_key: str, at: int) -> None:
        """Its home says that the dag settled; the first time counts."""
        self._database.write(lambda session: session.run(_SETTLE, (at, dag_key)))

    def unsettled(self) -> list[InboxEntry]:
        return [_entry(row) for row in self._database.read(lambda session: session.rows(_UNSETTLED))]

    def recall(self, epoch: int) -> list[InboxEntry]:
        def work(session: Session) -> list[InboxEntry]:
            session.run(_RECALLED, (epoch,))
            found = [entry for entry in map(_entry, session.rows(_EVERY)) if is_clusters(entry)]
            session.many(_REOPEN, [(key,) for key in {entry.fence.dag_key for entry in found}])
            return found

        return self._database.write(work)

    def epoch(self) -> int:
        ((epoch,),) = self._database.read(lambda session: session.rows(_EPOCH))
        return int(epoch)

    def keep_orphans(self, orphans: Sequence[Orphan], at: int) -> None:
        rows = [(orphan.dag_key, at, encode(orphan)) for orphan in orphans]
        self._database.write(lambda session: session.many(_KEEP_ORPHAN, rows))

    def orphans(self) -> list[Orphan]:
        return [_orphan.decode(body) for (body,) in self._database.read(lambda session: session.rows(_ORPHANS))]

    def drop_orphans(self, kept_before: int) -> int:
        return self._database.write(lambda session: session.run(_DROP_ORPHANS, (kept_before,)))

    def keep_lines(self, fence: Fence, lines: Sequence[LogLine]) -> None:
        rows = [(*_values(fence), line.seq, encode(line)) for line in lines]
        self._database.write(lambda session: session.many(_KEEP_LINE, rows))

    def lines(self, fence: Fence) -> list[LogLine]:
        rows = self._database.read(lambda session: session.rows(_LINES, _values(fence)))
        return [line for (body,) in rows if (line := _read(_line.decode, body, fence)) is not None]

    def forget(self, settled_before: int) -> int:
        def work(session: Session) -> int:
            gone = session.run(_FORGET, (settled_before,))
            if gone:
                session.run(_FORGET_LINES)
            return gone

        return self._database.write(work)


def _accept(session: Session, order: Order, begin: bool, body: str) -> InboxEntry:
    fence = order.fence
    known = session.rows(_GET, _values(fence))
    if not known:
        higher = session.rows(_HIGHEST, (fence.dag_key, fence.sub_task))
        if higher and higher[0] > (fence.epoch, fence.attempt):
            return InboxEntry(None, fence, begun=False, ended=None, acknowledged=False)
        session.run(_PUT, (*_values(fence), int(begin), body, None))
        return InboxEntry(order, fence, begun=begin, ended=None, acknowledged=False)
    entry = _entry(known[0])
    if entry.unreadable:
        return replace(entry, order=order)
    if begin:
        session.run(_BEGIN, _values(fence))
    return _entry(session.rows(_GET, _values(fence))[0])


def _values(fence: Fence) -> tuple[str, int, int, int]:
    return (fence.dag_key, fence.sub_task, fence.epoch, fence.attempt)


def _entry(row: Row) -> InboxEntry:
    *place, body, begun, report, acknowledged = row
    fence = Fence(*place)
    order = _read(read_order, body, fence)
    return InboxEntry(
        order=order,
        fence=fence,
        begun=bool(begun),
        ended=_read(read_report, report, fence),
        acknowledged=bool(acknowledged),
        unreadable=order is None and body is not None,
    )


def _read(read: Callable[[str], T], body: str | None, fence: Fence) -> T | None:
    """None for what was damaged: it must not stop what is not."""
    try:
        return None if body is None else read(body)
    except UNREADABLE as error:
        _log.error(
            "what the inbox has of sub-task %d of dag %s, attempt %d, cannot be read: %s", *_values(fence)[1::-1], fence.attempt, error
        )
        return None
