"""What a member has seen of the cluster's store, against what it sees now."""

from __future__ import annotations

import pytest

from oboe.membership.marks import Marks, contradicts
from oboe.membership.verbs import StoreMark

SEEN = StoreMark(5, "10.0.0.1:2881", 1000)


@pytest.mark.parametrize(
    ("mark", "lost"),
    [
        (SEEN, False),
        (StoreMark(5, "10.0.0.1:2881", 1001), False),
        (StoreMark(5, "10.0.0.1:2881", 999), True),
        (StoreMark(5, "10.0.0.2:2881", 2000), True),
        (StoreMark(6, "10.0.0.2:2881", 1), False),
        (StoreMark(4, "10.0.0.1:2881", 2000), True),
        (StoreMark(0, "10.0.0.1:2881", 0), True),
    ],
)
def test_a_store_goes_forwards_or_has_lost_something(mark: StoreMark, lost: bool) -> None:
    assert contradicts(SEEN, mark) is lost
    assert not contradicts(StoreMark(), mark), "who has seen nothing contradicts nothing"


class Kept:
    """The agent's facts, and how often they were written."""

    def __init__(self) -> None:
        self.facts: dict[str, object] = {}
        self.writes = 0

    def value(self, name: str) -> object:
        return self.facts.get(name)

    def keep(self, **facts: object) -> None:
        self.facts |= facts
        self.writes += 1


def test_a_mark_survives_its_agent_is_not_written_for_every_renewal_and_goes_with_the_cluster() -> None:
    kept = Kept()
    marks = Marks(kept)  # type: ignore[arg-type]
    assert marks.move(SEEN)
    assert all(marks.move(StoreMark(5, SEEN.seat, beat)) for beat in range(1001, 1050))
    assert not marks.move(StoreMark(5, SEEN.seat, 1020))
    assert (kept.writes, marks.own().beat) == (1, 1049)
    marks.write_down()
    assert Marks(kept).own() == StoreMark(5, SEEN.seat, 1049)  # type: ignore[arg-type]
    kept.facts.clear()
    assert marks.own() == StoreMark()
