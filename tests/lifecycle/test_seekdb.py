"""Scale in over real servers: what was cloned is removed whole, and can be cloned again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.world import Agent, World
from oboe.cli.client import API, AgentClient
from oboe.cli.dags import SUCCEED, DagShown, read_dag
from oboe.cli.failure import AnswerError
from oboe.config import Settings
from oboe.database.seekdb.connecting import by_tcp
from oboe.kit.secret import Secret
from tests.lifecycle.test_scale_in import PLAIN
from tests.spine.host import eventually
from tests.store.seekdb_server import missing

pytestmark = [pytest.mark.seekdb, pytest.mark.skipif(bool(missing()), reason=missing())]

PASSWORD = "pw of root"
BOUND = 240.0
SMALL = {"memory_limit": "1G", "log_disk_size": "2G", "datafile_size": "32M"}


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[tuple[Agent, Agent]]:
    world = World(tmp_path / "real")
    world.begin()
    try:
        world.start_agents(2)
        yield world.agents[0], world.agents[1]
    finally:
        world.end(lambda text: None)


def client(agent: Agent) -> AgentClient:
    made = AgentClient(agent.address, settings=Settings.of({}, source="test"), password=Secret(""))
    made.candidate = Secret(PASSWORD)
    return made


def followed(asked: AgentClient, dag: DagShown) -> DagShown:
    """The dag once it is SUCCEED or FAILED."""

    def over() -> DagShown | None:
        now = read_dag(asked.get(f"{API}/task/dag/{dag.id}", show_details="true").data)
        return now if now.finished else None

    return eventually(over, BOUND)  # type: ignore[no-any-return]


def done(asked: AgentClient, path: str, body: dict[str, Any]) -> DagShown:
    """The dag that was made, once it is over; it must have ended well."""
    found = followed(asked, read_dag(asked.post(f"{API}{path}", body).data))
    told = [line for node in found.nodes for sub_task in node.sub_tasks for line in sub_task.logs]
    assert (found.state, found.operator) == (SUCCEED, "RUN"), told
    return found


def servers_below(home: Path) -> list[int]:
    """Every process of a database, wrapper included, whose base directory is below."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if "--base-dir" in words and any(word.startswith(str(home)) for word in words):
            found.append(one.pid)
    return found


def test_a_cloned_standby_is_scaled_in_without_a_trace_and_cloned_again(agents: tuple[Agent, Agent]) -> None:
    first, second = agents
    asked = client(first)
    where = {"ip": second.address.ip, "port": second.address.port}
    out = {
        "agentInfo": where,
        "zone": "zone2",
        "obConfigs": {**SMALL, "mysql_port": str(second.mysql_port), "rpc_port": str(second.database_rpc_port)},
    }
    master = {"ip": first.address.ip, "port": first.address.port}
    done(asked, "/agent/join", {"agentInfo": master, "zoneName": "zone1"})
    own = {**SMALL, "mysql_port": str(first.mysql_port), "rpc_port": str(first.database_rpc_port)}
    done(asked, "/observer/config", {"observerConfig": own, "restart": False, "scope": {"type": "GLOBAL", "target": []}})
    done(asked, "/obcluster/config", {"clusterId": 1, "clusterName": "test", "rootPwd": PASSWORD})
    done(asked, "/ob/init", {})
    done(asked, "/ob/scale_out", out)
    assert servers_below(second.home)

    removed = done(asked, "/ob/scale_in", {"agent_info": where, "force_kill": False})

    assert [node.name for node in removed.nodes] == PLAIN
    alone = client(second)
    assert alone.info()["identity"] == "SINGLE"
    assert servers_below(second.home) == []
    assert not (second.home / "seekdb").exists()
    assert servers_below(first.home)
    members = asked.get(f"{API}/ob/info").data["agent_info"]
    assert [each["port"] for each in members] == [first.address.port]

    done(asked, "/ob/scale_out", out)
    assert client(second).info()["identity"] == "CLUSTER AGENT"

    server = {"scope": {"type": "SERVER", "target": [str(second.address)]}}
    done(asked, "/ob/stop", server)
    assert servers_below(second.home) == []
    done(asked, "/ob/start", server)
    assert servers_below(second.home)

    # Everything, asked of the standby's agent: there is no primary in between, and no home of the cluster.
    other = client(second)
    frozen = done(other, "/ob/stop", {"scope": {"type": "GLOBAL", "target": []}, "terminate": True})
    assert "Minor freeze before stop server" in [node.name for node in frozen.nodes]
    assert servers_below(first.home) == servers_below(second.home) == []
    done(other, "/ob/start", {"scope": {"type": "GLOBAL", "target": []}})
    assert servers_below(first.home)
    assert servers_below(second.home)

    # Root's password is changed in SQL: it is the one that counts, and oboe itself goes on.
    socket = by_tcp("127.0.0.1", first.mysql_port, user="root", password=Secret(PASSWORD), timeout=5.0)
    with closing(socket), socket.cursor() as cursor:
        cursor.execute("ALTER USER root IDENTIFIED BY 'changed in SQL'")
    changed = AgentClient(first.address, settings=Settings.of({}, source="test"), password=Secret("changed in SQL"))
    assert eventually(lambda: changed.get(f"{API}/task/dag/maintain/ob").data["state"], BOUND) == SUCCEED
    with pytest.raises(AnswerError) as told:
        client(first).get(f"{API}/task/dag/maintain/ob")
    assert told.value.code == "Security.Authentication.IncorrectOceanbasePassword"
    done(changed, "/ob/scale_in", {"agent_info": where, "force_kill": True})
    assert servers_below(second.home) == []
