"""How fast the engine is: a chain, many chains, one wide dag, on an agent's home (SQLite) and on a cluster's (seekdb).

Steps do nothing, so what is measured is the engine and its store.
The floor is one SQLite commit with ``synchronous=FULL`` on the same disk.
"""

from __future__ import annotations

import gc
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from oboe.domain import fold
from oboe.domain.messages import Interrupt, Order, Report, Verdict
from oboe.domain.model import Dag, Home, Maintenance, Plan
from oboe.domain.values import SECOND, Address, HomeKind, State
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.ports import DagStore, Draft
from oboe.engine.server import Engine
from oboe.hosts import process
from oboe.kit.playbook import Sketch
from oboe.kit.registry import Registry
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox

__all__ = ["HERE", "Noop", "bed", "chain", "draft", "floor_ms", "measure"]

HERE = Address("127.0.0.1", 2886)
WAIT_SECONDS = 60.0
_NONE = Maintenance()
HEAD_START_SECONDS = {HomeKind.AGENT: 4, HomeKind.CLUSTER: 15}
"""In which a thousand dags are created that begin at one moment."""


class Noop(Step):
    """Does nothing but say when."""

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
    ended: threading.Semaphore
    running: dict[str, float]

    def run(self, drafts: Sequence[Draft], *, callers: int = 1) -> float:
        """Submit them and wait until all are over; seconds."""
        began = time.perf_counter()
        if callers == 1:
            for draft in drafts:
                self.engine.submit(draft)
        else:
            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(self.engine.submit, drafts))
        for _ in drafts:
            if not self.ended.acquire(timeout=WAIT_SECONDS):
                raise SystemExit(f"stuck: {self.engine.status()}")
        return time.perf_counter() - began


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
    made = Bed(engine, HomeKind.AGENT if cluster is None else HomeKind.CLUSTER, threading.Semaphore(0), {})

    def hear(before: Dag, after: Dag) -> None:
        if after.sub_tasks[0].state >= State.RUNNING:  # its begin and its end may come together
            made.running.setdefault(after.key, time.perf_counter())
        if fold.dag_state(after) >= State.FAILED > fold.dag_state(before):
            made.ended.release()

    engine.listen(hear)
    engine.start()
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


def floor_ms(database: Sqlite, count: int = 400) -> float:
    """Median of one small transaction, alone."""
    database.write(lambda session: session.run("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, body TEXT)"))

    def one() -> float:
        began = time.perf_counter()
        database.write(lambda session: session.run("INSERT INTO floor (body) VALUES (?)", ("x" * 100,)))
        return time.perf_counter() - began

    return statistics.median(one() for _ in range(count)) * 1000


def measure(directory: Path, cluster: DagStore | None = None) -> dict[str, float]:
    """The first measures of the table; with a cluster's home, of dags that are kept there."""
    made, database = bed(directory, cluster)
    nine, kind = chain(9), made.kind
    made.run([draft(nine, kind) for _ in range(20)])
    gc.collect()
    gc.freeze()
    found = {"floor_ms": floor_ms(database)}
    singles = [draft(nine, kind) for _ in range(100)]
    Noop.times.update((each.key, []) for each in singles)
    found["chain9_ms"] = statistics.median(made.run([each]) for each in singles) * 1000
    gaps = [after - before for times in Noop.times.values() for before, after in pairwise(times)]
    found["gap_p50_ms"], found["gap_p99_ms"] = (_quantile(gaps, part) * 1000 for part in (0.5, 0.99))
    Noop.times.clear()
    found["request_running_p50_ms"] = _request_to_running(made)
    found["chains_steps_per_second"] = 9000 / _at_once(made, nine, 1000)
    found["parallel1000_s"] = min(made.run([draft(chain(1, 1000), kind)]) for _ in range(3))
    found["floor_after_ms"] = floor_ms(database)
    made.engine.stop()
    database.close()
    return found


def _at_once(made: Bed, plan: Plan, count: int) -> float:
    """So many dags are created first, and begin at one moment; seconds from there to the last end."""
    moment = time.time_ns() + HEAD_START_SECONDS[made.kind] * SECOND
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(made.engine.submit, [draft(plan, made.kind, not_before=moment) for _ in range(count)]))
    if time.time_ns() > moment:
        raise SystemExit("this machine is too slow to create the dags before they begin")
    for _ in range(count):
        if not made.ended.acquire(timeout=WAIT_SECONDS):
            raise SystemExit(f"stuck: {made.engine.status()}")
    return (time.time_ns() - moment) / SECOND


def _request_to_running(made: Bed) -> float:
    """From the call of `submit` to the first step RUNNING, durably; median, milliseconds."""
    waits = []
    one = chain(1)
    for _ in range(100):
        each = draft(one, made.kind)
        began = time.perf_counter()
        made.run([each])
        waits.append(made.running[each.key] - began)
    return statistics.median(waits) * 1000


def _quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
