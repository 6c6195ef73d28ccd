"""The cluster's database is put back to an earlier moment, by SQL, behind the backs of agents that run or do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oboe.cli.dags import DagShown
from oboe.domain.records import Page
from oboe.domain.values import Operator
from oboe.engine.limits import Limits
from tests.spine.host import Host, Store, eventually
from tests.spine.world import World, lines

QUICK = Limits(lease_seconds=3.0, lease_renew_seconds=0.5, lease_look_seconds=0.5, recall_seconds=20.0)
_HALTED = "the store went back"


class Moment:
    """Every row of the cluster's database, at one time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        tables = [name for (name,) in store.rows("SHOW TABLES") if name != "schema_version"]
        self._rows = {table: store.rows(f"SELECT * FROM {table}") for table in tables}

    def come_back(self) -> None:
        """As if nothing had been written since."""
        connection = self._store.connect(self._store.name)
        try:
            connection.begin()
            with connection.cursor() as cursor:
                for table, rows in self._rows.items():
                    cursor.execute(f"DELETE FROM {table}")
                    for row in rows:
                        cursor.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
            connection.commit()
        finally:
            connection.close()


def _cluster(world: World) -> tuple[Host, Host]:
    master, follower = world.host(), world.host()
    world.gather(master, follower)
    world.good(world.over(master, world.init(master)))
    eventually(lambda: master.agent.local.value("store_mark"))
    return master, follower


def _half_lost(world: World, member: Host, joiner: Host) -> tuple[DagShown, Moment, int]:
    """A scale-out that waits for its twin's directories, a moment at which it had hardly begun, and the epoch."""
    joiner.troubles.hold("configure")
    joiner.troubles.hold("deploy")
    dag = world.at(member, world.scale_out(member, joiner), "Integrate server config")
    before, epoch = Moment(world.store), _epoch(world)
    joiner.troubles.release("configure")
    return world.at(member, dag, "Wait remote deploy finish"), before, epoch


def _epoch(world: World) -> int:
    ((epoch,),) = world.store.rows("SELECT epoch FROM lease")
    return int(epoch)


def _stored(world: World, host: Host) -> Any:
    """The newest dag of the cluster, as the host reads it."""
    return host.agent.link.home().newest_maintenance()


def _waits_for_a_person(world: World, host: Host, dag_id: str) -> None:
    dag = world.over(host, dag_id)
    assert dag.state == "FAILED", lines(dag)
    assert _stored(world, host).halt_reason == _HALTED


def test_a_scale_out_whose_store_is_put_back_waits_for_a_person_and_is_led_to_its_end(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, follower = _cluster(world)
    joiner = world.host()
    dag, before, epoch = _half_lost(world, master, joiner)
    before.come_back()
    joiner.troubles.release("deploy")
    eventually(lambda: _epoch(world) > epoch)
    _waits_for_a_person(world, follower, dag.id)
    world.good(world.operate(follower, dag, "RETRY"))
    assert world.whole()
    assert joiner.identity == "CLUSTER AGENT"
    assert _own(joiner, "Local scale out") == ["Local scale out"]


def _own(host: Host, name: str) -> list[str]:
    """The agent's own dags of that name that were not undone."""
    store = host.agent.engine._own.scheduler.store
    return [dag.name for dag in store.page(Page(names=(name,))) if dag.operator is not Operator.ROLLBACK]


def test_a_store_that_was_restored_while_nobody_ran_is_known_for_what_it_is(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, follower = _cluster(world)
    before = Moment(world.store)
    joiner = world.host()
    dag = world.good(world.over(master, world.scale_out(master, joiner)))
    eventually(lambda: follower.agent.local.value("store_mark"))
    for host in world.hosts:
        host.end()
    before.come_back()
    epoch = _epoch(world)
    for host in world.hosts:
        host.begin()
    eventually(lambda: _epoch(world) > epoch)
    told = eventually(lambda: [text for host in world.hosts for text in host.public("/oboe/v1/ready")["waits_for"] if "is lost" in text])
    assert any(text.startswith("Cluster scale out") and "SUCCEEDED" in text for text in told)
    eventually(lambda: not world.store.rows("SELECT * FROM maintenance_lock"))
    assert _stored(world, master) is None or _stored(world, master).name != dag.name
    ((last,),) = world.store.rows("SELECT value FROM counter WHERE name = 'dag'")
    assert last >= 1000


def test_another_primary_may_lack_commits_so_its_dags_are_asked_about(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, follower = _cluster(world)
    joiner = world.host()
    dag, before, epoch = _half_lost(world, master, joiner)
    before.come_back()
    master.database(running=False)
    follower.alter(role="PRIMARY", source="")
    joiner.troubles.release("deploy")
    eventually(lambda: _epoch(world) > epoch)
    _waits_for_a_person(world, follower, dag.id)
    eventually(lambda: not world.store.rows("SELECT * FROM maintenance_lock WHERE scope = 'RECALL'"))


def test_tables_of_an_earlier_release_are_brought_up_to_date_by_the_members(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, follower = _cluster(world)
    for host in (master, follower):
        host.end()
    world.store.rows("DROP TABLE request_key")
    world.store.rows("DELETE FROM schema_version WHERE version > 1")
    for host in (master, follower):
        host.begin()
    eventually(lambda: master.agent.engine.serves_cluster() or follower.agent.engine.serves_cluster())
    assert world.store.rows("SELECT COUNT(*) FROM request_key") == [(0,)]
