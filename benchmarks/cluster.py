"""Agents as their users run them: processes of their own, one of them with a cluster on a real seekdb."""

from __future__ import annotations

import http.client
import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pymysql

from benchmarks.sizes import Unmeasured
from benchmarks.surroundings import end_processes
from demo.ports import free_ports
from oboe.cli.client import API, AgentClient
from oboe.cli.dags import FAILED, read_dag
from oboe.config import Settings
from oboe.domain.errors import OboeError
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.store.mysql import MysqlHome, create_schema

__all__ = ["PASSWORD", "AgentProcess", "end_all", "found_cluster", "missing"]

PASSWORD = "bench"
_SECONDS = 120.0
_END_SECONDS = 30.0


def missing() -> str:
    """Why there is no real database here; empty when there is one."""
    found = importlib.util.find_spec("pylibseekdb")
    return "" if found is not None else "the wheel pylibseekdb is not installed"


class AgentProcess:
    """An agent in a home; ``start`` and ``end`` as often as one likes."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        port, self.rpc_port, self.mysql_port, self.database_port = free_ports(4)
        self.address = Address("127.0.0.1", port)
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, launcher: Sequence[str] = ("-m", "oboe")) -> float:
        """Begin it; seconds until its first answer."""
        home, address = str(self.home), self.address
        command = [sys.executable, *launcher, "agent", "start", "--foreground", "--home", home, "--ip", address.ip]
        command += ["--port", str(address.port), "--rpc-port", str(self.rpc_port), *self._options]
        self.home.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        with (self.home / "output").open("ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        while True:
            with suppress(OSError, http.client.HTTPException):
                self.ask(f"{API}/status")
                return time.perf_counter() - began
            if self.process.poll() is not None or time.perf_counter() - began > _SECONDS:
                raise Unmeasured(f"an agent did not start: {(self.home / 'output').read_text()[-2000:]}")
            time.sleep(0.002)

    def ask(self, path: str) -> bytes:
        """GET without authentication, by as little code as there is: what asks must not slow down what answers."""
        with closing(http.client.HTTPConnection(self.address.ip, self.address.port, timeout=5.0)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def end(self, number: int = signal.SIGTERM) -> None:
        """Once it has ended; one that does not is killed."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_SECONDS)

    def processes(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """The agent's own, and its database's."""
        own = psutil.Process(self.pid)
        databases = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                if words and words[0].endswith("seekdb") and any(str(self.home) in word for word in words):
                    databases.append(process)
        return [own, *(child for child in own.children(recursive=True) if child not in databases)], databases

    def database(self, name: str | None = None) -> Any:
        """A connection to it, as root."""
        return pymysql.connect(host="127.0.0.1", port=self.mysql_port, user="root", password=PASSWORD, database=name, autocommit=True)

    def cluster_home(self, name: str = "oboe") -> MysqlHome:
        """The home of dags in that database."""
        return MysqlHome(lambda: self.database(name))

    def new_cluster_home(self, name: str) -> MysqlHome:
        with closing(self.database()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        with closing(self.database(name)) as connection:
            create_schema(connection)
        return self.cluster_home(name)

    def client(self) -> AgentClient:
        client = AgentClient(self.address, settings=Settings.from_env(), password=Secret(""))
        client.candidate = Secret(PASSWORD)
        return client


def found_cluster(directory: Path) -> AgentProcess:
    """An agent whose cluster is one primary."""
    agent = AgentProcess(directory / "agent")
    agent.start()
    client = agent.client()
    named = {"ip": agent.address.ip, "port": agent.address.port}
    ports = {"mysql_port": str(agent.mysql_port), "rpc_port": str(agent.database_port)}
    scope = {"type": "SERVER", "target": [str(agent.address)]}
    try:
        _do(client, "/agent/join", {"agentInfo": named, "zoneName": "zone1"})
        _do(client, "/observer/config", {"observerConfig": ports, "restart": False, "scope": scope})
        _do(client, "/obcluster/config", {"clusterId": 1, "clusterName": "bench", "rootPwd": PASSWORD})
        _do(client, "/ob/init", {})
    except BaseException:
        end_all(directory, agent)
        raise
    return agent


def end_all(directory: Path, *agents: AgentProcess) -> None:
    """The agents, and whatever else runs below the directory."""
    for agent in agents:
        agent.end()
    end_processes(directory)


def _do(client: AgentClient, path: str, body: dict[str, Any]) -> None:
    """Ask, and wait for a good end."""
    deadline = time.monotonic() + _SECONDS
    dag = read_dag(client.post(f"{API}{path}", body).data)
    while not dag.finished:
        if time.monotonic() > deadline:
            raise Unmeasured(f"{path} does not end")
        time.sleep(0.1)
        with suppress(OboeError):
            dag = read_dag(client.get(f"{API}/task/dag/{dag.id}", show_details="true").data)
    if dag.state == FAILED:
        lines = [line for node in dag.nodes for sub_task in node.sub_tasks for line in sub_task.logs]
        raise Unmeasured(f"{path} failed: {lines}")
