"""Dags that are over and old, removed within a transaction."""

from __future__ import annotations

from oboe.store import statements
from oboe.store.database import Session, run_listed

__all__ = ["forget_dags"]


def forget_dags(session: Session, older_than: int, keep_count: int | None, batch: int) -> list[str]:
    """See `oboe.store.home.SqlHome.forget`."""
    oldest = session.rows(statements.OLDEST_SETTLED, (batch,))
    beyond = 0
    if keep_count is not None:
        kept = session.rows(statements.NTH_NEWEST_SETTLED, (max(keep_count - 1, 0),))
        beyond = kept[0][0] + (not keep_count) if kept else 0
    newest = session.rows(statements.NEWEST_MAINTENANCE)
    spared = newest[0][0] if newest else 0
    gone = [(number, key) for number, key, made in oldest if number != spared and (made < older_than or number < beyond)]
    for statement in statements.FORGET:
        run_listed(session, statement, [number for number, _ in gone])
    return [key for _, key in gone]
