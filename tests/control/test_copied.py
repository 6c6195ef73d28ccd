"""What is left to show when the cluster's home cannot be read at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from oboe.control.copied import Copied, Copier
from oboe.control.views import DagView
from oboe.domain.errors import TryAgain
from oboe.domain.records import Page
from oboe.store.memory import MemoryHome
from oboe.store.sqlite import DagCopies, Sqlite
from tests.store.samples import draft


@pytest.fixture
def copies(tmp_path: Path) -> DagCopies:
    return DagCopies(Sqlite(tmp_path / "oboe.db"))


def test_what_was_read_with_its_logs_can_be_read_again_by_every_id(copies: DagCopies) -> None:
    home = MemoryHome()
    first, second = home.create(draft()), home.create(draft())
    copier = Copier(copies)
    copier.keep([DagView(first, ()), DagView(second, None)])
    copied = copier.home()
    assert copied is not None
    assert copied.find("dag", first.id) == (first, 0)
    assert copied.find("node", first.node_base) == (first, 0)
    assert copied.find("sub_task", first.sub_task_base + first.plan.size - 1) == (first, first.plan.size - 1)
    assert copied.load(first.key) == first
    assert copied.load(second.key) is None, "what was read without its logs is no copy"
    assert copied.page(Page()) == [first]
    assert copied.unsettled() == [first]
    assert copied.stale_seconds > 0


def test_what_there_is_no_copy_of_is_not_said_to_be_missing(copies: DagCopies) -> None:
    home = MemoryHome()
    copies.put(home.create(draft()), ())
    with pytest.raises(TryAgain):
        Copied(copies.newest(10)).find("dag", 99)


def test_a_version_is_copied_once(copies: DagCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    dag = MemoryHome().create(draft())
    put: list[int] = []
    monkeypatch.setattr(copies, "put", lambda kept, logs: put.append(kept.version))
    copier = Copier(copies)
    copier.keep([DagView(dag, ())])
    copier.keep([DagView(dag, ())])
    assert put == [dag.version]


def test_without_copies_there_is_no_home(copies: DagCopies) -> None:
    assert Copier(copies).home() is None
