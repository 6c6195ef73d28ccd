"""What an agent's process costs: its start, its first answer, its way back after a kill, and doing nothing in a cluster."""

from __future__ import annotations

import secrets
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.cluster import AgentProcess
from benchmarks.sizes import Sizes, Unmeasured
from oboe.domain.model import Home, Maintenance, NodePlan, Plan
from oboe.domain.records import Draft
from oboe.domain.values import SECOND, HomeKind
from oboe.kit.step import Step
from oboe.store.sqlite import Sqlite, SqliteHome

__all__ = ["first_answer_ms", "http_running_p50_ms", "idle", "kill_resume_s", "process_start_s"]

_PLAYBOOKS = Path(__file__).parent / "playbooks"
_DRIVEN = ("--driver", "fake", "--playbooks", str(_PLAYBOOKS))
"""Agents without a database, which know the steps that are measured."""

_WAIT_SECONDS = 30.0


def process_start_s(sizes: Sizes) -> float:
    """Python, and what an agent imports before it does anything."""
    return statistics.median(_timed([sys.executable, "-c", "import oboe.daemon"]) for _ in range(sizes.starts))


def first_answer_ms(agent: AgentProcess, sizes: Sizes) -> float:
    """From the start on a home that is there to the answer of ``GET status``."""
    spans = []
    for _ in range(sizes.starts):
        agent.end()
        spans.append(agent.start())
    return statistics.median(spans) * 1000


def kill_resume_s(directory: Path, sizes: Sizes) -> float:
    """From the SIGKILL to the moment when the step that was running begins again; the agent is started anew at once."""
    agent = AgentProcess(directory / "killed", *_DRIVEN)
    marks = directory / "marks"
    spans = []
    try:
        agent.start()
        agent.end()
        _put_dag(agent, marks)
        agent.start()
        for times in range(1, sizes.starts + 1):
            _await_marks(marks, times)
            killed_at = time.time_ns()
            agent.end(signal.SIGKILL)
            agent.start()
            spans.append((_await_marks(marks, times + 1) - killed_at) / SECOND)
    finally:
        agent.end(signal.SIGKILL)
    return statistics.median(spans)


def http_running_p50_ms(directory: Path, sizes: Sizes) -> float:
    """From the call of a client to the moment that the record of the first sub-task gives as its start."""
    agent = AgentProcess(directory / "asked", *_DRIVEN)
    asked_at = {}
    try:
        agent.start()
        client = agent.client()
        for _ in range(sizes.requests):
            now = time.time_ns()
            asked_at[client.post("/oboe/v1/playbooks/Nothing", {}).data["dag_id"]] = now
    finally:
        agent.end()
    database = Sqlite(agent.home / "oboe.db")
    try:
        dags = SqliteHome(database).many(list(asked_at))
    finally:
        database.close()
    waits = [dag.sub_tasks[0].started_at - asked_at[dag.id] for dag in dags]
    if len(waits) != sizes.requests or min(waits) <= 0:
        raise Unmeasured(f"{len(waits)} of {sizes.requests} dags began")
    return statistics.median(waits) / 1e6


def idle(agent: AgentProcess, count: Path, sizes: Sizes) -> dict[str, float]:
    """Memory (resident, MB), CPU (percent of one), statements per second, of an agent that maintains a cluster and has nothing to do."""
    agent.end()
    agent.start(launcher=("-m", "benchmarks.counted", str(count)))
    time.sleep(sizes.settle_seconds)
    process = psutil.Process(agent.pid)
    cpu, statements = process.cpu_times(), count.stat().st_size
    time.sleep(sizes.idle_seconds)
    after = process.cpu_times()
    return {
        "idle_mb": process.memory_info().rss / 2**20,
        "idle_cpu_percent": (after.user + after.system - cpu.user - cpu.system) / sizes.idle_seconds * 100,
        "idle_statements_per_s": (count.stat().st_size - statements) / sizes.idle_seconds,
    }


def _put_dag(agent: AgentProcess, marks: Path) -> None:
    """Into the home of an agent that does not run."""
    database = Sqlite(agent.home / "oboe.db")
    node = NodePlan(name="mark", step="oboe_playbook_mark:Mark", flags=_Resumable.flags(), args={"file": str(marks)})
    draft = Draft(
        key=secrets.token_hex(16),
        name="mark",
        playbook="mark",
        plan=Plan((node,)),
        params={},
        home=Home(HomeKind.AGENT, agent.address),
        maintenance=Maintenance(),
        created_at=time.time_ns(),
        created_by=agent.address,
    )
    SqliteHome(database).create(draft)
    database.close()


class _Resumable(Step):
    resumable = True


def _await_marks(marks: Path, count: int) -> int:
    """The time of the so-many-th mark."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        lines = marks.read_text(encoding="utf-8").split() if marks.exists() else []
        if len(lines) >= count:
            return int(lines[count - 1])
        if time.monotonic() > deadline:
            raise Unmeasured("the step did not begin")
        time.sleep(0.002)


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, timeout=_WAIT_SECONDS)
    return time.perf_counter() - began
