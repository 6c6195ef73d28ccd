"""``GET task/dag/maintain/ob`` with an encrypted header of its own for every request, beside what opening those headers costs alone."""

from __future__ import annotations

import base64
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.cluster import PASSWORD, AgentProcess
from benchmarks.load import packed
from benchmarks.sizes import Sizes, Unmeasured
from oboe.cli.client import API
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["maintain_ob", "rsa_only"]

_PATH = f"{API}/task/dag/maintain/ob"
_RSA_TIMES = 300
_SECONDS = 120.0


def maintain_ob(agent: AgentProcess, directory: Path, sizes: Sizes, *, connections: Iterable[int] = ()) -> dict[str, Any]:
    """By number of connections: requests per second (``rps``), ``p50_ms``, and who used how much of all CPUs (``cpu_percent``).

    The median of some rounds, after one that is not counted."""
    public_key = json.loads(agent.ask(f"{API}/secret"))["data"]["public_key"]
    found: dict[str, Any] = {"rps": {}, "p50_ms": {}, "cpu_percent": {}}
    _round(agent, directory, public_key, 8, 64)
    for number in connections or sizes.load_requests:
        count = sizes.load_requests[number]
        rounds = [_round(agent, directory, public_key, number, count) for _ in range(sizes.load_rounds)]
        for key in found:
            found[key][str(number)] = _middle([each[key] for each in rounds])
    return found


def rsa_only(sizes: Sizes) -> dict[str, float]:
    """Headers opened per second by RSA alone: by one process, and by one for every CPU."""
    pair = secrecy.new_key_pair()
    given = f"{pair.private_pem.reveal().strip()}\n\n{_header(pair.public_key)}\n"
    rates = {"one": 1, "all": os.cpu_count() or 1}
    return {name: statistics.median(_opened(number, given) for _ in range(sizes.load_rounds)) for name, number in rates.items()}


def blocks() -> int:
    """How many RSA blocks one header has."""
    pair = secrecy.new_key_pair()
    return len(base64.b64decode(_header(pair.public_key))) * 8 // secrecy.KEY_BITS


def _round(agent: AgentProcess, directory: Path, public_key: str, connections: int, count: int) -> dict[str, Any]:
    file = directory / "requests"
    file.write_bytes(packed([_request(public_key) for _ in range(count)]))
    command = [sys.executable, "-m", "benchmarks.load", str(agent.address.port), str(connections), str(file)]
    own, databases = agent.processes()
    before = _cpu_seconds(own), _cpu_seconds(databases)
    try:
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=_SECONDS).stdout
    except subprocess.SubprocessError as error:
        raise Unmeasured(f"the load of {connections} connections: {error}") from error
    own, databases = agent.processes()
    after = _cpu_seconds(own), _cpu_seconds(databases)
    took: dict[str, float] = json.loads(said)
    all_cpus = took["seconds"] * (os.cpu_count() or 1) / 100
    cpu = {"client": took["cpu_seconds"], "agent": after[0] - before[0], "database": after[1] - before[1]}
    return {
        "rps": count / took["seconds"],
        "p50_ms": took["p50_ms"],
        "cpu_percent": {name: seconds / all_cpus for name, seconds in cpu.items()},
    }


def _cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _middle(values: list[Any]) -> Any:
    """The median; of mappings, member by member."""
    if isinstance(values[0], dict):
        return {key: statistics.median(each[key] for each in values) for key in values[0]}
    return statistics.median(values)


def _opened(number: int, given: str) -> float:
    """Headers per second of so many processes, which begin together."""
    command = [sys.executable, "-m", "benchmarks.opening", str(_RSA_TIMES)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    try:
        for each in running:
            assert each.stdin
            assert each.stdout
            each.stdin.write(given)
            each.stdin.flush()
            if each.stdout.readline() != "ready\n":
                raise Unmeasured("a process that opens headers did not begin")
        return sum(_RSA_TIMES / float(each.communicate(timeout=_SECONDS)[0]) for each in _told(running))
    finally:
        for each in running:
            each.kill()
            each.communicate()


def _told(running: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for each in running:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    return running


def _header(public_key: str) -> str:
    return secrecy.seal_request(public_key, password=Secret(PASSWORD), uri=_PATH, valid_seconds=300).header


def _request(public_key: str) -> bytes:
    return f"GET {_PATH} HTTP/1.1\r\nHost: bench\r\nX-OCS-Header: {_header(public_key)}\r\n\r\n".encode()
