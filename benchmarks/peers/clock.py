"""What the scripts of all peers share; standard library only, because each runs in the peers' own environment.

A script is called ``script.py DIRECTORY CHAINS CROWD STARTED_AT [DSN]``, runs chains of 9 steps that do nothing but say when, and prints
one line of JSON. ``STARTED_AT`` is when its process was started, in nanoseconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

__all__ = ["STEPS", "Given", "given", "measure", "tick"]

STEPS = 9
_WARM = 3
_ALONE_SECONDS = 15.0
"""After which no further chain is run alone: a slow peer has its median from fewer, and the table says from how many."""
_ALONE_MIN = 9
"""A median of fewer says little."""
_first: list[int] = []
_times: dict[str, list[float]] = {}


class Given(NamedTuple):
    directory: Path
    chains: int
    """Each alone, the most."""
    crowd: int
    """At once."""
    started_at: int
    dsn: str


def given() -> Given:
    directory, chains, crowd, started_at, *rest = sys.argv[1:]
    return Given(Path(directory), int(chains), int(crowd), int(started_at), rest[0] if rest else "")


def tick(chain: str) -> None:
    """A step of that chain runs."""
    if not _first:
        _first.append(time.time_ns())
    _times.setdefault(chain, []).append(time.perf_counter())


def measure(asked: Given, run_chain: Callable[[str], object], run_crowd: Callable[[list[str]], object]) -> None:
    """``run_chain`` returns when the chain of that name has ended, ``run_crowd`` when all have that it began together."""
    for number in range(_WARM):
        run_chain(f"warm {number}")
    _times.clear()
    spans: list[float] = []
    while len(spans) < asked.chains and (sum(spans) < _ALONE_SECONDS or len(spans) < _ALONE_MIN):
        began = time.perf_counter()
        run_chain(f"one {len(spans)}")
        spans.append(time.perf_counter() - began)
    gaps = [after - before for times in _times.values() for before, after in pairwise(times)]
    _check(len(spans))
    memory = _memory_mb()
    began = time.perf_counter()
    run_crowd([f"crowd {number}" for number in range(asked.crowd)])
    seconds = time.perf_counter() - began
    _check(asked.crowd)
    found = {
        "chains_alone": len(spans),
        "first_step_s": (_first[0] - asked.started_at) / 1e9,
        "chain9_ms": statistics.median(spans) * 1000,
        "gap_p50_ms": statistics.median(gaps) * 1000,
        "chains": asked.crowd,
        "chains_steps_per_second": STEPS * asked.crowd / seconds,
        "memory_mb": memory,
    }
    print(json.dumps(found), flush=True)


def _check(chains: int) -> None:
    """Every step of so many chains ran, once."""
    if len(_times) != chains or any(len(times) != STEPS for times in _times.values()):
        raise SystemExit(f"{sum(map(len, _times.values()))} steps ran of {chains} chains of {STEPS}")
    _times.clear()


def _memory_mb() -> float:
    """Of this process; what it shares counts in parts."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
