"""A home whose database can be put back to any moment at which something was saved, and a record of what steps truly did."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from oboe.domain.model import Dag
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.store.database import Database, Session
from oboe.store.home import SqlHome

__all__ = ["LEDGER", "Recorded", "Rewinding", "misdeeds"]

_TABLES = ("counter", "dag", "dag_state", "sub_task", "sub_task_log", "maintenance_lock")

LEDGER: dict[str, list[tuple[int, str]]] = defaultdict(list)
"""By dag key: which sub-task began what, in order."""
GATES: dict[str, threading.Event] = defaultdict(threading.Event)


class Recorded(Step):
    """Writes down that it began, and that it ended, before anybody else can know."""

    skippable = True

    def run(self, run: Run) -> int:
        self._record(run, "do")
        run.log(f"did {run.args['n']}")
        return run.attempt

    def rollback(self, run: Run) -> None:
        self._record(run, "undo")

    @staticmethod
    def _record(run: Run, what: str) -> None:
        LEDGER[run.dag_key].append((run.fence.sub_task, what))  # type: ignore[attr-defined]


class Held(Recorded):
    """Ends when its gate opens."""

    def run(self, run: Run) -> int:
        self._record(run, "do")
        run.wait_until(GATES[run.dag_key].is_set, why="the gate", timeout=60, every=0.01)
        return run.attempt


class Rewinding:
    """A `SqlHome`. Moments are numbered from 0, when it was empty."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._home = SqlHome(database)
        self._lock = threading.Lock()
        self.moments = [database.read(_dump)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._home, name)

    def create(self, draft: Any) -> Dag:
        with self._lock:
            dag = self._home.create(draft)
            self.moments.append(self._database.read(_dump))
            return dag

    def save(self, changes: Sequence[Any], lines: Sequence[Any] = ()) -> Mapping[str, Any]:
        with self._lock:
            refused = self._home.save(changes, lines)
            self.moments.append(self._database.read(_dump))
            return refused

    def go_back(self, moment: int) -> None:
        """As if nothing had been written since."""
        with self._lock:
            rows = self.moments[moment]
            self._database.write(lambda session: _restore(session, rows))
            del self.moments[moment + 1 :]


def _dump(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    return {table: session.rows(f"SELECT * FROM {table}") for table in _TABLES}


def _restore(session: Session, tables: dict[str, list[tuple[Any, ...]]]) -> None:
    for table, rows in tables.items():
        session.run(f"DELETE FROM {table}")
        if rows:
            session.many(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def misdeeds(dag: Dag) -> list[str]:
    """What a dag's agents did that they should not have, or did not do that the dag says they did."""
    plan, found = dag.plan, []
    done: dict[int, bool] = dict.fromkeys(range(plan.size), False)
    for index, what in LEDGER[dag.key]:
        node = plan.node_of[index]
        if what == "do":
            if done[index]:
                found.append(f"{index} was done twice")
            found += [
                f"{index} was done before {i}" for parent in plan.nodes[node].upstream for i in plan.sub_tasks_of(parent) if not done[i]
            ]
        else:
            found += [f"{index} was undone under {i}" for child in plan.downstream[node] for i in plan.sub_tasks_of(child) if done[i]]
        done[index] = what == "do"
    for index, sub_task in enumerate(dag.sub_tasks):
        if sub_task.done is not done[index]:
            found.append(f"{index} is {sub_task.state.name} {sub_task.operator.name}, and truly {'done' if done[index] else 'not done'}")
    return found
