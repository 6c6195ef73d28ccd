"""What is refused at once: OBShell's envelope with code and hint, no dag, nothing touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from oboe import __version__
from oboe.cli.dags import SUCCEED
from oboe.cli.failure import AnswerError
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from tests.spine.host import Host
from tests.spine.world import PASSWORD, World


@pytest.fixture
def refused(cluster: World) -> Callable[..., str]:
    """The refusal of a scale-out: its code and what it says. Nothing came of it."""

    def ask(joiner: Host, code: str, **given: Any) -> str:
        before = cluster.get(cluster.hosts[0], "/task/dag/maintain/ob")["id"] if cluster.store.rows("SELECT id FROM dag") else None
        with pytest.raises(AnswerError) as caught:
            cluster.scale_out(cluster.hosts[0], joiner, **given)
        assert caught.value.code == code, caught.value
        after = cluster.get(cluster.hosts[0], "/task/dag/maintain/ob")["id"] if before else None
        assert before == after
        return str(caught.value)

    return ask


def test_onto_an_agent_that_is_down(cluster: World, joiner: Host, refused: Callable[..., str]) -> None:
    joiner.end()
    said = refused(joiner, "Agent.RPC.RequestFailed")
    assert str(joiner.address) in said
    assert said.endswith(")"), "a hint says what to do"


def test_onto_an_agent_that_is_not_single(cluster: World, joiner: Host, refused: Callable[..., str]) -> None:
    cluster.do(joiner, "/agent/join", {"agentInfo": {"ip": "127.0.0.1", "port": joiner.address.port}, "zoneName": "z"})
    assert "MASTER" in refused(joiner, "Agent.Identify.NotSupportOperation")


def test_onto_an_agent_of_another_version(cluster: World, joiner: Host, refused: Callable[..., str]) -> None:
    joiner.agent.local.version = "99.0.0"
    assert "99.0.0" in refused(joiner, "OB.Cluster.ScaleOutHigherVersion")
    joiner.agent.local.version = "0.0.1"
    assert __version__ in refused(joiner, "OB.Cluster.ScaleOutLowerVersion")


def test_onto_a_member(cluster: World, refused: Callable[..., str]) -> None:
    assert str(cluster.hosts[1].address) in refused(cluster.hosts[1], "Agent.AlreadyExists")


def test_of_the_same_scale_out_twice_at_once_one_wins(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    joiner.troubles.hold("deploy")

    def ask(member: Host) -> Any:
        try:
            return cluster.scale_out(member, joiner)
        except AnswerError as error:
            return error

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(ask, (first, second)))
    (lost,) = [answer for answer in answers if isinstance(answer, AnswerError)]
    (won,) = [answer for answer in answers if not isinstance(answer, AnswerError)]
    assert lost.code in ("OB.Cluster.UnderMaintenanceWithDag", "Agent.Identify.NotSupportOperation"), lost
    joiner.troubles.release("deploy")
    cluster.good(cluster.over(first, won))
    assert cluster.whole()


def test_a_second_operation_is_refused_while_the_cluster_is_held(cluster: World, joiner: Host) -> None:
    first, second = cluster.hosts[:2]
    other = cluster.host()
    try:
        joiner.troubles.hold("deploy")
        held = cluster.scale_out(first, joiner)
        for member in (first, second):
            status, envelope = _posted(cluster, member, other)
            assert (status, envelope["data"], envelope["successful"]) == (500, None, False)
            assert envelope["error"]["errCode"] == "OB.Cluster.UnderMaintenanceWithDag"
        assert other.identity == "SINGLE"
        assert [dag["id"] for dag in cluster.get(second, "/task/dag/unfinish")["contents"]] == [held.id]
        joiner.troubles.release("deploy")
        assert cluster.over(second, held).state == SUCCEED
    finally:
        cluster.forget(other)


def test_an_init_is_refused_where_there_is_a_cluster(cluster: World) -> None:
    for member in cluster.hosts[:2]:
        with pytest.raises(AnswerError) as caught:
            cluster.init(member)
        assert caught.value.code == "OB.Cluster.AlreadyInitialized"


def _posted(cluster: World, member: Host, joiner: Host) -> tuple[int, dict[str, Any]]:
    """The envelope as it is, which the client opens."""
    target = "/api/v1/ob/scale_out"
    body = {"agentInfo": {"ip": "127.0.0.1", "port": joiner.address.port}, "zone": "z", "obConfigs": {}, "targetAgentPassword": ""}
    key = httpx.get(f"http://{member.address}/api/v1/secret").json()["data"]["public_key"]
    sealed = secrecy.seal_request(key, password=Secret(PASSWORD), uri=target, body=json.dumps(body).encode(), valid_seconds=60)
    answer = httpx.post(f"http://{member.address}{target}", content=sealed.body, headers={"X-OCS-Header": sealed.header}, timeout=20)
    return answer.status_code, answer.json()
