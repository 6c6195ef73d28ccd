"""A dag that is polled is read again only when its home has another edition of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from oboe.api.obshell import codec
from oboe.api.obshell.printed import Printed
from oboe.control import recent
from oboe.control.recent import Recent
from oboe.control.views import DagView
from oboe.domain.records import Edition
from oboe.store.memory import MemoryHome
from tests.store.samples import GLOBAL, draft, line, step


class Reader:
    """Reads a dag of a home as `Reading` does, and counts."""

    def __init__(self, home: MemoryHome) -> None:
        self.home = home
        self.recent = Recent()
        self.times = 0

    def view(self, number: int, *, details: bool = True) -> DagView:
        def read() -> DagView:
            self.times += 1
            found = self.home.find("dag", number)
            assert found is not None
            return DagView(found[0], tuple(self.home.logs(found[0])) if details else None)

        edition = self.home.edition(number)
        assert edition is not None
        return self.recent.view(edition, details, read)


def test_a_dag_is_read_once_until_it_or_its_lines_change() -> None:
    reader = Reader(MemoryHome())
    made = reader.home.create(draft(maintenance=GLOBAL))
    first = reader.view(made.id)
    assert reader.view(made.id) is first
    change = step(made)
    reader.home.save([change])
    assert reader.view(made.id).dag == change.after
    reader.home.save([], [line(change.after, 0)])
    logs = reader.view(made.id).logs
    assert logs is not None
    assert [record.line.text for record in logs] == ["hello"]
    assert reader.times == 3


def test_what_was_read_without_details_is_not_shown_with_them() -> None:
    reader = Reader(MemoryHome())
    made = reader.home.create(draft())
    assert (reader.view(made.id, details=False).logs, reader.view(made.id).logs) == (None, ())


def test_a_start_that_may_wait_for_a_lock_is_looked_at_every_time() -> None:
    reader = Reader(MemoryHome())
    made = reader.home.create(replace(draft(maintenance=GLOBAL), not_before=time.time_ns() + 10**12))
    assert reader.view(made.id) is not reader.view(made.id)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Recent()
    made = MemoryHome().create(draft())
    views = [DagView(made, ()) for _ in range(recent.VIEWS_MAX + 1)]
    editions = [Edition(number, "", 1, 0) for number in range(len(views))]
    for edition, view in zip(editions, views, strict=True):
        assert kept.view(edition, True, lambda view=view: view) is view  # type: ignore[misc]
    other: Any = DagView(made, ())
    assert kept.view(editions[0], True, lambda: other) is other
    assert kept.view(editions[-1], True, lambda: other) is views[-1]
    monkeypatch.setattr(recent, "SIZE_MAX", 0)
    assert kept.view(Edition(99, "", 1, 0), True, lambda: views[0]) is views[0]
    assert kept.view(Edition(99, "", 1, 0), True, lambda: other) is other


def test_one_view_is_encoded_once_for_each_amount_of_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = Printed()
    view = DagView(MemoryHome().create(draft()), ())
    texts = [printed.dag(view, details=details) for details in (True, False)]
    assert bytes(texts[0]) != bytes(texts[1])
    monkeypatch.setattr(codec, "dag_object", None)
    assert [printed.dag(view, details=details) for details in (True, False)] == texts
    with pytest.raises(TypeError):
        printed.dag(replace(view), details=True)
