"""The description of the interface is true: whatever it allows is read, whatever it forbids is refused, and every answer is as it says.

schemathesis asks, over HTTP, as a client of the library does: what it makes up is sealed on its way out. ``OBOE_FUZZ`` is how many examples
of each operation it makes up beyond its list of edge cases.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from requests.auth import AuthBase
from schemathesis.checks import CHECKS

from oboe.api.obshell import app as obshell
from oboe.api.obshell.openapi import document
from oboe.api.obshell.route import Routes
from oboe.api.own import app as own
from oboe.control.port import Caller
from oboe.control.views import Preview, Ref
from oboe.domain.errors import Refused
from oboe.domain.model import Dag
from oboe.kit.secret import Secret
from oboe.remote import secrecy

from .client import send_raw
from .fakes import PAIR, FakeControl, served
from .living import Living, living
from .test_sdk import hold, recorded

EXAMPLES = int(os.environ.get("OBOE_FUZZ", "4"))

EXEMPT: Mapping[str, str] = {
    "unsupported_method": "the original knows no 405: a path without such a method is not found",
    "ignored_auth": "it takes 401 alone for a refusal; the original's answer to no header is 400 (`test_hostile` asks every route)",
    "missing_required_header": "as above",
}
"""Checks that hold oboe against another contract than OBShell's."""


class Opened(FakeControl):
    """Use cases that refuse what they are documented to refuse, and take everything else."""

    def set_agent_password(self, password: Secret) -> None:
        """It stays as it is, or nobody could ask any more."""

    def preview_operator(self, ref: Ref, operator: str) -> Preview:
        if operator not in ("RETRY", "ROLLBACK", "CANCEL", "PASS"):
            raise Refused("operator.unknown", f"{operator!r} is no operator of a {ref.kind}")
        return super().preview_operator(ref, operator)

    def configure_observer(
        self, settings: Mapping[str, str], scope: str, target: Sequence[str], *, caller: Caller, dry_run: bool = False
    ) -> Dag:
        if scope.upper() not in ("GLOBAL", "ZONE", "SERVER"):
            raise Refused("scope.invalid", f"{scope!r} is no scope")
        return super().configure_observer(settings, scope, target, caller=caller, dry_run=dry_run)  # type: ignore[return-value]

    def configure_cluster(
        self, cluster_id: int, name: str, root_password: Secret, *, rs_list: str = "", caller: Caller, dry_run: bool = False
    ) -> Dag:
        if cluster_id < 0:
            raise Refused("cluster.id_invalid", "it is negative")
        return super().configure_cluster(cluster_id, name, root_password, rs_list=rs_list, caller=caller, dry_run=dry_run)  # type: ignore[return-value]


def _without_fractions(body: bytes) -> bytes:
    """JSON Schema takes 7.0 for an integer. Go does not, and so oboe does not: it is sent as 7."""
    try:
        return json.dumps(_whole(json.loads(body))).encode()
    except ValueError:
        return body


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {name: _whole(each) for name, each in value.items()} if isinstance(value, dict) else value


class Sealing(AuthBase):
    """Seals a request that is about to leave: its target and body as they are then."""

    def __init__(self, public_key: str = PAIR.public_key, password: str = "pw1") -> None:
        self._public_key = public_key
        self._password = Secret(password)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        body = _without_fractions(body)
        sealed = secrecy.seal_request(self._public_key, password=self._password, uri=request.path_url, body=body)
        request.headers["X-OCS-Header"] = sealed.header
        request.headers.pop("X-OCS-Agent-Header", None)
        request.prepare_body(sealed.body, None)
        return request


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    control = Opened()
    hold(control, recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl"))
    dag = control.held[0][0]
    operations = ("join", "remove", "configure_observer", "configure_cluster", "init", "scale_out")
    for name in (*operations, "scale_in", "start", "stop", "delete_zone"):
        control.makes[name] = lambda *_: dag
    with served(control) as serving:
        yield f"http://127.0.0.1:{serving.port}"


schema = schemathesis.openapi.from_dict(document(Routes(obshell.PREFIX, obshell.ROUTES)))


CHECKED = [check for check in CHECKS.get_all() if check.__name__ not in EXEMPT]


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
def test_every_operation_keeps_what_the_description_promises(case: Any, base_url: str) -> None:
    case.call_and_validate(base_url=base_url, auth=Sealing(), checks=CHECKED)


@pytest.fixture(scope="module", params=["SINGLE", "MASTER"])
def alive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """An agent that decides for itself."""
    with living(tmp_path_factory.mktemp("alive") / "a") as agent:
        if request.param == "MASTER":
            agent.become_master()
        yield agent


AS_IT_IS = ("not_a_server_error", "positive_data_acceptance", "negative_data_rejection")
"""What an agent refuses depends on what it is, and this interface says much of it with 500; the codes are looked at instead."""
ANSWERS = [check for check in CHECKED if check.__name__ not in AS_IT_IS]


@schema.exclude(path_regex=r"/agent(/join|/password)?$").parametrize()
@settings(max_examples=EXAMPLES // 4 or 1, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
def test_a_living_agent_answers_as_described(case: Any, alive: Living) -> None:
    """But for joins, which would look for agents at every address, and for the password that the others need."""
    if case.method != "GET":
        case.query = {**(case.query or {}), "dry_run": "true"}
    answer = case.call(base_url=f"http://127.0.0.1:{alive.port}", auth=Sealing(alive.agent.keys.public_key(), ""))
    case.validate_response(answer, checks=ANSWERS)
    if answer.status_code >= 500:
        assert answer.json()["error"]["errCode"] != "Common.Unexpected", answer.text


def test_the_description_names_every_route_and_what_can_go_wrong(port: int) -> None:
    described = json.loads(send_raw(port, "GET", "/openapi.json").body)
    shown = {
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods if not path.startswith("/api/v2/")
    }
    routes = [(route, prefix) for prefix, table in ((obshell.PREFIX, obshell.ROUTES), (own.PREFIX, own.ROUTES)) for route in table]
    assert shown == {(route.method, re.sub(r":(\w+)", r"{\1}", prefix + route.path)) for route, prefix in routes}
    for route, prefix in routes:
        operation = described["paths"][re.sub(r":(\w+)", r"{\1}", prefix + route.path)][route.method.lower()]
        statuses = {"200", "400", "404", "500", "503"} | (set() if route.public else {"401"})
        assert statuses <= set(operation["responses"])
        assert operation["summary"] or prefix == own.PREFIX, route.path
        assert ("security" in operation) == (not route.public)
    names = re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(described))
    assert names
    assert all(name in described["components"][kind] for kind, name in names)


def test_the_page_for_people_needs_nothing_from_elsewhere(port: int) -> None:
    received = send_raw(port, "GET", "/docs")
    html = received.body.decode()
    assert (received.status, received.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert not re.search(r"<script|<link|<img|src=|url\(|@import|https?://", html)
    assert received.headers["content-security-policy"].startswith("default-src 'none'")
    for route in obshell.ROUTES:
        assert re.sub(r":(\w+)", r"{\1}", obshell.PREFIX + route.path) in html
    for word in ("agentInfo.ip", "Task.NotFound", "Agent.UnderMaintenance", "contents: list of DagObject", "RETRY"):
        assert word in html
