"""An agent that is killed at a node of a dag, when the work is done and nobody knows, and comes back: the dag ends.

``make kills`` does it at every node; the suite only where something outside the agent was changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tests.spine.host import Host, eventually
from tests.spine.world import World, shape

EVERYWHERE = os.environ.get("KILLS") == "all"
INIT = (
    "IntegrateConfig",
    "CreateWorkdirs *",
    "StartObservers",
    "Bootstrap *",
    "MigrateTable *",
    "ModifyPassword *",
    "MigrateData",
    "ConvertFollowers",
    "SynchronizeAll",
    "ConvertMaster *",
)
SCALE_OUT = (
    "IntegrateServerConfig",
    "CreateTwin *",
    "WaitReady",
    "WaitDeploy",
    "WaitStart",
    "PreviousCheck",
    "AddServer *",
    "AddAgent",
    "CheckFinished *",
)
JOINER = ("BeScalingAgent", "PrepareDeploy", "Deploy *", "PrepareStart", "StartClone *", "WatchCluster", "SyncFromObserver *")


def meant(steps: Iterable[str]) -> list[str]:
    return [step.removesuffix(" *") for step in steps if EVERYWHERE or step.endswith(" *")]


def killed_at(gates: dict[Host, list[str]], *, together: bool = False) -> list[str]:
    """Kill whoever stands at a gate, open it, begin the agent again, until all were killed everywhere; the steps in their order.

    ``together``: whoever stands there, all of them are killed, and begin again one after the other."""
    killed: list[str] = []
    for _ in range(sum(map(len, gates.values()))):
        host, step = eventually(lambda: next(((each, at) for each in gates if (at := each.at_gate())), None))
        dying = list(gates) if together else [host]
        for each in dying:
            each.kill()
        host.open_gate(step)
        for each in dying:
            each.begin()
        killed.append(step)
    return killed


def test_a_master_that_is_killed_in_its_init(world: World) -> None:
    master, follower = world.host(apart=True), world.host()
    world.gather(master, follower)
    steps = meant(INIT)
    master.gate(*steps)
    init = world.init(master)
    assert killed_at({master: steps}) == steps
    dag = world.good(world.over(master, init))
    assert {each.attempt for node in dag.nodes for each in node.sub_tasks} == {1}, shape(dag)
    assert world.whole()
    assert [host.identity for host in world.hosts] == ["CLUSTER AGENT"] * 2


def test_both_sides_that_are_killed_in_a_scale_out(world: World) -> None:
    master, joiner = world.host(apart=True), world.host(apart=True)
    world.gather(master)
    world.good(world.over(master, world.init(master)))
    ours, theirs = meant(SCALE_OUT), meant(JOINER)
    for host, steps in ((master, ours), (joiner, theirs)):
        host.gate(*steps)
    out = world.scale_out(master, joiner)
    killed = killed_at({master: ours, joiner: theirs})
    assert [step for step in killed if step in ours] == ours
    assert [step for step in killed if step in theirs] == theirs
    dag = world.good(world.over(master, out))
    assert world.good(world.over(joiner, world.twin(master, dag))).name == "Local scale out"
    assert world.whole()
    assert joiner.identity == "CLUSTER AGENT"
