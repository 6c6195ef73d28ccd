"""The public reference pages: their members, types and order are a subset of what oboe answers, with the relations of their times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from .client import get
from .fakes import FakeControl
from .importer import view_of
from .pages import assert_subset, digits, page, shanghai, times


@pytest.fixture(autouse=True)
def _there() -> Iterator[None]:
    with shanghai():
        yield


def hold(control: FakeControl, wire: Mapping[str, Any]) -> None:
    """Let the agent have the dag of a page; pages are older than the ``maintenance_*`` members."""
    view = view_of({**wire, "maintenance_type": 2, "maintenance_key": ""})
    home = view.dag.home.agent
    control.here = home or control.here
    control.held.append((view.dag, view.logs or ()))


def test_the_page_of_the_last_cluster_task(control: FakeControl, port: int) -> None:
    expected = page("last_cluster_task")
    hold(control, expected["data"])
    shown = get(port, "/api/v1/task/dag/maintain/ob").envelope
    assert_subset(shown, expected)
    assert (shown["data"]["start_time"], shown["data"]["end_time"]) == (expected["data"]["start_time"], expected["data"]["end_time"])
    assert digits(shown["data"]) == digits(expected["data"]) == 6


def test_the_page_of_the_last_agent_task(control: FakeControl, port: int) -> None:
    expected = page("last_agent_task")
    hold(control, expected["data"])
    shown = get(port, "/api/v1/task/dag/maintain/agent").envelope
    assert_subset(shown, expected)
    assert (shown["data"]["start_time"], shown["data"]["end_time"]) == (expected["data"]["start_time"], expected["data"]["end_time"])
    assert digits(shown["data"]) == digits(expected["data"]) == 9


def test_the_page_of_unfinished_tasks(control: FakeControl, port: int) -> None:
    expected = page("unfinished_tasks")
    wire = expected["data"]["contents"][0]
    hold(control, wire)
    shown = get(port, "/api/v1/task/dag/unfinish?show_details=true").envelope
    assert_subset(shown, expected)
    dag = shown["data"]["contents"][0]
    assert dag["end_time"] <= dag["start_time"]
    for node in dag["nodes"]:
        if node["state"] == "PENDING":
            assert {node["start_time"], node["end_time"], *times(node["sub_tasks"])} == {dag["end_time"]}
        if node["state"] == "RUNNING":
            assert node["start_time"] == node["end_time"]


def test_local_dags_come_before_the_clusters(control: FakeControl, port: int) -> None:
    hold(control, page("last_cluster_task")["data"])
    hold(control, page("last_agent_task")["data"])
    shown = get(port, "/api/v1/task/dag/unfinish").data["contents"]
    assert [each["id"][0] for each in shown] == ["2", "1"]


def test_show_detail_of_the_page_and_show_details_of_its_sample_both_count(control: FakeControl, port: int) -> None:
    hold(control, page("unfinished_tasks")["data"]["contents"][0])
    route = "/api/v1/task/dag/unfinish"
    shown = {
        query: get(port, f"{route}?{query}").data["contents"][0]["nodes"] is not None
        for query in ("show_detail=true", "show_detail=false", "show_details=0", "show_details=", "show_details=T&show_detail=f")
    }
    assert list(shown.values()) == [True, False, False, False, True]
    assert [get(port, f"{route}?{query}").status for query in ("show_details=yes", "show_detail=2")] == [400, 400]
