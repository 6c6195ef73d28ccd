"""What the engine needs from outside: a home for dags, an inbox for orders, a courier to other agents. Protocols only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from oboe.domain.errors import Refused
from oboe.domain.messages import Fence, Interrupt, LogLine, Order, Report, Verdict
from oboe.domain.model import Dag, Home, Leader, Maintenance, Plan
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A dag before it has a number."""

    key: str
    name: str
    playbook: str
    plan: Plan
    params: Mapping[str, Any]
    home: Home
    maintenance: Maintenance
    created_at: int
    created_by: Address
    creator: str = "obshell"
    leader: Leader | None = None
    not_before: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One dag before and after `advance`. ``before.version`` guards; ``after.version`` is greater."""

    before: Dag
    after: Dag


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """A log line on its way into a home. Kept once for each ``(dag, sub_task, attempt, operator, line.seq)``."""

    dag_id: int
    sub_task: int
    attempt: int
    line: LogLine


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A stored log line with its number in the home."""

    id: int
    sub_task: int
    """Sub-task index."""
    attempt: int
    line: LogLine


@dataclass(frozen=True, slots=True)
class Page:
    """Which finished and unfinished dags to list: newest first; ``before_id`` 0 starts at the newest."""

    limit: int = 100
    before_id: int = 0
    names: tuple[str, ...] = ()
    settled: bool | None = None
    oldest_first: bool = False


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


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One attempt as its agent knows it. ``report`` is the last one made, with the lines not yet acknowledged."""

    order: Order | None
    """None: interrupted before its order was seen."""
    fence: Fence
    begun: bool
    ended: Report | None
    acknowledged: bool


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
