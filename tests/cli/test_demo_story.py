"""The demo's story against scripted agents: which requests it makes, and that it notices when something is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo import story as stories
from demo.story import Story
from demo.world import Agent, DemoError, World

from .replay import Replay, replaying

TWIN = "create local scale out dag success, genericID:99"
ROUTES = ["/agent/join", "/observer/config", "/obcluster/config", "/ob/init", "/ob/scale_out"]


def dag(number: int, name: str, *, state: str = "SUCCEED", line: str = "") -> dict[str, Any]:
    ran = {"execute_times": 1, "execute_agent": {"ip": "127.0.0.1", "port": 2886}, "task_logs": [line] if line else []}
    sub_task = {"id": "1", "state": state, "operator": "RUN"} | ran
    nodes = [{"id": "1", "name": "Only node", "state": state, "operator": "RUN", "sub_tasks": [sub_task]}]
    return {"id": str(number), "name": name, "state": state, "operator": "RUN", "stage": 1, "max_stage": 1, "nodes": nodes}


def answered(data: Any) -> tuple[int, str]:
    return 200, json.dumps({"data": data, "timestamp": "2026-01-01T00:00:00Z"})


class Server:
    """Databases that know the demo's table; what is written anywhere can be read everywhere."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.ports: list[int] = []

    def connect(self, *, port: int, password: str, **_: Any) -> Server:
        assert password
        self.ports.append(port)
        return self

    def cursor(self) -> Server:
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str) -> None: ...

    def executemany(self, statement: str, rows: list[tuple[str, str]]) -> None:
        self.rows += rows

    def fetchall(self) -> list[tuple[str]]:
        return [(name,) for name, _ in sorted(self.rows)]

    def commit(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Story, list[Replay], Server]]:
    """A story about three scripted agents, in a world where every operation succeeds at once."""
    server = Server()
    monkeypatch.setattr(stories.pymysql, "connect", server.connect)
    with ExitStack() as held:
        agents = [held.enter_context(replaying(identity="MASTER")) for _ in range(3)]
        world = World(tmp_path / ".demo")
        world.agents = tuple(Agent(f"agent{n}", tmp_path, each.address, 1, 2 * n, 2 * n + 1) for n, each in enumerate(agents, 1))
        story = Story(world)
        for each in agents:
            each.password = story.password
            for number, route in enumerate(ROUTES, 10):
                each.extra[f"/api/v1{route}"] = answered(dag(number, route, state="READY"))
                each.extra[f"/api/v1/task/dag/{number}"] = answered(dag(number, route, line=TWIN if route == "/ob/scale_out" else ""))
            each.extra["/api/v1/task/dag/99"] = answered(dag(99, "Local scale out"))
            each.extra["/api/v1/task/dag/maintain/agent"] = answered(dag(1, "Synchronize agent from cluster", line="try to connect"))
            each.extra["/api/v1/ob/info"] = answered(info(world, 3))
        yield story, agents, server
        story.close()


def info(world: World, count: int) -> dict[str, Any]:
    members = [{"ip": each.address.ip, "port": each.address.port, "zone": "z", "identity": "CLUSTER AGENT"} for each in world.agents]
    roles = ["NO", "YES", "NO"]
    servers = [
        {"svr_ip": "127.0.0.1", "sql_port": each.mysql_port, "with_rootserver": role}
        for each, role in zip(world.agents, roles, strict=True)
    ]
    return {"agent_info": members[:count], "obcluster_info": {"topology": {"z": servers}}}


def test_the_story_is_told_over_the_public_interface_alone(
    stage: tuple[Story, list[Replay], Server], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story, agents, server = stage
    monkeypatch.setattr(Story, "_expect_members", lambda *_: None)
    story.tell()
    posts = [[each.target.removeprefix("/api/v1") for each in agent.seen if each.method == "POST"] for agent in agents]
    accepted = [dict.fromkeys(each).keys() for each in posts]
    assert [list(each) for each in accepted] == [
        ["/agent/join", "/observer/config", "/obcluster/config", "/ob/init", "/ob/scale_out"],
        ["/agent/join"],
        [],
    ]
    assert server.ports == [4, 2, 6], "written through the primary, read on both standbys"
    told = capsys.readouterr().out
    for text in ("Local scale out  99", "try to connect", "wrote 3 rows", "read 3 rows", "clarinet, flute, oboe"):
        assert text in told
    assert story.password not in told


def test_a_dag_that_fails_ends_the_story(stage: tuple[Story, list[Replay], Server]) -> None:
    story, agents, _ = stage
    agents[0].extra["/api/v1/task/dag/13"] = answered(dag(13, "Initialize cluster", state="FAILED"))
    with pytest.raises(DemoError, match="is FAILED"):
        story.tell()


def test_a_member_that_is_missing_ends_the_story(stage: tuple[Story, list[Replay], Server]) -> None:
    story, _, _ = stage
    with pytest.raises(DemoError, match="there should be 2 members"):
        story.tell()


def test_databases_are_named_with_the_primary_first(stage: tuple[Story, list[Replay], Server]) -> None:
    story, _, _ = stage
    assert [(each["mysql_port"], each["role"]) for each in story.databases()] == [(4, "PRIMARY"), (2, "STANDBY"), (6, "STANDBY")]
