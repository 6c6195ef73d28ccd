"""A hostile client of OCP's API: every request of the table has its answer in the envelope, and changes nothing.

The server that is asked is the agent's own, over a socket: what a library would not send is sent by hand.
"""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest

from oboe.api.ocp.app import PREFIX, ROUTES
from oboe.api.ocp.route import Route
from oboe.domain.searching import Search
from oboe.kit.secret import Secret
from tests.ocp.site import PASSWORD, Client, Held, Site
from tests.ocp.test_users import audit

MANAGER = Client.basic("manager")
TASK, SUB_TASK = "{task}", "{subtask}"
ILLEGAL, NO_TASK, WRONG_STATE, UNKNOWN_ROUTE = (400, 10001), (404, 20000), (400, 20003), (404, 10002)
NO_HOST = (404, 10002)
NOBODY, FORBIDDEN = (401, 30000), (403, 30014)
EVERYTHING = Search(limit=10_000)


@dataclass(frozen=True)
class Hostile:
    """One request; ``{task}`` and ``{subtask}`` in its target are those of a task that failed."""

    name: str
    method: str
    target: str
    wanted: tuple[int, int]
    headers: dict[str, str] = field(default_factory=lambda: dict(MANAGER))
    body: bytes = b""


def path(route: Route, task: str = TASK, sub_task: str = SUB_TASK) -> str:
    return PREFIX + route.path.replace(":task", task).replace(":subtask", sub_task)


def hostile() -> Iterator[Hostile]:
    closed = [route for route in ROUTES if not route.public]
    named = [route for route in ROUTES if ":task" in route.path]
    changing = [route for route in named if route.changes]
    for route in closed:
        yield from wrong_credentials(route)
    for route in named:
        yield from wrong_ids(route)
    for route in ROUTES:
        yield from wrong_methods(route)
    for route in changing:
        yield from wrong_headers(route)
    for route in ROUTES:
        if route.permission == "HOST_MANAGER":
            yield from wrong_hosts(route)
    yield from wrong_queries()
    yield from wrong_paths()
    yield from wrong_logins()


def wrong_credentials(route: Route) -> Iterator[Hostile]:
    now = formatdate(usegmt=True)
    wrong: dict[str, dict[str, str]] = {
        "none": {},
        "empty": {"Authorization": ""},
        "another scheme": {"Authorization": "Digest username=manager"},
        "no base64": {"Authorization": "Basic §"},
        "no colon": {"Authorization": "Basic bWFuYWdlcg=="},
        "a wrong password": Client.basic("manager", "wrong password"),
        "a wrong name": Client.basic("manager\x00", "x"),
        "an unknown key": {"Authorization": "OCP-ACCESS-KEY-HMACSHA1 nobody:AAAA", "Date": now},
        "a key without a date": {"Authorization": "OCP-ACCESS-KEY-HMACSHA1 nobody:AAAA"},
        "a made-up session": {"Cookie": "OBOE_SESSION=" + "a" * 43, "Origin": "http://127.0.0.1"},
        "a broken cookie": {"Cookie": 'OBOE_SESSION="\\'},
    }
    for name, headers in wrong.items():
        # A session that comes from nowhere is refused before it is looked for.
        foreign = name == "a made-up session" and route.method != "GET"
        yield Hostile(f"{route.method} {route.path}: {name}", route.method, path(route), FORBIDDEN if foreign else NOBODY, headers)
    if route.permission:
        yield Hostile(f"{route.method} {route.path}: no permission", route.method, path(route), FORBIDDEN, Client.basic("nobody"))


def wrong_ids(route: Route) -> Iterator[Hostile]:
    ids: dict[str, tuple[int, int]] = {
        "0": NO_TASK,
        "-1": NO_TASK,
        "1": NO_TASK,
        str((1 << 52) + 999_999): NO_TASK,
        str(1 << 53): NO_TASK,
        str((1 << 52) + (77 << 32) + 1): NO_TASK,
        "9" * 19: NO_TASK,
        "9" * 20: ILLEGAL,
        "abc": ILLEGAL,
        "1e3": ILLEGAL,
        "0x10": ILLEGAL,
        "%31%20": ILLEGAL,
        "%00": ILLEGAL,
        "1%0d%0aX-Evil:1": ILLEGAL,
        "1;drop%20table%20dag": ILLEGAL,
        "%E2%82%AC": ILLEGAL,
        "%FF": ILLEGAL,
        "null": ILLEGAL,
        "\uff11".encode().hex(): ILLEGAL,
    }
    for text, wanted in ids.items():
        yield Hostile(f"{route.method} {route.path}: task {text[:30]}", route.method, path(route, task=text), wanted)
        if ":subtask" in route.path:
            yield Hostile(f"{route.method} {route.path}: sub-task {text[:30]}", route.method, path(route, sub_task=text), wanted)
    yield Hostile(f"{route.method} {route.path}: a slash", route.method, path(route, task="1%2F2"), UNKNOWN_ROUTE)


def wrong_methods(route: Route) -> Iterator[Hostile]:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        yield Hostile(f"{method} {route.path}", method, path(route), UNKNOWN_ROUTE)


def wrong_headers(route: Route) -> Iterator[Hostile]:
    for name, headers, wanted in (
        ("another version", {"If-Match": '"77"'}, (409, 20003)),
        ("a version that is none", {"If-Match": "W/" + "x" * 5000}, (409, 20003)),
        ("a key that is too long", {"Idempotency-Key": "k" * 256}, ILLEGAL),
    ):
        yield Hostile(f"{route.path}: {name}", "POST", path(route), wanted, MANAGER | headers)
    yield Hostile(f"{route.path}: another version in the query", "POST", path(route) + "?expectedVersion=x%00", (409, 20003))


def wrong_hosts(route: Route) -> Iterator[Hostile]:
    """A host that there is not, and bodies that name none."""
    keeper = Client.basic("keeper") | {"Content-Type": "application/json"}

    def asked(name: str, target: str, wanted: tuple[int, int], body: bytes = b"") -> Hostile:
        return Hostile(f"{route.path}: {name}", "POST", target, wanted, keeper, body)

    target = PREFIX + route.path
    if ":host" in route.path:
        for text, wanted in {
            "77": NO_HOST,
            "abc": ILLEGAL,
            "-1": ILLEGAL,
            "%00": ILLEGAL,
            "9" * 20: ILLEGAL,
            "1%2F2": UNKNOWN_ROUTE,
        }.items():
            yield asked(f"host {text}", target.replace(":host", text), wanted)
        return
    bodies = (b"", b"[]", b"{}", b'{"hostIds":[]}', b'{"hostIds":["1"]}', b'{"hostIds":[-1]}', b'{"hostIds":[1', b'{"hostIds":1}', b"\xff")
    for body in (*bodies, json.dumps({"hostIds": list(range(10_000))}).encode()):
        yield asked(f"body {body[:20]!r}", target, ILLEGAL, body)
    yield asked("a host that there is not", target, NO_HOST, b'{"hostIds":[77]}')


def wrong_queries() -> Iterator[Hostile]:
    lists = f"{PREFIX}/tasks/instances"
    log = f"{lists}/{TASK}/subtasks/{SUB_TASK}/log"
    wrong = {
        ("page", "size"): ("0", "-1", "x", "1.5", "1,2", "%00", "9" * 30),
        ("status", "type", "operation", "objectType"): ("NONSENSE", "%27%20OR%201=1", "RUNNING%00"),
        ("sort",): ("password", "id,sideways", "id%3Bdrop", "id,asc,desc", "%00"),
        ("startTimeFrom", "startTimeTo"): ("yesterday", "2020-01-01", "9" * 400, "%00"),
        ("clusterId", "tenantId", "hostId", "objectId"): ("-1", "x", "1e9"),
    }
    targets = [f"{lists}?{name}={value}" for names, values in wrong.items() for name in names for value in values]
    of_logs = ("offset=-1", "offset=x", "limit=-1", "runTime=0", "runTime=x", "follow=perhaps", "operation=DANCE")
    targets += [f"{log}?{query}" for query in of_logs]
    targets += [f"{lists}?page=1&page=2", f"{lists}?objectType=HOST,TENANT", f"{lists}/summary?type=NONSENSE"]
    targets += [f"{lists}?" + "&".join(f"a{place}=1" for place in range(200))]
    for target in targets:
        yield Hostile(f"query {target[len(PREFIX) :][:90]}", "GET", target, ILLEGAL)


def wrong_paths() -> Iterator[Hostile]:
    for target in (
        "", "/", "/tasks", "/tasks/", "/tasks/instances/", f"/tasks/instances/{TASK}/", f"/tasks/instances/{TASK}/destroy",
        "/tasks/../tasks/instances/x/y/z/v", "//tasks/instances", "/TASKS/instances", "/tasks/instances%2F1/x", "/iam", "/iam/login/x",
        "/iam/users", "/" + "a" * 8000, "/%2e%2e/%2e%2e/etc/passwd", "/tasks/instances/1/subtasks/2", "/tasks/instances/1/subtasks",
    ):  # fmt: skip
        yield Hostile(f"path {target[:60]!r}", "GET", PREFIX + target, UNKNOWN_ROUTE)


def wrong_logins() -> Iterator[Hostile]:
    login, plain = f"{PREFIX}/iam/login", {"Content-Type": "application/json"}
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    for name, body, wanted in (
        ("nothing", b"", ILLEGAL),
        ("no object", b"[]", ILLEGAL),
        ("no text", b'{"username":1,"password":2}', ILLEGAL),
        ("no password", b'{"username":"manager"}', ILLEGAL),
        ("too deep", deep, ILLEGAL),
        ("not UTF-8", b'{"username":"\xff","password":"x"}', ILLEGAL),
        ("half", b'{"username":"mana', ILLEGAL),
        ("a long password", json.dumps({"username": "manager", "password": "p" * 100_000}).encode(), NOBODY),
        ("a name with a line", b'{"username":"manager\\r\\nX-Evil: 1","password":"x"}', NOBODY),
        ("a wrong password", b'{"username":"manager","password":"x"}', NOBODY),
        ("a twin", b'{"username":"manager","username":"nobody","password":"x"}', NOBODY),
    ):
        yield Hostile(f"login: {name}", "POST", login, wanted, plain, body)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    yield Hostile("login: a form of many fields", "POST", login, ILLEGAL, form, b"&".join(b"a%d=1" % place for place in range(100)))


TABLE = list(hostile())


@pytest.fixture(scope="module")
def target(shared_site: Site) -> Iterator[Held]:
    """A task that failed; whoever guesses is not slowed down here."""
    with mock.patch("oboe.control.users._TIME_COST", 1), mock.patch("oboe.control.users._MEMORY_KIB", 64):
        shared_site.users.add("keeper", Secret(PASSWORD), ["HOST_MANAGER"], who="test")
    with (
        mock.patch("oboe.api.shared.throttle.Throttle.failed", return_value=0.0),
        mock.patch("oboe.control.users._NOBODY", [shared_site.users.all()[0].hash]),
    ):
        yield shared_site.put().wake().start(0).finish(0, ok=False)


def test_the_table_is_long_and_knows_every_route() -> None:
    assert len(TABLE) >= 500
    assert len({each.name for each in TABLE}) == len(TABLE)
    for route in ROUTES:
        assert any(route.path in each.name for each in TABLE), route.path


def test_every_request_has_its_answer_and_changes_nothing(shared_site: Site, target: Held, caplog: pytest.LogCaptureFixture) -> None:
    before = snapshot(shared_site, target)
    wrong = []
    with caplog.at_level(logging.WARNING):
        for each in TABLE:
            ids = each.target.replace(TASK, str(target.id)).replace(SUB_TASK, str(target.sub_id(0)))
            status, headers, body = send(shared_site, each.method, ids, each.headers, each.body)
            if problem := judged(each, status, headers, body):
                wrong.append(f"{each.name}: {problem}")
    assert not wrong, "\n".join(wrong[:20])
    assert snapshot(shared_site, target) == before
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


def judged(each: Hostile, status: int, headers: str, body: bytes) -> str:
    """What is wrong with an answer; empty: nothing."""
    try:
        envelope = json.loads(body)
        found = (status, envelope["error"]["code"])
    except (ValueError, KeyError):
        return f"no envelope: {status} {body[:200]!r}"
    if found != each.wanted:
        return f"{found} instead of {each.wanted}: {envelope['error']}"
    if list(envelope) != ["duration", "error", "server", "status", "successful", "timestamp", "traceId"] or envelope["status"] != status:
        return f"another envelope: {envelope}"
    if "x-evil" in headers.lower() or "Traceback" in body.decode() or ".py" in body.decode():
        return f"it says too much: {headers} {body[:300]!r}"
    return "" if (status == 401) == ("www-authenticate" in headers.lower()) else "a challenge with 401 and only then"


def snapshot(site: Site, target: Held) -> Any:
    dags = sorted((dag.id, dag.version) for dag in site.store.many([header.id for header in site.store.search(EVERYTHING)]))
    return dags, audit(site, 1), [(user.name, user.grants, user.disabled) for user in site.users.all()], target.words()


def send(site: Site, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str, bytes]:
    """As bytes on a socket; nothing is encoded on its way."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{site.address.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body or method == "POST" else []
    return raw(site, "\r\n".join((*lines, "", "")).encode() + body)


def raw(site: Site, request: bytes) -> tuple[int, str, bytes]:
    with socket.create_connection((site.address.ip, site.address.port), timeout=20) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body


@pytest.mark.parametrize(
    ("name", "request_", "wanted"),
    [
        ("a body that is too long", b"POST {path} HTTP/1.1\r\n{head}Content-Length: 99999999\r\n\r\n", 400),
        ("a length that is none", b"POST {path} HTTP/1.1\r\n{head}Content-Length: -5\r\n\r\n", 400),
        (
            "two lengths",
            b"POST {path} HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
        ),
        ("a header in a header", b"GET {path} HTTP/1.1\r\n{head}X: a\rX-Evil: 1\r\n\r\n", 400),
        ("a name of a header that is none", b"GET {path} HTTP/1.1\r\n{head}X Y: a\r\n\r\n", 400),
        ("a target with a space", b"GET {path} and more HTTP/1.1\r\n{head}\r\n", 400),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    ],
)
def test_what_is_no_http_is_refused(shared_site: Site, target: Held, name: str, request_: bytes, wanted: int) -> None:
    filled = request_.replace(b"{path}", f"{PREFIX}/tasks{target.path}".encode())
    head = f"Host: x\r\nConnection: close\r\nAuthorization: {MANAGER['Authorization']}\r\n"
    filled = filled.replace(b"{head}", head.encode())
    before = snapshot(shared_site, target)
    status, _, body = raw(shared_site, filled)
    assert status == wanted, name
    assert not re.search(rb"Traceback|\.py", body)
    assert snapshot(shared_site, target) == before


def test_a_parameter_that_comes_twice_is_a_list(shared_site: Site, target: Held) -> None:
    answer = shared_site.viewer.get("/instances", status=["FAILED", "RUNNING"], size=2000)
    assert answer.status == 200
    assert {one["status"] for one in answer.data["contents"]} <= {"FAILED", "RUNNING"}
    assert shared_site.viewer.get("/instances", name=[quote("a"), "b"]).status == 200
