"""What a demo puts on this machine: the directory ``.demo``, three agents, their databases. Everything can be found and ended again.

Databases outlive their agents on purpose, in sessions of their own. They are found by a variable in their environment, which they
inherit from their agent, and by their base directories under ``.demo``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from demo.ports import free_ports
from oboe.domain.values import Address

__all__ = ["Agent", "DemoError", "World"]

_MARK = "OBOE_DEMO"
_AGENT_END_SECONDS = 10.0
_END_SECONDS = 20.0


class DemoError(Exception):
    """Why the demo cannot go on, in one sentence."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One "host": an agent, where it listens, and the ports that its database will get."""

    name: str
    home: Path
    address: Address
    rpc_port: int
    mysql_port: int
    database_rpc_port: int


class World:
    """The directory of a demo and everything that runs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.agents: tuple[Agent, ...] = ()

    def begin(self) -> None:
        """An empty directory; what a demo left that has ended is removed. `DemoError` when something of one still runs."""
        if self.processes():
            raise DemoError(f"a demo still runs in {self.root}: `make demo-stop` takes it down")
        self.remove()
        self.root.mkdir(mode=0o700)

    def start_agents(self, count: int) -> None:
        """Start them side by side with ``oboe agent start``, each on loopback ports of its own."""
        try:
            ports = iter(free_ports(4 * count))
        except OSError as error:
            raise DemoError(f"{error}") from error
        self.agents = tuple(
            Agent(f"agent{n}", self.root / f"agent{n}", Address("127.0.0.1", next(ports)), next(ports), next(ports), next(ports))
            for n in range(1, count + 1)
        )
        environment = os.environ | {_MARK: str(self.root)}
        starting = [
            subprocess.Popen(_start_command(each), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for each in self.agents
        ]
        said = [process.communicate(timeout=60)[0].strip() for process in starting]
        for process, words in zip(starting, said, strict=True):
            print(f"  {words}")
            if process.returncode:
                raise DemoError("an agent did not start")

    def describe(self, *, password: str, databases: Sequence[dict[str, Any]]) -> Path:
        """Write ``cluster.json`` for scripts, and the password for ``--password-file``; only their owner may read them."""
        agents = [{"ip": each.address.ip, "port": each.address.port, "home": str(each.home)} for each in self.agents]
        told = {"agents": agents, "password": password, "databases": list(databases)}
        _write_private(self.root / "password", password)
        _write_private(self.root / "cluster.json", json.dumps(told, indent=2) + "\n")
        return self.root / "cluster.json"

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this demo, in whatever session."""
        own = {os.getpid(), *(each.pid for each in psutil.Process().parents())}
        return [each for each in psutil.process_iter() if each.pid not in own and self._is_ours(each)]

    def end(self, say: Callable[[str], None] = print) -> None:
        """End agents in order, then whatever is left. Returns when nothing runs any more."""
        found = self.processes()
        agents = [each for each in found if _is_agent(each)]
        if found:
            say(f"ending {len(agents)} agents and {len(found) - len(agents)} other processes")
        _send(agents, signal.SIGTERM)
        psutil.wait_procs(agents, timeout=_AGENT_END_SECONDS)
        give_up_at = time.monotonic() + _END_SECONDS
        while left := self.processes():
            _send(left, signal.SIGKILL)
            psutil.wait_procs(left, timeout=1.0)
            if time.monotonic() > give_up_at:
                pids = " ".join(str(each.pid) for each in left)
                raise DemoError(f"these processes do not end: {pids}")

    def remove(self) -> None:
        """Remove the directory; only what looks like a demo's is removed."""
        if not self.root.exists():
            return
        strange = [each.name for each in self.root.iterdir() if not each.name.startswith(("agent", "cluster.json", "password"))]
        if strange:
            raise DemoError(f"{self.root} has files that are not a demo's ({', '.join(strange)}): move them away")
        shutil.rmtree(self.root)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.environ().get(_MARK) == str(self.root):
                return True
            words = process.cmdline()
            program = " ".join(words[:3])
            return ("seekdb" in program or "oboe" in program) and any(f"{self.root}/agent" in word for word in words)
        except psutil.Error:
            return False


def _start_command(agent: Agent) -> list[str]:
    start = [sys.executable, "-m", "oboe", "agent", "start", "--home", str(agent.home), "--ip", agent.address.ip]
    return [*start, "--port", str(agent.address.port), "--rpc-port", str(agent.rpc_port)]


def _is_agent(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "agent" in words and "--foreground" in words


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
