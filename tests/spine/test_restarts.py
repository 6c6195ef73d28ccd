"""Agents, leases and databases that go away in the middle, and come back or do not."""

from __future__ import annotations

from collections.abc import Callable

from oboe.engine.limits import Limits
from tests.spine.host import Host, eventually
from tests.spine.world import World, lines

QUICK = Limits(lease_seconds=3.0, lease_renew_seconds=0.5, lease_look_seconds=0.5)


def _cluster(world: World, *, apart: tuple[bool, bool] = (False, False)) -> tuple[Host, Host]:
    master, follower = (world.host(apart=each) for each in apart)
    world.gather(master, follower)
    world.good(world.over(master, world.init(master)))
    return master, follower


def test_a_joining_agent_that_is_killed_while_it_starts_its_database_goes_on_when_it_is_back(cluster: World) -> None:
    first = cluster.hosts[0]
    joiner = cluster.host(apart=True)
    try:
        joiner.troubles.hold("start")
        dag = cluster.at(first, cluster.scale_out(first, joiner), "Wait remote start finish")
        eventually(lambda: cluster.dag(joiner, cluster.twin(first, dag)).nodes[4].state == "RUNNING")
        joiner.kill()
        assert cluster.dag(first, dag.id).state == "RUNNING"
        joiner.troubles.release("start")
        joiner.begin()
        cluster.good(cluster.over(first, dag))
        assert joiner.identity == "CLUSTER AGENT"
        assert cluster.whole()
    finally:
        cluster.forget(joiner)


def test_a_maintainer_that_is_killed_while_it_waits_for_the_start_goes_on_when_it_is_back(make_world: Callable[..., World]) -> None:
    world = make_world()
    master, _ = _cluster(world, apart=(True, False))
    joiner = world.host()
    joiner.troubles.hold("start")
    dag = world.at(master, world.scale_out(master, joiner), "Wait remote start finish")
    master.kill()
    joiner.troubles.release("start")
    master.begin()
    world.good(world.over(master, dag))
    assert world.whole()
    assert joiner.identity == "CLUSTER AGENT"


def test_when_the_maintainer_dies_another_member_takes_the_scale_out_over(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, follower = _cluster(world)
    joiner = world.host()
    joiner.troubles.hold("deploy")
    dag = world.at(master, world.scale_out(master, joiner), "Wait remote deploy finish")
    master.end()
    assert world.dag(follower, dag.id).state == "RUNNING"
    eventually(lambda: follower.agent.engine.serves_cluster())
    joiner.troubles.release("deploy")
    world.good(world.over(follower, dag))
    assert world.members() == {host.address.port for host in world.hosts}
    assert joiner.identity == "CLUSTER AGENT"
    twin = world.dag(joiner, world.twin(follower, dag))
    assert twin.state == "SUCCEED", lines(twin)


def test_a_master_that_is_killed_in_its_init_goes_on_when_it_is_back(make_world: Callable[..., World]) -> None:
    world = make_world()
    master, follower = world.host(apart=True), world.host()
    world.gather(master, follower)
    for host in world.hosts:
        host.troubles.hold("start")
    dag = world.init(master)
    for host, node in ((master, "Start observer"), (follower, "Cluster boostrap")):
        world.at(master, dag, node)
        master.kill()
        master.begin()
        world.at(master, dag, node)
        host.troubles.release("start")
    world.good(world.over(master, dag))
    assert world.whole()
    assert [host.identity for host in world.hosts] == ["CLUSTER AGENT"] * 2


def test_a_database_that_is_down_in_the_middle_of_a_scale_out_is_waited_for(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, _ = _cluster(world)
    joiner = world.host()
    joiner.troubles.hold("start")
    dag = world.at(master, world.scale_out(master, joiner), "Wait remote start finish")
    master.database(running=False)
    joiner.troubles.release("start")
    eventually(lambda: not master.public("/oboe/v1/ready")["ready"])
    assert "not running" in str(master.public("/oboe/v1/ready")["waits_for"])
    master.database(running=True)
    dag = world.over(master, dag)
    if dag.state == "FAILED":
        dag = world.operate(master, dag, "RETRY")
    world.good(dag)
    assert world.whole()
    eventually(lambda: master.public("/oboe/v1/ready") == {"ready": True, "waits_for": [], "running": 0})


def test_an_agent_comes_up_without_its_database_says_so_and_recovers(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, _ = _cluster(world)
    master.database(running=False)
    master.end()
    master.begin()
    ready = eventually(lambda: (told := master.public("/oboe/v1/ready"))["waits_for"] and told)
    assert ready["ready"] is False
    assert "not running" in str(ready["waits_for"])
    assert master.public("/api/v1/status")["agent"]["identity"] == "CLUSTER AGENT"
    master.database(running=True)
    eventually(lambda: master.public("/oboe/v1/ready")["ready"])
    joiner = world.host()
    world.good(world.over(master, world.scale_out(master, joiner)))


def test_an_agent_whose_password_is_wrong_comes_up_says_so_and_recovers(make_world: Callable[..., World]) -> None:
    world = make_world(limits=QUICK)
    master, follower = _cluster(world)
    right = _users(master, "oboe", "something else")
    _users(follower, "oboe", "something else")
    for host in (master, follower):
        host.store.cut_off()
        host.end()
        host.begin()
    ready = eventually(lambda: (told := master.public("/oboe/v1/ready"))["waits_for"] and told)
    assert "does not accept this user and password" in str(ready["waits_for"])
    for host in (master, follower):
        _users(host, "oboe", right)
    eventually(lambda: all(host.public("/oboe/v1/ready")["ready"] for host in (master, follower)))
    joiner = world.host()
    world.good(world.over(master, world.scale_out(master, joiner)))


def _users(host: Host, user: str, password: str) -> str:
    """Change a password behind everybody's back; the one that it had."""
    users = host.known()["users"]
    host.alter(users=users | {user: password})
    return str(users[user])
