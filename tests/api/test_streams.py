"""A stream whose agent meets trouble, and more listeners than an agent has room for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from oboe.api.obshell.ids import encode
from oboe.api.own import events
from oboe.api.shared.bounds import Bounds
from oboe.control.views import DagView, Ref, Seen, WaitView
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.messages import Level, LogLine
from oboe.domain.records import LogRecord
from oboe.domain.values import HomeKind

from .fakes import FakeControl, served
from .sse import listening
from .test_sdk import failed_scale_in, hold

AWAY = Unreachable("agent.unreachable", "it does not answer")
GONE = Refused("task.not_found", "it has been forgotten")


@dataclass
class Scripted:
    """Answers one look after the other."""

    looks: list[DagView | OboeError]
    seen: list[Seen] = field(default_factory=list)

    def look(self, ref: Ref, seen: Seen, seconds: float) -> DagView:
        self.seen.append(seen)
        now = self.looks.pop(0)
        if isinstance(now, OboeError):
            raise now
        return now

    def waits(self, ref: Ref) -> list[WaitView]:
        return []


def told(chunks: Iterator[bytes]) -> list[tuple[str, Any]]:
    found = []
    for event in b"".join(chunks).decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


@pytest.fixture
def view() -> DagView:
    dag = failed_scale_in().dag
    return DagView(dag, (LogRecord(7, 0, 1, LogLine(0, 1, Level.INFO, "once")),))


def test_trouble_is_told_once_and_no_line_twice_and_what_is_gone_ends_it(monkeypatch: pytest.MonkeyPatch, view: DagView) -> None:
    monkeypatch.setattr(events.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(events.fold, "settled", lambda dag: False)
    control = Scripted([AWAY, AWAY, DagView(view.dag, ()), AWAY, GONE])
    ref = Ref("dag", HomeKind.CLUSTER, None, view.dag.id)
    found = told(events._Teller(control, ref, 0).chunks(view))  # type: ignore[arg-type]
    assert [name for name, _ in found] == ["line", "dag", "trouble", "trouble", "trouble"]
    assert [data["code"] for name, data in found if name == "trouble"] == [AWAY.code, AWAY.code, GONE.code]
    assert {seen.line for seen in control.seen} == {7}, "every look asks for what comes after the line that was told"


def test_more_listeners_than_there_is_room_for_are_refused_and_room_is_given_back(view: DagView) -> None:
    control = FakeControl()
    dag_id = encode(view.dag.home, hold(control, view).id)
    control.look = _for_ever(control)  # type: ignore[method-assign]
    with served(control, bounds=Bounds(streams_max=1)) as serving:
        agent = type(control.here)("127.0.0.1", serving.port)
        with listening(agent, dag_id, password="pw1") as first:
            assert (first.status, first.readline()) == (200, b"retry: 1000\n")
            with listening(agent, dag_id, password="pw1") as second:
                assert second.status == 503
                assert json.loads(second.read())["error"]["message"].startswith("too many requests")


def _for_ever(control: FakeControl) -> Callable[[Ref, Seen, float], DagView]:
    def look(ref: Ref, seen: Seen, seconds: float) -> DagView:
        return DagView(control.dag(ref).dag, ())

    return look
