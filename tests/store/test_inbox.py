"""What every inbox promises (`oboe.engine.ports.InboxStore`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oboe.domain.messages import Fence, Interrupt
from oboe.domain.records import InboxEntry
from oboe.domain.values import Stopping
from oboe.store.sqlite import Sqlite, SqliteInbox
from tests.store.samples import THERE, order, report

if TYPE_CHECKING:
    from oboe.engine.ports import InboxStore
    from oboe.store.memory import MemoryInbox

    def every_inbox_fits_the_port(memory: MemoryInbox, sqlite: SqliteInbox) -> list[InboxStore]:
        return [memory, sqlite]


def test_an_order_is_written_down_once(inbox: Any) -> None:
    asked = order()
    entry = inbox.accept(asked, begin=False)
    assert entry == InboxEntry(asked, asked.fence, begun=False, ended=None, acknowledged=False)
    assert inbox.accept(asked, begin=False) == entry
    assert inbox.get(asked.fence) == entry
    assert inbox.open() == [entry]


def test_an_order_can_be_begun_as_it_is_accepted_or_later(inbox: Any) -> None:
    at_once, later = order(sub_task=1), order(sub_task=2)
    assert inbox.accept(at_once, begin=True).begun
    assert not inbox.accept(later, begin=False).begun
    inbox.begin(later.fence)
    assert inbox.accept(later, begin=False).begun


def test_an_order_below_the_highest_known_is_not_written_down(inbox: Any) -> None:
    inbox.accept(order(attempt=3), begin=True)
    for late in (order(attempt=2), order(epoch=0, attempt=9)):
        entry = inbox.accept(late, begin=True)
        assert (entry.order, entry.begun, entry.ended) == (None, False, None)
        assert inbox.get(late.fence) is None
    assert inbox.highest("a" * 32, 0) == Fence("a" * 32, 0, 1, 3)
    assert inbox.highest("a" * 32, 1) is None
    assert inbox.accept(order(epoch=2, attempt=1), begin=False).order is not None


def test_an_attempt_known_before_a_higher_one_is_answered_as_it_stands(inbox: Any) -> None:
    first = order(attempt=1)
    inbox.accept(first, begin=True)
    inbox.end(report(first.fence))
    inbox.accept(order(attempt=2), begin=True)
    assert inbox.accept(first, begin=True).ended is not None


def test_the_first_end_stays_and_an_ended_attempt_never_begins(inbox: Any) -> None:
    asked = order()
    inbox.accept(asked, begin=False)
    ended = report(asked.fence, ok=False)
    inbox.end(ended)
    inbox.end(report(asked.fence, ok=True))
    inbox.begin(asked.fence)
    assert inbox.get(asked.fence) == InboxEntry(asked, asked.fence, begun=False, ended=ended, acknowledged=False)
    assert inbox.accept(asked, begin=True) == inbox.get(asked.fence)


def test_an_interrupt_before_its_order_is_found_by_the_late_order(inbox: Any) -> None:
    asked = order()
    ended = report(asked.fence, ok=False)
    inbox.refuse(Interrupt(asked.fence, Stopping.ASKED, THERE), ended)
    entry = InboxEntry(None, asked.fence, begun=False, ended=ended, acknowledged=False)
    assert inbox.accept(asked, begin=True) == entry
    assert inbox.open() == [entry]


def test_an_entry_is_open_until_its_end_is_acknowledged(inbox: Any) -> None:
    asked = order()
    inbox.accept(asked, begin=True)
    inbox.acknowledge(asked.fence)
    assert len(inbox.open()) == 1, "what has not ended cannot be acknowledged"
    inbox.end(report(asked.fence))
    assert len(inbox.open()) == 1
    inbox.acknowledge(asked.fence)
    assert inbox.open() == []
    assert inbox.get(asked.fence).acknowledged


def test_an_entry_is_forgotten_only_after_its_dag_settled_and_its_end_was_heard(inbox: Any) -> None:
    heard, unheard, other = order(), order(sub_task=1), order(key="b" * 32)
    for asked in (heard, unheard, other):
        inbox.accept(asked, begin=True)
        inbox.end(report(asked.fence))
    for asked in (heard, other):
        inbox.acknowledge(asked.fence)
    assert inbox.forget(10**19 // 2) == 0
    inbox.settle("a" * 32, 1000)
    inbox.settle("a" * 32, 5000)
    assert inbox.forget(1000) == 0
    assert inbox.forget(1001) == 1
    assert inbox.get(heard.fence) is None
    assert inbox.get(unheard.fence) is not None
    assert inbox.get(other.fence) is not None


@pytest.mark.parametrize("damage", ["{", "[" * 5000, b"\xff", 7, '{"fence": null}'])
def test_an_entry_that_is_damaged_hides_no_other_and_is_known_again_by_its_order(sqlite: Sqlite, damage: object) -> None:
    inbox = SqliteInbox(sqlite)
    bad, good = order(sub_task=1), order(sub_task=2)
    for each in (bad, good):
        inbox.accept(each, begin=True)
    sqlite.write(lambda session: session.run("UPDATE inbox SET order_body = ? WHERE sub_task = 1", (damage,)))
    unread = InboxEntry(None, bad.fence, begun=True, ended=None, acknowledged=False, unreadable=True)
    assert inbox.open() == [unread, inbox.get(good.fence)]
    assert inbox.accept(bad, begin=True) == replace(unread, order=bad)
    said = report(bad.fence)
    inbox.end(said)
    assert inbox.get(bad.fence) == replace(unread, ended=said)
