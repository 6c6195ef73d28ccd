"""What is owed to the cluster's tables survives until it is paid, and is not paid to a row that goes."""

from __future__ import annotations

from tests.lifecycle.cluster import leaves, scope, status
from tests.spine.host import Host, eventually
from tests.spine.world import World


def test_what_a_start_owes_is_paid_when_the_primary_is_back(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True))))
    assert status(cluster, second) == "INACTIVE"
    first.database(running=False)

    cluster.good(cluster.over(second, cluster.ask(second, "/ob/start", scope(second))))

    assert second.agent.local.value("owed") == {"server": "ACTIVE"}
    assert status(cluster, second) == "INACTIVE"
    first.database(running=True)
    eventually(lambda: status(cluster, second) == "ACTIVE")
    eventually(lambda: second.agent.local.value("owed") is None)


def test_a_row_that_is_being_deleted_is_not_made_active(cluster: World) -> None:
    second = cluster.hosts[1]
    cluster.store.rows(f"UPDATE server SET status = 'DELETING' WHERE agent_port = {second.address.port}")
    second.agent.local.remember(owed={"server": "ACTIVE"})
    eventually(lambda: second.agent.local.value("owed") is None)
    assert status(cluster, second) == "DELETING"
    cluster.store.rows(f"UPDATE server SET status = 'ACTIVE' WHERE agent_port = {second.address.port}")


def test_an_agent_that_was_let_go_does_not_maintain_the_cluster(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    joiner.end()
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/scale_in", leaves(joiner))))
    joiner.begin()
    for host in (first, second):
        host.agent.engine.leave_lease()
        host.agent.engine.unserve_cluster()
    eventually(lambda: any("as a member no more" in text for text in joiner.public("/oboe/v1/ready")["waits_for"]))
    assert not joiner.agent.engine.serves_cluster()
    for host in (first, second):
        host.agent._cluster.stop()
        host.agent._cluster.follow()
    eventually(lambda: first.agent.engine.serves_cluster() or second.agent.engine.serves_cluster())
