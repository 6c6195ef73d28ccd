"""Agents that are killed while an init or a scale-out is undone or retried, when a step's work is done and nobody knows: nothing is left.

``make kills`` does it at every node; the suite only where something outside the agent was changed (marked ``*``).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oboe.cli.dags import FAILED, DagShown
from tests.spine.host import Host, eventually
from tests.spine.test_killed_everywhere import EVERYWHERE, INIT, JOINER, killed_at, meant
from tests.spine.world import PASSWORD, World, lines, shape

everywhere = pytest.mark.skipif(not EVERYWHERE, reason="make kills")

BODY = {"create_proxyro_user": True, "proxyro_password": f"{PASSWORD} of proxyro", "import_script": True}
INIT_UNDONE = (
    "ImportScript.undo",
    "ConvertMaster.undo",
    "SynchronizeAll.undo",
    "ConvertFollowers.undo *",
    "MigrateData.undo",
    "CreateUser.undo",
    "ModifyPassword.undo *",
    "MigrateTable.undo *",
    "Bootstrap.undo",
    "StartObservers.undo",
    "CreateWorkdirs.undo *",
    "IntegrateConfig.undo",
)
FOLLOWER_UNDONE = ("StopObserver", "DestroyWorkdir *")
OUT_UNDONE = (
    "CheckFinished.undo",
    "AddAgent.undo *",
    "AddServer.undo",
    "PreviousCheck.undo",
    "WaitStart.undo",
    "WaitDeploy.undo",
    "WaitReady.undo",
    "CreateTwin.undo *",
    "IntegrateServerConfig.undo *",
)
TWIN_UNDONE = (
    "WatchCluster.undo",
    "StartClone.undo",
    "PrepareStart.undo",
    "Deploy.undo *",
    "PrepareDeploy.undo",
    "BeScalingAgent.undo *",
)
LED_AWAY = ("DestroyWorkdir", "ToSingle")
"""What undoes a joining agent whose own dag has ended well."""


def from_(steps: tuple[str, ...], first: str) -> tuple[str, ...]:
    """What is left of them when the undo begins at that one."""
    return steps[[each.removesuffix(" *") for each in steps].index(first) :]


@pytest.mark.parametrize("together", [False, pytest.param(True, marks=everywhere)], ids=["one", "both"])
def test_the_undo_of_an_init(world: World, together: bool) -> None:
    master, follower = world.host(apart=True), world.host(apart=True)
    world.gather(master, follower)
    master.plant("ImportScript")
    init = world.failed(master, world.ask(master, "/ob/init", BODY), at="Import script for tenant")
    ours, theirs = meant(INIT_UNDONE), meant(FOLLOWER_UNDONE)
    master.gate(*ours)
    follower.gate(*theirs)
    world.operator(master, init, "ROLLBACK")
    killed = killed_at({master: ours, follower: theirs}, together=together)
    assert [step for step in killed if step in ours] == ours
    dag = world.undone(world.over(master, init))
    assert max(each.attempt for node in dag.nodes for each in node.sub_tasks) == 2, shape(dag)
    assert [host.identity for host in world.hosts] == ["MASTER", "FOLLOWER"]
    assert not any(host.base.exists() for host in world.hosts)
    assert not world.store.run(f"SHOW DATABASES LIKE '{world.store.name}'")
    world.good(world.over(master, world.ask(master, "/ob/init", BODY)))
    assert world.whole()


@pytest.mark.parametrize(
    ("where", "main", "twin"),
    [
        pytest.param("CheckFinished", OUT_UNDONE, LED_AWAY, id="that its twin has ended", marks=everywhere),
        pytest.param("AddAgent", from_(OUT_UNDONE, "AddAgent.undo"), TWIN_UNDONE, id="that its twin waits for"),
        pytest.param("StartClone", from_(OUT_UNDONE, "WaitStart.undo"), TWIN_UNDONE[1:], id="whose twin has failed", marks=everywhere),
    ],
)
@pytest.mark.parametrize("together", [False, pytest.param(True, marks=everywhere)], ids=["one", "both"])
def test_the_undo_of_a_scale_out(world: World, where: str, main: tuple[str, ...], twin: tuple[str, ...], together: bool) -> None:
    master, joiner = world.host(apart=True), world.host(apart=True)
    world.gather(master)
    world.good(world.over(master, world.init(master)))
    (joiner if f"{where} *" in JOINER else master).plant(where)
    out = world.failed(master, world.scale_out(master, joiner))
    ours, theirs = meant(main), meant(twin)
    master.gate(*ours)
    joiner.gate(*theirs)
    world.operator(master, out, "ROLLBACK")
    killed = killed_at({master: ours, joiner: theirs}, together=together)
    assert [step for step in killed if step in ours] == ours
    assert [step for step in killed if step in theirs] == theirs
    world.undone(world.over(master, out))
    eventually(lambda: joiner.identity == "SINGLE")
    assert not joiner.base.exists()
    joiner_port = joiner.address.port
    assert joiner_port not in world.members() | world.servers()
    for host in world.hosts:
        eventually(lambda host=host: host.public("/api/v1/status").get("underMaintenance") is False)
    world.good(world.over(master, world.scale_out(master, joiner)))
    assert world.whole()


def killed_in_retries(world: World, asked: Host, start: Callable[[], DagShown], plants: list[tuple[Host, str]]) -> DagShown:
    """Each of these steps fails once; who carries out its retry is killed in the undo of it, and in its second run."""
    plants[0][0].plant(plants[0][1])
    dag = start()
    for (host, step), following in zip(plants, [*plants[1:], None], strict=True):
        failed = world.over(asked, dag)
        assert failed.state == FAILED, (shape(failed), lines(failed))
        assert not (host.own / f"plant.{step}").exists(), (step, shape(failed), lines(failed))
        gates = [f"{step}.undo", step]
        host.gate(*gates)
        if following is not None:  # no earlier: what a twin did is undone, and done anew by another one
            following[0].plant(following[1])
        world.operator(asked, failed, "RETRY")
        assert killed_at({host: gates}) == gates
    return world.good(world.over(asked, dag))


@everywhere
def test_the_retries_of_an_init(world: World) -> None:
    master, follower = world.host(apart=True), world.host()
    world.gather(master, follower)
    killed_in_retries(world, master, lambda: world.init(master), [(master, step) for step in meant(INIT)])
    assert world.whole()
    assert [host.identity for host in world.hosts] == ["CLUSTER AGENT"] * 2


def test_the_retries_of_a_scale_out(world: World) -> None:
    master, joiner = world.host(apart=True), world.host(apart=True)
    world.gather(master)
    world.good(world.over(master, world.init(master)))
    plants = [
        (master, "IntegrateServerConfig"),
        (master, "CreateTwin"),
        (joiner, "BeScalingAgent"),
        (master, "WaitReady"),
        (joiner, "PrepareDeploy"),
        (joiner, "Deploy"),
        (master, "WaitDeploy"),
        (joiner, "PrepareStart"),
        (joiner, "StartClone"),
        (master, "WaitStart"),
        (master, "PreviousCheck"),
        (master, "AddServer"),
        (master, "AddAgent"),
        (joiner, "WatchCluster"),
        (joiner, "SyncFromObserver"),
        (master, "CheckFinished"),
    ]
    chosen = plants if EVERYWHERE else [(joiner, "StartClone")]
    killed_in_retries(world, master, lambda: world.scale_out(master, joiner), chosen)
    assert world.whole()
    assert joiner.identity == "CLUSTER AGENT"
