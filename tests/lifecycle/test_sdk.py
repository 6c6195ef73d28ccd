"""The vendor's own client library, unmodified, through the life of a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from obshell import ClientSet
from obshell.auth.password import PasswordAuth
from obshell.service.client_v1 import ClientV1, OBShellHandleError

from tests.lifecycle.cluster import gone, runs
from tests.spine.host import Host, eventually
from tests.spine.world import PASSWORD, World


def sdk(host: Host) -> ClientV1:
    """With an auth of its own: the library shares the default one between hosts."""
    return ClientSet(host.address.ip, host.address.port, auth=PasswordAuth(PASSWORD)).v1


def ended(dag: Any) -> tuple[str, str, str]:
    return dag.name, dag.state, dag.operator


def test_stop_start_scale_in_and_delete_zone_wait_for_their_dags(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner, zone="zone6")))
    client, target = sdk(first), [str(joiner.address)]

    assert ended(client.stop_sync("SERVER", target)) == ("Stop OB", "SUCCEED", "RUN")
    assert not runs(joiner)
    assert ended(client.start_sync("SERVER", target)) == ("Start OB", "SUCCEED", "RUN")
    assert runs(joiner)
    assert ended(client.stop_sync("SERVER", target, terminate=True)) == ("Stop OB", "SUCCEED", "RUN")
    assert ended(client.start_sync("ZONE", ["zone6"])) == ("Start OB", "SUCCEED", "RUN")

    assert ended(client.scale_in_sync(joiner.address.ip, joiner.address.port)) == ("Cluster scale in", "SUCCEED", "RUN")
    gone(cluster, joiner)
    assert client.scale_in(joiner.address.ip, joiner.address.port) is None
    assert ended(client.delete_zone_sync("zone6")) == ("Delete zone", "SUCCEED", "RUN")
    assert client.delete_zone("zone6") is None


def test_a_dag_is_answered_at_once_where_nobody_waits(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    cluster.good(cluster.over(first, cluster.scale_out(first, joiner, zone="zone6")))
    client = sdk(first)
    stop = client.stop("SERVER", [str(joiner.address)], force=True)
    assert ended(stop) == ("Stop OB", "READY", "RUN")
    cluster.good(cluster.over(first, stop.generic_id))
    start = client.start("SERVER", [str(joiner.address)], force_pass_dag=[stop.generic_id])
    cluster.good(cluster.over(first, start.generic_id))
    zone = client.delete_zone("zone6")
    assert ended(zone) == ("Delete zone", "READY", "RUN")
    cluster.good(cluster.over(first, zone.generic_id))
    eventually(lambda: joiner.identity == "SINGLE")


def test_a_refusal_has_the_code_of_the_original(cluster: World) -> None:
    first = cluster.hosts[0]
    with pytest.raises(OBShellHandleError) as told:
        sdk(first).stop("GLOBAL", [])
    assert told.value.err_code == "OB.Cluster.ForceStopOrTerminateRequired"
    with pytest.raises(OBShellHandleError) as told:
        sdk(first).scale_in(first.address.ip, first.address.port)
    assert told.value.err_code == "OB.Server.DeleteSelf"
