"""Numbers and maintenance locks, taken within a transaction."""

from __future__ import annotations

from collections.abc import Iterable

from oboe.domain.values import MaintenanceKind
from oboe.store import statements
from oboe.store.database import Session, listed
from oboe.store.locks import HeldLock, MaintenanceHeld, conflict

__all__ = ["held_locks", "lock_counters", "take_lock", "win_locks"]


def lock_counters(session: Session, *names: str) -> dict[str, int]:
    """The last numbers given, which nobody else may move before this transaction ends."""
    return dict(session.rows(*listed(statements.LOCK_COUNTERS, names)))


def held_locks(session: Session, statement: str = statements.LOCKS) -> list[HeldLock]:
    """All of them."""
    return [HeldLock(scope, key, MaintenanceKind(kind), name, number, at) for scope, key, kind, name, number, at in session.rows(statement)]


def take_lock(session: Session, lock: HeldLock, held: list[HeldLock]) -> None:
    """Add the lock; `MaintenanceHeld` when another is in its way."""
    in_the_way = conflict(lock, held)
    if in_the_way is not None:
        raise MaintenanceHeld(in_the_way)
    session.run(statements.TAKE_LOCK, (lock.scope, lock.dag_key, int(lock.kind), lock.dag_name, lock.dag_id, lock.taken_at))
    held.append(lock)


def win_locks(session: Session, wanted: Iterable[HeldLock]) -> dict[str, MaintenanceHeld]:
    """Take each lock that is free; by key, why not for the others."""
    held = held_locks(session)
    refused = {}
    for lock in wanted:
        try:
            take_lock(session, lock, held)
        except MaintenanceHeld as error:
            refused[lock.dag_key] = error
    return refused
