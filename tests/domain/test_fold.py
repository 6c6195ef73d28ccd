"""What follows from a dag: stages, locks, nodes, operators, executors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oboe.domain.errors import Refused
from oboe.domain.events import Cancel, Pass, Pause, Retry, Rollback, Skip
from oboe.domain.fold import allowed_operators, dag_state, executor, holds_lock, next_timer, node_state, stage
from oboe.domain.model import Flags, Home
from oboe.domain.values import HomeKind, State

from .dags import ALL, A, B, Hand, chain, node


def test_the_stage_walks_up_stays_at_a_failure_and_walks_down() -> None:
    hand = Hand(chain(node(), node(0), node(1)))
    stages = [stage(hand.dag)]
    for step in (hand.wake, lambda: hand.end(0), lambda: hand.end(1, ok=False), lambda: hand(Rollback()), hand.wake):
        step()
        stages.append(stage(hand.dag))
    hand.end(1)
    stages.append(stage(hand.dag))
    hand.end(0)
    stages.append(stage(hand.dag))
    assert stages == [1, 1, 2, 2, 2, 2, 1, 1]


def test_the_stage_of_a_success_is_the_last_and_of_a_pass_where_it_stood() -> None:
    assert stage(Hand(chain(node(), node(0))).wake().end_all().dag) == 2
    hand = Hand(chain(node(), node(0), node(1))).wake().end(0, ok=False)(Pass(node=0))
    hand.now = 20
    hand.wake().end(1, ok=False)(Pass())
    assert stage(hand.dag) == 2


def test_the_lock_is_held_until_it_settles() -> None:
    hand = Hand(chain(node(), node(0)))
    held = [holds_lock(hand.dag)]
    hand.wake().end(0)
    held.append(holds_lock(hand.dag))
    hand.end(1, ok=False)
    held.append(holds_lock(hand.dag))
    hand(Retry()).wake().end_all()
    held.append(holds_lock(hand.dag))
    assert held == [True, True, True, False]


def test_a_step_that_releases_on_failure_gives_the_lock_away_until_somebody_asks() -> None:
    hand = Hand(chain(node(flags=Flags(release_on_failure=True)))).wake().end(0, ok=False)
    assert not holds_lock(hand.dag)
    assert holds_lock(hand(Retry()).dag)


def test_a_dag_with_a_time_to_start_takes_the_lock_when_it_begins() -> None:
    hand = Hand(replace(chain(node(), node(0)), not_before=40)).wake()
    held = [holds_lock(hand.dag)]
    hand.now = 40
    hand.wake()
    held.append(holds_lock(hand.dag))
    hand.end_all()
    held.append(holds_lock(hand.dag))
    assert held == [False, True, False]


def test_a_dag_that_was_cancelled_before_its_start_holds_no_lock_and_begins_later_when_it_is_retried() -> None:
    hand = Hand(replace(chain(node()), not_before=40)).wake()
    hand(Cancel()).wake()
    assert (dag_state(hand.dag), holds_lock(hand.dag)) == (State.FAILED, False)
    hand(Retry()).wake()
    assert (dag_state(hand.dag), holds_lock(hand.dag)) == (State.READY, False)
    hand.now = 41
    assert holds_lock(hand.wake().dag)


def test_a_node_folds_its_sub_tasks() -> None:
    hand = Hand(chain(node(agents=(A, B)), node(0)))
    assert node_state(hand.dag, 0) is State.PENDING
    assert node_state(hand.wake().dag, 0) is State.RUNNING
    assert node_state(hand.end(0, ok=False).dag, 0) is State.RUNNING
    assert node_state(hand.end(1).dag, 0) is State.FAILED
    hand(Rollback())
    assert [node_state(hand.dag, 0), node_state(hand.dag, 1)] == [State.PENDING, State.PENDING]
    assert node_state(hand.wake().end_all().dag, 0) is State.SUCCEEDED


def test_the_operators_follow_the_flags() -> None:
    hand = Hand(chain(node(), node(0, flags=Flags(cancellable=False))))
    assert allowed_operators(hand.dag) == ("CANCEL",)
    hand.wake().end(0)
    assert allowed_operators(hand.dag) == ()
    hand.end(1, ok=False)
    assert allowed_operators(hand.dag) == ("RETRY",)


@pytest.mark.parametrize(
    ("flags", "request_", "code"),
    [
        (Flags(retryable=False, rollable=True), Retry(), "retry.not_allowed"),
        (Flags(), Rollback(), "rollback.not_allowed"),
        (ALL, Cancel(), "cancel.finished"),
        (Flags(), Pass(), "pass.not_allowed"),
        (Flags(), Pass(node=0), "node_pass.not_allowed"),
        (ALL, Pass(node=1), "node_pass.node_not_failed"),
        (ALL, Skip(), "skip.not_rolling_back"),
        (ALL, Retry(7), "task.not_found"),
        (ALL, Pause("eve", "night"), "pause.finished"),
    ],
)
def test_a_refusal_says_which_rule(flags: Flags, request_: object, code: str) -> None:
    hand = Hand(chain(node(name="first", flags=flags), node(0))).wake().end(0, ok=False)
    with pytest.raises(Refused) as refused:
        hand(request_)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert "not_allowed" not in code or "'first'" in refused.value.message


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Retry(), "retry.not_failed"),
        (Rollback(), "rollback.not_failed"),
        (Pass(), "pass.not_failed"),
        (Pass(node=0), "node_pass.dag_not_failed"),
        (Cancel(), "cancel.not_allowed"),
    ],
)
def test_a_running_dag_refuses_what_needs_a_failure(request_: object, code: str) -> None:
    hand = Hand(chain(node(flags=Flags(cancellable=False)))).wake()
    with pytest.raises(Refused) as refused:
        hand(request_)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_who_carries_it_out() -> None:
    dag = chain(node(agents=(B,), at_home=True), node(0))
    assert executor(dag, 0) == B
    at_home = replace(dag, home=Home(HomeKind.AGENT, A))
    assert [executor(at_home, 0), executor(at_home, 1)] == [A, A]
    assert executor(dag, 1) is None


def test_the_next_timer_is_exact_after_a_load() -> None:
    hand = Hand(chain(node(), node(0))).wake()
    assert next_timer(hand.dag) == 110
    assert next_timer(hand.start(0).dag) == 1010
    assert next_timer(hand(Pause("eve", "night", until=60)).dag) == 60
    assert next_timer(hand(Cancel()).dag) == 20
    assert next_timer(hand.end(0, ok=False).dag) == 0
