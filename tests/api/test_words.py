"""What holds a dag, in words."""

from __future__ import annotations

from oboe.api.shared.words import hold_words
from oboe.domain.events import SetRetries
from oboe.domain.holds import holds
from tests.domain.dags import Hand, chain, node


def test_a_rest_says_which_retry_comes_and_that_one_more_comes_before_those_that_were_allowed_meanwhile() -> None:
    hand = Hand(chain(node(name="Look", retries=3))).wake().start(0).end(0, ok=False)
    assert hand[0].resting
    (rest,) = holds(hand.dag)
    assert hold_words(hand.dag, rest).startswith("retry 1 of 3 of 'Look' at ")
    (rest,) = holds(hand(SetRetries(0, 2)).dag)
    words = hold_words(hand.dag, rest)
    assert (words.startswith("a retry of 'Look' at "), words.endswith(", before 2 more")) == (True, True), words
