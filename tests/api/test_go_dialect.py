"""Requests as the vendor's Go client makes them, and what it needs of the answers (`obshell-wire.md` §6.7): not that client itself.

Its header has capitalised members and is cut into pieces of 53 bytes; it knows `X-OCS-Header` alone; it writes ``show_details=true``;
times must be RFC 3339 to the letter, or the whole answer is lost; it sends again on the numbers 1, 10008 and 2 only.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oboe.remote import secrecy

from .client import Received, send_raw
from .fakes import PAIR, FakeControl
from .test_sdk import created, hold, recorded

_RFC_3339 = re.compile(r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def go(port: int, method: str, target: str, body: Any = None, *, password: str = "pw1") -> Received:
    keys = secrets.token_bytes(32)
    members = {
        "Auth": password,
        "Ts": str(int(time.time()) + 60),
        "Uri": target,
        "Keys": base64.b64encode(keys).decode(),
        "Token": "",
        "ForwardType": 0,
    }
    header = secrecy.seal_text(PAIR.public_key, json.dumps(members, separators=(",", ":")).encode())
    sealed = b"" if body is None else secrecy.seal_body(keys, json.dumps(body).encode())
    return send_raw(port, method, target, {"X-OCS-Header": header, "Content-Type": "application/json"}, sealed)


def times(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from times(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from times(each)
    elif name.endswith("_time") or name == "timestamp":
        yield value


@pytest.mark.parametrize(
    ("name", "state"), [("Cluster scale in", "FAILED"), ("Cluster scale in", "SUCCEED"), ("Cluster scale in", "READY")]
)
def test_a_dag_is_read_with_times_that_go_reads(control: FakeControl, port: int, name: str, state: str) -> None:
    operator = "PASS" if state == "SUCCEED" else "RUN"
    dag = hold(control, recorded(name, state, operator, file="42_scale_in_cancel_pass.jsonl"))
    for target in (
        f"/api/v1/task/dag/1{dag.id}?show_details=true",
        f"/api/v1/task/dag/1{dag.id}?show_details=false",
        f"/api/v1/task/node/1{dag.node_base}?show_details=true",
        f"/api/v1/task/sub_task/1{dag.sub_task_base}",
        "/api/v1/task/dag/unfinish?show_details=true",
        "/api/v1/task/dag/maintain/ob?show_details=true",
    ):
        received = go(port, "GET", target)
        assert received.status == 200, (target, received.body)
        found = list(times(received.envelope))
        assert found
        assert [each for each in found if not _RFC_3339.fullmatch(each)] == []


def test_an_operation_and_an_operator_are_taken(control: FakeControl, port: int) -> None:
    seen = created(control, "scale_out")
    body = {"agentInfo": {"ip": "10.0.0.3", "port": 2886}, "zone": "zone3", "obConfigs": {"memory_limit": "2G"}}
    assert go(port, "POST", "/api/v1/ob/scale_out", body).data["state"] == "READY"
    assert len(seen) == 1
    dag = hold(control, recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl"))
    control.makes["operate"] = lambda ref, operator: seen.append((ref.number, operator))
    assert go(port, "POST", f"/api/v1/task/dag/1{dag.id}", {"operator": "RETRY"}).status == 200
    assert seen[-1] == (dag.id, "RETRY")


def test_the_numbers_by_which_it_sends_again_are_there(control: FakeControl, port: int) -> None:
    wrong = go(port, "GET", "/api/v1/task/dag/unfinish", password="wrong")
    assert (wrong.status, wrong.envelope["error"]["code"]) == (401, 10008)
    torn = send_raw(port, "GET", "/api/v1/task/dag/unfinish", {"X-OCS-Header": base64.b64encode(b"x" * 256).decode()})
    assert (torn.status, torn.envelope["error"]["code"]) == (401, 1)
    assert "code" not in go(port, "GET", "/api/v1/task/dag/19").envelope["error"]
    info = send_raw(port, "GET", "/api/v1/info").data
    assert info["supportedAuth"] == ["v2"], "null, or no such member, would make it guess by the version"
