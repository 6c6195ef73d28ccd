"""What a search looks at, on every kind of home."""

from __future__ import annotations

from typing import Any

from oboe.domain.events import Cancel, Wake
from oboe.domain.values import Operator, State
from tests.store.samples import draft, ended, moved

ALL = tuple(State)
END = 1 << 62


def test_headers_tell_what_the_whole_dags_say(home: Any) -> None:
    waiting = home.create(draft("First"))
    going = home.create(draft("Second"))
    begun = moved(going, Wake())
    failed = moved(begun.after, ended(begun.after, 0, ok=False))
    for change in (begun, failed):
        assert home.save([change]) == {}
    going = failed.after

    found = {header.id: header for header in home.headers(ALL, 0, END)}
    assert {number: (header.name, header.state, header.operator, header.ended_at) for number, header in found.items()} == {
        waiting.id: ("First", State.READY, Operator.RUN, 0),
        going.id: ("Second", State.FAILED, Operator.RUN, going.ended_at),
    }
    assert found[going.id].created_at == going.created_at


def test_headers_are_chosen_by_state_and_by_time(home: Any) -> None:
    first, second = home.create(draft()), home.create(draft())
    begun = moved(second, Wake())
    home.save([begun])
    cancelled = moved(begun.after, Cancel())
    home.save([cancelled])

    def ids(states: tuple[State, ...] = ALL, since: int = 0, before: int = END) -> list[int]:
        return sorted(header.id for header in home.headers(states, since, before))

    assert ids() == [first.id, second.id]
    assert ids(since=second.created_at) == [second.id]
    assert ids(before=second.created_at) == [first.id]
    assert ids((State.FAILED,)) == []
    (header,) = [each for each in home.headers(ALL, 0, END) if each.id == second.id]
    assert (header.cancelled, header.asks) == (True, 1)


def test_many_dags_at_once_without_those_that_are_gone(home: Any) -> None:
    made = [home.create(draft(f"Number {place}")) for place in range(5)]
    wanted = [made[3].id, made[1].id, 999_999_999]
    assert [dag.name for dag in home.many(wanted)] == ["Number 1", "Number 3"]
    assert home.many([]) == []
