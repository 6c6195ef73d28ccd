"""What a long history costs: the same live dags in a home with none, ten thousand, a million finished ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.engine import bed, chain, draft
from oboe.domain.model import Dag
from oboe.domain.records import Page
from oboe.store.database import Session
from oboe.store.sqlite import Sqlite, SqliteHome

__all__ = ["measure"]

_SIZES = {"0": 0, "10k": 10_000, "1M": 1_000_000}
_ROWS = 10_000
"""In one transaction."""


def measure(directory: Path) -> dict[str, float]:
    """``chain9_ms`` by size of the history, and ``ratio``: the dearest of what clients ask often, of a million against none."""
    found: dict[str, float] = {}
    reads: dict[str, dict[str, float]] = {}
    filled = 0
    for name, size in _SIZES.items():
        made, database = bed(directory)
        home = SqliteHome(database)
        nine = chain(9)
        made.run([draft(nine) for _ in range(20)])
        made.run([draft(chain(1))])
        (model,) = home.page(Page(limit=1))
        _fill(database, model, size - filled)
        filled = size
        found[f"chain9_ms_{name}"] = statistics.median(made.run([draft(nine)]) for _ in range(100)) * 1000
        reads[name] = {what: _median(read) for what, read in _reads(home)}
        made.engine.stop()
        database.close()
    found["chain9_ratio"] = found["chain9_ms_1M"] / found["chain9_ms_0"]
    for what, milliseconds in reads["0"].items():
        found[f"{what}_ratio"] = reads["1M"][what] / milliseconds
    return found | {"ratio": max(value for what, value in found.items() if what.endswith("_ratio"))}


def _reads(home: SqliteHome) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "page", lambda: home.page(Page(limit=10))
    yield "unsettled", home.unsettled
    yield "newest_maintenance", home.newest_maintenance


def _median(action: Callable[[], object]) -> float:
    spans = []
    for _ in range(50):
        began = time.perf_counter()
        action()
        spans.append(time.perf_counter() - began)
    return statistics.median(spans) * 1000


_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
_COPY_DAGS = (
    "INSERT INTO dag (id, dag_key, name, maintained, node_base, sub_task_base, size, created_at, facts) "
    f"{_NUMBERS} SELECT ? + i, lower(hex(randomblob(16))), name, maintained, ? + i, ? + i, size, created_at, facts FROM n, dag WHERE id = ?"
)
_COPY_STATES = (
    "INSERT INTO dag_state (dag_id, version, state, settled, body) "
    f"{_NUMBERS} SELECT ? + i, version, state, settled, body FROM n, dag_state WHERE dag_id = ?"
)
_COPY_SUB_TASKS = f"INSERT INTO sub_task (dag_id, sub_task, body) {_NUMBERS} SELECT ? + i, sub_task, body FROM n, sub_task WHERE dag_id = ?"
_COUNT_ON = "UPDATE counter SET value = value + ? WHERE name IN ('dag', 'node', 'sub_task')"


def _fill(database: Sqlite, model: Dag, count: int) -> None:
    """Finished dags of one node, by SQL: copies of one that ran."""

    def copy(session: Session) -> None:
        number = min(_ROWS, count - start)
        last: dict[str, int] = dict(session.rows("SELECT name, value FROM counter"))
        session.run(_COPY_DAGS, (number, last["dag"], last["node"], last["sub_task"], model.id))
        session.run(_COPY_STATES, (number, last["dag"], model.id))
        session.run(_COPY_SUB_TASKS, (number, last["dag"], model.id))
        session.run(_COUNT_ON, (number,))

    for start in range(0, count, _ROWS):  # noqa: B007 - ``copy`` reads it
        database.write(copy)
