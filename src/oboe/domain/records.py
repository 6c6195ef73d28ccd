"""What goes into a home or an inbox and comes out again, beside the dag itself: drafts, changes, log records, pages, entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oboe.domain.messages import Fence, LogLine, Order, Report
from oboe.domain.model import Dag, Home, Leader, Maintenance, Plan
from oboe.domain.values import Address, HomeKind, State

__all__ = ["AttemptLine", "Change", "Draft", "Edition", "Header", "InboxEntry", "LogRecord", "Orphan", "Page", "Regress", "is_clusters"]


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
    """Which finished and unfinished dags to list: newest first, or ``oldest_first``.

    ``before_id`` is the last id of the page before, in the order asked for; 0 begins."""

    limit: int = 100
    before_id: int = 0
    names: tuple[str, ...] = ()
    settled: bool | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """As much of a dag as a search looks at: no plan, no sub-tasks."""

    id: int
    name: str
    state: State
    created_at: int
    ended_at: int


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One attempt as its agent knows it. ``report`` is the last one made, with the lines not yet acknowledged."""

    order: Order | None
    """None: interrupted before its order was seen."""
    fence: Fence
    begun: bool
    ended: Report | None
    acknowledged: bool
    unreadable: bool = False
    """Its order was written down, and is damaged: ``order`` is the one that was sent again, or None."""


@dataclass(frozen=True, slots=True)
class Edition:
    """Which state of a dag a home has: two that are equal stand for the same dag with the same lines."""

    dag_id: int
    key: str
    version: int
    lines: int
    """The number of the last line that the home has of any dag."""
    regress: int = 0
    """As in `Regress.epoch`: versions and numbers of lines that were lost are given again only in a later one."""


@dataclass(frozen=True, slots=True)
class Regress:
    """What a home knows of having gone back."""

    epoch: int = 0
    """The latest epoch that began because commits may have been lost; 0: never. Dags saved in an earlier one wait for facts."""
    open_since: int = 0
    """Since when no maintenance lock is granted, because agents have not yet named and ended their orphans; 0: granted."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """What this agent did for a dag that its home has lost."""

    dag_key: str
    dag_id: int
    name: str
    did: tuple[str, ...]
    """A line for each attempt that was begun."""


def is_clusters(entry: InboxEntry) -> bool:
    """Whether that attempt is one of the cluster's dags; an interrupt of what was never seen does not say so."""
    return entry.order is None or entry.order.home.kind is HomeKind.CLUSTER
