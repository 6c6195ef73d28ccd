"""The vendor's own client library, unmodified, through the life of a cluster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from obshell import ClientSet
from obshell.auth.password import PasswordAuth
from obshell.service.client_v1 import ClientV1, OBShellHandleError, TaskExecuteFailedError

from oboe.playbooks.cluster.scale_out import AddAgent
from tests.lifecycle.cluster import asked, gone, runs
from tests.spine.host import Host, eventually
from tests.spine.plant import PLANTED, planted
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


def test_a_cluster_is_made_grown_and_an_operator_waited_for(world: World) -> None:
    """With the passwords that hold at each moment: none, the one that is being set, the one that was set."""
    master, follower, joiner = world.host(), world.host(), world.host()
    ip = master.address.ip
    client = ClientSet(ip, master.address.port, auth=PasswordAuth("")).v1
    assert ended(client.join_sync(ip, master.address.port, "zone1")) == ("Join self", "SUCCEED", "RUN")
    # That dag is the joining agent's; the library waits for it at its own host, which passes the question on.
    assert ended(client.join_sync(ip, follower.address.port, "zone2")) == ("Join to master", "SUCCEED", "RUN")
    made = client.config_observer_sync({"memory_limit": "2G"}, "SERVER", [str(follower.address)])
    assert ended(made) == ("Update observer config", "SUCCEED", "RUN")
    # The new password counts before the dag is over: the library switches while it waits.
    assert ended(client.config_obcluster_sync("one", 7, PASSWORD)) == ("Update cluster config", "SUCCEED", "RUN")
    assert ended(client.init_sync()) == ("Initialize cluster", "SUCCEED", "RUN")
    assert client.get_ob_info().cluster.cluster_name == "one"

    with planted(AddAgent, times=1), pytest.raises(TaskExecuteFailedError, match=PLANTED):
        sdk(follower).scale_out_sync(ip, joiner.address.port, "zone3", {})
    (failed,) = sdk(follower).get_cluster_unfinished_dag()
    assert sdk(master).operate_dag_sync(failed.generic_id, "ROLLBACK") is True
    assert ended(sdk(follower).get_dag(failed.generic_id)) == ("Cluster scale out", "SUCCEED", "ROLLBACK")
    assert ended(sdk(follower).scale_out_sync(ip, joiner.address.port, "zone3", {})) == ("Cluster scale out", "SUCCEED", "RUN")
    assert sdk(joiner).get_info().identity == "CLUSTER AGENT"


def test_a_wrong_password_changes_nothing_and_the_right_one_is_not_forgotten(cluster: World) -> None:
    first = cluster.hosts[0]
    wrong, right = ClientSet("127.0.0.1", first.address.port, auth=PasswordAuth("not it")).v1, sdk(first)
    with pytest.raises(OBShellHandleError) as told:
        wrong.stop("GLOBAL", [], force=True)
    assert (told.value.code, told.value.err_code) == (10008, "Security.Authentication.IncorrectOceanbasePassword")
    assert runs(first)
    assert not [dag.name for dag in right.get_unfinished_dags() if dag.name.startswith("Stop")]


def test_a_request_that_comes_twice_makes_one_dag(cluster: World, joiner: Host) -> None:
    """The library sends again whatever was answered with 400 or more, and so may whatever is in between."""
    first, second = cluster.hosts[:2]
    body = {"agentInfo": {"ip": "127.0.0.1", "port": joiner.address.port}, "zone": "zone9", "obConfigs": {}}
    joiner.troubles.hold("deploy")
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: asked(first, "POST", "/ob/scale_out", body), range(2)))
    assert sorted(each.status for each in answers)[0] == 200
    assert {each.data["id"] for each in answers if each.status == 200} == {
        dag.generic_id for dag in sdk(second).get_cluster_unfinished_dag()
    }
    with pytest.raises(OBShellHandleError):
        sdk(first).scale_out("127.0.0.1", joiner.address.port, "zone9", {})
    (dag,) = sdk(second).get_cluster_unfinished_dag()
    joiner.troubles.release("deploy")
    cluster.good(cluster.over(first, dag.generic_id))


def test_an_agent_that_goes_away_while_the_library_waits_is_waited_for(world: World) -> None:
    """It polls every 3 s and bears a connection that is refused."""
    master = world.host(apart=True)
    world.gather(master)
    master.troubles.hold("start")
    made = sdk(master).init()
    master.kill()
    with pytest.raises(requests.ConnectionError):
        sdk(master).get_dag(made.generic_id)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(sdk(master).wait_dag_succeed, made.generic_id)
        master.troubles.release("start")
        master.begin()
        assert ended(waiting.result(60)) == ("Initialize cluster", "SUCCEED", "RUN")
