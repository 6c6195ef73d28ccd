"""Searching for dags: what is asked of a home, and how it is answered where dags are values and no table helps.

Every order is total: what is equal in it comes by id, in the same direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from oboe.domain.fold import asked, dag_state
from oboe.domain.model import Dag
from oboe.domain.records import Header
from oboe.domain.values import Asked, MaintenanceKind, State

__all__ = ["Order", "Search", "among", "counted", "tenant_of"]


class Order(StrEnum):
    """By which fact; the value is its name in a table."""

    CREATED = "created_at"
    ID = "dag_id"
    NAME = "name"
    ENDED = "ended_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Dags that have all of this; an empty tuple or text, and None, ask nothing. Times are nanoseconds."""

    states: tuple[State, ...] = ()
    name: str = ""
    """Part of it, in any case."""
    creator: str = ""
    led: bool | None = None
    asked: tuple[Asked, ...] = ()
    tenants: tuple[str, ...] | None = None
    """Its maintenance is that of one of these; an empty name stands for those of no tenant."""
    not_tenants: tuple[str, ...] = ()
    since: int = 0
    before: int = 1 << 62
    order: Order = Order.CREATED
    descending: bool = True
    limit: int = 100


def among(dags: Iterable[Dag], search: Search) -> list[Header]:
    """The first ``limit`` in the order that is asked for."""
    found = [
        Header(id=dag.id, name=dag.name, state=dag_state(dag), created_at=dag.created_at, ended_at=dag.ended_at)
        for dag in dags
        if _fits(dag, search)
    ]
    found.sort(key=_KEYS[search.order], reverse=search.descending)
    return found[: search.limit]


def counted(dags: Iterable[Dag], search: Search) -> Mapping[State, int]:
    """How many of each state; states without any are left out."""
    counts: dict[State, int] = {}
    for dag in dags:
        if _fits(dag, search):
            counts[dag_state(dag)] = counts.get(dag_state(dag), 0) + 1
    return counts


def tenant_of(dag: Dag) -> str:
    """Of its maintenance; empty: of none."""
    return dag.maintenance.key if dag.maintenance.kind is MaintenanceKind.TENANT else ""


_KEYS: Mapping[Order, Callable[[Header], Any]] = {
    Order.CREATED: lambda header: (header.created_at, header.id),
    Order.ID: lambda header: header.id,
    Order.NAME: lambda header: (header.name, header.id),
    Order.ENDED: lambda header: (header.ended_at, header.id),
}


def _fits(dag: Dag, search: Search) -> bool:
    return (
        (not search.states or dag_state(dag) in search.states)
        and search.name.casefold() in dag.name.casefold()
        and search.creator in ("", dag.creator)
        and search.led in (None, dag.leader is not None)
        and (not search.asked or asked(dag) in search.asked)
        and (search.tenants is None or tenant_of(dag) in search.tenants)
        and tenant_of(dag) not in search.not_tenants
        and search.since <= dag.created_at < search.before
    )
