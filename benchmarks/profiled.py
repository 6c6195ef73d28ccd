"""Where the time of many chains goes: a profile of the thread that takes the turns, by what it did.

The profiler makes everything slower, small calls most of all, so the shares say where to look and are no figures of their own.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from pathlib import Path

from benchmarks.engine import bed, chain, draft
from benchmarks.sizes import Sizes
from oboe.engine.ports import DagStore
from oboe.engine.scheduler import Scheduler

__all__ = ["measure"]

_CALLERS = 16
_ELSEWHERE = "Python's own"
_BUILT_IN = (
    ("waits for work", ("'acquire' of '_thread", "'get' of '_queue.SimpleQueue")),
    ("is in calls of the database", ("recv", "'sendall'", "sqlite3.Connection", "sqlite3.Cursor", "readinto")),
    ("encodes", ("msgspec", "json")),
)
"""Built-in functions by a part of their names."""


def measure(directory: Path, sizes: Sizes, cluster: DagStore | None = None) -> dict[str, float]:
    """Shares of the time of the scheduler's thread, by what it did, the greatest first; what is below 1 % is left out."""
    profiler = cProfile.Profile()
    serve = Scheduler._serve

    def profiled(self: Scheduler) -> None:
        if (self.store is cluster) is (cluster is not None):
            profiler.runcall(serve, self)
        else:
            serve(self)

    Scheduler._serve = profiled  # type: ignore[method-assign]
    try:
        directory.mkdir()
        made, database = bed(directory, cluster)
    finally:
        Scheduler._serve = serve  # type: ignore[method-assign]
    try:
        made.run([draft(chain(9), made.kind) for _ in range(sizes.crowd // 2)], callers=_CALLERS)
    finally:
        made.engine.stop()
        database.close()
    return _shares(profiler)


def _shares(profiler: cProfile.Profile) -> dict[str, float]:
    seconds: defaultdict[str, float] = defaultdict(float)
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        seconds[_kind(file, name)] += own
    total = sum(seconds.values()) or 1.0
    shares = {kind: own / total for kind, own in sorted(seconds.items(), key=lambda item: -item[1])}
    return {kind: round(share, 3) for kind, share in shares.items() if share >= 0.01}


def _kind(file: str, name: str) -> str:
    if file == "~":
        return next((kind for kind, parts in _BUILT_IN if any(part in name for part in parts)), _ELSEWHERE)
    parts = Path(file).parts
    for package in ("oboe", "pymysql", "dbutils"):
        if package in parts:
            below = parts[len(parts) - parts[::-1].index(package) :]
            return f"oboe.{below[0].removesuffix('.py')}" if package == "oboe" else "the database's client"
    return _ELSEWHERE
