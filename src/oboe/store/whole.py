"""Dags as they are stored: read whole, or known for what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oboe.domain.errors import Bug
from oboe.domain.fold import dag_state, settled
from oboe.domain.model import Dag
from oboe.store import statements
from oboe.store.database import Row, Session, listed, portions
from oboe.store.encoding import UNREADABLE, dag_of, encode_state

__all__ = ["Poisoned", "read_dags", "state_row", "whole"]


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A dag that cannot be read: set aside, so that it does not stop the others."""

    key: str
    dag_id: int
    reason: str


def read_dags(session: Session, numbers: Sequence[int]) -> list[Dag | Poisoned]:
    """By id; those that are not there any more are left out."""
    found: list[Dag | Poisoned] = []
    for portion in portions(sorted(numbers)):
        bodies: dict[int, dict[int, tuple[int, str]]] = {}
        facts = session.rows(*listed(statements.FACTS, portion))
        for dag_id, place, version, body in session.rows(*listed(statements.BODIES, portion, lists=2)):
            bodies.setdefault(dag_id, {})[place] = (version, body)
        found += [_read(row, bodies[row[1]]) for row in facts if row[1] in bodies]
    return found


def whole(found: Sequence[Dag | Poisoned]) -> Dag:
    """The one that was found. `Bug` ``store.corrupt``."""
    (one,) = found
    if isinstance(one, Poisoned):
        raise Bug("store.corrupt", f"dag {one.dag_id} ({one.key}) cannot be read: {one.reason}", hint="restore the store from a backup")
    return one


def state_row(dag: Dag) -> Row:
    """Of ``dag_state``."""
    return (dag.id, dag.version, int(dag_state(dag)), int(settled(dag)), encode_state(dag))


def _read(row: Row, bodies: dict[int, tuple[int, str]]) -> Dag | Poisoned:
    version, state = bodies.pop(-1, (0, "it has no state"))
    try:
        return dag_of(row, version, state, {index: body for index, (_, body) in bodies.items()})
    except UNREADABLE as error:
        return Poisoned(row[0], row[1], str(error))
