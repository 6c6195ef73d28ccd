"""What fools and foes who know the password may send to oboe's own API: an answer of 4xx with a code, soon; nothing changed; no 500."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oboe.api.obshell.route import Route
from oboe.api.own import app as own
from tests.api.client import Received
from tests.api.hostile import STRANGE_IDS, broken_bodies, valid
from tests.api.living import Living, living, stored
from tests.security.test_local_socket import ask

WITHIN_SECONDS = 5.0
LONG = "x" * 20_000
NAMES = (
    "%00",
    "%0d%0aX-Injected:%20y",
    "..",
    "%2e%2e%2fusers",
    "a%2fb",
    "%FF%FE",
    "%F0%9F%92%A5",
    "no-such",
    "x" * 3000,
    "'%20OR%201=1--",
    "%20",
)
ROUTES = [route for route in own.ROUTES if not route.public]
WITH_BODY = [route for route in ROUTES if route.body is not None]
GOOD_USER = {"name": "eve", "password": "long enough", "grants": []}
GOOD_HOST = {"name": "h1", "address": "127.0.0.1", "user": "eve", "agent": "127.0.0.1:2886", "accept_new": False, "fingerprint": "SHA256:x"}
LATER = ("never", "2026-13-45T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "-1", "\u0661", "2026-01-01")
FAR = (float(10**30), -1.0, 10**400)


def changed(good: dict[str, Any], **wrong: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """``good`` with one member after the other as it must not be."""
    for name, values in wrong.items():
        for value in values:
            yield {**good, name: value}


NONSENSE: dict[str, list[dict[str, Any]]] = {
    "POST /users": [
        *changed(
            GOOD_USER, name=("", " ", "root", "a b", "a/b", "é", LONG, "a\0", "../x"), password=("", "short", "x" * 257, "a\0bcdefgh")
        ),
        *changed(GOOD_USER, grants=(["NO_SUCH"], [""], ["TASK_VIEWER:"], ["TASK_VIEWER:host="], ["TASK_VIEWER:cluster\nx"], ["x"] * 5000)),
    ],
    "POST /users/:name/grant": [{"grants": ["NO_SUCH"]}, {"grants": [LONG]}],
    "POST /users/:name/password": [{"password": ""}, {"password": "x" * 257}, {"password": "with\nline"}],
    "POST /users/:name/disable": [{"disabled": True}],
    "POST /users/:name/keys": [
        {"id": "", "secret": "x" * 30},
        {"id": "a" * 65, "secret": "x" * 30},
        {"id": "with space", "secret": "x" * 30},
        {"id": "goodkey01", "secret": "short"},
        {"id": "goodkey01", "secret": LONG},
    ],
    "POST /dags/:id/pause": list(changed({"why": "x"}, why=("", LONG, "\0"), who=("", LONG), until=LATER, seconds=FAR)),
    "POST /dags/:id/resume": [{"who": LONG}, {"who": ""}],
    "POST /dags/:id/approve": list(changed({"node": "1", "why": "x"}, node=("", "0", "-1", "99", LONG), why=("", LONG))),
    "POST /dags/:id/gone": list(
        changed({"agent": "10.0.0.1:2886", "why": "x"}, agent=("", "x", "1:2:3", "10.0.0.1:0", LONG), why=("", " "))
    ),
    "POST /dags/:id/skip": list(changed({"sub_task": "1"}, sub_task=("", "-1", "a@b@c", LONG))),
    "POST /dags/:id/extend": list(changed({"sub_task": "1", "seconds": 5.0}, sub_task=("", "-1", "a@b@c", LONG), seconds=FAR, until=LATER)),
    "POST /dags/:id/retries": list(changed({"sub_task": "1", "retries": 1}, retries=(-1, 10**9, 10**40), sub_task=("", LONG))),
    "POST /playbooks/:name": [
        {"params": {"no": "such"}},
        {"params": {"a": LONG * 20}},
        {"params": {str(number): {} for number in range(5000)}},
        *({"params": {}, "not_before": text} for text in LATER),
        {"params": {"deep": json.loads("[" * 400 + "]" * 400)}},
    ],
    "POST /hosts": list(
        changed(
            GOOD_HOST,
            name=("", "a/b", LONG, "\0", ".."),
            address=("", "a b", LONG, "-oProxyCommand=touch${IFS}/tmp/x"),
            user=("", "-l", "a b", LONG),
            agent=("", "x", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999"),
            port=(0, -1, 65536, 10**30),
            private_key=("***", "//79"),
            home=("", "\0", "a\nb"),
            driver=("oracle",),
        )
    ),
    "POST /hosts/:name/accept-key": [{"fingerprint": ""}, {"fingerprint": LONG}],
    "POST /host-agents/": [{"hosts": []}, {"hosts": ["no-such"]}, {"hosts": ["x"] * 20_000}],
}


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("agent")) as one:
        one.become_master()
        yield one


def refused(one: Living, method: str, target: str, body: bytes = b"") -> Received:
    begun = time.monotonic()
    received = ask(one.agent.port.socket, method, target, raw=body)
    assert time.monotonic() - begun < WITHIN_SECONDS, (method, target)
    assert 400 <= received.status < 500, (method, target[:200], body[:200], received.status, received.body)
    envelope = received.envelope
    assert (envelope["successful"], envelope["error"]["errCode"] not in ("", "Common.Unexpected")) == (False, True), received.body
    assert envelope["error"]["message"], received.body
    assert b"Traceback" not in received.body
    assert "x-injected" not in {name.lower() for name in received.headers}
    return received


def target_of(route: Route, **values: str) -> str:
    named = {"id": "1", "name": "no-such", "key": "nokey", "agent": "127.0.0.1:1", **values}
    return own.PREFIX + "/".join(named[part[1:]] if part.startswith(":") else part for part in route.path.split("/"))


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(autouse=True)
def _nothing_changes(master: Living) -> Iterator[None]:
    before = stored(master.agent.home)
    yield
    assert stored(master.agent.home) == before


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
def test_a_body_that_is_none_is_refused(master: Living, route: Route) -> None:
    cases = list(broken_bodies(route.body))
    assert len(cases) >= 6
    for _, body in cases:
        refused(master, route.method, target_of(route), body)


@pytest.mark.parametrize("route", [route for route in ROUTES if ":" in route.path], ids=named)
def test_a_name_or_an_id_that_is_none_is_refused(master: Living, route: Route) -> None:
    body = json.dumps(valid(route.body)).encode() if route.body else b""
    texts = list(STRANGE_IDS) if ":id" in route.path else list(NAMES)
    if route.path.count("/") > 2:  # all routes of an id read it alike; a MASTER takes 2 s over the ids of agents that it may yet hear of
        texts = texts[::4]
    for value in [part[1:] for part in route.path.split("/") if part.startswith(":")]:
        for text in texts:
            refused(master, route.method, target_of(route, **{value: text}), body)


@pytest.mark.parametrize("route", [route for route in ROUTES if "dry_run" in route.query], ids=named)
def test_a_query_that_is_none_is_refused(master: Living, route: Route) -> None:
    body = json.dumps(valid(route.body)).encode() if route.body else b""
    for text in ("maybe", "2", "%00", "x" * 5000, "%FF"):
        refused(master, route.method, f"{target_of(route)}?dry_run={text}", body)


@pytest.mark.parametrize("route", [route for route in WITH_BODY if "/agent/" not in route.path], ids=named)
def test_values_that_nobody_means_are_refused(master: Living, route: Route) -> None:
    cases = next(
        cases for name, cases in NONSENSE.items() if named(route) == name or (name.endswith("/") and named(route).startswith(name))
    )
    assert cases
    for case in cases:
        refused(master, route.method, target_of(route), json.dumps(case).encode())


def test_nothing_of_it_reached_the_log(master: Living, caplog: pytest.LogCaptureFixture) -> None:
    """A stranger does not fill the log with tracebacks."""
    refused(master, "POST", f"{own.PREFIX}/users", b"[" * 3000)
    assert [record for record in caplog.records if record.exc_info] == []
