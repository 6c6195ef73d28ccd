"""What anybody could foresee has a code of its own: `Common.Unexpected` is for what nobody did, and for where the original says it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.values import Address
from oboe.remote.handshake import ask_public

from .client import get, send
from .exchanges import exchanges
from .fakes import FakeControl
from .living import living

ENGINE = "Task.Engine.Unexpected"
RPC = "Agent.RPC.RequestFailed"
SCALE_OUT = {"agentInfo": {"ip": "10.0.0.9", "port": 2886}, "zone": "zone1", "obConfigs": {}}


@pytest.mark.parametrize(
    ("error", "reading", "creating"),
    [
        (TryAgain("engine.busy", "x"), ENGINE, "Task.CreateFailed"),
        (TryAgain("engine.slow", "x"), ENGINE, "Task.CreateFailed"),
        (TryAgain("store.busy", "x"), ENGINE, "Task.CreateFailed"),
        (TryAgain("store.no_space", "x"), *["Environment.DiskSpaceNotEnough"] * 2),
        (Refused("store.unusable", "x"), *["Agent.Sqlite.DB.NotInit"] * 2),
        (TryAgain("leader.moving", "x"), *["Agent.Coordinator.IsFaulty"] * 2),
        (Unreachable("leader.unreachable", "x"), *["Agent.Coordinator.IsFaulty"] * 2),
        (TryAgain("cluster.primary_moved", "x"), *["Agent.OceanBase.Useless"] * 2),
        (TryAgain("database.busy", "x"), *["Agent.OceanBase.Useless"] * 2),
        (TryAgain("rpc.busy", "x"), RPC, RPC),
        (Refused("handshake.not_understood", "x"), RPC, RPC),
        (Refused("auth.expired", "x"), "Security.Authentication.Expired", RPC),
        (Refused("secrecy.undecipherable", "x"), "Security.Authentication.Header.DecryptFailed", RPC),
    ],
)
def test_a_condition_that_can_be_foreseen_has_its_code(
    control: FakeControl, port: int, error: OboeError, reading: str, creating: str
) -> None:
    control.raises["unfinished"] = control.raises["scale_out"] = error
    assert get(port, "/api/v1/task/dag/unfinish").code == reading
    assert send(port, "POST", "/api/v1/ob/scale_out", SCALE_OUT).code == creating


def test_to_join_nobody_is_answered_as_it_was_recorded_and_says_what_to_look_at(tmp_path: Path) -> None:
    recorded = [
        (each.status, each.code)
        for each in exchanges("70_join_remove.jsonl")
        if each.uri == "/api/v1/agent/join" and "refused" in str(each.envelope)
    ]
    assert recorded
    with living(tmp_path / "a") as agent:
        body = b'{"agentInfo":{"ip":"127.0.0.1","port":1},"zoneName":"zone1"}'
        received = agent.send("POST", "/api/v1/agent/join", body)
    assert recorded == [(received.status, received.code)]
    assert "data" not in received.envelope
    assert received.envelope["error"]["message"].startswith("127.0.0.1:1 cannot be reached: ")
    assert received.envelope["error"]["message"].endswith("(is it running, and is the address right?)")


@pytest.mark.parametrize(("state", "code"), [(0, "OB.Server.Process.NotExist"), (1, "Agent.OceanBase.NotHold")])
def test_where_nothing_can_be_read_because_no_database_runs_that_is_said_as_it_was_recorded(
    control: FakeControl, port: int, state: int, code: str
) -> None:
    control.database_state = state
    for name in ("dag", "newest_cluster_maintenance", "unfinished_cluster", "cluster_dags"):
        control.raises[name] = Refused("cluster.no_database", "nobody answers")
    recorded = {each.uri: each for each in exchanges("31_stop_start.jsonl") if each.code == "OB.Server.Process.NotExist"}
    assert len(recorded) == 3
    for uri, each in recorded.items():
        received = get(port, uri)
        assert (received.status, received.code) == (each.status, code)
        assert {"data": None, **received.envelope}["data"] == {"data": None, **each.envelope}["data"]
        assert ("data" in received.envelope) == ("data" in each.envelope)
    assert get(port, "/api/v1/task/node/11").code == code


@pytest.fixture
def dripping() -> Iterator[Address]:
    """Somebody who sends the head of an answer byte by byte, and never ends."""
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            try:
                while not stop.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1])
        stop.set()
        thread.join(10)


def test_who_drips_is_waited_for_no_longer_than_who_is_silent(dripping: Address) -> None:
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="does not answer in time"):
        ask_public(dripping, "/api/v1/info", timeout=1.0)
    assert time.monotonic() - begun < 10.0
