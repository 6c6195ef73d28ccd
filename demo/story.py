"""What the demo does, step by step, as any program could: over the agents' public HTTP API, and with SQL at the end."""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql

from demo.world import Agent, DemoError, World
from oboe.cli.client import API, AgentClient
from oboe.cli.dags import FAILED, DagShown, read_dag
from oboe.cli.draw import Lines
from oboe.cli.failure import AnswerError
from oboe.cli.watch import Watch
from oboe.config import Settings
from oboe.domain.errors import OboeError
from oboe.kit.secret import Secret

__all__ = ["Story"]

_TWIN = re.compile(r"genericID:(\d+)")
_ROWS = [("oboe", "double reed"), ("clarinet", "single reed"), ("flute", "none")]
_READ_SECONDS = 20.0


class Story:
    """The demo's cluster while it is made. ``password`` is the root password that it will get."""

    def __init__(self, world: World) -> None:
        self.password = secrets.token_urlsafe(12)
        self._world = world
        self._settings = Settings.from_env()
        self._clients: dict[str, AgentClient] = {}

    def tell(self) -> None:
        """All of it."""
        first, second, third = self._world.agents
        with _chapter("The first agent becomes MASTER, the second joins it"):
            self._do(first, "/agent/join", {"agentInfo": _named(first), "zoneName": "zone1"})
            self._do(second, "/agent/join", {"agentInfo": _named(first), "zoneName": "zone2"})
        with _chapter("How the databases and the cluster shall be"):
            for agent in (first, second):
                scope = {"type": "SERVER", "target": [str(agent.address)]}
                self._do(first, "/observer/config", {"observerConfig": _ports(agent), "restart": False, "scope": scope})
            self._do(first, "/obcluster/config", {"clusterId": 1, "clusterName": "demo", "rootPwd": self.password})
        with _chapter("Initialisation: a seekdb primary and a standby"):
            self._do(first, "/ob/init", {})
            self._show_synchronisation(second)
            self._expect_members(first, 2)
        with _chapter("Scale-out: the third agent, with a standby cloned over mutual TLS"):
            body = {"agentInfo": _named(third), "zone": "zone2", "obConfigs": _ports(third), "targetAgentPassword": ""}
            self._do(first, "/ob/scale_out", body, twin_of=third)
            self._expect_members(first, 3)
        with _chapter("Rows written through the primary are read on both standbys"):
            self._write_and_read()

    def client(self, agent: Agent) -> AgentClient:
        """The client for an agent, with one connection for the whole demo; it knows which password there will be."""
        if agent.name not in self._clients:
            self._clients[agent.name] = AgentClient(agent.address, settings=self._settings, password=Secret(""))
            self._clients[agent.name].candidate = Secret(self.password)
        return self._clients[agent.name]

    def databases(self) -> list[dict[str, Any]]:
        """Where the databases listen, as the cluster tells it; the primary first."""
        topology = self.client(self._world.agents[0]).get(f"{API}/ob/info").data["obcluster_info"]["topology"]
        servers = [each for zone in topology.values() for each in zone]
        found = [
            {"ip": each["svr_ip"], "mysql_port": each["sql_port"], "role": "PRIMARY" if each["with_rootserver"] == "YES" else "STANDBY"}
            for each in servers
        ]
        return sorted(found, key=lambda each: (each["role"] != "PRIMARY", each["mysql_port"]))

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    # Dags

    def _do(self, agent: Agent, route: str, body: dict[str, Any], *, twin_of: Agent | None = None) -> DagShown:
        """Ask ``agent`` for an operation and follow its dag to the end, with its twin on another agent if it has one."""
        client = self.client(agent)
        made = read_dag(client.post(f"{API}{route}", body).data)
        print(f"  POST {API}{route}  to {agent.name} ({agent.address})")
        lines = Lines(sys.stdout.write, prefix="  ")
        twin = _Twin(client, twin_of, self._settings) if twin_of else None

        def pause(seconds: float) -> None:
            if twin:
                twin.look()
            time.sleep(seconds)

        dag = made
        for look in Watch(client, made.id, settings=self._settings, pause=pause).changes():
            lines.show(look)
            dag = look.dag
            if twin:
                twin.find(dag)
        if twin:
            twin.look()
        if dag.state == FAILED:
            raise DemoError(f"{dag.name} is FAILED")
        return dag

    def _show_synchronisation(self, agent: Agent) -> None:
        """As OBShell's pages show it: the agent's newest maintenance dag, and what it logged."""
        dag = read_dag(self.client(agent).get(f"{API}/task/dag/maintain/agent", show_details="true").data)
        print(f"  GET {API}/task/dag/maintain/agent  of {agent.name}: {dag.name}, {dag.state}")
        for node in dag.nodes:
            for sub_task in node.sub_tasks:
                for line in sub_task.logs:
                    print(f"         │ {line}")

    def _expect_members(self, agent: Agent, count: int) -> None:
        members = self.client(agent).get(f"{API}/ob/info").data["agent_info"]
        for each in members:
            print(f"  {each['ip']}:{each['port']}  {each['identity']}  {each['zone']}")
        if len(members) != count or any(each["identity"] != "CLUSTER AGENT" for each in members):
            raise DemoError(f"there should be {count} members of identity CLUSTER AGENT")

    # Rows

    def _write_and_read(self) -> None:
        primary, *standbys = self.databases()
        if primary["role"] != "PRIMARY" or len(standbys) != 2:
            raise DemoError("there should be a primary and two standbys")
        with closing(self._connect(primary)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE concert")
            cursor.execute("CREATE TABLE concert.winds (name VARCHAR(32) PRIMARY KEY, reed VARCHAR(32) NOT NULL)")
            cursor.executemany("INSERT INTO concert.winds VALUES (%s, %s)", _ROWS)
            connection.commit()
        print(f"  primary {primary['ip']}:{primary['mysql_port']}  wrote {len(_ROWS)} rows into concert.winds")
        for standby in standbys:
            rows, seconds = self._read(standby)
            print(f"  standby {standby['ip']}:{standby['mysql_port']}  read {len(rows)} rows {seconds:.2f} s later: {', '.join(rows)}")

    def _read(self, standby: dict[str, Any]) -> tuple[list[str], float]:
        """The names that a standby has, once they are as many as were written. It follows the primary by some tenths of a second."""
        began = time.monotonic()
        with closing(self._connect(standby)) as connection, connection.cursor() as cursor:
            while time.monotonic() - began < _READ_SECONDS:
                try:
                    cursor.execute("SELECT name FROM concert.winds ORDER BY name")
                    rows = [str(row[0]) for row in cursor.fetchall()]
                except pymysql.err.MySQLError:
                    rows = []
                if len(rows) == len(_ROWS):
                    return rows, time.monotonic() - began
                time.sleep(0.05)
        raise DemoError(f"the standby on port {standby['mysql_port']} did not get the rows within {_READ_SECONDS:g} s")

    def _connect(self, database: dict[str, Any]) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host=database["ip"], port=database["mysql_port"], user="root", password=self.password, connect_timeout=5, read_timeout=10
        )


class _Twin:
    """The dag on the joining agent that the one in the cluster leads: read through another agent, by the id in a log line."""

    def __init__(self, client: AgentClient, agent: Agent, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._lines = Lines(sys.stdout.write, prefix=f"    {agent.name} ")
        self._watch: Watch | None = None

    def find(self, dag: DagShown) -> None:
        if self._watch is None:
            told = [line for node in dag.nodes for sub_task in node.sub_tasks for line in sub_task.logs]
            found = next((match for match in map(_TWIN.search, told) if match), None)
            self._watch = Watch(self._client, found[1], settings=self._settings) if found else None

    def look(self) -> None:
        if self._watch is not None:
            try:
                self._lines.show(self._watch.look())
            except AnswerError as error:
                raise DemoError(f"the twin cannot be read: {error}") from error


@contextmanager
def _chapter(title: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"\n{title}", flush=True)
    try:
        yield
    except (OboeError, pymysql.err.MySQLError) as error:
        raise DemoError(f"{title}: {error}") from error
    print(f"  … {time.monotonic() - began:.1f} s", flush=True)


def _named(agent: Agent) -> dict[str, Any]:
    return {"ip": agent.address.ip, "port": agent.address.port}


def _ports(agent: Agent) -> dict[str, str]:
    return {"mysql_port": str(agent.mysql_port), "rpc_port": str(agent.database_rpc_port)}
