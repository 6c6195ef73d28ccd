"""*Start OB* and *Stop OB*, as a client sees them: names, order, lines; what runs afterwards; what is refused."""

from __future__ import annotations

from oboe.cli.dags import SUCCEED
from tests.lifecycle.cluster import everything, names, part, refused, runs, scope, status
from tests.spine.host import eventually
from tests.spine.world import World, lines

READY = ["Make sure all agents are ready", "Advance agents to execute the task", "Wait for all agents to execute tasks successfully"]
START = ["Inform all agents to start observer", *READY]
STOP = ["Inform all agents to prepare to stop observer", *READY]
END = "Inform all agents to end the task"


def test_a_standby_is_stopped_plainly_and_started(cluster: World) -> None:
    first, second = cluster.hosts[:2]

    stop = cluster.over(first, cluster.ask(first, "/ob/stop", scope(second)))

    assert names(stop) == [*STOP, "Execute stop sql", END], lines(stop)
    assert [len(node.sub_tasks) for node in stop.nodes] == [2, 1, 1, 2, 1, 1]
    assert not runs(second)
    assert runs(first)
    assert status(cluster, second) == "INACTIVE"
    held = part(cluster, first, stop, second)
    assert [node["name"] for node in held["nodes"]] == ["Start preparations", "Wait for task to end"]
    assert (held["name"], held["state"], held["additional_data"]["main_dag_id"]) == ("Stop observer", SUCCEED, stop.id)
    for line in (f"advance {second.address} to execute the task", "Stop observer", f"Stop {second.address}", "End all tasks"):
        assert line in lines(stop)

    start = cluster.over(second, cluster.ask(second, "/ob/start", scope(second)))

    assert names(start) == [*START, END], lines(start)
    assert runs(second)
    assert status(cluster, second) == "ACTIVE"
    held = part(cluster, first, start, second)
    assert [node["name"] for node in held["nodes"]] == [
        "Start preparations",
        "Check ob process and config",
        "Start observer",
        "Execute start observer sql",
        "Wait for task to end",
    ]
    bystander = part(cluster, first, start, first)
    assert [node["name"] for node in bystander["nodes"]] == ["Start preparations", "Wait for task to end"]
    assert "Start observer: not first start, skip require check" in lines(start)
    for host in (first, second):
        assert host.public("/api/v1/status")["underMaintenance"] is False


def test_a_stop_by_force_and_the_start_of_its_zone(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    stop = cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True)))
    assert names(stop) == [*STOP, END]
    assert not runs(second)
    assert "Stop observer: Successfully killed the observer process" in lines(stop)
    zone = {"scope": {"type": "ZONE", "target": ["zone2"]}}
    start = cluster.over(first, cluster.ask(first, "/ob/start", zone))
    assert names(start) == [*START, "Start Zone", END]
    assert {"start zone", "zone2 started"} <= set(lines(start))
    assert runs(second)


def test_everything_is_stopped_and_started_while_there_is_no_cluster_to_keep_it_in(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    stop = cluster.over(second, cluster.ask(second, "/ob/stop", everything(terminate=True)))
    assert names(stop) == [*STOP[:2], "Minor freeze before stop server", *STOP[2:], END], lines(stop)
    assert f"{second.address} is no primary, it is skipped" in lines(stop)
    assert not runs(first)
    assert not runs(second)

    start = cluster.over(second, cluster.ask(second, "/ob/start", everything()))

    assert names(start) == [*START, "Start Zone", END], lines(start)
    assert runs(first)
    assert runs(second)
    eventually(lambda: status(cluster, first) == status(cluster, second) == "ACTIVE")
    eventually(lambda: first.agent.engine.serves_cluster() or second.agent.engine.serves_cluster())


def test_what_may_not_be_stopped(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    assert refused(cluster, first, "/ob/stop", scope(second, force=True, terminate=True)) == (400, "OB.Cluster.StopModeConflict")
    assert refused(cluster, first, "/ob/stop", everything()) == (400, "OB.Cluster.ForceStopOrTerminateRequired")
    assert refused(cluster, first, "/ob/stop", scope(first)) == (400, "OB.Cluster.ForceStopOrTerminateRequired")
    assert refused(cluster, first, "/ob/stop", {"scope": {"type": "SERVER", "target": ["127.0.0.1:1"]}}) == (400, "Agent.NotExist")
    assert refused(cluster, first, "/ob/stop", {"scope": {"type": "ZONE", "target": ["zone9"]}}) == (400, "OB.Zone.NotExist")
    assert refused(cluster, first, "/ob/start", {"scope": {"type": "WORLD", "target": ["x"]}}) == (400, "OB.Cluster.Scope.Invalid")
    assert refused(cluster, first, "/ob/zone/zone1/stop/check", {}) == (400, "OB.Cluster.ForceStopOrTerminateRequired")
    assert refused(cluster, first, "/ob/scale_in", {"agent_info": {"ip": "127.0.0.1", "port": first.address.port}}) == (
        400,
        "OB.Server.DeleteSelf",
    )
    assert refused(cluster, second, "/ob/scale_in", {"agent_info": {"ip": "127.0.0.1", "port": first.address.port}}) == (
        400,
        "Common.IllegalArgument",
    )


def test_a_zone_is_checked_and_stopped(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    assert cluster.client(first).post("/api/v1/ob/zone/zone2/stop/check", {}).status == 200
    stop = cluster.over(first, cluster.ask(first, "/ob/zone/zone2/stop", {"freeze_server": True}))
    assert names(stop) == [*STOP[:2], "Execute stop sql", "Minor freeze before stop server", *STOP[2:], END], lines(stop)
    assert not runs(second)
    assert dict(cluster.store.rows("SELECT name, status FROM zone"))["zone2"] == "INACTIVE"
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", {"scope": {"type": "ZONE", "target": ["zone2"]}})))
    assert dict(cluster.store.rows("SELECT name, status FROM zone"))["zone2"] == "ACTIVE"
