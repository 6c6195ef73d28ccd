"""Scale in, as a client sees it: the cluster forgets the server, its agent is SINGLE with a clean home, and can join again."""

from __future__ import annotations

from typing import Any

import pytest

from oboe.cli.dags import FAILED, SUCCEED, read_dag
from oboe.cli.failure import AnswerError
from oboe.playbooks.cluster import scale_in
from tests.lifecycle.cluster import gone, leaves, names, runs
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines, shape

PLAIN = [
    "Delete observer",
    "Set agent to 'SCALING IN'",
    "Wait delete observer success",
    "Delete agent",
    "Try to inform to kill observer",
]
STEPS = {
    "Delete observer": scale_in.DeleteObserver,
    "Set agent to 'SCALING IN'": scale_in.SetScalingIn,
    "Check multi paxos member alive": scale_in.CheckAlive,
    "Wait delete observer success": scale_in.WaitDeleted,
    "Try to inform to kill observer": scale_in.InformKill,
    "Delete agent": scale_in.DeleteAgent,
}
FORCED = [
    "Delete observer",
    "Set agent to 'SCALING IN'",
    "Check multi paxos member alive",
    "Try to inform to kill observer",
    "Wait delete observer success",
    "Delete agent",
]


def test_a_standby_is_scaled_in_and_its_agent_scaled_out_again(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    server = cluster.store.rows(f"SELECT ip, rpc_port FROM server WHERE agent_port = {joiner.address.port}")[0]

    dag = cluster.over(first, cluster.ask(second, "/ob/scale_in", leaves(joiner)))

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

    assert cluster.client(second).post("/api/v1/ob/scale_in", leaves(joiner)).status == 204
    cluster.good(cluster.over(first, cluster.scale_out(second, joiner)))
    assert joiner.identity == "CLUSTER AGENT"


def test_a_cancel_stops_what_the_agent_does_for_it_and_a_retry_ends_it(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    joiner.troubles.hold("stop")
    try:
        dag = cluster.at(first, cluster.ask(first, "/ob/scale_in", leaves(joiner)), PLAIN[-1])
        eventually(lambda: _killing(cluster, joiner))
        dag = cluster.operate(first, dag, "CANCEL")
        assert dag.state == FAILED
        eventually(lambda: not _killing(cluster, joiner))
    finally:
        joiner.troubles.release("stop")
    cluster.good(cluster.operate(first, dag, "RETRY"))
    gone(cluster, joiner)


def _killing(world: World, host: Host) -> bool:
    newest = world.get(host, "/task/dag/maintain/agent")
    return newest["name"] == "Kill observer" and newest["state"] == "RUNNING"


def test_by_force_the_database_ends_before_its_row_goes(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    dag = cluster.over(first, cluster.ask(first, "/ob/scale_in", leaves(joiner, force=True)))
    assert shape(dag) == [(name, SUCCEED, "RUN", [1]) for name in FORCED], lines(dag)
    gone(cluster, joiner)
    assert cluster.get(joiner, "/task/dag/maintain/agent")["name"] == "Kill observer"
    assert runs(first)
    assert runs(second)


@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_a_scale_in_that_fails_at_any_node_is_retried(cluster: World, joiner: Host, force: bool) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    dag = None
    for at in FORCED if force else PLAIN:
        with planted(STEPS[at]):
            if dag is None:
                dag = cluster.ask(second, "/ob/scale_in", leaves(joiner, force=force))
            else:
                cluster.operator(first, dag, "RETRY")
            dag = cluster.failed(first, dag, at=at, why=PLANTED)
    assert dag is not None
    cluster.good(cluster.operate(second, dag, "RETRY"))
    gone(cluster, joiner)


@pytest.mark.parametrize(
    ("force", "at"), [(False, at) for at in PLAIN[:3]] + [(True, at) for at in FORCED[:5]], ids=lambda value: str(value)
)
def test_a_scale_in_that_fails_before_the_agent_is_deleted_is_undone(cluster: World, joiner: Host, force: bool, at: str) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    before = cluster.store.rows("SELECT * FROM server")
    with planted(STEPS[at]):
        dag = cluster.failed(first, cluster.ask(second, "/ob/scale_in", leaves(joiner, force=force)), at=at, why=PLANTED)
    cluster.undone(cluster.operate(first, dag, "ROLLBACK"))
    assert joiner.identity == "CLUSTER AGENT"
    assert runs(joiner)
    assert cluster.store.rows("SELECT * FROM server") == before
    assert cluster.whole()
    cluster.good(cluster.over(first, cluster.ask(second, "/ob/scale_in", leaves(joiner))))
    gone(cluster, joiner)


def test_an_agent_that_maintains_the_cluster_can_be_scaled_in(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    for host in (first, second):
        host.agent.engine.leave_lease()
        host.agent.engine.unserve_cluster()
    eventually(lambda: joiner.agent.engine.serves_cluster())
    for host in (first, second):
        host.agent._cluster.stop()
        host.agent._cluster.follow()
    dag = cluster.ask(first, "/ob/scale_in", leaves(joiner))
    cluster.good(cluster.over(first, dag))
    gone(cluster, joiner)


def test_a_dead_agent_is_left_behind_and_cleans_up_when_it_is_back(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    joiner.end()
    dag = cluster.good(cluster.over(first, cluster.ask(second, "/ob/scale_in", leaves(joiner))))
    assert any("does not answer" in line for line in lines(dag))
    assert joiner.address.port not in cluster.members() | cluster.servers()
    joiner.begin()
    assert joiner.identity == "CLUSTER AGENT"
    made = cluster.ask(joiner, "/ob/scale_in", leaves(joiner))
    assert made.name == "Kill observer"
    eventually(lambda: joiner.identity == "SINGLE")
    eventually(lambda: joiner.public("/api/v1/status")["underMaintenance"] is False)
    gone(cluster, joiner)


def test_a_zone_is_deleted_with_its_servers_and_once(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner, zone="zone4")))
    assert _delete(cluster, joiner, "zone4") == (400, "OB.Zone.DeleteSelf")
    assert _delete(cluster, second, "zone1") == (400, "OB.Zone.NotEmpty")

    dag = cluster.over(first, _deleted(cluster, second, "zone4"))

    assert names(dag) == [
        "Set agent to 'SCALING IN'",
        "Stop zone zone4",
        "Delete observer",
        "Wait delete observer success",
        "Delete zone zone4",
        "Delete agent",
        "Try to inform to kill observers",
    ], lines(dag)
    gone(cluster, joiner)
    assert "zone4" not in dict(cluster.store.rows("SELECT name, status FROM zone"))
    assert _deleted(cluster, first, "zone4") is None


def test_an_empty_zone_is_deleted(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner, zone="zone5")))
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/scale_in", leaves(joiner))))
    dag = cluster.over(first, _deleted(cluster, first, "zone5"))
    assert names(dag) == ["Stop zone zone5", "Delete zone zone5"]
    assert lines(dag) == ["stop zone zone5", "wait for zone5 to be inactive"]


def _delete(world: World, host: Host, zone: str) -> tuple[int, str]:
    with pytest.raises(AnswerError) as told:
        world.client(host).request("DELETE", f"/api/v1/zone/{zone}")
    return told.value.status, told.value.code


def _deleted(world: World, host: Host, zone: str) -> Any:
    made = world.client(host).request("DELETE", f"/api/v1/zone/{zone}").data
    return None if made is None else read_dag(made)
