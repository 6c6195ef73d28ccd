"""What the engine needs from outside: a home for dags, an inbox for orders, a courier to other agents. Protocols only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from oboe.domain.errors import Refused
from oboe.domain.messages import Fence, Interrupt, Order, Report, Verdict
from oboe.domain.model import Dag, Home
from oboe.domain.records import AttemptLine, Change, Draft, InboxEntry, LogRecord, Page
from oboe.domain.values import Address

__all__ = [
    "AttemptLine",
    "Change",
    "Courier",
    "DagStore",
    "Draft",
    "InboxEntry",
    "InboxStore",
    "LogRecord",
    "Page",
]


class DagStore(Protocol):
    """A home. Every method may raise `TryAgain` (the database is away or busy)."""

    def create(self, draft: Draft) -> Dag:
        """One transaction: the maintenance lock, ids, the dag and its sub-tasks. The same key again gives the stored dag.

        `Refused` ``maintenance.held`` (message and ``holder`` name the dag that holds the lock)."""

    def save(self, changes: Sequence[Change], lines: Sequence[AttemptLine] = ()) -> Mapping[str, Literal["stale"] | Refused]:
        """Group commit: all changes and lines in one transaction, each guarded by its version. Keys of those not saved.

        A change whose ``after`` holds the lock while ``before`` does not must win it, else its value here is the refusal.
        Lines of a dag that is not saved are not saved either; lines of dags without a change are."""

    def load(self, key: str) -> Dag | None: ...
    def find(self, kind: Literal["dag", "node", "sub_task"], number: int) -> tuple[Dag, int] | None:
        """The dag that owns this id, and the index of the node or sub-task in it (0 for a dag)."""

    def versions(self, keys: Sequence[str]) -> Mapping[str, int]: ...
    def unsettled(self) -> list[Dag]:
        """Every dag that is not settled, by id."""

    def newest_maintenance(self) -> Dag | None:
        """The maintenance dag with the greatest id, settled or not."""

    def page(self, page: Page) -> list[Dag]: ...
    def logs(self, dag: Dag, sub_tasks: Sequence[int] | None = None) -> list[LogRecord]:
        """In order of ``id``; ``sub_tasks`` are indices, None means all."""

    def under_maintenance(self) -> bool:
        """Whether a GLOBAL lock is held."""


class InboxStore(Protocol):
    """Orders and outcomes of this agent for homes that are kept elsewhere. Durable before each method returns."""

    def accept(self, order: Order, *, begin: bool) -> InboxEntry:
        """Write the order down unless a higher fence of that sub-task is known; the entry as it now stands.

        ``begin`` also writes that it was begun, in the same transaction."""

    def begin(self, fence: Fence) -> None: ...
    def end(self, report: Report) -> None: ...
    def refuse(self, interrupt: Interrupt, report: Report) -> None:
        """An interrupt of an attempt never seen: written down with its Ended report, so that a late order finds it."""

    def acknowledge(self, fence: Fence) -> None: ...
    def get(self, fence: Fence) -> InboxEntry | None: ...
    def highest(self, dag_key: str, sub_task: int) -> Fence | None: ...
    def open(self) -> list[InboxEntry]:
        """Entries not ended, or ended and not acknowledged; read once at start."""

    def forget(self, settled_before: int) -> int: ...


class Courier(Protocol):
    """Carries messages to other agents. Raises `Unreachable` within its bound; delivery is retried by the engine."""

    def order(self, agent: Address, order: Order) -> None:
        """Returns once the agent has written the order down."""

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None: ...
    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        """To the maintainer named, else to whoever serves that home."""
