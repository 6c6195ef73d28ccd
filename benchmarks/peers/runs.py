"""Runs each peer's script in a process of its own, with the servers that it needs, and says why where it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks import surroundings
from benchmarks.engine import floor_ms
from benchmarks.peers import postgres
from benchmarks.sizes import Unmeasured
from oboe import __version__
from oboe.store.sqlite import Sqlite

__all__ = ["RUNS", "Run", "Sizes", "measure"]

_HERE = Path(__file__).parent
_SECONDS = 150.0
_READY_SECONDS = 150.0
"""Prefect's server imports for a quarter of a minute on a quiet machine."""
_ALL_SECONDS = 780.0
"""After which no further peer is begun."""
_FLOOR_COMMITS = 300


@dataclass(frozen=True, slots=True)
class Sizes:
    chains: int
    crowd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One peer with one store."""

    name: str
    package: str
    script: str
    store: str
    guarantee: str
    """What a kill of its process costs, by its own documentation."""
    server: str = ""
    crowd_divisor: int = 1
    """Slow ones get a smaller crowd; steps per second say the same."""


RUNS = (
    Run(
        name="oboe",
        package="oboe",
        script="on_oboe",
        store="SQLite, synchronous=FULL",
        guarantee="every start and end of a step is durable before anything follows from it; a step that may not run twice never does",
    ),
    Run(
        name="DBOS",
        package="dbos",
        script="on_dbos",
        store="SQLite, synchronous=FULL",
        guarantee="ends of steps are durable, begins are not: a step that was running runs again",
        crowd_divisor=20,
    ),
    Run(
        name="DBOS, PostgreSQL",
        package="dbos",
        script="on_dbos",
        store="PostgreSQL, fsync",
        guarantee="as on SQLite",
        server="postgres",
        crowd_divisor=10,
    ),
    Run(
        name="huey",
        package="huey",
        script="on_huey",
        store="SQLite, fsync",
        guarantee="a task leaves the queue when it begins: what was running at a kill is lost, and with it the rest of its pipeline",
    ),
    Run(
        name="procrastinate",
        package="procrastinate",
        script="on_procrastinate",
        store="PostgreSQL, fsync",
        guarantee="a job that was running stays 'doing' until somebody retries stalled jobs; the next job is deferred by the step itself",
        server="postgres",
        crowd_divisor=10,
    ),
    Run(
        name="Prefect",
        package="prefect",
        script="on_prefect",
        store="SQLite, behind its server",
        guarantee="results are persisted; a flow that was running stays RUNNING until somebody runs it again",
        server="prefect",
        crowd_divisor=100,
    ),
)


def measure(directory: Path, environment: Path, runs: Sequence[Run], sizes: Sizes) -> dict[str, Any]:
    """By name of the run: its figures; ``without`` has why some have none."""
    found: dict[str, Any] = {"surroundings": surroundings.describe(directory), "without": {}, "oboe": None}
    began = time.monotonic()
    for run in runs:
        place = directory / run.name.partition(",")[0].lower() / run.server
        place.mkdir(parents=True)
        directory.chmod(0o755)  # a server may run as another user
        print(f"measuring {run.name} ...", end="", file=sys.stderr, flush=True)
        before = time.monotonic()
        try:
            if before - began > _ALL_SECONDS:
                raise Unmeasured(f"the peers before it took {_ALL_SECONDS:.0f} s")
            found[run.name] = _measure(run, place, environment, sizes)
        except Unmeasured as reason:
            found["without"][run.name] = str(reason)
        finally:
            surroundings.end_processes(place)
            print(f" {time.monotonic() - before:.0f} s", file=sys.stderr, flush=True)
    found["surroundings"] |= {"load_after": surroundings.load(), "seconds": round(time.monotonic() - began)}
    return found


def _measure(run: Run, place: Path, environment: Path, sizes: Sizes) -> dict[str, Any]:
    ours = run.script == "on_oboe"
    python = sys.executable if ours else str((environment / "bin" / "python").absolute())
    version = __version__ if ours else _version(python, run.package)
    floor = _floor(place)
    with _server(run, place, environment) as served:
        script = ["-m", f"benchmarks.peers.{run.script}"] if ours else [str(_HERE / f"{run.script}.py")]
        counts = [str(sizes.chains), str(max(1, sizes.crowd // run.crowd_divisor))]
        command = [python, *script, str(place), *counts, str(time.time_ns()), *([served.dsn] if served.dsn else [])]
        said = _run(command, os.environ | served.variables)
        servers_mb = _memory_mb(served.pid)
    figures: dict[str, Any] = json.loads(said)
    server = {"server_start_s": served.start_s, "servers_mb": servers_mb} if served.pid else {}
    return figures | server | {"version": version, "store": run.store, "guarantee": run.guarantee, "floor_ms": floor}


def _run(command: list[str], environment: dict[str, str]) -> str:
    """The last line that it prints."""
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise Unmeasured(f"its script failed: {error.stderr.strip()[-400:]}") from error
    except subprocess.TimeoutExpired as error:
        raise Unmeasured(f"its script did not end within {_SECONDS:.0f} s: {(error.stderr or b'')[-400:]!r}") from error
    return ran.stdout.strip().splitlines()[-1]


def _version(python: str, package: str) -> str:
    command = [python, "-c", f"from importlib.metadata import version; print(version({package!r}))"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        raise Unmeasured(f"{package} is not installed in {python}: `make bench-peers` installs requirements/peers.txt") from None


def _floor(place: Path) -> float:
    database = Sqlite(place / "floor.db")
    try:
        return floor_ms(database, _FLOOR_COMMITS)
    finally:
        database.close()


@dataclass(frozen=True, slots=True)
class _Served:
    pid: int = 0
    start_s: float = 0.0
    """Until its first answer."""
    dsn: str = ""
    variables: dict[str, str] = field(default_factory=dict)


def _server(run: Run, place: Path, environment: Path) -> AbstractContextManager[_Served]:
    if run.server == "postgres":
        return _postgres(place)
    return _prefect(place, environment) if run.server == "prefect" else nullcontext(_Served())


@contextmanager
def _postgres(place: Path) -> Iterator[_Served]:
    if postgres.missing():
        raise Unmeasured(postgres.missing())
    with postgres.server(place) as server:
        yield _Served(server.pid, server.start_s, server.dsn)


@contextmanager
def _prefect(place: Path, environment: Path) -> Iterator[_Served]:
    """Its server, with a home of its own, and telemetry off."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api"
    variables = {
        "PREFECT_HOME": str(place / "prefect"),
        "PREFECT_API_URL": address,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "HOME": str(place),
        "DO_NOT_TRACK": "1",
    }
    program = str((environment / "bin" / "prefect").absolute())
    # Its children name this directory in their environment only, so they are ended with their group.
    command = [program, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    began = time.monotonic()
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(command, env=os.environ | variables, stdout=output, stderr=output, start_new_session=True)
    try:
        _await_answer(process, f"{address}/health")
        yield _Served(process.pid, time.monotonic() - began, variables=variables)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def _await_answer(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unmeasured("Prefect's server does not answer")
        time.sleep(0.02)


def _memory_mb(pid: int) -> float:
    """Of the process and its children; what they share counts once."""
    total = 0
    with suppress(psutil.Error):
        server = psutil.Process(pid) if pid else None
        for process in [server, *server.children(recursive=True)] if server else []:
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 2**20
