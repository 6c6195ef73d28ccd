"""Requests that mean harm, or make no sense, against every route of the table: the right code, soon, and nothing is changed by them."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oboe.api.obshell import app as obshell
from oboe.api.obshell.auth import Rule
from oboe.api.obshell.route import Routes
from oboe.api.own import app as own
from oboe.api.shared.bounds import Bounds
from oboe.remote import secrecy

from .client import send_raw
from .fakes import FakeControl, served
from .hostile import (
    EXPIRED,
    INTRUDERS,
    PROTECTED,
    ROOT,
    ROUTES,
    STRANGE_IDS,
    STRANGE_VALUES,
    UNREADABLE,
    WITH_BODY,
    WITH_ID,
    WITHIN_SECONDS,
    Shown,
    assert_refused,
    broken_bodies,
    expected,
    good_header,
    hostile,
    keys_of,
    knows_its_key,
    members,
    seal,
    stranger,
    valid,
)
from .living import Living, living, stored


@pytest.mark.parametrize("case", INTRUDERS)
def test_an_intruder_changes_nothing_and_is_told_why(control: FakeControl, port: int, case: str) -> None:
    for shown in PROTECTED:
        code = expected(shown, case)
        if not code:
            continue
        headers, body = INTRUDERS[case][0](shown.target)
        assert_refused(hostile(port, shown, headers, body), code, shown.name)
    assert (control.asked, control.changed) == ([], [])


def test_a_header_that_was_used_opens_no_route_again(control: FakeControl, port: int) -> None:
    """Its first use fails over a body that cannot be opened; used it is all the same."""
    for shown in PROTECTED:
        if shown.route.rule is Rule.TOKEN:
            continue
        said = members(shown.target)
        header = {ROOT: seal(said)}
        assert hostile(port, shown, header, b"no body").code == UNREADABLE
        assert hostile(port, shown, header, secrecy.seal_body(keys_of(said), b"{}")).code == EXPIRED, shown.name
        assert hostile(port, shown, {ROOT: seal(said)}).code == EXPIRED, shown.name
    assert (control.asked, control.changed) == ([], [])


def test_the_public_routes_are_these_and_open_no_header(control: FakeControl, port: int) -> None:
    public = [shown for shown in ROUTES if shown.route.public]
    assert {shown.name for shown in public} == {
        "GET /api/v1/info",
        "GET /api/v1/status",
        "POST /api/v1/status",
        "GET /api/v1/time",
        "GET /api/v1/git-info",
        "GET /api/v1/secret",
        "GET /oboe/v1/ready",
    }
    for shown in public:
        for make, _ in INTRUDERS.values():
            assert hostile(port, shown, *make(shown.target)).status == 200
    assert control.changed == []


def test_a_method_that_a_path_does_not_have_is_not_found(control: FakeControl, port: int) -> None:
    tables = (Routes(obshell.PREFIX, obshell.ROUTES), Routes(own.PREFIX, own.ROUTES))
    asked = 0
    for target in sorted({shown.target for shown in ROUTES}):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            if not any(table.find(method, target) for table in tables):
                received = send_raw(port, method, target, source=stranger())
                assert (received.status, received.code) == (404, "Common.NotFound"), (method, target)
                asked += 1
    assert asked > 100
    assert (control.asked, control.changed) == ([], [])


# What is asked


@pytest.mark.parametrize("shown", WITH_BODY, ids=[shown.name for shown in WITH_BODY])
def test_a_body_that_is_none_is_one_code(control: FakeControl, port: int, shown: Shown) -> None:
    cases = list(broken_bodies(shown.route.body))
    assert len(cases) >= 8
    for case, body in cases:
        received = hostile(port, shown, *good_header(shown.target, body))
        assert (received.status, received.code) == (400, "Common.BindJsonFailed"), (shown.name, case)
    assert control.changed == []


@pytest.mark.parametrize("shown", WITH_BODY, ids=[shown.name for shown in WITH_BODY])
def test_members_that_nobody_knows_are_ignored(port: int, shown: Shown) -> None:
    body = json.dumps({**valid(shown.route.body), "no such member": [1], "__proto__": {"x": 1}, "dry_run": True}).encode()
    received = hostile(port, shown, *good_header(shown.target, body))
    assert received.status in (200, 204) or received.code not in ("Common.BindJsonFailed", "Common.Unexpected"), received.body


@pytest.mark.parametrize("shown", WITH_ID, ids=[shown.name for shown in WITH_ID])
def test_ids_that_name_nothing_find_nothing(control: FakeControl, port: int, shown: Shown) -> None:
    bodies = {"dag": b'{"operator":"CANCEL"}', "node": b'{"operator":"PASS"}'}
    body = bodies[shown.route.path.split("/")[2]] if shown.route.body else b""
    for text, status in STRANGE_IDS.items():
        target = shown.target.replace("11", text, 1)
        received = hostile(port, shown, *good_header(target, body), target=target)
        if shown.route.path.endswith("/logs") and status == 404 and "/" not in text:
            assert received.status == 200, (text, received.body)
            assert received.data == {"contents": []}, text
            continue
        assert received.status == status, (text[:40], received.body)
        assert received.code in ("Task.GenericID.Invalid", "Task.NotFound", "Common.NotFound"), text[:40]
    assert control.changed == []


def test_values_of_the_query_that_are_none_are_one_code(control: FakeControl, port: int) -> None:
    asked = 0
    for shown in (each for each in ROUTES if each.target.startswith(obshell.PREFIX)):
        body = json.dumps(valid(shown.route.body)).encode() if shown.route.body else b""
        for name in shown.route.query:
            for value in STRANGE_VALUES.get(name, ()):
                target = f"{shown.target}?{name}={value}"
                if shown.route.path.startswith("/task/") and body:
                    body = b'{"operator":"PASS"}'
                received = hostile(port, shown, *good_header(target, body), target=target)
                assert (received.status, received.code) == (400, "Request.Query.Param.Illegal"), target
                asked += 1
    assert asked > 100
    assert control.changed == []


def test_more_fields_than_anybody_reads_are_not_read(port: int) -> None:
    shown = next(shown for shown in ROUTES if shown.target.endswith("/status"))
    assert hostile(port, shown, {}, target=f"{shown.target}?{'&'.join(f'a{at}=1' for at in range(5000))}").status == 200


def test_a_path_cannot_write_headers_of_the_answer(port: int) -> None:
    for text in ("11%0d%0aX-Injected:%20yes", "%E4%BD%A0%E5%A5%BD", "%2F%2Fevil.example", "11%2F"):
        received = send_raw(port, "GET", f"/api/v1/task/dag/{text}/", source=stranger())
        assert "x-injected" not in received.headers
        assert received.status in (301, 404)
        assert received.headers.get("location", f"/api/v1/task/dag/{text}") == f"/api/v1/task/dag/{text}"


# Bodies without end


def test_ten_megabytes_are_refused_and_the_answer_is_read(control: FakeControl, port: int) -> None:
    body = b"x" * (10 << 20)
    for shown in WITH_BODY:
        received = hostile(port, shown, {ROOT: seal(members(shown.target))}, body)
        assert (received.status, received.code) == (400, "Request.Body.ReadFailed"), shown.name
    assert (control.asked, control.changed) == ([], [])


def test_a_body_that_never_comes_is_waited_for_no_longer_than_allowed(
    control: FakeControl,
) -> None:
    def ask(shown: Shown) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
        connection.putrequest(shown.route.method, shown.target)
        connection.putheader(ROOT, seal(members(shown.target)))
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"a few bytes")
        answer = connection.getresponse()
        code = json.loads(answer.read())["error"]["errCode"]
        connection.close()
        return answer.status, code

    begun = time.monotonic()
    with served(control, bounds=Bounds(body_seconds=0.2)) as serving, ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, ROUTES)) == {(400, "Request.Body.ReadFailed")}
    assert time.monotonic() - begun < len(ROUTES) / 16 * WITHIN_SECONDS
    assert (control.asked, control.changed) == ([], [])


# The same of agents with stores


def attack(agent: Living) -> int:
    """Everything above that needs no password; how many requests that were."""
    sent = 0
    for shown in PROTECTED:
        for case, (make, _) in INTRUDERS.items():
            if (shown.route.rule is Rule.TOKEN or shown.route.rule is Rule.LOGIN) and "session" in case:
                continue
            headers, body = make(shown.target)
            received = hostile(agent.port, shown, headers, body)
            assert received.status in (400, 401), (shown.name, case, received.body)
            sent += 1
    return sent


def test_strangers_leave_nothing_in_the_store_of_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed for the right key: without the password it comes to nothing."""
    with living(tmp_path / "a") as agent:
        knows_its_key(monkeypatch, agent.agent.keys.public_key())
        agent.send("POST", "/api/v1/agent/password", b'{"password":"ap"}')
        before = stored(tmp_path / "a")
        assert attack(agent) > 1000
        assert stored(tmp_path / "a") == before


def test_what_makes_no_sense_leaves_nothing_in_the_store_of_a_master(tmp_path: Path) -> None:
    with living(tmp_path / "a") as agent:
        agent.become_master()
        before = stored(tmp_path / "a")
        for shown in WITH_BODY:
            for case, body in broken_bodies(shown.route.body):
                received = agent.send(shown.route.method, shown.target, body)
                assert 400 <= received.status < 500, (shown.name, case, received.body)
        for shown in WITH_ID:
            body = b'{"operator":"PASS"}' if shown.route.body else b""
            for text in STRANGE_IDS:
                target = shown.target.replace("11", text, 1)
                received = agent.send(shown.route.method, target, body)
                assert received.status < 500 or received.code == "Agent.OceanBase.NotHold", (target, received.body)
                assert received.status != 200 or received.data == {"contents": []}
        assert stored(tmp_path / "a") == before


def test_two_hundred_and_more_are_asked_and_every_route_is() -> None:
    assert len(PROTECTED) * len(INTRUDERS) > 1000
    assert [shown.route for shown in ROUTES] == [*obshell.ROUTES, *own.ROUTES]


@pytest.mark.parametrize(
    ("route", "body", "code"),
    [
        ("/obcluster/config", {"clusterId": 2**32, "clusterName": "c"}, "OB.Cluster.Id.Invalid"),
        ("/obcluster/config", {"clusterId": 10**30, "clusterName": "c"}, "OB.Cluster.Id.Invalid"),
        ("/obcluster/config", {"clusterId": -1, "clusterName": "c"}, "OB.Cluster.Id.Invalid"),
        ("/obcluster/config", {"clusterId": 1, "clusterName": "c\0"}, "Common.BindJsonFailed"),
        ("/obcluster/config", {"clusterId": 1, "clusterName": "c" * 100_000}, "Common.BindJsonFailed"),
        ("/observer/config", {"observerConfig": {"base_dir": "/a\nb"}, "scope": {"type": "GLOBAL"}}, "Common.BindJsonFailed"),
        ("/observer/config", {"observerConfig": {"a\0": "1"}, "scope": {"type": "GLOBAL"}}, "Common.BindJsonFailed"),
        ("/observer/config", {"observerConfig": {"mysql_port": 10**30}, "scope": {"type": "GLOBAL"}}, "Common.IllegalArgument"),
        ("/observer/config", {"observerConfig": {"mysql_port": "-1"}, "scope": {"type": "GLOBAL"}}, "Common.IllegalArgument"),
        ("/agent/remove", {"ip": "fe80::1%eth0", "port": 1}, "Common.InvalidIp"),
        ("/agent/remove", {"ip": "[::1]", "port": 1}, "Common.InvalidIp"),
        ("/agent/remove", {"ip": "127.0.0.1", "port": 65536}, "Common.InvalidPort"),
        ("/agent/remove", {"ip": "127.0.0.1", "port": -1}, "Common.InvalidPort"),
        ("/agent/remove", {"ip": "127.0.0.1", "port": 0}, "Common.BindJsonFailed"),
        ("/agent/remove", {"ip": "", "port": 1}, "Common.BindJsonFailed"),
        ("/agent/password", {"password": ""}, "Common.BindJsonFailed"),
        ("/agent/remove", {"ip": "127.0.0.1", "port": 10**25}, "Common.InvalidPort"),
        ("/agent/password", {"password": "\0"}, "Common.BindJsonFailed"),
    ],
)
def test_values_that_nobody_means_are_refused(tmp_path: Path, route: str, body: dict[str, Any], code: str) -> None:
    with living(tmp_path / "a") as agent:
        agent.become_master()
        before = stored(tmp_path / "a")
        received = agent.send("POST", "/api/v1" + route, json.dumps(body).encode())
        assert (received.status, received.code) == (400, code)
        assert stored(tmp_path / "a") == before
