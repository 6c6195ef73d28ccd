"""What was recorded for requests that are wrong, asked again of oboe: status, code, members, headers.

The wanted differences are a table; everything else must be the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from oboe.domain.errors import Refused, Unreachable
from oboe.domain.values import Address, Identity
from oboe.remote import secrecy

from .client import Received, send, send_raw
from .differences import row
from .exchanges import Exchange
from .fakes import PAIR, FakeControl, FakeKeys, served
from .importer import view_of

RECORDING = Path(__file__).parent.parent / "data" / "recordings" / "obshell" / "50_http_errors.jsonl"
SCALE_OUT = RECORDING.with_name("20_scaleout_existing_zone.jsonl")
CLUSTER_AGENT, SINGLE = "127.0.0.1:3886", "127.0.0.1:3893"

LATER = ("/rpc/v1/",)
"""The original agents' own interface."""

BAD_IP = 'body {"agentInfo": {"ip": "127.0.0.300", "port": 3886}, "zoneName": "z"}'

WANTED: Mapping[tuple[str, str], tuple[int, str, str]] = {
    # agent, note: (status, errCode, the row of the wanted differences)
    (CLUSTER_AGENT, "/api/v1/task/dag/20000000001028861"): (404, "Task.NotFound", row("ids with a leading zero octet, `::1`")),
    (SINGLE, "/api/v1/task/dag/20000000001028861"): (404, "Task.NotFound", row("ids with a leading zero octet, `::1`")),
    (CLUSTER_AGENT, "/api/v1/task/node/11?show_details=false"): (200, "", row("`GET node` with details off")),
    (CLUSTER_AGENT, "ts far future"): (401, "Security.Authentication.Timestamp.Invalid", row("header: `Ts` more than ten minutes ahead")),
    (CLUSTER_AGENT, "raw plain body with header"): (
        401,
        "Security.Authentication.Header.DecryptFailed",
        row("header or body that cannot be decrypted"),
    ),
    (SINGLE, "/api/v1/task/dag/1+1"): (404, "Task.NotFound", row("ids with a sign, `1+1`")),
    (SINGLE, "/api/v1/task/dag/1%2B1"): (404, "Task.NotFound", row("ids with a sign, `1+1`")),
    (CLUSTER_AGENT, BAD_IP): (400, "Common.InvalidIp", row("`agentInfo.ip` that is no address")),
    (SINGLE, BAD_IP): (400, "Common.InvalidIp", row("`agentInfo.ip` that is no address")),
    (CLUSTER_AGENT, "raw cipher length"): (
        401,
        "Security.Authentication.Header.DecryptFailed",
        row("header or body that cannot be decrypted"),
    ),
    (CLUSTER_AGENT, "raw short keys"): (
        401,
        "Security.Authentication.Header.DecryptFailed",
        row("header or body that cannot be decrypted"),
    ),
    (SINGLE, "raw plain body with header"): (
        401,
        "Security.Authentication.Header.DecryptFailed",
        row("header or body that cannot be decrypted"),
    ),
    (SINGLE, "raw cipher length"): (401, "Security.Authentication.Header.DecryptFailed", row("header or body that cannot be decrypted")),
    (SINGLE, "raw short keys"): (401, "Security.Authentication.Header.DecryptFailed", row("header or body that cannot be decrypted")),
    (SINGLE, "/api/v1/task/dags/ob?show_details=false"): (
        400,
        "Agent.Identify.NotSupportOperation",
        row("`dags/ob`, `dag/ob/unfinish` outside a cluster"),
    ),
    (SINGLE, "/api/v1/task/dag/maintain/agents?show_details=false"): (200, "", row("`maintain/agents` without an own dag, `main_dags`")),
    (SINGLE, "/api/v1/task/dag/2213070643303886999"): (404, "Task.NotFound", row("ids that name strangers")),
}


def difference_of(exchange: Exchange) -> str:
    """The row that exempts it; empty when it must be the same."""
    if exchange.uri.startswith("/rpc/v1/"):
        return row("`/rpc/v1`")
    return WANTED.get((exchange.agent, exchange.note), (0, "", ""))[2]


def exchanges() -> Iterator[dict[str, Any]]:
    """Each situation once; wrong addresses of agents to join are the use cases' affair."""
    seen = set()
    for line in RECORDING.read_text().splitlines():
        exchange = json.loads(line)
        request = exchange["request"]
        key = (exchange["agent"], exchange["note"], request["method"], request["uri"])
        if key not in seen and not request["uri"].startswith(LATER):
            seen.add(key)
            yield exchange


def _agent(name: str) -> FakeControl:
    """The agent of the recording, as far as these requests can tell."""
    held = []
    for line in SCALE_OUT.read_text().splitlines():
        text = json.loads(line)["response"]["text"]
        data = json.loads(text).get("data") or {} if text else {}
        if data.get("name") == "Cluster scale out" and data["id"] == "11" and data["state"] == "SUCCEED":
            held = [view_of(data)]
    member = name == CLUSTER_AGENT
    keys = FakeKeys(who=Identity.CLUSTER_AGENT if member else Identity.SINGLE, root="pw1" if member else None)
    control = FakeControl(keys=keys, here=Address.parse(name))
    if member:
        view = held[0]
        control.held = [(view.dag, view.logs or ())]
        control.raises |= {"newest_agent_maintenance": Refused("task.no_agent_maintenance", "none")}
    _teach(control)
    return control


def _teach(control: FakeControl) -> None:
    """The refusals of the use cases that the recording walks into."""
    member = control.keys.who is Identity.CLUSTER_AGENT

    def identity(*_: Any) -> Any:
        raise Refused("agent.wrong_identity", "an agent of another identity does this")

    def operate(ref: Any, operator: str) -> Any:
        raise Refused("retry.not_failed" if ref.kind == "dag" else "node_pass.dag_not_failed", "it is not FAILED")

    def scale_out(*_: Any) -> Any:
        raise Refused("agent.unavailable", "it does not answer") if member else Refused("agent.wrong_identity", "SINGLE")

    def configure_observer(settings: Any, *_: Any) -> Any:
        raise Refused("config.denied", "zone is not set here")

    def configure_cluster(*_: Any) -> Any:
        raise Refused("cluster.id_invalid", "0 is not above 0")

    def init(*_: Any) -> Any:
        raise Refused("cluster.already_initialized", "it runs") if member else Refused("agent.wrong_identity", "SINGLE")

    def join(master: Address, *_: Any) -> Any:
        raise Refused("agent.wrong_identity", "CLUSTER AGENT")

    def remove(agent: Address) -> Any:
        return None if not member and agent == control.here else identity()

    def scale_in(agent: Address, *_: Any) -> Any:
        if not member:
            identity()
        if agent == control.here:
            raise Refused("server.is_self", "it is this agent's own")

    def start(scope: str, target: Any, *_: Any) -> Any:
        if scope != "GLOBAL" and not target:
            raise Refused("scope.empty", "it names no target")
        if "127.0.0.1:3999" in target:
            raise Refused("agent.unknown", "it is no member")
        if not member:
            identity()

    def stop(scope: str, target: Any, force: bool, terminate: bool, *_: Any) -> Any:
        start(scope, target)
        raise Refused("stop.mode_conflict" if force and terminate else "stop.all", "everything would stop")

    control.makes = {
        "scale_in": scale_in,
        "start": start,
        "stop": stop,
        "delete_zone": lambda zone: None if member else identity(),
        "operate": operate,
        "scale_out": scale_out,
        "configure_observer": configure_observer,
        "configure_cluster": configure_cluster,
        "init": init,
        "join": join,
        "remove": remove,
    }
    found = control.dag

    def dag(ref: Any, *, details: bool = True, asked_at: float | None = None) -> Any:
        if ref.agent is not None and ref.agent.port == 9777:
            raise Unreachable("agent.unreachable", "connection refused")
        if not member and ref.agent is None:
            raise Refused("cluster.none", "no cluster")
        return found(ref, details=details)

    control.dag = dag  # type: ignore[method-assign]
    if not member:
        control.raises["newest_cluster_maintenance"] = Refused("cluster.none", "no cluster")


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with served(_agent(CLUSTER_AGENT)) as one, served(_agent(SINGLE)) as other:
        yield {CLUSTER_AGENT: one.port, SINGLE: other.port}


def ask(port: int, exchange: Mapping[str, Any]) -> Received:
    """Send what was sent, encrypted for this agent."""
    request, note, agent = exchange["request"], exchange["note"], exchange["agent"]
    method, uri, body = request["method"], request["uri"], request.get("body")
    if "headers" in request:
        return _ask_raw(port, exchange)
    right = "pw1" if agent == CLUSTER_AGENT else ""
    password = right if request["password"] == "right" else "other"
    if note == "wrong password":
        password = "wrong"
    seconds = {"expired ts": -5, "ts far future": 7_000_000_000}.get(note, 60)
    other = "/api/v1/other" if "uri" in note and "mismatch" in note else None
    return send(port, method, uri, body, password=password, header=request["header"], uri=other, valid_seconds=seconds)


def _ask_raw(port: int, exchange: Mapping[str, Any]) -> Received:
    request, note = exchange["request"], exchange["note"]
    headers, body = dict(request["headers"] or {}), (request["body"] or "").encode()
    if note in ("raw plain body with header", "raw cipher length", "raw short keys"):
        password = "pw1" if exchange["agent"] == CLUSTER_AGENT else ""
        sealed = secrecy.seal_request(PAIR.public_key, password=secrecy.Secret(password), uri=request["uri"])
        headers = {"X-OCS-Header": sealed.header}
    return send_raw(port, request["method"], request["uri"], headers, body)


ALL = list(exchanges())


@pytest.mark.parametrize("exchange", ALL, ids=[f"{each['agent'][-4:]} {each['note']}" for each in ALL])
def test_a_wrong_request_is_answered_as_recorded(ports: dict[str, int], exchange: dict[str, Any]) -> None:
    received = ask(ports[exchange["agent"]], exchange)
    recorded = exchange["response"]
    wanted = WANTED.get((exchange["agent"], exchange["note"]))
    if wanted is not None:
        assert received.status == wanted[0]
        assert not wanted[1] or received.code == wanted[1]
        return
    if exchange["agent"] == CLUSTER_AGENT and exchange["request"]["uri"].endswith("maintain/agent") and recorded["status"] == 200:
        assert received.status == 404  # this stand-in has no maintenance dag of its own
        return
    assert received.status == recorded["status"], received.body
    assert received.headers.get("location") == recorded["headers"].get("Location")
    if recorded["headers"].get("Content-Type"):
        assert received.headers.get("content-type") == recorded["headers"]["Content-Type"]
    if recorded["status"] in (204, 301, 307) or not recorded["text"].startswith("{"):
        assert received.body == recorded["text"].encode()
        return
    envelope = json.loads(recorded["text"])
    shown = received.envelope
    assert list(shown) == list(envelope)
    assert bool(shown["traceId"]) == bool(envelope["traceId"])
    if "error" in envelope:
        assert list(shown["error"]) == list(envelope["error"])
        assert (shown["error"]["errCode"], shown["error"].get("code")) == (envelope["error"]["errCode"], envelope["error"].get("code"))
        assert shown.get("data", "none") == envelope.get("data", "none")


def test_every_wanted_difference_was_met() -> None:
    assert set(WANTED) <= {(each["agent"], each["note"]) for each in ALL}


def test_a_trace_id_is_kept(ports: dict[str, int]) -> None:
    received = send_raw(ports[SINGLE], "GET", "/api/v1/info", {"X-OBSHELL-Trace-ID": "my-trace"})
    assert received.envelope["traceId"] == "my-trace"
