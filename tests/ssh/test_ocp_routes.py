"""OCP's routes about the agents of hosts: who may, what they answer, and that they ask once. The host of these tests answers nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from demo.ports import free_ports
from oboe.hosts.ssh import HostKey
from oboe.kit.secret import Secret
from oboe.membership.inventory import Host
from tests.ocp.site import PASSWORD, Answered, Client, Site, eventually

AGENT = "10.1.2.3:2886"
_SUB_TASK_KEYS = (
    "className description downstreams id name nodeType operation parallelIdx prohibitRollback runTime seriesId status timeout upstreams"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    with mock.patch("oboe.control.users._TIME_COST", 1), mock.patch("oboe.control.users._MEMORY_KIB", 64):
        for name, grants in (
            ("all", ["HOST_MANAGER"]),
            ("one", [f"HOST_MANAGER:host={AGENT}"]),
            ("other", ["HOST_MANAGER:host=10.1.2.9:2886"]),
        ):
            made.users.add(name, Secret(PASSWORD), grants, who="test")
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def host(site: Site) -> Host:
    (closed,) = free_ports(1)
    given = Host(name="db7", address="127.0.0.1", port=closed, user="nobody", password=Secret("x"), agent=AGENT)
    key = HostKey("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "SHA256:none")
    with mock.patch("oboe.control.hosts.scan_host_key", return_value=key):
        found: Host = site.agent.control.hosts.add(given, fingerprint="", accept_new=True, who="test")
    return found


@pytest.fixture
def free(site: Site) -> Iterator[None]:
    """Whatever a test has asked for is rolled back, so that the next one may ask. Nobody can log in there, and nothing was taken."""
    yield
    _settle(site)


def _settle(site: Site) -> None:
    for task in site.manager.get("/instances", status="RUNNING,FAILED").data["contents"]:
        path = f"/instances/{task['id']}"
        eventually(lambda path=path: site.manager.get(path).data["status"] == "FAILED")
        site.manager.post(f"{path}/rollback")
        eventually(lambda path=path: site.manager.get(path).data["status"] == "SUCCESSFUL")


def _ask(client: Client, path: str, **given: Any) -> Answered:
    return client.post(f"/api/v2/compute/hosts/{path}", **given)


@pytest.mark.usefixtures("free")
def test_who_has_no_permission_on_that_host_may_not(site: Site, host: Host) -> None:
    for client in (site.nobody, site.viewer, site.manager, site.client("other")):
        assert _ask(client, f"{host.id}/agent/restart").error == (403, 30014)
    assert _ask(site.client(), f"{host.id}/agent/restart").error == (401, 30000)
    assert _ask(site.client("one"), "batchRestartAgents", body=b'{"hostIds":[%d]}' % host.id).status == 200


def test_hosts_that_are_none_are_refused(site: Site, host: Host) -> None:
    client = site.client("all")
    assert _ask(client, "999/agent/stop").error == (404, 10002)
    assert _ask(client, "x/agent/stop").error == (400, 10001)
    assert _ask(client, f"{host.id}/agent/polish").error == (404, 10002)
    for body in (b"", b"[]", b"{}", b'{"hostIds":[]}', b'{"hostIds":["1"]}', b'{"hostIds":[true]}', b'{"hostIds":[-1]}', b"{", b"\xff"):
        assert _ask(client, "batchRestartAgents", body=body).error == (400, 10001), body
    assert _ask(client, "batchStopAgents", body=b'{"hostIds":[998,999]}').error == (404, 10002)


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize("user", ["all", "one"])
def test_the_answer_is_flat_and_its_first_sub_task_is_ready(site: Site, host: Host, user: str) -> None:
    answered = _ask(site.client(user), f"{host.id}/agent/restart")
    task = answered.data
    assert list(task) == sorted(task)
    known = {
        "context": {
            "listMap": {},
            "parallel": False,
            "parallelIdx": -1,
            "stringMap": {"host_id": str(host.id), "prohibit_rollback": "false"},
        },
        "creator": user,
        "executor": "127.0.0.1",
        "hostId": host.id,
        "name": "Restart OCP agent",
        "operation": "EXECUTE",
        "status": "RUNNING",
        "taskDefinitionId": -1,
        "type": "MANUAL",
    }
    assert {name: task[name] for name in known} == known
    assert set(task) == {*known, "id", "startTime", "subtasks"}
    sub_tasks = task["subtasks"]
    assert [(each["name"], each["timeout"], each["status"]) for each in sub_tasks] == [
        ("Prepare restart OCP agent", 60, "READY"),
        ("Restart pos proxy", 60, "PENDING"),
        ("Stop all OCP agent processes", 600, "PENDING"),
        ("Start all OCP agent processes", 600, "PENDING"),
        ("Finish OCP agent operation", 60, "PENDING"),
    ]
    assert all(" ".join(each) == _SUB_TASK_KEYS for each in sub_tasks)
    assert [each["upstreams"] for each in sub_tasks[1:]] == [[each["id"]] for each in sub_tasks[:-1]]
    assert site.viewer.get(f"/instances/{task['id']}").data["name"] == "Restart OCP agent"


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize("spelling", ["hostIds", "hostids"])
def test_a_batch_takes_both_spellings_and_has_its_hosts_in_a_list(site: Site, host: Host, spelling: str) -> None:
    task = _ask(site.client("all"), "batchStopAgents", body=b'{"%s":[%d]}' % (spelling.encode(), host.id)).data
    assert task["context"]["listMap"] == {"host_ids": [str(host.id)]}
    assert "hostId" not in task


@pytest.mark.usefixtures("free")
def test_the_same_key_asks_once(site: Site, host: Host) -> None:
    client, key = site.client("all"), {"Idempotency-Key": "again and again"}
    first = _ask(client, f"{host.id}/agent/stop", headers=key).data
    assert _ask(client, f"{host.id}/agent/stop", headers=key).data == first
    assert _ask(client, f"{host.id}/agent/stop").error == (400, 20003), "one dag at a time for a host"


@pytest.mark.usefixtures("free")
def test_a_host_that_cannot_be_reached_fails_the_first_step_with_its_code(site: Site, host: Host) -> None:
    task = _ask(site.client("all"), f"{host.id}/agent/reinstall", body=b'{"package":"/no/such/package"}').data
    path = f"/instances/{task['id']}"
    eventually(lambda: site.viewer.get(path).data["status"] == "FAILED")
    first = site.viewer.get(path).data["subtasks"][0]
    log = site.viewer.get(f"{path}/subtasks/{first['id']}/log").data["log"]
    assert "package.none" in log
    assert "oboe host package DIR" in log
