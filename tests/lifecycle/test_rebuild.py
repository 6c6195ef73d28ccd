"""*Rebuild standby*: the way on of a standby that cannot go on. What it wipes, and what it never wipes."""

from __future__ import annotations

import pytest

from oboe.cli.client import OWN, AgentClient
from oboe.cli.dags import DagShown, read_dag
from oboe.cli.failure import AnswerError
from oboe.kit.step import Step
from oboe.playbooks.agent import rebuild_observer
from oboe.playbooks.cluster import rebuild_standby
from tests.lifecycle.cluster import leaves, names, runs, scope, status
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines, shape

MAIN = ["Check standby", "Rebuild observer", "Wait until it follows"]


@pytest.fixture
def standby(cluster: World, joiner: Host) -> Host:
    """A third server, stopped, whose redo is gone: its next start says so."""
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(joiner, force=True))))
    return joiner


def path(host: Host) -> str:
    return f"{OWN}/standbys/{host.address}/rebuild"


def ask(client: AgentClient, host: Host) -> DagShown:
    return read_dag(client.post(path(host), {}).data)


def mark(host: Host) -> None:
    """Something that the old database had."""
    host.alter(old=True)


def is_new(host: Host) -> bool:
    return "old" not in host.known()


def test_a_standby_whose_redo_is_gone_is_rebuilt_and_its_start_goes_on(cluster: World, standby: Host) -> None:
    first, second = cluster.hosts[:2]
    mark(standby)
    standby.troubles.fail("start", code="database.redo_recycled", text="its primary has recycled the redo it needs")
    start = cluster.failed(first, cluster.ask(first, "/ob/start", scope(standby)), why=f"oboe cluster rebuild {standby.address}")
    assert any("Start observer failed on" in line for line in lines(start)), lines(start)
    preview = cluster.client(second).request("POST", path(standby), query={"dry_run": "true"}, body={}).data
    assert [effect["node"] for effect in preview["effects"]] == MAIN
    assert any("is removed" in note for note in preview["notes"])
    assert not is_new(standby)

    dag = cluster.over(first, ask(cluster.client(second), standby))

    assert names(dag) == MAIN, lines(dag)
    assert is_new(standby)
    assert runs(standby)
    assert status(cluster, standby) == "ACTIVE"
    assert (standby.identity, cluster.whole()) == ("CLUSTER AGENT", True)
    cluster.good(cluster.operate(first, start, "RETRY"))


PARTS: list[type[Step]] = [
    rebuild_standby.CheckStandby,
    rebuild_observer.StopOld,
    rebuild_observer.Wipe,
    rebuild_observer.Deploy,
    rebuild_observer.Clone,
    rebuild_standby.Rebuild,
    rebuild_standby.Follows,
]


def test_a_rebuild_that_fails_at_each_of_its_nodes_holds_nothing_and_is_retried(cluster: World, standby: Host) -> None:
    first = cluster.hosts[0]
    dag = None
    for step in PARTS:
        with planted(step):
            if dag is None:
                dag = ask(cluster.client(first), standby)
            else:
                cluster.operator(first, dag, "RETRY")
            dag = cluster.failed(first, dag, why=PLANTED)
        assert not cluster.store.rows("SELECT * FROM maintenance_lock"), step
        eventually(lambda: standby.public("/api/v1/status")["underMaintenance"] is False)
    assert dag is not None
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert runs(standby)
    assert cluster.whole()


def test_a_rebuild_that_failed_may_be_given_up_for_a_scale_in(cluster: World, standby: Host) -> None:
    first = cluster.hosts[0]
    standby.troubles.fail("start")
    dag = cluster.failed(first, ask(cluster.client(first), standby), at="Rebuild observer", why=f"scale in {standby.address}")
    assert [node.state for node in dag.nodes] == ["SUCCEED", "FAILED", "PENDING"], shape(dag)
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/scale_in", leaves(standby))))
    assert standby.identity == "SINGLE"


def test_the_primary_is_never_wiped_nor_anything_while_there_is_none(cluster: World, standby: Host) -> None:
    first, second = cluster.hosts[:2]
    for host in (first, second):
        mark(host)
    assert _refused(cluster, second, first) == (400, "Common.IllegalArgument")
    assert _refused(cluster, second, "127.0.0.1:1") == (400, "Agent.NotExist")

    mark(standby)
    first.database(running=False)
    try:
        eventually(lambda: _refused(cluster, standby, standby)[0] == 500)
        assert _refused(cluster, second, standby)[1] in ("Agent.OceanBase.Useless", "OB.Server.Unavailable")
    finally:
        first.database(running=True)
    eventually(lambda: cluster.get(first, "/ob/info"))
    assert not any(is_new(host) for host in (first, second, standby))


def test_a_database_that_runs_as_a_primary_beside_the_primary_is_not_wiped(cluster: World, standby: Host) -> None:
    """As an ex-primary does that came back after a failover: a person says first which one is right."""
    first = cluster.hosts[0]
    mark(standby)
    with planted(rebuild_standby.CheckStandby):
        dag = cluster.failed(first, ask(cluster.client(first), standby), why=PLANTED)
    standby.alter(running=True, role="PRIMARY")
    for port in (standby.agent.local.instance().mysql_port, standby.agent.local.instance().rpc_port):  # type: ignore[union-attr]
        (standby.shared / "servers" / f"127.0.0.1_{port}").write_text(str(standby.base))
    dag = cluster.operate(first, dag, "RETRY")
    assert any("is a primary: it is never wiped" in line for line in lines(dag)), lines(dag)
    assert not is_new(standby)
    standby.database(running=False)


def _refused(world: World, asked: Host, of: Host | str) -> tuple[int, str]:
    where = of if isinstance(of, str) else str(of.address)
    with pytest.raises(AnswerError) as told:
        world.client(asked).post(f"{OWN}/standbys/{where}/rebuild", {})
    return told.value.status, told.value.code
