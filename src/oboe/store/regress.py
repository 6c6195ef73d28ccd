"""What a home keeps of having gone back: since which epoch, and that no maintenance lock is granted before the agents were heard.

Both are written in the transaction in which the new epoch begins, so that a maintainer that dies then leaves its successor the same duty.
"""

from __future__ import annotations

from oboe.domain.records import Regress
from oboe.store import statements
from oboe.store.database import Session
from oboe.store.locks import RECALL_SCOPE, recall_lock

__all__ = ["begin_recall", "end_recall", "read_regress"]


def begin_recall(session: Session, epoch: int, at: int) -> None:
    """In ``epoch`` the store is known to have gone back."""
    lock = recall_lock(at)
    session.many(statements.SET_COUNTER, [("regress", epoch)])
    session.many(statements.PUT_LOCK, [(lock.scope, lock.dag_key, int(lock.kind), lock.dag_name, lock.dag_id, lock.taken_at)])


def end_recall(session: Session) -> None:
    """Every agent has named and ended its orphans, or was waited for long enough."""
    session.run(statements.DROP_LOCK, (RECALL_SCOPE,))


def read_regress(session: Session) -> Regress:
    rows = session.rows(statements.REGRESS)
    return Regress(sum(epoch for epoch, _ in rows), sum(at for _, at in rows))
