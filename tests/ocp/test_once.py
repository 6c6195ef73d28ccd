"""``Idempotency-Key``: what is asked again is answered again and done once, by whichever agent, before and after its death."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from oboe.control import repeating
from oboe.control.repeating import Kept, Repeating
from oboe.domain.errors import Refused, TryAgain
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from oboe.store.request_keys import RequestKeys
from oboe.store.sqlite import Sqlite
from tests.ocp.site import Answered, Site
from tests.ocp.steps import Node

DONE = Kept(200, "application/json", (("ETag", '"1"'),), b"{}")


class Local:
    def __init__(self, who: Identity = Identity.CLUSTER_AGENT) -> None:
        self.who = who

    def identity(self) -> Identity:
        return self.who

    def secret(self, name: str) -> Secret:
        return Secret(f"the {name}")


class Link:
    """The cluster's home, which may be away."""

    def __init__(self, keys: RequestKeys) -> None:
        self.keys, self.away = keys, False

    def request_keys(self) -> RequestKeys:
        if self.away:
            raise TryAgain("cluster.no_primary", "no primary")
        return self.keys


class Cluster:
    """Two agents, their own stores and the one that they share."""

    def __init__(self, root: Path) -> None:
        self.now = 10**18
        stores = [Sqlite(root / f"{name}.db") for name in ("shared", "one", "two")]
        self.link = Link(RequestKeys(stores[0]))
        self.agents = [
            Repeating(Local(), RequestKeys(store), self.link, clock=lambda: self.now)  # type: ignore[arg-type]
            for store in stores[1:]
        ]
        self.done: list[str] = []

    def ask(self, agent: int, asked: str, key: str = "k", answer: Kept = DONE) -> Kept:
        def carry_out() -> Kept:
            self.done.append(asked)
            return answer

        return self.agents[agent].once("alice", key, asked.encode(), carry_out)

    def code(self, agent: int, asked: str) -> str:
        with pytest.raises(Refused) as refused:
            self.ask(agent, asked)
        return refused.value.code


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_every_agent_of_a_cluster_knows_what_was_done(cluster: Cluster) -> None:
    assert cluster.ask(0, "retry") == cluster.ask(1, "retry") == DONE
    assert cluster.done == ["retry"]
    assert cluster.code(1, "rollback") == "request.key_reused"
    assert cluster.ask(1, "rollback", key="another") == DONE


def test_without_a_primary_an_agent_keeps_them_itself(cluster: Cluster) -> None:
    cluster.link.away = True
    assert cluster.ask(0, "stop") == cluster.ask(0, "stop") == DONE
    assert cluster.done == ["stop"]
    assert cluster.code(0, "start") == "request.key_reused"


def test_what_could_not_be_done_may_be_asked_again(cluster: Cluster) -> None:
    assert cluster.ask(0, "retry", answer=Kept(503, "", (), b"")).status == 503
    assert cluster.ask(1, "retry") == DONE
    assert cluster.done == ["retry", "retry"]


def test_who_died_before_the_answer_leaves_a_question_and_nothing_is_done_twice(cluster: Cluster) -> None:
    with mock.patch.object(RequestKeys, "drop"), pytest.raises(SystemExit):
        cluster.agents[0].once("alice", "k", b"retry", lambda: (_ for _ in ()).throw(SystemExit))
    assert cluster.code(1, "retry") == "request.key_busy"
    cluster.now += (repeating.UNDER_WAY_SECONDS + 1) * 10**9
    assert cluster.code(1, "retry") == "request.key_unfinished"
    cluster.now += 86_400 * 10**9
    assert cluster.ask(1, "retry") == DONE, "a day later it is forgotten"


def test_an_answer_that_is_too_long_is_not_kept_and_the_repetition_is_told(cluster: Cluster) -> None:
    with mock.patch.object(repeating, "ANSWER_BYTES_MAX", 4):
        assert cluster.ask(0, "retry") == DONE
        assert cluster.code(0, "retry") == "request.key_unfinished"


def test_what_is_kept_tells_nothing_of_what_was_asked(cluster: Cluster, tmp_path: Path) -> None:
    cluster.ask(0, "a password of many words")
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("shared.db*"))
    from hashlib import sha256

    assert sha256(b"a password of many words").hexdigest().encode() not in stored
    assert b"of many words" not in stored


def test_a_key_survives_the_agent(tmp_path: Path) -> None:
    first = Site(tmp_path)
    going = first.run(Node("a"), a="fail").until("FAILED/EXECUTE")
    key = {"Idempotency-Key": "before and after"}
    before = first.manager.post(f"{going.path}/retry", headers=key)
    going.until("FAILED/RETRY")
    first.end()
    second = Site(tmp_path, first.ports)
    try:
        after = second.manager.post(f"{going.path}/retry", headers=key)
        assert (after.status, after.body) == (200, before.body)
        assert second.manager.post(f"{going.path}/rollback", headers=key).error == (422, 10001)
        assert second.viewer.get(going.path).data["subtasks"][0]["runTime"] == 2, "once"
        assert second.manager.post(f"{going.path}/retry", headers={"Idempotency-Key": "k" * 256}).error == (400, 10001)
    finally:
        second.end()


def test_oboes_own_routes_take_keys_too(site: Site) -> None:
    def add(name: str, **headers: str) -> Answered:
        body = json.dumps({"name": name, "password": "a long password", "grants": []}).encode()
        public_key = site.agent.keys.public_key()
        sealed = secrecy.seal_request(public_key, password=Secret(""), uri="/oboe/v1/users", body=body)
        return site.client().post("/oboe/v1/users", body=sealed.body, headers={"X-OCS-Header": sealed.header, **headers})

    key = {"Idempotency-Key": "once"}
    first, again = add("dora", **key), add("dora", **key)
    assert first.data["name"] == "dora"
    assert (again.status, again.body) == (200, first.body)
    other = add("emil", **key)
    assert (other.status, other.envelope["error"]["errCode"]) == (422, "Request.IdempotencyKey.Reused")
    assert [user.name for user in site.users.all()][3:] == ["dora"]
    assert add("dora").status == 400, "there is one already"
