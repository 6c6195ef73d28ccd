"""How fast the engine is: a chain, many chains, one wide dag, on an agent's home (SQLite) and on a cluster's (seekdb).

Steps do nothing, so what is measured is the engine and its store. Clocks are read where things happen: in the steps, and by a listener
that the engine calls once a change is durable; nobody polls. The floor is one SQLite commit with ``synchronous=FULL`` on the same disk.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from benchmarks.sizes import Sizes, Unmeasured
from oboe.domain import fold
from oboe.domain.messages import Interrupt, Order, Report, Verdict
from oboe.domain.model import Dag, Home, Maintenance, Plan
from oboe.domain.values import SECOND, Address, HomeKind, State
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.ports import DagStore, Draft
from oboe.engine.server import Engine
from oboe.hosts import process
from oboe.hosts.interpreter import settle_interpreter
from oboe.kit.playbook import Sketch
from oboe.kit.registry import Registry
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox

__all__ = ["HERE", "Noop", "bed", "chain", "draft", "floor_ms", "measure"]

HERE = Address("127.0.0.1", 2886)
WAIT_SECONDS = 120.0
_NONE = Maintenance()
_CALLERS = 16
"""Who create many dags together."""
_ROUNDS_SECONDS = 20.0
"""After which no further round begins."""
_HEAD_STARTS = 4
"""Tries to create many dags before the moment when they begin."""
_HEAD_START_SECONDS = {HomeKind.AGENT: 0.004, HomeKind.CLUSTER: 0.02}
"""For each dag, at first."""


class Noop(Step):
    """Does nothing but say when, for the dags that somebody asks about."""

    times: ClassVar[dict[str, list[float]]] = {}

    def run(self, run: Run) -> None:
        times = self.times.get(run.dag_key)
        if times is not None:
            times.append(time.perf_counter())


class _Nobody:
    """No other agents."""

    def order(self, agent: Address, order: Order) -> None:
        raise NotImplementedError

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        raise NotImplementedError

    def settled(self, agent: Address, dag_key: str) -> None:
        raise NotImplementedError

    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        raise NotImplementedError


@dataclass
class Bed:
    """An engine on a store, and a way to wait for what it does."""

    engine: Engine
    kind: HomeKind
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    running_at: dict[str, int] = field(default_factory=dict)
    """Nanoseconds, by key: when it was known, durably, that the first step runs."""
    ended_at: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def hear(self, before: Dag, after: Dag) -> None:
        if after.sub_tasks[0].state >= State.RUNNING:  # its begin and its end may come together
            self.running_at.setdefault(after.key, time.time_ns())
        state = fold.dag_state(after)
        if state >= State.FAILED > fold.dag_state(before):
            self.ended_at[after.key] = time.time_ns()
            if state is not State.SUCCEEDED or any(one.state is not State.SUCCEEDED for one in after.sub_tasks):
                self.failed.append(after.key)
            self.ended.release()

    def run(self, drafts: Sequence[Draft], *, callers: int = 1) -> float:
        """Submit them and wait until all have succeeded; seconds from the first call to the last end, as the engine saw it."""
        began = time.time_ns()
        self.submit(drafts, callers=callers)
        return (self.last_end(drafts) - began) / SECOND

    def submit(self, drafts: Sequence[Draft], *, callers: int = 1) -> None:
        if callers == 1:
            for draft in drafts:
                self.engine.submit(draft)
            return
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(self.engine.submit, drafts))

    def last_end(self, drafts: Sequence[Draft]) -> int:
        """When the last of them ended, nanoseconds."""
        deadline = time.monotonic() + WAIT_SECONDS
        for _ in drafts:
            if not self.ended.acquire(timeout=max(deadline - time.monotonic(), 0)):
                raise Unmeasured(f"dags do not end: {self.engine.status()}")
        if self.failed:
            raise Unmeasured(f"{len(self.failed)} dags failed, {self.failed[0]} the first")
        return max(self.ended_at.pop(draft.key) for draft in drafts)


def bed(directory: Path, cluster: DagStore | None = None) -> tuple[Bed, Sqlite]:
    """With a cluster's home, the dags are kept there: their orders go through the agent's inbox."""
    database = Sqlite(directory / "bench.db")
    registry = Registry()
    registry.add_module(sys.modules[__name__])
    tools = Tools(
        here=HERE,
        registry=registry,
        services={},
        children=None,  # type: ignore[arg-type]
        open_params=None,  # type: ignore[arg-type]
        launch=process.launch,
        end_recorded=process.end_recorded,
        work_root=directory / "work",
        limits=Limits(),
        clock=time.time_ns,
    )
    engine = Engine(tools=tools, home=SqliteHome(database), inbox=SqliteInbox(database), courier=_Nobody())
    made = Bed(engine, HomeKind.AGENT if cluster is None else HomeKind.CLUSTER)
    engine.listen(made.hear)
    engine.start()
    settle_interpreter()  # as an agent does
    if cluster is not None:
        engine.serve_cluster(cluster, 1)
    return made, database


def chain(length: int, width: int = 1) -> Plan:
    sketch = Sketch("bench", Maintenance())
    for number in range(length):
        sketch.stage(f"node {number}", Noop, agents=(HERE,) * width, parallel=width > 1)
    return sketch.plan()


def draft(plan: Plan, kind: HomeKind = HomeKind.AGENT, *, maintenance: Maintenance = _NONE, not_before: int = 0) -> Draft:
    return Draft(
        key=secrets.token_hex(16),
        name="bench",
        playbook="bench",
        plan=plan,
        params={},
        home=Home(kind, HERE if kind is HomeKind.AGENT else None),
        maintenance=maintenance,
        created_at=time.time_ns(),
        created_by=HERE,
        not_before=not_before,
    )


def floor_ms(database: Sqlite, count: int) -> float:
    """Median of one small transaction, alone."""
    database.write(lambda session: session.run("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, body TEXT)"))

    def one() -> float:
        began = time.perf_counter()
        database.write(lambda session: session.run("INSERT INTO floor (body) VALUES (?)", ("x" * 100,)))
        return time.perf_counter() - began

    return statistics.median(one() for _ in range(count)) * 1000


def measure(directory: Path, sizes: Sizes, cluster: DagStore | None = None) -> dict[str, float]:
    """The first measures of the table; with a cluster's home, of dags that are kept there."""
    made, database = bed(directory, cluster)
    try:
        return _measure(made, database, sizes)
    finally:
        made.engine.stop()
        database.close()


def _measure(made: Bed, database: Sqlite, sizes: Sizes) -> dict[str, float]:
    nine, kind = chain(9), made.kind
    made.run([draft(nine, kind) for _ in range(sizes.warm_chains)])
    before = floor_ms(database, sizes.floor_commits)
    found = _one_by_one(made, sizes)
    found["request_running_p50_ms"] = _request_to_running(made, sizes.requests)
    found["chains_steps_per_second"] = 9 * sizes.crowd / _repeated(lambda: _at_once(made, nine, sizes.crowd), sizes.crowd_rounds)
    crowd = [draft(nine, kind) for _ in range(sizes.crowd)]
    found["chains_submitted_steps_per_second"] = 9 * sizes.crowd / made.run(crowd, callers=_CALLERS)
    found["parallel1000_s"] = _repeated(lambda: _wide(made, sizes.wide), sizes.wide_rounds)
    after = floor_ms(database, sizes.floor_commits)
    return found | {"floor_ms": (before + after) / 2, "floor_before_ms": before, "floor_after_ms": after}


def _one_by_one(made: Bed, sizes: Sizes) -> dict[str, float]:
    singles = [draft(chain(9), made.kind) for _ in range(sizes.chains)]
    Noop.times.update((each.key, []) for each in singles)
    spans = [made.run([each]) for each in singles]
    gaps = [after - before for times in Noop.times.values() for before, after in pairwise(times)]
    Noop.times.clear()
    if len(gaps) != 8 * sizes.chains:
        raise Unmeasured(f"{len(gaps)} gaps in {sizes.chains} chains of 9")
    return {
        "chain9_ms": statistics.median(spans) * 1000,
        "gap_p50_ms": _quantile(gaps, 0.5) * 1000,
        "gap_p99_ms": _quantile(gaps, 0.99) * 1000,
    }


def _repeated(action: Callable[[], float], times: int) -> float:
    """The median of so many rounds, fewer where they take long."""
    began = time.monotonic()
    found = [action()]
    while len(found) < times and time.monotonic() - began < _ROUNDS_SECONDS:
        found.append(action())
    return statistics.median(found)


def _wide(made: Bed, width: int) -> float:
    """One dag of so many sub-tasks beside each other, each of which must have run; seconds."""
    one = draft(chain(1, width), made.kind)
    Noop.times[one.key] = []
    seconds = made.run([one])
    ran = len(Noop.times.pop(one.key))
    if ran != width:
        raise Unmeasured(f"{ran} steps ran of {width} sub-tasks")
    return seconds


def _at_once(made: Bed, plan: Plan, count: int) -> float:
    """So many dags are created first, and begin at one moment; seconds from there to the last end."""
    head_start = 1.0 + count * _HEAD_START_SECONDS[made.kind]
    for _ in range(_HEAD_STARTS):
        moment = time.time_ns() + int(head_start * SECOND)
        crowd = [draft(plan, made.kind, not_before=moment) for _ in range(count)]
        made.submit(crowd, callers=_CALLERS)
        late = (time.time_ns() - moment) / SECOND
        ended_at = made.last_end(crowd)
        if late < 0:
            return (ended_at - moment) / SECOND
        head_start = 1.5 * (head_start + late)
    raise Unmeasured(f"{count} dags cannot be created in {head_start:.0f} s")


def _request_to_running(made: Bed, count: int) -> float:
    """From the call of `submit` to the first step RUNNING, durably; median, milliseconds."""
    waits = []
    one = chain(1)
    for _ in range(count):
        each = draft(one, made.kind)
        began = time.time_ns()
        made.run([each])
        waits.append(made.running_at.pop(each.key) - began)
    return statistics.median(waits) / 1e6


def _quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
