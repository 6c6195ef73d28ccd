"""Maintenance locks: which exclude which (`obshell-wire.md` §3.10), and the refusal that names the holder.

::

    asked \\ held   GLOBAL    TENANT a   OBPROXY   HOST a
    GLOBAL         no        no         yes       no
    TENANT a       no        no         yes       yes
    TENANT b       no        yes        yes       yes
    OBPROXY        yes       yes        no        yes
    HOST a         no        yes        yes       no
    HOST b         no        yes        yes       yes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from oboe.domain.errors import Refused
from oboe.domain.model import Dag, Maintenance
from oboe.domain.values import SECOND, MaintenanceKind

__all__ = ["GLOBAL_SCOPE", "RECALL_SCOPE", "HeldLock", "MaintenanceHeld", "conflict", "lock_of", "recall_lock", "scope_of"]

GLOBAL_SCOPE = "GLOBAL"
RECALL_SCOPE = "RECALL"
"""Held from the moment the store is known to have gone back until the agents have named and ended what it has lost. Excludes all."""
_KEYED = (MaintenanceKind.TENANT, MaintenanceKind.HOST)
"""One lock for each key; GLOBAL excludes them all."""


@dataclass(frozen=True, slots=True)
class HeldLock:
    """One lock and the dag that holds it."""

    scope: str
    dag_key: str
    kind: MaintenanceKind
    dag_name: str
    dag_id: int
    taken_at: int
    """Nanoseconds."""


class MaintenanceHeld(Refused):
    """``maintenance.held``: another dag is at work on the same thing."""

    def __init__(self, lock: HeldLock) -> None:
        if lock.scope == RECALL_SCOPE:
            text = "the store went back: nothing new begins before the agents have said what it has lost"
            super().__init__("maintenance.held", text, hint="try again in a minute")
        else:
            text, hint = _held_by(lock)
            super().__init__("maintenance.held", text, hint=hint)
        self.lock = lock
        self.holder_name = lock.dag_name
        self.holder_id = lock.dag_id
        self.holder_key = lock.dag_key
        self.taken_at = lock.taken_at


def _held_by(lock: HeldLock) -> tuple[str, str]:
    """Message and hint. No id: each dialect has its own for the same dag."""
    what = {MaintenanceKind.GLOBAL: "everything", MaintenanceKind.OBPROXY: "obproxy"}.get(lock.kind, _named(lock.scope))
    since = datetime.fromtimestamp(lock.taken_at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{lock.dag_name} holds the maintenance lock on {what} since {since}", "wait until it settles, or roll it back, or pass it"


def scope_of(maintenance: Maintenance) -> str:
    """The name of the lock: one row for each."""
    return f"{maintenance.kind.name} {maintenance.key}" if maintenance.kind in _KEYED else maintenance.kind.name


def recall_lock(taken_at: int) -> HeldLock:
    """The lock of no dag: see `RECALL_SCOPE`."""
    return HeldLock(RECALL_SCOPE, "", MaintenanceKind.GLOBAL, "the recall", 0, taken_at)


def lock_of(dag: Dag, taken_at: int) -> HeldLock:
    """The lock this dag takes."""
    return HeldLock(scope_of(dag.maintenance), dag.key, dag.maintenance.kind, dag.name, dag.id, taken_at)


def _named(scope: str) -> str:
    kind, _, key = scope.partition(" ")
    return f"{kind.lower()} {key}"


def conflict(asked: HeldLock, held: Iterable[HeldLock]) -> HeldLock | None:
    """The lock in the way, if any; a dag is never in its own way."""
    return next((lock for lock in held if lock.dag_key != asked.dag_key and _exclude(asked, lock)), None)


def _exclude(one: HeldLock, other: HeldLock) -> bool:
    if other.scope == RECALL_SCOPE:
        return True
    if one.kind is not other.kind and MaintenanceKind.GLOBAL in (one.kind, other.kind):
        return one.kind in _KEYED or other.kind in _KEYED
    return one.scope == other.scope
