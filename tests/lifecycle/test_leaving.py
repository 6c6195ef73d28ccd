"""A FOLLOWER that leaves: undone, by itself, or forgotten while it was away. No client is ever answered with a failure of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from oboe.cli.main import oboe
from oboe.control.port import Caller
from oboe.playbooks.agent import join, remove
from tests.api.client import Received
from tests.lifecycle.cluster import asked
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines


def master_and(world: World) -> tuple[Host, Host]:
    """A MASTER without a password, and somebody to join it."""
    master, other = world.host(), world.host()
    world.do(master, "/agent/join", joins(master, "zone1"))
    return master, other


def joins(master: Host, zone: str = "zone2") -> dict[str, object]:
    return {"agentInfo": {"ip": master.address.ip, "port": master.address.port}, "zoneName": zone}


@contextmanager
def watched(path: str, *hosts: Host) -> Iterator[list[tuple[str, Received]]]:
    """What clients that never stop asking these hosts are told meanwhile."""
    answers: list[tuple[str, Received]] = []
    over = threading.Event()

    def ask(host: Host) -> None:
        while not over.is_set():
            answers.append((host.name, asked(host, "GET", path, password="")))

    threads = [threading.Thread(target=ask, args=[host]) for host in hosts for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def by_socket(host: Host, *words: str) -> str:
    result = CliRunner().invoke(oboe, ["cluster", *words, "--home", str(host.home)], catch_exceptions=False)
    assert result.exit_code == 0, (result.stdout, result.stderr)
    return result.stdout


def test_a_join_is_undone_and_nobody_who_asks_meanwhile_is_told_of_a_failure(world: World) -> None:
    master, other = master_and(world)
    with planted(join.BecomeFollower):
        dag = world.failed(other, world.ask(other, "/agent/join", joins(master)), why=PLANTED)
    with watched(f"/task/dag/{dag.id}", master, other) as answers:
        eventually(lambda: len(answers) > 4)
        world.undone(world.operate(other, dag, "ROLLBACK"))
        seen = len(answers)
        eventually(lambda: len(answers) > seen + 4)
    assert [(name, one.status, one.code) for name, one in answers if one.status >= 500] == []
    assert {one.status for name, one in answers if name == other.name} == {200}
    world.untouched(other)
    assert master.agent.local.member(other.address) is None


def test_a_join_that_is_retried_at_its_last_node_ends_as_a_follower(world: World) -> None:
    master, other = master_and(world)
    with planted(join.BecomeFollower, times=1):
        dag = world.failed(other, world.ask(other, "/agent/join", joins(master)), why=PLANTED)
    world.good(world.operate(other, dag, "RETRY"))
    assert other.identity == "FOLLOWER"
    assert master.agent.local.member(other.address) is not None
    assert world.get(other, "/task/dag/unfinish") == {"contents": []}


def test_who_only_tried_to_join_keeps_users_and_hosts(world: World) -> None:
    master, other = master_and(world)
    other.agent.local.remember(users={"kept": 1}, hosts={"kept": 2})
    with planted(join.BecomeFollower):
        dag = world.failed(other, world.ask(other, "/agent/join", joins(master)), why=PLANTED)
    world.undone(world.operate(other, dag, "ROLLBACK"))
    assert (other.agent.local.value("users"), other.agent.local.value("hosts")) == ({"kept": 1}, {"kept": 2})


def test_a_follower_removes_itself_over_its_socket(world: World) -> None:
    master, other = master_and(world)
    world.do(other, "/agent/join", joins(master))
    with watched("/task/dag/unfinish", other) as answers:
        told = by_socket(other, "remove", str(other.address))
    assert "Follower remove self" in told
    assert [(one.status, one.code) for _, one in answers if one.status != 200] == []
    world.untouched(other)
    assert master.agent.local.member(other.address) is None
    world.do(other, "/agent/join", joins(master))
    assert other.identity == "FOLLOWER"


def test_a_follower_that_was_removed_while_it_was_away_is_told_so_and_cleans_up(world: World) -> None:
    master, other = master_and(world)
    world.do(other, "/agent/join", joins(master))
    master.agent.local.remove_member(other.address)
    # Until its MASTER has answered in time, which takes a while on a busy machine, it answers lists by itself.
    told = eventually(lambda: (one := asked(other, "GET", "/task/dag/unfinish", password="")).status != 200 and one)
    assert (told.status, told.code) == (400, "Agent.NotExist")
    assert f"oboe cluster remove {other.address}" in str(told.body)
    by_socket(other, "remove", str(other.address))
    world.untouched(other)


@pytest.mark.parametrize("step", [remove.RemoveSelf, remove.ForgetMaster], ids=lambda step: step.__name__)
@pytest.mark.parametrize("operator", ["RETRY", "PASS"])
def test_a_follower_that_fails_to_remove_itself_has_a_way_on(world: World, step: type, operator: str) -> None:
    master, other = master_and(world)
    world.do(other, "/agent/join", joins(master))
    with planted(step):
        made = other.agent.control.remove(other.address, caller=Caller("admin"), dry_run=False)
        dag = world.failed(other, f"22130706433{other.address.port:05}{made.id}", why=PLANTED)  # type: ignore[union-attr, arg-type]
    ended = world.operate(other, dag, operator)
    assert ended.state == "SUCCEED", lines(ended)
    world.untouched(other)
