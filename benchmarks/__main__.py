"""``python -m benchmarks``: measures everything of one run, prints it beside the floor and the targets, writes ``.bench/latest.json``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql

from benchmarks import cluster, engine, history, lives, maintain
from benchmarks.cluster import PASSWORD, AgentProcess
from benchmarks.report import table
from oboe.domain.model import Maintenance
from oboe.domain.values import SECOND, HomeKind, MaintenanceKind
from oboe.store.mysql import MysqlHome, create_schema

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)
_DAY = 86400 * SECOND
_LATEST = Path(".bench/latest.json")
_ENGINE = ("gap_p50_ms", "chain9_ms", "chains_steps_per_second", "parallel1000_s", "request_running_p50_ms")
_OF_A_CLUSTER = ("first_answer_ms", "idle_mb", "idle_cpu_percent", "idle_statements_per_s", "maintain_ob_rps", "seekdb")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--directory", type=Path, default=_LATEST.parent, help="where stores are put: on the disk that counts")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    found = measure(given.directory.resolve())
    _LATEST.parent.mkdir(exist_ok=True)
    _LATEST.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(found)))


def measure(directory: Path) -> dict[str, Any]:
    """All figures, each part with a directory of its own."""
    on_sqlite = _in_directory(directory, engine.measure)
    found: dict[str, Any] = {key: on_sqlite[key] for key in ("floor_ms", *_ENGINE)}
    found["process_start_s"] = lives.process_start_s()
    found["kill_resume_s"] = _in_directory(directory, lives.kill_resume_s)
    found["history_ratio"] = _in_directory(directory, history.measure)["ratio"]
    found["rsa_only_rps"] = maintain.rsa_only_rps()
    if cluster.missing():
        print(f"without a cluster: {cluster.missing()}")
        return found | dict.fromkeys(_OF_A_CLUSTER)
    found |= _in_directory(directory, _of_a_cluster)
    return found


def _of_a_cluster(directory: Path) -> dict[str, Any]:
    agent = cluster.found_cluster(directory)
    try:
        found: dict[str, Any] = {"first_answer_ms": lives.first_answer_ms(agent)}
        found |= lives.idle(agent, directory / "statements")
        waiting = engine.draft(engine.chain(9), HomeKind.CLUSTER, maintenance=_GLOBAL, not_before=time.time_ns() + _DAY)
        _home(agent, "oboe").create(waiting)
        found["maintain_ob_rps"] = maintain.maintain_ob_rps(agent, directory)
        agent.end()
        on_seekdb = engine.measure(directory, _new_home(agent))
        found["seekdb"] = {key: on_seekdb[key] for key in _ENGINE}
        return found
    finally:
        cluster.end_all(directory, agent)


def _home(agent: AgentProcess, database: str) -> MysqlHome:
    """One of the homes in the agent's database, which is up."""
    return MysqlHome(lambda: _connect(agent, database))


def _new_home(agent: AgentProcess) -> MysqlHome:
    with closing(_connect(agent, None)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE bench")
    with closing(_connect(agent, "bench")) as connection:
        create_schema(connection)
    return _home(agent, "bench")


def _connect(agent: AgentProcess, database: str | None) -> Any:
    return pymysql.connect(host="127.0.0.1", port=agent.mysql_port, user="root", password=PASSWORD, database=database)


def _in_directory(parent: Path, part: Callable[[Path], Any]) -> Any:
    directory = Path(tempfile.mkdtemp(dir=parent))
    began = time.monotonic()
    print(f"measuring {part.__module__.rpartition('.')[2]}.{part.__name__.strip('_')} ...", end="", file=sys.stderr, flush=True)
    try:
        return part(directory)
    finally:
        print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
