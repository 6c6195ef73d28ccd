"""The public reference pages: their members, types and order are a subset of what oboe answers, with the relations of their times."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from oboe.api.shared import envelope

from .client import get
from .fakes import FakeControl
from .importer import view_of

PAGES = Path(__file__).parent.parent / "data" / "seeds"
_FRACTION = re.compile(r"\.(\d+)[+Z-]")
_EDITED = ("id", "node_id", "task_id", "dag_id")
"""The pages' ids do not fit each other: they were edited."""


@pytest.fixture(autouse=True)
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pages were written there."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    envelope._second.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    envelope._second.cache_clear()


def page(name: str) -> dict[str, Any]:
    text = (PAGES / f"{name}.json").read_text()
    return json.loads(re.sub(r'"xxx[x.]*"', '"10.10.10.1"', text))  # type: ignore[no-any-return]


def hold(control: FakeControl, wire: Mapping[str, Any]) -> None:
    """Let the agent have the dag of a page; pages are older than the ``maintenance_*`` members."""
    view = view_of({**wire, "maintenance_type": 2, "maintenance_key": ""})
    home = view.dag.home.agent
    control.here = home or control.here
    control.held.append((view.dag, view.logs or ()))


def assert_subset(shown: Any, expected: Any, path: str = "") -> None:
    """Every member of the page is there, of the same type, in the page's order; what is no time and no edited id is equal."""
    name = path.rpartition(".")[2]
    assert type(shown) is type(expected), path
    if isinstance(expected, dict):
        assert [each for each in shown if each in expected] == list(expected), path
        for each in expected:
            assert_subset(shown[each], expected[each], f"{path}.{each}")
    elif isinstance(expected, list):
        assert len(shown) == len(expected), path
        for one, other in zip(shown, expected, strict=True):
            assert_subset(one, other, path)
    elif name.endswith("time") or name == "timestamp":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?\+08:00", shown), path
    elif name not in (*_EDITED, "traceId", "duration"):
        assert shown == expected, path


def times(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("start_time", "end_time"):
                yield each
            else:
                yield from times(each)
    elif isinstance(value, list):
        for each in value:
            yield from times(each)


def digits(value: Any) -> int:
    return max(len(match[1]) for text in times(value) if (match := _FRACTION.search(text)))


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
