"""A cluster from nothing: join, configure, init, scale out, as a client sees it."""

from __future__ import annotations

from oboe.cli.dags import SUCCEED
from tests.spine.world import World, lines, shape

INIT = [
    "Integrate config",
    "Create observer workdir",
    "Start observer",
    "Cluster boostrap",
    "Migrate table",
    "Modify password",
    "Migrate data",
    "Convert follower to cluster agent",
    "Synchronize agent from cluster",
    "Convert master to cluster agent",
    "Synchronize agent from cluster",
]
SCALE_OUT = [
    "Integrate server config",
    "Create local scale out dag",
    "Wait scale out ready",
    "Wait remote deploy finish",
    "Wait remote start finish",
    "Prev check for scale_out",
    "Add server for scale_out",
    "Add agent for scale_out",
    "Check cluster scale_out whether finished",
]
LOCAL_SCALE_OUT = [
    "Be scaling agent",
    "Start preparations",
    "Create observer workdir",
    "Start preparations",
    "Start observer",
    "Watch cluster scale_out dag",
    "Sync from observer",
]


def test_two_agents_become_a_cluster_and_a_third_is_added(world: World) -> None:
    first, second, third = hosts = world.host(), world.host(), world.host()
    world.gather(first, second)
    assert [host.identity for host in hosts] == ["MASTER", "FOLLOWER", "SINGLE"]

    init = world.over(first, world.init(first))
    wide = {1, 2, 8, 10}
    assert shape(init) == [(name, SUCCEED, "RUN", [1] * (2 if at in wide else 1)) for at, name in enumerate(INIT)], lines(init)
    assert [host.identity for host in hosts] == ["CLUSTER AGENT", "CLUSTER AGENT", "SINGLE"]

    out = world.over(first, world.scale_out(second, third))
    assert shape(out) == [(name, SUCCEED, "RUN", [1]) for name in SCALE_OUT], lines(out)
    for line in (
        "local scale out dag task Be scaling agent is succeed",
        f"task Create observer workdir: {third.base} is ready",
        "remote deploy task is succeed",
        "task Start observer: start observer",
        "remote start observer task is succeed",
        "PrevCheckTask execute",
        "AddServerTask execute",
        "FinishTask execute",
    ):
        assert line in lines(out)

    twin = world.over(second, world.twin(first, out))
    assert shape(twin) == [(name, SUCCEED, "RUN", [1]) for name in LOCAL_SCALE_OUT], lines(twin)
    assert world.get(third, "/task/dag/maintain/agent")["name"] == "Local scale out"
    assert {"set agent identity to follower", "Watch cluster scale out dag", "dump password"} <= set(lines(twin))

    everyone = {host.address.port for host in hosts}
    assert (world.members(), world.servers()) == (everyone, everyone)
    for host in hosts:
        assert host.identity == "CLUSTER AGENT"
        assert {member.address.port for member in host.agent.local.members()} == everyone
        assert world.get(host, "/task/dag/unfinish") == {"contents": None}
        assert world.get(host, "/task/dag/maintain/ob")["id"] == out.id
        assert host.public("/oboe/v1/ready") == {"ready": True, "waits_for": [], "running": 0}
