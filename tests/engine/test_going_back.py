"""The cluster's store goes back to an earlier moment while agents go on: nothing is doubled, nothing is lost, a person decides."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oboe.domain import events, fold
from oboe.domain.errors import Refused
from oboe.domain.guards import guard
from oboe.domain.holds import holds
from oboe.domain.messages import RecallAgent
from oboe.domain.model import Dag, Maintenance, Plan
from oboe.domain.values import Address, HomeKind, MaintenanceKind, State
from oboe.engine.limits import Limits
from oboe.kit.playbook import Sketch
from oboe.store.sqlite import Sqlite
from tests.engine.rewinding import GATES, LEDGER, Held, Recorded, Rewinding, misdeeds
from tests.engine.site import QUICK, A, B, C, Loose, Site, draft, eventually
from tests.engine.test_lease import LONGER, Row

PATIENT = replace(QUICK, recall_seconds=30.0)
HASTY = replace(QUICK, recall_seconds=0.3)


class Cluster:
    """Three agents over one home that can be put back."""

    def __init__(self, make_site: Callable[..., Site], path: Path, limits: Limits = PATIENT) -> None:
        self.database = Sqlite(path)
        self.home = Rewinding(self.database)
        self.courier = Loose()
        given: dict[str, Any] = {"courier": self.courier, "steps": (Recorded, Held), "limits": limits}
        self.sites = {agent: make_site(kind="sqlite", here=agent, **given).start() for agent in (A, B, C)}
        self.epoch = 0
        self.maintain(A)

    @property
    def maintainer(self) -> Site:
        return self.sites[self.at]

    def maintain(self, agent: Address) -> None:
        """A planned move of the lease; the first is one, too."""
        self.epoch += 1
        self.at = agent
        self.maintainer.engine.serve_cluster(self.home, self.epoch)

    def go_back(self, moment: int, agent: Address) -> None:
        """The maintainer is gone with what the store has lost; another one takes it up, and knows that it went back."""
        self.maintainer.engine.unserve_cluster()
        self.home.go_back(moment)
        self.home.begin_recall(self.epoch + 1)
        self.maintain(agent)

    def submit(self, plan: Plan, maintenance: Maintenance | None = None) -> Dag:
        given = draft(plan, kind=HomeKind.CLUSTER)
        return self.maintainer.engine.submit(replace(given, maintenance=maintenance or Maintenance()))

    def ask(self, dag: Dag, event: events.Request) -> Dag:
        return self.maintainer.engine.ask(HomeKind.CLUSTER, dag.key, event)

    def lead_on(self, dag: Dag, *, forward: bool) -> Dag:
        """What a person asks until the dag has settled."""
        for _ in range(20):
            dag = self.maintainer.over(dag)
            if fold.settled(dag):
                return dag
            wishes = [events.Retry(), events.Rollback()] if forward else [events.Rollback(), events.Retry()]
            granted = next(wish for wish in wishes if guard(dag, wish) is None)
            self.ask(dag, granted)
        raise AssertionError(f"it does not settle: {dag.sub_tasks}")


@pytest.fixture
def cluster(make_site: Callable[..., Site], tmp_path: Path) -> Cluster:
    return Cluster(make_site, tmp_path / "cluster.db")


def diamond(step: type[Recorded] = Recorded) -> Plan:
    sketch = Sketch("trial", Maintenance())
    first = sketch.stage("first", Recorded, agents=(B,), args={"n": 0})
    left = sketch.stage("left", step, agents=(B, C), parallel=True, after=(first,), args={"n": 1})
    right = sketch.stage("right", Recorded, agents=(None,), after=(first,), args={"n": 2})
    sketch.stage("last", Recorded, agents=(C,), after=(left, right), args={"n": 3})
    return sketch.plan()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_store_has_lost_nothing_is_doubled_and_nothing_is_lost(cluster: Cluster, seed: int) -> None:
    chance = random.Random(seed)
    dag = cluster.submit(diamond())
    until = chance.randrange(3, 12)
    eventually(lambda: len(cluster.home.moments) >= until or fold.settled(cluster.home.load(dag.key)))
    lost = chance.randrange(1, 8)
    cluster.go_back(max(1, len(cluster.home.moments) - 1 - lost), chance.choice([A, B]))
    dag = cluster.lead_on(dag, forward=chance.random() < 0.5)
    assert misdeeds(dag) == [], (seed, LEDGER[dag.key], dag.sub_tasks)
    eventually(lambda: cluster.home.regress().open_since == 0)
    again = cluster.maintainer.over(cluster.submit(diamond()))
    assert (fold.dag_state(again), misdeeds(again)) == (State.SUCCEEDED, [])


def test_a_step_that_goes_on_is_told_to_stop_and_the_dag_waits_for_a_person(cluster: Cluster) -> None:
    dag = cluster.submit(diamond(Held))
    eventually(lambda: (2, "do") in LEDGER[dag.key] and (1, "do") in LEDGER[dag.key])
    cluster.go_back(1, B)
    dag = cluster.maintainer.over(dag)
    assert (dag.halt_reason, fold.dag_state(dag)) == ("the store went back", State.FAILED)
    assert [each.state for each in dag.sub_tasks[:3]] == [State.SUCCEEDED, State.FAILED, State.FAILED]
    GATES[dag.key].set()
    dag = cluster.lead_on(dag, forward=True)
    assert misdeeds(dag) == []
    assert [each.epoch for each in dag.sub_tasks] == [1, 2, 2, dag.sub_tasks[3].epoch, 2]


def test_a_dag_waits_for_the_silent_says_so_and_is_not_led_on_before_they_speak(make_site: Callable[..., Site], tmp_path: Path) -> None:
    cluster = Cluster(make_site, tmp_path / "cluster.db", HASTY)
    dag = cluster.submit(diamond())
    dag = cluster.maintainer.over(dag)
    cluster.courier.cut.add(C)
    cluster.go_back(3, B)
    waiting = cluster.maintainer.until(dag, lambda now: bool(now.recalled))
    assert fold.dag_state(waiting) is State.RUNNING
    assert [hold.agents for hold in holds(waiting) if hold.kind == "facts"] == [waiting.recalled]
    with pytest.raises(Refused, match="waits until") as refused:
        cluster.ask(dag, events.Cancel())
    assert refused.value.code == "dag.waiting"
    failed = cluster.maintainer.over(dag)
    assert [index for index, each in enumerate(failed.sub_tasks) if each.unsure] == [
        2,
        3,
        4,
    ]  # 3 is the maintainer's, and C may have been that
    for wish in (events.Retry(), events.Rollback()):
        with pytest.raises(Refused, match="has not said what it did"):
            cluster.ask(dag, wish)
    assert [hold.agents for hold in holds(failed)] == [(C,)]
    cluster.courier.cut.discard(C)
    sure = cluster.maintainer.until(dag, lambda now: not any(each.unsure for each in now.sub_tasks))
    assert not holds(sure)
    dag = cluster.lead_on(dag, forward=True)
    assert misdeeds(dag) == []


def test_no_maintenance_lock_is_granted_before_the_agents_have_ended_what_the_store_has_lost(cluster: Cluster) -> None:
    everything = Maintenance(MaintenanceKind.GLOBAL)
    lost = cluster.submit(diamond(Held), everything)
    eventually(lambda: (2, "do") in LEDGER[lost.key] and (1, "do") in LEDGER[lost.key])
    cluster.courier.cut.add(C)
    cluster.go_back(0, B)
    with pytest.raises(Refused, match="the store went back") as refused:
        cluster.submit(diamond(), everything)
    assert refused.value.code == "maintenance.held"
    eventually(lambda: cluster.sites[B].engine.orphans())
    cluster.courier.cut.discard(C)
    eventually(lambda: not cluster.home.regress().open_since)
    assert not any(site.engine.status().running for site in cluster.sites.values())
    (orphan,) = cluster.sites[C].engine.orphans()
    assert (orphan.dag_key, orphan.name, orphan.did) == (lost.key, "trial", ("left: RUN, attempt 1, FAILED",))
    anew = cluster.maintainer.over(cluster.submit(diamond(), everything))
    assert fold.dag_state(anew) is State.SUCCEEDED


def test_the_silent_hold_the_locks_back_for_a_while_only(make_site: Callable[..., Site], tmp_path: Path) -> None:
    cluster = Cluster(make_site, tmp_path / "cluster.db", HASTY)
    cluster.courier.cut.add(C)
    cluster.go_back(0, A)
    assert cluster.home.regress().open_since
    eventually(lambda: not cluster.home.regress().open_since)


def test_who_was_recalled_takes_no_order_and_no_recall_of_an_earlier_epoch(cluster: Cluster) -> None:
    orders = []
    carry = cluster.courier.order
    cluster.courier.order = lambda agent, order: (orders.append(order), carry(agent, order))  # type: ignore[method-assign, assignment, func-returns-value]
    cluster.maintainer.over(cluster.submit(diamond()))
    old = next(order for order in orders if order.agent == C)
    engine = cluster.sites[C].engine
    engine.recall(RecallAgent(epoch=5, maintainer=A))
    for late in (
        lambda: engine.order(replace(old, fence=replace(old.fence, attempt=9))),
        lambda: engine.recall(RecallAgent(epoch=4, maintainer=A)),
    ):
        with pytest.raises(Refused) as refused:
            late()
        assert refused.value.code in ("order.old_epoch", "recall.old_epoch")
    cluster.sites[C].die()
    again = cluster.sites[C].born_again().engine
    with pytest.raises(Refused, match="recalled in 5"):
        again.order(replace(old, fence=replace(old.fence, attempt=9)))


def test_a_home_that_goes_back_under_its_maintainer_is_noticed_and_taken_up_in_a_new_epoch(
    make_site: Callable[..., Site], tmp_path: Path
) -> None:
    home, row, courier = Rewinding(Sqlite(tmp_path / "cluster.db")), Row(), Loose()
    row.home = home  # type: ignore[assignment]
    given: dict[str, Any] = {"courier": courier, "steps": (Recorded, Held), "limits": replace(LONGER, recall_seconds=30.0)}
    sites = {agent: make_site(kind="sqlite", here=agent, **given).start() for agent in (A, B, C)}
    sites[A].engine.watch_lease(row, lambda: home)
    eventually(sites[A].engine.serves_cluster)
    dag = sites[A].engine.submit(draft(diamond(Held), kind=HomeKind.CLUSTER))
    eventually(lambda: (2, "do") in LEDGER[dag.key] and (1, "do") in LEDGER[dag.key])
    epoch = sites[A].engine.status().epoch
    home.go_back(2)
    GATES[dag.key].set()
    eventually(lambda: sites[A].engine.serves_cluster() and (sites[A].engine.status().epoch or 0) > (epoch or 0))
    dag = sites[A].over(dag)
    assert (dag.halt_reason, fold.dag_state(dag)) == ("the store went back", State.FAILED)
    sites[A].engine.ask(HomeKind.CLUSTER, dag.key, events.Retry())
    dag = sites[A].over(dag)
    assert (fold.dag_state(dag), misdeeds(dag)) == (State.SUCCEEDED, [])


def test_a_new_dag_of_a_store_that_once_went_back_waits_for_nobody(cluster: Cluster) -> None:
    cluster.go_back(0, B)
    cluster.maintain(A)
    cluster.courier.cut.add(B)
    sketch = Sketch("trial", Maintenance())
    sketch.stage("alone", Recorded, agents=(C,), args={"n": 0})
    dag = cluster.maintainer.over(cluster.submit(sketch.plan()))
    assert (fold.dag_state(dag), dag.recalled) == (State.SUCCEEDED, ())
