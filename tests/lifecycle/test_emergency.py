"""While the cluster's store is away and the others may be dead: this host's own database, by whoever is root on this host."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from oboe.cli.main import oboe
from tests.lifecycle.cluster import everything, refused, runs, scope, status
from tests.spine.host import Host, eventually
from tests.spine.world import World


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OBOE_PASSWORD", "OBOE_HOME", "OBOE_AGENT"):
        monkeypatch.delenv(name, raising=False)


def command(host: Host, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(oboe, ["cluster", *words, "--home", str(host.home)], catch_exceptions=False)
    assert result.exit_code == code, (result.stdout, result.stderr)
    return result


def stop_everything(world: World) -> None:
    """And the connections that the tests' databases, which are only played, leave open."""
    first = world.hosts[0]
    world.good(world.over(first, world.ask(first, "/ob/stop", everything(force=True))))
    for host in world.hosts:
        assert not runs(host)
        host.agent.link.close()


def test_a_server_is_started_and_stopped_alone_while_nothing_else_answers(cluster: World) -> None:
    first, second = cluster.hosts[:2]
    stop_everything(cluster)
    second.end()
    try:
        assert "Start local observer" in command(first, "start", "--emergency").stdout
        assert runs(first)
        eventually(lambda: status(cluster, first) == "ACTIVE")
    finally:
        second.begin()
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", everything())))

    stop_everything(cluster)
    command(second, "start", "--emergency")
    assert runs(second)
    stopped = json.loads(command(second, "stop", "--emergency", "--no-wait", "--json").stdout)
    assert stopped["name"] == "Stop local observer"
    eventually(lambda: not runs(second))
    cluster.good(cluster.over(first, cluster.ask(first, "/ob/start", everything())))


def test_while_the_cluster_serves_it_is_a_start_like_any_other(cluster: World) -> None:
    first = cluster.hosts[0]
    assert "Start OB" in command(first, "start", "--emergency").stdout


def test_nobody_asks_for_it_over_the_network(cluster: World) -> None:
    """The body has no member for it: over the port a server alone is stopped with all its agents' knowledge, or not at all."""
    first, second = cluster.hosts[:2]
    second.agent.local.become(second.agent.local.identity().SCALING_IN)
    try:
        body = scope(second, force=True, emergency=True)
        assert refused(cluster, second, "/ob/stop", body) == (400, "Agent.Identify.NotSupportOperation")
    finally:
        second.agent.local.become(first.agent.local.identity())
    assert runs(second)


def test_it_is_for_this_hosts_server_and_over_the_socket_only(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    assert "--emergency means this host's own server" in command(first, "start", "--emergency", "--all", code=2).stderr
    told = CliRunner().invoke(oboe, ["cluster", "start", "--emergency", "--agent", "127.0.0.1:1"], env={"OBOE_PASSWORD": "x"})
    assert (told.exit_code, "emergency.not_local" in told.stderr) == (1, True)
    command(joiner, "start", "--emergency", code=1)
