"""What the engine needs from outside: a home for dags, an inbox for orders, a courier to other agents. Protocols only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from oboe.domain.errors import Refused
from oboe.domain.messages import Fence, Interrupt, LogLine, Order, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Dag, Home, Leader
from oboe.domain.records import AttemptLine, Change, Draft, Edition, Header, InboxEntry, LogRecord, Orphan, Page, Regress
from oboe.domain.searching import Search
from oboe.domain.values import Address, HomeKind, State
from oboe.kit.run import Child, ChildStatus

__all__ = [
    "AttemptLine",
    "Change",
    "Children",
    "Courier",
    "DagStore",
    "Draft",
    "Edition",
    "History",
    "InboxEntry",
    "InboxStore",
    "Launch",
    "LeaseRow",
    "LogRecord",
    "OpenParams",
    "Orphan",
    "Page",
    "Regress",
    "Running",
]

T = TypeVar("T")


class DagStore(Protocol):
    """A home. Every method may raise `TryAgain` (the database is away or busy)."""

    def create(self, draft: Draft) -> Dag:
        """One transaction: the maintenance lock, ids, the dag and its sub-tasks. The same key again gives the stored dag.

        `Refused` ``maintenance.held``, with ``holder_name``, ``holder_id``, ``holder_key`` and ``taken_at`` of the dag in the way."""

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

    def edition(self, number: int) -> Edition | None:
        """Which state the home has of the dag with this id, by one statement; None: there is no such dag."""

    def newest_maintenance_edition(self) -> Edition | None:
        """The same, of what `newest_maintenance` finds."""

    def page(self, page: Page) -> list[Dag]: ...
    def search(self, search: Search) -> list[Header]:
        """The first that fit, in the order that is asked for."""

    def count(self, search: Search) -> Mapping[State, int]:
        """How many fit, by state; order and limit do not matter."""

    def many(self, numbers: Sequence[int]) -> list[Dag]:
        """Those dags, by id; what is gone or cannot be read is left out."""

    def logs(self, dag: Dag, sub_tasks: Sequence[int] | None = None, *, after: int = 0) -> list[LogRecord]:
        """In order of ``id``, those with a greater one than ``after``; ``sub_tasks`` are indices, None means all."""

    def under_maintenance(self) -> bool:
        """Whether a GLOBAL lock is held."""

    def lock_in_the_way(self, dag: Dag) -> str:
        """Who holds the lock that this dag, which has none yet, would take; empty: nobody."""

    def regress(self) -> Regress:
        """Whether it went back. An agent's own home never does."""

    def end_recall(self) -> None:
        """Maintenance locks are granted again."""


class InboxStore(Protocol):
    """Orders and outcomes of this agent for homes that are kept elsewhere. Durable before each method returns."""

    def accept(self, order: Order, *, begin: bool) -> InboxEntry:
        """Write the order down unless a higher fence of that sub-task is known; the entry as it now stands.

        ``begin`` also writes that it was begun, in the same transaction. When a higher fence is known, the answer has ``order`` None
        and is not kept."""

    def accept_all(self, asked: Sequence[tuple[Order, bool]]) -> list[InboxEntry]:
        """The same for many, each with its ``begin``, in one transaction."""

    def begin(self, *fences: Fence) -> None: ...
    def end(self, report: Report) -> None: ...
    def refuse(self, interrupt: Interrupt, report: Report) -> None:
        """An interrupt of an attempt never seen: written down with its Ended report, so that a late order finds it."""

    def acknowledge(self, *fences: Fence) -> None: ...
    def keep_lines(self, fence: Fence, lines: Sequence[LogLine]) -> None:
        """Lines of an attempt that goes on, which its home could not be told of."""

    def lines(self, fence: Fence) -> list[LogLine]:
        """Those that were kept, in order."""

    def get(self, fence: Fence) -> InboxEntry | None: ...
    def highest(self, dag_key: str, sub_task: int) -> Fence | None: ...
    def open(self) -> list[InboxEntry]:
        """Entries not ended, or ended and not acknowledged; read once at start."""

    def settle(self, dag_key: str, at: int) -> None:
        """The dag's home says that it settled; only then can `forget` remove what it had here."""

    def unsettled(self) -> list[InboxEntry]:
        """Of each dag whose home has not said that it settled: one entry that is over and has its order, if there is any."""

    def forget(self, settled_before: int) -> int: ...
    def recall(self, epoch: int) -> list[InboxEntry]:
        """Every entry of the cluster's dags, by fence; from here on no outcome counts as acknowledged, and no dag as settled.

        ``epoch`` is written down with it."""

    def epoch(self) -> int:
        """The latest that `recall` was told."""

    def keep_orphans(self, orphans: Sequence[Orphan], at: int) -> None:
        """What was done for dags that their home has lost, for people to look at."""

    def orphans(self) -> list[Orphan]: ...
    def drop_orphans(self, kept_before: int) -> int: ...


class History(Protocol):
    """What a home can forget."""

    def forget(self, older_than: int, keep_count: int | None = None, *, batch: int = 500) -> list[str]:
        """Remove settled dags made before ``older_than`` (nanoseconds), and those beyond the newest ``keep_count``; their keys.

        At most ``batch`` in one call."""


class Courier(Protocol):
    """Carries messages to other agents. Raises `Unreachable` within its bound; delivery is retried by the engine."""

    def order(self, agent: Address, order: Order) -> None:
        """Returns once the agent has written the order down."""

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None: ...
    def settled(self, agent: Address, dag_key: str) -> None:
        """The agent may forget what it did for that dag, some time from now."""

    def recall(self, agent: Address, request: RecallAgent) -> Recollection:
        """What the agent knows of the cluster's dags. `Refused` ``recall.old_epoch`` from one that was asked in a later epoch."""

    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        """To the maintainer named, else to whoever serves that home."""


class Children(Protocol):
    """Dags that steps of this agent lead on others. Every call may raise `Unreachable` or `TryAgain`; all are repeatable."""

    def create(self, agent: Address, playbook: str, params: Any, dag_key: str, leader: Leader) -> Child: ...
    def tell(self, child: Child, signal: str, payload: Any) -> None: ...
    def ask(self, child: Child, operator: str) -> None: ...
    def status(self, child: Child, known_version: int, timeout: float) -> ChildStatus:
        """Answers when its version is past ``known_version``, at the latest after ``timeout`` seconds."""


class LeaseRow(Protocol):
    """The row in the cluster store that says who maintains it, by the store's own clock. May raise `TryAgain`, `Unreachable`."""

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        """The epoch if the lease was free, expired or already this agent's own; else None. At least ``epoch_min``.

        ``went_back``: the store has lost commits; a new epoch begins, and the store keeps (`oboe.domain.records.Regress`) that it did."""

    def renew(self, agent: Address, epoch: int, ttl: float) -> bool:
        """False: somebody else holds it, or another epoch has begun."""

    def holder(self) -> tuple[Address, int, float] | None:
        """Who holds it, in which epoch, for how many seconds more (negative: expired)."""


class OpenParams(Protocol):
    """Reads a dag's params as a typed value; sealed secrets are opened with the key of that kind of home."""

    def __call__(self, home: HomeKind, kind: type[T], params: Mapping[str, Any]) -> T: ...


class Running(Protocol):
    """A command in its own session, whose output and end are files of a directory."""

    def wait(self, timeout: float) -> int | None:
        """Exit status (negative: signal), or None when it goes on."""

    def output(self, limit: int) -> tuple[str, str]:
        """The last ``limit`` characters of stdout and of stderr."""

    def written(self) -> int:
        """Bytes of both outputs that are on the disk so far."""

    def end(self) -> bool:
        """End everything in its session and wait until it is gone, for a bounded time. True: nothing of it is left."""


class Launch(Protocol):
    """Starts a command, or adopts the one that the directory already has on record (`oboe.hosts.process.launch`)."""

    def __call__(
        self, command: Sequence[str], *, directory: Path, env: Mapping[str, str] | None, cwd: Path | None, stdin: bytes
    ) -> Running: ...
