"""The lease: one holder at a time, and nothing goes on that hangs on a lease which could not be renewed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from oboe.domain.errors import Unreachable
from oboe.domain.values import Address, HomeKind, State
from oboe.engine.lease import LeaseKeeper
from oboe.engine.limits import Limits
from oboe.kit.playbook import Sketch
from oboe.store.memory import MemoryHome
from tests.engine.site import A, B, Loose, Site, draft, eventually, states
from tests.engine.steps import DONE, GATES, Gate

SHORT = Limits(lease_seconds=0.4, lease_renew_seconds=0.1, lease_look_seconds=0.05)
LONGER = replace(SHORT, lease_seconds=3.0)
"""The guard of a busy machine may come a while after its time, and still before the lease ends."""


class Row:
    """The row in the store, by a clock that all share; it can be away, or hang."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held: tuple[Address, int, float] | None = None
        self.home: MemoryHome | None = None
        """The store that this row is in, for one that goes back."""
        self.away = False
        self.hang = threading.Event()
        self.hang.set()

    def _reach(self) -> None:
        self.hang.wait(60)
        if self.away:
            raise Unreachable("database.away", "the database does not answer")

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        self._reach()
        with self._lock:
            now = time.monotonic()
            if self.held is not None and self.held[2] > now and self.held[0] != agent:
                return None
            epoch = max(self.held[1] + 1 if self.held else 1, epoch_min)
            if went_back and self.home is not None:
                self.home.begin_recall(epoch)
            self.held = (agent, epoch, now + ttl)
            return epoch

    def give(self, agent: Address, epoch: int) -> None:
        """For a minute, whoever has it."""
        with self._lock:
            self.held = (agent, epoch, time.monotonic() + 60)

    def renew(self, agent: Address, epoch: int, ttl: float) -> bool:
        self._reach()
        with self._lock:
            if self.held is None or self.held[:2] != (agent, epoch):
                return False
            self.held = (agent, epoch, time.monotonic() + ttl)
            return True

    def holder(self) -> tuple[Address, int, float] | None:
        self._reach()
        return None if self.held is None else (self.held[0], self.held[1], self.held[2] - time.monotonic())


class Watcher:
    """A keeper, and what it was told when."""

    def __init__(self, row: Row, here: Address, limits: Limits = SHORT) -> None:
        self.spans: list[list[float]] = []
        self.keeper = LeaseKeeper(row, here=here, limits=limits, gained=self._gained, lost=self._lost)
        self.keeper.start()

    def served(self) -> int | None:
        """The epoch that it holds, once it was told so: the keeper knows it a moment earlier."""
        return self.keeper.epoch if self.spans and not self.let_go() else None

    def let_go(self) -> bool:
        """It was told that it lost what it gained last."""
        return bool(self.spans) and self.spans[-1][1] < float("inf")

    def _gained(self, epoch: int) -> None:
        self.spans.append([time.monotonic(), float("inf")])

    def _lost(self) -> None:
        self.spans[-1][1] = time.monotonic()


def test_one_agent_holds_it_and_the_other_takes_over_when_it_stops() -> None:
    row = Row()
    first = Watcher(row, A, LONGER)
    eventually(first.served)
    second = Watcher(row, B, LONGER)
    eventually(lambda: second.keeper.maintainer())
    assert second.keeper.maintainer().agent == A  # type: ignore[union-attr]
    assert second.keeper.epoch is None
    first.keeper.stop()
    assert eventually(second.served) == 2
    assert first.spans[0][1] <= second.spans[0][0]
    second.keeper.stop()


@pytest.mark.parametrize("trouble", ["away", "hangs"])
def test_a_holder_that_cannot_renew_lets_go_before_another_may_hold_it(trouble: str) -> None:
    row = Row()
    first = Watcher(row, A, LONGER)
    eventually(first.served)
    if trouble == "away":
        row.away = True
    else:
        row.hang.clear()
    held_until = row.held[2]  # type: ignore[index]
    eventually(first.let_go)
    assert first.spans[0][1] < held_until
    row.away = False
    row.hang.set()
    assert eventually(first.served) == 2
    first.keeper.stop()


def test_a_lease_that_was_taken_away_is_noticed_at_the_renewal() -> None:
    row = Row()
    first = Watcher(row, A)
    eventually(first.served)
    row.give(B, 7)
    eventually(first.let_go)
    assert eventually(lambda: first.keeper.maintainer()).epoch == 7
    first.keeper.stop()


def test_a_holder_whose_home_cannot_be_served_lets_go_and_tries_again(make_site: Callable[..., Site]) -> None:
    row, left = Row(), [2]

    def home() -> MemoryHome:
        left[0] -= 1
        if left[0] >= 0:
            raise Unreachable("cluster.no_primary", "no primary")
        return MemoryHome()

    site = make_site(limits=LONGER).start()
    site.engine.watch_lease(row, home)
    eventually(site.engine.serves_cluster)
    assert site.engine.status().epoch == 3


def test_what_was_interrupted_because_the_lease_was_lost_goes_on_when_it_is_back(make_site: Callable[..., Site], sketch: Sketch) -> None:
    row, home = Row(), MemoryHome()
    site = make_site(limits=LONGER).start()
    site.engine.watch_lease(row, lambda: home)
    eventually(site.engine.serves_cluster)
    sketch.stage("bound", Gate)
    dag = site.engine.submit(draft(sketch.plan(), kind=HomeKind.CLUSTER))
    eventually(lambda: DONE[dag.key])
    row.away = True
    eventually(lambda: not site.engine.serves_cluster() and site.engine.status().running == 0)
    row.away = False
    eventually(site.engine.serves_cluster)
    eventually(lambda: DONE[dag.key] == ["do gate 1", "do gate 1 resumed"])
    GATES[dag.key].set()
    dag = site.over(dag)
    assert states(dag) == [("SUCCEEDED", "RUN", 1)]
    assert [record.line.text for record in home.logs(dag)] == []


def test_the_holder_serves_the_cluster_and_its_successor_goes_on(make_site: Callable[..., Site], sketch: Sketch) -> None:
    row, home, courier = Row(), MemoryHome(), Loose()
    first, second = (make_site(here=agent, courier=courier, limits=LONGER).start() for agent in (A, B))
    first.engine.watch_lease(row, lambda: home)
    eventually(first.engine.serves_cluster)
    second.engine.watch_lease(row, lambda: home)
    sketch.stage("bound", Gate)
    dag = first.engine.submit(draft(sketch.plan(), kind=HomeKind.CLUSTER))
    eventually(lambda: DONE[dag.key])
    first.engine.leave_lease()
    assert not first.engine.serves_cluster()
    eventually(second.engine.serves_cluster)
    eventually(lambda: len(DONE[dag.key]) == 2)
    GATES[dag.key].set()
    dag = second.over(dag)
    assert [(each.state, each.agent) for each in dag.sub_tasks] == [(State.SUCCEEDED, B)]
    assert second.engine.maintainer().agent == B  # type: ignore[union-attr]
