"""Requests that mean harm, or make no sense, against an agent of a running cluster: the right code, soon, and no store has changed.

What is compared is everything that is kept: the stores of all agents and every table of the cluster. `tests.api.test_hostile` asks
every route every question, of use cases that decide nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from oboe.api.obshell import app as obshell
from oboe.api.obshell.auth import Rule
from tests.api import hostile
from tests.api.hostile import INTRUDERS, PROTECTED, STRANGE_IDS, STRANGE_VALUES, WITH_BODY, WITH_ID, Shown
from tests.api.living import stored
from tests.spine.host import Host
from tests.spine.world import PASSWORD, World

CASES_OF_A_ROUTE = 6
OURS = [shown for shown in PROTECTED if shown.target.startswith(obshell.PREFIX)]
_MOVES_BY_ITSELF = frozenset({"lease"})
_MARK = "'store_mark'"
"""How far a member has seen the lease go."""


def everything_kept(world: World) -> dict[str, list[str]]:
    found = {host.name: [line for line in stored(host.home) if _MARK not in line] for host in world.hosts}
    for (table,) in world.store.rows("SHOW TABLES"):
        if table not in _MOVES_BY_ITSELF:
            found[table] = sorted(map(str, world.store.rows(f"SELECT * FROM {table}")))
    return found


@pytest.fixture
def asked(cluster: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """An agent of a cluster whose stores must be as they were."""
    host = cluster.hosts[0]
    hostile.knows_its_key(monkeypatch, host.agent.keys.public_key(), PASSWORD)
    before = everything_kept(cluster)
    assert {"dag", "member", "maintenance_lock", "audit", "request_key"} <= set(before)
    yield host
    assert everything_kept(cluster) == before


def test_an_intruder_changes_nothing_in_any_store_and_is_told_why(asked: Host) -> None:
    """Each route a few of the table, each of the table at some routes."""
    cases, met = list(INTRUDERS), set()
    for at, shown in enumerate(OURS):
        for case in (cases[(at * CASES_OF_A_ROUTE + each) % len(cases)] for each in range(CASES_OF_A_ROUTE)):
            code = hostile.expected(shown, case)
            if code:
                headers, body = INTRUDERS[case][0](shown.target)
                hostile.assert_refused(hostile.hostile(asked.address.port, shown, headers, body), code, f"{shown.name}: {case}")
                met.add(case)
    assert len(OURS) * CASES_OF_A_ROUTE > 200
    assert met == set(cases)


def test_an_intruder_at_a_follower_changes_nothing_there_or_at_its_master(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knows no password is refused by the MASTER, in its words; a FOLLOWER passes on what has root's header."""
    _, follower = pair.hosts
    hostile.knows_its_key(monkeypatch, follower.agent.keys.public_key(), PASSWORD)
    before = [stored(host.home) for host in pair.hosts]
    cases = [case for case in INTRUDERS if "session" not in case]
    for at, shown in enumerate(shown for shown in OURS if shown.route.rule is not Rule.NEW_AGENT_PASSWORD):
        for case in (cases[(at * 3 + each) % len(cases)] for each in range(3)):
            code = hostile.expected(shown, case)
            headers, body = INTRUDERS[case][0](shown.target)
            received = hostile.hostile(follower.address.port, shown, headers, body)
            if code == hostile.NEEDS_ROOT:
                assert (received.status, received.code) == (500, "Request.Forward.Header.NotExist"), f"{shown.name}: {case}"
            else:
                hostile.assert_refused(received, code, f"{shown.name}: {case}")
    assert [stored(host.home) for host in pair.hosts] == before


def sent(asked: Host, shown: Shown, body: bytes = b"", *, target: str = "") -> tuple[int, str]:
    target = target or shown.target
    received = hostile.hostile(asked.address.port, shown, *hostile.good_header(target, body), target=target)
    return received.status, received.code if received.status >= 400 else ""


def test_what_makes_no_sense_changes_nothing_in_any_store(asked: Host) -> None:
    count = 0
    for shown in WITH_BODY:
        for case, body in list(hostile.broken_bodies(shown.route.body))[::4]:
            assert sent(asked, shown, body) == (400, "Common.BindJsonFailed"), (shown.name, case)
            count += 1
    for shown in WITH_ID:
        body = b'{"operator":"PASS"}' if shown.route.body else b""
        for text in list(STRANGE_IDS)[::3]:
            answer = sent(asked, shown, body, target=shown.target.replace("11", text, 1))
            assert answer[0] in (400, 404) or (answer[0] == 200 and shown.route.path.endswith("/logs")), (shown.name, text)
            count += 1
    for shown in OURS:
        body = json.dumps(hostile.valid(shown.route.body)).encode() if shown.route.body else b""
        for name in shown.route.query:
            value = STRANGE_VALUES.get(name, ("",))[0]
            if value and "/task/" not in shown.route.path:
                assert sent(asked, shown, body, target=f"{shown.target}?{name}={value}")[0] == 400, (shown.name, name)
                count += 1
    assert count > 100
