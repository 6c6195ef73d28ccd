"""A scale-out that fails, at any of its nodes, can be retried and can be undone for real."""

from __future__ import annotations

import pytest

from oboe.kit.secret import Secret
from oboe.kit.step import Step
from oboe.playbooks.cluster import scale_out
from tests.spine.host import Host
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines

STEPS = {
    "Integrate server config": scale_out.IntegrateServerConfig,
    "Create local scale out dag": scale_out.CreateTwin,
    "Wait scale out ready": scale_out.WaitReady,
    "Wait remote deploy finish": scale_out.WaitDeploy,
    "Wait remote start finish": scale_out.WaitStart,
    "Prev check for scale_out": scale_out.PreviousCheck,
    "Add server for scale_out": scale_out.AddServer,
    "Add agent for scale_out": scale_out.AddAgent,
    "Check cluster scale_out whether finished": scale_out.CheckFinished,
}


@pytest.mark.parametrize(("node", "step"), STEPS.items())
def test_a_scale_out_that_fails_at_any_node_is_undone_and_asked_again_and_retried(
    cluster: World, joiner: Host, node: str, step: type[Step]
) -> None:
    first, second = cluster.hosts[:2]
    before = cluster.members(), cluster.servers()
    with planted(step):
        dag = cluster.failed(first, cluster.scale_out(second, joiner), at=node, why=PLANTED)
    cluster.undone(cluster.operate(first, dag, "ROLLBACK"))
    cluster.untouched(joiner)
    assert (cluster.members(), cluster.servers()) == before
    assert not cluster.store.rows("SELECT * FROM maintenance_lock")

    with planted(step):
        dag = cluster.failed(first, cluster.scale_out(first, joiner), at=node, why=PLANTED)
    cluster.good(cluster.operate(second, dag, "RETRY"))
    assert cluster.whole()
    assert joiner.identity == "CLUSTER AGENT"


def test_a_wrong_password_of_the_joining_agent_fails_the_dag_which_has_both_ways_on(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    joiner.agent.local.remember(agent_password=Secret("of the joiner"))
    dag = cluster.failed(
        first,
        cluster.scale_out(first, joiner, password="nobody's word"),
        at="Integrate server config",
        why="[auth.agent_password]: the agent",
    )
    assert not any("nobody's word" in line for line in lines(dag))
    cluster.undone(cluster.operate(first, dag, "ROLLBACK"))
    assert (joiner.identity, joiner.agent.local.members()) == ("SINGLE", [])
    assert not cluster.store.rows("SELECT * FROM maintenance_lock")

    dag = cluster.failed(first, cluster.scale_out(first, joiner, password="changed later"), at="Integrate server config")
    joiner.agent.local.remember(agent_password=Secret("changed later"))
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert cluster.whole()
    assert joiner.identity == "CLUSTER AGENT"
