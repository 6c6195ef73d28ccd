"""A preview says what the machine then does, and touches nothing."""

from __future__ import annotations

import pytest

from oboe.domain.errors import Refused
from oboe.domain.events import Retry
from oboe.domain.preview import PreviewLine, preview

from .dags import A, B, Hand, chain, node


def failed() -> Hand:
    """Three nodes; the second failed on one of its two agents."""
    return Hand(chain(node(), node(0, agents=(A, B)), node(1))).wake().end(0).end(1).end(2, ok=False)


def test_a_retry_undoes_and_runs_what_failed_then_goes_on() -> None:
    assert preview(failed().dag, "RETRY") == (
        PreviewLine(1, (B,), "undo"),
        PreviewLine(1, (B,), "run"),
        PreviewLine(2, (None,), "run"),
        PreviewLine(0, (None,), "keep"),
    )


def test_a_rollback_undoes_downstream_first() -> None:
    assert preview(failed().dag, "rollback") == (
        PreviewLine(1, (A, B), "undo"),
        PreviewLine(0, (None,), "undo"),
        PreviewLine(2, (None,), "none"),
    )


def test_a_pass_names_what_would_be_taken_as_done() -> None:
    lines = preview(failed().dag, "PASS")
    assert lines == (PreviewLine(1, (B,), "pass"), PreviewLine(2, (None,), "pass"), PreviewLine(0, (None,), "keep"))


def test_a_cancel_names_what_would_be_stopped() -> None:
    hand = Hand(chain(node(), node(0, agents=(A, B)), node(1))).wake().end(0)
    assert preview(hand.dag, "CANCEL") == (
        PreviewLine(1, (A, B), "stop"),
        PreviewLine(0, (None,), "keep"),
        PreviewLine(2, (None,), "none"),
    )


def test_approvals_and_pauses_do_not_hide_what_follows() -> None:
    hand = Hand(chain(node(), node(0, approval=True))).wake().end(0, ok=False)
    assert [(line.node, line.action) for line in preview(hand.dag, Retry())] == [(0, "undo"), (0, "run"), (1, "run")]


def test_a_preview_touches_nothing_and_refuses_as_the_machine_would() -> None:
    hand = failed()
    value = hand.dag
    preview(hand.dag, "ROLLBACK")
    assert hand.dag is value
    with pytest.raises(Refused) as refused:
        preview(hand.dag, "CANCEL")
    assert refused.value.code == "cancel.finished"


def test_a_long_chain_is_previewed_in_one_pass() -> None:
    hand = Hand(chain(node(), *(node(i) for i in range(1500)))).wake().end(0, ok=False)
    lines = preview(hand.dag, "RETRY")
    assert [line.action for line in lines] == ["undo", *["run"] * 1501]
