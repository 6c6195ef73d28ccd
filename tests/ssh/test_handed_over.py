"""A dag about the host of the asked agent: another member of the cluster does it, even when the asked one maintains the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from demo.ports import free_ports
from oboe.cli.client import AgentClient, operate_agent
from oboe.cli.failure import AnswerError
from oboe.hosts.ssh import HostKey
from tests.spine.conftest import make_world, world
from tests.spine.host import Host, eventually
from tests.spine.world import World

__all__ = ["make_world", "world"]

KEY = HostKey("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "SHA256:none")


@pytest.fixture
def listed() -> Iterator[None]:
    with mock.patch("oboe.control.hosts.scan_host_key", return_value=KEY):
        yield


def _add(client: AgentClient, name: str, host: Host) -> Any:
    """One where nobody listens for SSH."""
    (closed,) = free_ports(1)
    body = {
        "name": name,
        "address": "127.0.0.1",
        "port": closed,
        "user": "u",
        "password": "p",
        "agent": str(host.address),
        "accept_new": True,
    }
    return client.post("/oboe/v1/hosts", body).data


@pytest.mark.usefixtures("listed")
def test_another_member_does_it_and_every_agent_knows_the_hosts(world: World) -> None:
    first, second = world.host(), world.host()
    world.gather(first, second)
    _add(world.client(first), "one", first)
    world.good(world.over(first, world.init(first)))
    eventually(lambda: [one["name"] for one in world.client(second).get("/oboe/v1/hosts").data["contents"]] == ["one"])
    assert "password" not in str(world.client(second).get("/oboe/v1/hosts").data["contents"][0]["credentials"][1:])

    dag = world.dag(first, operate_agent(world.client(first), "restart", "one"))
    assert {agent.agent for node in dag.nodes for agent in node.sub_tasks} <= {str(second.address), ""}
    dag = world.failed(first, dag, at="Prepare restart OCP agent", why="nobody listens")
    world.undone(world.operate(first, dag, "ROLLBACK"))

    dag = world.dag(second, operate_agent(world.client(second), "restart", "one"))
    world.undone(world.operate(second, world.failed(second, dag, why="nobody listens"), "ROLLBACK"))

    _add(world.client(second), "two", second)
    with pytest.raises(AnswerError) as caught:
        operate_agent(world.client(first), "restart", "one", "two")
    assert caught.value.code == "Host.IsSelf"
    second.end()
    world.hosts.remove(second)
    with pytest.raises(AnswerError) as caught:
        operate_agent(world.client(first), "restart", "one")
    assert caught.value.code == "Host.IsSelf"
    assert "oboe agent stop" in caught.value.message
