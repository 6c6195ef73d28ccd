"""What a dag does when its store may have gone back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oboe.domain.errors import Refused
from oboe.domain.events import Cancel, Dispatch, Ended, Fact, Facts, Pass, PatiencePassed, Recall, Retry, Rollback, WentBack
from oboe.domain.fold import dag_state
from oboe.domain.model import Flags, SubTask
from oboe.domain.values import Mark, Operator, State

from .dags import A, B, Hand, chain, node


def back(hand: Hand, value: object) -> Hand:
    """The store has lost what was saved after ``value``; its next epoch begins."""
    hand.dag = replace(value)  # type: ignore[type-var]
    hand.epoch += 1
    return hand(WentBack())


def ran_both() -> tuple[Hand, object]:
    """Two nodes on two agents; the store forgets that the second ran."""
    hand = Hand(chain(node(agents=(A,)), node(0, agents=(B,)))).wake()
    forgotten = hand.end(0).dag
    hand.end(1, result=5)
    return hand, forgotten


def test_it_waits_and_orders_nothing_but_recall() -> None:
    hand = back(*ran_both())
    assert hand.effects == (Recall(A), Recall(B))
    assert (hand.state, hand.wake().dispatched) == (State.RUNNING, [])
    with pytest.raises(Refused) as refused:
        hand(Cancel())
    assert refused.value.code == "dag.waiting"


def test_a_later_fence_is_the_truth_outcome_included() -> None:
    hand = back(*ran_both())
    hand(Facts(A, (Fact(0, 1, 1, Operator.RUN, 10, running=False, ok=True),)))
    hand(Facts(B, (Fact(1, 1, 1, Operator.RUN, 10, running=False, ok=True, result=5),)))
    assert (hand.states, hand[1].result, hand.state) == (["SUCCEEDED/RUN"] * 2, 5, State.SUCCEEDED)


def test_the_silent_are_unsure_and_nothing_is_undone_under_them() -> None:
    hand = back(*ran_both())
    hand(Facts(A, (Fact(0, 1, 1, Operator.RUN, 10, running=False, ok=True),)))(PatiencePassed())
    assert (hand[1].state, hand[1].unsure, hand.state) == (State.FAILED, True, State.FAILED)
    for request in (Rollback(), Retry()):
        with pytest.raises(Refused, match="has not said what it did"):
            hand(request)
    assert Recall(B) in hand.wake().effects


def test_one_report_does_not_make_the_unsure_sure_but_facts_do() -> None:
    hand, _ = ran_both()
    back(hand, hand.wake().dag)
    hand = back(*_started_both())(PatiencePassed())
    hand(Ended(1, 1, 1, 10, True, Operator.RUN))
    assert hand[1].unsure
    hand(Facts(B, (Fact(1, 1, 1, Operator.RUN, 10, running=False, ok=True),)))
    assert (hand[1].unsure, hand.states[1]) == (False, "SUCCEEDED/RUN")


def _started_both() -> tuple[Hand, object]:
    hand = Hand(chain(node(agents=(A,)), node(0, agents=(B,)))).wake().end(0).start(1)
    return hand, hand.dag


def test_what_an_agent_does_not_name_it_never_began() -> None:
    hand = back(*ran_both())(PatiencePassed())
    assert [sub_task.unsure for sub_task in hand.dag.sub_tasks] == [True, True]
    hand(Facts(A, (Fact(0, 1, 1, Operator.RUN, 10, running=False, ok=True),)))(Facts(B, ()))
    assert (hand.states, hand.state) == (["SUCCEEDED/RUN", "FAILED/RUN"], State.FAILED)
    assert not hand[1].unsure
    assert Dispatch(1) in hand(Retry()).wake().effects


def test_a_torn_dag_is_not_retried_and_can_be_passed_or_rolled_back() -> None:
    hand = Hand(chain(node(agents=(A,)), node(0, agents=(B,)))).wake().end(0, ok=False)
    forgotten = hand.dag
    hand(Pass(node=0)).wake().end(1)
    back(hand, forgotten)
    hand(Facts(A, (Fact(0, 1, 1, Operator.RUN, 10, running=False, ok=False),)))
    hand(Facts(B, (Fact(1, 1, 1, Operator.RUN, 10, running=False, ok=True),)))
    assert hand.states == ["FAILED/RUN", "SUCCEEDED/RUN"]
    with pytest.raises(Refused) as refused:
        hand(Retry())
    assert refused.value.code == "retry.torn"
    assert hand(Rollback()).wake().dispatched == [1]


def test_nothing_is_undone_under_what_may_have_run_further_on_than_a_node_that_a_person_passed() -> None:
    plan = chain(node(agents=(A,)), node(0, agents=(B,)), node(1, agents=(B,)))
    hand = Hand(plan).wake().end(0, ok=False)
    back(hand, hand.dag)
    hand(Facts(A, (Fact(0, 1, 1, Operator.RUN, 10, running=False, ok=False),)))(PatiencePassed())(Pass(node=1)).wake()
    assert hand.states == ["FAILED/RUN", "SUCCEEDED/PASS", "FAILED/RUN"]
    assert (hand[0].unsure, hand[2].unsure) == (False, True)
    with pytest.raises(Refused) as refused:
        hand(Retry(sub_task=0))
    assert refused.value.code == "sub_task_retry.unsure"
    assert hand(Pass()).state is State.SUCCEEDED, "the way on, besides waiting for the silent one"


def test_a_mark_whose_turn_cannot_come_falls() -> None:
    hand = Hand(chain(node(agents=(A,)), node(0, agents=(B,)))).wake()
    failed = [replace(SubTask(agent=agent), state=State.FAILED, attempt=1, epoch=1) for agent in (A, B)]
    hand.dag = replace(hand.dag, sub_tasks=tuple(failed))
    hand(Rollback()).wake().end(1, ok=False)
    assert [sub_task.mark for sub_task in hand.dag.sub_tasks] == [Mark.NO, Mark.NO]
    assert dag_state(hand.dag) is State.FAILED


def test_a_dag_of_an_agents_own_home_never_waits_and_one_epoch_is_waited_for_once() -> None:
    hand = back(*ran_both())
    value = hand(Facts(A))(Facts(B)).dag
    assert hand(WentBack()).dag is value


def test_a_torn_dag_that_cannot_be_undone_can_be_passed_whatever_its_flags() -> None:
    hand = Hand(chain(node(agents=(A,), flags=Flags(skippable=False)), node(0, agents=(B,), flags=Flags()))).wake()
    ran = replace(hand[1], state=State.SUCCEEDED, attempt=1, epoch=1)
    hand.dag = replace(hand.dag, sub_tasks=(replace(hand[0], state=State.FAILED), ran))
    assert hand(Pass()).state is State.SUCCEEDED
