"""What the machine does, one fact at a time. The walks (``tests/walks``) say that it never does anything else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oboe.domain.errors import Bug, Refused
from oboe.domain.events import (
    Approve,
    Cancel,
    Dispatch,
    Ended,
    Extend,
    Interrupt,
    Pass,
    Pause,
    Resume,
    Retry,
    Rollback,
    SetRetries,
    Settled,
    Shown,
    Signalled,
    Skip,
    Started,
    StopVerdict,
    Timer,
    Wake,
)
from oboe.domain.fold import open_dispatches, settled
from oboe.domain.model import Flags
from oboe.domain.values import Mark, Operator, State, Stopping

from .dags import A, B, Hand, chain, node


def test_a_chain_runs_to_its_end_and_settles_once() -> None:
    hand = Hand(chain(node(), node(0)))
    assert hand.state is State.READY
    hand.wake()
    assert hand.effects == (Dispatch(0), Timer(110))
    assert hand[0].agent == A
    assert hand.start(0).states[0] == "RUNNING/RUN"
    assert hand.end(0, result=7).dispatched == [1]
    hand.end(1)
    assert hand.effects == (Settled(),)
    assert (hand.state, hand.dag.ended_at, hand[0].result) == (State.SUCCEEDED, 10, 7)
    value = hand.dag
    hand(Wake(), Started(1, 1, 1, 10))
    assert hand.dag is value
    assert hand.effects == ()


def test_a_diamond_waits_for_both_sides() -> None:
    hand = Hand(chain(node(), node(0), node(0), node(1, 2))).wake()
    assert hand.end(0).dispatched == [1, 2]
    assert hand.end(2).dispatched == []
    assert hand.end(1).dispatched == [3]


def test_reports_of_one_batch_ready_what_follows_them_all() -> None:
    hand = Hand(chain(node(), node(), node(0, 1))).wake()
    hand(Ended(0, 1, 1, 10, True, Operator.RUN), Ended(1, 1, 1, 10, True, Operator.RUN))
    assert hand.dispatched == [2]
    assert hand.dag.version == 2


def test_a_retry_undoes_then_does() -> None:
    hand = Hand(chain(node(), node(0))).wake().end(0).end(1, ok=False)
    assert hand.state is State.FAILED
    hand(Retry())
    assert (hand.state, hand[1].mark, hand[1].asked_retries, hand.dag.started_at) == (State.READY, Mark.DUE, 1, 0)
    assert hand.wake().states == ["SUCCEEDED/RUN", "READY/ROLLBACK"]
    assert hand.end(1).states == ["SUCCEEDED/RUN", "READY/RUN"]
    assert (hand[1].attempt, hand[1].mark) == (3, Mark.HAD)
    assert hand.end(1).state is State.SUCCEEDED


def test_a_rollback_undoes_downstream_first_and_what_never_began_not_at_all() -> None:
    hand = Hand(chain(node(), node(0), node(1), node(2))).wake().end(0).end(1).end(2, ok=False)
    hand(Rollback()).wake()
    order = []
    while hand.state is State.RUNNING:
        index = next(i for i, sub_task in enumerate(hand.dag.sub_tasks) if sub_task.live)
        order.append(index)
        hand.end(index)
    assert order == [2, 1, 0]
    assert hand.states == ["SUCCEEDED/ROLLBACK"] * 3 + ["PENDING/RUN"]
    assert settled(hand.dag)


def test_a_failed_rollback_that_is_retried_runs_again_what_was_undone() -> None:
    hand = Hand(chain(node(), node(0), node(1))).wake().end(0).end(1).end(2, ok=False)
    hand(Rollback()).wake().end(2).end(1, ok=False)
    hand(Retry()).wake()
    assert hand.states == ["SUCCEEDED/RUN", "READY/ROLLBACK", "SUCCEEDED/ROLLBACK"]
    assert hand.end(1).end(1).dispatched == [2]
    assert hand.end(2).state is State.SUCCEEDED


def test_a_skip_counts_as_undone_and_is_never_forgotten() -> None:
    hand = Hand(chain(node(), node(0))).wake().end(0).end(1, ok=False)(Rollback()).wake().end(1, ok=False)
    hand(Skip(1))
    assert hand.states == ["READY/ROLLBACK", "SUCCEEDED/SKIP"]
    assert hand.end(0).state is State.SUCCEEDED
    assert hand.dag.skipped_undo


def test_a_cancel_interrupts_and_waits_for_the_end() -> None:
    hand = Hand(chain(node(), node(0))).wake().start(0)(Cancel())
    assert hand.effects[0] == Interrupt(0, Stopping.ASKED)
    assert hand.state is State.READY
    assert hand.wake().state is State.RUNNING
    assert hand.end(0, ok=False).state is State.FAILED
    assert hand[0].stopping is Stopping.ASKED


def test_over_beats_cancelled() -> None:
    hand = Hand(chain(node())).wake()(Cancel()).end(0)
    assert hand.state is State.SUCCEEDED


def test_a_cancelled_dag_that_did_nothing_wrong_goes_on_after_a_retry() -> None:
    hand = Hand(chain(node(), node(0))).wake()(Cancel()).end(0)
    assert hand.state is State.FAILED
    assert hand(Retry()).wake().dispatched == [1]


def test_a_cancel_of_one_sub_task_leaves_its_siblings_alone() -> None:
    hand = Hand(chain(node(agents=(A, B)))).wake()(Cancel(0))
    assert [sub_task.stopping for sub_task in hand.dag.sub_tasks] == [Stopping.ASKED, Stopping.NO]
    assert hand.end(0, ok=False).state is State.RUNNING
    assert hand.end(1).state is State.FAILED


def test_a_cancelled_retry_does_not_go_on_after_its_undo() -> None:
    hand = Hand(chain(node())).wake().end(0, ok=False)(Retry()).wake()(Cancel(0)).end(0)
    assert hand.states == ["FAILED/ROLLBACK"]
    assert hand.state is State.FAILED


def test_a_retry_of_one_sub_task_acts_at_once_beside_its_siblings() -> None:
    hand = Hand(chain(node(agents=(A, B)))).wake().end(0, ok=False)(Retry(0))
    assert 0 in hand.dispatched
    assert hand.states == ["READY/ROLLBACK", "READY/RUN"]


def test_a_halted_dag_finishes_the_retry_that_is_due_and_nothing_else() -> None:
    hand = Hand(chain(node(agents=(A, B)), node(0))).wake().end(0, ok=False)(Retry(0)).end(1, ok=False)
    assert hand.end(0).states == ["READY/RUN", "FAILED/RUN", "PENDING/RUN"]
    assert hand.end(0).state is State.FAILED


def test_what_nobody_begins_is_stopped_then_given_up_after_its_grace() -> None:
    hand = Hand(chain(node())).wake().wake(at=110)
    assert hand.effects[1:] == (Interrupt(0, Stopping.TIMEOUT), Timer(120))
    assert hand.wake(at=119).states == ["READY/RUN"]
    assert hand.wake(at=120).states == ["FAILED/RUN"]
    assert hand[0].unconfirmed
    assert open_dispatches(hand.dag) == (Interrupt(0, Stopping.TIMEOUT),)


def test_an_unconfirmed_end_keeps_its_interrupt_through_a_pass_until_its_agent_confirms() -> None:
    hand = Hand(chain(node(), node(0))).wake().wake(at=110).wake(at=120)(Pass(node=0))
    assert hand.effects == (Interrupt(0, Stopping.TIMEOUT),)
    assert Interrupt(0, Stopping.TIMEOUT) in hand.wake().effects
    assert hand(Started(0, 1, 1, 120)).effects == (StopVerdict(0, 1, 1),)
    hand(Ended(0, 1, 1, 120, False, Operator.RUN))
    assert hand.states[0] == "SUCCEEDED/PASS"
    assert Interrupt(0, Stopping.TIMEOUT) not in hand.wake().effects


def test_a_cancel_raises_the_cause_and_never_moves_the_grace() -> None:
    hand = Hand(chain(node())).wake().wake(at=110)
    hand.now = 115
    hand(Cancel())
    assert (hand[0].stopping, hand[0].stopping_at) == (Stopping.ASKED, 110)
    assert hand.wake(at=120).states == ["FAILED/RUN"]


def test_more_time_moves_the_timeout_of_a_running_attempt() -> None:
    hand = Hand(chain(node())).wake().start(0)(Extend(0, 5000)).wake(at=1010)
    assert hand[0].stopping is Stopping.NO
    assert hand.wake(at=5000)[0].stopping is Stopping.TIMEOUT


def test_a_stale_report_changes_nothing_and_is_told_to_stop() -> None:
    hand = Hand(chain(node())).wake().end(0, ok=False)(Retry()).wake()
    value = hand.dag
    hand(Ended(0, 1, 1, 10, True, Operator.RUN))
    assert hand.dag is value
    assert hand.effects == (StopVerdict(0, 1, 1),)


def test_the_fence_compares_the_epoch_first() -> None:
    hand = Hand(chain(node()))
    hand.epoch = 2
    hand.wake()
    assert hand(Ended(0, 1, 9, 10, True, Operator.RUN)).effects == (StopVerdict(0, 1, 9),)
    assert hand.states == ["READY/RUN"]


def test_a_report_applied_twice_equals_once() -> None:
    hand = Hand(chain(node())).wake().start(0)(Shown(0, 1, 1, {"done": 1}))
    value = hand.dag
    assert hand(Shown(0, 1, 1, {"done": 1})).dag is value
    assert hand(Started(0, 1, 1, 10)).dag is value


def test_an_agent_with_a_wrong_clock_cannot_time_itself_out() -> None:
    hand = Hand(chain(node())).wake()(Started(0, 1, 1, -(10**9)))
    assert hand[0].started_at == 10
    hand(Ended(0, 1, 1, 10**18, True, Operator.RUN))
    assert hand[0].ended_at == 10


def test_an_automatic_retry_rests_as_running_and_then_undoes_first() -> None:
    hand = Hand(chain(node(retries=2))).wake().end(0, ok=False)
    assert (hand.states, hand[0].live, hand[0].resting, hand.effects) == (["RUNNING/RUN"], False, True, (Timer(15),))
    assert hand.wake(at=14).dispatched == []
    assert hand.wake(at=15).states == ["READY/ROLLBACK"]
    assert hand.end(0).end(0, ok=False)[0].retry_at == 25
    assert hand.wake(at=25).end(0).end(0, ok=False).state is State.FAILED
    assert hand[0].asked_retries == 0


def test_a_cancel_ends_a_rest_at_once() -> None:
    hand = Hand(chain(node(retries=1))).wake().end(0, ok=False)(Cancel())
    assert hand.states == ["FAILED/RUN"]
    assert hand.wake().state is State.FAILED


def test_other_retries_than_the_plans_count_from_now() -> None:
    hand = Hand(chain(node())).wake()(SetRetries(0, 1)).end(0, ok=False)
    assert hand[0].resting


def test_a_paused_dag_readies_nothing_until_it_is_resumed() -> None:
    hand = Hand(chain(node(), node(0))).wake()(Pause("eve", "night")).end(0)
    assert (hand.dispatched, hand.state) == ([], State.RUNNING)
    assert hand(Resume()).dispatched == [1]


def test_a_pause_ends_by_itself() -> None:
    hand = Hand(chain(node(), node(0))).wake()(Pause("eve", "night", until=50)).end(0)
    assert hand.wake(at=50).dispatched == [1]
    assert hand.dag.paused is None


def test_a_new_dag_waits_for_its_time() -> None:
    hand = Hand(replace(chain(node()), not_before=40)).wake()
    assert (hand.state, hand.effects) == (State.READY, (Timer(40),))
    assert hand.wake(at=40).dispatched == [0]


def test_a_held_node_waits_for_a_person() -> None:
    hand = Hand(chain(node(), node(0, approval=True))).wake().end(0)
    assert (hand.dispatched, hand.state) == ([], State.RUNNING)
    assert hand(Approve(1, "eve", "looks right")).dispatched == [1]
    assert hand.dag.approvals[1].who == "eve"


def test_a_signal_reaches_what_is_live_and_counts_once() -> None:
    hand = Hand(chain(node())).wake()(Signalled("deploy", 1))
    assert hand.effects == (Dispatch(0),)
    value = hand.dag
    assert hand(Signalled("deploy", 2)).dag is value
    assert value.signals == {"deploy": 1}


def test_a_pass_of_the_dag_is_final_at_once() -> None:
    hand = Hand(chain(node(), node(0))).wake().end(0, ok=False)(Pass())
    assert (hand.state, hand.states, hand.effects) == (State.SUCCEEDED, ["SUCCEEDED/PASS"] * 2, (Settled(),))
    assert hand.dag.started_at == 10


def test_a_pass_of_a_node_goes_on_with_the_next() -> None:
    hand = Hand(chain(node(), node(0))).wake().end(0, ok=False)(Pass(node=0))
    assert hand.state is State.READY
    assert hand.wake().dispatched == [1]


def test_a_moved_lease_takes_what_may_run_again_along() -> None:
    hand = Hand(chain(node())).wake().start(0)
    hand.here = B
    hand.wake()
    assert (hand[0].agent, hand[0].attempt, hand.states) == (B, 2, ["READY/RUN"])


def test_a_moved_lease_leaves_what_may_not_run_again_to_a_person() -> None:
    hand = Hand(chain(node(flags=Flags()))).wake().start(0)
    hand.here = B
    assert hand.wake().states == ["FAILED/RUN"]
    assert hand[0].unconfirmed


def test_a_request_goes_alone() -> None:
    hand = Hand(chain(node())).wake()
    with pytest.raises(Bug):
        hand(Wake(), Cancel())


def test_a_refusal_changes_nothing() -> None:
    hand = Hand(chain(node())).wake()
    value = hand.dag
    with pytest.raises(Refused, match="only a FAILED dag"):
        hand(Retry())
    assert hand.dag is value


@pytest.mark.parametrize("gone", ["its agent is silent", "it had to leave something behind", "no"])
def test_an_undo_that_nobody_can_carry_out_now_may_be_skipped_whatever_its_node_allows(gone: str) -> None:
    hand = Hand(chain(node(flags=Flags(rollable=True)), node(0, flags=Flags(rollable=True)))).wake().end(0).end(1, ok=False)
    hand(Rollback()).wake()
    leftover = "a directory" if gone.startswith("it had") else ""
    if gone == "its agent is silent":
        hand.wake(10_000).wake(20_000)
    else:
        hand(Ended(1, hand[1].epoch, hand[1].attempt, hand.now, False, Operator.ROLLBACK, leftover=leftover))
    assert (hand[1].state, hand.state) == (State.FAILED, State.FAILED)
    if gone == "no":
        with pytest.raises(Refused, match="does not allow skip"):
            hand(Skip())
        return
    hand(Skip()).wake()
    assert (hand[1].undone, hand.dag.skipped_undo, hand[1].leftover) == (True, True, leftover)
    assert 0 in hand.dispatched


def test_what_an_undo_left_behind_is_forgotten_when_it_is_asked_again() -> None:
    hand = Hand(chain(node(flags=Flags(rollable=True)))).wake().end(0, ok=False)
    hand(Rollback()).wake()
    hand(Ended(0, 1, 2, hand.now, False, Operator.ROLLBACK, leftover="a directory"))
    assert hand[0].leftover == "a directory"
    assert hand(Rollback()).wake()[0].leftover == ""
    with pytest.raises(Refused, match="does not allow skip"):
        hand(Ended(0, 1, 3, hand.now, False, Operator.ROLLBACK))(Skip())
