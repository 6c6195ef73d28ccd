"""A dag as server-sent events: heard from a real agent, told when it happens, and taken up again where the listener was cut off."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest

from oboe.api.obshell.ids import encode
from oboe.api.own.events import pause_after
from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from tests.api.sse import Event, listening, told

from .conftest import WAIT, Place, born


def _sub_task(place: Place, dag: Dag) -> Any:
    """As OBShell's API shows it."""
    connection = http.client.HTTPConnection(place.agent.address.ip, place.agent.address.port, timeout=WAIT)
    target = f"/api/v1/task/sub_task/{encode(dag.home, dag.sub_task_id(0))}"
    with closing(connection):
        connection.request("GET", "/api/v1/secret")
        key = json.loads(connection.getresponse().read())["data"]["public_key"]
        sealed = secrecy.seal_request(key, password=Secret(""), uri=target, body=b"", valid_seconds=60)
        connection.request("GET", target, headers={"X-OCS-Header": sealed.header})
        return json.loads(connection.getresponse().read())["data"]


def heard_at(place: Place, dag: Dag, *, after: str = "") -> AbstractContextManager[http.client.HTTPResponse]:
    return listening(place.agent.address, encode(dag.home, dag.id), after=after)


def test_a_listener_hears_of_every_line_and_state_and_of_the_end(place: Place) -> None:
    dag = place.start("Flaky trial")
    place.open("well")
    with heard_at(place, dag) as response:
        assert (response.status, response.headers["content-type"], response.headers["cache-control"]) == (
            200,
            "text/event-stream",
            "no-store",
        )
        events = list(told(response))
    lines = [event.data for event in events if event.name == "line"]
    assert [(line["node"], line["attempt"], line["text"]) for line in lines] == [("flaky", 1, "attempt 1")]
    last = [event for event in events if event.name == "dag"][-1]
    assert (last.data["state"], [each["state"] for each in last.data["sub_tasks"]]) == ("SUCCEEDED", ["SUCCEEDED"])
    assert (events[-1].name, events[-1].data) == ("end", {"state": "SUCCEEDED"})


def test_it_is_told_what_the_dag_waits_for_and_when_that_is_over(place: Place) -> None:
    dag = place.start("Trial")
    with heard_at(place, dag) as response:
        events = told(response)
        first = next(event for event in events if _waits(event))
        assert [(wait["why"], wait["sub_task"]) for wait in _waits(first)] == [("the file first", encode(dag.home, dag.sub_task_id(0)))]
        place.open("first")
        assert next(event for event in events if [wait["why"] for wait in _waits(event)] == ["the file second"])
        place.open("second")
        assert next(event for event in events if event.name == "end").data == {"state": "SUCCEEDED"}


def test_progress_is_told_by_every_face(place: Place) -> None:
    dag = place.start("Measured trial")
    progress = {"done": 3, "total": 12, "unit": "files"}
    with heard_at(place, dag) as response:
        tasks = (event.data["sub_tasks"][0] for event in told(response) if event.name == "dag")
        assert next(task for task in tasks if task["additional"])["additional"] == {"progress": progress}
    shown = place.json("task", "show", encode(dag.home, dag.id))
    assert shown["additional_data"]["progress"] == progress
    assert "3 of 12 files, 25 %" in place.cli("task", "show", encode(dag.home, dag.id)).stdout
    deadline = time.monotonic() + WAIT
    while "oboe" not in (told_data := _sub_task(place, dag)["additional_data"]):
        assert time.monotonic() < deadline, told_data
        threading.Event().wait(0.02)
    assert told_data["progress"] == progress
    assert (told_data["oboe"]["waits_for"], told_data["oboe"]["gives_up"] > "2026") == ("the file only", True)
    place.open("only")
    place.until(dag, fold.settled)
    assert _sub_task(place, dag)["additional_data"] == {"progress": progress}


def test_who_comes_back_gets_the_lines_that_it_missed_and_no_other(place: Place) -> None:
    dag = place.start("Flaky trial")
    place.until(dag, lambda now: fold.dag_state(now).name == "FAILED")
    with heard_at(place, dag) as response:
        heard = next(event for event in told(response) if event.name == "line")
    place.open("well")
    place.cli("task", "retry", encode(dag.home, dag.id))
    with heard_at(place, dag, after=heard.id) as response:
        again = list(told(response))
    lines = [(event.data["attempt"], event.data["seq"]) for event in again if event.name == "line"]
    assert (heard.data["attempt"], heard.data["seq"]) == (1, 0)
    assert lines[0] == (1, 1)
    assert lines == sorted(set(lines))
    assert lines[-1][0] == place.dag(dag).sub_tasks[0].attempt
    with heard_at(place, dag, after=again[-1].id) as response:
        assert response.status == 204, "nothing is left to tell: a browser does not come back after that"


@pytest.mark.parametrize("after", ["nonsense", "1", "1.x", "-1.2", "9" * 60 + ".1", "1." + "9" * 30])
def test_an_id_that_no_event_has_is_refused_before_the_stream_begins(place: Place, after: str) -> None:
    dag = place.start("Trial")
    with heard_at(place, dag, after=after) as response:
        assert response.status == 400
        assert json.loads(response.read())["error"]["errCode"] == "Request.Query.Param.Illegal"


def test_a_stream_ends_when_its_agent_stops(place: Place) -> None:
    dag = place.start("Trial")
    with heard_at(place, dag) as response:
        events = told(response)
        next(events)
        place.agent.stop(2.0)
        assert "end" not in [event.name for event in events]
    place.agent = born(place.gates.parent, playbooks=(place.gates.parent / "books",))
    place.agent.start()


def _waits(event: Event) -> list[Any]:
    if event.name == "dag":
        return list(event.data["waits"])
    return list(event.data) if event.name == "waits" else []


def test_who_looks_on_at_a_large_dag_takes_a_fifth_of_a_processor_at_most() -> None:
    assert [pause_after(worked) for worked in (0.0, 0.001, 0.1, 60.0)] == [0.02, 0.02, 0.4, 2.0]
