"""``GET task/dag/maintain/ob`` with an encrypted header of its own for every request, beside what opening those headers costs alone."""

from __future__ import annotations

import base64
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.cluster import PASSWORD, AgentProcess
from benchmarks.load import packed
from oboe.cli.client import API
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["maintain_ob_rps", "rsa_only_rps"]

_PATH = f"{API}/task/dag/maintain/ob"
_REQUESTS = {1: 400, 8: 1000, 32: 1000}
_ROUNDS = 3
_RSA_TIMES = 300


def maintain_ob_rps(agent: AgentProcess, directory: Path) -> dict[str, float]:
    """Requests per second by number of connections; the median of some rounds."""
    key = httpx.get(f"http://{agent.address}{API}/secret", trust_env=False).json()["data"]["public_key"]
    found = {}
    for connections, count in _REQUESTS.items():
        spans = []
        for _ in range(_ROUNDS):
            file = directory / "requests"
            file.write_bytes(packed([_request(key) for _ in range(count)]))
            command = [sys.executable, "-m", "benchmarks.load", str(agent.address.port), str(connections), str(file)]
            spans.append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
        found[str(connections)] = count / statistics.median(spans)
    return found


def rsa_only_rps() -> float:
    """Headers opened per second by RSA alone, on every CPU."""
    pair = secrecy.new_key_pair()
    private = secrecy.load_private_key(pair.private_pem)
    headers = [_header(pair.public_key) for _ in range(_RSA_TIMES)]
    workers = os.cpu_count() or 1
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda header: secrecy.open_text(private, header), headers))
    return _RSA_TIMES / (time.perf_counter() - began)


def blocks() -> int:
    """How many RSA blocks one header has."""
    pair = secrecy.new_key_pair()
    return len(base64.b64decode(_header(pair.public_key))) * 8 // secrecy.KEY_BITS


def _header(public_key: str) -> str:
    return secrecy.seal_request(public_key, password=Secret(PASSWORD), uri=_PATH, valid_seconds=300).header


def _request(public_key: str) -> bytes:
    return f"GET {_PATH} HTTP/1.1\r\nHost: bench\r\nX-OCS-Header: {_header(public_key)}\r\n\r\n".encode()
