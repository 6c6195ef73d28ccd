"""A whole life of a cluster, then a look through everything that it left behind: no password, token or key is anywhere in the clear."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from oboe.kit.secret import Secret
from oboe.remote import secrecy
from oboe.store.encoding import decode
from oboe.store.sealing import Sealer, unsealed
from tests.api.client import Received, send_raw
from tests.security.test_local_socket import ask as ask_locally
from tests.security.traces import Needles, open_modes, processes_watched
from tests.spine.host import Host, eventually
from tests.spine.world import World

ROOT, AGENT = "X-OCS-Header", "X-OCS-Agent-Header"
GIVEN = {
    what: f"L3ak-{sha1(what.encode()).hexdigest()[:10]}/+%&é\"'"
    for what in (
        "root password",
        "first agent password",
        "agent password",
        "target's agent password",
        "proxyro password",
        "wrong master password",
        "wrong root password",
        "mistyped user password",
        "user password",
        "user's new password",
        "playbook's token",
        "crashing playbook's token",
    )
} | {"access key's secret": "L3akSecretOfAnAccessKey0123456789"}


class Life:
    """Asks agents, and keeps every byte of every answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: list[bytes] = []
        self.tokens: dict[str, str] = {}

    def ask(
        self, host: Host, method: str, target: str, body: Any = None, *, password: str = "", header: str = ROOT, session: str = ""
    ) -> Received:
        received, _ = self.exchange(host, method, target, body, password=password, header=header, session=session)
        return received

    def exchange(
        self, host: Host, method: str, target: str, body: Any = None, *, password: str = "", header: str = ROOT, session: str = ""
    ) -> tuple[Received, bytes]:
        """And the keys that a sealed answer is opened with."""
        key = str(host.public("/api/v1/secret")["public_key"])
        plain = b"" if body is None else json.dumps(body).encode()
        sealed = secrecy.seal_request(key, password=Secret(password), uri=target, body=plain)
        received = send_raw(host.address.port, method, target, {header: sealed.header}, sealed.body)
        self.answers.append(received.body + str(received.headers).encode())
        return received, sealed.keys

    def do(self, host: Host, method: str, path: str, body: Any = None, **who: str) -> dict[str, Any]:
        """Ask for a dag, and wait until it is over."""
        made = self.ask(host, method, f"/api/v1{path}", body, **who)
        assert made.status == 200, made.body
        return self.over(host, made.data["id"])

    def over(self, host: Host, dag: str) -> dict[str, Any]:
        """Looked at over the agent's unix socket: which password it is changes on the way."""

        def ended() -> dict[str, Any] | None:
            asked = ask_locally(host.home / "run" / "oboe.sock", "GET", f"/api/v1/task/dag/{dag}?show_details=true")
            self.answers.append(asked.body)
            found: dict[str, Any] = asked.data
            return found if found["state"] in ("SUCCEED", "FAILED") else None

        return eventually(ended)  # type: ignore[no-any-return]


def agent(host: Host) -> dict[str, Any]:
    return {"ip": host.address.ip, "port": host.address.port}


def joined(life: Life, first: Host, second: Host) -> None:
    """With the agent's password changed on the way, and the wrong one first."""
    known = {"password": GIVEN["first agent password"], "header": AGENT}
    assert life.ask(first, "POST", "/api/v1/agent/password", {"password": GIVEN["first agent password"]}).status == 200
    assert life.ask(first, "POST", "/api/v1/agent/password", {"password": GIVEN["agent password"]}, **known).status == 200
    known["password"] = GIVEN["agent password"]
    body = {"agentInfo": agent(first), "zoneName": "zone1"}
    assert life.do(first, "POST", "/agent/join", body, **known)["state"] == "SUCCEED"
    body = {"agentInfo": agent(first), "zoneName": "zone2", "masterPassword": GIVEN["wrong master password"]}
    failed = life.ask(second, "POST", "/api/v1/agent/join", body)
    if failed.status == 200:
        dag = life.over(second, failed.data["id"])
        assert dag["state"] == "FAILED"
        life.ask(second, "POST", f"/api/v1/task/dag/{dag['id']}", {"operator": "ROLLBACK"})
        life.over(second, dag["id"])
    body["masterPassword"] = GIVEN["agent password"]
    assert life.do(second, "POST", "/agent/join", body)["state"] == "SUCCEED"


def initialized(life: Life, first: Host) -> None:
    body: dict[str, Any] = {"clusterId": 1, "clusterName": "test", "rootPwd": GIVEN["root password"]}
    known = {"password": GIVEN["agent password"], "header": AGENT}
    assert life.do(first, "POST", "/obcluster/config", body, **known)["state"] == "SUCCEED"
    body = {"create_proxyro_user": True, "proxyro_password": GIVEN["proxyro password"]}
    assert life.do(first, "POST", "/ob/init", body, **known)["state"] == "SUCCEED"


def scaled_out(life: Life, first: Host, third: Host) -> None:
    known = {"password": GIVEN["root password"]}
    password = {"password": GIVEN["target's agent password"]}
    assert life.ask(third, "POST", "/api/v1/agent/password", password).status == 200
    body = {"agentInfo": agent(third), "zone": "zone3", "obConfigs": {}, "targetAgentPassword": password["password"]}
    assert life.do(first, "POST", "/ob/scale_out", body, **known)["state"] == "SUCCEED"
    body = {"agent_info": agent(third), "force_kill": False}
    assert life.do(first, "POST", "/ob/scale_in", body, **known)["state"] == "SUCCEED"


def logged_in(life: Life, first: Host) -> None:
    known = {"password": GIVEN["root password"]}
    for method, target, name in (("POST", "/api/v1/login", "session"), ("POST", "/api/v1/sso/token", "one-time token")):
        received, keys = life.exchange(first, method, target, **known)
        life.tokens[name] = secrecy.open_body(keys, received.data.encode()).decode()
    for password in ("wrong root password", "wrong master password"):
        assert life.ask(first, "GET", "/api/v1/ob/info", password=GIVEN[password]).status == 401


def served_to_users(life: Life, first: Host) -> None:
    known = {"password": GIVEN["root password"]}
    base = f"http://{first.address}"
    body: dict[str, Any] = {"name": "ada", "password": GIVEN["user password"], "grants": ["TASK_VIEWER"]}
    assert life.ask(first, "POST", "/oboe/v1/users", body, **known).status == 200
    body = {"id": "accesskey0001", "secret": GIVEN["access key's secret"]}
    assert life.ask(first, "POST", "/oboe/v1/users/ada/keys", body, **known).status == 200
    body = {"password": GIVEN["user's new password"]}
    assert life.ask(first, "POST", "/oboe/v1/users/ada/password", body, **known).status == 200
    with httpx.Client(timeout=20) as client:
        for password, status in (("user's new password", 200), ("mistyped user password", 401), ("user password", 401)):
            answer = client.get(f"{base}/api/v2/tasks/instances", auth=("ada", GIVEN[password].encode()))
            assert answer.status_code == status, answer.text
            life.answers.append(answer.content)
        signed = {"Authorization": "OCP-ACCESS-KEY-HMACSHA1 accesskey0001:AAAA", "Date": "x"}
        life.answers.append(client.get(f"{base}/api/v2/tasks/instances", headers=signed).content)
        login = client.post(f"{base}/api/v2/iam/login", json={"username": "ada", "password": GIVEN["user's new password"]})
        life.tokens["browser's session"] = login.cookies["OBOE_SESSION"]
        life.answers.append(login.content)
    life.answers.append(str(life.ask(first, "GET", "/oboe/v1/users", **known).data).encode())


def told_secrets_to_playbooks(life: Life, first: Host) -> None:
    known = {"password": GIVEN["root password"]}
    for name, crash in (("playbook's token", False), ("crashing playbook's token", True)):
        params = {"params": {"token": GIVEN[name], "crash": crash}}
        made = life.ask(first, "POST", "/oboe/v1/playbooks/Careless", params, **known)
        assert made.status == 200, made.body
        dag = life.over(first, made.data["id"])
        assert dag["state"] == "FAILED"
        assert any("***" in line for line in dag["nodes"][0]["sub_tasks"][0]["task_logs"])
        life.ask(first, "GET", f"/api/v1/task/sub_task/{dag['nodes'][0]['sub_tasks'][0]['id']}/logs", **known)


def kept_by(home: Path) -> dict[str, str | bytes]:
    """Every secret of a home's store, opened with the home's key; and that key."""
    sealer = Sealer.at(home)
    found: dict[str, str | bytes] = {f"{home.name}: key of the home": (home / "key").read_bytes()}

    def open_all(name: str, value: Any) -> None:
        if isinstance(value, Secret):
            found[f"{home.name}: {name}"] = value.reveal()
        elif isinstance(value, dict):
            for member, inner in value.items():
                open_all(f"{name}.{member}", inner)
        elif isinstance(value, list):
            for inner in value:
                open_all(name, inner)

    with closing(sqlite3.connect(f"file:{home / 'oboe.db'}?mode=ro", uri=True)) as store:
        for name, body in store.execute("SELECT name, body FROM fact"):
            open_all(name, unsealed(decode(body), sealer))
    return found


def dumped(world: World) -> bytes:
    """Every row of every table of the cluster's home."""
    tables = [name for (name,) in world.store.rows("SHOW TABLES")]
    assert len(tables) > 3
    return b"\n".join(repr(row).encode() for table in tables for row in world.store.rows(f"SELECT * FROM `{table}`"))


def test_nothing_secret_is_left_anywhere(make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    books = tmp_path / "books"
    shutil.copytree(Path(__file__).with_name("books"), books, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("SPINE_PLAYBOOKS", str(books))
    monkeypatch.setenv("OBOE_TLS", "allowed")
    world = make_world()
    with processes_watched(Needles({name: value for name, value in GIVEN.items() if "playbook" not in name})) as seen:
        first, second, third = (world.host(apart=True) for _ in range(3))
        life = Life(world)
        joined(life, first, second)
        initialized(life, first)
        scaled_out(life, first, third)
        logged_in(life, first)
        served_to_users(life, first)
        told_secrets_to_playbooks(life, first)
        modes = {name: mode for host in (first, second, third) for name, mode in open_modes(host.home).items()}
        tables = dumped(world)
        homes = [host.home for host in (first, second, third)]
        kept = {name: value for home in homes for name, value in kept_by(home).items()}
        assert {name.split(": ")[1] for name in kept} >= {"root_password", "cluster_key", "authority_key", "certificate_key", "private_key"}
        world.end_hosts()  # as by kill -9: write-ahead logs stay

    needles = Needles({**GIVEN, **life.tokens, **kept})
    allowed = {f"/{home.name}/key": f"{home.name}: key of the home" for home in homes}
    assert needles.in_files([world.root], but=allowed) == set()
    assert [needles.found_in(answer) for answer in life.answers if needles.found_in(answer)] == []
    assert needles.found_in(tables) == set()
    assert seen == set()
    assert modes == {}
    assert len(life.answers) > 30


def test_the_search_finds_what_is_there_in_every_form(tmp_path: Path) -> None:
    secret = GIVEN["root password"]
    forms = [secret, secret.encode().hex(), json.dumps(secret), b64encode(b"user:" + secret.encode()).decode()]
    forms += [quote(secret), repr(secret)]
    for number, form in enumerate(forms):
        (tmp_path / str(number)).write_text(f"before {form} after")
    needles = Needles({"it": secret})
    assert {where for _, where in needles.in_files([tmp_path], but={})} == {str(tmp_path / str(number)) for number in range(len(forms))}
    (tmp_path / "0").chmod(0o644)
    assert open_modes(tmp_path)[str(tmp_path / "0")] == oct(stat.S_IMODE(0o644))
