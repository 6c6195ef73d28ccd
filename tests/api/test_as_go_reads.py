"""What a client may send that is not how the vendor's libraries send it, and what the original's language reads all the same."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any

import pytest

from oboe.api.app import app
from oboe.api.obshell.cluster import ObserverConfig
from oboe.api.obshell.life import Stop
from oboe.api.obshell.members import as_named
from oboe.control.views import ClusterView, ServerView
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.remote import secrecy

from .client import Received, get, send, send_raw
from .fakes import PAIR, FakeControl, FakeKeys, served
from .test_auth import in_session, opened
from .test_sdk import created

ROOT = "X-OCS-Header"
LIST = "/api/v1/task/dag/agent/unfinish"


def header(uri: str, *, password: str = "pw1") -> str:
    return secrecy.seal_request(PAIR.public_key, password=Secret(password), uri=uri).header


def raw(port: int, target: bytes, *headers: bytes) -> bytes:
    """The status line and what follows, of a request that no client library would make."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: a", b"Connection: close", *headers, b"", b""]))
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


# Names of members


def test_members_of_a_body_are_found_whatever_their_case() -> None:
    body = json.dumps({"Scope": {"TYPE": "ZONE", "Target": ["z"]}, "FORCE": True, "forcepassdag": {"ID": ["11"]}, "Other": 1}).encode()
    named = {"scope": {"type": "ZONE", "target": ["z"]}, "force": True, "forcePassDag": {"id": ["11"]}, "Other": 1}
    assert json.loads(as_named(body, Stop)) == named


def test_names_that_a_client_chose_stay_as_they_are() -> None:
    body = b'{"OBSERVERCONFIG": {"Memory_Limit": "2G", "TYPE": 1}, "scope": {"type": "GLOBAL"}}'
    assert json.loads(as_named(body, ObserverConfig))["observerConfig"] == {"Memory_Limit": "2G", "TYPE": 1}


def test_a_body_that_is_named_well_is_read_as_it_is() -> None:
    for body in (b'{"scope": {"type": "ZONE"}, "x": 1}', b"[1]", b'"text"', b"{", b"nul", b"[" * 5000, b'{"scope": 5}'):
        assert as_named(body, Stop) is body
    assert as_named(b"", Stop) == b"{}"


def test_a_client_that_writes_its_names_large_is_understood(control: FakeControl, port: int) -> None:
    seen = created(control, "scale_out")
    body = {"AgentInfo": {"IP": "10.0.0.3", "Port": 2886}, "Zone": "zone3", "ObConfigs": {"Memory": "2G"}, "TargetAgentPassword": "tp"}
    assert send(port, "POST", "/api/v1/ob/scale_out", body).status == 200
    assert seen == [(Address("10.0.0.3", 2886), "zone3", {"Memory": "2G"}, Secret("tp"))]


# Base64 in lines


def _in_lines(text: bytes) -> bytes:
    return base64.encodebytes(base64.b64decode(text))


def _with_an_end(text: bytes) -> bytes:
    return text + b"\r\n"


@pytest.mark.parametrize("wrap", [_in_lines, _with_an_end])
def test_a_body_may_come_in_lines(control: FakeControl, port: int, wrap: Any) -> None:
    target = "/api/v1/task/dag/11"
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw1"), uri=target, body=b'{"operator":"RETRY"}' + b" " * 80)
    received = send_raw(port, "POST", target, {ROOT: sealed.header}, wrap(sealed.body))
    assert received.code == "Task.NotFound"


def test_keys_may_come_in_lines(control: FakeControl, port: int) -> None:
    keys = base64.encodebytes(secrecy.secrets.token_bytes(32)).decode()
    said = {"auth": "pw1", "ts": str(int(time.time()) + 60), "uri": LIST, "keys": keys}
    assert send_raw(port, "GET", LIST, {ROOT: secrecy.seal_text(PAIR.public_key, json.dumps(said).encode())}).status == 200


# The request line and its headers


@pytest.mark.parametrize("target", [LIST + "?", LIST + "?&", LIST + "?show_details", LIST + "?a=%zz", "/api/v1/task/dag/%61gent/unfinish"])
def test_the_target_is_compared_byte_for_byte(control: FakeControl, port: int, target: str) -> None:
    assert raw(port, target.encode(), f"{ROOT}: {header(target)}".encode()).startswith(b"HTTP/1.1 200 ")
    refused = raw(port, target.encode(), f"{ROOT}: {header(LIST)}".encode())
    assert b"Security.Authentication.Header.UriMismatch" in refused


def test_a_target_that_names_its_host_is_its_path(control: FakeControl, port: int) -> None:
    assert raw(port, b"http://agent:2886" + LIST.encode(), f"{ROOT}: {header(LIST)}".encode()).startswith(b"HTTP/1.1 200 ")


def test_a_target_that_is_no_http_is_refused_before_anybody_looks(control: FakeControl, port: int) -> None:
    for sent in ("/api/v1/ob/zone/östlich/stop/check".encode(), b"/api/v1/task/dag/\xff"):
        assert raw(port, sent).startswith(b"HTTP/1.1 400 ")
    assert control.asked == []


def test_blanks_around_a_header_are_no_part_of_it_and_the_first_of_two_counts(control: FakeControl, port: int) -> None:
    good, bad = header(LIST), header(LIST, password="no")
    assert raw(port, LIST.encode(), f"{ROOT}:  \t{good} \t ".encode()).startswith(b"HTTP/1.1 200 ")
    lines = (f"{ROOT}: {header(LIST)}".encode(), f"{ROOT}: {bad}".encode())
    assert raw(port, LIST.encode(), *lines).startswith(b"HTTP/1.1 200 ")
    assert raw(port, LIST.encode(), *reversed(lines)).startswith(b"HTTP/1.1 401 ")


def test_a_trace_id_is_kept_whatever_it_is(port: int) -> None:
    for given in (b"x" * 900, "Zürich → 東京".encode(), b'"}'):
        envelope = json.loads(raw(port, b"/api/v1/info", b"X-OBSHELL-Trace-ID: " + given).partition(b"\r\n\r\n")[2])
        assert envelope["traceId"] == given.decode()


def test_whatever_begins_like_the_api_is_answered_in_its_envelope(port: int) -> None:
    for path in ("/api/v10/info", "/api/v1x", "/rpc/v11"):
        assert send_raw(port, "GET", path).code == "Common.NotFound"


# Through a FOLLOWER


def through_a_follower(method: str, target: str, body: Any = None, **members: str) -> tuple[Received, bytes]:
    behind = app(FakeControl(keys=FakeKeys(who=Identity.MASTER, root="pw1")))
    control = FakeControl(keys=FakeKeys(who=Identity.FOLLOWER, root=None), master=behind.answer_forwarded)
    try:
        with served(control) as serving:
            return in_session(serving.port, method, target, body, **members)
    finally:
        behind.stop()


def test_a_login_through_a_follower_is_answered_with_its_keys() -> None:
    received, drawn = through_a_follower("POST", "/api/v1/login", auth="pw1")
    assert len(opened(received, drawn)) == 64


def test_a_follower_answers_for_one_time_tokens_itself() -> None:
    received, _ = through_a_follower("GET", "/api/v1/sso/exchange", ssotoken="f" * 64)
    assert received.code == "Security.SSO.Token.NotFound"


# Maps, which the original's language writes by name


def test_maps_are_in_the_order_of_their_names(control: FakeControl, port: int) -> None:
    def server(zone: str) -> ServerView:
        return ServerView(
            zone=zone, svr_ip="::1", svr_port=2, sql_port=1, agent_port=3, with_rootserver=False, status="ACTIVE", build_version="1"
        )

    servers = tuple(server(zone) for zone in ("zone2", "zone10", "zone1", "Zone3"))
    control.shown = ClusterView(id=7, name="one", version="1", members=(), servers=servers)
    topology = get(port, "/api/v1/ob/info").data["obcluster_info"]["topology"]
    assert list(topology) == ["Zone3", "zone1", "zone10", "zone2"]
    one = control.status()
    control.statuses = lambda **_: {Address("10.0.0.9", 1): one, Address("10.0.0.10", 1): one, Address("10.0.0.1", 1): None}  # type: ignore[method-assign]
    received = get(port, "/api/v1/agents/status")
    assert (list(received.data), received.headers["x-oboe-missing"]) == (["10.0.0.10:1", "10.0.0.9:1"], "10.0.0.1:1")


# A MASTER that nobody has configured yet


@pytest.mark.parametrize(
    ("agent", "name", "password", "code"),
    [
        (None, ROOT, "", ""),
        (None, ROOT, "x", "Security.Authentication.IncorrectOceanbasePassword"),
        (None, "X-OCS-Agent-Header", "whatever", ""),
        ("ap", ROOT, "", "Security.Authentication.WithAgentPassword"),
        ("ap", ROOT, "ap", "Security.Authentication.WithAgentPassword"),
        ("ap", "X-OCS-Agent-Header", "", "Security.Authentication.IncorrectAgentPassword"),
        ("ap", "X-OCS-Agent-Header", "ap", ""),
    ],
)
def test_a_new_master_asks_for_what_there_is(
    control: FakeControl, port: int, agent: str | None, name: str, password: str, code: str
) -> None:
    control.keys.who, control.keys.root, control.keys.agent = Identity.MASTER, None, agent
    received = get(port, LIST, header=name, password=password)
    assert ("" if received.status == 200 else received.code) == code
