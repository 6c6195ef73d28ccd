"""Scale in, as a client sees it: the cluster forgets the server, its agent is SINGLE with a clean home, and can join again."""

from __future__ import annotations

from oboe.cli.dags import SUCCEED
from tests.spine.host import Host, eventually
from tests.spine.world import World, lines, shape

PLAIN = [
    "Delete observer",
    "Set agent to 'SCALING IN'",
    "Wait delete observer success",
    "Delete agent",
    "Try to inform to kill observer",
]
FORCED = [
    "Delete observer",
    "Set agent to 'SCALING IN'",
    "Check multi paxos member alive",
    "Try to inform to kill observer",
    "Wait delete observer success",
    "Delete agent",
]


def body(host: Host, *, force: bool = False) -> dict[str, object]:
    return {"agent_info": {"ip": host.address.ip, "port": host.address.port}, "force_kill": force}


def gone(world: World, host: Host) -> None:
    """It is SINGLE, its home is clean, and the cluster knows nothing of it."""
    assert host.identity == "SINGLE"
    local = host.agent.local
    assert (local.members(), local.instance(), local.zone(), local.cluster_id()) == ([], None, "", 0)
    assert [name for name in ("cluster_key", "authority_key", "root_password", "store_password") if local.secret(name)] == []
    assert not host.base.exists()
    assert host.public("/api/v1/status")["underMaintenance"] is False
    port = host.address.port
    assert port not in world.members() | world.servers()
    assert not world.store.rows("SELECT * FROM maintenance_lock")


def test_a_standby_is_scaled_in_and_its_agent_scaled_out_again(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    server = cluster.store.rows(f"SELECT ip, rpc_port FROM server WHERE agent_port = {joiner.address.port}")[0]

    dag = cluster.over(first, cluster.ask(second, "/ob/scale_in", body(joiner)))

    assert shape(dag) == [(name, SUCCEED, "RUN", [1]) for name in PLAIN], lines(dag)
    name = f"{server[0]}:{server[1]}"
    assert lines(dag) == [
        "change agent identity to 'SCALING IN' success",
        f"observer '{name}' is already not in cluster.",
        f"observer '{name}' has been deleted successfully",
        "delete agents success",
        f"agent {joiner.address} ob state: 3",
    ]
    gone(cluster, joiner)
    eventually(lambda: all(member.address != joiner.address for host in (first, second) for member in host.agent.local.members()))
    killed = cluster.get(joiner, "/task/dag/maintain/agent")
    assert (killed["name"], killed["state"]) == ("Kill observer", SUCCEED)

    assert cluster.client(second).post("/api/v1/ob/scale_in", body(joiner)).status == 204
    cluster.good(cluster.over(first, cluster.scale_out(second, joiner)))
    assert joiner.identity == "CLUSTER AGENT"
