"""A real standby that was down while its primary wrote on until it recycled what the standby needs: seekdb's -4233, and the way on.

Long (``make recycled``): gigabytes are written. The suite has the same with a stand-in (`tests.database.test_seekdb_stand_in`) and over
fake databases (`tests.lifecycle.test_rebuild`).
"""

from __future__ import annotations

import os
import random
from contextlib import closing
from typing import Any

import pytest

from demo.world import Agent
from oboe.cli.client import API, OWN
from oboe.cli.dags import FAILED, DagShown, read_dag
from oboe.database.seekdb.connecting import by_tcp
from oboe.kit.secret import Secret
from tests.lifecycle.test_seekdb import BOUND, PASSWORD, SMALL, agents, client, done, followed
from tests.spine.host import eventually

__all__ = ["agents"]

pytestmark = [pytest.mark.seekdb, pytest.mark.skipif(os.environ.get("RECYCLED") != "all", reason="long: make recycled")]

BATCHES_MAX = 1500
ROWS, ROW_BYTES = 4, 500_000


def wide_open(agent: Agent) -> Any:
    """A connection whose statements may take as long as a busy disk makes them."""
    connection = by_tcp("127.0.0.1", agent.mysql_port, user="root", password=Secret(PASSWORD), timeout=20.0)
    connection._read_timeout = connection._write_timeout = 300.0
    return connection


def asked(agent: Agent, question: str) -> list[tuple[Any, ...]]:
    with closing(wide_open(agent)) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        return list(cursor.fetchall())


def redo(agent: Agent) -> tuple[int, int]:
    """From where to where the server has redo."""
    return asked(agent, "SELECT BEGIN_LSN, END_LSN FROM oceanbase.V$OB_LOG_STAT")[0]  # type: ignore[return-value]


def write_until_recycled(agent: Agent, needed: int) -> None:
    """Random data, and a checkpoint now and then, until redo begins past ``needed``."""
    chance = random.Random(4233)
    with closing(wide_open(agent)) as connection, connection.cursor() as cursor:
        cursor.execute("SET ob_query_timeout = 300000000")  # a busy disk
        cursor.execute("CREATE TABLE IF NOT EXISTS test.fat (id INT AUTO_INCREMENT PRIMARY KEY, x MEDIUMBLOB)")
        for batch in range(BATCHES_MAX):
            cursor.execute("INSERT INTO test.fat (x) VALUES (%s), (%s), (%s), (%s)", [chance.randbytes(ROW_BYTES) for _ in range(ROWS)])
            if batch % 50 == 49:
                cursor.execute("ALTER SYSTEM MINOR FREEZE")
                if redo(agent)[0] > needed:
                    return
        eventually(lambda: redo(agent)[0] > needed)


@pytest.mark.parametrize("threshold", ["0", "80"], ids=["kept not at all", "kept to 80 % of the log disk"])
def test_a_standby_whose_redo_was_recycled_says_so_and_is_rebuilt(agents: tuple[Agent, Agent], threshold: str) -> None:
    first, second = agents
    asking = client(first)
    kept = SMALL | {"log_disk_utilization_threshold": threshold}
    own = {**kept, "mysql_port": str(first.mysql_port), "rpc_port": str(first.database_rpc_port)}
    theirs = {**kept, "mysql_port": str(second.mysql_port), "rpc_port": str(second.database_rpc_port)}
    server = {"scope": {"type": "SERVER", "target": [str(second.address)]}}
    done(asking, "/agent/join", {"agentInfo": _info(first), "zoneName": "zone1"})
    done(asking, "/observer/config", {"observerConfig": own, "restart": False, "scope": {"type": "GLOBAL", "target": []}})
    done(asking, "/obcluster/config", {"clusterId": 1, "clusterName": "test", "rootPwd": PASSWORD})
    done(asking, "/ob/init", {})
    done(asking, "/ob/scale_out", {"agentInfo": _info(second), "zone": "zone2", "obConfigs": theirs})
    done(asking, "/ob/stop", server)

    write_until_recycled(first, needed=redo(first)[1])
    start = followed(asking, read_dag(asking.post(f"{API}/ob/start", server).data))

    assert start.state == FAILED
    said = str(told(start))
    assert "its primary has recycled the redo it needs" in said, said
    assert f"oboe cluster rebuild {second.address}" in said

    rebuilt = followed(asking, read_dag(asking.post(f"{OWN}/standbys/{second.address}/rebuild", {}).data))
    assert (rebuilt.state, rebuilt.operator) == ("SUCCEED", "RUN"), told(rebuilt)
    rows = asked(first, "SELECT COUNT(*) FROM test.fat")
    eventually(lambda: asked(second, "SELECT COUNT(*) FROM test.fat") == rows, BOUND)
    asking.post(f"{API}/task/dag/{start.id}", {"operator": "RETRY"})
    again = followed(asking, start)
    assert (again.state, again.operator) == ("SUCCEED", "RUN"), told(again)


def told(dag: DagShown) -> list[str]:
    return [line for node in dag.nodes for sub_task in node.sub_tasks for line in sub_task.logs]


def _info(agent: Agent) -> dict[str, Any]:
    return {"ip": agent.address.ip, "port": agent.address.port}
