"""What the demo leaves behind: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from demo.world import DemoError, World


@pytest.fixture
def world(stubbed: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three agents, each with a "database" in a session of its own."""
    monkeypatch.setenv("STUB", "database")
    world = World(stubbed / ".demo")
    world.begin()
    world.start_agents(3)
    return world


def test_agents_and_what_outlives_them_are_found_and_ended(world: World) -> None:
    found = world.processes()
    assert len(found) == 6
    world.end(lambda _: None)
    assert world.processes() == []
    assert [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_second_demo_is_refused_while_one_runs_and_replaces_one_that_ended(world: World) -> None:
    with pytest.raises(DemoError, match="still runs"):
        World(world.root).begin()
    world.end(lambda _: None)
    World(world.root).begin()
    assert list(world.root.iterdir()) == []


def test_a_kept_cluster_is_described_for_its_owner_only(world: World) -> None:
    databases = [{"ip": "127.0.0.1", "mysql_port": 2881, "role": "PRIMARY"}]
    path = world.describe(password="pw1", databases=databases)
    told = json.loads(path.read_text())
    assert (set(told), len(told["agents"]), set(told["agents"][0])) == ({"agents", "password", "databases"}, 3, {"ip", "port", "home"})
    assert (told["password"], told["databases"]) == ("pw1", databases)
    assert {oct(each.stat().st_mode & 0o777) for each in (path, world.root / "password")} == {"0o600"}


def test_files_of_somebody_else_are_not_removed(tmp_path: Path) -> None:
    root = tmp_path / ".demo"
    root.mkdir()
    (root / "thesis.txt").write_text("dear")
    with pytest.raises(DemoError, match=r"thesis\.txt"):
        World(root).begin()
    assert (root / "thesis.txt").read_text() == "dear"
