"""Signatures with an access key: the published vectors, those of `ocp-task.md` §1.4, and what must not pass."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest

from oboe.api.ocp.signing import SKEW_SECONDS, check_date, is_signed, messages_of, signature_of
from oboe.api.shared.exchange import Request
from oboe.control.users import AccessKey
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from tests.ocp.site import Answered, Site

SECRET = Secret("spec-example-not-a-secret")
HEADERS = {"content-type": "application/json", "date": "Mon, 06 Jan 2025 08:00:00 GMT", "host": "ocp.example:8080"}
KEY = AccessKey("k" * 24, Secret("0123456789abcdef-secret"))


MONITOR = "/api/v2/monitor/top?metrics=host_disk_total&labels=svr_ip:127.0.0.1&groupBy=app,svr_ip,device,mount_point"
IDC = b'{"name":"test01","description":"test","regionId":1}'


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "secret", "signature"),
    [
        (
            "POST",
            "/api/v2/compute/idcs",
            {
                "content-type": "application/json",
                "date": "Tue, 17 Jan 2023 09:13:57 GMT",
                "host": "ocp.alibaba.net:8080",
                "x-ocp-data": "A,1",
            },
            IDC,
            "2fc0c299cc94c6be266f2ceece765d4d",
            "XN8P+O+v3vUabB16ZCooq5wMJoY=",
        ),
        (
            "GET",
            "/api/v2/compute/idcs?size=100",
            {"content-type": "application/json;charset=utf-8", "date": "Tue, 17 Jan 2023 04:14:02 GMT", "host": "ocp.alibaba.net:8080"},
            b"",
            "2fc0c299cc94c6be266f2ceece765d4d",
            "TsQD6HDOuZuJ409m0wdnZPmijlc=",
        ),
        (
            "GET",
            f"{MONITOR}&startTime=2024-04-15T14:29:55+08:00&endTime=2024-04-15T14:30:55+08:00&maxPoints=360",
            {
                "content-type": "application/json",
                "date": "Mon, 15 Apr 2024 09:25:02 GMT",
                "host": "127.0.0.1:8080",
                "x-ocp-origin": "for-test",
            },
            b"",
            "d75332c5eed8d440a84a35ac6248d397",
            "To11kg1EsB/dPWyDnnpuUzIUoQk=",
        ),
    ],
    ids=["4.2, example 1", "4.2, example 2", "4.3"],
)
def test_the_published_requests_are_signed(
    method: str, target: str, headers: dict[str, str], body: bytes, secret: str, signature: str
) -> None:
    """From "AK/SK signature generation rules" in github.com/oceanbase/ocp-doc, en-US/1900.reference-guide/200.api-reference/
    300.ak-sk-sign-roles.md: the two examples at commit fb17cf9c (OCP 4.2), the one at commit 1a2ab03f (OCP 4.3), with the address that
    its program has (its prose writes xxx for it, which gives another signature), and the target that its request has."""
    path, _, query = target.partition("?")
    request = Request(
        method=method, target=target, path=path, query=query, headers=headers, body=body, source="", received_at=0.0, started=0.0
    )
    assert is_signed(request, Secret(secret), signature)
    assert not is_signed(request, Secret(secret[1:]), signature)


@pytest.mark.parametrize(
    ("method", "target", "more", "body", "line", "signature"),
    [
        (
            "GET",
            "/api/v2/tasks/instances?status=RUNNING&status=FAILED&page=1&size=10&name=add%20host%2B1",
            {},
            b"",
            "/api/v2/tasks/instances?name=add%20host%2B1&page=1&size=10&status=FAILED%2CRUNNING",
            "A2DpFA0XKq95HK1tHKt8cZjhZBo=",
        ),
        (
            "POST",
            "/api/v2/tasks/instances/1000/retry",
            {"x-ocp-origin": "spec"},
            b"",
            "/api/v2/tasks/instances/1000/retry",
            "PYIvOBrc1Src8wkqw+wVdgGfTYk=",
        ),
        ("POST", "/api/v2/demo", {}, b'{"a":1}', "/api/v2/demo", "C8PXTYy8Nv8LwEQMyIcUVqaPWlM="),
    ],
)
def test_vectors(method: str, target: str, more: dict[str, str], body: bytes, line: str, signature: str) -> None:
    message = usual(method, target, HEADERS | more, body)
    assert message.split("\n")[-1] == line
    assert signature_of(SECRET, message) == signature


def test_a_body_is_signed_by_its_digest_in_capitals() -> None:
    assert usual("POST", "/api/v2/demo", HEADERS, b'{"a":1}').split("\n")[1] == "BB6CB5C68DF4652941CAF652A366F2D8"


def test_an_empty_part_keeps_its_line() -> None:
    assert usual("get", "/p", {}, b"") == "GET\n\n\n\n\n\n/p"


def test_signed_headers_are_sorted_by_name_and_their_values_are_not() -> None:
    message = usual("GET", "/p", {"x-ocp-zone": "z", "x-ocp-data": "A,1", "x-other": "no"}, b"")
    assert message.split("\n")[5:7] == ["x-ocp-data:A,1", "x-ocp-zone:z"]


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=1%2C2"),
        ("a=&b=1", "a=&b=1"),
        ("a=&a=2", "a=2"),
        ("a=x+y", "a=x%20y"),
        ("a=x%20y%2Bz", "a=x%20y%2Bz"),
        ("a=-._~", "a=-._~"),
        ("a=" + quote("名é"), "a=" + quote("名é")),
        ("a=1,2", "a=1%2C2"),
    ],
)
def test_the_query_is_signed_in_one_form(query: str, signed: str) -> None:
    assert usual("GET", f"/p?{query}", {}, b"").split("\n")[-1] == f"/p?{signed}"


def test_other_ways_to_write_the_same_query_are_taken() -> None:
    """The vendor's programs write it in these."""

    def forms(query: str) -> list[str]:
        return [message.split("\n")[-1] for message in messages_of("GET", f"/p?{query}", {}, b"")]

    assert forms("a=1&b=2") == ["/p?a=1&b=2"]
    assert forms("a=x+y") == ["/p?a=x%20y", "/p?a=x+y", "/p?a=x%2By"]
    assert forms("a=~%2A%20") == ["/p?a=~%2A%20", "/p?a=%7E*+"]


def usual(method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    return next(messages_of(method, target, headers, body))


@pytest.mark.parametrize(("away", "fine"), [(SKEW_SECONDS - 1, True), (-SKEW_SECONDS + 1, True), (SKEW_SECONDS + 1, False), (-901, False)])
def test_a_clock_may_be_less_than_a_quarter_of_an_hour_away(away: int, fine: bool) -> None:
    now = 1_736_150_400.0
    request = made({"date": formatdate(now + away, usegmt=True)}, now)
    if fine:
        check_date(request)
    else:
        with pytest.raises(Refused, match="away"):
            check_date(request)


def test_a_request_without_a_date_is_none() -> None:
    for headers in ({}, {"date": "today"}):
        with pytest.raises(Refused, match="Date"):
            check_date(made(headers, 0.0))


def test_the_time_may_come_in_a_header_of_ocps_own() -> None:
    now = 1_736_150_400.0
    check_date(made({"x-ocp-date": formatdate(now, usegmt=True)}, now))
    assert usual("GET", "/p", {"x-ocp-date": "then"}, b"").split("\n")[3:6] == ["then", "", "x-ocp-date:then"]


def made(headers: Mapping[str, str], now: float) -> Request:
    return Request(method="GET", target="/", path="/", query="", headers=headers, body=b"", source="", received_at=now, started=0.0)


# Over HTTP


@pytest.fixture(scope="module")
def signed(shared_site: Site) -> Site:
    shared_site.users.add_key("manager", KEY, who="test")
    return shared_site


def send(site: Site, method: str, path: str, *, headers: list[tuple[str, str]] | None = None, **changed: Any) -> Answered:
    """Sign a request, then send it with something ``changed``."""
    host, date = f"127.0.0.1:{site.address.port}", changed.pop("date", formatdate(time.time(), usegmt=True))
    sent = [("Host", host), ("Date", date), ("Content-Type", "application/json"), *(headers or [])]
    named: dict[str, str] = {}
    for name, value in sent:
        named[name.lower()] = f"{named[name.lower()]},{value}" if name.lower() in named else value
    body = changed.get("signed_body", b"")
    signature = signature_of(KEY.secret, usual(method, path, named, body))
    sent = [pair for pair in sent if pair[0] != "Host"] + changed.get("more", [])
    connection = HTTPConnection("127.0.0.1", site.address.port, timeout=20)
    try:
        connection.putrequest(method, changed.get("sent_path", path))
        for name, value in [*sent, ("Authorization", f"OCP-ACCESS-KEY-HMACSHA1 {changed.get('key', KEY.id)}:{signature}")]:
            connection.putheader(name, value)
        content = changed.get("body", body)
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        answer = connection.getresponse()
        return Answered(answer.status, {}, answer.read())
    finally:
        connection.close()


LIST = "/api/v2/tasks/instances?status=FAILED&status=RUNNING&name=a+b&size=5"


def test_an_access_key_is_its_user(signed: Site) -> None:
    held = signed.put().wake()
    assert send(signed, "GET", LIST).status == 200
    assert send(signed, "GET", f"/api/v2/tasks{held.path}").status == 200
    assert send(signed, "POST", f"/api/v2/tasks{held.path}/retry", signed_body=b"{}").error == (400, 20003)


def test_headers_that_come_twice_are_signed_in_their_order(signed: Site) -> None:
    twice = [("x-ocp-data", "A"), ("x-ocp-data", "1")]
    assert send(signed, "GET", LIST, headers=twice).status == 200
    assert send(signed, "GET", LIST, headers=[("X-OCP-Zone", "z"), ("x-ocp-data", "A,1")]).status == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"sent_path": LIST.replace("FAILED", "SUCCESSFUL")},
        {"sent_path": LIST.replace("size=5", "size=6")},
        {"sent_path": "/api/v2/tasks/instances/summary"},
        {"body": b"{}"},
        {"key": "z" * 24},
        {"more": [("x-ocp-data", "new")]},
        {"date": formatdate(0, usegmt=True)},
    ],
)
def test_what_was_changed_on_the_way_is_refused(signed: Site, changed: dict[str, Any]) -> None:
    assert send(signed, "GET", LIST, **changed).error == (401, 30000)


def test_the_key_of_a_user_who_is_disabled_is_none(signed: Site) -> None:
    signed.users.disable("manager", disabled=True, who="test")
    try:
        assert send(signed, "GET", LIST).error == (401, 30000)
    finally:
        signed.users.disable("manager", disabled=False, who="test")
    assert send(signed, "GET", LIST).status == 200
