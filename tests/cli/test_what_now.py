"""What a command proposes after a dag has FAILED is what its agent would accept."""

from __future__ import annotations

from typing import Any

import pytest

from oboe.cli.dags import read_dag
from oboe.cli.failure import AnswerError
from oboe.cli.follow import _what_now

DAG = read_dag({"id": "15", "dag_id": 15, "name": "Join to master", "state": "FAILED", "operator": "RUN", "nodes": []})


class Agent:
    """Accepts these operators; ``ours``: it knows a dry run."""

    address = "127.0.0.1:2886"

    def __init__(self, *accepted: str, ours: bool = True) -> None:
        self._accepted = accepted
        self._ours = ours
        self.carried_out: list[str] = []

    def public(self, path: str) -> Any:
        if not self._ours:
            raise AnswerError(404, "Common.NotFound", "no such route")
        return type("Answer", (), {"data": {"ready": True}})

    def post(self, path: str, body: dict[str, str], **query: str) -> Any:
        assert path == "/api/v1/task/dag/15"
        if query != {"dry_run": "true"} or not self._ours:
            self.carried_out.append(body["operator"])
        if body["operator"] not in self._accepted:
            raise AnswerError(400, "Task.Dag.Operator.NotAllowed", "no")


@pytest.mark.parametrize(
    ("agent", "ways"),
    [
        (Agent("RETRY", "ROLLBACK", "PASS"), "`oboe task retry 15` or `oboe task rollback 15`; --dry-run shows what they would do"),
        (Agent("RETRY"), "`oboe task retry 15`; --dry-run shows what it would do"),
        (Agent("PASS"), "`oboe task pass 15`; --dry-run shows what it would do"),
        (Agent(), "`oboe task show 15` shows more"),
        (Agent(ours=False), "`oboe task retry 15` or `oboe task rollback 15`; --dry-run shows what they would do"),
    ],
)
def test_only_what_would_be_accepted_is_proposed(agent: Agent, ways: str) -> None:
    assert _what_now(agent, DAG) == f"oboe: Join to master {DAG.outcome} - {ways}"  # type: ignore[arg-type]
    assert agent.carried_out == []
