"""Whoever listens to a dag hears the same, at whichever agent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.api.sse import Event, listening, told
from tests.spine.host import Host
from tests.spine.world import PASSWORD, World, lines, shape


def test_every_agent_tells_of_the_clusters_dag_and_of_its_twin_until_they_end(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    joiner.troubles.hold("start")
    dag = cluster.scale_out(first, joiner)

    def heard(host: Host, dag_id: str) -> list[Event]:
        with listening(host.address, dag_id, password=PASSWORD) as response:
            assert response.status == 200
            return list(told(response))

    with ThreadPoolExecutor() as pool:
        listeners = [pool.submit(heard, host, dag.id) for host in (first, second)]
        twin = cluster.twin(first, cluster.at(first, dag, "Wait remote start finish"))
        listeners += [pool.submit(heard, host, twin) for host in (first, second)]
        joiner.troubles.release("start")
        of_first, of_second, twin_of_first, twin_of_second = (each.result(60) for each in listeners)

    over = cluster.good(cluster.over(first, dag))
    for events in (of_first, of_second):
        assert (events[-1].name, events[-1].data) == ("end", {"state": "SUCCEEDED"})
        assert [event.data["text"] for event in events if event.name == "line"] == lines(over)
        last = [event for event in events if event.name == "dag"][-1]
        assert [each["state"] for each in last.data["sub_tasks"]] == ["SUCCEEDED"] * len(shape(over))
    for events in (twin_of_first, twin_of_second):
        assert events[-1].name == "end"
        assert [event.data["text"] for event in events if event.name == "line"] == lines(cluster.dag(first, twin))
