"""The client against recordings of a vendor's agent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oboe.cli.client import AgentClient
from oboe.cli.failure import AnswerError, Exit, exit_code
from oboe.config import Settings
from oboe.domain.errors import Refused, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret

from .replay import Replay, replaying

SETTINGS = Settings(client_connect_seconds=2.0, client_answer_seconds=10.0)


@pytest.fixture
def agent() -> Iterator[Replay]:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        yield replay


def client_of(replay: Replay, password: str | None = "pw1", **how: object) -> AgentClient:
    secret = None if password is None else Secret(password)
    return AgentClient(replay.address, settings=SETTINGS, password=secret, **how)  # type: ignore[arg-type]


def test_a_read_carries_the_password_and_the_exact_target_in_its_header(agent: Replay) -> None:
    with client_of(agent) as client:
        dag = client.get("/api/v1/task/dag/15", show_details="true").data
    assert (dag["id"], dag["name"]) == ("15", "Cluster scale out")
    assert [(each.method, each.target, each.header, each.password, each.body) for each in agent.seen] == [
        ("GET", "/api/v1/task/dag/15?show_details=true", "X-OCS-Header", "pw1", None)
    ]


def test_a_body_arrives_as_it_was_meant(agent: Replay) -> None:
    with client_of(agent) as client:
        client.post("/api/v1/task/dag/15", {"operator": "retry"})
    assert agent.seen[-1].body == {"operator": "retry"}


def test_an_error_of_the_agent_keeps_its_code_status_and_text(agent: Replay) -> None:
    with client_of(agent) as client, pytest.raises(AnswerError) as raised:
        client.post("/api/v1/task/dag/15", {"operator": "PASS"})
    assert (raised.value.status, raised.value.code, exit_code(raised.value)) == (400, "Task.Dag.Operator.PassNotAllowed", Exit.REFUSED)
    assert "PASS" in raised.value.message.upper()


def test_a_refused_request_is_sent_once(agent: Replay) -> None:
    with client_of(agent) as client, pytest.raises(AnswerError):
        client.post("/api/v1/task/dag/15", {"operator": "PASS"})
    assert len(agent.seen) == 1


def test_a_new_key_of_the_agent_is_fetched_once(agent: Replay) -> None:
    with client_of(agent) as client:
        client.get("/api/v1/task/dag/unfinish")
        agent.renew_key()
        assert client.get("/api/v1/task/dag/unfinish").status == 200
    assert len(agent.seen) == 2


def test_a_header_that_stays_unreadable_is_an_error_and_no_loop(agent: Replay) -> None:
    with client_of(agent) as client:
        agent._decrypt = lambda value: b"noise"  # type: ignore[method-assign]
        with pytest.raises(AnswerError) as raised:
            client.get("/api/v1/task/dag/unfinish")
    assert (raised.value.number, exit_code(raised.value)) == (1, Exit.UNAUTHORIZED)


def test_a_wrong_password_is_an_error_with_a_hint(agent: Replay) -> None:
    with client_of(agent, "wrong") as client, pytest.raises(AnswerError) as raised:
        client.get("/api/v1/task/dag/unfinish")
    assert exit_code(raised.value) is Exit.UNAUTHORIZED
    assert "OBOE_PASSWORD" in raised.value.hint


def test_a_password_is_asked_for_only_when_the_agent_wants_one(agent: Replay) -> None:
    asked: list[str] = []

    def ask() -> Secret:
        asked.append("asked")
        return Secret("pw1")

    with client_of(agent, None, ask_password=ask) as client:
        client.public("/api/v1/info")
        assert asked == []
        client.get("/api/v1/task/dag/unfinish")
        client.get("/api/v1/task/dag/unfinish")
    assert asked == ["asked"]


def test_the_candidate_password_takes_over_when_the_old_one_is_refused(agent: Replay) -> None:
    agent.password = ""
    with client_of(agent, "") as client:
        client.candidate = Secret("pw1")
        client.get("/api/v1/task/dag/unfinish")
        agent.password = "pw1"
        client.get("/api/v1/task/dag/unfinish")
        assert client.candidate is None
    assert [each.password for each in agent.seen] == ["", "", "pw1"]


def test_a_single_agent_is_never_told_the_clusters_password() -> None:
    with replaying("join.jsonl", identity="SINGLE") as replay, client_of(replay) as client:
        client.get("/api/v1/task/dags/agent")
        assert [(each.header, each.password) for each in replay.seen] == [("X-OCS-Header", "")]


def test_a_single_agent_with_a_password_gets_it_in_the_agents_header() -> None:
    with replaying("join.jsonl", identity="SINGLE", secured=True) as replay, client_of(replay) as client:
        client.get("/api/v1/task/dags/agent")
        assert [(each.header, each.password) for each in replay.seen] == [("X-OCS-Agent-Header", "pw1")]


def test_an_agent_that_became_a_member_is_told_the_password_without_asking_anybody() -> None:
    with replaying("join.jsonl", identity="SINGLE") as replay, client_of(replay) as client:
        client.get("/api/v1/task/dags/agent")
        replay.identity = "CLUSTER AGENT"
        client.get("/api/v1/task/dags/agent")
        assert [each.password for each in replay.seen] == ["", "", "pw1"]


def test_an_agent_that_is_not_there_is_unreachable() -> None:
    with AgentClient(Address("127.0.0.1", 1), settings=SETTINGS) as client, pytest.raises(Unreachable) as raised:
        client.info()
    assert exit_code(raised.value) is Exit.UNREACHABLE


def test_a_web_page_is_no_answer(agent: Replay) -> None:
    with client_of(agent) as client, pytest.raises(Refused, match="not OBShell's API"):
        client.get("/oboe/v1/ready")
