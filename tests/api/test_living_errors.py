"""What was recorded for bodies that are wrong, asked of agents that decide for themselves: the same status, code and ``data``.

`test_http_errors` compares envelopes over use cases that are told what to refuse; here it is their own order of checks that is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .living import Living, living
from .test_http_errors import RECORDING, SINGLE, WANTED

Asked = tuple[str, str, str, str]


def _bodies() -> Iterator[dict[str, Any]]:
    """What a SINGLE agent was asked with a body, each once."""
    seen: set[Asked] = set()
    for line in RECORDING.read_text().splitlines():
        exchange = json.loads(line)
        request = exchange["request"]
        key = (exchange["agent"], request["method"], request["uri"], exchange["note"])
        mine = exchange["agent"] == SINGLE and exchange["note"].startswith("body ")
        if mine and (SINGLE, exchange["note"]) not in WANTED and key not in seen:
            seen.add(key)
            yield exchange


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("single") / "a") as agent:
        yield agent


BODIES = list(_bodies())


@pytest.mark.parametrize("exchange", BODIES, ids=[f"{each['request']['uri']} {each['note']}" for each in BODIES])
def test_a_single_agent_refuses_in_the_order_of_the_original(single: Living, exchange: dict[str, Any]) -> None:
    request, recorded = exchange["request"], exchange["response"]
    body = json.dumps(request["body"]).replace(SINGLE.split(":")[1], str(single.port)).encode() if request["body"] is not None else b""
    received = single.send(request["method"], request["uri"], body)
    if recorded["status"] == 204:
        assert (received.status, received.body) == (204, b"")
        return
    envelope = json.loads(recorded["text"])
    assert (received.status, received.code) == (recorded["status"], envelope["error"]["errCode"]), received.body
    assert received.envelope.get("data", "none") == envelope.get("data", "none")


def test_most_recorded_bodies_are_compared() -> None:
    assert len(BODIES) >= 18


@pytest.mark.parametrize(
    ("route", "body", "code"),
    [
        ("/obcluster/config", {"clusterName": "c"}, "OB.Cluster.Id.Invalid"),
        ("/obcluster/config", {"clusterId": 1}, "OB.Cluster.Name.Empty"),
        ("/obcluster/config", {"clusterId": 1, "clusterName": "c"}, "Agent.Identify.NotSupportOperation"),
        ("/observer/config", {"observerConfig": {}, "scope": {"type": "GLOBAL"}}, "Common.IllegalArgument"),
        ("/observer/config", {"observerConfig": {"mysqlPort": 1, "mysql_port": 2}, "scope": {"type": "GLOBAL"}}, "Common.IllegalArgument"),
        ("/observer/config", {"observerConfig": {"a": "1"}, "scope": {"type": "WHAT"}}, "OB.Cluster.Scope.Invalid"),
        ("/observer/config", {"observerConfig": {"a": "1"}, "scope": {"type": "ZONE", "target": ["no"]}}, "OB.Zone.NotExist"),
        ("/observer/config", {"observerConfig": {"a": "1"}, "scope": {"type": "GLOBAL"}}, "Agent.Identify.NotSupportOperation"),
        ("/ob/stop", {"scope": {"type": "GLOBAL"}, "force": True, "terminate": True}, "Agent.Identify.NotSupportOperation"),
        ("/ob/start", {"scope": {"type": "GLOBAL"}}, "OB.Cluster.NotInitialized"),
        ("/ob/zone/z/stop", {}, "Agent.Identify.NotSupportOperation"),
    ],
)
def test_what_is_wrong_with_the_request_comes_before_what_is_wrong_with_the_agent(
    single: Living, route: str, body: dict[str, Any], code: str
) -> None:
    assert single.send("POST", f"/api/v1{route}", json.dumps(body).encode()).code == code


def test_a_new_master_with_an_agent_password_takes_no_empty_one(tmp_path: Path) -> None:
    with living(tmp_path / "a") as agent:
        agent.become_master()
        assert agent.send("POST", "/api/v1/agent/password", b'{"password":"ap"}').status == 200
        assert agent.send("GET", "/api/v1/task/dags/agent").code == "Security.Authentication.WithAgentPassword"
        agent.header, agent.password = "X-OCS-Agent-Header", "ap"
        assert agent.send("GET", "/api/v1/task/dags/agent").status == 200


@pytest.mark.parametrize(
    ("route", "more", "emergency", "expected"),
    [
        ("start", {}, True, (500, "OB.Server.HasNotBeenStarted")),
        ("start", {}, False, (400, "OB.Cluster.NotInitialized")),
        ("stop", {"force": True}, True, (500, "OB.Server.HasNotBeenStarted")),
        ("stop", {"force": True}, False, (400, "Agent.Identify.NotSupportOperation")),
        ("stop", {}, True, (400, "Agent.Identify.NotSupportOperation")),
    ],
)
def test_an_agent_that_never_had_a_database_says_so(
    single: Living, route: str, more: dict[str, Any], emergency: bool, expected: tuple[int, str]
) -> None:
    """Asked for its own server, over the port and (an emergency) over the unix socket."""
    here = single.agent.address
    body = json.dumps({"scope": {"type": "SERVER", "target": [str(here)]}, **more}).encode()
    if emergency:
        transport = httpx.HTTPTransport(uds=str(single.agent.port.socket))
        with httpx.Client(transport=transport, timeout=20) as client:
            answer = client.post(f"http://agent/api/v1/ob/{route}", content=body)
        assert (answer.status_code, answer.json()["error"]["errCode"]) == expected
    else:
        received = single.send("POST", f"/api/v1/ob/{route}", body)
        assert (received.status, received.code) == expected
