"""*Start OB* and *Stop OB*, as a client sees them: names, order, lines; what runs afterwards; what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest

from oboe.cli.dags import SUCCEED
from oboe.control.port import Caller
from oboe.domain.errors import Refused, Unreachable
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.kit.run import Child, Run
from oboe.kit.step import Step
from oboe.playbooks import gathering
from oboe.playbooks.cluster import stop
from oboe.playbooks.gathering import GatheringParams
from tests.lifecycle.cluster import everything, leaves, names, part, refused, runs, scope, status
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines

READY = ["Make sure all agents are ready", "Advance agents to execute the task", "Wait for all agents to execute tasks successfully"]
START = ["Inform all agents to start observer", *READY]
STOP = ["Inform all agents to prepare to stop observer", *READY]
END = "Inform all agents to end the task"


def test_a_standby_is_stopped_plainly_and_started(cluster: World) -> None:
    first, second = cluster.hosts[:2]

    halt = cluster.over(first, cluster.ask(first, "/ob/stop", scope(second)))

    assert names(halt) == [*STOP, "Execute stop sql", END], lines(halt)
    assert [len(node.sub_tasks) for node in halt.nodes] == [2, 1, 1, 2, 1, 1]
    assert not runs(second)
    assert runs(first)
    assert status(cluster, second) == "INACTIVE"
    held = part(cluster, first, halt, second)
    assert [node["name"] for node in held["nodes"]] == ["Start preparations", "Wait for task to end"]
    assert (held["name"], held["state"], held["additional_data"]["main_dag_id"]) == ("Stop observer", SUCCEED, halt.id)
    for line in (f"advance {second.address} to execute the task", "Stop observer", f"Stop {second.address}", "End all tasks"):
        assert line in lines(halt)

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
    halt = cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True)))
    assert names(halt) == [*STOP, END]
    assert not runs(second)
    assert "Stop observer: Successfully killed the observer process" in lines(halt)
    zone = {"scope": {"type": "ZONE", "target": ["zone2"]}}
    start = cluster.over(first, cluster.ask(first, "/ob/start", zone))
    assert names(start) == [*START, "Start Zone", END]
    assert {"start zone", "zone2 started"} <= set(lines(start))
    assert runs(second)


def test_everything_is_stopped_and_started_while_there_is_no_cluster_to_keep_it_in(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    halt = cluster.over(second, cluster.ask(second, "/ob/stop", everything(terminate=True)))
    assert names(halt) == [*STOP[:2], "Minor freeze before stop server", *STOP[2:], END], lines(halt)
    assert f"{second.address} is no primary, it is skipped" in lines(halt)
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
    halt = cluster.over(first, cluster.ask(first, "/ob/zone/zone2/stop", {"freeze_server": True}))
    assert names(halt) == [*STOP[:2], "Execute stop sql", "Minor freeze before stop server", *STOP[2:], END], lines(halt)
    assert not runs(second)
    assert dict(cluster.store.rows("SELECT name, status FROM zone"))["zone2"] == "INACTIVE"
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", {"scope": {"type": "ZONE", "target": ["zone2"]}})))
    assert dict(cluster.store.rows("SELECT name, status FROM zone"))["zone2"] == "ACTIVE"


def test_a_standby_whose_redo_is_gone_says_so_names_the_way_on_and_the_way_is_open(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(joiner, force=True))))
    joiner.troubles.fail("start", code="database.redo_recycled", text="its primary has recycled the redo it needs")

    start = cluster.failed(first, cluster.ask(first, "/ob/start", scope(joiner)), at=READY[-1], why="recycled the redo")

    assert any(f"oboe cluster rebuild {joiner.address}" in line for line in lines(start)), lines(start)
    for host in (first, joiner):
        eventually(lambda host=host: host.public("/api/v1/status")["underMaintenance"] is False)
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/scale_in", leaves(joiner))))
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    assert runs(joiner)


def test_a_start_that_fails_is_retried(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True))))
    second.troubles.fail("start")
    start = cluster.failed(first, cluster.ask(first, "/ob/start", scope(second)), at=READY[-1])
    cluster.good(cluster.operate(second, start, "RETRY"))
    assert runs(second)
    assert status(cluster, second) == "ACTIVE"


@pytest.mark.parametrize("step", [stop.InformStop, stop.MakeSureStop, stop.AdvanceStop, stop.WaitStop, stop.ExecuteStop, stop.EndStop])
def test_a_stop_that_fails_at_any_node_is_retried(cluster: World, step: type[Step]) -> None:
    first, second = cluster.hosts[:2]
    with planted(step):
        dag = cluster.failed(first, cluster.ask(first, "/ob/stop", scope(second)), why=PLANTED)
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert not runs(second)
    for host in (first, second):
        assert host.public("/api/v1/status")["underMaintenance"] is False
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", scope(second))))


def test_what_an_earlier_dag_still_holds_is_let_go_when_that_is_asked(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    with planted(stop.ExecuteStop, times=1):
        held = cluster.failed(first, cluster.ask(first, "/ob/stop", scope(second)), why=PLANTED)
    again = cluster.failed(first, cluster.ask(first, "/ob/start", scope(second)), at="Inform all agents to start observer")
    assert "under maintenance" in " ".join(lines(again)) or "maintenance" in " ".join(lines(again))
    start = cluster.ask(second, "/ob/start", scope(second, forcePassDag={"id": [held.id]}))
    cluster.good(cluster.over(first, start))
    assert runs(second)
    for host in (first, second):
        assert host.public("/api/v1/status")["underMaintenance"] is False


def test_a_target_that_cannot_be_held_leaves_nobody_else_held_and_is_named(cluster: World) -> None:
    """Here a part of another operation holds it; so it is with one that is away."""
    first, second = cluster.hosts[:2]
    with planted(stop.ExecuteStop, times=1):
        other = cluster.failed(second, cluster.ask(second, "/ob/stop", scope(second)), why=PLANTED)
    dag = cluster.failed(first, cluster.ask(first, "/ob/start", scope(second)), at="Inform all agents to start observer")
    assert any(f"it is part of {other.id}" in line and f"--force-pass {other.id}" in line for line in lines(dag)), lines(dag)
    eventually(lambda: all(_kept_by(host) <= {"Stop observer"} for host in (first, second)))
    cluster.good(cluster.operate(second, other, "RETRY"))
    assert not runs(second)
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert runs(second)
    for host in (first, second):
        assert host.public("/api/v1/status")["underMaintenance"] is False


def test_what_was_let_go_before_the_word_is_made_anew_when_it_is_asked_again(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    with planted_refusal(joiner):
        dag = cluster.failed(first, cluster.ask(first, "/ob/stop", scope(joiner)), at=STOP[0])
    eventually(lambda: not any(_kept_by(host) for host in cluster.hosts))
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert not runs(joiner)
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", scope(joiner))))


@contextmanager
def planted_refusal(host: Host) -> Iterator[None]:
    """That agent takes no part for a while."""
    make = gathering.make_child

    def refuse(run: Run, agent: Address, playbook: str, params: GatheringParams) -> Child:
        if agent == host.address:
            raise Unreachable("agent.unreachable", "it is away")
        return make(run, agent, playbook, params)

    with mock.patch.object(gathering, "make_child", refuse):
        yield


def _kept_by(host: Host) -> set[str]:
    """What still holds an agent."""
    return {view.dag.name for view in host.agent.control.unfinished_agent(details=False) if view.dag.leader is not None}


def test_a_bystander_that_is_dead_hinders_nobody(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    joiner.end()
    dag = cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True))))
    assert any("does not answer; it is left out" in line for line in lines(dag))
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", scope(second))))
    joiner.begin()


def test_an_agent_that_is_no_working_member_starts_and_stops_its_own_database_in_an_emergency(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    life, caller = joiner.agent.control.life, Caller("admin")
    joiner.agent.local.become(Identity.SCALING_IN)
    target = [str(joiner.address)]
    with pytest.raises(Refused) as refusal:
        life.stop("SERVER", target, force=True, caller=caller)
    assert refusal.value.code == "agent.wrong_identity"

    made = life.stop("SERVER", target, force=True, emergency=True, caller=caller)
    assert isinstance(made, Dag)
    assert made.name == "Stop local observer"
    eventually(lambda: not runs(joiner))
    made = life.start("SERVER", target, emergency=True, caller=caller)
    assert isinstance(made, Dag)
    assert [node.name for node in made.plan.nodes] == ["Check ob process and config", "Start observer", "Get connection of observer"]
    eventually(lambda: runs(joiner))
    joiner.agent.local.become(Identity.CLUSTER_AGENT)
