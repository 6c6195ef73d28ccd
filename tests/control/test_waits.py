"""What a dag waits for, when agents that carry out parts of it do not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from oboe.control.views import Ref
from oboe.control.waits import OneWait, Waits, WaitsAnswer
from oboe.domain.errors import Unreachable
from oboe.domain.model import Dag, Home
from oboe.domain.values import Address, HomeKind
from tests.domain.dags import A, B, C, Hand, chain, node


class Peers:
    """B says what its sub-task waits for; nobody else answers."""

    def call_all(self, agents: Sequence[Address], name: str, request: Any, kind: Any, *, timeout: float) -> Mapping[Address, Any]:
        found = {agent: Unreachable("agent.unreachable", f"{agent} does not answer") for agent in agents}
        return found | {B: WaitsAnswer([OneWait(1, "the file", 5, 9, 3)])}


def waits_of(dag: Dag) -> list[tuple[str, str, str]]:
    reading: Any = SimpleNamespace(dag=lambda ref, details: SimpleNamespace(dag=dag))
    engine: Any = SimpleNamespace(waiting=lambda key: {}, set_aside=lambda key: "")
    peers: Any = Peers()
    found = Waits(A, reading, engine, lambda: peers, lambda: A).of(Ref("dag", HomeKind.CLUSTER, None, 1))
    return [(wait.node, str(wait.agent), wait.why) for wait in found]


def test_an_agent_that_does_not_answer_is_what_the_dag_waits_for() -> None:
    hand = Hand(chain(node(name="Look", agents=(A, B, C)), node(0, name="Sign"))).wake()
    for index in range(3):
        hand.start(index)
    assert hand.dag.home == Home(HomeKind.CLUSTER)
    assert waits_of(hand.dag) == [("Look", str(B), "the file"), ("Look", str(C), "its agent, which does not answer")]
    hand.end(2)
    assert waits_of(hand.dag) == [("Look", str(B), "the file")]
