"""Searches in tables. Only the narrow rows of ``dag_search`` are read: no plan, no sub-task.

An index has each order (made, ended, name, id), and one each state and each creator by the time they were made; so a page reads as many
rows as it shows, or, where a filter has no index of its own, those of the order until the page is full. Several states are as many
queries, merged: an index has one of them at a time. Counts read index entries only, unless a filter needs more.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oboe.domain.fold import asked, dag_state
from oboe.domain.model import Dag
from oboe.domain.records import Header
from oboe.domain.searching import Order, Search, tenant_of
from oboe.domain.values import State
from oboe.store.database import Row, Session

__all__ = ["count", "search", "search_facts", "search_row"]

_COLUMNS = "dag_id, name, state, created_at, ended_at"
_NAME_LENGTH_MAX = 512


def search_row(dag: Dag) -> Row:
    """The row of a dag."""
    state, asked_last, ended_at = search_facts(dag)
    folded = dag.name.casefold()[:_NAME_LENGTH_MAX]
    static = (int(dag.leader is not None), dag.creator, tenant_of(dag), dag.name, folded, dag.created_at)
    return (dag.id, state, asked_last, *static, ended_at)


def search_facts(dag: Dag) -> tuple[int, int, int]:
    """All that ever changes of the row: while it does not, a step need not write it."""
    return (int(dag_state(dag)), int(asked(dag)), dag.ended_at)


def search(session: Session, wanted: Search) -> list[Header]:
    """The first ``limit``, in the order that is asked for."""
    if wanted.limit <= 0:
        return []
    if wanted.order is Order.CREATED and len(wanted.states) > 1:
        parts = [_rows(session, replace(wanted, states=(state,))) for state in wanted.states]
        rows = list(heapq.merge(*parts, key=lambda row: (row[3], row[0]), reverse=wanted.descending))[: wanted.limit]
    else:
        rows = _rows(session, wanted)
    return [
        Header(id=number, name=name, state=State(state), created_at=created_at, ended_at=ended_at)
        for number, name, state, created_at, ended_at in rows
    ]


def count(session: Session, wanted: Search) -> Mapping[State, int]:
    where, values = _where(wanted)
    return {State(state): number for state, number in session.rows(f"SELECT state, COUNT(*) FROM dag_search{where} GROUP BY state", values)}


def _rows(session: Session, wanted: Search) -> list[Row]:
    where, values = _where(wanted)
    way = "DESC" if wanted.descending else "ASC"
    order = f"{wanted.order} {way}" if wanted.order is Order.ID else f"{wanted.order} {way}, dag_id {way}"
    return session.rows(f"SELECT {_COLUMNS} FROM dag_search{where} ORDER BY {order} LIMIT ?", (*values, wanted.limit))


def _where(wanted: Search) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []

    def add(part: str, *given: Any) -> None:
        parts.append(part)
        values.extend(given)

    def one_of(column: str, known: Sequence[Any]) -> None:
        if len(known) == 1:
            add(f"{column} = ?", known[0])
        else:
            add(f"{column} IN ({', '.join('?' * len(known))})" if known else "0 = 1", *known)

    if wanted.states:
        one_of("state", [int(state) for state in wanted.states])
    if wanted.creator:
        add("creator = ?", wanted.creator)
    if wanted.led is not None:
        add("led = ?", int(wanted.led))
    if wanted.asked:
        one_of("asked", [int(each) for each in wanted.asked])
    if wanted.tenants is not None:
        one_of("tenant", wanted.tenants)
    for tenant in wanted.not_tenants:
        add("tenant <> ?", tenant)
    if wanted.since > 0:
        add("created_at >= ?", wanted.since)
    if wanted.before < Search().before:
        add("created_at < ?", wanted.before)
    if wanted.name:
        add("INSTR(folded, ?) > 0", wanted.name.casefold())
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values
