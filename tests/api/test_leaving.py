"""A client waits at the agent that it asked: also when what it asked for takes that agent out of the cluster to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oboe.control.reading import FIND, FindDag
from oboe.control.views import DagView
from oboe.domain.errors import Refused
from oboe.domain.values import HomeKind, Identity
from oboe.membership.verbs import AskStatus
from tests.spine.host import eventually

from .living import Living, living


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Living, Living]]:
    """A MASTER and its FOLLOWER."""
    with living(tmp_path / "a") as master, living(tmp_path / "b") as follower:
        master.become_master()
        here = master.agent.address
        body = b'{"agentInfo":{"ip":"%s","port":%d},"zoneName":"zone2"}' % (here.ip.encode(), here.port)
        follower.finish(follower.send("POST", "/api/v1/agent/join", body))
        yield master, follower


def leave(follower: Living) -> str:
    own = follower.agent.address
    asked = follower.send("POST", "/api/v1/agent/remove", b'{"ip":"%s","port":%d}' % (own.ip.encode(), own.port))
    assert follower.finish(asked)["name"] == f"Remove follower agent {own}"
    assert follower.send("GET", "/api/v1/info").data["identity"] == "SINGLE"
    return str(asked.data["id"])


def test_who_was_removed_shows_the_dag_that_did_it_and_can_join_again(two: tuple[Living, Living]) -> None:
    master, follower = two
    dag_id = leave(follower)
    for _ in range(2):
        assert follower.send("GET", f"/api/v1/task/dag/{dag_id}").data["state"] == "SUCCEED"
    here = master.agent.address
    body = b'{"agentInfo":{"ip":"%s","port":%d},"zoneName":"zone2"}' % (here.ip.encode(), here.port)
    follower.finish(follower.send("POST", "/api/v1/agent/join", body))
    assert leave(follower) != dag_id


def test_who_was_removed_is_told_nothing_else(two: tuple[Living, Living]) -> None:
    master, follower = two
    dag_id = leave(follower)
    join_self = dag_id[: dag_id.index(str(master.port), 11) + 5] + "1"
    assert master.send("GET", f"/api/v1/task/dag/{join_self}").data["name"] == "Join self"
    assert follower.send("GET", f"/api/v1/task/dag/{join_self}").code == "Task.NotFound"
    peers, there = follower.agent.peers, master.agent.address
    with pytest.raises(Refused, match="is no member"):
        peers.call(there, "agent.status", AskStatus(1.0), object)
    with pytest.raises(Refused, match="is no member"):
        peers.call(there, FIND, FindDag("dag", int(HomeKind.CLUSTER), 1, False), DagView)


def test_a_wrong_password_of_the_master_is_refused_before_there_is_a_dag(tmp_path: Path) -> None:
    with living(tmp_path / "a") as master, living(tmp_path / "b") as joiner:
        assert master.send("POST", "/api/v1/agent/password", b'{"password":"ap"}').status == 200
        master.header, master.password = "X-OCS-Agent-Header", "ap"
        master.become_master()
        body = {"agentInfo": {"ip": "127.0.0.1", "port": master.port}, "zoneName": "zone2"}
        for password in ({}, {"masterPassword": "wrong"}):
            refused = joiner.send("POST", "/api/v1/agent/join", json.dumps(body | password).encode())
            assert (refused.status, refused.code) == (401, "Security.Authentication.IncorrectAgentPassword")
            assert "data" not in refused.envelope
        assert joiner.send("GET", "/api/v1/task/dags/agent").data == {"contents": []}
        assert joiner.send("GET", "/api/v1/status").data["underMaintenance"] is False
        assert joiner.send("POST", "/api/v1/agent/join", json.dumps(body | {"masterPassword": "ap"}).encode()).status == 200
        eventually(lambda: joiner.agent.local.identity() is Identity.FOLLOWER)
