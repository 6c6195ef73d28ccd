"""What a long history costs: the same live dags in a home with none, ten thousand, a million finished ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.engine import bed, chain, draft
from benchmarks.past import copy_sqlite
from benchmarks.sizes import Sizes
from oboe.domain.model import Maintenance
from oboe.domain.records import Page
from oboe.domain.values import MaintenanceKind
from oboe.store.sqlite import SqliteHome

__all__ = ["measure"]

_READS = 50


def measure(directory: Path, sizes: Sizes) -> dict[str, float]:
    """``chain9_ms`` by size of the history, and ``ratio``: the dearest of what clients ask often, of the longest against none."""
    found: dict[str, float] = {}
    reads: dict[int, dict[str, float]] = {}
    filled = 0
    for size in (0, sizes.history_middle, sizes.history):
        made, database = bed(directory)
        try:
            home = SqliteHome(database)
            nine = chain(9)
            made.run([draft(nine) for _ in range(sizes.warm_chains)])
            made.run([draft(chain(1))])
            (model,) = home.page(Page(limit=1))
            copy_sqlite(database, model, size - filled)
            filled = size
            made.run([draft(nine, maintenance=Maintenance(MaintenanceKind.GLOBAL))])
            found[f"chain9_ms_{size}"] = statistics.median(made.run([draft(nine)]) for _ in range(sizes.chains)) * 1000
            reads[size] = {what: _median(read) for what, read in _reads(home)}
        finally:
            made.engine.stop()
            database.close()
    found["chain9_ratio"] = found[f"chain9_ms_{sizes.history}"] / found["chain9_ms_0"]
    for what, milliseconds in reads[0].items():
        found[f"{what}_ratio"] = reads[sizes.history][what] / milliseconds
    return found | {"ratio": max(value for what, value in found.items() if what.endswith("_ratio"))}


def _reads(home: SqliteHome) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "page", lambda: home.page(Page(limit=10))
    yield "unsettled", home.unsettled
    yield "newest_maintenance", home.newest_maintenance


def _median(action: Callable[[], object]) -> float:
    spans = []
    for _ in range(_READS):
        began = time.perf_counter()
        action()
        spans.append(time.perf_counter() - began)
    return statistics.median(spans) * 1000
