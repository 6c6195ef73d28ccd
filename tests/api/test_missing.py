"""An agent that hangs delays nobody by more than 2 s, and the answer says that it is missing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret

from .client import Received, get
from .fakes import FakeControl
from .living import Living, living

WITHIN_SECONDS = 2.0 + 2.5
"""Two for who hangs, one for a machine that has other things to do."""


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who takes connections and never says anything, as a stopped process does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def agent(tmp_path: Path, silent: int) -> Iterator[Living]:
    """Of a cluster whose other members hang: one silently, one is gone."""
    with living(tmp_path / "a") as found:
        found.become_master()
        local = found.agent.local
        own = local.member(found.agent.address)
        assert own is not None
        hung = replace(own, address=Address("127.0.0.1", 9), rpc_port=silent, identity=Identity.FOLLOWER)
        gone = replace(own, address=Address("127.0.0.1", 10), rpc_port=1, identity=Identity.FOLLOWER)
        local.replace_members([own, hung, gone])
        yield found


def in_time(agent: Living, target: str) -> Received:
    begun = time.monotonic()
    received = agent.send("GET", target)
    assert time.monotonic() - begun < WITHIN_SECONDS
    assert received.status == 200, received.body
    return received


@pytest.mark.parametrize("route", ["/api/v1/task/dag/maintain/agents", "/api/v1/agents/status", "/api/v1/task/dag/agent/main_dags"])
def test_who_hangs_is_missing_and_named(agent: Living, route: str) -> None:
    received = in_time(agent, route)
    assert received.headers["x-oboe-missing"] == "127.0.0.1:9, 127.0.0.1:10"
    if route.endswith("agents"):
        assert [dag["name"] for dag in received.data["contents"]] == ["Join self"]
    if route.endswith("status"):
        assert list(received.data) == [str(agent.agent.address)]


def test_of_a_cluster_too(agent: Living) -> None:
    agent.agent.local.become(Identity.CLUSTER_AGENT, root_password=Secret(""))
    received = in_time(agent, "/api/v1/task/dag/unfinish")
    assert received.headers["x-oboe-missing"] == "127.0.0.1:9, 127.0.0.1:10"


def test_many_who_wait_for_one_that_hangs_wait_no_longer(agent: Living) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: in_time(agent, "/api/v1/task/dag/maintain/agents"), range(16)))
    assert {each.headers["x-oboe-missing"] for each in answers} == {"127.0.0.1:9, 127.0.0.1:10"}


def test_when_nobody_is_missing_nothing_is_said(control: FakeControl, port: int) -> None:
    routes = ("/api/v1/agents/status", "/api/v1/task/dag/unfinish", "/api/v1/task/dag/maintain/agents")
    assert [get(port, route).headers.get("x-oboe-missing") for route in routes] == [None] * 3
    control.missing = (Address("10.0.0.9", 2886), Address("::1", 2886))
    assert [get(port, route).headers.get("x-oboe-missing") for route in routes] == ["10.0.0.9:2886, [::1]:2886"] * 3
