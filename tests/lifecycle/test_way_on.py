"""Every FAILED dag has a way on: each node is made to fail, and every operator that the dag then offers is taken to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from oboe.cli.dags import SUCCEED, DagShown, read_dag
from oboe.cli.failure import AnswerError
from oboe.control.port import Caller
from oboe.domain.values import Identity
from oboe.kit.step import Step
from oboe.playbooks.agent import join, kill_observer, local_observer, remove, together
from oboe.playbooks.cluster import config, delete_zone, init, scale_in, start
from tests.lifecycle.cluster import gone, leaves, runs, scope
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines, shape

OPERATORS = ("RETRY", "ROLLBACK", "PASS")


def offered(world: World, host: Host, dag: DagShown, operator: str, node: int | None = None) -> DagShown | None:
    """The dag at the end of that operator, which must have ended as such and hold nothing; None: it is refused as not allowed."""
    path = f"/api/v1/task/dag/{dag.id}" if node is None else f"/api/v1/task/node/{dag.nodes[node].id}"
    try:
        world.client(host).post(path, {"operator": operator})
    except AnswerError as told:
        if told.status == 400 and told.code.endswith("NotAllowed"):
            return None
        raise
    ended = world.over(host, dag)
    shown = "RUN" if operator == "RETRY" or node is not None else operator
    assert (ended.state, ended.operator) == (SUCCEED, shown), (shape(ended), lines(ended))
    eventually(lambda: host.public("/api/v1/status")["underMaintenance"] is False)
    return ended


# Before there is a cluster


def _master(world: World) -> Host:
    host = world.host()
    world.do(host, "/agent/join", _joins(host, "zone1"))
    return host


def _joins(master: Host, zone: str) -> dict[str, Any]:
    return {"agentInfo": {"ip": master.address.ip, "port": master.address.port}, "zoneName": zone}


def _follower(world: World, master: Host) -> Host:
    host = world.host()
    world.do(host, "/agent/join", _joins(master, "zone2"))
    return host


def _join_self(world: World) -> tuple[Host, str, dict[str, Any]]:
    host = world.host()
    return host, "/agent/join", _joins(host, "zone1")


def _join_master(world: World) -> tuple[Host, str, dict[str, Any]]:
    return world.host(), "/agent/join", _joins(_master(world), "zone2")


def _observer_config(world: World) -> tuple[Host, str, dict[str, Any]]:
    body = {"observerConfig": {"memory_limit": "2G"}, "restart": False, "scope": {"type": "GLOBAL", "target": []}}
    return _master(world), "/observer/config", body


def _cluster_config(world: World) -> tuple[Host, str, dict[str, Any]]:
    return _master(world), "/obcluster/config", {"clusterId": 3, "clusterName": "three"}


def _remove(world: World) -> tuple[Host, str, dict[str, Any]]:
    master = _master(world)
    follower = _follower(world, master)
    return master, "/agent/remove", {"ip": follower.address.ip, "port": follower.address.port}


def _remove_all(world: World) -> tuple[Host, str, dict[str, Any]]:
    master = _master(world)
    _follower(world, master)
    return master, "/agent/remove", {"ip": master.address.ip, "port": master.address.port}


ALONE: list[tuple[Callable[[World], tuple[Host, str, dict[str, Any]]], type[Step], set[str]]] = [
    (_join_self, join.BecomeMaster, {"RETRY", "ROLLBACK"}),
    (_join_master, join.AskMaster, {"RETRY", "ROLLBACK"}),
    (_join_master, join.BecomeFollower, {"RETRY", "ROLLBACK"}),
    (_observer_config, config.KeepObserverConfig, {"RETRY", "ROLLBACK"}),
    (_cluster_config, config.KeepClusterConfig, {"RETRY", "ROLLBACK"}),
    (_remove, remove.RemoveFollower, {"RETRY", "PASS"}),
    (_remove, remove.ToSingle, {"RETRY", "PASS"}),
    (_remove, remove.ForgetFollower, {"RETRY", "PASS"}),
    (_remove_all, remove.RemoveFollower, {"RETRY", "PASS"}),
    (_remove_all, remove.RemoveMaster, {"RETRY", "PASS"}),
]


@pytest.mark.parametrize(("make", "step", "expected"), ALONE, ids=[f"{make.__name__[1:]}-{step.__name__}" for make, step, _ in ALONE])
def test_before_there_is_a_cluster(
    world: World, make: Callable[[World], tuple[Host, str, dict[str, Any]]], step: type[Step], expected: set[str]
) -> None:
    found = set()
    for operator in OPERATORS:
        host, path, body = make(world)
        with planted(step):
            dag = world.failed(host, world.ask(host, path, body), why=PLANTED)
        if offered(world, host, dag, operator) is not None:
            found.add(operator)
            eventually(lambda: not any(each.public("/api/v1/status")["underMaintenance"] for each in world.hosts))
        world.end_hosts()
        world.hosts.clear()
    assert found == expected


# The cluster's life

ZONE = {
    "SetScalingIn": delete_zone.SetScalingIn,
    "StopZone": delete_zone.StopZone,
    "DeleteObserver": delete_zone.DeleteObserver,
    "WaitDeleted": delete_zone.WaitDeleted,
    "DeleteZone": delete_zone.DeleteZone,
    "DeleteAgents": delete_zone.DeleteAgents,
    "InformKill": delete_zone.InformKill,
}
UNDONE = ("SetScalingIn", "StopZone", "DeleteObserver", "WaitDeleted")
"""Beyond these something was removed that nobody makes again."""


def _deleted(world: World, host: Host, zone: str) -> DagShown:
    return read_dag(world.client(host).request("DELETE", f"/api/v1/zone/{zone}").data)


def test_delete_zone_is_undone_or_retried_at_each_node(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner, zone="zone7")))
    for name in UNDONE:
        with planted(ZONE[name]):
            dag = cluster.failed(first, _deleted(cluster, first, "zone7"), why=PLANTED)
        assert offered(cluster, first, dag, "ROLLBACK") is not None
        assert joiner.identity == "CLUSTER AGENT"
        assert cluster.whole()
    dag = None
    with ExitStack() as plants:
        for step in ZONE.values():
            plants.enter_context(planted(step, times=1))
        dag = cluster.over(first, _deleted(cluster, first, "zone7"))
        for at, name in enumerate(ZONE):
            assert dag.state == "FAILED", (name, shape(dag))
            assert PLANTED in str(lines(dag))
            if name not in UNDONE:
                assert offered(cluster, first, dag, "ROLLBACK") is None
            cluster.operator(first, dag, "RETRY")
            dag = cluster.over(first, dag)
            assert dag.nodes[at].state == SUCCEED
    cluster.good(dag)
    gone(cluster, joiner)


@pytest.mark.parametrize("name", ["SetScalingIn", "WaitDeleted", "InformKill"])
def test_a_delete_zone_that_is_passed_is_over_and_can_be_asked_again(cluster: World, joiner: Host, name: str) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner, zone="zone8")))
    with planted(ZONE[name]):
        dag = cluster.failed(first, _deleted(cluster, first, "zone8"), why=PLANTED)
    assert offered(cluster, first, dag, "PASS") is not None
    assert not cluster.store.rows("SELECT * FROM maintenance_lock")
    if name != "InformKill":
        cluster.good(cluster.over(first, _deleted(cluster, first, "zone8")))
    gone(cluster, joiner)


SCALE_IN = [scale_in.DeleteObserver, scale_in.SetScalingIn, scale_in.WaitDeleted, scale_in.DeleteAgent, scale_in.InformKill]


@pytest.mark.parametrize("step", SCALE_IN, ids=lambda step: step.__name__)
def test_a_scale_in_that_is_passed_at_a_node_goes_on_with_the_next(cluster: World, joiner: Host, step: type[Step]) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    with planted(step):
        dag = cluster.failed(first, cluster.ask(first, "/ob/scale_in", leaves(joiner)), why=PLANTED)
    assert offered(cluster, first, dag, "PASS", node=SCALE_IN.index(step)) is not None
    gone(cluster, joiner)


START: list[type[Step]] = [
    start.InformStart,
    start.MakeSureStart,
    start.AdvanceStart,
    together.StartPreparations,
    together.CheckProcess,
    together.StartObserver,
    together.ExecuteStart,
    start.WaitStart,
    start.StartZone,
    together.WaitForEnd,
    start.EndStart,
]


@pytest.mark.parametrize("step", START, ids=lambda step: step.__name__)
def test_a_start_that_fails_at_any_node_of_its_own_or_of_its_parts_is_retried(cluster: World, step: type[Step]) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True))))
    zone = {"scope": {"type": "ZONE", "target": ["zone2"]}}
    with planted(step, when=lambda run: step is not together.WaitForEnd or run.here == second.address):
        dag = cluster.over(first, cluster.ask(first, "/ob/start", zone))
    if dag.state == "FAILED":
        assert offered(cluster, first, dag, "RETRY") is not None
    else:
        assert step is together.WaitForEnd, "only what comes after the work may fail unnoticed"
    for host in (first, second):
        eventually(lambda host=host: host.public("/api/v1/status")["underMaintenance"] is False)
    assert runs(second)


LOCAL: list[tuple[type[Step], set[str]]] = [
    (together.CheckProcess, {"RETRY", "PASS"}),
    (local_observer.StartLocal, {"RETRY", "PASS"}),
    (local_observer.GetConnection, {"RETRY", "PASS"}),
]


@pytest.mark.parametrize(("step", "expected"), LOCAL, ids=lambda value: getattr(value, "__name__", ""))
def test_an_emergency_start_that_fails_is_retried_or_passed(cluster: World, joiner: Host, step: type[Step], expected: set[str]) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    joiner.agent.local.become(Identity.SCALING_IN)
    life = joiner.agent.control.life
    found = set()
    for operator in OPERATORS:
        with planted(step):
            made = life.start("SERVER", [str(joiner.address)], emergency=True, caller=Caller("admin"))
            dag = cluster.failed(joiner, f"22130706433{joiner.address.port:05}{made.id}", why=PLANTED)  # type: ignore[arg-type, union-attr]
        if offered(cluster, joiner, dag, operator) is not None:
            found.add(operator)
    assert found == expected
    joiner.agent.local.become(Identity.CLUSTER_AGENT)


def test_a_kill_that_fails_is_retried_with_its_leader(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    with planted(kill_observer.KillObserver):
        dag = cluster.failed(first, cluster.ask(first, "/ob/scale_in", leaves(joiner)), why=PLANTED)
    eventually(lambda: joiner.public("/api/v1/status")["underMaintenance"] is False)
    assert offered(cluster, first, dag, "RETRY") is not None
    gone(cluster, joiner)


@pytest.mark.parametrize(
    ("step", "node"), [(init.StartObservers, 2), (init.ImportScript, 11)], ids=lambda value: getattr(value, "__name__", "")
)
def test_an_init_is_passed_at_a_node_that_may_be(world: World, step: type[Step], node: int) -> None:
    master = world.host()
    world.gather(master)
    with planted(step):
        dag = world.failed(master, world.ask(master, "/ob/init", {"create_proxyro_user": True, "import_script": True}), why=PLANTED)
    assert dag.nodes[node].state == "FAILED"
    assert offered(world, master, dag, "PASS") is None
    assert offered(world, master, dag, "PASS", node=node) is not None
    assert world.whole()
