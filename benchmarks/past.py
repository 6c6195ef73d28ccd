"""Finished dags: one that went its way in memory and is then written down, and many copies of it, by SQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from benchmarks.sizes import Unmeasured
from oboe.domain.events import Dispatch, Ended, Event, Started, Wake
from oboe.domain.machine import advance
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Dag
from oboe.domain.records import AttemptLine, Change, Draft
from oboe.domain.values import Operator
from oboe.engine.ports import DagStore
from oboe.store.database import Session
from oboe.store.sqlite import Sqlite

__all__ = ["copy_mysql", "copy_sqlite", "finish"]

_ROWS = 10_000
"""In one transaction."""
_MAINTAINED_EVERY = 10
"""One copy in so many was under maintenance."""


def finish(home: DagStore, draft: Draft) -> Dag:
    """The dag in that home, all its steps succeeded, a line of log each. Nobody may serve the home meanwhile."""
    made = home.create(draft)
    dag, going, lines = made, [-1], []
    while going:
        now = time.time_ns()
        events: list[Event] = []
        for index in going:
            if index < 0:
                events.append(Wake())
                continue
            attempt = dag.sub_tasks[index].attempt
            events += [Started(index, 1, attempt, now), Ended(index, 1, attempt, now, True, Operator.RUN)]
            lines.append(AttemptLine(dag.id, index, attempt, LogLine(0, now, Level.INFO, "it does nothing, and says so")))
        dag, effects = advance(dag, events, now=now, here=draft.created_by, epoch=1)
        going = [effect.sub_task for effect in effects if isinstance(effect, Dispatch)]
    if home.save([Change(made, dag)], lines):
        raise Unmeasured("somebody else changes the dags that are to be read")
    return dag


# SQLite

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
_COPY_DAGS = (
    "INSERT INTO dag (id, dag_key, name, maintained, node_base, sub_task_base, size, created_at, facts) "
    f"{_NUMBERS} SELECT ? + i, lower(hex(randomblob(16))), name, i % {_MAINTAINED_EVERY} = 0, ? + i, ? + i, size, created_at, facts "
    "FROM n, dag WHERE id = ?"
)
_COPY_STATES = (
    "INSERT INTO dag_state (dag_id, version, state, settled, body) "
    f"{_NUMBERS} SELECT ? + i, version, state, settled, body FROM n, dag_state WHERE dag_id = ?"
)
_COPY_SUB_TASKS = f"INSERT INTO sub_task (dag_id, sub_task, body) {_NUMBERS} SELECT ? + i, sub_task, body FROM n, sub_task WHERE dag_id = ?"
_SEARCHED = "state, asked, led, creator, tenant, name, folded, created_at, ended_at"
_COPY_SEARCHES = f"INSERT INTO dag_search (dag_id, {_SEARCHED}) {_NUMBERS} SELECT ? + i, {_SEARCHED} FROM n, dag_search WHERE dag_id = ?"
_COUNT_ON = "UPDATE counter SET value = value + ? WHERE name IN ('dag', 'node', 'sub_task')"


def copy_sqlite(database: Sqlite, model: Dag, count: int) -> None:
    """Copies of a finished dag of one node."""

    def copy_some(number: int) -> Callable[[Session], None]:
        def copy(session: Session) -> None:
            last: dict[str, int] = dict(session.rows("SELECT name, value FROM counter"))
            session.run(_COPY_DAGS, (number, last["dag"], last["node"], last["sub_task"], model.id))
            session.run(_COPY_STATES, (number, last["dag"], model.id))
            session.run(_COPY_SUB_TASKS, (number, last["dag"], model.id))
            session.run(_COPY_SEARCHES, (number, last["dag"], model.id))
            session.run(_COUNT_ON, (number,))

        return copy

    for start in range(0, count, _ROWS):
        database.write(copy_some(min(_ROWS, count - start)))


# MySQL's protocol

_LONG = "SET SESSION ob_query_timeout = 300000000, ob_trx_timeout = 300000000"
_COPY_DAGS_THERE = (
    "INSERT INTO dag (id, dag_key, name, maintained, node_base, sub_task_base, size, created_at, facts) "
    "SELECT id + %(on)s, CONCAT(LPAD(HEX(id + %(on)s), 16, '0'), %(mark)s), name, "
    f"IF((id + %(on)s) %% {_MAINTAINED_EVERY} = 0, 1, 0), "
    "node_base + %(on)s, sub_task_base + %(on)s, size, created_at, facts FROM dag WHERE id BETWEEN %(first)s AND %(last)s"
)
_COPY_STATES_THERE = (
    "INSERT INTO dag_state (dag_id, version, state, settled, body) "
    "SELECT dag_id + %(on)s, version, state, settled, body FROM dag_state WHERE dag_id BETWEEN %(first)s AND %(last)s"
)
_COPY_SUB_TASKS_THERE = (
    "INSERT INTO sub_task (dag_id, sub_task, body) "
    "SELECT dag_id + %(on)s, sub_task, body FROM sub_task WHERE dag_id BETWEEN %(first)s AND %(last)s"
)
_COPY_SEARCHES_THERE = (
    f"INSERT INTO dag_search (dag_id, {_SEARCHED}) "
    f"SELECT dag_id + %(on)s, {_SEARCHED} FROM dag_search WHERE dag_id BETWEEN %(first)s AND %(last)s"
)
_COPY_THERE = (_COPY_DAGS_THERE, _COPY_STATES_THERE, _COPY_SUB_TASKS_THERE, _COPY_SEARCHES_THERE)


def copy_mysql(connect: Callable[[], Any], model: Dag, count: int) -> None:
    """Copies of a finished dag of one node, the newest in its home: twice as many with every statement, up to a limit."""
    copied = 0
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute(_LONG)
        while copied < count:
            number = min(copied + 1, count - copied, _ROWS)
            values = {"first": model.id, "last": model.id + number - 1, "on": copied + 1, "mark": model.key[:16]}
            for statement in _COPY_THERE:
                cursor.execute(statement, values)
            copied += number
        cursor.execute("UPDATE counter SET value = value + %s WHERE name IN ('dag', 'node', 'sub_task')", (count,))
