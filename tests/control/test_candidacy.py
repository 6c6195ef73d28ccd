"""Who tries for the lease, and when it may say that the cluster's store went back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from oboe.control.candidacy import Candidacy
from oboe.domain.values import Address
from oboe.membership.marks import Marks
from oboe.membership.verbs import StoreMark
from oboe.store.mysql.lease import Sight

HERE, OTHER = Address("10.0.0.1", 2886), Address("10.0.0.2", 2886)
SEAT = "10.0.0.2:2881"


class Facts:
    """What an agent keeps."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        return self.facts.get(name)

    def keep(self, **facts: Any) -> None:
        self.facts |= facts


class Row:
    """The lease, which has run out at ``beat``."""

    def __init__(self, beat: int) -> None:
        self.beat = beat
        self.went_back: list[bool] = []

    def look(self) -> Sight:
        return Sight(OTHER, 1, -1.0, self.beat)

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        self.went_back.append(went_back)
        return None


class Renewing:
    """The other member: it renews the lease just before it answers, and has seen what it wrote."""

    def __init__(self, row: Row, beat: int, *, writes: bool) -> None:
        self._row, self._beat, self._writes = row, beat, writes

    def call_all(self, asked: Sequence[Address], verb: str, request: object, answer: type, *, timeout: float) -> Mapping[Address, object]:
        if self._writes:
            self._row.beat = self._beat
        return {agent: StoreMark(1, SEAT, self._beat) for agent in asked}


def candidate(row: Row, peers: Renewing) -> Candidacy:
    link = SimpleNamespace(
        here=HERE,
        members=lambda: [SimpleNamespace(address=each) for each in (HERE, OTHER)],
        seat=lambda: SEAT,
        mark_primary=lambda seat: None,
    )
    return Candidacy(row, link, None, None, Marks(Facts()), lambda: peers)  # type: ignore[arg-type]


def test_a_lease_that_is_renewed_while_another_agent_tries_for_it_is_no_store_that_went_back() -> None:
    row = Row(beat=1000)
    assert candidate(row, Renewing(row, 2000, writes=True)).take(HERE, 8.0) is None
    assert row.went_back == [False]


def test_a_row_that_is_behind_what_a_member_has_seen_is_a_store_that_went_back() -> None:
    row = Row(beat=1000)
    assert candidate(row, Renewing(row, 2000, writes=False)).take(HERE, 8.0) is None
    assert row.went_back == [True]
