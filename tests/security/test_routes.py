"""Whatever an agent answers to is declared here; what is not public asks who is there, on every way in."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from oboe.api.obshell import app as obshell
from oboe.api.ocp import app as ocp
from oboe.api.own import app as own
from oboe.kit.secret import Secret
from oboe.remote.handshake import ACCEPT, DISMISS, JOIN, LEAVE, MAY_JOIN, NOTHING_SHARED, OFFER
from oboe.remote.messages import decode_error
from oboe.remote.sealing import HEADER, SEAL, seal
from tests.api.client import Received, send_raw
from tests.api.living import Living, living, stored

PUBLIC = {
    "GET /api/v1/git-info",
    "GET /api/v1/info",
    "GET /api/v1/secret",
    "GET /api/v1/status",
    "POST /api/v1/status",
    "GET /api/v1/time",
    "GET /oboe/v1/ready",
    "POST /api/v2/iam/login",
}
PREFIXES = {"/api/v1", "/rpc/v1", "/oboe/v1", "/api/v2", "/openapi.json", "/docs", "/rpc/v1/join", "/rpc/v1/leave", "/rpc/v1/enlist"}
HANDSHAKES = (MAY_JOIN, JOIN, LEAVE, OFFER, ACCEPT, DISMISS)
TABLES = ((obshell.PREFIX, obshell.ROUTES), (own.PREFIX, own.ROUTES), (ocp.PREFIX, ocp.ROUTES))
ROUTES = [(route.method, prefix + route.path, route.public) for prefix, routes in TABLES for route in routes]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """An agent with a password."""
    with living(tmp_path_factory.mktemp("agent")) as agent:
        agent.agent.local.remember(agent_password=Secret("known to few"))
        yield agent


def test_the_public_routes_are_these() -> None:
    assert {f"{method} {path}" for method, path, public in ROUTES if public} == PUBLIC
    assert len(ROUTES) > 80


def test_nothing_else_is_answered_on_the_port(one: Living) -> None:
    """An application under a prefix of its own is declared here, with the test that says who may ask it."""
    assert set(one.agent.faces.api.prefixes) == PREFIXES


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, public in ROUTES if not public])
def test_a_route_asks_who_is_there(one: Living, method: str, path: str) -> None:
    target = "/".join("11" if part.startswith(":") else part for part in path.split("/"))
    cookie = {"Cookie": "OBOE_SESSION=x", "Origin": f"http://127.0.0.1:{one.port}"}
    for headers in ({}, {"Authorization": ""}, cookie, {"Authorization": "Bearer x"}):
        received = send_raw(one.port, method, target, headers, b"{}" if method in ("POST", "PUT", "PATCH") else b"")
        assert (received.status, refusal(received)) in ((400, "Request.Header.NotFound"), (401, 30000)), (method, target, received.body)


def refusal(received: Received) -> str | int:
    error = received.envelope["error"]
    return str(error["errCode"]) if "errCode" in error else int(error["code"])


def test_handshakes_open_to_nobody_without_the_password(one: Living) -> None:
    before = stored(one.agent.home)
    for path in HANDSHAKES:
        assert send_raw(one.port, "POST", path, {}, b"{}").status == 401, path
        assert send_raw(one.port, "GET", path).status == 405, path
        sealed = seal(one.agent.keys.public_key(), path, b"{}", password=Secret("wrong"))
        refused = send_raw(one.port, "POST", path, {HEADER: sealed.header, SEAL: sealed.seal}, sealed.body)
        if path in (LEAVE, DISMISS):  # a secret that both know is asked for, and there is none
            assert (refused.status, json.loads(refused.body)["code"]) == (401, NOTHING_SHARED)
        else:
            answer = sealed.open_answer(refused.status, refused.headers[SEAL.lower()], refused.body)
            assert decode_error(answer).code == "auth.agent_password", path
    assert stored(one.agent.home) == before


def test_the_port_of_agents_speaks_to_holders_of_a_certificate_only(tmp_path: Path) -> None:
    with living(tmp_path) as one:
        one.become_master()
        stranger = ssl.create_default_context(cadata=one.agent.local.text("authority_certificate"))
        assert answer_without_certificate(one.agent.local.rpc_port, stranger) == b""


def answer_without_certificate(port: int, context: ssl.SSLContext) -> bytes:
    """TLS 1.3 tells a client only when it reads that its certificate was missed, if it is told at all."""
    with (
        suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as stream,
    ):
        stream.sendall(b"POST /rpc/v1/agent.status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        return stream.recv(100)
    return b""
