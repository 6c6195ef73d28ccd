"""Accounts: who gets in, who may do what, and what is written down of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from oboe.cli.main import oboe
from oboe.control import users as accounts
from oboe.control.users import AccessKey, Grant, Users
from oboe.domain.errors import Refused, Unreachable
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.membership.shared_fact import FRESH_SECONDS
from tests.ocp.site import PASSWORD, Client, Site


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little."""
    monkeypatch.setattr(accounts, "_TIME_COST", 1)
    monkeypatch.setattr(accounts, "_MEMORY_KIB", 64)


# Getting in


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic bm9jb2xvbg=="},
        {"Authorization": "Bearer x"},
        {"Authorization": "OCP-ACCESS-KEY-HMACSHA1 x"},
        Client.basic("viewer", "wrong password"),
        Client.basic("stranger"),
        Client.basic("viewer", "x" * 10_000),
        {"Cookie": "OBOE_SESSION=made-up"},
    ],
)
def test_who_is_not_known_gets_401_and_is_asked_for_basic(shared_site: Site, headers: dict[str, str]) -> None:
    answer = shared_site.client()("GET", "/instances", headers=headers)
    assert answer.error == (401, 30000)
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_an_unknown_name_and_a_wrong_password_are_answered_alike(shared_site: Site) -> None:
    def told(name: str) -> Any:
        return shared_site.client(name, "wrong password").get("/instances").envelope["error"]

    assert told("viewer") == told("stranger")


def test_failures_are_answered_later_and_later(site: Site) -> None:
    delays: list[float] = []
    real = accounts.time.monotonic

    async def wait(seconds: float) -> None:
        delays.append(seconds)

    with mock.patch("oboe.api.shared.face.sleep", wait):
        for _ in range(14):
            assert site.client("viewer", "wrong password").get("/instances").status == 401
    assert delays[:10] == [0.0] * 10
    assert delays[10:] == sorted(delays[10:])
    assert delays[10] > 0
    assert real() > 0


def test_a_session_begins_with_a_login_and_ends_with_a_logout(site: Site) -> None:
    login = site.client()
    form = urlencode({"username": "manager", "password": PASSWORD}).encode()
    answer = login.post("/api/v2/iam/login", body=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.data == {"grants": ["TASK_MANAGER"], "id": 100, "username": "manager"}
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    session = {"Cookie": cookie.split(";")[0]}
    held = site.put()
    assert login("GET", held.path, headers=session).status == 200
    foreign = [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
    for origin in foreign:
        assert login("POST", f"{held.path}/retry", headers=session | origin).error == (403, 30014)
    own = {"Origin": f"http://127.0.0.1:{site.address.port}"}
    assert login("POST", f"{held.path}/retry", headers=session | own).error == (400, 20003)
    assert login("POST", "/api/v2/iam/logout", headers=session | own).status == 200
    assert login("GET", held.path, headers=session).error == (401, 30000)


def test_a_session_ends_with_its_password_and_with_its_user(site: Site) -> None:
    def session() -> dict[str, str]:
        body = json.dumps({"username": "viewer", "password": PASSWORD}).encode()
        answer = site.client().post("/api/v2/iam/login", body=body, headers={"Content-Type": "application/json"})
        return {"Cookie": answer.headers["set-cookie"].split(";")[0]}

    def status(headers: dict[str, str]) -> int:
        return site.client()("GET", "/instances", headers=headers).status

    before = session()
    assert status(before) == 200
    site.users.set_password("viewer", Secret(PASSWORD), who="test")
    assert status(before) == 401
    disabled = session()
    site.users.disable("viewer", disabled=True, who="test")
    assert status(disabled) == 401


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"username":"viewer"}', b'{"username":["a"],"password":"b"}', b"\xff"])
def test_a_login_that_says_nothing_is_refused(shared_site: Site, body: bytes) -> None:
    assert shared_site.client().post("/api/v2/iam/login", body=body, headers={"Content-Type": "application/json"}).error == (400, 10001)


def test_a_login_with_a_wrong_password_is_401(shared_site: Site) -> None:
    body = json.dumps({"username": "viewer", "password": "wrong password"}).encode()
    assert shared_site.client().post("/api/v2/iam/login", body=body).error == (401, 30000)


# Permissions


def test_viewers_look_managers_do_both_and_others_neither(shared_site: Site) -> None:
    held = shared_site.put().wake().finish(0, ok=False)
    reads = [held.path, "/instances", "/instances/summary", f"{held.sub_path(0)}/log"]
    writes = [f"{held.path}/retry", f"{held.path}/rollback", *(f"{held.sub_path(0)}/{word}" for word in ("retry", "skip", "cancel"))]
    shared_site.users.add("hosts", Secret(PASSWORD), ["HOST_MANAGER"], who="test")
    for client in (shared_site.nobody, shared_site.client("hosts")):
        assert {client.get(path).error for path in reads} == {(403, 30014)}
        assert {client.post(path).error for path in writes} == {(403, 30014)}
    assert {shared_site.viewer.get(path).status for path in reads} == {200}
    assert {shared_site.viewer.post(path).error for path in writes} == {(403, 30014)}
    assert shared_site.viewer.post(f"{held.path}/downloadDiagnosis").status == 200
    assert {shared_site.manager.get(path).status for path in reads} == {200}


def test_a_grant_on_an_object_is_for_its_tasks_only(shared_site: Site) -> None:
    here = f"host={shared_site.address}"
    shared_site.users.add("here", Secret(PASSWORD), [f"TASK_MANAGER:{here}"], who="test")
    shared_site.users.add("elsewhere", Secret(PASSWORD), ["TASK_MANAGER:host=10.0.0.9:2886", "TASK_VIEWER:cluster"], who="test")
    held = shared_site.put(name="Only here")
    here_client, elsewhere = shared_site.client("here"), shared_site.client("elsewhere")
    assert here_client.get(held.path).status == 200
    assert here_client.post(f"{held.path}/retry").error == (400, 20003)
    assert elsewhere.get(held.path).error == elsewhere.post(f"{held.path}/retry").error == (403, 30014)
    assert len(here_client.get("/instances", name="Only here").data["contents"]) == 1
    assert elsewhere.get("/instances", name="Only here").data["contents"] == []
    assert set(elsewhere.get("/instances/summary").data.values()) == {0}


@pytest.mark.parametrize(
    "text", ["", "TASK", "task_viewer", "TASK_VIEWER:", "TASK_VIEWER:zone=1", "TASK_VIEWER:tenant=", "TASK_VIEWER: cluster"]
)
def test_what_cannot_be_granted_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Grant.parse(text)
    assert refused.value.code == "user.grant"


# Managing


@pytest.mark.parametrize("name", ["", "root", "OBShell", "a b", "a:b", "x" * 65, "-a", "ä"])
def test_names_that_nobody_may_have(shared_site: Site, name: str) -> None:
    with pytest.raises(Refused) as refused:
        shared_site.users.add(name, Secret(PASSWORD), [], who="test")
    assert refused.value.code == "user.name"


def test_changes_take_effect_at_once_and_numbers_are_never_given_twice(site: Site) -> None:
    first = site.users.add("temp", Secret(PASSWORD), ["TASK_VIEWER"], who="test")
    assert site.client("temp").get("/instances").status == 200
    site.users.grant("temp", [], who="test")
    assert site.client("temp").get("/instances").status == 403
    with pytest.raises(Refused, match="already"):
        site.users.add("temp", Secret(PASSWORD), [], who="test")
    site.users.remove("temp", who="test")
    assert site.client("temp").get("/instances").status == 401
    assert site.users.add("temp", Secret(PASSWORD), [], who="test").id == first.id + 1
    for change in (lambda: site.users.grant("none", [], who="test"), lambda: site.users.remove("none", who="test")):
        with pytest.raises(Refused) as refused:
            change()
        assert refused.value.code == "user.unknown"


def test_passwords_are_kept_as_hashes_and_secrets_sealed(site: Site) -> None:
    site.users.add_key("viewer", AccessKey("a1b2c3d4e5", Secret("the secret of the key")), who="test")
    stored = b"".join(path.read_bytes() for path in (site.root / "home").glob("oboe.db*"))
    assert b"$argon2id$" in stored
    assert b"a1b2c3d4e5" in stored
    assert PASSWORD.encode() not in stored
    assert b"the secret of the key" not in stored


def test_changes_are_written_down_with_before_and_after(site: Site) -> None:
    site.users.grant("viewer", ["TASK_MANAGER"], who="root")
    (line,) = audit(site, 1)
    assert (line.who, line.what, line.before["grants"], line.after["grants"]) == ("root", "user grant", ["TASK_VIEWER"], ["TASK_MANAGER"])


def audit(site: Site, count: int) -> list[Any]:
    from oboe.store.audit import Audit

    return Audit(site.agent._database).newest(count)


def test_the_command_line_manages_them(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret of carol\n")
    runner = CliRunner(env={"OBOE_AGENT": str(site.address), "OBOE_PASSWORD": ""})

    def run(*args: str, code: int = 0) -> str:
        result = runner.invoke(oboe, ["user", *args])
        assert result.exit_code == code, result.output
        return result.output

    run("add", "carol", "--password-file", str(file), "--grant", "TASK_VIEWER", "--grant", "HOST_MANAGER")
    assert "carol (103): TASK_VIEWER, HOST_MANAGER" in run("list")
    carol = site.client("carol", "secret of carol")
    assert carol.get("/instances").status == 200
    assert "TASK_MANAGER" in run("grant", "carol", "TASK_MANAGER")
    made = json.loads(run("key", "carol", "--json"))
    assert site.users.by_access_key(made["id"])[1] == Secret(made["secret"])
    run("key", "carol", "--drop", made["id"])
    with pytest.raises(Refused):
        site.users.by_access_key(made["id"])
    run("disable", "carol")
    assert carol.get("/instances").status == 401
    run("disable", "carol", "--enable")
    assert carol.get("/instances").status == 200
    run("remove", "carol")
    assert carol.get("/instances").status == 401
    assert "there is no user carol" in run("remove", "carol", code=1)
    assert "can be granted" in run("add", "dave", "--password-file", str(file), "--grant", "ALL", code=1)


# In a cluster


class Home:
    """The cluster's home: one fact, which may be away."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.away = False

    def sealed_fact(self, name: str) -> Any:
        if self.away:
            raise Unreachable("cluster.no_primary", "no primary")
        return self.kept.get(name)

    def change_sealed_fact(self, name: str, change: Any) -> Any:
        self.kept[name] = change(self.sealed_fact(name))
        return self.kept[name]


class Local:
    """An agent's facts."""

    def __init__(self, identity: Identity) -> None:
        self.who = identity
        self.facts: dict[str, Any] = {}

    def identity(self) -> Identity:
        return self.who

    def value(self, name: str, default: Any = None) -> Any:
        return self.facts.get(name, default)

    def remember(self, **facts: Any) -> None:
        self.facts.update(facts)


def test_every_agent_of_a_cluster_knows_the_same_users(cheap: None) -> None:
    home, clock = Home(), [0.0]
    agents = [Users(Local(Identity.CLUSTER_AGENT), home, lambda *_: None, clock=lambda: clock[0]) for _ in range(2)]  # type: ignore[arg-type]
    assert agents[1].all() == ()
    agents[0].add("alice", Secret(PASSWORD), [], who="test")
    clock[0] += FRESH_SECONDS + 0.1
    assert [user.name for user in agents[1].all()] == ["alice"]
    home.away = True
    clock[0] += FRESH_SECONDS + 0.1
    assert agents[1].by_password("alice", Secret(PASSWORD)).name == "alice", "people on call get in without a primary"
    with pytest.raises(Unreachable):
        agents[1].add("bob", Secret(PASSWORD), [], who="test")
