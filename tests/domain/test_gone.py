"""What a dag does when a person says that an agent will not come back."""

from __future__ import annotations

import pytest

from oboe.domain.errors import Refused
from oboe.domain.events import Ended, Facts, Gone, Interrupt, Noted, Pass, PatiencePassed, Retry, Rollback, Skip
from oboe.domain.model import Flags
from oboe.domain.values import Operator, State, Stopping

from .dags import A, B, C, Hand, chain, node
from .test_regress import back, ran_both

STRICT = Flags(retryable=True, rollable=False)
"""Neither passed nor undone: without its agent nothing of it is legal that could ever succeed."""
WORD = Gone(B, "ann", "its host burnt")


def _refusal(hand: Hand, request: object) -> str:
    with pytest.raises(Refused) as refused:
        hand(request)  # type: ignore[arg-type]
    return refused.value.code


def test_what_it_has_under_way_fails_at_once_and_its_interrupt_stays_open() -> None:
    hand = Hand(chain(node(agents=(A, B), flags=STRICT), node(0, agents=(A,), flags=STRICT))).wake().start(0).start(1)
    hand(WORD)
    assert hand.states == ["RUNNING/RUN", "FAILED/RUN", "PENDING/RUN"]
    assert Interrupt(1, Stopping.ASKED) in hand.effects
    (note,) = [effect for effect in hand.effects if isinstance(effect, Noted)]
    assert (note.sub_task, note.code, note.text) == (1, "sub_task.agent_gone", f"{B} is gone, says ann: its host burnt; it may have run")
    assert Interrupt(1, Stopping.ASKED) in hand.end(0).wake().effects


def test_it_may_be_passed_whatever_its_flags_and_only_that() -> None:
    hand = Hand(chain(node(agents=(A, B), flags=STRICT), node(0, agents=(A,), flags=STRICT))).wake().start(1).end(0, ok=False)
    hand(WORD)
    assert hand.state is State.FAILED
    assert _refusal(hand, Pass(sub_task=0)) == "sub_task_pass.not_allowed"
    assert _refusal(hand, Pass(node=0)) == "node_pass.not_allowed"
    assert _refusal(hand, Pass()) == "pass.not_allowed"
    hand(Pass(sub_task=1))(Retry()).wake().end_all()
    assert (hand.state, hand.states) == (State.SUCCEEDED, ["SUCCEEDED/RUN", "SUCCEEDED/PASS", "SUCCEEDED/RUN"])


def test_its_undo_may_be_skipped_whatever_its_flags() -> None:
    flags = Flags(rollable=True)
    hand = Hand(chain(node(agents=(A,), flags=flags), node(0, agents=(B,), flags=flags))).wake().end(0).start(1).end(1, ok=False)
    hand(Rollback()).wake().end(1, ok=False)
    assert _refusal(hand, Skip(1)) == "skip.not_allowed"
    hand(WORD)(Skip(1)).wake().end_all()
    assert (hand.state, hand.states) == (State.SUCCEEDED, ["SUCCEEDED/ROLLBACK", "SUCCEEDED/SKIP"])


def test_after_the_store_went_back_its_silence_no_longer_holds_the_dag() -> None:
    hand = back(*ran_both())(PatiencePassed())
    assert _refusal(hand, Rollback()) == "rollback.unsure"
    hand(WORD)
    assert [sub_task.unsure for sub_task in hand.dag.sub_tasks] == [True, False]
    assert hand.dag.recalled == (A,)
    hand(Gone(A, "ann", "that one, too"))
    assert not any(sub_task.unsure or sub_task.done or sub_task.undone for sub_task in hand.dag.sub_tasks)
    hand(Rollback()).wake()
    assert hand.dispatched == [1]


def test_what_it_may_have_done_as_the_maintainer_is_not_undone_because_others_did_not() -> None:
    hand = Hand(chain(node(agents=(A,)), node(0, agents=(None, B)))).wake()
    back(hand, hand.dag)(PatiencePassed())
    hand(Gone(B, "ann", "burnt"))
    assert hand[1].unsure
    hand(Facts(A))
    assert (hand[1].state, hand[1].done, hand[1].undone) == (State.FAILED, False, False)


def test_the_word_falls_when_it_is_heard_of_the_dag_again() -> None:
    hand = Hand(chain(node(agents=(A, B), flags=STRICT))).wake().start(1)
    hand(WORD)
    hand(Ended(1, 1, 1, hand.now, ok=True, operator=Operator.RUN))
    assert (hand.dag.gone, hand[1].state, hand[1].unconfirmed) == ((), State.FAILED, False)
    hand.end(0)
    assert _refusal(hand, Pass(sub_task=1)) == "sub_task_pass.not_allowed"


def test_the_word_is_refused_where_nothing_waits_for_it() -> None:
    hand = Hand(chain(node(agents=(A,)), node(0, agents=(B,)))).wake()
    assert _refusal(hand, Gone(C, "ann", "x")) == "gone.not_needed"
    assert _refusal(hand, WORD) == "gone.not_needed"
    hand.end(0)(WORD)(Pass(sub_task=1))
    assert _refusal(hand.wake(), WORD) == "gone.finished"
