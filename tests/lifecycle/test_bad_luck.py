"""A member that hangs, and a root password that somebody changed in SQL: the API goes on, in time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest

from oboe.control import reading, service
from tests.lifecycle.cluster import asked, leaves, runs, scope
from tests.lifecycle.test_emergency import command
from tests.lifecycle.test_sdk import sdk
from tests.spine.host import Host, eventually
from tests.spine.world import PASSWORD, World

HANGS_SECONDS = 2.0
BUSY_SECONDS = 2.5
"""For a machine that has other things to do; a call that nobody bounds takes five."""


@pytest.fixture(scope="module")
def half_asleep(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[tuple[Host, Host, Host]]:
    """Two CLUSTER AGENTS, the first of which maintains the cluster, and one whose process is stopped, as on a host that hangs."""
    world = World(tmp_path_factory.mktemp("asleep"), store_port)
    try:
        master, other, asleep = world.host(), world.host(), world.host(apart=True)
        world.gather(master, other, asleep)
        world.good(world.over(master, world.init(master)))
        eventually(lambda: {other.identity, asleep.identity} == {"CLUSTER AGENT"})
        asleep.signal(signal.SIGSTOP)
        yield master, other, asleep
        asleep.signal(signal.SIGCONT)
    finally:
        world.end()


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("path", ["/task/dag/unfinish", "/task/dag/maintain/agents", "/agents/status", "/task/dag/agent/main_dags"])
def test_a_member_that_hangs_delays_a_list_by_two_seconds_at_most_and_is_named(
    half_asleep: tuple[Host, Host, Host], path: str, at: int
) -> None:
    asleep = half_asleep[2]
    begun = time.monotonic()
    received = asked(half_asleep[at], "GET", path)
    assert time.monotonic() - begun < HANGS_SECONDS + BUSY_SECONDS
    assert received.status == 200
    assert received.headers["x-oboe-missing"] == str(asleep.address)
    if path == "/agents/status":
        assert set(received.data) == {str(each.address) for each in half_asleep[:2]}


@pytest.mark.parametrize("at", [0, 1])
def test_a_client_library_is_answered_in_time_while_a_member_hangs(half_asleep: tuple[Host, Host, Host], at: int) -> None:
    client = sdk(half_asleep[at])
    begun = time.monotonic()
    assert client.get_unfinished_dags() == []
    assert len(client.get_all_agent_last_maintenance_dag()) == 2
    assert time.monotonic() - begun < 2 * (HANGS_SECONDS + BUSY_SECONDS)


@pytest.mark.parametrize("path", ["/task/dag/maintain/ob", "/ob/info", "/ob/agents", "/task/dags/ob"])
def test_what_needs_nobody_else_does_not_notice(half_asleep: tuple[Host, Host, Host], monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for module in (reading, service):
        monkeypatch.setattr(module, "GATHER_SECONDS", 60.0)
    begun = time.monotonic()
    received = asked(half_asleep[0], "GET", path)
    assert time.monotonic() - begun < 15
    assert received.status in (200, 404)


def test_a_dag_of_the_one_that_hangs_is_answered_in_time(half_asleep: tuple[Host, Host, Host]) -> None:
    master, _, asleep = half_asleep
    begun = time.monotonic()
    received = asked(master, "GET", f"/task/dag/22130706433{asleep.address.port:05}1")
    assert time.monotonic() - begun < 15
    assert (received.status, received.code) == (500, "Common.Unexpected")


def test_the_root_password_was_changed_in_sql(make_world: Callable[..., World]) -> None:
    """The new one counts from its first use; oboe itself logs in as a user of its own and goes on in any case."""
    world = make_world()
    first, second = world.host(), world.host()
    world.gather(first, second)
    world.good(world.over(first, world.init(first)))
    joiner = world.host()
    for host in (first, second):
        _change(host, "root", "changed in SQL")
    # Nobody has come with the new one yet: what is asked over an agent's socket needs none.
    assert first.public("/api/v1/status")["obState"] == 3
    assert first.public("/oboe/v1/ready")["waits_for"] == []
    for word in ("stop", "start"):
        command(first, word, "--server", str(second.address))
        assert runs(second) is (word == "start")
    # The one that was taken away counts no longer than a moment, though nobody has used the new one.
    eventually(lambda: asked(first, "GET", "/task/dag/maintain/ob").status == 401)
    made = asked(first, "POST", "/ob/scale_out", _out(joiner), password="changed in SQL")
    assert made.status == 200, made.body
    world.clients_know("changed in SQL")
    world.good(world.over(first, str(made.data["id"])))
    for host in (first, second, joiner):
        assert asked(host, "GET", "/task/dag/maintain/ob", password="changed in SQL").data["state"] == "SUCCEED"
        refused = asked(host, "GET", "/task/dag/maintain/ob", password=PASSWORD)
        assert (refused.status, refused.code) == (401, "Security.Authentication.IncorrectOceanbasePassword")
    world.good(world.over(first, world.ask(first, "/ob/stop", scope(joiner))))
    world.good(world.over(first, world.ask(first, "/ob/start", scope(joiner))))
    world.good(world.over(first, world.ask(second, "/ob/scale_in", leaves(joiner))))


def _out(joiner: Host) -> dict[str, object]:
    return {"agentInfo": {"ip": "127.0.0.1", "port": joiner.address.port}, "zone": "zone2", "obConfigs": {}}


def _change(host: Host, user: str, password: str) -> None:
    host.alter(users=host.known()["users"] | {user: sha256(password.encode()).hexdigest()})
