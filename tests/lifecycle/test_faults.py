"""What fails outside: a call of the database is refused once. The node that fails, what its log says, and each way on to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from oboe.cli.dags import FAILED, DagShown
from oboe.kit.step import Step
from oboe.playbooks.agent import together
from oboe.playbooks.cluster import stop
from tests.lifecycle.cluster import everything, gone, leaves, refused, runs, scope, status
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines, shape

WAIT = "Wait for all agents to execute tasks successfully"
TOLD = "it was told to fail"


@dataclass(frozen=True)
class Fault:
    """``call`` fails once on the first or second host, in an operation of the second: FAILED at ``node``, with ``code`` and ``says``."""

    path: str
    body: dict[str, Any]
    call: str
    node: str
    says: str
    on: int = 1
    code: str = "child.failed"
    ways: tuple[str, ...] = ("RETRY",)
    refused: dict[str, str] = field(default_factory=dict)
    everywhere: bool = False


NO_UNDO = {"ROLLBACK": "Task.Dag.Operator.RollbackNotAllowed"}
FAULTS = {
    "a plain stop": Fault("/ob/stop", {}, "stop", "Execute stop sql", "did not stop", refused=NO_UNDO),
    "a stop by force": Fault("/ob/stop", {"force": True}, "stop", WAIT, "Stop observer failed on", refused=NO_UNDO),
    "a start": Fault("/ob/start", {}, "start", WAIT, "Start observer failed on", refused=NO_UNDO),
    "a checkpoint": Fault(
        "/ob/stop",
        {"terminate": True},
        "minor_freeze",
        "Minor freeze before stop server",
        TOLD,
        on=0,
        code="fake.failed",
        ways=("RETRY", "PASS"),
        everywhere=True,
    ),
    "a checkpoint's place": Fault(
        "/ob/stop",
        {"terminate": True},
        "checkpoint_scn",
        "Minor freeze before stop server",
        TOLD,
        on=0,
        code="fake.failed",
        everywhere=True,
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_database_that_refuses(cluster: World, fault: Fault) -> None:
    first, second = cluster.hosts[:2]
    for way in fault.ways:
        if fault.path == "/ob/start":
            cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True))))
        cluster.hosts[fault.on].troubles.fail(fault.call)
        body = everything(**fault.body) if fault.everywhere else scope(second, **fault.body)
        dag = cluster.failed(first, cluster.ask(first, fault.path, body), at=fault.node, why=fault.says)
        told = [line for line in lines(dag) if line.startswith("ERROR")]
        assert len(told) == 1, told
        assert told[0].startswith(f"ERROR: [{fault.code}]: "), told
        assert TOLD in told[0], told
        for operator, code in fault.refused.items():
            assert refused(cluster, first, f"/task/dag/{dag.id}", {"operator": operator}) == (400, code)
        _carried_on(cluster, first, dag, way)
        started = fault.path == "/ob/start"
        eventually(lambda started=started: runs(second) is started)
        cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", everything())))
        eventually(lambda: status(cluster, second) == "ACTIVE")


def _carried_on(world: World, asked: Host, dag: DagShown, way: str) -> None:
    """PASS is of the node: its dag goes on."""
    if way == "PASS":
        broken = next(node for node in dag.nodes if node.state == FAILED)
        world.client(asked).post(f"/api/v1/task/node/{broken.id}", {"operator": "PASS"})
    else:
        world.operator(asked, dag, way)
    world.good(world.over(asked, dag))
    for host in world.hosts:
        eventually(lambda host=host: host.public("/api/v1/status")["underMaintenance"] is False)


PARTS: list[tuple[type[Step], dict[str, Any], str]] = [
    (together.StartPreparations, {"force": True}, ""),
    (together.StopObserver, {"force": True}, "Stop observer failed on"),
    (together.WaitForEnd, {}, ""),
    (stop.MinorFreeze, {"terminate": True}, ""),
]


@pytest.mark.parametrize(("step", "more", "says"), PARTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_stop_whose_part_fails_when_its_work_is_done_is_retried(
    cluster: World, step: type[Step], more: dict[str, Any], says: str
) -> None:
    first, second = cluster.hosts[:2]
    body = everything(**more) if step is stop.MinorFreeze else scope(second, **more)
    with planted(step, when=lambda run: step is stop.MinorFreeze or run.here == second.address):
        dag = cluster.over(first, cluster.ask(first, "/ob/stop", body))
    if dag.state == FAILED:
        assert any(PLANTED in line and says in line for line in lines(dag)), lines(dag)
        _carried_on(cluster, first, dag, "RETRY")
    else:
        assert step is together.WaitForEnd, "only what comes after the work may fail unnoticed"
    assert not runs(second)
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", everything())))
    for host in (first, second):
        eventually(lambda host=host: host.public("/api/v1/status")["underMaintenance"] is False)


LEAVING = [
    (False, "stop", "Kill observer failed on", "RETRY"),
    (False, "destroy", "Kill observer failed on", "RETRY"),
    (True, "stop", "Kill observer failed on", "ROLLBACK"),
    (True, "destroy", "Kill observer failed on", "RETRY"),
]


@pytest.mark.parametrize(("force", "call", "says", "way"), LEAVING, ids=lambda value: str(value).replace(" ", "-"))
def test_a_leaver_whose_database_refuses(cluster: World, joiner: Host, force: bool, call: str, says: str, way: str) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    joiner.troubles.fail(call)
    dag = cluster.failed(first, cluster.ask(first, "/ob/scale_in", leaves(joiner, force=force)), why=says)
    assert any(TOLD in line for line in lines(dag)), lines(dag)
    if way == "RETRY":
        cluster.good(cluster.operate(first, dag, way))
        gone(cluster, joiner)
        return
    joiner.troubles.fail("start")
    joiner.database(running=False)
    dag = cluster.failed(first, cluster.operate(first, dag, way), why="Start observer for scale in rollback failed on")
    cluster.undone(cluster.operate(first, dag, way))
    assert runs(joiner), shape(dag)
    assert cluster.whole()
