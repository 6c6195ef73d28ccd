"""A cluster of the tests, from nothing: hosts, what is asked of them over OBShell's API, and what must be true of them afterwards."""

from __future__ import annotations

import re
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from demo.ports import free_ports
from oboe.cli.client import API, AgentClient
from oboe.cli.dags import FAILED, SUCCEED, DagShown, read_dag
from oboe.cli.failure import AnswerError
from oboe.config import Settings
from oboe.database.port import Driver
from oboe.engine.limits import Limits
from oboe.kit.secret import Secret
from tests.spine.host import Host, Store, eventually

__all__ = ["PASSWORD", "World", "lines", "shape"]

PASSWORD = "pw of root"
_TWIN = re.compile(r"genericID:(\d+)")


class World:
    """Hosts that may become one cluster."""

    def __init__(self, root: Path, store_port: int, *, limits: Limits | None = None, driver: Driver | None = None) -> None:
        self.root = root
        self.store = Store(store_port, f"oboe_{secrets.token_hex(6)}")
        self._driver = driver
        self.hosts: list[Host] = []
        self._limits = limits
        self._count = 0
        self._clients: dict[str, AgentClient] = {}
        self._password = PASSWORD

    def host(self, *, apart: bool = False) -> Host:
        """One more, running."""
        self._count += 1
        host = Host(f"agent{self._count}", self.root, free_ports(2), self.store, apart=apart, limits=self._limits, driver=self._driver)
        self.hosts.append(host)
        return host.begin()

    def end(self) -> None:
        for client in self._clients.values():
            client.close()
        self.end_hosts()
        self.store.run(f"DROP DATABASE IF EXISTS {self.store.name}")

    def end_hosts(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.end, self.hosts))

    # Asking

    def client(self, host: Host) -> AgentClient:
        """One for each host; it finds out whether the cluster's password holds already."""
        if host.name not in self._clients:
            client = AgentClient(host.address, settings=Settings.of({}, source="test"), password=Secret(""))
            client.candidate = Secret(self._password)
            self._clients[host.name] = client
        return self._clients[host.name]

    def clients_know(self, password: str) -> None:
        """Root's password is another one from here on."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._password = password

    def get(self, host: Host, path: str, **query: Any) -> Any:
        return self.client(host).get(f"{API}{path}", **query).data

    def ask(self, host: Host, path: str, body: dict[str, Any]) -> DagShown:
        """The dag that was made."""
        return read_dag(self.client(host).post(f"{API}{path}", body).data)

    def do(self, host: Host, path: str, body: dict[str, Any]) -> DagShown:
        """Ask, and follow the dag to a good end."""
        return self.good(self.over(host, self.ask(host, path, body)))

    @staticmethod
    def good(dag: DagShown) -> DagShown:
        assert (dag.state, dag.operator) == (SUCCEED, "RUN"), (shape(dag), lines(dag))
        return dag

    @staticmethod
    def undone(dag: DagShown) -> DagShown:
        assert (dag.state, dag.operator) == (SUCCEED, "ROLLBACK"), (shape(dag), lines(dag))
        return dag

    def dag(self, host: Host, dag_id: str) -> DagShown:
        return read_dag(self.get(host, f"/task/dag/{dag_id}", show_details="true"))

    def over(self, host: Host, dag: DagShown | str) -> DagShown:
        """The dag once it is SUCCEED or FAILED, with its log."""
        dag_id = dag if isinstance(dag, str) else dag.id
        return eventually(lambda: self._if(host, dag_id, lambda now: now.finished))  # type: ignore[no-any-return]

    def at(self, host: Host, dag: DagShown, node: str) -> DagShown:
        """The dag once that node runs."""
        return eventually(lambda: self._if(host, dag.id, lambda now: any(n.name == node and n.state == "RUNNING" for n in now.nodes)))  # type: ignore[no-any-return]

    def failed(self, host: Host, dag: DagShown, *, at: str = "", why: str = "") -> DagShown:
        """The dag once it has FAILED, at that node, with that in its log."""
        dag = self.over(host, dag)
        assert dag.state == FAILED, shape(dag)
        broken = [node for node in dag.nodes if node.state == FAILED]
        assert not at or [node.name for node in broken] == [at]
        told = [line for node in broken for sub_task in node.sub_tasks for line in sub_task.logs]
        assert any(why in line for line in told), told
        return dag

    def operate(self, host: Host, dag: DagShown, operator: str) -> DagShown:
        """Ask for it, and wait until the dag is over."""
        self.operator(host, dag, operator)
        return self.over(host, dag)

    def operator(self, host: Host, dag: DagShown, operator: str) -> None:
        self.client(host).post(f"{API}/task/dag/{dag.id}", {"operator": operator})

    def _if(self, host: Host, dag_id: str, wanted: Any) -> DagShown | None:
        try:
            return now if wanted(now := self.dag(host, dag_id)) else None
        except AnswerError as error:
            if error.code != "Agent.RPC.RequestFailed" and "does not answer in time" not in str(error):
                raise
            return None  # whom an agent passes a question on to has two seconds: little on a machine that has other things to do

    # Operations

    def gather(self, master: Host, *followers: Host) -> None:
        """They are a MASTER and its FOLLOWERs, configured."""
        for number, host in enumerate((master, *followers), start=1):
            self.do(host, "/agent/join", {"agentInfo": _address(master), "zoneName": f"zone{number}"})
        self.do(master, "/obcluster/config", {"clusterId": 1, "clusterName": "test", "rootPwd": PASSWORD})

    def init(self, master: Host) -> DagShown:
        return self.ask(master, "/ob/init", {})

    def scale_out(self, member: Host, joiner: Host, *, zone: str = "zone2", password: str = "", **settings: str) -> DagShown:
        body = {"agentInfo": _address(joiner), "zone": zone, "obConfigs": settings, "targetAgentPassword": password}
        return self.ask(member, "/ob/scale_out", body)

    def twin(self, host: Host, dag: DagShown) -> str:
        """The id of *Local scale out*, from the line that says it."""
        found = next(match for match in map(_TWIN.search, lines(dag)) if match)
        return found[1]

    def forget(self, host: Host) -> None:
        """End a host, and take it off the cluster's tables as if it had never come."""
        host.end()
        self.hosts.remove(host)
        port = host.address.port
        self.store.run(f"USE {self.store.name}", f"DELETE FROM member WHERE port = {port}", f"DELETE FROM server WHERE agent_port = {port}")
        for other in self.hosts:  # nobody told them
            if other.agent.local.member(host.address) is not None:
                other.agent.local.remove_member(host.address)

    # What is so

    def whole(self) -> bool:
        """Its hosts are its members, and nothing holds it."""
        ports = {host.address.port for host in self.hosts}
        return self.members() == ports == self.servers() and not self.store.rows("SELECT * FROM maintenance_lock")

    def untouched(self, host: Host) -> None:
        """It is what an agent is before anybody asked anything of it, though it remembers its dags."""
        local = host.agent.local
        kept = [
            name for name in ("cluster_key", "authority_key", "certificate_key", "root_password", "store_password") if local.secret(name)
        ]
        assert (host.identity, local.members(), local.text("certificate"), kept, local.instance()) == ("SINGLE", [], "", [], None)
        assert local.zone() == ""
        assert not host.base.exists()
        assert self.get(host, "/task/dag/unfinish") == {"contents": []}
        assert host.public("/api/v1/status")["underMaintenance"] is False

    def remembers(self, host: Host) -> dict[str, Any]:
        """Everything that the agent knows of itself and of others."""
        local, database = host.agent.local, sqlite3.connect(host.home / "oboe.db")
        try:
            names = [name for (name,) in database.execute("SELECT name FROM fact")]
        finally:
            database.close()
        found = {name: value for name in names if (value := local.value(name)) is not None}
        return found | {"members": {str(member.address): member for member in local.members()}, "base": host.base.exists()}

    def as_new(self) -> bool:
        """It is whole, and of its hosts none is silent, at work, troubled, or without its database."""
        return self.whole() and all(map(self._at_rest, self.hosts))

    def _at_rest(self, host: Host) -> bool:
        told = host.public("/api/v1/status")
        if not told or told["agent"]["identity"] != "CLUSTER AGENT" or told["underMaintenance"]:
            return False
        return not host.troubled() and host.runs() and not self.get(host, "/task/dag/unfinish")["contents"]

    def members(self) -> set[int]:
        return {port for (port,) in self.store.rows("SELECT port FROM member")}

    def servers(self) -> set[int]:
        return {port for (port,) in self.store.rows("SELECT agent_port FROM server")}


def lines(dag: DagShown) -> list[str]:
    return [line for node in dag.nodes for sub_task in node.sub_tasks for line in sub_task.logs]


def shape(dag: DagShown) -> list[tuple[str, str, str, list[int]]]:
    """Name, state, operator and attempts of every node."""
    return [(node.name, node.state, node.operator, [each.attempt for each in node.sub_tasks]) for node in dag.nodes]


def _address(host: Host) -> dict[str, Any]:
    return {"ip": host.address.ip, "port": host.address.port}
