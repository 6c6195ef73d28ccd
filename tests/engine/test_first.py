"""What a step first found."""

from __future__ import annotations

from pathlib import Path

import pytest

from oboe.domain.errors import Bug, StepFailed
from oboe.engine.first import first_found


def test_the_first_answer_stays_and_belongs_to_its_sub_task_and_name(tmp_path: Path) -> None:
    assert first_found(tmp_path, 1, "size", lambda: {"a": [1]}) == {"a": [1]}
    assert first_found(tmp_path, 1, "size", lambda: 2) == {"a": [1]}
    assert first_found(tmp_path, 2, "size", lambda: None) is None
    assert first_found(tmp_path, 2, "size", lambda: 3) is None
    assert first_found(tmp_path, 1, "sizes", lambda: 4) == 4


def test_what_cannot_be_kept_is_refused_and_asked_again(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="cannot be kept"):
        first_found(tmp_path, 1, "size", object)
    assert first_found(tmp_path, 1, "size", lambda: 1) == 1


@pytest.mark.parametrize("name", ["", "../x", "A", "a" * 62, "a b"])
def test_a_name_is_small_letters(tmp_path: Path, name: str) -> None:
    with pytest.raises(Bug, match="is no name"):
        first_found(tmp_path, 1, name, lambda: 1)
