"""The public reference pages against a living cluster: what each shows, oboe answers, with the relations of its times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.api.pages import assert_subset, digits, page, shanghai, times
from tests.lifecycle.cluster import asked, scope
from tests.spine.host import Host, eventually
from tests.spine.world import World


@pytest.fixture(autouse=True)
def _there() -> Iterator[None]:
    with shanghai():
        yield


def answer(host: Host, path: str) -> Mapping[str, Any]:
    """The whole envelope."""
    return asked(host, "GET", f"/task{path}").envelope


def in_turn(dag: dict[str, Any]) -> None:
    """Of what is over: a sub-task lies within its node, a node after the one before it, all within the dag; local or cluster digits."""
    assert dag["start_time"] <= dag["nodes"][0]["start_time"]
    for before, node in zip([None, *dag["nodes"]], dag["nodes"], strict=False):
        assert node["start_time"] <= node["end_time"] <= dag["end_time"]
        assert before is None or before["end_time"] <= node["start_time"]
        for sub_task in node["sub_tasks"]:
            assert node["start_time"] <= sub_task["start_time"] <= sub_task["end_time"] <= node["end_time"]


def test_the_last_cluster_task(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    out = cluster.good(cluster.over(first, cluster.scale_out(second, joiner)))
    for host in (first, second, joiner):
        shown = answer(host, "/dag/maintain/ob")
        assert_subset(shown, page("last_cluster_task"), live=True)
        assert shown["data"]["id"] == out.id
    in_turn(shown["data"])
    assert digits(shown["data"]) <= 6


def test_the_last_agent_task(pair: World) -> None:
    master, follower = pair.hosts
    pair.good(pair.over(master, pair.init(master)))
    shown = answer(follower, "/dag/maintain/agent")
    assert_subset(shown, page("last_agent_task"), live=True)
    in_turn(shown["data"])
    assert 6 < digits(shown["data"]) <= 9


def test_unfinished_tasks(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    joiner.troubles.hold("deploy")
    out = cluster.at(first, cluster.scale_out(second, joiner), "Wait remote deploy finish")
    expected = page("unfinished_tasks")
    eventually(lambda: cluster.dag(first, out.id).nodes[3].sub_tasks[0].logs)

    for host in (first, second):
        shown = answer(host, "/dag/unfinish?show_details=true")
        assert_subset(shown, expected, live=True)

    (dag,) = shown["data"]["contents"]
    created = dag["end_time"]
    assert created <= dag["start_time"]
    for node in dag["nodes"]:
        if node["state"] == "PENDING":
            assert {node["start_time"], node["end_time"], *times(node["sub_tasks"])} == {created}
        if node["state"] == "RUNNING":
            assert dag["start_time"] <= node["start_time"] == node["end_time"]
            assert [each["end_time"] for each in node["sub_tasks"]] == [created]
            assert node["start_time"] <= node["sub_tasks"][0]["start_time"]

    joiner.troubles.release("deploy")
    cluster.good(cluster.over(first, out))


def test_unfinished_tasks_of_agents_come_first_in_the_order_of_the_members(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/stop", scope(second, force=True))))
    joiner.troubles.hold("deploy")
    second.troubles.hold("start")
    try:
        out = cluster.at(first, cluster.scale_out(second, joiner), "Wait remote deploy finish")
        start = cluster.at(second, cluster.ask(second, "/ob/start", scope(second)), "Wait for all agents to execute tasks successfully")
        held = {first: ["Start observer"], second: ["Start OB", "Start observer"]}
        expected = [(str(host.address.port), name) for host in sorted(held, key=_number) for name in held[host]]
        for host in (first, second):
            shown = answer(host, "/dag/unfinish")["data"]["contents"]
            assert [(_port(dag["id"]), dag["name"]) for dag in shown] == [*expected, ("", "Cluster scale out")]
    finally:
        second.troubles.release("start")
        joiner.troubles.release("deploy")
    cluster.good(cluster.over(second, start))
    cluster.good(cluster.over(first, out))


def _number(host: Host) -> int:
    return host.address.port


def _port(text: str) -> str:
    """Of the agent that a generic id names."""
    return text[11:16].lstrip("0") if text.startswith("2") else ""
