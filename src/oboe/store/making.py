"""New dags, many in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oboe.domain.errors import OboeError
from oboe.domain.fold import holds_lock
from oboe.domain.model import Dag
from oboe.domain.records import Draft
from oboe.domain.values import MaintenanceKind
from oboe.store import statements
from oboe.store.database import Row, Session, rows_listed
from oboe.store.encoding import draft_dag, encode_facts
from oboe.store.locks import HeldLock, lock_of
from oboe.store.searching import search_row
from oboe.store.taking import held_locks, lock_counters, take_lock
from oboe.store.whole import read_dags, state_row, whole

__all__ = ["Made", "Prepared", "make_dags", "prepare"]

Prepared = tuple[Dag, str]
"""A dag without its numbers, and its facts as they are stored."""
Made = Dag | OboeError


def prepare(draft: Draft) -> Prepared:
    """What can be done of it before the transaction begins."""
    dag = draft_dag(draft, number=0, node_base=0, sub_task_base=0)
    return dag, encode_facts(dag)


def make_dags(session: Session, prepared: Sequence[Prepared]) -> list[Made]:
    """For each the dag, new or stored already, or why there is none: `MaintenanceHeld`, `Bug` for one that cannot be read."""
    numbers = lock_counters(session, "dag", "node", "regress", "sub_task")
    known = _known(session, [dag.key for dag, _ in prepared])
    held: list[HeldLock] | None = None
    answers: list[Made] = []
    fresh: list[Prepared] = []
    for draft, facts in prepared:
        if draft.key in known:
            answers.append(known[draft.key])
            continue
        dag = replace(draft, id=numbers["dag"] + 1, node_base=numbers["node"] + 1, sub_task_base=numbers["sub_task"] + 1)
        dag = replace(dag, epoch=numbers.get("regress", 0))  # whatever the store lost before, it did not lose this dag
        if holds_lock(dag):
            held = held_locks(session) if held is None else held
            try:
                take_lock(session, lock_of(dag, dag.created_at), held)
            except OboeError as refusal:
                answers.append(refusal)
                continue
        for name, count in (("dag", 1), ("node", len(dag.plan.nodes)), ("sub_task", dag.plan.size)):
            numbers[name] += count
        known[dag.key] = dag
        answers.append(dag)
        fresh.append((dag, facts))
    if fresh:
        session.many(statements.SET_COUNTER, [(name, numbers[name]) for name in ("dag", "node", "sub_task")])
        session.many(statements.INSERT_DAG, [_facts_row(*each) for each in fresh])
        session.many(statements.PUT_STATE, [state_row(dag) for dag, _ in fresh])
        session.many(statements.PUT_SEARCH, [search_row(dag) for dag, _ in fresh])
    return answers


def _known(session: Session, keys: Sequence[str]) -> dict[str, Made]:
    """Those that are stored already."""
    found: dict[str, Made] = {}
    for one in read_dags(session, [number for (number,) in rows_listed(session, statements.IDS_OF_KEYS, keys)]):
        try:
            found[one.key] = whole([one])
        except OboeError as error:
            found[one.key] = error
    return found


def _facts_row(dag: Dag, facts: str) -> Row:
    maintained = int(dag.maintenance.kind is not MaintenanceKind.NONE)
    return (dag.id, dag.key, dag.name, maintained, dag.node_base, dag.sub_task_base, dag.plan.size, dag.created_at, facts)
