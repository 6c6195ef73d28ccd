"""The page on operating, carried out on three real servers with its own statements: a switch over, a fail over, the ex-primary rebuilt.

Long (``make runbook``). The suite has the same over fake databases (`tests.lifecycle.test_moved`, `tests.lifecycle.test_rebuild`).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest

from demo.world import Agent, World
from oboe.cli.client import API, OWN
from oboe.cli.dags import SUCCEED, read_dag
from oboe.database.seekdb.connecting import by_tcp
from oboe.kit.secret import Secret
from tests.lifecycle.test_seekdb import BOUND, PASSWORD, SMALL, client, done, followed, servers_below
from tests.spine.host import eventually

pytestmark = [pytest.mark.seekdb, pytest.mark.skipif(os.environ.get("RUNBOOK") != "all", reason="long: make runbook")]

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
FENCE, TAKE_OVER, FOLLOW, AHEAD, ACTIVATE, FOLLOW_IT = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[tuple[Agent, ...]]:
    world = World(tmp_path / "real")
    world.begin()
    try:
        world.start_agents(3)
        yield world.agents
    finally:
        world.end(lambda text: None)


def sql(agent: Agent, text: str, new: Agent | None = None) -> None:
    """The statements of a block of the page, as root."""
    if new is not None:
        text = text.replace("NEW", f"127.0.0.1:{new.database_rpc_port}")
    with closing(by_tcp("127.0.0.1", agent.mysql_port, user="root", password=Secret(PASSWORD), timeout=20.0)) as connection:
        for statement in filter(None, map(str.strip, text.split(";"))):
            with connection.cursor() as cursor:
                cursor.execute(statement)


def one(agent: Agent) -> dict[str, object]:
    return {"scope": {"type": "SERVER", "target": [str(agent.address)]}}


def primaries(asked: Agent) -> list[int]:
    """SQL ports, as that agent shows them."""
    zones = client(asked).get(f"{API}/ob/info").data["obcluster_info"]["topology"]
    return [server["sql_port"] for servers in zones.values() for server in servers if server["with_rootserver"] == "YES"]


def rows(agent: Agent) -> int:
    """So many, as far as that server has come: none before the table is there."""
    connection = by_tcp("127.0.0.1", agent.mysql_port, user="root", password=Secret(PASSWORD), timeout=20.0)
    with closing(connection), connection.cursor() as cursor:
        try:
            return int(cursor.execute("SELECT a FROM test.t"))
        except pymysql.err.ProgrammingError:
            return 0


def test_the_page_on_operating(agents: tuple[Agent, ...]) -> None:
    first, second, third = agents
    asked = client(first)
    for number, agent in enumerate(agents, start=1):
        joins = {"agentInfo": {"ip": first.address.ip, "port": first.address.port}, "zoneName": f"zone{number}"}
        done(client(agent), "/agent/join", joins)
        ports = {"mysql_port": str(agent.mysql_port), "rpc_port": str(agent.database_rpc_port)}
        scope = {"type": "SERVER", "target": [str(agent.address)]}
        done(asked, "/observer/config", {"observerConfig": {**SMALL, **ports}, "restart": False, "scope": scope})
    done(asked, "/obcluster/config", {"clusterId": 1, "clusterName": "test", "rootPwd": PASSWORD})
    done(asked, "/ob/init", {})
    sql(first, "CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (1)")

    for agent in agents:
        eventually(lambda agent=agent: rows(agent) == 1, BOUND)

    sql(first, FENCE, second)
    sql(second, TAKE_OVER)
    sql(third, FOLLOW, second)
    sql(second, "INSERT INTO test.t VALUES (2)")
    for agent in agents:
        eventually(lambda agent=agent: primaries(agent) == [second.mysql_port], BOUND)
    done(client(second), "/ob/stop", one(first))
    done(client(second), "/ob/start", one(first))
    for agent in agents:
        eventually(lambda agent=agent: rows(agent) == 2, BOUND)

    for process in servers_below(second.home):
        os.kill(process, signal.SIGKILL)
    for agent in (first, third):
        sql(agent, AHEAD)
    sql(first, ACTIVATE)
    sql(third, FOLLOW_IT, first)
    for agent in (first, third):
        eventually(lambda agent=agent: primaries(agent) == [first.mysql_port], BOUND)
    sql(first, "INSERT INTO test.t VALUES (3)")
    rebuilt = followed(asked, read_dag(asked.post(f"{OWN}/standbys/{second.address}/rebuild", {}).data))
    assert (rebuilt.state, rebuilt.operator) == (SUCCEED, "RUN")
    for agent in agents:
        eventually(lambda agent=agent: rows(agent) == 3, BOUND)
    assert primaries(second) == [first.mysql_port]
