"""Agents that are killed while their databases go down too, as when a host restarts: an init goes on, or is undone without them.

``make kills`` does it at every node; the suite at one (marked ``*``).
"""

from __future__ import annotations

import pytest

from tests.spine.host import Host, eventually
from tests.spine.test_killed_everywhere import meant
from tests.spine.test_killed_undone import BODY
from tests.spine.world import World, lines

NODES = (
    "StartObservers",
    "Bootstrap",
    "MigrateTable",
    "ModifyPassword",
    "CreateUser",
    "MigrateData *",
    "ConvertFollowers",
    "SynchronizeAll",
    "ConvertMaster",
    "ImportScript",
)


def restarted(world: World, *hosts: Host, node: str) -> None:
    """What restarts these hosts leaves: their agents begin again by themselves, their databases do not."""
    for host in hosts:
        host.kill()
    for host in hosts:
        if host.base.exists():
            host.database(running=False)
    hosts[0].open_gate(node)
    for host in hosts:
        host.begin()


@pytest.mark.parametrize("node", meant(NODES))
def test_an_init_whose_hosts_restart_goes_on(world: World, node: str) -> None:
    master, follower = world.host(apart=True), world.host(apart=True)
    world.gather(master, follower)
    master.gate(node)
    init = world.ask(master, "/ob/init", BODY)
    eventually(master.at_gate)
    restarted(world, *((master, follower) if node not in ("StartObservers", "Bootstrap") else (master,)), node=node)
    world.good(world.over(master, init))
    assert world.whole()
    assert [host.identity for host in world.hosts] == ["CLUSTER AGENT"] * 2


@pytest.mark.parametrize("node", meant(NODES))
def test_an_init_whose_database_is_gone_for_good_is_undone(world: World, node: str) -> None:
    master, follower = world.host(apart=True), world.host()
    world.gather(master, follower)
    master.gate(node)
    init = world.ask(master, "/ob/init", BODY)
    eventually(master.at_gate)
    master.troubles.fail("start", times=1000, code="database.start_failed", text="its disk is broken")
    restarted(world, master, node=node)
    dag = world.failed(master, init, why="its disk is broken")
    world.operator(master, dag, "ROLLBACK")
    dag = world.undone(world.over(master, init))
    master.troubles.succeed("start")
    assert [host.identity for host in world.hosts] == ["MASTER", "FOLLOWER"]
    assert not any(host.base.exists() for host in world.hosts), lines(dag)
    world.good(world.over(master, world.ask(master, "/ob/init", BODY)))
    assert world.whole()
