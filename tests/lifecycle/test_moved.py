"""The primary is another server from one moment to the next: a person has switched over, or failed over, in SQL."""

from __future__ import annotations

from collections.abc import Callable

from tests.lifecycle.cluster import refused, scope
from tests.spine.host import Host, eventually
from tests.spine.world import World


def test_a_cluster_follows_its_primary_to_another_server(make_world: Callable[..., World]) -> None:
    """The old primary says PRIMARY until it is started again, and takes no writes: it is none."""
    world = make_world()
    first, second = world.host(), world.host()
    world.gather(first, second)
    world.good(world.over(first, world.init(first)))
    assert primaries(world, first) == [first]

    second.alter(role="PRIMARY", source="")
    first.alter(status="PREPARING")
    world.store.cut_off()
    for host in (first, second):
        eventually(lambda host=host: primaries(world, host) == [second])
    assert refused(world, second, "/ob/stop", scope(second)) == (400, "OB.Cluster.ForceStopOrTerminateRequired")

    world.do(second, "/ob/stop", scope(first))
    first.alter(role="STANDBY", status="NORMAL")
    world.do(second, "/ob/start", scope(first))

    second.database(running=False)
    assert primaries(world, first) == [second]


def primaries(world: World, asked: Host) -> list[Host]:
    """As that agent shows them."""
    zones = world.get(asked, "/ob/info")["obcluster_info"]["topology"]
    ports = [server["sql_port"] for servers in zones.values() for server in servers if server["with_rootserver"] == "YES"]
    return [host for host in world.hosts if host.agent.local.instance().mysql_port in ports]  # type: ignore[union-attr]
