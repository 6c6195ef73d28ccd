"""How fast the engine is, beside the floor: one SQLite commit with ``synchronous=FULL`` on the same disk, measured in the same run.

Run: ``python -m benchmarks.engine [--json FILE] [--directory DIR]``. Steps do nothing, so what is measured is the engine and its store.
"""

from __future__ import annotations

import argparse
import gc
import json
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from oboe.domain import fold
from oboe.domain.messages import Interrupt, Order, Report, Verdict
from oboe.domain.model import Dag, Home, Maintenance, Plan
from oboe.domain.values import SECOND, Address, HomeKind, State
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.ports import Draft
from oboe.engine.server import Engine
from oboe.hosts import process
from oboe.kit.playbook import Sketch
from oboe.kit.registry import Registry
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox

HERE = Address("127.0.0.1", 2886)
WAIT_SECONDS = 60.0
TARGETS = {"gap_p50_ms": 0.5, "chain9_ms": 6.0, "chains_steps_per_second": 10_000, "parallel1000_s": 0.5, "request_running_p50_ms": 20.0}


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


def bed(directory: Path) -> tuple[Bed, Sqlite]:
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
    made = Bed(engine, threading.Semaphore(0), {})

    def hear(before: Dag, after: Dag) -> None:
        if after.sub_tasks[0].state is State.RUNNING:
            made.running.setdefault(after.key, time.perf_counter())
        if fold.dag_state(after) >= State.FAILED > fold.dag_state(before):
            made.ended.release()

    engine.listen(hear)
    engine.start()
    return made, database


def chain(length: int, width: int = 1) -> Plan:
    sketch = Sketch("bench", Maintenance())
    for number in range(length):
        sketch.stage(f"node {number}", Noop, agents=(HERE,) * width, parallel=width > 1)
    return sketch.plan()


def draft(plan: Plan, *, not_before: int = 0) -> Draft:
    return Draft(
        key=secrets.token_hex(16),
        name="bench",
        playbook="bench",
        plan=plan,
        params={},
        home=Home(HomeKind.AGENT, HERE),
        maintenance=Maintenance(),
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


def measure(directory: Path) -> dict[str, Any]:
    made, database = bed(directory)
    nine = chain(9)
    made.run([draft(nine) for _ in range(20)])
    gc.collect()
    gc.freeze()
    found: dict[str, Any] = {"floor_ms": floor_ms(database)}
    singles = [draft(nine) for _ in range(100)]
    Noop.times.update((each.key, []) for each in singles)
    found["chain9_ms"] = statistics.median(made.run([each]) for each in singles) * 1000
    gaps = [after - before for times in Noop.times.values() for before, after in pairwise(times)]
    found["gap_p50_ms"], found["gap_p99_ms"] = (_quantile(gaps, part) * 1000 for part in (0.5, 0.99))
    Noop.times.clear()
    found["request_running_p50_ms"] = _request_to_running(made)
    found["chains_steps_per_second"] = 9000 / _at_once(made, nine, 1000)
    found["submitted_steps_per_second"] = 9000 / made.run([draft(nine) for _ in range(1000)], callers=16)
    found["parallel1000_s"] = min(made.run([draft(chain(1, 1000))]) for _ in range(3))
    found["floor_after_ms"] = floor_ms(database)
    made.engine.stop()
    database.close()
    return found


def _at_once(made: Bed, plan: Plan, count: int) -> float:
    """So many dags are created first, and begin at one moment; seconds from there to the last end."""
    moment = time.time_ns() + 4 * SECOND
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(made.engine.submit, [draft(plan, not_before=moment) for _ in range(count)]))
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
        each = draft(one)
        began = time.perf_counter()
        made.run([each])
        waits.append(made.running[each.key] - began)
    return statistics.median(waits) * 1000


def _quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def table(found: dict[str, Any]) -> list[str]:
    """What was found, as ratios to the floor where that says something."""
    floor = found["floor_ms"]
    lines = [f"{'one SQLite commit (the floor)':34} {floor:9.3f} ms   before; {found['floor_after_ms']:.3f} ms after"]
    rows: list[tuple[str, str, str, Callable[[float], str]]] = [
        ("gap_p50_ms", "step to step, p50", "ms", lambda value: f"{value / floor:.1f} x floor"),
        ("gap_p99_ms", "step to step, p99", "ms", lambda value: f"{value / floor:.1f} x floor"),
        ("chain9_ms", "chain of 9, submit to end", "ms", lambda value: f"{value / floor:.1f} x floor"),
        ("request_running_p50_ms", "request to RUNNING, p50", "ms", lambda value: f"{value / floor:.1f} x floor"),
        ("chains_steps_per_second", "1 000 chains of 9 at once", "steps/s", lambda value: f"{1000 / value / floor:.2f} x floor a step"),
        (
            "submitted_steps_per_second",
            "the same, and creating them",
            "steps/s",
            lambda value: f"{1000 / value / floor:.2f} x floor a step",
        ),
        ("parallel1000_s", "1 dag, 1 000 sub-tasks", "s", lambda value: f"{value / floor:.2f} x floor a step"),
    ]
    for key, title, unit, ratio in rows:
        target = f"   target {TARGETS[key]:g}" if key in TARGETS else ""
        lines.append(f"{title:34} {found[key]:9.3f} {unit:8} {ratio(found[key]):22}{target}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write what was found there")
    parser.add_argument("--directory", type=Path, help="where the store is put: on the disk that counts")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        found = measure(Path(directory))
    print("\n".join(table(found)))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
