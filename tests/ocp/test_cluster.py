"""OCP's API in a cluster: the same tasks, ids and users, whichever agent is asked."""

from __future__ import annotations

from typing import Any

from oboe.cli.client import OWN
from oboe.domain.errors import Unreachable
from tests.ocp.site import PASSWORD, Client
from tests.spine.host import Host, eventually
from tests.spine.world import World


def reader(host: Host, name: str = "alice") -> Client:
    return Client(host.address.port, Client.basic(name, PASSWORD))


def add(world: World, host: Host, name: str, *grants: str) -> None:
    world.client(host).post(f"{OWN}/users", {"name": name, "password": PASSWORD, "grants": list(grants)})


def tasks(host: Host, **query: Any) -> dict[int, tuple[str, str]]:
    contents = reader(host).get("/instances", size=100, **query).data["contents"]
    return {one["id"]: (one["name"], one["status"]) for one in contents}


def test_every_agent_tells_the_same_of_the_same_tasks_to_the_same_users(world: World) -> None:
    first, second, third = hosts = world.host(), world.host(), world.host()
    world.gather(first, second)
    add(world, second, "alice", "TASK_MANAGER")
    assert reader(first).get("/instances").status == 200, "a FOLLOWER passes it on to the MASTER"
    world.good(world.over(first, world.init(first)))
    for host in (first, second):
        assert eventually(lambda host=host: reader(host).get("/instances").status == 200), "they went into the cluster's home"
    world.good(world.over(first, world.scale_out(second, third)))

    seen = [eventually(lambda host=host: (found := tasks(host)) and len(found) == len(tasks(first)) and found) for host in hosts]
    assert seen[0] == seen[1] == seen[2]
    own = [number - 2**52 for number in seen[0] if number >= 2**52]
    assert {number >> 32 for number in own} == {1, 2, 3}, "numbers of the agents"
    cluster = sorted(number for number in seen[0] if number < 2**52)
    assert [seen[0][number][0] for number in cluster] == ["Cluster scale out"]

    for number, (name, status) in seen[0].items():
        answers = [reader(host).get(f"/instances/{number}").data for host in hosts]
        assert answers[0] == answers[1] == answers[2]
        assert (answers[0]["name"], answers[0]["status"]) == (name, status)
        is_ours = {"id": 1, "name": "test", "obClusterId": 1, "type": "PRIMARY"}
        assert answers[0].get("cluster") == (is_ours if number in cluster else None)
        log = [reader(host).get(f"/instances/{number}/subtasks/{answers[0]['subtasks'][0]['id']}/log").data for host in hosts]
        assert log[0] == log[1] == log[2]

    twin = next(number for number, (name, _) in seen[0].items() if name == "Local scale out")
    led = tasks(first, type="SYS_ONCE")
    assert led[twin] == ("Local scale out", "SUCCESSFUL"), "another task leads it"
    assert not {name for name, _ in led.values()} & {"Join self", "Cluster scale out"}
    assert tasks(first, type="MANUAL") | led == seen[0]
    assert set(tasks(second, clusterName="test")) == set(cluster)
    assert set(tasks(second, hostId=3)) == {number for number in seen[0] if number - 2**52 >> 32 == 3}
    assert reader(third).post(f"/instances/{cluster[0]}/retry").error == (400, 20003)

    for host in hosts:
        host.database(running=False)
    for host in hosts:
        eventually(lambda host=host: _without_primary(host))
        stale = reader(host).get(f"/instances/{cluster[0]}")
        assert (stale.data["name"], stale.data["status"]) == ("Cluster scale out", "SUCCESSFUL")
        assert float(stale.headers["x-oboe-stale"]) > 0, "it comes from a copy, and says so"
        assert float(reader(host).get("/instances", size=100).headers["x-oboe-stale"]) > 0
        assert eventually(lambda host=host: set(tasks(host)) == set(seen[0])), "an agent that is slow is left out of a list"
        assert reader(host).post(f"/instances/{cluster[0]}/retry").error[0] in (400, 503), "nothing is changed in a copy"


def test_users_are_changed_at_any_agent_and_known_to_all_without_a_primary_too(world: World) -> None:
    first, second = world.host(), world.host()
    world.gather(first, second)
    world.good(world.over(first, world.init(first)))
    add(world, first, "alice", "TASK_VIEWER")
    eventually(lambda: reader(second).get("/instances").status == 200)
    world.client(second).request("POST", f"{OWN}/users/alice/grant", body={"grants": []})
    eventually(lambda: reader(first).get("/instances").status == 403)
    world.client(second).request("POST", f"{OWN}/users/alice/grant", body={"grants": ["TASK_VIEWER"]})
    eventually(lambda: [reader(host).get("/instances").status for host in (first, second)] == [200, 200])

    for host in (first, second):
        host.database(running=False)
    for host in (first, second):
        eventually(lambda host=host: _without_primary(host))
        assert reader(host).get("/instances").status == 200
        assert reader(host, "mallory").get("/instances").status == 401


def _without_primary(host: Host) -> bool:
    try:
        host.agent.link.lost()
        host.agent.link.primary()
    except Unreachable:
        return True
    return False
