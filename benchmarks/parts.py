"""The parts of a run, in order, each in a directory of its own; one that cannot be measured says why and stops no other."""

from __future__ import annotations

import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from compileall import compile_dir
from pathlib import Path
from typing import Any

import oboe
from benchmarks import cluster, engine, history, lives, maintain, profiled, surroundings
from benchmarks.cluster import AgentProcess
from benchmarks.past import copy_mysql, finish
from benchmarks.sizes import Sizes, Unmeasured
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind

__all__ = ["ENGINE", "KEYS", "PARTS", "measure"]

ENGINE = ("gap_p50_ms", "chain9_ms", "chains_steps_per_second", "parallel1000_s", "request_running_p50_ms")
"""Of the engine, on SQLite and on seekdb."""
KEYS = (
    *(
        "floor_ms",
        *ENGINE,
        "process_start_s",
        "kill_resume_s",
        "http_running_p50_ms",
        "first_answer_ms",
        "idle_mb",
        "idle_cpu_percent",
        "idle_statements_per_s",
    ),
    *("history_ratio", "maintain_ob_rps", "maintain_ob_wide_ratio", "maintain_ob_history_ratio", "rsa_only_rps", "seekdb"),
)
"""What every run's JSON has; None where it could not be measured."""
_WARM = 8
"""Connections at which ratios are measured."""
_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)


def measure(directory: Path, sizes: Sizes, parts: Sequence[str]) -> dict[str, Any]:
    """All figures, by key; ``without`` has, by part, why it has none, and ``surroundings`` where and when this was."""
    found: dict[str, Any] = {"surroundings": surroundings.describe(directory), **dict.fromkeys(KEYS), "without": {}}
    began = time.monotonic()
    compile_dir(Path(oboe.__file__).parent, quiet=1)  # as installing a wheel does; a checkout may run without
    for name in parts:
        found |= _part(name, directory / name, sizes, found["without"])
    found["surroundings"] |= {"load_after": surroundings.load(), "seconds": round(time.monotonic() - began)}
    return found


def _part(name: str, directory: Path, sizes: Sizes, without: dict[str, str]) -> dict[str, Any]:
    directory.mkdir()
    began = time.monotonic()
    print(f"measuring {name} ...", end="", file=sys.stderr, flush=True)
    try:
        return _PARTS[name](directory, sizes)
    except Unmeasured as reason:
        without[name] = str(reason)
    except Exception as error:  # noqa: BLE001 - a part ends here, the others have their figures
        traceback.print_exc()
        without[name] = f"{type(error).__name__}: {error}"
    finally:
        print(f" {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        surroundings.end_processes(directory)
        shutil.rmtree(directory, ignore_errors=True)
    return {}


def _engine(directory: Path, sizes: Sizes) -> dict[str, Any]:
    return engine.measure(directory, sizes) | {"profile": profiled.measure(directory / "profiled", sizes)}


def _lives(directory: Path, sizes: Sizes) -> dict[str, Any]:
    return {
        "process_start_s": lives.process_start_s(sizes),
        "kill_resume_s": lives.kill_resume_s(directory, sizes),
        "http_running_p50_ms": lives.http_running_p50_ms(directory, sizes),
    }


def _history(directory: Path, sizes: Sizes) -> dict[str, Any]:
    found = history.measure(directory, sizes)
    return {"history_ratio": found["ratio"], "history": found}


def _cluster(directory: Path, sizes: Sizes) -> dict[str, Any]:
    if cluster.missing():
        raise Unmeasured(cluster.missing())
    agent = cluster.found_cluster(directory)
    try:
        found: dict[str, Any] = {"first_answer_ms": lives.first_answer_ms(agent, sizes)}
        found |= lives.idle(agent, directory / "statements", sizes)
        agent.end()
        on_seekdb: dict[str, Any] = engine.measure(directory, sizes, agent.new_cluster_home("bench"))
        on_seekdb["profile"] = profiled.measure(directory / "profiled", sizes, agent.new_cluster_home("profiled"))
        return found | _maintain(agent, directory, sizes) | {"seekdb": on_seekdb}
    finally:
        cluster.end_all(directory, agent)


def _maintain(agent: AgentProcess, directory: Path, sizes: Sizes) -> dict[str, Any]:
    """What is asked about is a finished dag: a chain of 9; one with many sub-tasks; the chain again, after very many others."""
    home = agent.cluster_home()

    def put(length: int, width: int = 1) -> None:
        agent.end()
        finish(home, engine.draft(engine.chain(length, width), HomeKind.CLUSTER, maintenance=_GLOBAL))

    put(9)
    agent.start()
    rsa = maintain.rsa_only(sizes)
    plain = maintain.maintain_ob(agent, directory, sizes)
    put(1, sizes.wide)
    agent.start()
    wide = maintain.maintain_ob(agent, directory, sizes, connections=[_WARM])
    agent.end()
    model = finish(home, engine.draft(engine.chain(1), HomeKind.CLUSTER))
    copy_mysql(lambda: agent.database("oboe"), model, sizes.history)
    put(9)
    agent.start()
    after_many = maintain.maintain_ob(agent, directory, sizes, connections=[_WARM])
    rate = plain["rps"][str(_WARM)]
    shares = {number: rps / rsa["one" if number == "1" else "all"] for number, rps in plain["rps"].items()}
    return {
        "rsa_only_rps": rsa["all"],
        "rsa_only_one_rps": rsa["one"],
        "maintain_ob_rps": plain["rps"],
        "maintain_ob_p50_ms": plain["p50_ms"],
        "maintain_ob_cpu_percent": plain["cpu_percent"],
        "maintain_ob_share": shares,
        "maintain_ob_wide_ratio": wide["rps"][str(_WARM)] / rate,
        "maintain_ob_history_ratio": after_many["rps"][str(_WARM)] / rate,
    }


_PARTS: dict[str, Callable[[Path, Sizes], dict[str, Any]]] = {
    "engine": _engine,
    "lives": _lives,
    "history": _history,
    "cluster": _cluster,
}
PARTS = tuple(_PARTS)
