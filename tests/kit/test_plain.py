"""What a step returns, notes or says, as it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from oboe.domain.errors import StepFailed
from oboe.domain.messages import Level
from oboe.engine.transcript import Transcript
from oboe.kit.plain import DEPTH_MAX, plain


def test_what_a_step_returns_is_at_once_what_it_will_be_after_a_restart() -> None:
    assert plain({1: (1, 2), "few": {3}, "none": float("nan")}) == {"1": [1, 2], "few": [3], "none": None}


def test_what_is_nested_too_deeply_cannot_be_kept() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(DEPTH_MAX - 1):
        deep = [deep]
    assert plain(deep) == deep
    for value in ([deep], {"a": deep}, endless):
        with pytest.raises(StepFailed) as failed:
            plain(value)
        assert failed.value.code == "result.not_plain"


def test_a_line_that_is_no_text_is_shown_as_python_shows_it() -> None:
    told: list[Any] = []
    transcript = Transcript(lambda: 1, lambda: None, jot=told.append, lines_max=10, text_max=20)
    for said in (5, None, b"\xff"):
        transcript.write(Level.INFO, said)  # type: ignore[arg-type]
    assert [line.text for line in told] == ["5", "None", "b'\\xff'"]


def test_a_code_is_cut_to_what_every_store_keeps() -> None:
    told: list[Any] = []
    transcript = Transcript(lambda: 1, lambda: None, jot=told.append, lines_max=10, text_max=10)
    transcript.write(Level.ERROR, "broken", "x" * 1000)
    assert told[0].code == "x" * 128


def test_an_attempt_that_writes_without_end_keeps_so_much_and_why_it_ended() -> None:
    told: list[Any] = []
    transcript = Transcript(lambda: 1, lambda: None, jot=told.append, lines_max=10, text_max=10)
    for _ in range(2000):
        transcript.write(Level.INFO, "more")
        transcript.write(Level.ERROR, "worse")
    transcript.write(Level.ERROR, "the end", last=True)
    assert len(told) == 10 + 1000 + 1
    assert told[-1].text == "the end"


def test_a_step_notes_so_many_things_at_most() -> None:
    transcript = Transcript(lambda: 1, lambda: None, jot=lambda line: None, lines_max=10, text_max=10)
    for number in range(256):
        transcript.note({str(number): number})
    with pytest.raises(StepFailed, match="256 things at most"):
        transcript.note({"one": "more"})
